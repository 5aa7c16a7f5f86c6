"""Simulate the cells, side by side where there is more than one core."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, NamedTuple

import xarray as xr

from interphase_sim.errors import SolverFailure
from interphase_sim.scenario import Scenario

Progress = Callable[[int, int, str], None]
_POLL = 0.2  # s, between looks at the workers' news


class Timed(NamedTuple):
    """A result with the time that import, build and compile took before it, and its own [s]."""

    result: xr.Dataset
    setup: float
    run: float


def simulate_all(scenarios: Mapping[str, Scenario], progress: Progress | None) -> dict[str, Timed]:
    """Results by cell name; `progress` hears of all cycles of all cells together."""
    total = sum(scenario.protocol.cycles for scenario in scenarios.values())
    done = dict.fromkeys(scenarios, 0)

    def heard(name: str, cycle: int) -> None:
        done[name] = cycle
        if progress:
            progress(sum(done.values()), total, ", ".join(f"{cell} {n}" for cell, n in done.items()))

    if _cores() < 2:
        return {name: timed(scenario, partial(heard, name)) for name, scenario in scenarios.items()}
    try:
        return _in_parallel(scenarios, heard)
    except BrokenProcessPool:
        raise SolverFailure("a simulating process was ended from outside, perhaps for lack of memory") from None


def timed(scenario: Scenario, heard: Callable[[int], None]) -> Timed:
    """Run a scenario with a clock; one cycle before it loads, builds and compiles everything."""
    start = time.perf_counter()
    from interphase_sim.simulation import simulate

    simulate(scenario.replace({"protocol.cycles": 1}))
    ready = time.perf_counter()
    result = simulate(scenario, progress=lambda cycle, total, text: heard(cycle))
    return Timed(result, ready - start, time.perf_counter() - ready)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_parallel(scenarios: Mapping[str, Scenario], heard: Callable[[str, int], None]) -> dict[str, Timed]:
    context = multiprocessing.get_context("spawn")
    news: Any = context.SimpleQueue()
    with ProcessPoolExecutor(min(_cores(), len(scenarios)), context, _start, (news,)) as pool:
        runs = {name: pool.submit(_work, name, scenario) for name, scenario in scenarios.items()}
        waiting = set(runs.values())
        while waiting:
            waiting = wait(waiting, timeout=_POLL).not_done
            while not news.empty():
                heard(*news.get())
        return {name: run.result() for name, run in runs.items()}


_news: Any = None  # of this worker, to the process that started it


def _start(news: Any) -> None:
    """Prepare a worker: stdout belongs to the report, so what is printed goes to stderr; Ctrl-C ends it."""
    global _news
    _news = news
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _work(name: str, scenario: Scenario) -> Timed:
    return timed(scenario, lambda cycle: _news.put((name, cycle)))
