"""What a sweep will take before it starts, and what became of its runs."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from interphase_sim.errors import InputError
from interphase_sim.sweeps import store as stores
from interphase_sim.sweeps.plan import Plan
from interphase_sim.sweeps.worker import BAD, GOOD, STATUS

_NO_RUN_SUCCEEDED, _SOME_FAILED = 3, 4
_REASONS = 10  # that a summary prints
_LOOKED_THROUGH = 100_000  # runs


def estimate(plan: Plan, workers: int) -> dict[str, Any]:
    """Number of runs, size, and time as some of the runs take it here, first to last; minutes where runs are long."""
    first = plan.firsts()
    distinct = np.flatnonzero(first == np.arange(plan.runs))
    tried = list(_timed(plan, distinct))
    seconds = float(np.mean(tried)) if tried else None
    return {
        "schema_version": stores.SCHEMA_VERSION,
        "name": plan.file.name,
        "dimensions": dict(zip(plan.dims, plan.shape, strict=True)),
        "runs": plan.runs,
        "distinct_runs": int(distinct.size),
        "cycles": plan.base.protocol.cycles,
        "seconds_per_run": seconds,
        "seconds_in_all": seconds * distinct.size / workers if seconds is not None else None,
        "workers": workers,
        "megabytes_at_most": stores.bytes_at_most(plan) / 1e6,
    }


def _timed(plan: Plan, distinct: Any) -> Iterator[float]:
    """Seconds of up to three runs; the model is built before, as it is once per worker."""
    from interphase_sim.errors import SolverFailure
    from interphase_sim.simulation import simulate

    for run in {int(distinct[i]) for i in (0, distinct.size // 2, -1)}:
        with contextlib.suppress(InputError, SolverFailure):
            scenario = plan.base.replace(plan.changes(run))
            simulate(scenario.replace({"protocol.cycles": 1, "protocol.reference_cycle": None}))
            start = time.perf_counter()
            simulate(scenario)
            yield time.perf_counter() - start


def summary(path: Path) -> dict[str, Any]:
    """What became of the runs of a store: counts by status, reasons of those that failed, the most frequent first."""
    store = stores.open_store(path)
    counts = {name: int((store.status == k).sum()) for k, name in enumerate(STATUS)}
    failed = np.flatnonzero(np.isin(store.status.reshape(-1), BAD))
    reasons: Counter[str] = Counter()
    example: dict[str, int] = {}
    for outcome in store.read(failed.tolist()):
        reasons[outcome.message] += 1
        example.setdefault(outcome.message, outcome.run)
    return {
        "schema_version": stores.SCHEMA_VERSION,
        "name": store.attrs["name"],
        "store": str(path),
        "runs": int(store.status.size),
        "status": counts,
        "without_effect": _without_effect(path, store.status.size),
        "failures": [
            {"message": text, "runs": count, "first": store.labels(example[text])}
            for text, count in reasons.most_common()
        ],
    }


def _without_effect(path: Path, runs: int) -> list[str] | None:
    """Swept parameters that change no output; None where there are too many data to look through in passing."""
    if runs > _LOOKED_THROUGH:
        return None
    from interphase_sim.sweeps import analysis

    return analysis.without_effect(stores.dataset(path))


def exit_code(told: dict[str, Any]) -> int:
    """0: all recorded runs are results, 4: some failed, 3: none succeeded."""
    good = sum(told["status"][STATUS[k]] for k in GOOD)
    bad = sum(told["status"][STATUS[k]] for k in BAD)
    if not bad:
        return 0
    return _SOME_FAILED if good else _NO_RUN_SUCCEEDED


def estimate_text(found: dict[str, Any]) -> str:
    """An estimate in sentences."""
    sizes = " x ".join(f"{name} {size}" for name, size in found["dimensions"].items())
    lines = [f"{found['name']}: {found['runs']} runs ({sizes}), {found['distinct_runs']} of them distinct"]
    lines[0] += f", of up to {found['cycles']} cycles"
    if found["seconds_per_run"] is None:
        lines.append("Time: unknown, none of the runs tried succeeded")
    else:
        lines.append(
            f"Time: about {_duration(found['seconds_in_all'])} with {found['workers']} workers, at "
            f"{found['seconds_per_run']:.2g} s a run as measured here just now"
        )
    lines.append(f"Size: at most {found['megabytes_at_most']:.3g} MB, less once compressed")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s"


def summary_text(told: dict[str, Any]) -> str:
    """A summary in sentences: counts, and why runs failed."""
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in told["status"].items() if count)
    lines = [f"{told['name']}: {told['runs']} runs: {counts}; stored in {told['store']}"]
    for failure in told["failures"][:_REASONS]:
        where = ", ".join(f"{name} = {value}" for name, value in failure["first"].items())
        lines.append(f"  {failure['runs']} failed, first at {where}: {failure['message']}")
    lines += [f"  no effect: {name} changes no output of any run" for name in told["without_effect"] or ()]
    rest = len(told["failures"]) - _REASONS
    return "\n".join([*lines, f"  and {rest} other reasons, in the variable message"] if rest > 0 else lines)
