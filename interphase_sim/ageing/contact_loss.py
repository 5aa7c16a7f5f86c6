"""Contact loss: the working contact fraction chi falls as the interphase grows and the lattice breathes."""

from typing import Any

from interphase_sim.ageing.law import Exposure, LossLaw, Ncm
from interphase_sim.fields import BelowOne, Length, Section


class Parameters(Section):
    """Numbers of contact loss."""

    contact_length: Length
    mechanical_loss: BelowOne


def contact_decay(losses: Any, growth: float, swing: float) -> float:
    """d ln chi = -dL/L_c - k_mech dS: contact is lost to interphase and to breathing of the lattice.

    growth: layer grown, averaged over NCM area, dL [m]; swing: delithiation over the full one, dS [1].
    """
    return float(-growth / losses.contact_length.si - losses.mechanical_loss.si * swing)


class ContactLoss(LossLaw):
    """Moves ln chi, by which slow lithiation and isolation act."""

    order = 10
    source = "assumed; one state for slower lithiation and isolation"
    validity = "layers of 0-60 nm"
    parameters = Parameters

    def changes(self, losses: Any, ncm: Ncm, exposure: Exposure) -> dict[str, float]:
        """The decay of ln chi."""
        return {"log_contact": contact_decay(losses, exposure.growth, exposure.swing)}


LAW = ContactLoss()
