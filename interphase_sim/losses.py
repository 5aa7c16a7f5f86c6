"""How a grown interphase costs capacity: small laws, each on its own, that the cycling loop adds up.

The film law is the layer's resistance itself (``coating.contact_resistance``) and electrolyte oxidation is the
electrons of R3 (``interphase.column.amounts``); the laws here are those of the NCM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from interphase_sim.cell.design import NCM_MOLAR_MASS
from interphase_sim.scenario import Kinetics


@dataclass(frozen=True)
class Ncm:
    """What has become of the NCM: ln of the working contact fraction chi, the fractions isolated and turned to
    rock salt, and the lithium (per formula unit of all NCM) that sits in isolated particles."""

    log_contact: float = 0.0
    isolated: float = 0.0
    isolated_lithium: float = 0.0
    rock_salt: float = 0.0

    @property
    def connected(self) -> float:
        """Share of the NCM that takes part, 1 - isolated - rock salt."""
        return 1.0 - self.isolated - self.rock_salt


def contact_decay(kinetics: Kinetics, growth: float, swing: float) -> float:
    """d ln chi = -dL/L_c - k_mech dswing: contact is lost to interphase and to breathing of the lattice.

    growth: layer grown, averaged over NCM area [m]; swing: delithiation over the full one [1].
    """
    losses = kinetics.losses
    return -growth / losses.contact_length.si - losses.mechanical_loss.si * swing


def slow_lithiation(kinetics: Kinetics, log_contact: float) -> tuple[float, float]:
    """ln(D_eff/D) and the shift of the hindrance stoichiometry, for a working contact fraction chi.

    length: ln(D_eff/D) = n ln chi, lithium enters through fewer places and has farther to go (length ~ 1/chi, n = 2).
    shift: x_D falls by a ln(1/chi), the crowded zone around each remaining entry chokes it at a lower mean
    lithiation, while delithiation, which empties that zone, stays as fast as before.
    """
    losses = kinetics.losses
    if not losses.slow_lithiation:
        return 0.0, 0.0
    if losses.lithiation_law == "length":
        return losses.diffusion_exponent.si * log_contact, 0.0
    return 0.0, losses.hindrance_shift.si * log_contact


def isolated_fraction(kinetics: Kinetics, log_contact: float) -> float:
    """Share of particles whose own contact, lognormally spread about chi, lies below the percolation threshold.

    (1/2) erfc((ln chi - ln chi_c)/(sqrt(2) s)), less its value at chi = 1.
    """
    losses = kinetics.losses
    if not losses.isolation or losses.percolation_threshold.si <= 0:
        return 0.0
    depth, width = math.log(losses.percolation_threshold.si), math.sqrt(2.0) * losses.percolation_spread.si
    below = 0.5 * math.erfc((log_contact - depth) / width)
    return max(0.0, below - 0.5 * math.erfc(-depth / width))


def isolate(kinetics: Kinetics, ncm: Ncm, stoichiometry: float, never: float) -> Ncm:
    """Particles that lose contact at the end of a charge, at their smallest, keep what lithium they hold.

    never: share of NCM that had no contact from the start [1].
    """
    target = never + (1.0 - never) * isolated_fraction(kinetics, ncm.log_contact)
    lost = min(max(target - ncm.isolated, 0.0), 0.999 * ncm.connected)
    return Ncm(ncm.log_contact, ncm.isolated + lost, ncm.isolated_lithium + lost * stoichiometry, ncm.rock_salt)


def rock_salt_growth(kinetics: Kinetics, oxygen: float, area: float) -> float:
    """Fraction of NCM turned to rock salt by oxygen loss [mol m-2], one formula unit per O, over area [m2 kg-1]."""
    return oxygen * area * NCM_MOLAR_MASS if kinetics.losses.rock_salt else 0.0
