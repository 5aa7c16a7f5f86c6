"""How far simulated cells are from the measured ones: what is read from a run, and the scaled residuals."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from interphase_sim.errors import InputError, SolverFailure
from interphase_sim.experiment import criteria, observations
from interphase_sim.experiment.comparisons import Read
from interphase_sim.experiment.observables import LATE_EFFICIENCY, OBSERVABLES
from interphase_sim.experiment.observations import Key
from interphase_sim.scenario import load_scenario, with_units
from interphase_sim.status import RunStatus, outcome_of

Array = npt.NDArray[np.float64]
Readings = tuple[tuple[str, int], ...]  # observable, cycle

GAP_MARGIN = 0.03  # points over the must for the gap of late efficiencies
TREND_WEIGHT = 8.0
TREND_MARGIN = math.log(1.03)
LAYER_WEIGHT = 4.0
LEAST = 1e-3  # what a ratio of nothing counts as
THINNEST = 0.01  # nm, what no layer counts as
COARSE: dict[str, Any] = {
    "cell.model": "SPM",
    "numerics.column_cells": 60,
    "numerics.first_cell": "0.8 nm",
    "numerics.column_tolerance": 3e-4,
    "numerics.closure_rings": 10,
    "numerics.closure_rows": 60,
    "numerics.closure_edge": "0.5 nm",
    "numerics.closure_tolerance": 3e-3,
    "numerics.solver_tolerance": 1e-5,
    "numerics.particle_cells": 20,
    "numerics.exchange_tolerance": "0.4 mAh/g",
}
WHOLE_LIFE: dict[str, Any] = {
    "numerics.output_cycles": [],
    "numerics.end_of_life_capacity": "0 mAh/g",
    "numerics.end_of_life_fraction": 0,
}


@dataclass(frozen=True)
class Simulated:
    """What a run is compared by: observables of a cell by name and cycle."""

    values: Mapping[tuple[str, int], float]


def observe(name: str, changes: Mapping[str, Any], coarse: bool, readings: Readings) -> Simulated:
    """Simulate a shipped scenario with changed numbers, to its last cycle whatever limits it states, and read
    observables at cycles from it.

    A cell without capacity delivers nothing in later cycles and stays as it is; what was not simulated otherwise is
    not-a-number. Raises SolverFailure when the run ends by one.
    """
    from interphase_sim.simulation import simulate

    numbers = {**(COARSE if coarse else {}), **with_units(changes), **WHOLE_LIFE}
    scenario = load_scenario(name).replace(numbers)
    ds = simulate(scenario)
    outcome = outcome_of(ds.attrs)
    if outcome.status is RunStatus.SOLVER_FAILURE:
        raise SolverFailure(outcome.sentence)
    later = 0.0 if outcome.status is RunStatus.NO_CAPACITY else math.nan
    return Simulated({(each, cycle): _reading(ds, each, cycle, later) for each, cycle in readings})


def _reading(ds: xr.Dataset, name: str, cycle: int, later: float) -> float:
    """An observable at a cycle that the run may not have reached; ``later`` stands for what passes then."""
    read, last = OBSERVABLES[name], int(ds["cycle"].values[-1])
    if cycle > last:
        return read.read(ds, last) if read.stays else later
    value = read.read(ds, cycle)
    return later if math.isnan(value) and not read.stays else value


def check_reach(cells: Collection[str]) -> None:
    """Raises InputError if a measured number is after the last cycle of the scenario that is fitted to it."""
    for cell in cells:
        end = load_scenario(cell).protocol.cycles
        for row in observations.load():
            if row.cycle > end:
                raise InputError(
                    f"{' '.join(map(str, row.key))} is after the last cycle ({end}) of the scenario {cell}"
                )


def _reader(runs: Mapping[str, Simulated]) -> Read:
    return lambda cell, name, cycle: runs[cell].values[name, cycle]


def fitted_trends(cells: Collection[str]) -> list[str]:
    """The trends that these cells are enough to know, at least in part, and a calibration pays for."""
    return [
        name
        for name, trend in criteria.load().trends.items()
        if trend.fitted and any(each.within(cells) for known in trend.must for each in trend.compares[known])
    ]


def trend_ratios(runs: Mapping[str, Simulated]) -> dict[str, float]:
    """The trends as ratios of value to limit, each the smallest of its conditions; one holds at one or more."""
    known, read = criteria.load().trends, _reader(runs)
    return {name: known[name].headroom(read, runs) or 0.0 for name in fitted_trends(runs)}


def measured_capacities(cells: Collection[str]) -> dict[Key, float]:
    """The measured capacities of cells, in the order of the data file [mAh g-1]."""
    return {key: row.value for key, row in observations.capacities(cells).items()}


def capacity_errors(runs: Mapping[str, Simulated]) -> dict[Key, float]:
    """Simulated less measured capacities [mAh g-1]."""
    return {key: runs[key[0]].values[key[1:]] - value for key, value in measured_capacities(runs.keys()).items()}


def data_residuals(runs: Mapping[str, Simulated], left_out: Key | None = None) -> Array:
    """Measured numbers in the order of the data file, each over its uncertainty.

    A capacity left out takes with it the efficiency of its cycle, which would give it away.
    """
    read = _reader(runs)
    return np.array(
        [
            0.0 if left_out and target.given_away_by(left_out) else target.off(read) / target.uncertainty
            for target in observations.targets(runs.keys())
        ]
    )


def penalties(runs: Mapping[str, Simulated]) -> Array:
    """Violated trends, bounds of the layer and gap of late efficiencies; zero where they hold with a margin."""
    trends = [TREND_WEIGHT * max(0.0, TREND_MARGIN - math.log(max(r, LEAST))) for r in trend_ratios(runs).values()]
    gap = [_gap_missing(runs)] if len(runs) == len(observations.CELLS) else []
    return np.array([*trends, *_layer_out_of_bounds(runs), *gap])


def _layer_out_of_bounds(runs: Mapping[str, Simulated]) -> list[float]:
    """How far the layer lies outside its lower and its upper bound."""
    bound = criteria.load().bounds["layer_bare_200"]
    return [LAYER_WEIGHT * out for out in bound.least.outside(max(bound.value(_reader(runs)), THINNEST))]


def layer_holds(runs: Mapping[str, Simulated]) -> bool:
    """Whether the layer lies within its bounds."""
    bound = criteria.load().bounds["layer_bare_200"]
    return bound.least.judge(bound.value(_reader(runs))).holds


def late_efficiency(run: Simulated) -> float:
    """Mean coulombic efficiency of cycles 39 to 200 [%]."""
    return run.values[LATE_EFFICIENCY]


def _gap_missing(runs: Mapping[str, Simulated]) -> float:
    gap = criteria.load().criteria["ce_mean_difference"]
    least = (gap.least.at_least or 0.0) + GAP_MARGIN
    return TREND_WEIGHT * max(0.0, least - gap.value(_reader(runs))) / least


def count(cells: Collection[str]) -> int:
    """Number of residuals and penalties."""
    both = len(cells) == len(observations.CELLS)
    return len(observations.targets(cells)) + len(fitted_trends(cells)) + 2 + both
