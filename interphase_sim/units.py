"""Quantities as people write them ("15 nm", "45 degC", "2 mS/cm") to SI floats, once, at the boundary.

The units of everyday scenarios are listed here with exact decimal factors; any other goes to pint, which
is imported only then (0.5 s). Energies are per particle [J]; "kJ/mol" and "meV/atom" are understood as such.
"""

import difflib
import math
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from interphase_sim.constants import AVOGADRO, ELEMENTARY_CHARGE, ZERO_CELSIUS
from interphase_sim.errors import InputError

_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*", re.ASCII | re.DOTALL)
_RATE = re.compile(r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)?\s*C\s*(?:/\s*(\d+\.?\d*))?\s*", re.ASCII)
_UNIT = re.compile(r"[A-Za-z0-9_*/^(). -]{1,40}")
_LONGEST = 60
_USING_PINT = threading.RLock()  # a registry fills as it is used and is not made for threads
_EV = Decimal(repr(ELEMENTARY_CHARGE))
_PER_MOLE = Decimal(1) / Decimal(repr(AVOGADRO))


@dataclass(frozen=True)
class Dimension:
    """One kind of quantity: its SI unit, an example for messages, and exact factors of common units to SI."""

    si: str
    example: str
    factors: dict[str, str | Decimal]


DIMENSIONS = {
    "length": Dimension(
        "m",
        "15 nm",
        {
            "m": "1",
            "cm": "1e-2",
            "mm": "1e-3",
            "um": "1e-6",
            "nm": "1e-9",
            "angstrom": "1e-10",
        },
    ),
    "mass": Dimension("kg", "11 mg", {"kg": "1", "g": "1e-3", "mg": "1e-6", "ug": "1e-9"}),
    "time": Dimension("s", "24 h", {"s": "1", "ms": "1e-3", "min": "60", "h": "3600", "d": "86400"}),
    "temperature": Dimension("K", "45 degC", {"K": "1", "degC": "1"}),
    "pressure": Dimension("Pa", "55 MPa", {"Pa": "1", "MPa": "1e6", "bar": "1e5"}),
    "voltage": Dimension("V", "2.85 V", {"V": "1", "mV": "1e-3"}),
    "current": Dimension("A", "0.3 mA", {"A": "1", "mA": "1e-3", "uA": "1e-6"}),
    "energy": Dimension(
        "J",
        "0.5 eV",
        {
            "J": "1",
            "eV": _EV,
            "meV": _EV / 1000,
            "meV/atom": _EV / 1000,
            "eV/atom": _EV,
            "J/mol": _PER_MOLE,
            "kJ/mol": 1000 * _PER_MOLE,
        },
    ),
    "density": Dimension("kg/m3", "4.65 g/cm3", {"kg/m3": "1", "g/cm3": "1e3"}),
    "specific area": Dimension("m2/kg", "62 m2/g", {"m2/kg": "1", "m2/g": "1e3"}),
    "specific current": Dimension("A/kg", "180 mA/g", {"A/kg": "1", "mA/g": "1", "A/g": "1e3"}),
    "specific capacity": Dimension("C/kg", "0.05 mAh/g", {"C/kg": "1", "mAh/g": "3600", "Ah/kg": "3600"}),
    "current density": Dimension("A/m2", "1 A/m2", {"A/m2": "1", "mA/cm2": "10"}),
    "conductivity": Dimension("S/m", "2 mS/cm", {"S/m": "1", "S/cm": "100", "mS/cm": "0.1"}),
    "concentration": Dimension("mol/m3", "1000 mol/m3", {"mol/m3": "1", "mol/l": "1e3", "kmol/m3": "1e3"}),
    "diffusivity": Dimension("m2/s", "4e-16 m2/s", {"m2/s": "1", "cm2/s": "1e-4"}),
    "velocity": Dimension("m/s", "3e-11 m/s", {"m/s": "1", "nm/s": "1e-9"}),
    "first-order rate": Dimension("1/s", "1e-4 1/s", {"1/s": "1", "1/h": Decimal(1) / Decimal(3600)}),
    "second-order rate": Dimension("m3/mol/s", "1e-6 m3/mol/s", {"m3/mol/s": "1", "cm3/mol/s": "1e-6"}),
    "molar mass": Dimension("kg/mol", "96.93 g/mol", {"kg/mol": "1", "g/mol": "1e-3"}),
    "molar volume": Dimension("m3/mol", "46.7 cm3/mol", {"m3/mol": "1", "cm3/mol": "1e-6"}),
}


