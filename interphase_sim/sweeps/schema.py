"""The sweep file: what is varied, what is kept, checked as strictly as a scenario."""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from interphase_sim import units
from interphase_sim.errors import InputError
from interphase_sim.fields import BelowOne, Parameter, Quantity, Section
from interphase_sim.results import VARIABLES
from interphase_sim.scenario import checked_name, location_of, quantity_of

OUTPUTS = tuple(name for name, row in VARIABLES.items() if row.dims == ("cycle",))
USUAL = ("discharge_capacity", "coulombic_efficiency", "film_resistance_geometric", "layer_thickness")
LARGEST = 10_000_000  # runs
RESERVED = ("cycle", "case", "run", "sample", "matrix", *OUTPUTS)
OWN_KEYS = {  # what another key of the sweep file says
    "name": "name",
    "schema_version": "schema_version",
    "description": "description",
    "protocol.cycles": "cycles",
    "numerics.end_of_life_capacity": "end_of_life.capacity",
    "numerics.end_of_life_fraction": "end_of_life.fraction",
}
COATING = "coating"
VARIED = "by a sweep"  # what has replaced the values that differ between runs
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S.*?)?\s*", re.ASCII)
_DIM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,79}", re.ASCII)


class Number(NamedTuple):
    """A number with the unit it was written in, "" for none."""

    value: float
    unit: str

    def written(self) -> str | float:
        """As a scenario file has it."""
        return f"{self.value!r} {self.unit}" if self.unit else self.value


def number(raw: object, key: str) -> Number:
    """A value of a key as a number in its own unit. Raises InputError for what the scenario could not read."""
    quantity = quantity_of(key)
    if quantity is not None:
        si = quantity.number(raw)
        if quantity.dimension == "rate":
            return Number(si, "C")
        if quantity.dimension == "number":
            return Number(si, "")
    elif isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise InputError(f"{units.shown(raw)} must be a number")
    match = _NUMBER.fullmatch(str(raw))
    assert match is not None
    return Number(float(match[1]), match[2] or "")


def _same_unit(numbers: Sequence[Number]) -> None:
    found = list(dict.fromkeys(n.unit for n in numbers))
    if len(found) > 1:
        raise InputError(f"has units {' and '.join(map(repr, found))}; write both bounds in one unit")


def _checked_key(key: str) -> str:
    if key in OWN_KEYS:
        raise InputError(f"{units.shown(key)} is set by the sweep file's own {OWN_KEYS[key]}")
    if key != COATING:
        quantity_of(key)
    return key


def _checked_dim(name: str) -> str:
    if not _DIM_NAME.fullmatch(name):
        raise InputError(f"{units.shown(name)} must be a name of letters, digits, '_' and '.'")
    if name in RESERVED:
        raise InputError(f"{units.shown(name)} is a name that the store itself uses, choose another")
    return name


Key = Annotated[str, AfterValidator(_checked_key)]
DimName = Annotated[str, AfterValidator(_checked_dim)]


