"""A scenario or one of its tables as TOML text, with every value, kind and source spelt out."""

import json
from typing import Any

from pydantic import BaseModel

from interphase_sim.fields import Parameter, Ratio, Span


def as_table(section: BaseModel) -> dict[str, Any]:
    """The plain table that reads back as this section; absent keys are left out."""
    pairs = ((name, getattr(section, name)) for name in type(section).model_fields)
    return {name: _plain(value) for name, value in pairs if value is not None}


def to_toml(section: BaseModel) -> str:
    """TOML text of a section: plain keys first, then its tables."""
    return "\n".join(_lines(section, ())).strip() + "\n"


def numbers(section: BaseModel) -> dict[str, Any]:
    """The values of a section in SI, without kinds, sources and ranges."""
    return {name: _number(getattr(section, name)) for name in type(section).model_fields}


def _number(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return numbers(value)
    if isinstance(value, Parameter):
        return [value.si, value.unit]
    if isinstance(value, Ratio):
        return list(value.fractions)
    return [_number(item) for item in value] if isinstance(value, tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Parameter | Ratio | Span):
        return value.as_written()
    if isinstance(value, BaseModel):
        return as_table(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _lines(section: BaseModel, path: tuple[str, ...]) -> list[str]:
    present = {name: getattr(section, name) for name in type(section).model_fields}
    tables = {name: value for name, value in present.items() if isinstance(value, BaseModel)}
    lines = ["", f"[{'.'.join(path)}]"] if path and len(tables) < len(present) else []
    lines += [
        f"{name} = {_value(_plain(value), top=True)}"
        for name, value in present.items()
        if name not in tables and value is not None
    ]
    for name, table in tables.items():
        lines += _lines(table, (*path, name))
    return lines


def _value(value: Any, *, top: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        if top and any(isinstance(item, dict) for item in value):
            return "[\n" + "".join(f"    {_value(item)},\n" for item in value) + "]"
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return repr(value)
