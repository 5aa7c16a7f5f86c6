"""A scenario in a few lines, as it is shown where somebody only wants to know which one it is."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from interphase_sim.fields import KINDS, Parameter, Ratio
from interphase_sim.scenario.sections import ConstantCurrent, ConstantVoltage, Step

if TYPE_CHECKING:
    from interphase_sim.scenario.schema import Scenario

WIDTH = 100  # columns
MAX_STEPS, MAX_BLOCKS = 6, 4  # of a cycle, and blocks of first cycles, that are named one by one
_INDENT = 12


def of(scenario: Scenario) -> str:
    """Name, cell, coating, kinetics, protocol and numerics, each on at most three lines of 100 columns."""
    title = f"Scenario {scenario.name!r}" + (f": {scenario.description}" if scenario.description else "")
    rows = [("cell", _cell(scenario)), ("coating", _coating(scenario)), ("kinetics", _kinetics(scenario))]
    rows += [*_protocol(scenario), ("numerics", _numerics(scenario)), ("digest", scenario.digest()[:16])]
    return "\n".join([_short(title, WIDTH), *(_line(name, text) for name, text in rows)])


def _short(text: str, width: int) -> str:
    return textwrap.shorten(text, width, placeholder=" ...")


def _line(name: str, text: str) -> str:
    """A name and its text, continued below itself and cut after three lines; a text without a name after one."""
    fill = {"initial_indent": f"  {name:{_INDENT - 2}}", "subsequent_indent": " " * _INDENT, "placeholder": " ..."}
    return textwrap.fill(text, WIDTH, max_lines=3 if name else 1, **fill)  # type: ignore[arg-type]


def _written(parameter: Parameter) -> str:
    """The value of a parameter as it was written."""
    return str(dict(parameter.given).get("value", f"{parameter.si:g} {parameter.unit}".strip()))


def _cell(scenario: Scenario) -> str:
    cell = scenario.cell
    window = f"{_written(cell.lower_voltage)} to {_written(cell.upper_voltage)} vs LTO"
    return f"{cell.model} at {_written(cell.temperature)}, {window}; {_sources(cell)}"


def _coating(scenario: Scenario) -> str:
    coating = scenario.coating
    if coating is None:
        return "none"
    shell = f" in {coating.shell}" if coating.shell else ""
    gaps = f", gaps of radius {_written(coating.gap_radius)} with {coating.filler}" if coating.gap_radius else ""
    layer = f"{_written(coating.thickness)} of {coating.core}{shell} on {coating.coverage.si:.3g} of the contact"
    return f"{layer}{gaps}; contact {coating.contact!r}; {_sources(coating)}"


def _kinetics(scenario: Scenario) -> str:
    losses = [name for name, value in scenario.kinetics.losses if value is True]
    return f"{_sources(scenario.kinetics)}; losses: {', '.join(losses) or 'none'}"


def _protocol(scenario: Scenario) -> Iterator[tuple[str, str]]:
    protocol = scenario.protocol
    yield "protocol", f"{protocol.cycles} cycles: {_steps(protocol.steps)}"
    for block in protocol.first[:MAX_BLOCKS]:
        yield "", f"first {block.cycles}: {_steps(block.steps)}"
    if len(protocol.first) > MAX_BLOCKS:
        yield "", f"and {len(protocol.first) - MAX_BLOCKS} more blocks of first cycles"


def _steps(steps: tuple[Step, ...]) -> str:
    more = [f"and {len(steps) - MAX_STEPS} more steps"] if len(steps) > MAX_STEPS else []
    return ", ".join([*map(_step, steps[:MAX_STEPS]), *more])


def _step(step: Step) -> str:
    if isinstance(step, ConstantCurrent):
        size = step.rate or step.current
        until = f" to {_written(step.until)}" if step.until else ""
        return f"{step.direction} at {_written(size) if size else '?'}{until}"
    if isinstance(step, ConstantVoltage):
        return f"hold {_written(step.voltage)} until {_written(step.until_current)}"
    return f"rest {_written(step.duration)}"


def _numerics(scenario: Scenario) -> str:
    numerics = scenario.numerics
    outputs = ", ".join(map(str, numerics.output_cycles)) or "the last"
    limits = {name: getattr(numerics, name) for name in ("end_of_life_capacity", "end_of_life_fraction")}
    stated = [f"{name} {_written(limit)}" for name, limit in limits.items() if limit.si > 0]
    jump = [f"jumps within {_written(numerics.jump_tolerance)}"] if numerics.jump else []
    return "; ".join([f"{numerics.column_cells} column cells, output cycles {outputs}", *jump, *stated])


def _sources(section: BaseModel) -> str:
    """How many parameters a section has, by kind, and how many sources they name."""
    found = list(_parameters(section))
    kinds = Counter(parameter.kind for parameter in found)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    return f"{len(found)} parameters ({counts}) from {len({parameter.source for parameter in found})} sources"


def _parameters(node: Any) -> Iterator[Parameter | Ratio]:
    if isinstance(node, Parameter | Ratio):
        yield node
    elif isinstance(node, BaseModel):
        for _, value in node:
            yield from _parameters(value)