class Axis(Section):
    """One dimension of a grid: a list of values, or `count` values from `start` to `stop`.

    also: other keys that always have the same value as `key`.
    key "coating" varies the material of the coating: `values` are names or "all"; `spread` tells which ranges of
    a coating's numbers are run over: those without a value ("missing"), or every stated one ("stated").
    """

    key: Key
    also: Annotated[tuple[Key, ...], Field(strict=False)] = ()
    name: DimName | None = None
    values: Annotated[Any, Field(validate_default=True)] = None
    scale: Literal["linear", "log"] = "linear"
    start: Any = None
    stop: Annotated[Any, Field(validate_default=True)] = None
    count: Annotated[int | None, Field(ge=2, le=LARGEST, validate_default=True)] = None
    spread: Literal["missing", "stated"] | None = None

    @field_validator("also")
    @classmethod
    def _alike(cls, also: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if also and COATING in (info.data.get("key"), *also):
            raise InputError("a coating is varied by itself")
        return also

    @field_validator("values")
    @classmethod
    def _listed(cls, values: Any, info: ValidationInfo) -> Any:
        if values is None or (values == "all" and info.data.get("key") == COATING):
            return values
        if not isinstance(values, list | tuple) or not values:
            raise InputError(f"{units.shown(values)} must be a list of values")
        return tuple(values)

    @field_validator("stop")
    @classmethod
    def _bounds(cls, stop: Any, info: ValidationInfo) -> Any:
        key, start, listed = (info.data.get(name) for name in ("key", "start", "values"))
        if listed is not None:
            if start is not None or stop is not None:
                raise InputError("start and stop are of a range, but values are given")
            return None
        if key is None or "values" not in info.data:
            return stop
        if key == COATING or start is None or stop is None:
            raise InputError("is missing: give values, or start, stop and count")
        low, high = number(start, key), number(stop, key)
        _same_unit((low, high))
        if low.value == high.value:
            raise InputError(f"{units.shown(stop)} must differ from start")
        if info.data.get("scale") == "log" and min(low.value, high.value) <= 0:
            raise InputError("a logarithmic range needs bounds above zero")
        return stop

    @field_validator("count")
    @classmethod
    def _counted(cls, count: int | None, info: ValidationInfo) -> int | None:
        ranged = info.data.get("start") is not None
        if ranged and count is None:
            raise InputError("is missing: the range needs its number of values")
        if not ranged and count is not None:
            raise InputError("is of a range, but values are given")
        return count

    @field_validator("spread")
    @classmethod
    def _of_coating(cls, spread: str | None, info: ValidationInfo) -> str | None:
        if spread is not None and info.data.get("key") not in (COATING, None):
            raise InputError('is for an axis with key = "coating"')
        return spread


class Input(Section):
    """One uncertain input of a sampled design and its distribution.

    uniform and loguniform: low, high; normal: mean, deviation, truncated where low or high are given; triangular:
    low, mode, high. All in one unit.
    """

    key: Key
    name: DimName | None = None
    distribution: Literal["uniform", "loguniform", "normal", "triangular"]
    low: Any = None
    high: Any = None
    mean: Any = None
    mode: Any = None
    deviation: Annotated[Any, Field(validate_default=True)] = None

    @field_validator("key")
    @classmethod
    def _not_a_coating(cls, key: str) -> str:
        if key == COATING:
            raise InputError("a sampled design cannot vary the coating as a whole: use an axis")
        return key

    @field_validator("low", "high", "mean", "mode", "deviation")
    @classmethod
    def _number(cls, raw: Any, info: ValidationInfo) -> Any:
        if raw is not None and "key" in info.data:
            number(raw, info.data["key"])
        return raw

    @field_validator("deviation")
    @classmethod
    def _complete(cls, deviation: Any, info: ValidationInfo) -> Any:
        """Last of the fields: checks them together."""
        law, names = info.data.get("distribution"), ("low", "high", "mean", "mode")
        if law is None or any(name not in info.data for name in (*names, "key")):
            return deviation
        given = {name: info.data[name] for name in names} | {"deviation": deviation}
        given = {name: value for name, value in given.items() if value is not None}
        needed, allowed = LAWS[law]
        for name in needed:
            if name not in given:
                raise InputError(f"a {law} distribution needs {', '.join(needed)}; {name} is missing")
        for name in given:
            if name not in (*needed, *allowed):
                raise InputError(f"a {law} distribution has no {name}")
        _ordered(law, {name: number(value, info.data["key"]) for name, value in given.items()})
        return deviation


LAWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "uniform": (("low", "high"), ()),
    "loguniform": (("low", "high"), ()),
    "normal": (("mean", "deviation"), ("low", "high")),
    "triangular": (("low", "mode", "high"), ()),
}


def _ordered(law: str, given: dict[str, Number]) -> None:
    _same_unit(list(given.values()))
    rising = [given[name].value for name in ("low", "mode", "high") if name in given]
    if rising != sorted(rising) or (len(rising) > 1 and rising[0] == rising[-1]):
        raise InputError("low, mode and high must rise")
    if law == "loguniform" and rising[0] <= 0:
        raise InputError("a loguniform distribution needs bounds above zero")
    if law == "normal" and given["deviation"].value <= 0:
        raise InputError("deviation must be positive")


class Design(Section):
    """A sampled design: Latin hypercube of `runs` runs, or Sobol' with `runs` base samples, a power of two.

    indices: run Saltelli's design, runs x (inputs + 2), from which Sobol' indices follow.
    """

    method: Literal["latin_hypercube", "sobol"]
    seed: Annotated[int, Field(ge=0)]
    runs: Annotated[int, Field(ge=2, le=LARGEST)]
    indices: bool = False
    inputs: Annotated[tuple[Input, ...], Field(strict=False, min_length=1)]

    @field_validator("runs")
    @classmethod
    def _balanced(cls, runs: int, info: ValidationInfo) -> int:
        if info.data.get("method") == "sobol" and runs & (runs - 1):
            near = 2 ** round(math.log2(runs))
            raise InputError(f'{runs} must be a power of two for method = "sobol", such as {near}')
        return runs

    @field_validator("indices")
    @classmethod
    def _sobol(cls, indices: bool, info: ValidationInfo) -> bool:
        if indices and info.data.get("method") == "latin_hypercube":
            raise InputError('needs method = "sobol"')
        return indices


