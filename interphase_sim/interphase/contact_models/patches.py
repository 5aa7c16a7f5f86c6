"""Exposed and covered oxide side by side, each with a column of its own.

Valid where the layer is much thinner than the distance between gaps, L << r_c.
"""

from __future__ import annotations

from interphase_sim import coating
from interphase_sim.coating import Patch, Shield
from interphase_sim.interphase import column
from interphase_sim.interphase.contact_models.interface import CoatedModel, Contact, contact_model
from interphase_sim.scenario import Coating, Kinetics

HOLDS_BELOW = 0.1  # L/(2 r_c), the thickness of the layer over the distance of gaps


@contact_model("separate")
class Patches(CoatedModel):
    """Two patches in parallel."""

    keeps_coverage = "its patches keep their areas"

    def patches(self, coverage: float) -> tuple[Patch, ...]:
        return pair(self.coat, coverage, self.conditions.kinetics)

    def film_resistance(self, contact: Contact) -> float:
        volumes, sigmas = self.conditions.volumes, self.conditions.sigmas
        opened, closed = (column.layer_resistance(col, volumes, sigmas) for col in contact.columns)
        return resistance(contact.patches[0].area, opened, closed, self.cover, contact.coverage)

    def validity_warning(self, coverage: float, layer: float) -> str | None:
        reached = coating.regime(self.coat, coverage, layer)
        if not reached > HOLDS_BELOW:
            return None
        return coating.outside_regime(reached, self.coat.contact, f"below {HOLDS_BELOW:g}")


def pair(coat: Coating, coverage: float, kinetics: Kinetics) -> tuple[Patch, Patch]:
    """The open and the covered patch. Side by side they need no constriction; filled gaps count as covered."""
    coating.refuse_closed_gaps(coat)
    way = coating.ways_in(coat, coverage, kinetics)
    opened = Patch(way.exposed, 1.0, way.exchange, 0.0, way.gap, way.rock_salt)
    return opened, Patch(1.0 - way.exposed, 0.0, 0.0, way.hidden, 0.0, 0.0)


def resistance(exposed: float, opened: float, closed: float, cover: Shield, coverage: float) -> float:
    """Film resistance of both patches in parallel [ohm m2 of contact area], from those of their layers."""
    if opened <= 0:
        return 0.0
    shut = 1.0 - exposed
    through = closed + 1.0 / coating.covered_conductance(cover, 1.0 - coverage, exposed) * shut
    return 1.0 / (exposed / opened + shut / through)
