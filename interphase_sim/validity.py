"""Warnings of a result for what lies outside the ranges in which its cell and kinetics files are stated to hold.

A file states its ranges in a table `[validity]`; what it does not state is not judged, and no number of a result
depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from interphase_sim.constants import ZERO_CELSIUS
from interphase_sim.scenario import Cell, ConstantCurrent, ConstantVoltage, Scenario, Span, Step

SLACK = 1e-3  # relative: ranges are stated with three digits at most


@dataclass(frozen=True)
class _Reached:
    """A quantity in words around its value, the values of it that a run reaches [SI], how one is shown, and why to be
    cautious."""

    words: str
    values: Sequence[float]
    shown: Callable[[float], str]
    caution: str


def warnings(scenario: Scenario, layers: Sequence[float]) -> list[str]:
    """One sentence for every quantity of a run that lies outside a range stated in `cell` or `kinetics`.

    layers: thickness of the interphase after every cycle from 0 on [m]; not-a-number where it was not solved.
    """
    reached = {
        "temperature": _temperature(scenario.cell),
        "rate": _rates(scenario),
        "potential": _potentials(scenario),
        "layer_thickness": _layers(scenario, layers),
    }
    found = (_warning(scenario, name, quantity) for name, quantity in reached.items())
    return [sentence for sentence in found if sentence]


def _warning(scenario: Scenario, name: str, quantity: _Reached) -> str | None:
    spans = _stated(scenario, name)
    left = {key: span for key, span in spans.items() if any(_outside(value, span) for value in quantity.values)}
    if not left:
        return None
    outside = sorted({v for v in quantity.values if any(_outside(v, span) for span in left.values())})
    values = " to ".join(dict.fromkeys(map(quantity.shown, (outside[0], outside[-1]))))
    sources: dict[str, list[str]] = {}
    for key, span in left.items():
        sources.setdefault(_range(span), []).append(f"{key}: {span.source}")
    ranges = " and ".join(f"{written} ({'; '.join(stated)})" for written, stated in sources.items())
    return (
        f"{quantity.words.format(values)} is beyond its stated validity of {ranges}; treat the result with caution, "
        f"{quantity.caution}"
    )


def _stated(scenario: Scenario, name: str) -> dict[str, Span]:
    """The ranges stated for a quantity by the keys that state them."""
    tables = {"cell": scenario.cell.validity, "kinetics": scenario.kinetics.validity}
    spans = {f"{room}.validity.{name}": getattr(table, name) for room, table in tables.items() if table}
    return {key: span for key, span in spans.items() if span is not None}


def _outside(value: float, span: Span) -> bool:
    return value < span.low * (1 - SLACK) or value > span.high * (1 + SLACK)


def _range(span: Span) -> str:
    written = dict(span.given)
    return written["low"] if span.low == span.high else f"{written['low']} to {written['high']}"


def _temperature(cell: Cell) -> _Reached:
    return _Reached(
        "the cell temperature of {}",
        [cell.temperature.si],
        lambda kelvin: f"{kelvin - ZERO_CELSIUS:.4g} degC",
        "rates and resistances are extrapolated by activation energies that are mostly assumed",
    )


def _rates(scenario: Scenario) -> _Reached:
    one_c = scenario.cell.one_c.si * scenario.cell.cathode_composite_mass.si
    one_c *= scenario.cell.cathode_mass_ratio.fractions[0]
    rates = []
    for step in _steps(scenario):
        if isinstance(step, ConstantCurrent):
            rates += [step.rate.si] if step.rate else []
            rates += [step.current.si / one_c] if step.current else []
    return _Reached(
        "a rate of {}",
        rates,
        lambda rate: f"C/{1 / rate:.3g}" if rate < 0.5 else f"{rate:.3g}C",
        "no measurement at this rate was compared with it",
    )


def _potentials(scenario: Scenario) -> _Reached:
    """Potentials of the NCM at which steps end or hold [V vs Li/Li+], overpotentials neglected."""
    cell = scenario.cell
    ends = []
    for step in _steps(scenario):
        if isinstance(step, ConstantVoltage):
            ends.append(step.voltage.si)
        elif isinstance(step, ConstantCurrent):
            limit = cell.upper_voltage if step.direction == "charge" else cell.lower_voltage
            ends.append((step.until or limit).si)
    return _Reached(
        "a potential of {} vs Li/Li+",
        [end + cell.lto_plateau.si for end in ends],
        lambda volts: f"{volts:.4g} V",
        "oxygen release and the potential of the NCM are extrapolated",
    )


def _layers(scenario: Scenario, layers: Sequence[float]) -> _Reached:
    spans = _stated(scenario, "layer_thickness").values()
    first = (n for n, layer in enumerate(layers) if any(_outside(layer, span) for span in spans))
    solved = [layer for layer in layers if not math.isnan(layer)]
    return _Reached(
        f"a layer thickness of {{}} (first in cycle {next(first, 0)})",
        [min(solved), max(solved)] if solved else [],
        lambda metres: f"{1e9 * metres:.3g} nm",
        "growth and resistance of such a layer were compared with no measurement",
    )


def _steps(scenario: Scenario) -> Iterator[Step]:
    """The steps of all cycles that the protocol comes to, each block of cycles once."""
    protocol = scenario.protocol
    left = protocol.cycles
    for block in protocol.first:
        if left > 0:
            yield from block.steps
        left -= block.cycles
    if left > 0:
        yield from protocol.steps
