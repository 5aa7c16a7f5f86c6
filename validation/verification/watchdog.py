"""Work in another process that is ended when it takes too long: a compiled loop hears no signal."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Work = Callable[[Any], Any]
TOO_LONG = "too long"
DIED = "died"


class Watched:
    """Calls ``work`` (a module's function) with one task after the other in a process of its own.

    A task that takes longer than ``limit`` [s] gives ``TOO_LONG``, one whose process ends gives ``DIED``; either way
    the next finds a fresh process. ``first`` [s] is granted to a process's first task besides, to import and compile.
    """

    def __init__(self, work: Work, limit: float, first: float = 240.0) -> None:
        self._work, self._limit, self._first = work, limit, first
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, task: Any) -> Any:
        limit = self._limit
        if self._process is None:
            self._ends, theirs = self._context.Pipe()
            self._process = self._context.Process(target=serve, args=(self._work, theirs), daemon=True)
            self._process.start()
            theirs.close()
            limit += self._first
        try:
            self._ends.send(task)
            if self._ends.poll(limit):
                return self._ends.recv()
        except (EOFError, OSError):
            self._end()
            return DIED
        self._end()
        return TOO_LONG

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._ends.close()
            self._process = None


def serve(work: Work, pipe: Any) -> None:
    """Answer tasks until the other end is gone."""
    try:
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
