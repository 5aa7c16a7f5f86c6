"""Random protocols: 1 to 6 steps in a half-cycle, rests of up to a year, holds, formation, every contact, any weather.

A case is what differs from the shipped bare cell, and a number that decides where a step is added or a half-cycle is
split. Every failure names both, and ``again(check, case, choice)`` runs it once more.
"""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from interphase_sim.errors import InputError
from interphase_sim.scenario import Scenario, with_units
from interphase_sim.simulation import simulate
from validation.verification import oracles, runs
from validation.verification.strategies import (
    COLD,
    COLUMNS,
    LOWER,
    UNIT_CELLS,
    UPPER,
    Changes,
    Strategy,
    base,
    drawn,
    protocol_cells,
    protocol_changes,
    resting_halves,
    shares,
    short_halves,
)
from validation.verification.study import Finding, Run, Study
from validation.verification.watchdog import DIED, TOO_LONG, Watched

SHORT_RUNS, PER_CELL = 2000, 20
LONG_RUNS, LONG, SOLVED_OF = 40, 200, 4  # one long run in so many is solved cycle by cycle
SPLITS, STILLS, RESTS, JUMPS = 200, 300, 60, 20
BUDGET = 300.0  # s for a case of 3 cycles, which takes about one on an idle core
LONG_BUDGET = 1800.0  # s, of a case of many cycles
TRIALS = 30  # to make a case that fails simpler
SHOWN = 1200  # characters of a failure that the table shows; chunks hold the whole
MONTH = 30 * 24 * 3600.0  # s
PIECES = 30

# mAh g-1
SPLIT = 0.3  # four steps of a cycle, each within the exchange tolerance of 0.05, in two runs that differ at will
FINER_SPLIT = 0.05  # the same with a tolerance of 0.005, and what the contacts' own tolerance leaves
FALLS = 0.02  # ten solver tolerances of 170 mAh/g, and the grid of the particle
WHOLE_REST = 0.05  # the exchange tolerance, which a rest is within in any number of pieces
BETWEEN = 0.3  # the exchange tolerance of both runs, whose errors add up over cycles, besides what jumps may cost

COMPARED: Changes = {
    "numerics.exchange_tolerance": "0.05 mAh/g",
    "numerics.max_iterations": 4,
    "numerics.column_tolerance": 3e-4,
    "numerics.end_of_life_capacity": "0 mAh/g",
    "numerics.end_of_life_fraction": 0.0,
    "numerics.jump": False,
    "protocol.first": [],
}
SOUND = "elapsed, rest potential, added step, unsettled, end, ledger: 0 breaches"
STILL: Changes = {
    "kinetics.oxygen.exchange": 0.0,
    "kinetics.reactions.sulfide_oxidation": 0.0,
    "kinetics.reactions.thiophosphate_oxidation": 0.0,
    "kinetics.contact.duration": 0.0,
    **{f"kinetics.losses.{name}": False for name in (
        "film", "slow_lithiation", "isolation", "rock_salt", "electrolyte_oxidation")},
    "kinetics.losses.mechanical_loss": 0.0,
}  # fmt: skip

Outcome = tuple[list[str], float]  # breaches in words, and the figure reached
Check = Callable[[Changes, float], Outcome]


# Checks of one case


def sound(case: Changes, choice: float) -> Outcome:
    """All oracles of one run, and equal bits with one more step that is at its limit before it begins."""
    scenario = base().replace(with_units(case))
    ds, cycles = oracles.simulated(scenario)
    told = oracles.breaches(ds, scenario, cycles)
    places = list(_at_their_limit(scenario, cycles))
    if not places:
        return told, 0.0
    place = places[min(int(choice * len(places)), len(places) - 1)]
    return told + [f"added step: {text}" for text in _changed_by(case, place, choice, ds)], 1.0


