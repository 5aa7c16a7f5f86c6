"""The values of a scenario: a number in SI with its kind and source, and how one is read from a file."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from interphase_sim import units
from interphase_sim.constants import ZERO_CELSIUS
from interphase_sim.errors import InputError

Kind = Literal["measured", "literature", "fitted", "assumed", "gauge"]
KINDS: tuple[str, ...] = get_args(Kind)
_KEYS = ("value", "kind", "source", "low", "high", "uncertainty")
PLAIN_SOURCE = "this scenario file"  # of a value written without one
_FRACTION_SUM = 1e-3  # mass fractions are written with three digits at most
COLDEST, HOTTEST = 213.15, 473.15  # K, -60 and 200 degC: beyond, no constant of a scenario means anything


@dataclass(frozen=True)
class Parameter:
    """One physical value in SI, with where it comes from; `float(parameter)` is its SI value.

    `uncertainty`, `low` and `high` are SI too, or None when not stated. `given` holds the value and its
    bounds as they were written and takes no part in comparisons.
    """

    si: float
    unit: str = ""
    kind: str = "assumed"
    source: str = PLAIN_SOURCE
    low: float | None = None
    high: float | None = None
    uncertainty: float | None = None
    given: tuple[tuple[str, str | int | float], ...] = field(default=(), compare=False, repr=False)

    def __float__(self) -> float:
        return self.si

    def as_written(self) -> dict[str, Any]:
        """The inline table that reads back as this parameter."""
        numbers = {"value": self.si, "low": self.low, "high": self.high, "uncertainty": self.uncertainty}
        table = {name: written(si, self.unit) for name, si in numbers.items() if si is not None} | dict(self.given)
        return {**table, "kind": self.kind, "source": self.source}


def written(si: float, unit: str) -> str | float:
    """How an SI value is written so that it reads back exactly."""
    return f"{float(si)!r} {unit}" if unit else float(si)


@dataclass(frozen=True)
class Ratio:
    """Three parts of a mixture by mass, in a fixed order, with where they come from; iterates over them."""

    parts: tuple[float, float, float]
    kind: str = "assumed"
    source: str = PLAIN_SOURCE

    def __iter__(self) -> Iterator[float]:
        return iter(self.parts)

    @property
    def fractions(self) -> tuple[float, float, float]:
        """The parts divided by their sum."""
        first, second, third = self.parts
        return first / sum(self.parts), second / sum(self.parts), third / sum(self.parts)

    def as_written(self) -> dict[str, Any]:
        """The inline table that reads back as this ratio."""
        return {"value": list(self.parts), "kind": self.kind, "source": self.source}


@dataclass(frozen=True)
class Bound:
    """What a value must satisfy, and the words for it."""

    words: str
    holds: Callable[[float], bool]


ANY = Bound("", lambda x: True)
POSITIVE = Bound("must be positive", lambda x: x > 0)
NON_NEGATIVE = Bound("must not be negative", lambda x: x >= 0)
AT_LEAST_ONE = Bound("must be at least 1", lambda x: x >= 1)
FRACTION = Bound("must lie between 0 and 1", lambda x: 0 <= x <= 1)
SHARE = Bound("must lie in (0, 1]", lambda x: 0 < x <= 1)
BELOW_ONE = Bound("must lie in [0, 1)", lambda x: 0 <= x < 1)


@dataclass(frozen=True)
class Quantity:
    """Annotation of a field: its dimension ("number" for none) and its bound; reads it as a `Parameter`."""

    dimension: str
    bound: Bound = POSITIVE

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def read(self, raw: object) -> Parameter:
        """`"15 nm"`, or a table with value, kind, source, low, high and uncertainty, as a `Parameter`."""
        if isinstance(raw, Parameter):
            raw = raw.as_written()
        table, kind, source, problems = _provenance(raw)
        numbers: dict[str, float] = {}
        for key in ("value", "low", "high", "uncertainty"):
            if key in table:
                self._collect(key, table[key], numbers, problems)
        if numbers.get("low", -math.inf) > numbers.get("high", math.inf):
            problems.append("low lies above high")
        if problems:
            raise InputError("\n".join(problems))
        given = tuple((key, table[key]) for key in numbers)
        si = numbers.pop("value")
        return Parameter(si, self.unit(table["value"]), kind, source, given=given, **numbers)

    def _collect(self, key: str, raw: object, numbers: dict[str, float], problems: list[str]) -> None:
        bound = {"value": self.bound, "uncertainty": NON_NEGATIVE}.get(key, ANY)
        prefix = "" if key == "value" else f"{key}: "
        try:
            number = self.number(raw, difference=key == "uncertainty")
        except InputError as error:
            problems.append(f"{prefix}{error}")
            return
        numbers[key] = number
        if not bound.holds(number):
            problems.append(f"{prefix}{units.shown(raw)} {bound.words}")

    def number(self, raw: object, *, difference: bool = False) -> float:
        """SI value of one entry of the table."""
        if self.dimension == "number":
            return _bare_number(raw)
        return units.parse(raw, self.dimension, difference=difference)

    def unit(self, raw: object) -> str:
        """SI unit of a value written like `raw`."""
        return units.si_unit(self.dimension)

    def written(self, si: float) -> str | float:
        """How an SI value is written so that it reads back exactly."""
        return written(si, self.unit(si))


@dataclass(frozen=True)
class CredibleTemperature(Quantity):
    """A temperature between -60 and 200 degC, also where it bounds a range."""

    dimension: str = "temperature"

    def number(self, raw: object, *, difference: bool = False) -> float:
        kelvin = super().number(raw, difference=difference)
        if difference or COLDEST <= kelvin <= HOTTEST:
            return kelvin
        low, high = COLDEST - ZERO_CELSIUS, HOTTEST - ZERO_CELSIUS
        raise InputError(f"{units.shown(raw)} must lie between {low:g} and {high:g} degC{_other_unit(raw, kelvin)}")


def _other_unit(raw: object, kelvin: float) -> str:
    """The temperature that was meant, where the number makes sense with the other one of K and degC."""
    celsius = kelvin - ZERO_CELSIUS
    in_kelvin = str(raw).rstrip().endswith("K")
    if in_kelvin and COLDEST <= kelvin + ZERO_CELSIUS <= HOTTEST:
        return f", did you mean '{kelvin:.6g} degC'?"
    return f", did you mean '{celsius:.6g} K'?" if not in_kelvin and COLDEST <= celsius <= HOTTEST else ""


@dataclass(frozen=True)
class Span:
    """Where a quantity is stated to be valid: its bounds in SI and who states so.

    `given` holds the bounds as they were written and takes no part in comparisons.
    """

    low: float
    high: float
    source: str
    given: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)

    def as_written(self) -> dict[str, Any]:
        """The inline table that reads back as this span."""
        return {**dict(self.given), "source": self.source}


@dataclass(frozen=True)
class Valid:
    """Annotation of a range of validity, `{ low = "...", high = "...", source = "..." }`; reads it as a `Span`."""

    quantity: Quantity

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def read(self, raw: object) -> Span:
        """The table of a range as a `Span`; all three of its keys are needed."""
        if isinstance(raw, Span):
            return raw
        if not isinstance(raw, dict):
            raise InputError(f"{units.shown(raw)} must be a table with low, high and source")
        keys = ("low", "high", "source")
        problems = [f"unknown key {units.shown(key)}{units.nearest(str(key), keys)}" for key in raw if key not in keys]
        problems += [f"{key} is missing" for key in keys if key not in raw]
        bounds: dict[str, float] = {}
        for key in ("low", "high"):
            try:
                bounds |= {key: self.quantity.number(raw[key])} if key in raw else {}
            except InputError as error:
                problems.append(f"{key}: {error}")
        if not isinstance(raw.get("source", ""), str):
            problems.append(f"source {units.shown(raw['source'])} must be text")
        if bounds.get("low", -math.inf) > bounds.get("high", math.inf):
            problems.append("low lies above high")
        if problems:
            raise InputError("\n".join(problems))
        return Span(**bounds, source=raw["source"], given=(("low", raw["low"]), ("high", raw["high"])))


@dataclass(frozen=True)
class RateOrCurrent(Quantity):
    """A small current given as a C-rate ("C/20", unit "C") or as a current ("20 uA", unit "A")."""

    dimension: str = "rate"

    def number(self, raw: object, *, difference: bool = False) -> float:
        return units.parse(raw, self._dimension_of(raw), difference=difference)

    def unit(self, raw: object) -> str:
        return units.si_unit(self._dimension_of(raw))

    @staticmethod
    def _dimension_of(raw: object) -> str:
        return "current" if isinstance(raw, str) and "A" in raw else "rate"


@dataclass(frozen=True)
class MassRatio:
    """Annotation of a field with the masses of named parts of a mixture; reads it as a `Ratio`.

    Parts that all lie below one are read as fractions and must sum to one.
    """

    names: tuple[str, str, str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def read(self, raw: object) -> Ratio:
        """`[7, 3, 0.1]`, or a table with value, kind and source, as a `Ratio`."""
        if isinstance(raw, Ratio):
            raw = raw.as_written()
        table, kind, source, problems = _provenance(raw)
        problems += [f"unknown key {key!r}" for key in table if key in ("low", "high", "uncertainty")]
        value = table.get("value")
        if not isinstance(value, list | tuple) or len(value) != 3:
            problems.append(f"expected 3 masses, {':'.join(self.names)}")
            raise InputError("\n".join(problems))
        try:
            parts = (_bare_number(value[0]), _bare_number(value[1]), _bare_number(value[2]))
            problems += self._impossible(parts)
        except InputError as error:
            problems.append(str(error))
        if problems:
            raise InputError("\n".join(problems))
        return Ratio(parts, kind, source)

    @staticmethod
    def _impossible(parts: tuple[float, ...]) -> list[str]:
        if min(parts) <= 0:
            return [f"{min(parts)!r} must be positive"]
        if max(parts) < 1 and abs(sum(parts) - 1) > _FRACTION_SUM:
            return [f"the fractions sum to {sum(parts):.4g} and must sum to one"]
        return []


class Section(BaseModel):
    """A frozen table of a scenario that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Length = Annotated[Parameter, Quantity("length")]
