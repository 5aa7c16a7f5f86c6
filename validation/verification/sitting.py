"""Compute findings, one after the other or side by side, each stored as it ends."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from interphase_sim.sweeps.worker import end_with_parent
from validation.verification import store
from validation.verification.store import Stored
from validation.verification.study import Finding, Run

Name = tuple[str, str]  # part and study


def compute(name: Name, quick: bool, folder: Path) -> Stored:
    """The finding of a study, stored; one that breaks off is a failure, and is not stored."""
    part, study = name
    run, start = Run(folder / part / study, store.code(part), quick), time.perf_counter()
    try:
        finding = store.studies(part)[study](run)
    except Exception as error:
        traceback.print_exc()
        return broken(name, error)
    found = Stored(finding, time.perf_counter() - start + run.earlier)
    store.save(folder, part, study, found)
    return found


def broken(name: Name, error: BaseException) -> Stored:
    """What stands for a study that broke off."""
    return Stored(Finding(name[1], 1, 1, "broken off", note=f"{type(error).__name__}: {error}"), 0.0)


def outcomes(names: Sequence[Name], quick: bool, folder: Path, workers: int) -> Iterator[tuple[Name, Stored]]:
    """Findings as they end. KeyboardInterrupt loses only what is running, less its stored chunks."""
    if workers < 2:
        yield from ((name, compute(name, quick, folder)) for name in names)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start)
    try:
        running = {pool.submit(compute, name, quick, folder): name for name in names}
        for done in as_completed(running):
            yield running[done], _outcome(running[done], done)
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _outcome(name: Name, done: Future[Stored]) -> Stored:
    """What a worker found; one that died, for want of memory perhaps, broke its study off."""
    failure = done.exception()
    if isinstance(failure, Exception):
        return broken(name, failure)
    return done.result()


def _start() -> None:
    """A worker leaves stdout to the table, and does not outlive its parent."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.dup2(2, 1)
    sys.stdout = sys.stderr
