"""The contact around one gap of the coating, on rings: ``interphase.unitcell`` with the numbers of a scenario.

"closure" cuts it coarsely, in as few rings as its amounts and resistance bear, "resolved" finely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from interphase_sim import coating
from interphase_sim.coating import CLOSE_PACKED, Patch, Shield
from interphase_sim.errors import InputError
from interphase_sim.interphase import column, unitcell
from interphase_sim.interphase.column import Column
from interphase_sim.interphase.contact_models.interface import CoatedModel, Conditions, Contact, contact_model
from interphase_sim.interphase.kernels import Array
from interphase_sim.interphase.unitcell import Block, Fineness, Rings
from interphase_sim.scenario import Coating, Kinetics, Numerics, Scenario, gap_share


class Cut(NamedTuple):
    """How a unit cell is cut: prefix of its keys in ``[numerics]``, fewest cells in a gap, and the distance of gaps up
    to which that keeps capacities within 1 mAh/g [m]."""

    keys: str
    fewest: int
    widest: float


CUTS = {"closure": Cut("closure", 2, 25e-9), "resolved": Cut("unit_cell", 4, math.inf)}


@contact_model(*CUTS)
@dataclass(frozen=True, eq=False)
class UnitCell(CoatedModel):
    """One patch whose column is a disc of rings around a gap, under a coating that is a block."""

    rings: Rings
    block: Block

    keeps_coverage = "its gap keeps its size"

    @classmethod
    def of(cls, coat: Coating, cover: Shield, conditions: Conditions, scenario: Scenario) -> UnitCell:
        return cls(conditions, coat, cover, rings_of(scenario), block_of(coat, cover))

    @property
    def cut(self) -> Cut:
        """How it is cut."""
        return CUTS[self.coat.contact]

    @property
    def grid(self) -> Rings:
        return self.rings

    @property
    def depth(self) -> Array:
        return self.rings.middle

    @property
    def shape(self) -> tuple[int, int]:
        return self.rings.shape

    def tolerance(self, numerics: Numerics) -> float:
        return float(getattr(numerics, f"{self.cut.keys}_tolerance"))

    def patches(self, coverage: float) -> tuple[Patch, ...]:
        return (patch(self.coat, coverage, self.conditions.kinetics),)

    def fresh(self, patch: Patch) -> Column:
        return unitcell.new_cell(self.rings, self.rates(patch), self.conditions.kinetics.reactions.reach.si)

    def film_resistance(self, contact: Contact) -> float:
        volumes, sigmas = self.conditions.volumes, self.conditions.sigmas
        _, sigma = column.conductivity_profile(contact.columns[0], volumes, sigmas)
        return unitcell.ionic_resistance(self.rings, sigma, self.block, sigmas[0])

    def profile(self, contact: Contact) -> Array:
        return unitcell.depth_profile(contact.columns[0], self.rings)

    def geometry(self) -> dict[str, Array]:
        return {"ring_radius": self.rings.radius.copy(), "row_height": self.rings.height.copy()}

    def fields(self, contact: Contact) -> tuple[Array, Array]:
        cell = contact.columns[0]
        sigma = column.conductivity(cell, self.conditions.volumes, self.conditions.sigmas)
        return np.array([self.rings.full(y) for y in cell.y]), self.rings.full(sigma)

    def validity_warning(self, coverage: float, layer: float) -> str | None:
        distance = coating.gap_distance(self.coat, coverage)
        if not distance > self.cut.widest:
            return None
        return (
            f'the gaps lie {1e9 * distance:.3g} nm apart; the few rings of contact = "{self.coat.contact}" hold up to '
            f'{1e9 * self.cut.widest:g} nm, "resolved" holds beyond'
        )


def rings_of(scenario: Scenario) -> Rings:
    """The unit cell around one gap; filled gaps are part of its coating, unless all are.

    Raises InputError for a coating whose gap is wider than its unit cell or has too few cells.
    """
    coat, numerics = scenario.coating, scenario.numerics
    assert coat is not None
    assert coat.gap_radius is not None
    _refuse_overpacking(coat)
    cut, layer = CUTS[coat.contact], scenario.kinetics.layer
    radius, disc = coat.gap_radius.si, 0.5 * coating.gap_distance(coat, coat.coverage.si)
    available = layer.electrolyte_available.si
    geometry = unitcell.Geometry(radius, disc, coat.thickness.si, available, coating.all_filled(coat))
    rings, rows, edge = (getattr(numerics, f"{cut.keys}_{key}") for key in ("rings", "rows", "edge"))
    fineness = Fineness(rings, rows, edge.si, cut.fewest, cut.keys)
    return unitcell.rings(geometry, fineness, scenario.kinetics.reactions.reach.si)


def _refuse_overpacking(coat: Coating) -> None:
    """Raise InputError for coverage that touching particles cannot reach: it has no unit cell around a gap."""
    coverage = coat.coverage.si
    if coat.filler == "electrolyte" and coverage > CLOSE_PACKED:
        raise InputError(
            f'coating.coverage: with contact = "{coat.contact}" touching particles cover at most {CLOSE_PACKED}, '
            f"not {coverage:g}; set coating.coverage to {CLOSE_PACKED} or less, or coating.filler to what else covers "
            "the oxide between them, carbonate or residue"
        )


def block_of(coat: Coating, cover: Shield) -> Block:
    """The coating as one body of its whole thickness, with the core's resistance, between skins, its shells.

    Filled gaps change both by the same factor, so that the conductance of the area under them is that of coating
    and filler side by side.
    """
    factor = 1.0
    if 0 < coat.filler_coverage.si < 1:
        exposed = gap_share(coat.coverage.si, coat.filler_coverage.si)
        factor = coating.block_resistance(cover, coat.coverage.si, exposed) / cover.covered
    core = cover.core * factor
    return Block(cover.thickness / core, cover.thickness / core, cover.shell * factor, cover.gap_conductivity)


def patch(coat: Coating, coverage: float, kinetics: Kinetics) -> Patch:
    """Exchange of the oxide around a gap, kappa_cov per covered area, v per exposed area.

    A unit cell knows its gap: no resistance of it is left.
    """
    way = coating.ways_in(coat, coverage, kinetics)
    if coating.all_filled(coat):
        return Patch(1.0, 1.0 - coverage, way.under_filler, way.coated, 0.0, way.rock_salt)
    return Patch(1.0, way.exposed, way.exchange, way.hidden, 0.0, way.rock_salt)