def alone(case: Changes, choice: float) -> Outcome:
    """All oracles of one run; the figure is what the ledger is off by."""
    scenario = base().replace(with_units(case))
    ds, cycles = oracles.simulated(scenario)
    return oracles.breaches(ds, scenario, cycles), float(np.abs(ds.ledger_residual).max())


def _at_their_limit(scenario: Scenario, cycles: oracles.Cycles) -> Iterator[int]:
    """Steps by index that were at their limit whenever they had run, so that the same step again has nothing to do.

    A step that was refused by the step before it was skipped without being solved, as its copy will be.
    """
    steps = scenario.protocol.steps
    own = [cycle for number, cycle in cycles.items() if scenario.protocol.steps_of(number) == steps]
    if not own or not all(cycle.complete for cycle in own):
        return
    for index, step in enumerate(steps):
        found = [solved for cycle in own for solved in cycle.steps if solved.place == index]
        if step.type != "rest" and found and all(solved.history.reached for solved in found):
            yield index


def _changed_by(case: Changes, index: int, choice: float, before: Any) -> list[str]:
    """In what a run differs once a step is added behind the one at ``index``, which asks for no more than that."""
    steps = [*case["protocol.steps"]]
    added = _no_more(steps[index], choice)
    more = [*steps[: index + 1], added, *steps[index + 1 :]]
    changed = case | {"protocol.steps": more}
    # blocks of equal steps share a reference cycle, and must go on to do so
    changed["protocol.first"] = [
        block | {"steps": more} if block["steps"] == steps else block for block in case.get("protocol.first", [])
    ]
    try:
        runs.same(simulate(base().replace(with_units(changed))), before)
    except AssertionError as difference:
        where = f"behind step {index + 1}, {json.dumps(added)}"
        return [f"{' '.join(str(difference).split())[:200] or 'status differs'} {where}"]
    return []


def _no_more(step: Changes, choice: float) -> Changes:
    """A step that is at its limit once ``step`` has ended at its own."""
    kind = int(choice * 1000) % 3
    if kind == 0 or step["type"] == "cv":
        return dict(step)
    up = step["direction"] == "charge"
    limit = float(step.get("until", UPPER if up else LOWER).split()[0])
    if kind == 1:
        return step | {"until": f"{max(limit - 0.05, 1.35) if up else min(limit + 0.05, 2.85):.4f} V"}
    return step | {"rate": "2.5 C", "until": f"{limit:.4f} V"}


def split(case: Changes, choice: float) -> Outcome:
    """A half-cycle in two steps of one rate equals one in one step; the figure is the largest difference [mAh g-1]."""
    told, worst = [], 0.0
    for tolerance, bound in (("0.05 mAh/g", SPLIT), ("0.005 mAh/g", FINER_SPLIT)):
        whole = case | {"numerics.exchange_tolerance": tolerance}
        ds, cycles = oracles.simulated(base().replace(with_units(whole)))
        parted = whole | {"protocol.steps": _parted(case["protocol.steps"], cycles[1], choice)}
        other = simulate(base().replace(with_units(parted)))
        told += _no_farther(ds, other, bound, f"split, tolerance {tolerance}")
        worst = max(worst, oracles.apart(ds, other) / bound)
    return told, worst


def _no_farther(one: Any, other: Any, bound: float, name: str) -> list[str]:
    """Two runs agree within a bound [mAh g-1]; a run that reports steps that did not settle claims no accuracy."""
    by = oracles.apart(one, other)
    told = [] if by <= bound or not oracles.all_settled(one, other) else [f"{name}: {by:.4f} mAh/g apart"]
    failed = [str(ds.attrs["status"]) for ds in (one, other) if "solver failure" in str(ds.attrs["status"])]
    return told + [f"{name}: {status}" for status in failed]