Mass = Annotated[Parameter, Quantity("mass")]
Density = Annotated[Parameter, Quantity("density")]
Voltage = Annotated[Parameter, Quantity("voltage")]
Temperature = Annotated[Parameter, CredibleTemperature()]
Energy = Annotated[Parameter, Quantity("energy", NON_NEGATIVE)]
Conductivity = Annotated[Parameter, Quantity("conductivity")]
Diffusivity = Annotated[Parameter, Quantity("diffusivity")]
Rate = Annotated[Parameter, Quantity("rate")]
FirstOrderRate = Annotated[Parameter, Quantity("first-order rate", NON_NEGATIVE)]
SecondOrderRate = Annotated[Parameter, Quantity("second-order rate", NON_NEGATIVE)]
PositiveNumber = Annotated[Parameter, Quantity("number")]
Factor = Annotated[Parameter, Quantity("number", AT_LEAST_ONE)]
Fraction = Annotated[Parameter, Quantity("number", FRACTION)]
Share = Annotated[Parameter, Quantity("number", SHARE)]
BelowOne = Annotated[Parameter, Quantity("number", BELOW_ONE)]


def preset(annotation: Any, value: object) -> Parameter:
    """A default of the schema, marked as such, for a field of the annotated type."""
    (quantity,) = annotation.__metadata__
    return quantity.read({"value": value, "kind": "assumed", "source": "default"})  # type: ignore[no-any-return]


def _provenance(raw: object) -> tuple[dict[str, Any], str, str, list[str]]:
    """The table, kind, source and complaints of a value written plainly or as a table."""
    if not isinstance(raw, dict):
        return {"value": raw}, "assumed", PLAIN_SOURCE, []
    unknown = [str(key) for key in raw if key not in _KEYS]
    problems = [f"unknown key {units.shown(key)}{units.nearest(key, _KEYS)}" for key in unknown]
    kind, source = raw.get("kind", "assumed"), raw.get("source", PLAIN_SOURCE)
    if "value" not in raw:
        problems.append("value is missing")
    if kind not in KINDS:
        near = units.nearest(str(kind), KINDS)
        problems.append(f"kind {units.shown(kind)} is none of {', '.join(KINDS)}{near}")
    if not isinstance(source, str):
        problems.append(f"source {units.shown(source)} must be text")
    return raw, kind, source, problems


def _bare_number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise InputError(f"{units.shown(raw)} must be a bare number such as 0.9")
    try:
        number = float(raw)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{units.shown(raw)} must be a finite number")
    return number
