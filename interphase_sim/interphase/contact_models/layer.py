"""A laterally uniform contact under a coating: exposed and covered oxide feed one column.

Valid where the layer is thicker than the distance between gaps, L > 2 r_c.
"""

from __future__ import annotations

import math
from dataclasses import replace

from interphase_sim import coating
from interphase_sim.chemistry import BY_SYMBOL, SPECIES
from interphase_sim.coating import Patch, Shield, constriction
from interphase_sim.interphase import column
from interphase_sim.interphase.contact_models.interface import CoatedModel, Contact, contact_model
from interphase_sim.interphase.kernels import Array
from interphase_sim.scenario import Coating, Kinetics

HOLDS_ABOVE = 1.0  # L/(2 r_c), the thickness of the layer over the distance of gaps
EXPOSED_OF = [(species.row, BY_SYMBOL[species.part_of].row) for species in SPECIES if species.part_of]


@contact_model("mixed")
class Layer(CoatedModel):
    """One patch, part of it exposed. The only model whose coverage may fall while it reacts."""

    def patches(self, coverage: float) -> tuple[Patch, ...]:
        return (patch(self.coat, coverage, self.conditions.kinetics),)

    def film_resistance(self, contact: Contact) -> float:
        (col,), (part,) = contact.columns, contact.patches
        volumes, sigmas = self.conditions.volumes, self.conditions.sigmas
        near = column.near_conductivity(col, volumes, sigmas, max(self.cover.gap_radius, col.grid.width[0]))
        layer = column.layer_resistance(col, volumes, sigmas)
        return resistance(part.exposed, layer, near, self.cover, contact.coverage)

    def with_coverage(self, contact: Contact, coverage: float) -> Contact:
        """Freshly exposed oxide finds its electrolyte in electron reach."""
        if coverage == contact.coverage:
            return contact
        (col,), (old,), (new,) = contact.columns, contact.patches, self.patches(coverage)
        opened = replace(col, y=_opened(col.y, old, new), rates=self.rates(new))
        return replace(contact, patches=(new,), columns=(opened,), coverage=coverage)

    def validity_warning(self, coverage: float, layer: float) -> str | None:
        reached = coating.regime(self.coat, coverage, layer)
        if not reached < HOLDS_ABOVE:  # not a number once nothing is covered
            return None
        return coating.outside_regime(reached, self.coat.contact, f"above {HOLDS_ABOVE:g}")


def _opened(y: Array, old: Patch, new: Patch) -> Array:
    """Concentrations when a share of the covered oxide is exposed, with the electrolyte over it."""
    share = (new.exposed - old.exposed) / (1.0 - old.exposed)
    found = y.copy()
    for part, whole in EXPOSED_OF:
        found[part] += share * (found[whole] - found[part])
    return found


def patch(coat: Coating, coverage: float, kinetics: Kinetics) -> Patch:
    """One patch of exposed and covered oxide in parallel.

    Exposed oxide exchanges through 1/(kappa_0 f) + h/D_gap + (pi r_p/(4 D)) (1 - sqrt(1 - theta))^1.5 + L_rs/D_rs.
    """
    if coverage <= 0:
        return coating.bare_patch(kinetics)
    coating.refuse_closed_gaps(coat)
    way, oxygen = coating.ways_in(coat, coverage, kinetics), kinetics.oxygen
    spread = math.pi * coating.gap_radius(coat) / (4 * oxygen.diffusivity.si) * constriction(coverage)
    exposed = way.exposed
    gap = way.gap + spread
    return Patch(1.0, exposed, way.exchange, (1.0 - exposed) * way.hidden, gap, way.rock_salt / exposed)


def resistance(exposed: float, layer: float, near: float, cover: Shield, coverage: float) -> float:
    """Film resistance of the whole contact [ohm m2 of contact area].

    layer: resistance of the layer; near: its conductivity in the gaps [S m-1]. Current reaches the oxide by the open
    gaps, (h/sigma)(1/e - 1) + (pi r_p/(4 sigma e)) (1 - sqrt(1 - theta))^1.5 with e the exposed share (the layer
    already counts h over the whole area), side by side with filled gaps and coating.
    """
    narrowing = math.pi * cover.gap_radius / (4 * near) * constriction(coverage)
    through = cover.thickness / near * (1.0 / exposed - 1.0) + narrowing / exposed
    beside = coating.covered_conductance(cover, 1.0 - coverage, exposed)
    return layer + (1.0 / (1.0 / through + beside) if through > 0 else 0.0)
