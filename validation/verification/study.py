"""What a part of the verification is made of: studies, which take a ``Run`` and return a ``Finding``.

A part is a module of this package with ``STUDIES``, its studies by short name. It may name further files that decide
its findings in ``READS``, as patterns from the top of the repository.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from validation.particulate import store

SEED = 20210


@dataclass(frozen=True)
class Finding:
    """One row of the table: what was looked at, cases run, failures among them, the figure reached with its unit,
    what it must be, and the explanation of each failure."""

    study: str
    cases: int
    failures: int
    figure: str
    bound: str = ""
    note: str = ""


@dataclass(eq=False)
class Run:
    """What a study is given: sizes (``quick`` ones try the whole way in seconds), the seed of everything random, and
    a folder that survives an interrupt; ``code`` is the digest that what is stored there carries."""

    folder: Path
    code: str
    quick: bool = False
    seed: int = SEED
    earlier: float = field(default=0.0, init=False)  # s, spent on chunks before this sitting

    def chunks(
        self, key: str, total: int, size: int, work: Callable[[int, int], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """What ``work(first, last)`` returned for the cases [first, last) of every chunk of ``total`` cases.

        A chunk that an earlier sitting stored is taken from there. What work returns must survive JSON.
        """
        return [self._chunk(key, first, min(first + size, total), work) for first in range(0, total, size)]

    def _chunk(self, key: str, first: int, last: int, work: Callable[[int, int], dict[str, Any]]) -> dict[str, Any]:
        path, digest = self.folder / f"{key}-{first}-{last}.json", f"{self.code} {self.seed}"
        stored = store.load(path, digest)
        if stored is None:
            start = time.perf_counter()
            found = work(first, last)
            store.save(path, {"found": found, "seconds": time.perf_counter() - start}, digest)
            return found
        self.earlier += float(stored["seconds"])
        return dict(stored["found"])


Study = Callable[[Run], Finding]
