"""Made-up cells for the calibration: what is observed is linear in the unknowns, and nothing is simulated."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from interphase_sim import calibration
from interphase_sim.calibration import misfit, unknowns
from interphase_sim.calibration.misfit import Readings, Simulated
from interphase_sim.calibration.search import Simulator
from interphase_sim.calibration.unknowns import Array, Free
from interphase_sim.errors import SolverFailure
from interphase_sim.experiment import observations
from interphase_sim.experiment.observables import LAST as LIFE
from interphase_sim.experiment.observables import LATE_EFFICIENCY
from interphase_sim.experiment.observations import Key, Observation

ALL = tuple(value for value in vars(unknowns).values() if isinstance(value, Free))
MEASURED = {
    "bare": {("charge_capacity", 1): 188.0, ("discharge_capacity", 1): 161.0}
    | {("discharge_capacity", 50): 86.0, ("discharge_capacity", LIFE): 22.0},
    "coated": {("charge_capacity", 1): 200.0, ("discharge_capacity", 1): 180.0}
    | {("discharge_capacity", 50): 153.0, ("discharge_capacity", LIFE): 82.0},
}
CAPACITIES: dict[Key, float] = {(cell, *which): value for cell, own in MEASURED.items() for which, value in own.items()}
# Every trend holds with a margin above 3 %.
OXIDES = {"bare": {0: 2.0, 1: 2.5, 5: 3.0, LIFE: 6.0}, "coated": {0: 1.0, 1: 1.5, 5: 1.8, LIFE: 3.0}}
SULFUR = {"bare": {0: 2.0, 1: 2.5, 5: 3.5, LIFE: 4.0}, "coated": {0: 1.0, 1: 2.0, 5: 3.5, LIFE: 4.0}}

_SHARED = np.array([1.0, 4.0, 6.0, 6.0]) * np.random.default_rng(5).standard_normal((len(ALL), 2, 4)).clip(-2, 2)
_OPENED = (-3.0, -10.0, -20.0, -30.0)  # the coated capacities for every e-fold of exposed oxide


def seen(
    name: str,
    *,
    capacities: Mapping[tuple[str, int], float] | None = None,
    efficiency: float | None = None,
    first: float | None = None,
    phosphate: Mapping[int, float] | None = None,
    sulfate: Mapping[int, float] | None = None,
    sulfur: Mapping[int, float] | None = None,
    sulfur_elsewhere: float = 0.5,
    layer: float = 10.0,
    isolated: float = 0.0,
) -> Simulated:
    """A cell as measured, with every trend and the layer [nm] as they should be; and changes.

    first : coulombic efficiency of the first cycle [%], else that of the capacities. sulfur_elsewhere : share of the
    oxidised sulfur that is not at the NCM
    """
    own = dict(MEASURED[name] if capacities is None else capacities)
    charge, discharge = (own.get((f"{half}charge_capacity", 1), 0.0) for half in ("", "dis"))
    amounts = {
        "phosphate": phosphate or OXIDES[name],
        "sulfate": sulfate or OXIDES[name],
        "oxidised_sulfur": sulfur or SULFUR[name],
    }
    total = amounts["oxidised_sulfur"]
    amounts["oxidised_sulfur_away_from_ncm"] = {n: sulfur_elsewhere * x for n, x in total.items()}
    values = own | {(each, n): x for each, by_cycle in amounts.items() for n, x in by_cycle.items()}
    values["coulombic_efficiency", 1] = first or (100 * discharge / charge if charge else 0.0)
    values[LATE_EFFICIENCY] = {"bare": 99.0, "coated": 99.5}[name] if efficiency is None else efficiency
    values["layer_thickness", LIFE] = layer
    values |= {("isolated_fraction", 0): 0.0, ("isolated_fraction", LIFE): isolated}
    return Simulated(values)


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
        self.outliers: dict[Key, float] = {}
        self.shown: dict[str, dict[str, Any]] = {}
        self.effects: dict[tuple[str, Any], float] = {}
        self.fails: Callable[[str, Mapping[str, Any]], bool] = lambda name, changes: False

    def observe(self, name: str, changes: Mapping[str, Any], coarse: bool, readings: Readings) -> Simulated:
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
        found = dict(seen(name, capacities=capacities, **self.shown.get(name, {})).values)
        for missing in [each for each in readings if each not in found]:
            found[missing] = self._between(capacities, *missing)
        return Simulated(found)

    @staticmethod
    def _between(capacities: Mapping[tuple[str, int], float], name: str, cycle: int) -> float:
        """A straight line between the known capacities; 99 % for an efficiency of any cycle."""
        if not name.endswith("capacity"):
            return 99.0
        cycles = sorted(n for each, n in capacities if each == "discharge_capacity")
        return float(np.interp(cycle, cycles, [capacities["discharge_capacity", n] for n in cycles]))

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


def data() -> list[Observation]:
    """The measured data with first efficiencies that go with the capacities."""
    first = {cell: 100 * own["discharge_capacity", 1] / own["charge_capacity", 1] for cell, own in MEASURED.items()}
    return [
        row._replace(value=first[row.cell]) if row.key[1:] == ("coulombic_efficiency", 1) else row
        for row in observations.load()
    ]


def with_capacities(values: Iterable[float]) -> list[Observation]:
    """The data with eight other capacities."""
    new = dict(zip(CAPACITIES, values, strict=True))
    return [row._replace(value=float(new.get(row.key, row.value))) for row in data()]


def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Made-up cells in the place of the simulations, in this process, and first efficiencies that go with them."""
    made = World()
    known = data()  # read once
    monkeypatch.setattr(observations, "load", lambda: known)
    monkeypatch.setattr(misfit, "observe", made.observe)
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
