"""What must hold of a run, whatever its protocol: oracles that look at a result and at the steps as they were solved.

Each oracle returns its breaches in words; none where all is well.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import xarray as xr

from interphase_sim.cell.parameters import HIGHEST_OCP, ocp_table
from interphase_sim.cell.runner import History
from interphase_sim.scenario import ConstantCurrent, Rest, Scenario, Step, halves
from interphase_sim.simulation import loop, simulate
from validation.verification import runs

Breaches = list[str]

TIME = 1e-9  # relative: durations are sums of a few thousand numbers, each with round-off of 1e-16
SAME_LIMIT = 1e-12  # relative: equal currents, written in other units
FULL_LITHIATION_OCP = float(np.interp(1.0, *ocp_table()))  # V vs Li/Li+, 2.81 V
REPORTED = "did not settle"
WITHOUT_CHARGE = re.compile(r"end of life at cycle (\d+): the (charge|discharge) cut-off is passed")
BELOW_LIMIT = re.compile(r"end of life at cycle (\d+): capacity below numerics\.(end_of_life_\w+)")


class SolvedStep(NamedTuple):
    """A step as it was solved: its place in the cycle from 0 on, the step, its history, whether it settled."""

    place: int
    step: Step
    history: History
    settled: bool


@dataclass
class SolvedCycle:
    """The steps of a cycle that were solved, in order; ``complete``: the solver failed in none of them."""

    steps: list[SolvedStep] = field(default_factory=list)
    complete: bool = False

    @property
    def ran(self) -> list[SolvedStep]:
        """The steps that took time."""
        return [solved for solved in self.steps if solved.history.time[-1] > 0]


Cycles = dict[int, SolvedCycle]


@contextlib.contextmanager
def observed() -> Iterator[Cycles]:
    """Collect every cycle that is solved, by number; of several attempts at one, as after a jump, the last."""
    cycles: Cycles = {}
    open_ = SolvedCycle()
    solve_step, solve_cycle = loop.advance, loop.cycle

    def advance(bench: Any, state: Any, step: Step, index: int) -> Any:
        found = solve_step(bench, state, step, index)
        open_.steps.append(SolvedStep(index, step, found[1], found[2]))
        return found

    def cycle(bench: Any, state: Any, number: int) -> Any:
        nonlocal open_
        open_ = cycles[number] = SolvedCycle()
        found = solve_cycle(bench, state, number)
        cycles[number].complete = True
        return found

    with mock.patch.object(loop, "advance", advance), mock.patch.object(loop, "cycle", cycle):
        yield cycles


def simulated(scenario: Scenario) -> tuple[xr.Dataset, Cycles]:
    """The result of a run, and its cycles as they were solved."""
    with observed() as cycles:
        ds = simulate(scenario)
    return ds, cycles


def breaches(ds: xr.Dataset, scenario: Scenario, cycles: Cycles) -> Breaches:
    """Every breach of an oracle by one run, the oracle's name in front."""
    found = {
        "sound": runs.breaches(ds, scenario),
        "elapsed": elapsed(ds, scenario, cycles),
        "potential": rest_potential(cycles),
        "unsettled": unsettled(ds, cycles),
        "end": ends(ds, scenario, cycles),
    }
    return [f"{name}: {text}" for name, texts in found.items() for text in texts]


def _solved_rows(ds: xr.Dataset) -> np.ndarray[Any, Any]:
    """Recorded cycles that were solved to their end, by number."""
    solved = ds.solved.values > 0 if "solved" in ds else np.ones(ds.sizes["cycle"], dtype=bool)
    solved = solved & (np.arange(solved.size) > 0)
    if str(ds.attrs["status"]).startswith("solver failure") and not np.isfinite(ds.discharge_capacity.values[-1]):
        solved[-1] = False  # only its charge was
    return np.flatnonzero(solved)


# Time


def elapsed(ds: xr.Dataset, scenario: Scenario, cycles: Cycles) -> Breaches:
    """Elapsed time is the sum of the durations: rests as stated, currents as charge over current, holds as solved.

    Cycles that a jump left out have no steps; they last as long as their rests at least.
    """
    rows, time, told = _solved_rows(ds), ds.elapsed_time.values, []
    for number in rows:
        told += _rests_as_stated(scenario, cycles[number], int(number))
        if number == 1 or number - 1 in rows:
            own, wanted = time[number] - time[number - 1], sum(map(_duration, cycles[number].ran))
            if not abs(own - wanted) <= TIME * time[number]:
                told.append(f"cycle {number} lasts {own:.9g} s, its steps {wanted:.9g} s")
    told += [f"time falls in cycle {n}" for n in np.flatnonzero(np.diff(time) < 0) + 1]
    for before, after in itertools.pairwise(rows):
        least = sum(_stated_rests(scenario, number) for number in range(before + 1, after))
        own = time[after] - time[before] - sum(map(_duration, cycles[after].ran))
        if after > before + 1 and own < least * (1 - TIME) - TIME * time[after]:
            told.append(f"the cycles left out before {after} last {own:.9g} s, their rests {least:.9g} s")
    return told


def _duration(solved: SolvedStep) -> float:
    """Duration of a step [s]: a rest as stated, a current as charge over current."""
    history = solved.history
    if isinstance(solved.step, Rest):
        return solved.step.duration.si
    if isinstance(solved.step, ConstantCurrent):
        return float(history.passed[-1] / history.current[-1])
    return float(history.time[-1])


def _stated_rests(scenario: Scenario, number: int) -> float:
    return sum(step.duration.si for step in scenario.protocol.steps_of(number) if isinstance(step, Rest))


