"""Measure what is missing: every measurement in a process of its own, in alternating order, stored as it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import store, tasks
from benchmarks.store import Record
from benchmarks.tasks import Sizes, Task

Said = Callable[[str], None]
TIMEOUT = 1800.0  # s


class Failed(RuntimeError):
    """A measurement ended without a result."""


def has_jump() -> bool:
    """Whether runs can jump over cycles."""
    from interphase_sim.scenario.sections import Numerics

    return "jump" in Numerics.model_fields


def planned(parts: Sequence[str], sizes: Sizes, folder: Path) -> list[Task]:
    """The tasks of the parts; solvers of the kernel's problem as far as their tolerances are known."""
    made: list[Task] = []
    if "cell" in parts:
        made += tasks.cell(sizes, has_jump())
    if "kernel" in parts:
        tuned = list(tasks.tuning(sizes, "fipy" in store.versions()))
        known = {
            name.removeprefix("tune "): float(records[-1]["facts"]["tolerance"])
            for name, records in store.load(folder, tuned).items()
            if records
        }
        made += tuned + list(tasks.solves(known))
    for part, listed in (("cli", tasks.cli), ("memory", tasks.memory), ("scaling", tasks.scaling)):
        if part in parts:
            made += listed(sizes)
    return made


def order(wanted: Sequence[Task], done: dict[str, int], repeats: int) -> Iterator[Task]:
    """What is still to be measured: round by round, every other round backwards."""
    for turn in range(repeats):
        for task in wanted if turn % 2 == 0 else reversed(wanted):
            if done.get(task.name, 0) <= turn < task.repeats(repeats):
                yield task


def run(parts: Sequence[str], sizes: Sizes, repeats: int, folder: Path, say: Said) -> list[str]:
    """Measure part by part; returns what failed. KeyboardInterrupt loses only what is running."""
    failed: list[str] = []
    warmed: set[str] = set()
    for part in parts:
        for _ in range(2 if part == "kernel" else 1):  # first the tolerances, then the times
            wanted = planned([part], sizes, folder)
            done = {name: len(records) for name, records in store.load(folder, wanted).items()}
            todo = list(order(wanted, done, repeats))
            for count, task in enumerate(todo, start=1):
                if task.name in failed:
                    continue
                try:
                    _warm(task, warmed)
                    record = measured(task.asks, task.cold)
                except Failed as failure:
                    failed.append(task.name)
                    say(f"{part} {count}/{len(todo)} {task.name}: failed: {failure}")
                    continue
                store.append(folder, task, record)
                say(f"{part} {count}/{len(todo)} {task.name}: {record['seconds']:.3g} s, {record['memory']:.0f} MB")
    return failed


def _warm(task: Task, warmed: set[str]) -> None:
    if task.warm is not None and not task.cold and task.name not in warmed:
        measured(task.warm, cold=False)
        warmed.add(task.name)


def measured(asks: dict[str, Any], cold: bool) -> Record:
    """The measurement of a fresh process; cold: its compile caches are empty. Raises Failed."""
    with tempfile.TemporaryDirectory() as caches:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join([str(store.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        if cold:
            environment |= {"NUMBA_CACHE_DIR": caches, "PYBAMM_CASADI_AOT_CACHE": caches}
        line = [sys.executable, "-m", "benchmarks.worker", json.dumps(asks)]
        try:
            done = subprocess.run(
                line, check=False, capture_output=True, text=True, env=environment, cwd=store.ROOT, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {TIMEOUT:g} s") from None
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or ["no message"])[-1])
    record: Record = json.loads(done.stdout)
    return record | {"load": round(os.getloadavg()[0], 2)}
