"""The acceptance criteria, fixed before the first fit, and how far a number is from them.

`gate` marks the rows that decide the exit code of `validate`; `validation/criteria.toml` states the rule.
"""

import math
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from interphase_sim.errors import InputError
from interphase_sim.experiment import comparisons
from interphase_sim.experiment.comparisons import Comparison, Read
from interphase_sim.experiment.folder import data_file

FILE = "criteria.toml"
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

    def headroom(self, value: float) -> float:
        """Value over lower limit or upper limit over value, the smaller: one or more where the limits are met.

        0 for a number that is not available; infinite below an upper limit where the number is not positive.
        """
        if not math.isfinite(value):
            return 0.0
        lower = [value / limit for limit in (self.at_least, self.above) if limit is not None]
        upper = [] if self.at_most is None else [self.at_most / value if value > 0 else math.inf]
        return min(lower + upper)

    def outside(self, value: float) -> tuple[float, float]:
        """ln(lower limit/value) and ln(value/upper limit) of a positive number; 0 where a limit is met or absent."""
        low = math.log(self.at_least / value) if self.at_least is not None else 0.0
        high = math.log(value / self.at_most) if self.at_most is not None else 0.0
        return max(0.0, low), max(0.0, high)

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
    """One number to judge; without `must` it counts for the goal only.

    compares : what of the runs it is for, where the file and not the code says so
    """

    meaning: str
    source: str
    unit: str
    gate: bool
    must: Limits | None = None
    goal: Limits | None = None
    compares: Comparison | None = None

    @property
    def least(self) -> Limits:
        """What must hold; nothing without a must."""
        return self.must or Limits()

    def value(self, read: Read) -> float:
        """What it is for; not-a-number if the code knows."""
        return self.compares.value(read) if self.compares else math.nan


@dataclass(frozen=True)
class Trend:
    """One measured trend; each named condition has its own limits, and one gate holds for all of them.

    compares : what of the runs each condition is for; every one has to meet its limits
    fitted : whether a calibration pays for a trend that does not hold
    """

    meaning: str
    gate: bool
    must: Mapping[str, Limits]
    goal: Mapping[str, Limits]
    compares: Mapping[str, tuple[Comparison, ...]]
    fitted: bool = True

    def values(self, read: Read) -> dict[str, list[float]]:
        """The numbers of each condition."""
        return {name: [each.value(read) for each in known] for name, known in self.compares.items()}

    def headroom(self, read: Read, cells: Container[str]) -> float | None:
        """The smallest headroom of what these cells are enough for; None where they are not."""
        found = [
            self.must[name].headroom(each.value(read))
            for name in self.must
            for each in self.compares[name]
            if each.within(cells)
        ]
        return min(found) if found else None


class Defaults(NamedTuple):
    """What holds for measured numbers of a quantity whose rows do not say otherwise."""

    uncertainty: float | None = None
    criterion: str = ""


@dataclass(frozen=True)
class Criteria:
    """Everything that `validate` judges by, and limits of what `calibrate` fits."""

    criteria: Mapping[str, Criterion]
    closure: Mapping[str, Criterion]
    trends: Mapping[str, Trend]
    bounds: Mapping[str, Criterion]
    built_in: Mapping[str, str]
    external_check: Mapping[str, Any]
    observations: Mapping[str, Defaults]


def load() -> Criteria:
    """The criteria of the experiment. Raises InputError if the file cannot be used."""
    path = data_file(FILE)
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(8)
def _read(path: Path, changed: int) -> Criteria:
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def parse(table: Mapping[str, Any], where: str = FILE) -> Criteria:
    """Criteria from the table of a file.

    where: what stands before an error. Raises InputError naming every row whose `gate` is missing or impossible, or
    that compares what cannot be read from a run.
    """
    rows = [(f"{kind}.{name}", row) for kind in KINDS for name, row in table[kind].items()]
    problems = [f"{where}: {name}: {text}" for name, row in rows for text in (*_wrong(row), *_unreadable(row))]
    problems += [
        f"{where}: trends.{name}: nothing compared for {condition}"
        for name, row in table["trends"].items()
        for condition in {**row.get("must", {}), **row.get("goal", {})}
        if not row.get("compares", {}).get(condition)
    ]
    if problems:
        raise InputError("\n".join(problems))
    return Criteria(
        criteria={name: _criterion(row) for name, row in table["criteria"].items()},
        closure={name: _criterion(row) for name, row in table["closure"].items()},
        trends={name: _trend(row) for name, row in table["trends"].items()},
        bounds={name: _criterion(row) for name, row in table["bounds"].items()},
        built_in=table["built_in"],
        external_check=table["external_check"],
        observations={name: Defaults(**row) for name, row in table["observations"].items()},
    )


def _wrong(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the gate of a row."""
    if "gate" not in row:
        yield "gate is missing; a new row enters with gate = false"
    elif not isinstance(row["gate"], bool):
        yield f"gate must be true or false, not {row['gate']!r}"
    elif row["gate"] and not row.get("must"):
        yield "gate = true needs a must"


def _unreadable(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the comparisons of a row."""
    compares = row.get("compares", {})
    texts = [compares] if isinstance(compares, str) else [text for texts in compares.values() for text in texts]
    for text in texts:
        try:
            comparisons.parse(text)
        except ValueError as error:
            yield str(error)


def _criterion(row: Mapping[str, Any]) -> Criterion:
    must, goal = (Limits(**row[level]) if level in row else None for level in LEVELS)
    compares = comparisons.parse(row["compares"]) if "compares" in row else None
    return Criterion(**_words(row), must=must, goal=goal, compares=compares)


def _trend(row: Mapping[str, Any]) -> Trend:
    must, goal = (_conditions(row.get(level, {})) for level in LEVELS)
    compares = {name: tuple(map(comparisons.parse, texts)) for name, texts in row["compares"].items()}
    return Trend(**_words(row), must=must, goal=goal, compares=compares)


def _words(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without its limits and what they are for."""
    return {key: value for key, value in row.items() if key not in (*LEVELS, "compares")}


def _conditions(table: Mapping[str, Any]) -> dict[str, Limits]:
    return {name: Limits(**limits) for name, limits in table.items()}