class EndOfLife(Section):
    """When a cell is worn out: a capacity, or a share of the discharge capacity of the reference cycle.

    stop: end the run there; without, cells are cycled on and only their cycle life is noted.
    """

    fraction: BelowOne | None = None
    capacity: Annotated[Annotated[Parameter, Quantity("specific capacity")] | None, Field(validate_default=True)] = None
    stop: bool = True

    @field_validator("capacity")
    @classmethod
    def _one_of_two(cls, capacity: Parameter | None, info: ValidationInfo) -> Parameter | None:
        if "fraction" in info.data and (capacity is None) == (info.data["fraction"] is None):
            raise InputError("give either fraction or capacity" + (", not both" if capacity else ""))
        return capacity

    def settings(self) -> dict[str, Any]:
        """The values of a scenario that stop a run there."""
        if not self.stop:
            return {}
        if self.fraction is not None:
            return {"numerics.end_of_life_fraction": self.fraction}
        assert self.capacity is not None
        return {"numerics.end_of_life_capacity": self.capacity}

    def limit(self, reference: float) -> float:
        """The discharge capacity below which a cell is worn out [mAh g-1].

        reference: that of the reference cycle; not-a-number without one, and then no share of it is a limit either.
        """
        if self.fraction is not None:
            return self.fraction.si * reference
        assert self.capacity is not None
        return self.capacity.si / 3600.0


class SweepFile(Section):
    """Base scenario, what is varied over it, and what is kept of every run."""

    schema_version: Literal[1]
    name: Annotated[str, AfterValidator(checked_name)]
    description: str = ""
    base: str
    cycles: Annotated[int | None, Field(ge=1, le=100_000)] = None
    kept_cycles: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)] = ()
    outputs: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = USUAL
    end_of_life: EndOfLife | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    coatings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    axes: Annotated[tuple[Axis, ...], Field(strict=False)] = ()
    design: Annotated[Design | None, Field(validate_default=True)] = None

    @field_validator("outputs")
    @classmethod
    def _known(cls, outputs: tuple[str, ...]) -> tuple[str, ...]:
        for name in outputs:
            if name not in OUTPUTS:
                raise InputError(f"{units.shown(name)} is no output by cycle{units.nearest(name, OUTPUTS)}")
        if len(set(outputs)) < len(outputs):
            raise InputError("each output is named once")
        return outputs

    @field_validator("set")
    @classmethod
    def _flat(cls, settings: dict[str, Any]) -> dict[str, Any]:
        flat = dict(_flattened(settings))
        for key in flat:
            if _checked_key(key) == COATING:
                raise InputError("'coating' is a table, expected the key of a value in it")
        return flat

    @field_validator("kept_cycles")
    @classmethod
    def _in_order(cls, cycles: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        last = info.data.get("cycles")
        if list(cycles) != sorted({*cycles}):
            raise InputError("the cycles must rise, each named once")
        if cycles and last is not None and cycles[-1] > last:
            raise InputError(f"{cycles[-1]} lies behind the last cycle, {last}")
        return cycles

    @field_validator("axes")
    @classmethod
    def _different(cls, axes: tuple[Axis, ...], info: ValidationInfo) -> tuple[Axis, ...]:
        _once([key for axis in axes for key in (axis.key, *axis.also)], info)
        return axes

    @field_validator("design")
    @classmethod
    def _one_kind(cls, design: Design | None, info: ValidationInfo) -> Design | None:
        if "axes" in info.data and bool(info.data["axes"]) == (design is not None):
            raise InputError("a sweep has either axes or a sampled design" + (", not both" if design else ""))
        if design is not None:
            _once([each.key for each in design.inputs], info)
        return design

    def dim_names(self) -> tuple[str, ...]:
        """Names of the axes or inputs: as given, else the last word of the key, else the whole key."""
        varied: Sequence[Axis | Input] = self.design.inputs if self.design else self.axes
        short = [each.name or each.key.rsplit(".", 1)[-1] for each in varied]
        clear = [name for name in short if short.count(name) == 1 and name not in RESERVED]
        return tuple(name if name in clear else each.key for name, each in zip(short, varied, strict=True))


def _flattened(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """`coating.coverage = 1` as TOML nests it, back to pairs of dotted key and value."""
    pairs: list[tuple[str, Any]] = []
    for name, value in table.items():
        nested = isinstance(value, dict) and "value" not in value
        pairs += _flattened(value, f"{prefix}{name}.") if nested else [(prefix + name, value)]
    return pairs


def _once(keys: list[str], info: ValidationInfo) -> None:
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise InputError(f"{units.shown(key)} is varied twice")
        for other in keys:
            if key != COATING and other != key and _lies_in(other, key):
                raise InputError(f"{units.shown(other)} lies in {key}, which is varied too")
        for other in info.data.get("set", ()):
            if other == key or (key != COATING and _lies_in(other, key)):
                held = "it" if other == key else other
                raise InputError(f"{units.shown(key)} is varied, but [set] holds {held} fixed")


def _lies_in(key: str, other: str) -> bool:
    """Whether a key is of a value within that of another."""
    path, outer = location_of(key), location_of(other)
    return len(path) > len(outer) and path[: len(outer)] == outer