def parse(text: object, dimension: str, *, difference: bool = False) -> float:
    """SI value of a quantity such as "15 nm".

    dimension: a name of `DIMENSIONS`, or "rate" for C-rates ("C/5", "0.2 C").
    difference: read a temperature as a difference, so that "5 degC" is 5 K.
    Raises InputError that says what was expected.
    """
    if dimension == "rate":
        return _parse_rate(text)
    expected = _expected(dimension)
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise InputError(f"{shown(text)} is not a quantity, {expected}")
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise InputError(f"{shown(text)} does not start with a number, {expected}")
    number, unit = match.groups()
    if not unit:
        raise InputError(f"{shown(text)} has no unit, {expected}")
    if not math.isfinite(float(number)):
        raise InputError(f"{shown(text)} is too large, {expected}")
    try:
        value = _to_si(number, _ascii_unit(unit), dimension, difference)
    except ArithmeticError:  # of decimals: an exponent of twenty digits
        raise InputError(f"{shown(text)} is too small, {expected}") from None
    if value is None or not math.isfinite(value):
        raise InputError(f"{shown(text)} {_why_not(unit, dimension)}, {expected}")
    return value


def to_si(number: str, unit: str) -> tuple[float, str]:
    """SI value and SI unit of a table entry; `unit` is one of the listed units, or "" for a bare number."""
    if not unit:
        return float(number), ""
    for name, dimension in DIMENSIONS.items():
        if unit in dimension.factors:
            return parse(f"{number} {unit}", name), dimension.si
    raise InputError(f"unknown unit {unit!r}{nearest(unit, _listed_units())}")


def si_unit(dimension: str) -> str:
    """SI unit shown in tables: "" for a bare number, "C" for a C-rate."""
    if dimension in DIMENSIONS:
        return DIMENSIONS[dimension].si
    return "C" if dimension == "rate" else ""


def nearest(word: str, names: Iterable[str]) -> str:
    """`, did you mean 'name'?` when one of the names is close, else nothing."""
    close = closest(word, names)
    return f", did you mean {close!r}?" if close else ""


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name that begins with the word, else the one most like it, else None; capitals do not matter."""
    plain = {name.casefold(): name for name in names}
    start = [name for name in plain if len(word) > 2 and name.startswith(word.casefold())]
    found = start or difflib.get_close_matches(word.casefold(), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def _to_si(number: str, unit: str, dimension: str, difference: bool) -> float | None:
    factor = DIMENSIONS[dimension].factors.get(unit)
    if factor is None:
        return _by_pint(float(number), unit, dimension, difference)
    offset = Decimal(repr(ZERO_CELSIUS)) if unit == "degC" and not difference else Decimal(0)
    return float(Decimal(number) * Decimal(factor) + offset)


def _by_pint(number: float, unit: str, dimension: str, difference: bool) -> float | None:
    """The same by pint for units not listed; None when the unit is unknown or of another dimension."""
    known = _pint_unit(f"delta_{unit}" if difference and unit.startswith("deg") else unit)
    if known is None:
        return None
    try:
        with _USING_PINT:
            quantity = _registry().Quantity(number, known)
            return float(quantity.to(_pint_unit(DIMENSIONS[dimension].si)).magnitude)
    except (ValueError, TypeError, ArithmeticError):  # pint's DimensionalityError is a TypeError
        return None


def _pint_unit(unit: str) -> Any:
    """pint's unit for text such as "m3 mol-1 s-1", or None."""
    if not _UNIT.fullmatch(unit) or re.search(r"\d\d", unit):
        return None
    try:
        with _USING_PINT:
            return _registry().Unit(re.sub(r"(?<=[A-Za-z])(-?\d)", r"**\1", unit))
    except Exception:  # pint passes on whatever its tokenizer raises on nonsense
        return None


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(cache_folder=None)


def _parse_rate(text: object) -> float:
    """C-rate as a multiple of 1C: "C/5" is 0.2."""
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InputError(f'{shown(text)} is not a C-rate, expected one such as "C/5" or "0.2 C"')
    numerator, denominator = float(match[1] or 1), float(match[2] or 1)
    if numerator <= 0 or denominator <= 0:
        raise InputError(f"{shown(text)} must be positive")
    return numerator / denominator


def _why_not(unit: str, dimension: str) -> str:
    plain = _ascii_unit(unit)
    if plain in _listed_units() or _pint_unit(plain) is not None:
        return f"is not {_article(dimension)}"
    return f"has the unknown unit {shown(unit)}"


def _listed_units() -> list[str]:
    return [unit for dimension in DIMENSIONS.values() for unit in dimension.factors]


def _ascii_unit(unit: str) -> str:
    for fancy, plain in (("µ", "u"), ("μ", "u"), ("²", "2"), ("³", "3"), ("°C", "degC"), ("Å", "angstrom")):
        unit = unit.replace(fancy, plain)
    return unit


def _expected(dimension: str) -> str:
    return f'expected {_article(dimension)} such as "{DIMENSIONS[dimension].example}"'


def _article(dimension: str) -> str:
    return f"an {dimension}" if dimension[0] in "aeiou" else f"a {dimension}"


def shown(value: object) -> str:
    """How a refused value is shown: quoted, escaped, and cut when long."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")
