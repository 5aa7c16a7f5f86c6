"""Made-up cells for the calibration: what is observed is linear in the unknowns, and nothing is simulated."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from interphase_sim import calibration, measured
from interphase_sim.calibration import misfit, unknowns
from interphase_sim.calibration.misfit import LIFE, Capacity, Observation
from interphase_sim.calibration.search import Simulator
from interphase_sim.calibration.unknowns import Array, Free
from interphase_sim.errors import SolverFailure

ALL = tuple(value for value in vars(unknowns).values() if isinstance(value, Free))
MEASURED = {
    "bare": {("charge_capacity", 1): 188.0, ("discharge_capacity", 1): 161.0}
    | {("discharge_capacity", 50): 86.0, ("discharge_capacity", LIFE): 22.0},
    "coated": {("charge_capacity", 1): 200.0, ("discharge_capacity", 1): 180.0}
    | {("discharge_capacity", 50): 153.0, ("discharge_capacity", LIFE): 82.0},
}
CAPACITIES: dict[Capacity, float] = {
    (cell, *which): value for cell, own in MEASURED.items() for which, value in own.items()
}
# Every trend holds with a margin above 3 %.
OXIDES = {"bare": {0: 2.0, 1: 2.5, 5: 3.0, LIFE: 6.0}, "coated": {0: 1.0, 1: 1.5, 5: 1.8, LIFE: 3.0}}
SULFUR = {"bare": {0: 2.0, 1: 2.5, 5: 3.5, LIFE: 4.0}, "coated": {0: 1.0, 1: 2.0, 5: 3.5, LIFE: 4.0}}

_SHARED = np.array([1.0, 4.0, 6.0, 6.0]) * np.random.default_rng(5).standard_normal((len(ALL), 2, 4)).clip(-2, 2)
_OPENED = (-3.0, -10.0, -20.0, -30.0)  # the coated capacities for every e-fold of exposed oxide


def seen(name: str, **changes: Any) -> Observation:
    """A cell as measured, with every trend and the layer as they should be; and changes."""
    efficiency = {"bare": 99.0, "coated": 99.5}[name]
    found = Observation(MEASURED[name], efficiency, OXIDES[name], OXIDES[name], SULFUR[name], 0.5, 10e-9)
    return replace(found, **changes)


@cache
def slopes(cell: str, free: Free) -> Array:
    """Change of a cell's four measured capacities with an unknown of the search [mAh g-1]."""
    if free == unknowns.COVERAGE:
        return np.array(_OPENED) if cell == "coated" else np.zeros(4)
    return np.asarray(_SHARED[ALL.index(free), list(MEASURED).index(cell)])


def inline(function: Callable[[Any], Any], tasks: Iterable[Any]) -> list[Any]:
    """A map that works in this process."""
    return [function(task) for task in tasks]


class Pool:
    """A pool that works in this process."""

    def __init__(self, workers: int | None) -> None:
        self.map = inline

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        return None


class World:
    """Stands for the simulations: as measured where every unknown is true, and linear around it.

    asked: what was simulated. truth: unknowns that are not the centres of their priors. outliers: further mAh/g
    of a capacity. shown: other changes to an observation. effects: mAh/g that a switch adds to the discharge
    capacity at cycle 200. fails: which simulations do.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], bool]] = []
        self.truth: dict[str, float] = {}
        self.outliers: dict[Capacity, float] = {}
        self.shown: dict[str, dict[str, Any]] = {}
        self.effects: dict[tuple[str, Any], float] = {}
        self.fails: Callable[[str, Mapping[str, Any]], bool] = lambda name, changes: False

    def observe(self, name: str, changes: Mapping[str, Any], coarse: bool) -> Observation:
        """What is seen of a cell with these numbers."""
        self.asked.append((name, dict(changes), coarse))
        if self.fails(name, changes):
            raise SolverFailure("no way on")
        if name == "bare" and any(key.startswith("coating.") for key in changes):
            raise AssertionError("the bare cell has no coating")
        cycles = changes.get("protocol.cycles", LIFE)
        capacities = {
            which: value if which[1] <= cycles else 0.0
            for which, value in zip(MEASURED[name], self.capacities(name, changes), strict=True)
        }
        return seen(name, capacities=capacities, **self.shown.get(name, {}))

    def capacities(self, name: str, changes: Mapping[str, Any]) -> list[float]:
        """The four capacities that are measured of a cell with these numbers."""
        found = np.array([value + self.outliers.get((name, *which), 0.0) for which, value in MEASURED[name].items()])
        given = [f for f in ALL if f.key in changes and self._acts(f, changes)]
        moved = [f.to_search(changes[f.key]) - f.to_search(self.truth.get(f.key, f.centre)) for f in given]
        found += moved @ np.array([slopes(name, f) for f in given]).reshape(-1, 4)
        found[-1] += sum(shift for (key, value), shift in self.effects.items() if changes.get(key) == value)
        return [float(value) for value in found]

    @staticmethod
    def _acts(f: Free, changes: Mapping[str, Any]) -> bool:
        """A contact length as long as the cell takes no contact."""
        return f != unknowns.CONTACT_LENGTH or bool(changes[f.key] < 2 * f.high)


def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Made-up cells in the place of the simulations, in this process, and first efficiencies that go with them."""
    made = World()
    first = {cell: 100 * own["discharge_capacity", 1] / own["charge_capacity", 1] for cell, own in MEASURED.items()}
    known = measured.capacities()  # read once
    monkeypatch.setattr(measured, "capacities", lambda: known)
    monkeypatch.setattr(misfit, "observe", made.observe)
    monkeypatch.setattr(misfit, "FIRST_EFFICIENCY", first)
    monkeypatch.setattr(calibration, "ProcessPoolExecutor", Pool)
    return made


def simulator() -> Simulator:
    """A simulator whose runs are made in this process."""
    return Simulator(inline, coarse=True)


def centre(free: Iterable[Free]) -> Array:
    """The centres of the priors in the units of the search."""
    return np.array([f.to_search(f.centre) for f in free])


def silent(text: str) -> None:
    """Says nothing."""
