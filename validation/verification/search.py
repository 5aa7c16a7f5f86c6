"""Searches for a case that breaks a property: random draws by Hypothesis, failures shrunk to the simplest case."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import HypothesisWarning

from interphase_sim.scenario import Scenario
from validation.verification.strategies import told
from validation.verification.study import Finding, Run

Check = Callable[[Any], float]  # asserts, and returns a figure; the largest is reported
SHOWN = 700  # characters of a failure that the table shows; chunks hold the whole


def search(strategy: Any, check: Check, count: int, number: int) -> dict[str, Any]:
    """Check ``count`` draws: how many were, the largest figure, and the simplest failure found, if any."""
    seen: list[float] = []
    broken: list[str] = []

    @seeded(number)
    @settings(
        max_examples=count, database=None, deadline=None, print_blob=False, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    @given(strategy)
    def checked(case: Any) -> None:
        try:
            seen.append(check(case))
        except Exception as failure:  # whatever a case raises is what was looked for
            broken.append(_told(failure, case))
            raise

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)
        try:
            checked()
        except Exception as failure:
            if not broken:
                broken.append(_told(failure, "while it was drawn"))
    # Hypothesis ends with the simplest case it found.
    return {"cases": len(seen) + bool(broken), "worst": max(seen, default=0.0), "failures": broken[-1:]}


def _told(failure: Exception, case: Any) -> str:
    parts = case if type(case) is tuple else (case,)
    shown = ", ".join(told(part) if isinstance(part, Scenario) else repr(part) for part in parts)
    where = traceback.extract_tb(failure.__traceback__)[-1].name
    return f"{type(failure).__name__} in {where}: {' '.join(str(failure).split())}; case: {shown}"


def found(run: Run, key: str, total: int, chunk: Callable[[int, int], dict[str, Any]], size: int) -> dict[str, Any]:
    """The sum of the chunks of a search, resumable; quick runs take a hundredth."""
    number = max(2, total // 100) if run.quick else total
    parts = run.chunks(key, number, size, chunk)
    return {
        "cases": sum(part["cases"] for part in parts),
        "worst": max(part["worst"] for part in parts),
        "failures": [text for part in parts for text in part["failures"]],
    }


def finding(study: str, result: dict[str, Any], figure: str, bound: str, note: str = "") -> Finding:
    """The row of a search; ``figure`` has a place for the largest number."""
    told = "; ".join([*([note] if note else []), *(failure[:SHOWN] for failure in result["failures"])])
    return Finding(study, result["cases"], len(result["failures"]), figure.format(result["worst"]), bound, told)