def _parted(steps: list[Changes], cycle: oracles.SolvedCycle, choice: float) -> list[Changes]:
    """Every current in two steps, at the voltage that it passed after a share of its charge."""
    found: list[Changes] = []
    for index, step in enumerate(steps):
        history = next((solved.history for solved in cycle.ran if solved.place == index), None)
        if history is not None:
            share = 0.1 + 0.8 * choice
            volts = np.interp(share, history.passed / history.passed[-1], history.voltage)
            found.append(step | {"until": f"{volts:.6f} V"})
        found.append(step)
    return found


def still(case: Changes, choice: float) -> Outcome:
    """Without reactions, first charge and discharge do not fall with temperature and do not rise with the rate; the
    figure is the largest breach of that order [mAh g-1]."""
    warm = base().replace(with_units(case))
    rates = [step.rate.si for step in warm.protocol.steps]  # type: ignore[union-attr]
    colder = case | {"cell.temperature": COLD + choice * (warm.cell.temperature.si - COLD)}
    faster = case | {"protocol.steps": [
        step | {"rate": f"{rate * (2.0 / max(rates)) ** choice!r} C"}
        for step, rate in zip(case["protocol.steps"], rates, strict=True)
    ]}  # fmt: skip
    here, cold, fast = (_first(changes) for changes in (case, colder, faster))
    falls = {"colder": float((cold - here).max()), "faster": float((fast - here).max())}
    told = [f"still: {by:.3f} mAh/g more when {name}" for name, by in falls.items() if not by <= FALLS]
    return told, max(0.0, *falls.values())


def _first(changes: Changes) -> Any:
    """Capacities of the first charge and discharge, 0 where nothing passed [mAh g-1]."""
    ds = simulate(base().replace(with_units(changes)))
    if ds.sizes["cycle"] < 2:
        return np.zeros(2)
    return np.array([ds.charge_capacity.values[1], ds.discharge_capacity.values[1]])


def rested(case: Changes, choice: float) -> Outcome:
    """A rest equals the same rest in thirty pieces; the figure is the largest difference [mAh g-1]."""
    whole = base().replace(with_units(case))
    pieces: list[Changes] = []
    for step in case["protocol.steps"]:
        parts = PIECES if step["type"] == "rest" else 1
        seconds = float(str(step.get("duration", "0 s")).split()[0]) / parts
        pieces += [step | {"duration": f"{seconds!r} s"} if parts > 1 else step] * parts
    ds, cycles = oracles.simulated(whole)
    told = oracles.breaches(ds, whole, cycles)
    other = simulate(base().replace(with_units(case | {"protocol.steps": pieces})))
    return told + _no_farther(ds, other, WHOLE_REST, "rest in pieces"), oracles.apart(ds, other)


def jumped(case: Changes, choice: float) -> Outcome:
    """A run with jumps is within their stated error of one in which every cycle is solved; the figure is what is
    beyond that error [mAh g-1]."""
    scenario = base().replace(with_units(case | {"numerics.jump": True}))
    ds, cycles = oracles.simulated(scenario)
    told = oracles.breaches(ds, scenario, cycles)
    other = simulate(base().replace(with_units(case | {"numerics.jump": False})))
    error = oracles.statistic(ds, "jump_error")
    by = oracles.apart(ds, other)
    return told + _no_farther(ds, other, error + BETWEEN, f"jumps, error stated {error:.3f}"), max(0.0, by - error)


CHECKS: dict[str, Check] = {
    "sound": sound, "alone": alone, "split": split, "still": still, "rested": rested, "jumped": jumped
}  # fmt: skip


def again(check: str, case: Changes, choice: float) -> Outcome:
    """What a check finds in a case: breaches in words, and the figure reached.

    An exception is a breach; a scenario that is refused is none of a check that changed it.
    """
    try:
        return CHECKS[check](case, choice)
    except InputError as error:
        return [f"refused: {error}"], 0.0
    except Exception:
        return ["exception: " + " | ".join(traceback.format_exc().splitlines()[-4:])], 0.0


