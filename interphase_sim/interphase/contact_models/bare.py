"""A bare contact: one column, whose layer is all that resists."""

from __future__ import annotations

from interphase_sim import coating
from interphase_sim.coating import Patch
from interphase_sim.interphase import column
from interphase_sim.interphase.contact_models.interface import Contact, ContactModel


class Bare(ContactModel):
    """Electrolyte on oxide, without a coating or with one that covers nothing."""

    def patches(self, coverage: float) -> tuple[Patch, ...]:
        return (coating.bare_patch(self.conditions.kinetics),)

    def film_resistance(self, contact: Contact) -> float:
        return column.layer_resistance(contact.columns[0], self.conditions.volumes, self.conditions.sigmas)
