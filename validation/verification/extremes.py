"""A thousand random valid extreme scenarios of 30 cycles: none raises, hangs, or records what cannot be."""

from __future__ import annotations

import tomllib
import traceback
from collections import Counter
from typing import Any

from interphase_sim.errors import InputError
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import simulate
from validation.verification import runs
from validation.verification.strategies import drawn, scenarios, told
from validation.verification.study import Finding, Run, Study
from validation.verification.watchdog import DIED, TOO_LONG, Watched

CASES, PER_CELL = 1000, 20
CYCLES = 30
BUDGET = 60.0  # s for a run
SHOWN = 700  # characters of a failure that the table shows; chunks hold the whole
ENDS = ("completed", "end of life", "solver failure")
BAD = ("exception", "refused", TOO_LONG, DIED, "unsound")


def model(number: int) -> str:
    """The cell model of a chunk: one in ten SPMe, one in twenty-five DFN, the rest SPM."""
    return "DFN" if number % 25 == 24 else "SPMe" if number % 10 == 5 else "SPM"


def tried(text: str) -> dict[str, Any]:
    """How a run ended, and what about its result cannot be."""
    scenario = Scenario.from_dict(tomllib.loads(text))
    try:
        ds = simulate(scenario)
    except InputError as error:
        return {"end": "refused", "why": str(error)}
    except Exception:
        return {"end": "exception", "why": " | ".join(traceback.format_exc().splitlines()[-4:])}
    wrong, status = runs.breaches(ds, scenario), str(ds.attrs["status"])
    if wrong:
        return {"end": "unsound", "why": f"{status[:80]}; {'; '.join(wrong)}"}
    return {"end": next((end for end in ENDS if status.startswith(end)), status), "why": status}


def _chunk(run: Run, first: int, last: int) -> dict[str, Any]:
    number = first // PER_CELL
    cell = runs.a_cell((model(number),), run.seed + number)
    fixed = {"protocol.cycles": CYCLES, "numerics.output_cycles": [1, CYCLES]}
    cases = drawn(scenarios(1, cell, fixed=fixed), last - first, run.seed + number)
    found: dict[str, Any] = {"ends": Counter(), "failures": [], "gave_up": []}
    with Watched(tried, BUDGET) as watched:
        for case in cases:
            got = watched(case.to_toml())
            got = got if isinstance(got, dict) else {"end": got, "why": ""}
            found["ends"][got["end"]] += 1
            if got["end"] in BAD:
                found["failures"].append(f"{got['end']}: {got['why']}; case: {told(case)}")
            elif got["end"] == "solver failure":
                found["gave_up"].append(_reason(got["why"]))
    return found


def _reason(status: str) -> str:
    """A failure without its numbers."""
    return "".join(" " if sign.isdigit() else sign for sign in status.split(": ", 1)[-1])[:90]


def extremes(run: Run) -> Finding:
    """A thousand random valid extreme scenarios of 30 cycles."""
    total = 40 if run.quick else CASES
    parts = run.chunks("extremes", total, PER_CELL, lambda first, last: _chunk(run, first, last))
    ends = sum((Counter(part["ends"]) for part in parts), Counter[str]())
    failures = [text for part in parts for text in part["failures"]]
    gave_up = Counter(reason for part in parts for reason in part["gave_up"])
    reasons = [f"solver failure, {count} times: {reason}" for reason, count in gave_up.items()]
    note = "; ".join([*(text[:SHOWN] for text in failures), *reasons])
    figure = ", ".join(f"{end}: {count}" for end, count in ends.most_common())
    return Finding(
        "extreme scenarios of 30 cycles", sum(ends.values()), len(failures), figure, "no " + ", ".join(BAD), note
    )


STUDIES: dict[str, Study] = {"extremes": extremes}
