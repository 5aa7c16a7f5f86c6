"""What has to be run, and the runs themselves, side by side and resumable."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interphase_sim.interphase.column import Drive
from interphase_sim.scenario import Scenario, load_scenario
from validation.particulate import evaluate, points, store
from validation.particulate.points import CONTACTS, Point

CYCLES = 200
REPLAYS = ("replay", "finer")
Said = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """One run of a point: a contact aged with its cell, or a replay on the closure's grid, also twice as fine.

    A replay has no film: it sees a fixed history, and what oxygen does there is the same under either coating.
    """

    point: Point
    kind: str
    cycles: int

    @property
    def path(self) -> Path:
        return Path(self.point.name) / f"{self.kind}.json"

    def scenario(self, base: Scenario) -> Scenario:
        """What is run."""
        if self.kind not in REPLAYS:
            return points.scenario(base, self.point, self.kind, self.cycles)
        coarse = points.scenario(base, self.point, "closure", self.cycles)
        if self.kind == "replay":
            return coarse
        n = coarse.numerics
        return coarse.replace(
            {
                "numerics.closure_rings": 2 * n.closure_rings,
                "numerics.closure_rows": 2 * n.closure_rows,
                "numerics.closure_edge": f"{n.closure_edge.si / 2!r} m",
            }
        )

    def key(self, base: Scenario) -> str:
        """What a stored record must carry to stand for this task: scenario, history and code."""
        history = base.digest() if self.kind in REPLAYS else ""
        return "-".join((self.kind, self.scenario(base).digest()[:16], history[:16], store.code()))


def tasks(chosen: Iterable[Point], cycles: int) -> list[Task]:
    """All runs of the points that exist, the long ones first."""
    existing = [p for p in chosen if p.exists]
    replays = dict.fromkeys(shared(p) for p in existing)
    return [Task(p, kind, cycles) for kind in CONTACTS for p in existing] + [Task(p, "replay", cycles) for p in replays]


def shared(point: Point) -> Point:
    """The point whose replay stands for this one too: the same coating with its film."""
    return replace(point, film=True)


def missing(wanted: Iterable[Task], base: Scenario, folder: Path) -> tuple[list[Task], int]:
    """The tasks without a valid record, and how many of those have a record that is damaged or out of date."""
    lacking = [task for task in wanted if store.load(folder / task.path, task.key(base)) is None]
    return lacking, sum((folder / task.path).exists() for task in lacking)


def compute(task: Task, base: Scenario) -> store.Record:
    """The record of a task."""
    from validation.particulate import runs

    if task.kind in REPLAYS:
        return runs.replayed(task.scenario(base), _history(base.to_toml()))
    return runs.aged(task.scenario(base))


@functools.lru_cache(maxsize=1)
def _history(base: str) -> list[Drive]:
    import tomllib

    from validation.particulate import runs

    return runs.history(Scenario.from_dict(tomllib.loads(base)))


def _work(task: Task, base: Scenario, folder: Path) -> float:
    record = compute(task, base)
    store.save(folder / task.path, record, task.key(base))
    return float(record["seconds"])


def _start() -> None:
    """A worker ends at once on Ctrl-C, and leaves stdout to the study."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def run(wanted: list[Task], base: Scenario, folder: Path, workers: int, say: Said) -> None:
    """Run tasks and store each as it ends. KeyboardInterrupt loses only what is running.

    A task that fails is named and left out; the others go on. Raises RuntimeError in the end if there was one.
    """
    failed = []
    for count, (task, outcome) in enumerate(_outcomes(wanted, base, folder, workers), start=1):
        if isinstance(outcome, Exception):
            failed.append(task)
            text = f"failed: {type(outcome).__name__}: {outcome}"
        else:
            text = f"{outcome:.1f} s"
        say(f"{count}/{len(wanted)} {task.point.name} {task.kind}: {text}")
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(wanted)} runs failed, see above")


def _outcomes(
    wanted: list[Task], base: Scenario, folder: Path, workers: int
) -> Iterator[tuple[Task, float | Exception]]:
    if workers < 2:
        for task in wanted:
            try:
                yield task, _work(task, base, folder)
            except Exception as error:  # whatever it is, it is that run's alone
                yield task, error
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start)
    try:
        running = {pool.submit(_work, task, base, folder): task for task in wanted}
        for done in as_completed(running):
            failure = done.exception()
            yield running[done], failure if isinstance(failure, Exception) else done.result()
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def records(point: Point, cycles: int, base: Scenario, folder: Path) -> Mapping[str, Any] | None:
    """The valid records of a point by kind; None while one is missing."""
    found: dict[str, Any] = {}
    for kind in (*CONTACTS, *REPLAYS):
        task = Task(shared(point) if kind in REPLAYS else point, kind, cycles)
        record = store.load(folder / task.path, task.key(base))
        if record is not None:
            found[kind] = record
        elif kind != "finer":
            return None
    return found


def doubtful(chosen: Iterable[Point], cycles: int, base: Scenario, folder: Path) -> list[Task]:
    """Finer replays of the points whose uptake leaves its bounds: they tell its discretisation error."""
    found = {}
    for point in chosen:
        task = Task(shared(point), "replay", cycles)
        replay = store.load(folder / task.path, task.key(base)) if point.exists else None
        if replay is not None and not evaluate.bounds(replay).hold:
            found[task.point] = Task(task.point, "finer", cycles)
    return list(found.values())


def base() -> Scenario:
    """The scenario that every point changes: the shipped coated cell."""
    return load_scenario("coated")
