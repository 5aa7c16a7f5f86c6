"""A coating by its name: the changes of a scenario that make it, one set for every corner of what is not known."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from interphase_sim import materials, units
from interphase_sim.errors import InputError
from interphase_sim.scenario import Coating, Scenario, quantity_of, with_units

Spread = Literal["missing", "stated"]
CONTACT = "bare contact"  # a row of the table that is no coating
_ENERGIES = ("reaction_energy_with_LPSCl", "reaction_energy_with_NCM_half")
_TABLE = {"core_conductivity": "sigma_ion_25C", "core_activation_energy": "activation_energy"}
_SHELL = ("shell", "shell_thickness", "shell_conductivity", "shell_activation_energy")
OF_A_MATERIAL = ("core", *_SHELL, "covered_rate", "rate_slope", *_TABLE)  # keys of a coating that its material decides
_FIXED = ("core", "contact", "coverage")  # of the base or an axis of their own


@dataclass(frozen=True)
class Span:
    """A number of a coating in SI, its value and its range; None for what is not stated."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, ...]:
        """Both ends of the range; empty without one."""
        return (self.low, self.high) if self.low is not None and self.high is not None else ()


def names() -> list[str]:
    """The coatings of the shipped table."""
    return [name for name in materials.names("coatings") if name != CONTACT]


def cases(name: object, own: Mapping[str, Any], base: Scenario, spread: Spread) -> list[dict[str, Any]]:
    """The changes of the base scenario that make a coating of this name: particles of it, without a shell.

    own: what the sweep file says of it, plain values or ranges. One case when all that decides the answer is known.
    Otherwise one for every corner of the ranges of what is not ("missing"), or of all ranges that are stated
    ("stated"; there the known values come first, if there are any for all).
    Raises InputError for what has neither value nor range.
    """
    if base.coating is None:
        raise InputError("the base scenario has no coating to vary")
    if not isinstance(name, str) or (name not in names() and not own):
        raise InputError(f"no coating is named {units.shown(name)}{units.nearest(str(name), names())}")
    common: dict[str, Any] = {f"coating.{key}": None for key in (*_SHELL, "covered_rate", *_TABLE)}
    common["coating.core"] = name
    common |= {f"coating.{key}": value for key, value in own.items() if not _is_range(value)}
    spans = _spans(name, own, base)
    unknown = {key: span for key, span in spans.items() if span.value is None}
    ranged = unknown if spread == "missing" else {key: span for key, span in spans.items() if span.ends}
    known = [common] if spread == "stated" and ranged and not unknown else []
    corners = itertools.product(*(span.ends for span in ranged.values()))
    keys = [f"coating.{key}" for key in ranged]
    return known + [common | with_units(dict(zip(keys, corner, strict=True))) for corner in corners]


def _spans(name: str, own: Mapping[str, Any], base: Scenario) -> dict[str, Span]:
    """The numbers of a coating that decide the answer. Raises InputError for all that are unknown at once."""
    found: dict[str, Span] = {}
    problems = []
    for key, span in _candidates(name, own, base):
        if span.value is None and not span.ends:
            problems.append(
                f"coatings.{name}.{key} is missing: neither the table nor the sweep file has a value or a range of it, "
                f"which decides the answer; state {key} or {key} = {{ low = ..., high = ... }}"
            )
        found[key] = span
    if problems:
        raise InputError("\n".join(problems))
    return found


def _candidates(name: str, own: Mapping[str, Any], base: Scenario) -> Iterator[tuple[str, Span]]:
    for key, quantity in _TABLE.items():
        yield key, _stated(key, own[key], name) if key in own else _tabled(name, quantity)
    if "covered_rate" in own:
        yield "covered_rate", _stated("covered_rate", own["covered_rate"], name)
    elif any(_tabled(name, energy).value is None for energy in _ENERGIES):
        yield "covered_rate", Span(None)
    elif "rate_slope" in own:
        yield "rate_slope", _stated("rate_slope", own["rate_slope"], name)
    else:
        assert base.coating is not None
        slope = base.coating.rate_slope
        yield "rate_slope", Span(slope.si, slope.low, slope.high)


def _tabled(name: str, quantity: str) -> Span:
    if name not in materials.names("coatings"):
        return Span(None)
    entry = materials.lookup("coatings", name, quantity)
    return Span(entry.value, entry.low, entry.high)


def _stated(key: str, raw: Any, name: str) -> Span:
    """What the sweep file says of a number: `"1e-9 S/cm"`, or a table with value, low and high."""
    quantity = quantity_of(f"coating.{key}")
    assert quantity is not None
    table = raw if isinstance(raw, dict) else {"value": raw}
    try:
        read = quantity.read({"value": table.get("low"), **table})
    except InputError as error:
        raise InputError(f"coatings.{name}.{key}: {error}") from None
    return Span(read.si if "value" in table else None, read.low, read.high)


def _is_range(value: Any) -> bool:
    return isinstance(value, dict) and "value" not in value


def check(own: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the coatings of a sweep file, a sentence each."""
    problems = []
    known = list(Coating.model_fields)
    for name, table in own.items():
        for key, value in table.items():
            where = f"coatings.{name}.{key}"
            if key not in known:
                problems.append(f"{where}: unknown key{units.nearest(key, known)}")
            elif key in _FIXED:
                problems.append(f"{where}: is not of the material; vary or set coating.{key} instead")
            elif _is_range(value) and key not in (*_TABLE, "covered_rate", "rate_slope"):
                problems.append(
                    f"{where}: a range needs its value; only {', '.join(_TABLE)}, covered_rate and "
                    "rate_slope may be ranges alone"
                )
            elif _is_range(value) and set(value) - {"kind", "source"} != {"low", "high"}:
                problems.append(f"{where}: expected a value, or a range {{ low = ..., high = ... }}")
    return problems
