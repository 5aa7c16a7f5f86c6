"""Runs on workers behind one interface, `concurrent.futures.Executor`: a process pool or a Dask cluster."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from multiprocessing import get_context
from typing import Any, Protocol

from interphase_sim.errors import InputError
from interphase_sim.sweeps import worker
from interphase_sim.sweeps.worker import LOST, Job, Outcome, Task

DEATHS = 2  # of its worker, running alone, after which a run is given up
TICK = 1.0  # s
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Crew(Protocol):
    """Workers: an executor, how many tasks it is handed at once, and how it is made anew when it broke."""

    @property
    def executor(self) -> Executor: ...

    @property
    def width(self) -> int: ...

    def renew(self) -> None: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


class Pool:
    """Processes of this machine, each of which builds and compiles once."""

    def __init__(self, job: Job, workers: int) -> None:
        self._job, self._workers = job, workers
        self.width = 2 * workers + 1
        self.executor = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers, get_context("spawn"), initializer=worker.prepare_process, initargs=(self._job,)
        )

    def renew(self) -> None:
        """Start new processes in place of all that are left."""
        self.close()
        self.executor = self._new()

    def check(self) -> None:
        """A pool that broke tells so itself."""

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        processes = list((self.executor._processes or {}).values())
        self.executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


class Cluster:
    """The workers of a Dask scheduler; they may come and go."""

    def __init__(self, job: Job, address: str) -> None:
        try:
            from dask.distributed import Client
        except ImportError:
            raise InputError("--scheduler needs dask.distributed: pip install 'interphase-sim[cluster]'") from None
        try:
            self._address = address
            self._client = Client(address, timeout=20, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"scheduler {address!r} cannot be reached ({error})") from None
        try:
            self._client.register_plugin(_plugin(job))
        except InputError:
            self._client.close()
            raise
        self.executor: Executor = self._client.get_executor(pure=False, retries=1)

    @property
    def width(self) -> int:
        """Enough for every thread of the cluster as it is now, and some in advance."""
        threads: int = sum(self._client.nthreads().values())
        return 2 * max(threads, 1) + 1

    def renew(self) -> None:
        """The scheduler replaces its workers itself."""

    def check(self) -> None:
        """Raise InputError when the scheduler is gone."""
        if self._client.status != "running":
            raise InputError(f"scheduler {self._address!r} is gone; --resume computes what is missing")

    def close(self) -> None:
        """Take back what is not done and leave; the cluster stays."""
        self.executor.shutdown(wait=False)  # which takes back what waits
        self._client.close()


def _plugin(job: Job) -> Any:
    from dask.distributed import WorkerPlugin

    class Prepare(WorkerPlugin):  # type: ignore[misc]
        """Makes every worker ready, those that join later too."""

        name = f"interphase_sim-{job.key}"

        def setup(self, worker: Any) -> None:
            from interphase_sim.sweeps.worker import prepare

            prepare(job)

    return Prepare()


def crew(job: Job, workers: int, scheduler: str | None) -> Crew:
    """Workers as asked for."""
    return Cluster(job, scheduler) if scheduler else Pool(job, workers)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started meanwhile compute on one thread, unless the user said otherwise."""
    added = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def run(tasks: Iterable[Task], crew: Crew, keep: Callable[[Outcome], None], tick: Callable[[], None]) -> None:
    """Have all tasks done and every outcome kept; `tick` is called at least once a second.

    A bounded number is in flight. When a process dies, the pool is made anew and what was in flight is done again, one
    by one, so that a run that kills its worker is found: after the second time it is recorded as lost.
    """
    _Round(iter(tasks), crew, keep).finish(tick)


class _Round:
    """Tasks on their way: waiting ones, suspects that were in flight when a process died, and those in flight."""

    def __init__(self, tasks: Iterator[Task], crew: Crew, keep: Callable[[Outcome], None]) -> None:
        self.tasks, self.crew, self.keep = tasks, crew, keep
        self.suspects: deque[Task] = deque()
        self.flying: dict[Future[Outcome], Task] = {}
        self.deaths: Counter[int] = Counter()
        self.alone = False

    def finish(self, tick: Callable[[], None]) -> None:
        while self._fill():
            done, _ = wait(self.flying, timeout=TICK, return_when=FIRST_COMPLETED)
            self.crew.check()
            broken = [task for task in map(self._land, done) if task is not None]
            if broken:
                self._recover(broken)
            tick()

    def _fill(self) -> bool:
        """Hand out tasks, suspects one at a time; False when nothing is left."""
        if self.suspects:
            if not self.flying:
                self.alone = True
                self._submit(self.suspects.popleft())
            return True
        if self.alone and self.flying:
            return True
        self.alone = False
        while len(self.flying) < self.crew.width:
            task = next(self.tasks, None)
            if task is None:
                break
            if not self._submit(task):
                break
        return bool(self.flying or self.suspects)

    def _submit(self, task: Task) -> bool:
        try:
            self.flying[self.crew.executor.submit(worker.work, task)] = task
        except BrokenExecutor:  # it broke just now: those in flight tell, and without any there is nothing to lose
            self.suspects.append(task)
            if not self.flying:
                self.crew.renew()
            return False
        return True

    def _land(self, future: Future[Outcome]) -> Task | None:
        """Keep the outcome of a finished future; its task if its worker died."""
        task = self.flying.pop(future)
        try:
            outcome = future.result()
        except BrokenExecutor:
            return task
        except CancelledError:  # a cluster that closes takes its tasks back
            self.crew.check()
            return task
        except Exception as error:  # what a cluster makes of a lost worker
            outcome = Outcome(task.run, LOST, f"its worker was lost ({type(error).__name__}: {error})")
        self.keep(outcome)
        return None

    def _recover(self, broken: list[Task]) -> None:
        """A new pool; what was in flight is tried again, or given up if it was alone for the last time."""
        rest, _ = wait(self.flying)
        broken += [task for task in map(self._land, rest) if task is not None]
        self.crew.renew()
        if self.alone:
            (task,) = broken
            self.deaths[task.run] += 1
            if self.deaths[task.run] >= DEATHS:
                text = f"its worker process died {DEATHS} times while it ran alone"
                return self.keep(Outcome(task.run, LOST, text))
        self.suspects.extendleft(sorted(broken, key=lambda task: task.run, reverse=True))
        return None
