"""Slow lithiation: with less working contact, lithium enters the NCM more slowly."""

from typing import Annotated, Any, Literal

from interphase_sim.ageing.law import Effect, LossLaw, Ncm
from interphase_sim.fields import NON_NEGATIVE, Fraction, Parameter, Quantity, Section


class Parameters(Section):
    """Switch and numbers of slow lithiation."""

    slow_lithiation: bool
    lithiation_law: Literal["length", "shift"]
    diffusion_exponent: Annotated[Parameter, Quantity("number", NON_NEGATIVE)]
    hindrance_shift: Fraction


def slow_lithiation(losses: Any, log_contact: float) -> tuple[float, float]:
    """ln(D_eff/D) and the shift of the hindrance stoichiometry, for a working contact fraction chi.

    length: ln(D_eff/D) = n ln chi, lithium enters through fewer places and has farther to go (length ~ 1/chi, n = 2).
    shift: x_D falls by a ln(1/chi), the crowded zone around each remaining entry chokes it at a lower mean
    lithiation, while delithiation, which empties that zone, stays as fast as before.
    """
    if not losses.slow_lithiation:
        return 0.0, 0.0
    if losses.lithiation_law == "length":
        return float(losses.diffusion_exponent.si * log_contact), 0.0
    return 0.0, float(losses.hindrance_shift.si * log_contact)


class SlowLithiation(LossLaw):
    """Acts by the working contact fraction that contact loss moves."""

    channel, order, colour = "slow_lithiation", 20, "#E69F00"
    source = "assumed; the law of length from effective diffusion with an area of contact"
    validity = "45 degC, C/5"
    parameters = Parameters

    def effect(self, losses: Any, ncm: Ncm) -> Effect:
        """A slower or earlier hindered diffusion."""
        log_diffusion, shift = slow_lithiation(losses, ncm.log_contact)
        return Effect(log_diffusion, shift)


LAW = SlowLithiation()