def _rests_as_stated(scenario: Scenario, cycle: SolvedCycle, number: int) -> Breaches:
    """Every rest ran, and as long as stated; those of a discharge that never began did not run."""
    steps = scenario.protocol.steps_of(number)
    ran = {solved.place: float(solved.history.time[-1]) for solved in cycle.steps}
    last = len(steps) if any(index >= len(halves(steps)[0]) for index in ran) else len(halves(steps)[0])
    told = []
    for index, step in enumerate(steps[:last]):
        if isinstance(step, Rest) and not abs(ran.get(index, 0.0) / step.duration.si - 1) <= TIME:
            told.append(f"rest of {step.duration.si:.9g} s, step {index + 1} of cycle {number}: {ran.get(index):.9g} s")
    return told


# Potential


def rest_potential(cycles: Cycles) -> Breaches:
    """The potential of the NCM's surface is inside the tabulated open-circuit potential during every rest."""
    told = []
    for number, cycle in cycles.items():
        for index, step, history, _ in cycle.steps:
            low, high = float(history.potential.min()), float(history.potential.max())
            if isinstance(step, Rest) and not FULL_LITHIATION_OCP <= low <= high <= HIGHEST_OCP:
                told.append(f"{low:.4f} to {high:.4f} V vs Li/Li+ in step {index + 1} of cycle {number}")
    return told


# What must be reported


def unsettled(ds: xr.Dataset, cycles: Cycles) -> Breaches:
    """Steps that did not settle are counted in the result, and a warning is there exactly where the count is not 0."""
    counted = statistic(ds, "unsettled_steps")
    warned = any(REPORTED in text for text in json.loads(ds.attrs["warnings"]))
    rows = [*_solved_rows(ds)]
    if rows and rows[-1] != ds.sizes["cycle"] - 1:
        rows.append(ds.sizes["cycle"] - 1)
    happened = sum(not solved.settled for number in rows for solved in cycles[number].ran)
    told = [] if counted == happened else [f"{happened} steps did not settle, {counted:g} are reported"]
    return told + ([] if warned == (counted > 0) else [f"{counted:g} unsettled steps, warning: {warned}"])


def ends(ds: xr.Dataset, scenario: Scenario, cycles: Cycles) -> Breaches:
    """A run ends early only where a whole half-cycle passed no charge, or below a capacity that the scenario states.

    A solver that fails is a breach, whatever its reason: none is known that a valid protocol must lead to.
    """
    status, recorded = str(ds.attrs["status"]), ds.sizes["cycle"] - 1
    if status == "completed":
        return [] if recorded == scenario.protocol.cycles else [f"completed with {recorded} cycles"]
    if below := BELOW_LIMIT.match(status):
        capacity = float(ds.discharge_capacity.values[-1])
        limit = _limit(ds, scenario, below[2], recorded)
        fits = capacity < limit and int(below[1]) == recorded
        return [] if fits else [f"{status}, with {capacity:.4g} of {limit:.4g} mAh/g in cycle {recorded}"]
    if without := WITHOUT_CHARGE.match(status):
        number = int(without[1])
        own = _half(scenario, cycles[number], number, without[2])
        sign = -1.0 if without[2] == "charge" else 1.0  # what a hold gave back is no charge of the half-cycle
        passed = max((float((sign * solved.history.passed).max()) for solved in own), default=0.0)
        fits = passed <= 0 and recorded == number - (without[2] == "charge")
        return [] if fits else [f"{status}, but {passed:.3g} A s passed, and {recorded} cycles are recorded"]
    return [status]


def _limit(ds: xr.Dataset, scenario: Scenario, name: str, number: int) -> float:
    """The least capacity that a scenario allows [mAh g-1]."""
    numerics = scenario.numerics
    if name == "end_of_life_capacity":
        return numerics.end_of_life_capacity.si / loop.MAH_PER_G
    reference = scenario.protocol.reference_of(number)
    return numerics.end_of_life_fraction.si * float(ds.discharge_capacity.values[reference or 0])


def _half(scenario: Scenario, cycle: SolvedCycle, number: int, name: str) -> list[SolvedStep]:
    count = len(halves(scenario.protocol.steps_of(number))[0])
    return [solved for solved in cycle.steps if (solved.place < count) == (name == "charge")]


# Two runs


def apart(one: xr.Dataset, other: xr.Dataset) -> float:
    """Largest difference of a capacity in the cycles that both runs have, and in the one more that one of them may
    have, where the other passed nothing [mAh g-1]."""
    last = min(max(ds.sizes["cycle"] for ds in (one, other)), min(ds.sizes["cycle"] for ds in (one, other)) + 1)
    return max((abs(a - b) for a, b in zip(_capacities(one, last), _capacities(other, last), strict=True)), default=0.0)


def _capacities(ds: xr.Dataset, last: int) -> list[float]:
    """Charge and discharge capacities of the cycles before ``last``, 0 where there is none [mAh g-1]."""
    found = np.zeros((2, last))
    for row, name in zip(found, ("charge_capacity", "discharge_capacity"), strict=True):
        known = ds[name].values[1:last]
        row[1 : 1 + known.size] = np.nan_to_num(known)
    return [float(value) for value in found.ravel()]


def all_settled(*results: xr.Dataset) -> bool:
    """Whether no run reports a step that did not settle."""
    return all(statistic(ds, "unsettled_steps") == 0 for ds in results)


def statistic(ds: xr.Dataset, name: str) -> float:
    """A number that a run states about itself."""
    return float(json.loads(ds.attrs["statistics"])[name])