# Searches


def attempt(task: tuple[str, Changes, float]) -> Outcome:
    """The same for a process of its own."""
    return again(*task)


def simpler(case: Changes) -> Iterator[Changes]:
    """Cases with less in them, the largest cuts first."""
    for start in ("kinetics.", "coating.", "numerics.", "cell."):
        yield {key: value for key, value in case.items() if not key.startswith(start) or key == "cell.model"}
    yield {key: value for key, value in case.items() if key != "protocol.first"}
    if case["protocol.cycles"] > 1:
        for cycles in (1, case["protocol.cycles"] // 2):
            yield case | {"protocol.cycles": cycles, "numerics.output_cycles": [1]}
    for index in range(len(case["protocol.steps"])):
        steps = case["protocol.steps"]
        yield case | {"protocol.steps": [*steps[:index], *steps[index + 1 :]]}
    for key in case:
        if key.startswith(("kinetics.", "cell.", "numerics.")):
            yield {name: value for name, value in case.items() if name != key}


def simplest(check: str, case: Changes, choice: float, kind: str, call: Callable[[Any], Any]) -> Changes:
    """The simplest case that still breaks the same oracle, by dropping one thing after the other."""
    trials, progress = 0, True
    while progress:
        progress = False
        for less in simpler(case):
            if less == case or trials >= TRIALS:
                continue
            trials += 1
            got = call((check, less, choice))
            if isinstance(got, tuple) and any(text.startswith(kind) for text in got[0]):
                case, progress = less, True
                break
    return case


def searched(check: str, cases: Strategy, numbers: Iterable[int], budget: float) -> dict[str, Any]:
    """Check the case of every number in a watched process: how many, the largest figure and their sum, failures."""
    figures, failures = [0.0], list[str]()
    with Watched(attempt, budget) as watched:
        for number in numbers:
            # a seed for each: further draws of one seed are variations of the first ones
            ((case, choice),) = drawn(st.tuples(cases, shares()), 1, number)
            got = watched((check, case, choice))
            told, figure = got if isinstance(got, tuple) else ([str(got)], 0.0)
            figures.append(figure)
            if told:
                kind = told[0].split(":", 1)[0]
                less = case if kind in (TOO_LONG, DIED) else simplest(check, case, choice, kind, watched)
                failures.append(f"{'; '.join(told)} <= again({check!r}, {json.dumps(less)}, {choice!r})")
    return {"cases": len(figures) - 1, "worst": max(figures), "sum": math.fsum(figures), "failures": failures}


@dataclass(frozen=True)
class Search:
    """A study: the check of a case, cases by cell and number of the chunk, how many there are in all and in a chunk,
    which share a cell; the time that one may take [s], and the words of its row: figure, bound, note."""

    name: str
    check: str
    cases: Callable[[Changes, int], Strategy]
    total: int
    figure: str
    bound: str
    note: str = ""
    size: int = PER_CELL
    budget: float = BUDGET
    cells: Callable[[tuple[str, ...]], Strategy] = protocol_cells

    def chunk(self, seed: int, first: int, last: int) -> dict[str, Any]:
        """The cases [first, last), which share a cell."""
        number = first // self.size
        cell: Changes = drawn(self.cells((model(number),)), 8, seed + number)[-1]
        return searched(self.check, self.cases(cell, number), range(seed + first, seed + last), self.budget)

    def __call__(self, run: Run) -> Finding:
        total = max(2, self.total // 100) if run.quick else self.total
        run.folder.mkdir(parents=True, exist_ok=True)
        parts = run.chunks(self.check, total, self.size, lambda first, last: self.chunk(run.seed, first, last))
        failures = [text for part in parts for text in part["failures"]]
        worst, count = max(part["worst"] for part in parts), sum(part["sum"] for part in parts)
        note = "; ".join([*([self.note] if self.note else []), *(text[:SHOWN] for text in failures)])
        figure = self.figure.format(worst=worst, count=count)
        return Finding(self.name, sum(part["cases"] for part in parts), len(failures), figure, self.bound, note)


def model(number: int) -> str:
    """The cell model of a chunk: one in ten SPMe, the rest SPM."""
    return "SPMe" if number % 10 == 5 else "SPM"


def short_cases(kinds: tuple[str, ...], bare: int = 5) -> Callable[[Changes, int], Strategy]:
    """Protocols of 3 cycles with rests of up to a year; one case in ``bare`` has no coating, none if 0."""
    return lambda cell, number: protocol_changes(3, cell, kinds=kinds, bare=bare)


def long_cases(cell: Changes, number: int) -> Strategy:
    """Protocols of 200 cycles, of which every fourth chunk is solved cycle by cycle."""
    return protocol_changes(LONG, cell, jump=st.just(number % SOLVED_OF != SOLVED_OF - 1))


def split_cases(cell: Changes, number: int) -> Strategy:
    """One current in a half-cycle, 1 or 2 cycles."""
    return protocol_changes(1 + number % 2, cell, short_halves, fixed=COMPARED)


def still_cases(cell: Changes, number: int) -> Strategy:
    """One current in a half-cycle, no reactions, lithium as shipped."""
    return protocol_changes(1, cell, short_halves, kinetics=st.just({}), fixed=COMPARED | STILL)


def still_cells(models: tuple[str, ...]) -> Strategy:
    """Cells at any temperature on the shipped grid."""
    fixed = {"numerics.particle_cells": 45, "numerics.solver_tolerance": 1e-6}
    return protocol_cells(models).map(lambda cell: cell | fixed)


def rested_cases(cell: Changes, number: int) -> Strategy:
    """One current in a half-cycle with rests before, between and after, 1 or 2 cycles."""
    return protocol_changes(1 + number % 2, cell, resting_halves, fixed=COMPARED)


def jumped_cases(cell: Changes, number: int) -> Strategy:
    """Protocols of 30 to 60 cycles with rests of up to a month."""
    return protocol_changes(30 + number * 7 % 31, cell, longest=MONTH, fixed=COMPARED)


STUDIES: dict[str, Study] = {
    "columns": Search(
        "protocols of 3 cycles, bare and columns", "sound", short_cases(COLUMNS, 3), SHORT_RUNS // 2,
        "{count:.0f} with one more step at its limit", SOUND,
    ),
    "cells": Search(
        "protocols of 3 cycles, unit cells", "sound", short_cases(UNIT_CELLS, 0), SHORT_RUNS // 2,
        "{count:.0f} with one more step at its limit", SOUND,
    ),
    "long": Search(
        "protocols of 200 cycles", "alone", long_cases, LONG_RUNS, "ledger off by {worst:.1e}", SOUND,
        "every fourth solved cycle by cycle", size=2, budget=LONG_BUDGET,
    ),
    "split": Search(
        "a half-cycle in two at one rate", "split", split_cases, SPLITS, "{worst:.2f} of the bound",
        f"{SPLIT} mAh/g; {FINER_SPLIT} with a tenth of the exchange tolerance",
    ),
    "still": Search(
        "no reactions: capacities over temperature and rate", "still", still_cases, STILLS,
        "{worst:.4f} mAh/g against the order", f"{FALLS} mAh/g", size=10, cells=still_cells,
    ),
    "rests": Search(
        "a rest in one piece and in thirty", "rested", rested_cases, RESTS, "{worst:.3f} mAh/g apart",
        f"{WHOLE_REST} mAh/g", size=6,
    ),
    "jumps": Search(
        "protocols with jumps and without", "jumped", jumped_cases, JUMPS, "{worst:.3f} mAh/g beyond the stated error",
        f"{BETWEEN} mAh/g", size=2, budget=LONG_BUDGET,
    ),
}  # fmt: skip
