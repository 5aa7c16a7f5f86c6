"""Values put in the place of others: the one language of `Scenario.replace`, `--set`, sweeps and the calibration.

A key is dotted and may name positions in lists, `protocol.first[0].steps[1].until`. A value is written as in a file: a
quantity with its unit, or a table with value, kind and source. Every number that is put in records by what, and what
it replaces.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_origin

from pydantic import BaseModel

from interphase_sim import units
from interphase_sim.errors import InputError
from interphase_sim.fields import PLAIN_SOURCE, MassRatio, Parameter, Quantity, Ratio
from interphase_sim.scenario import writer
from interphase_sim.scenario.problems import Location, dotted, table_type
from interphase_sim.scenario.sections import STEP_TYPES

STEPS = "steps"  # the lists of which every table has a type
_PART = re.compile(r"([^\[\]]+)((?:\[\d{1,9}\])*)", re.ASCII)
_ORIGINAL = re.compile(r"\breplaced (?:by|in) .*? \(was (.*)\)$", re.DOTALL)


def location_of(key: str) -> Location:
    """("protocol", "steps", 0, "rate") for `protocol.steps[0].rate`. Raises InputError for what cannot be a key."""
    found: list[str | int] = []
    for part in key.split("."):
        match = _PART.fullmatch(part)
        if match is None:
            raise InputError(f"{units.shown(key)} is no key; one is written like protocol.steps[0].rate")
        found += [match[1], *map(int, re.findall(r"\d+", match[2]))]
    return tuple(found)


def value_at(table: Any, key: str) -> Any:
    """What a nested plain table holds under a key; None where it has no such key."""
    for part in location_of(key):
        if isinstance(part, int):
            table = table[part] if isinstance(table, list | tuple) and part < len(table) else None
        else:
            table = table.get(part) if isinstance(table, dict) else None
    return table


@dataclass(frozen=True)
class Place:
    """What a key leads to: a table of one of some types, a list of such tables or of values, or a value.

    reader: how the value is read where it has a kind and a source. optional: whether the key may be left out.
    """

    tables: tuple[type[BaseModel], ...] = ()
    is_list: bool = False
    reader: Quantity | MassRatio | None = None
    optional: bool = False

    def field(self, name: str) -> Place | None:
        """The place of a key of the table; None where no type of it has that key."""
        owner = None if self.is_list else next((t for t in self.tables if name in t.model_fields), None)
        if owner is None:
            return None
        info = owner.model_fields[name]
        inner = table_type(info.annotation)
        tables = tuple(STEP_TYPES.values()) if name == STEPS else (inner,) if inner else ()
        arguments = getattr(info.annotation, "__args__", ())
        marks = [*info.metadata, *(mark for part in arguments for mark in getattr(part, "__metadata__", ()))]
        reader = next((mark for mark in marks if isinstance(mark, Quantity | MassRatio)), None)
        return Place(tables, get_origin(info.annotation) is tuple, reader, optional=info.default is None)

    def element(self, content: object = None) -> Place:
        """The place of an entry of the list; its content tells the type of a step."""
        kind = content.get("type") if isinstance(content, dict) else getattr(content, "type", None)
        known = STEP_TYPES.get(kind) if isinstance(kind, str) else None
        return Place((known,) if known in self.tables else self.tables)


def place_of(key: str, model: type[BaseModel]) -> Place:
    """The place that a key leads to. Raises InputError with the nearest valid key for one that does not exist."""
    path, place = location_of(key), Place((model,))
    for depth, part in enumerate(path):
        before, name = path[:depth], dotted(path[:depth])
        if isinstance(part, int):
            if not place.is_list:
                raise InputError(f"{units.shown(key)} is no key: {name} is not a list")
            place = place.element()
            continue
        if place.is_list:
            raise InputError(f"{units.shown(key)} is no key: {_needs_position(path, depth)}")
        if not place.tables:
            raise InputError(f"{units.shown(key)} is no key: {before[-1]} holds a value")
        found = place.field(part)
        if found is None:
            known = [field for table in place.tables for field in table.model_fields]
            raise InputError(f"{units.shown(key)} is no key of a scenario{_nearest_key(before, part, known)}")
        place = found
    return place


def _needs_position(path: Location, depth: int) -> str:
    example = dotted((*path[:depth], 0, *path[depth:]))
    return f"{dotted(path[:depth])} is a list, whose entries have positions, as in {example}"


def _nearest_key(parents: Location, name: str, known: list[str]) -> str:
    close = units.closest(name, known)
    return f", did you mean {dotted((*parents, close))!r}?" if close else ""


def put(table: dict[str, Any], changes: Mapping[str, Any], model: type[BaseModel], where: str, by: str) -> None:
    """Put values into the plain table of a model; whether they can be read is left for its validation.

    where: what stands before each error. by: such as "by --set", what the numbers record as their source.
    """
    for key, value in changes.items():
        try:
            _put_one(table, key, value, model, by)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


def _put_one(table: dict[str, Any], key: str, value: Any, model: type[BaseModel], by: str) -> None:
    path, place = location_of(key), Place((model,))
    node: Any = table
    for depth, part in enumerate(path):
        holder = node
        if isinstance(part, int):
            _check_position(key, dotted(path[:depth]), holder, part)
            node = holder[part]
            place = place.element(node)
        elif isinstance(holder, dict):
            place = place.field(part) or Place()
            node = holder.get(part) if depth + 1 == len(path) else holder.setdefault(part, {})
        elif isinstance(holder, list):
            raise InputError(f"{key}: {_needs_position(path, depth)}")
        else:
            raise InputError(f"{key}: {dotted(path[:depth])} is not a table")
    if value is not None:
        holder[part] = _recorded(value, place, f"replaced {by} (was {_told(node)})", f"replaced {by}")
    elif isinstance(part, int):
        raise InputError(f"{key}: an entry of a list cannot be left out; give the whole list without it")
    else:
        holder.pop(part, None)


def _check_position(key: str, name: str, holder: object, position: int) -> None:
    if not isinstance(holder, list):
        raise InputError(f"{key}: {name} is not a list")
    if position >= len(holder):
        last = f", the last of them [{len(holder) - 1}]" if holder else ""
        count = f"{len(holder)} {'entry' if len(holder) == 1 else 'entries'}" if holder else "no entries"
        raise InputError(f"{key}: there is no [{position}], {name} has {count}{last}")


def _told(before: object) -> str:
    """A value that is replaced, in words; that of the file where it was itself put in the place of another."""
    if not isinstance(before, dict) or "value" not in before:
        return "not stated"
    original = _ORIGINAL.search(str(before.get("source", "")))
    value = before["value"]
    shown = ":".join(f"{part:g}" for part in value) if isinstance(value, list) else value
    return original[1] if original else f"{shown}, {before.get('kind')}, {before.get('source')}"


def _recorded(value: Any, place: Place, alone: str, within: str) -> Any:
    """The value in plain form, every number in it with its source. alone: source of a number that is the value;
    within: of the numbers in a table or list that is."""
    if place.reader is not None:
        return _with_source(value, alone)
    if isinstance(value, BaseModel):
        value = writer.as_table(value)
    if isinstance(value, Mapping):
        inner = {name: place.field(name) if isinstance(name, str) else None for name in value}
        return {name: _recorded(each, inner[name] or Place(), within, within) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_recorded(each, place.element(each), within, within) for each in value]
    return _plain(value)


def _with_source(value: Any, source: str) -> Any:
    if isinstance(value, Parameter | Ratio):
        value = value.as_written()
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return {"value": _plain(value), "source": source}
    stated = value.get("source", PLAIN_SOURCE)
    if not isinstance(stated, str):
        return dict(value)  # for validation to refuse
    table = {name: _plain(each) for name, each in value.items()}
    return {**table, "source": source if stated in (PLAIN_SOURCE, "") else f"{stated}; {source}"}


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)
