"""From a sweep file to its runs: run i of n, in the order of the data set, and the changes that make it."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from interphase_sim import units
from interphase_sim.errors import InputError
from interphase_sim.files import as_path
from interphase_sim.resources import shipped
from interphase_sim.scenario import Scenario, quantity_of
from interphase_sim.scenario import files as scenario_files
from interphase_sim.scenario.problems import dotted, problems_of
from interphase_sim.sweeps import coatings, sampling
from interphase_sim.sweeps.schema import COATING, VARIED, Axis, SweepFile, number

Changes = dict[str, Any]
FOLDER = "scenarios/sweeps"
_TRIED = 20  # runs that are looked at before a sweep begins


class Coordinate(NamedTuple):
    """A labelled coordinate of the data set: dimensions, values and attributes."""

    dims: tuple[str, ...]
    values: npt.NDArray[Any]
    attrs: dict[str, str]


@dataclass(frozen=True)
class Block:
    """Dimensions that are varied together: their names and lengths, coordinates, and the changes at an index."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coordinates: Mapping[str, Coordinate]
    keys: tuple[str, ...]
    at: Any  # (index along dims) -> Changes


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep: the file and its text, the base scenario with what is set for all, and what is varied."""

    file: SweepFile
    text: str
    base: Scenario
    blocks: tuple[Block, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of a run, in order."""
        return tuple(name for block in self.blocks for name in block.dims)

    @property
    def shape(self) -> tuple[int, ...]:
        """Their lengths."""
        return tuple(size for block in self.blocks for size in block.shape)

    @property
    def runs(self) -> int:
        """Number of runs."""
        return math.prod(self.shape)

    @property
    def cycles(self) -> npt.NDArray[np.int64]:
        """The cycles that are kept."""
        kept = self.file.kept_cycles or range(self.base.protocol.cycles + 1)
        return np.array(kept, np.int64)

    def changes(self, run: int) -> Changes:
        """What run `run` changes of the base scenario; coverage 0 is the bare cell, which has no coating."""
        index, found, start = np.unravel_index(run, self.shape), Changes(), 0
        for block in self.blocks:
            stop = start + len(block.dims)
            found |= block.at(tuple(int(i) for i in index[start:stop]))
            start = stop
        return _without_empty_coating(found, self.base)

    def firsts(self) -> npt.NDArray[np.int64]:
        """The first run with the same changes as each run (runs,): those that differ from their own number are
        copies of it."""
        first, seen = np.arange(self.runs), dict[bytes, int]()
        for run in range(self.runs if self.repeats else 0):
            key = json.dumps(self.changes(run), sort_keys=True, default=repr)
            first[run] = seen.setdefault(hashlib.blake2b(key.encode(), digest_size=8).digest(), run)
        return first

    @property
    def repeats(self) -> bool:
        """Whether runs can be equal: coatings with unlike many cases, or coverage 0."""
        return self.file.design is None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the content of every run, the code aside."""
        deciding = self.file.model_dump(mode="json", exclude={"name", "description", "base"})
        content = json.dumps([self.base.digest(), deciding], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()


def load(path_or_name: str | Path) -> Plan:
    """The plan of a sweep file, or of a shipped sweep by its name.

    Raises InputError with one line per error of the file, its base scenario and the values set in it.
    """
    path = find(path_or_name)
    table = scenario_files.read_toml(path)
    try:
        file = SweepFile.model_validate(table)
    except ValidationError as error:
        lines = [f"{path}: {dotted(at)}: {text}" for at, text in problems_of(error, SweepFile)]
        raise InputError("\n".join(lines)) from None
    wrong = coatings.check(file.coatings)
    if wrong:
        raise InputError("\n".join(f"{path}: {text}" for text in wrong))
    base = _base(file, path)
    try:
        blocks, notes = _blocks(file, base)
    except InputError as error:
        raise InputError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
    plan = Plan(file, path.read_text(encoding="utf-8-sig"), base, blocks, notes)
    _check_whole(plan, path)
    return plan


def find(path_or_name: str | Path) -> Path:
    """The file behind a path, or behind the name of a shipped sweep."""
    as_path(path_or_name, "sweep")
    text, names = str(path_or_name), sweep_names()
    if text in names:
        return shipped(f"{FOLDER}/{text}.toml")
    if isinstance(path_or_name, Path) or text.endswith(".toml") or "/" in text or "\\" in text or Path(text).exists():
        return Path(text)
    raise InputError(
        f"no sweep is named {units.shown(text)} (shipped: {', '.join(names)}; any other needs the path of its file)"
        f"{units.nearest(text, names)}"
    )


def sweep_names() -> list[str]:
    """Names of the shipped sweeps."""
    return [file.stem for file in sorted(shipped(FOLDER).glob("*.toml"))]


def _base(file: SweepFile, path: Path) -> Scenario:
    try:
        found, table = scenario_files.follow(file.base, path.parent)
    except InputError as error:
        raise InputError(f"{path}: base: {error}") from None
    plain = Scenario.from_dict(table, where=str(found), folder=found.parent)
    settings: Changes = {"numerics.output_cycles": []} | file.set
    if file.cycles is not None:
        settings["protocol.cycles"] = file.cycles
    if file.end_of_life is not None:
        settings |= file.end_of_life.settings()
    return plain.replace(settings, where=f"{path}: set", by="by [set] of a sweep")


def _check_whole(plan: Plan, path: Path) -> None:
    """Refuse a sweep of which no run, of some from first to last, makes a scenario, and cycles that no run reaches."""
    last = plan.base.protocol.cycles
    if plan.file.kept_cycles and plan.file.kept_cycles[-1] > last:
        raise InputError(f"{path}: kept_cycles: {plan.file.kept_cycles[-1]} lies behind the last cycle, {last}")
    problems = []
    for run in np.unique(np.linspace(0, plan.runs - 1, _TRIED).astype(int)):
        try:
            plan.base.replace(plan.changes(int(run)), where=f"{path}: run {run}", by=VARIED)
            return
        except InputError as error:
            problems.append(str(error).splitlines()[0])
    raise InputError(problems[0])


def _blocks(file: SweepFile, base: Scenario) -> tuple[tuple[Block, ...], dict[str, Any]]:
    names = file.dim_names()
    if file.design is not None:
        return (_design(file, names),), {}
    notes: dict[str, Any] = {}
    blocks = []
    for axis, name in zip(file.axes, names, strict=True):
        if axis.key == COATING:
            block, notes["coating_cases"] = _coating_block(axis, name, file, base)
        else:
            block = _axis_block(axis, name)
        blocks.append(block)
    return tuple(blocks), notes


def _axis_block(axis: Axis, name: str) -> Block:
    raw = axis.values if axis.values is not None else _ranged(axis)
    values, unit = _labels(raw, axis.key)
    if len({*map(repr, values.tolist())}) < len(values):
        raise InputError(f"{axis.key}: a value is named twice")
    coordinate = Coordinate((name,), values, {"units": unit, "long_name": axis.key})
    keys = (axis.key, *axis.also)
    return Block((name,), (len(raw),), {name: coordinate}, keys, lambda i: dict.fromkeys(keys, raw[i[0]]))


def _ranged(axis: Axis) -> list[Any]:
    """The values of a range as a scenario file writes them, rounded to twelve digits."""
    assert axis.count is not None
    start, stop = number(axis.start, axis.key), number(axis.stop, axis.key)
    space = np.geomspace if axis.scale == "log" else np.linspace
    values = [float(f"{v:.12g}") for v in space(start.value, stop.value, axis.count)]
    if quantity_of(axis.key) is None and isinstance(axis.start, int) and all(v.is_integer() for v in values):
        return [int(v) for v in values]
    return [start._replace(value=v).written() for v in values]


def _labels(raw: Sequence[Any], key: str) -> tuple[npt.NDArray[Any], str]:
    """Numbers and their unit where all values are numbers, in the first one's unit if all have the same, in SI if
    not; else texts. A value that no scenario could hold is left for its runs to tell."""
    try:
        numbers = [number(value, key) for value in raw]
    except InputError:
        return np.array([_text(value) for value in raw]), ""
    quantity, found = quantity_of(key), {n.unit for n in numbers}
    if len(found) == 1 or quantity is None:
        return np.array([n.value for n in numbers]), numbers[0].unit
    return np.array([quantity.number(value) for value in raw]), quantity.unit(raw[0])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _coating_block(axis: Axis, name: str, file: SweepFile, base: Scenario) -> tuple[Block, dict[str, list[Changes]]]:
    wanted = coatings.names() if axis.values == "all" else list(axis.values)
    if len({*map(repr, wanted)}) < len(wanted):
        raise InputError("coating: a coating is named twice")
    for unused in [own for own in file.coatings if own not in wanted]:
        raise InputError(f"coatings.{unused}: no axis has a coating of this name{units.nearest(unused, wanted)}")
    table = [coatings.cases(each, file.coatings.get(each, {}), base, axis.spread or "missing") for each in wanted]
    widest = max(map(len, table))
    labels = Coordinate((name,), np.array(wanted), {"long_name": "material of the coating"})
    if widest == 1:
        block = Block((name,), (len(wanted),), {name: labels}, (COATING,), lambda i: table[i[0]][0])
        return block, {}
    text = "corner of what is not known of the coating; attribute coating_cases tells which, those behind repeat"
    case = Coordinate(("case",), np.arange(widest), {"units": "1", "long_name": text})
    coordinates = {name: labels, "case": case}
    block = Block(
        (name, "case"),
        (len(wanted), widest),
        coordinates,
        (COATING,),
        lambda i: table[i[0]][i[1] % len(table[i[0]])],
    )
    return block, dict(zip(wanted, table, strict=True))


def _design(file: SweepFile, names: tuple[str, ...]) -> Block:
    assert file.design is not None
    inputs = file.design.inputs
    drawn = sampling.draw(file.design)
    coordinates = {"run": Coordinate(("run",), np.arange(len(drawn.values)), {"units": "1", "long_name": "run"})}
    for k, (name, each) in enumerate(zip(names, inputs, strict=True)):
        attrs = {"units": drawn.units[k], "long_name": each.key}
        coordinates[name] = Coordinate(("run",), drawn.values[:, k], attrs)
    if drawn.matrix is not None:
        labels = np.array(["A", "B", *names])[drawn.matrix]
        text = "Saltelli's design: A, B, or A with this one input of B"
        coordinates["matrix"] = Coordinate(("run",), labels, {"long_name": text})

    def changes(index: tuple[int, ...]) -> Changes:
        row = drawn.values[index[0]].tolist()
        return {
            each.key: f"{value!r} {unit}" if unit else value
            for each, value, unit in zip(inputs, row, drawn.units, strict=True)
        }

    return Block(("run",), (len(drawn.values),), coordinates, tuple(each.key for each in inputs), changes)


def _without_empty_coating(changes: Changes, base: Scenario) -> Changes:
    coverage: Any = changes.get("coating.coverage", base.coating.coverage.si if base.coating else None)
    if isinstance(coverage, bool) or not isinstance(coverage, int | float) or coverage != 0:
        return changes
    return {key: value for key, value in changes.items() if not key.startswith("coating.")} | {"coating": None}
