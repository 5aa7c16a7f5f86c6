"""The points of the study: a coating's geometry, whether it exists, and its scenarios."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from interphase_sim.scenario import Scenario, with_units

COVERAGES = (0.5, 0.75, 0.9, 0.97, 0.99)
SIZES = (5e-9, 15e-9, 50e-9, 150e-9, 500e-9)  # m
THICKNESSES = (5e-9, 15e-9, 50e-9)  # m
CONTACTS = ("resolved", "closure", "mixed", "separate")
TOUCHING = 0.9  # coverage by particles that touch; what closes more is carbonate between them
ION = 0.2e-9  # m, radius of a sulfide ion: a narrower gap holds no electrolyte
FINEST = 5  # cells over the radius of the narrowest gaps, whose rim would else be as wide as the gap


@dataclass(frozen=True)
class Point:
    """A coating: share of the oxide that is covered, diameter and thickness of its particles [m], carbonate film."""

    coverage: float
    size: float
    thickness: float
    film: bool

    @property
    def name(self) -> str:
        """Also the name of its files."""
        film = "film" if self.film else "plain"
        return f"c{self.coverage:.2f}_d{self.size * 1e9:.0f}_h{self.thickness * 1e9:.0f}_{film}"

    @property
    def particles(self) -> float:
        """Coverage by the particles alone [1]."""
        return min(self.coverage, TOUCHING)

    @property
    def disc(self) -> float:
        """Radius r_c of the area around one gap [m]: discs of diameter d with two gaps each, r_c^2 = d^2/(8 theta)."""
        return self.size / math.sqrt(8.0 * self.particles)

    @property
    def gap(self) -> float:
        """Radius r_p of the gap [m], such that the open share is (r_p/r_c)^2 = 1 - coverage."""
        return self.disc * math.sqrt(1.0 - self.coverage)

    @property
    def filled(self) -> float:
        """Share of the gaps between touching particles that carbonate has closed [1]."""
        return 1.0 - (1.0 - self.coverage) / (1.0 - self.particles)

    @property
    def exists(self) -> bool:
        """Whether a sulfide ion fits into the gap."""
        return self.gap >= ION


def every() -> list[Point]:
    """All points, the existing ones and those that cannot be."""
    grid = itertools.product(COVERAGES, SIZES, THICKNESSES, (True, False))
    return [Point(*values) for values in grid]


def chosen(points: Iterable[Point], patterns: Iterable[str]) -> Iterator[Point]:
    """The points whose name matches one of the patterns, as in ``c0.90_*_film``; all without a pattern."""
    wanted = list(patterns) or ["*"]
    return (p for p in points if any(fnmatch.fnmatchcase(p.name, pattern) for pattern in wanted))


def scenario(base: Scenario, point: Point, contact: str, cycles: int) -> Scenario:
    """The shipped coated cell with the coating of a point.

    A plain coating is its core alone; its exchange of covered oxide stays what the base scenario says. Carbonate
    between touching particles conducts as the film does.
    """
    changes: dict[str, Any] = {
        "name": point.name,
        "coating.coverage": point.particles,
        "coating.thickness": point.thickness,
        "coating.gap_radius": point.gap,
        "coating.cell_radius": None,
        "coating.contact": contact,
        "protocol.cycles": cycles,
        "numerics.output_cycles": [],
        "numerics.unit_cell_tolerance": 1e-3,
    }
    coat, numerics = base.coating, base.numerics
    assert coat is not None
    for key, edge in (("unit_cell_edge", numerics.unit_cell_edge), ("closure_edge", numerics.closure_edge)):
        changes[f"numerics.{key}"] = min(edge.si, point.gap / FINEST)
    if point.filled > 0:
        changes |= {"coating.filler": "carbonate", "coating.filler_coverage": point.filled}
        for key in ("conductivity", "activation_energy"):
            value = getattr(coat, f"shell_{key}")
            changes[f"coating.filler_{key}"] = value.si if value is not None else None
    if not point.film:
        parts = ("shell", "shell_thickness", "shell_conductivity", "shell_activation_energy")
        changes |= {f"coating.{part}": None for part in parts}
    return base.replace(with_units(changes))
