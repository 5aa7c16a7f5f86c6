"""The acceptance criteria as they ship, fixed before the first fit, and how far a number is from them.

`gate` marks the rows that decide the exit code of `validate`; `validation/criteria.toml` states the rule.
"""

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from interphase_sim.errors import InputError
from interphase_sim.resources import shipped

FILE = "validation/criteria.toml"
KINDS = ("criteria", "closure", "trends", "bounds")
LEVELS = ("must", "goal")


class Verdict(NamedTuple):
    """A number beside the limit it comes closest to, or exceeds most.

    margin : relative distance to that limit, negative where it is exceeded; not-a-number without a number
    """

    holds: bool
    value: float
    threshold: float
    margin: float


@dataclass(frozen=True)
class Limits:
    """An allowed range of positive limits; `at_least` and `at_most` include them, `above` excludes."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None

    def judge(self, value: float) -> Verdict:
        """The verdict on a number; one that is not available or not finite does not hold."""
        if not math.isfinite(value):
            limit = next(x for x in (self.at_least, self.above, self.at_most) if x is not None)
            return Verdict(False, math.nan, limit, math.nan)
        sides = []
        if self.at_least is not None:
            sides.append(Verdict(value >= self.at_least, value, self.at_least, value / self.at_least - 1))
        if self.above is not None:
            sides.append(Verdict(value > self.above, value, self.above, value / self.above - 1))
        if self.at_most is not None:
            sides.append(Verdict(value <= self.at_most, value, self.at_most, 1 - value / self.at_most))
        return worst(sides)

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        signs = ((">=", self.at_least), (">", self.above), ("<=", self.at_most))
        return ", ".join(f"{sign} {limit:g}" for sign, limit in signs if limit is not None)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that decides several conditions: one without a number before the smallest margin."""
    return min(verdicts, key=lambda v: (v.holds, not math.isnan(v.margin), v.margin))


@dataclass(frozen=True)
class Criterion:
    """One number to judge; without `must` it counts for the goal only."""

    meaning: str
    source: str
    unit: str
    gate: bool
    must: Limits | None = None
    goal: Limits | None = None


@dataclass(frozen=True)
class Trend:
    """One measured trend; each named condition has its own limits, and one gate holds for all of them."""

    meaning: str
    source: str
    gate: bool
    must: Mapping[str, Limits]
    goal: Mapping[str, Limits]


@dataclass(frozen=True)
class Criteria:
    """Everything that `validate` judges by."""

    criteria: Mapping[str, Criterion]
    closure: Mapping[str, Criterion]
    trends: Mapping[str, Trend]
    bounds: Mapping[str, Criterion]
    built_in: Mapping[str, str]
    external_check: Mapping[str, Any]


def load() -> Criteria:
    """The shipped criteria."""
    path = shipped(FILE)
    return parse(tomllib.loads(path.read_text(encoding="utf-8")), str(path))


def parse(table: Mapping[str, Any], where: str = FILE) -> Criteria:
    """Criteria from the table of a file.

    where: what stands before an error. Raises InputError naming every row whose `gate` is missing or impossible.
    """
    rows = [(f"{kind}.{name}", row) for kind in KINDS for name, row in table[kind].items()]
    problems = [f"{where}: {name}: {text}" for name, row in rows for text in _wrong(row)]
    if problems:
        raise InputError("\n".join(problems))
    return Criteria(
        criteria={name: _criterion(row) for name, row in table["criteria"].items()},
        closure={name: _criterion(row) for name, row in table["closure"].items()},
        trends={name: _trend(row) for name, row in table["trends"].items()},
        bounds={name: _criterion(row) for name, row in table["bounds"].items()},
        built_in=table["built_in"],
        external_check=table["external_check"],
    )


def _wrong(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the gate of a row."""
    if "gate" not in row:
        yield "gate is missing; a new row enters with gate = false"
    elif not isinstance(row["gate"], bool):
        yield f"gate must be true or false, not {row['gate']!r}"
    elif row["gate"] and not row.get("must"):
        yield "gate = true needs a must"


def _criterion(row: Mapping[str, Any]) -> Criterion:
    must, goal = (Limits(**row[level]) if level in row else None for level in LEVELS)
    return Criterion(**_words(row), must=must, goal=goal)


def _trend(row: Mapping[str, Any]) -> Trend:
    must, goal = (_conditions(row.get(level, {})) for level in LEVELS)
    return Trend(**_words(row), must=must, goal=goal)


def _words(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without its limits."""
    return {key: value for key, value in row.items() if key not in LEVELS}


def _conditions(table: Mapping[str, Any]) -> dict[str, Limits]:
    return {name: Limits(**limits) for name, limits in table.items()}
