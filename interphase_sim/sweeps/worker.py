"""What a worker does: one run, from the changes of the base scenario to the rows that are kept."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import os
import platform
import signal
import threading
import time
import tomllib
from collections.abc import Mapping
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from interphase_sim import digest
from interphase_sim.errors import InputError
from interphase_sim.scenario import Protocol, Scenario
from interphase_sim.status import RunStatus, outcome_of
from interphase_sim.sweeps.schema import VARIED, EndOfLife

if TYPE_CHECKING:
    import xarray as xr

Array = npt.NDArray[np.float64]

PENDING, DONE, ENDED, FAILED, REFUSED, LOST, NO_CAPACITY = range(7)
STATUS = (
    "pending",
    RunStatus.COMPLETED.value,
    RunStatus.END_OF_LIFE.value,
    RunStatus.SOLVER_FAILURE.value,
    "refused",
    "lost",
    RunStatus.NO_CAPACITY.value,
)
GOOD = (DONE, ENDED, NO_CAPACITY)
BAD = (FAILED, REFUSED, LOST)
_LIBRARIES = ("interphase-sim", "pybamm", "pybammsolvers", "casadi", "numba", "numpy", "scipy")


class Job(NamedTuple):
    """What all runs of a sweep share: its key, the base scenario, the variables and cycles kept, the code's version."""

    key: str
    base: str
    outputs: tuple[str, ...]
    cycles: tuple[int, ...]
    end_of_life: EndOfLife | None
    code: str


class Task(NamedTuple):
    """One run: the key of its job, its number and what it changes."""

    job: str
    run: int
    changes: Mapping[str, Any]


class Outcome(NamedTuple):
    """What is kept of a run: status, why it ended or what it warns of, seconds, the scenario's digest, the last
    cycle, the cycle life and the estimated error of jumps [mAh g-1] (not-a-number without), and rows by cycle kept."""

    run: int
    status: int
    message: str
    seconds: float = 0.0
    digest: str = ""
    cycles: int = 0
    cycle_life: float = math.nan
    jump_error: float = math.nan
    rows: Mapping[str, Array] = {}


_jobs: dict[str, tuple[Job, Scenario]] = {}


def prepare(job: Job) -> None:
    """Make this process ready for the runs of a job. Raises InputError where other code would compute them."""
    if job.code != code():
        raise InputError("a worker has another version of interphase_sim or of a library than the sweep")
    _jobs[job.key] = job, Scenario.from_dict(tomllib.loads(job.base))


def prepare_process(job: Job) -> None:
    """The same in a process of a pool, which leaves Ctrl-C to its parent and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    prepare(job)


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that was."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def work(task: Task) -> Outcome:
    """Simulate one run. Whatever goes wrong becomes its outcome."""
    start = time.perf_counter()
    try:
        outcome = _simulated(task, *_jobs[task.job])
    except InputError as error:
        outcome = Outcome(task.run, REFUSED, str(error))
    except Exception as error:  # a defect in one run must not end a sweep of thousands
        outcome = Outcome(task.run, FAILED, f"{type(error).__name__}: {error}")
    return outcome._replace(seconds=time.perf_counter() - start)


def _simulated(task: Task, job: Job, base: Scenario) -> Outcome:
    from interphase_sim.simulation import simulate

    scenario = base.replace(task.changes, where="refused", by=VARIED)
    ds = simulate(scenario)
    outcome = outcome_of(ds.attrs)
    status = STATUS.index(outcome.status.value)
    return Outcome(
        task.run,
        status,
        _message(ds, outcome.sentence, status),
        digest=scenario.digest()[:16],
        cycles=ds.sizes["cycle"] - 1,
        cycle_life=cycle_life(ds["discharge_capacity"].values, job.end_of_life, status, scenario.protocol),
        jump_error=_statistics(ds).get("jump_error", math.nan),
        rows={name: kept(ds[name].values, job.cycles) for name in job.outputs},
    )


def _reference_capacity(discharge: Array, protocol: Protocol, cycle: int) -> float:
    """Discharge capacity of the reference of a cycle [mAh g-1]; not-a-number without one, or where it has none."""
    reference = protocol.reference_of(cycle)
    return float(discharge[reference]) if reference is not None and discharge[reference] > 0 else math.nan


def _statistics(ds: xr.Dataset) -> dict[str, float]:
    found: dict[str, float] = json.loads(ds.attrs["statistics"])
    return found


def _message(ds: xr.Dataset, text: str, status: int) -> str:
    """Why a run ended or what it warns of; what makes its numbers uncertain comes first, for stores cut long texts."""
    if status == FAILED:
        return text
    warnings = sorted(json.loads(ds.attrs["warnings"]), key=lambda text: "did not settle" not in text)
    return "; ".join(([] if status == DONE else [text]) + [f"warning: {warning}" for warning in warnings])


def kept(values: Array, cycles: tuple[int, ...]) -> Array:
    """The values (done + 1,) at the cycles kept (k,), not-a-number behind the last one done."""
    padded = np.full(max(cycles[-1] + 1, len(values)), math.nan)
    padded[: len(values)] = values
    return padded[list(cycles)]


def cycle_life(discharge: Array, rule: EndOfLife | None, status: int, protocol: Protocol) -> float:
    """The first cycle that is worn out, or in which no charge passed; not-a-number where none was.

    discharge: capacity by cycle (done + 1,) [mAh g-1], from cycle 0, which has none.
    """
    if rule is None or status == FAILED:
        return math.nan
    for cycle in range(1, len(discharge)):
        if discharge[cycle] < rule.limit(_reference_capacity(discharge, protocol, cycle)):
            return float(cycle)
        if status == NO_CAPACITY and not discharge[cycle] > 0:
            return float(cycle)
    return float(len(discharge)) if status == NO_CAPACITY else math.nan


@functools.cache
def code() -> str:
    """Digest of the package, of Python and of the libraries that decide a run; comments and docstrings do not."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    return digest.combined([platform.python_version(), *versions, digest.package()])
