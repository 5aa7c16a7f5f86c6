"""What of a run a limit is for: an observable, or the ratio or difference of two.

A comparison is written as `bare sulfate 0 / coated sulfate 0`: cell, observable and cycle, and once more behind `/` or
`-`. Cycle 0 is the uncycled cell after its contact dose.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from interphase_sim.experiment.observables import OBSERVABLES, ratio

Read = Callable[[str, str, int], float]  # cell, observable, cycle -> value; not-a-number where not available
_SIGNS = ("/", "-")


class Reading(NamedTuple):
    """An observable of a cell at a cycle."""

    cell: str
    observable: str
    cycle: int


@dataclass(frozen=True)
class Comparison:
    """One reading, or two with the sign between them."""

    first: Reading
    sign: str = ""
    second: Reading | None = None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What has to be read."""
        return (self.first,) if self.second is None else (self.first, self.second)

    def within(self, cells: Container[str]) -> bool:
        """Whether these cells are enough to know it."""
        return all(reading.cell in cells for reading in self.readings)

    def value(self, read: Read) -> float:
        """The number; not-a-number where something is not available, or a ratio is to nothing."""
        if self.second is None:
            return read(*self.first)
        above, below = read(*self.first), read(*self.second)
        return ratio(above, below) if self.sign == "/" else above - below


def parse(text: str) -> Comparison:
    """A comparison from its text. Raises ValueError saying what is wrong with it."""
    words = text.split()
    if len(words) == 3:
        return Comparison(_reading(words))
    if len(words) == 7 and words[3] in _SIGNS:
        return Comparison(_reading(words[:3]), words[3], _reading(words[4:]))
    raise ValueError(f"{text!r} is not cell, observable and cycle, alone or twice with / or - between")


def _reading(words: list[str]) -> Reading:
    cell, name, cycle = words
    check_name(name)
    if not cycle.isdecimal():
        raise ValueError(f"{cycle!r} is no cycle number")
    return Reading(cell, name, int(cycle))


def check_name(name: str) -> None:
    """Raises ValueError with the nearest name if no observable is called so."""
    if name not in OBSERVABLES:
        near = difflib.get_close_matches(name, OBSERVABLES, 1)
        raise ValueError(f"no observable {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
