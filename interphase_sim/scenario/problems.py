"""Pydantic's findings as one sentence per error, with the key and the nearest valid name."""

from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from interphase_sim import units
from interphase_sim.scenario.sections import STEP_TYPES

Location = tuple[str | int, ...]
Problem = tuple[Location, str]
_EXPECTED = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dict_type": "must be a table",
    "string_too_short": "must not be empty",
    "finite_number": "must be a finite number",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Each finding as (path of keys, sentence); a missing key that was only misspelt is told once."""
    details = error.errors(include_url=False)
    misspelt = {_intended(detail["loc"], model) for detail in details if detail["type"] == "extra_forbidden"}
    kept = [d for d in details if d["type"] != "missing" or _key_path(d["loc"]) not in misspelt]
    return [(_key_path(d["loc"]), line) for d in kept for line in _sentence(d, model).split("\n")]


def dotted(path: Location) -> str:
    """`protocol.steps[0].rate` for ("protocol", "steps", 0, "rate"); strange keys are quoted and escaped."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path).removeprefix(".")


def _key(part: str) -> str:
    return part if part.isascii() and part.replace("-", "_").isidentifier() else units.shown(part)


def model_at(path: Location, model: type[BaseModel]) -> type[BaseModel]:
    """The table type found by following keys, list positions and step types down from `model`."""
    current: Any = model
    for part in path:
        if part in STEP_TYPES:
            current = STEP_TYPES[str(part)]
        elif isinstance(part, str) and part in current.model_fields:
            current = table_type(current.model_fields[part].annotation) or current
    return current  # type: ignore[no-any-return]


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        names = list(model_at(detail["loc"][:-1], model).model_fields)
        return f"unknown key{units.nearest(str(detail['loc'][-1]), names)}"
    if kind == "literal_error":
        return _none_of(given, context["expected"])
    if kind == "union_tag_invalid":
        return "type " + _none_of(context["tag"], context["expected_tags"])
    if kind == "union_tag_not_found":
        return "type is missing, one of 'cc', 'cv', 'rest'"
    shown = "a table" if isinstance(given, dict) else units.shown(given)
    return f"{shown} {_EXPECTED.get(kind) or _comparison(kind, context) or detail['msg'].lower()}"


def _comparison(kind: str, context: dict[str, Any]) -> str:
    words = {"greater_than_equal": "ge", "less_than_equal": "le", "greater_than": "gt", "less_than": "lt"}
    if kind not in words:
        return ""
    phrase = {"ge": "must be at least", "le": "must be at most", "gt": "must be above", "lt": "must be below"}
    return f"{phrase[words[kind]]} {context[words[kind]]:g}"


def _none_of(given: object, expected: str) -> str:
    names = expected.replace(" or ", ", ").replace("'", "").split(", ")
    return f"{units.shown(given)} is none of {', '.join(names)}{units.nearest(str(given), names)}"


def _intended(path: Location, model: type[BaseModel]) -> Location:
    names = list(model_at(path[:-1], model).model_fields)
    close = units.closest(str(path[-1]), names)
    return _key_path((*path[:-1], close)) if close else ()


def _key_path(path: Location) -> Location:
    """The path without the step type that pydantic puts behind a list position."""
    return tuple(
        part
        for before, part in zip((None, *path), path, strict=False)
        if not (isinstance(before, int) and part in STEP_TYPES)
    )


def table_type(annotation: Any) -> type[BaseModel] | None:
    """The one table type inside `Table | None` or `tuple[Table, ...]`, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [part for part in get_args(annotation) if part not in (NoneType, Ellipsis)]
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    found = [table for table in map(table_type, inner) if table is not None]
    return found[0] if len(found) == 1 else None
