"""What the data of a sweep say: ranges, parameters without effect, and what decides a quantity of a sample."""

from __future__ import annotations

import json
import tomllib
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats

from interphase_sim.errors import InputError
from interphase_sim.scenario import value_at
from interphase_sim.sweeps import store as stores
from interphase_sim.sweeps.schema import number
from interphase_sim.sweeps.worker import GOOD, NO_CAPACITY, PENDING

Array = npt.NDArray[np.float64]
SAME = 1e-9  # relative difference of outputs that is none
CONFIDENCE = 0.95
RESAMPLES = 2000


class Effects(NamedTuple):
    """How strongly each input acts on a quantity, with the bounds of its 95 % interval; all (inputs,).

    For Saltelli's design Sobol' indices of first and total order, for any other sample Spearman's rank correlation
    (total is then None). samples: how many went in.
    """

    names: tuple[str, ...]
    first: Array
    first_low: Array
    first_high: Array
    total: Array | None
    total_low: Array | None
    total_high: Array | None
    samples: int


def dims(ds: xr.Dataset) -> tuple[str, ...]:
    """What is varied: dimensions of a run."""
    return tuple(str(name) for name in ds["status"].dims)


def inputs(ds: xr.Dataset) -> tuple[str, ...]:
    """The inputs of a sampled design, in the order of its matrices; none for a grid."""
    if "matrix" in ds.coords:
        labels = ds["matrix"].values
        return tuple(dict.fromkeys(str(label) for label in labels if label not in ("A", "B")))
    varied = (str(name) for name, each in ds.coords.items() if each.dims == ("run",))
    return tuple(name for name in varied if name not in ("run", "matrix"))


def outputs(ds: xr.Dataset) -> list[str]:
    """The outputs by cycle."""
    return [str(name) for name, each in ds.data_vars.items() if "cycle" in each.dims]


def at_cycle(ds: xr.Dataset, name: str, cycle: int | None = None) -> xr.DataArray:
    """An output in one cycle, the last without; not-a-number where a run did not succeed or get there."""
    kept = ds["cycle"].values
    chosen = int(kept[-1]) if cycle is None else cycle
    if chosen not in kept:
        raise InputError(f"cycle {chosen} is not kept, these are: {', '.join(map(str, kept))}")
    return with_ends(ds, name).sel(cycle=chosen)


def with_ends(ds: xr.Dataset, name: str) -> xr.DataArray:
    """An output by cycle, not-a-number where a run did not succeed or get there; but the capacity of a cell that could
    pass no charge is 0 from then on."""
    values = ds[name].load().where(ds["status"].isin(GOOD).load())
    if name != "discharge_capacity":
        return values
    after = (ds["cycle"] >= np.maximum(ds["cycles"].load(), 1)) & values.isnull()
    return values.where(~((ds["status"] == NO_CAPACITY).load() & after), 0.0)


def spread(values: xr.DataArray, *, censored: bool = False) -> tuple[xr.DataArray, xr.DataArray]:
    """Least and greatest over the corners of what is not known of a coating; twice the values without corners.

    Not-a-number where a corner has no value; if censored, that is a value beyond all others.
    """
    if "case" not in values.dims:
        return values, values
    return values.min("case", skipna=censored), values.max("case", skipna=False)


def base_value(ds: xr.Dataset, name: str) -> float | str | None:
    """The base scenario's value on an axis, in the axis' unit; None where it has none."""
    return value_on_axis(ds, name, tomllib.loads(ds.attrs["base_scenario"]))


def key_of(ds: xr.Dataset, name: str) -> str:
    """The key of a scenario that an axis varies; that of the core for an axis of coatings by name."""
    key = str(ds[name].attrs.get("long_name", ""))
    return key if "." in key else "coating.core"


def value_on_axis(ds: xr.Dataset, name: str, scenario: dict[str, Any]) -> float | str | None:
    """The value that a scenario, as a table, has on an axis, in the axis' unit; None where it has none."""
    coordinate, key = ds[name], key_of(ds, name)
    node = value_at(scenario, key)
    raw = node["value"] if isinstance(node, dict) and "value" in node else node
    if raw is None or coordinate.dtype.kind == "U":
        return raw if raw is None or isinstance(raw, str) else json.dumps(raw, default=str)  # as the axis has it
    found = number(raw, key)
    return found.value if found.unit == coordinate.attrs.get("units", "") else _converted(raw, key, coordinate)


def _converted(raw: Any, key: str, coordinate: xr.DataArray) -> float | None:
    """A value in the unit of an axis written in another one, by the straight line through two SI values."""
    from interphase_sim.scenario import quantity_of

    quantity, unit = quantity_of(key), coordinate.attrs.get("units", "")
    if quantity is None:
        return None
    try:
        zero, one = quantity.number(f"0 {unit}"), quantity.number(f"1 {unit}")
    except InputError:
        return None
    return round((quantity.number(raw) - zero) / (one - zero), 9)


def without_effect(ds: xr.Dataset) -> list[str]:
    """Swept parameters that change no output in any recorded run, as far as runs that differ in them alone can tell."""
    if not (ds["status"] != PENDING).all():
        return []
    found = []
    names = inputs(ds)
    for name in names or [each for each in dims(ds) if ds.sizes[each] > 1]:
        if _saltelli_same(ds, name) if names else _axis_same(ds, name):
            found.append(name)
    return found


def _axis_same(ds: xr.Dataset, name: str) -> bool:
    return all(
        _equal(values, values.isel({name: [0] * ds.sizes[name]}).values)
        for values in (each.transpose(*dims(ds)) for each in _compared(ds))
    )


def _equal(values: xr.DataArray, others: Any) -> bool:
    return bool(np.allclose(values.values, others, rtol=SAME, atol=0, equal_nan=True))


def _compared(ds: xr.Dataset) -> list[xr.DataArray]:
    """Outputs in the first and last cycles kept, and how runs ended."""
    kept = ds["cycle"].values
    cycles = {int(kept[min(1, len(kept) - 1)]), int(kept[-1])}
    each = [ds[name].sel(cycle=cycle).load() for name in outputs(ds) for cycle in sorted(cycles)]
    return [*each, ds["cycles"].load().astype(float)]


def _saltelli_same(ds: xr.Dataset, name: str) -> bool:
    """Whether runs that differ from those of A in one input alone are the same; unknown without such a design."""
    if "matrix" not in ds.coords:
        return False
    matrix = ds["matrix"].values
    return all(_equal(each[matrix == name], each[matrix == "A"].values) for each in _compared(ds))


def effects(ds: xr.Dataset, values: xr.DataArray) -> Effects:
    """How the inputs of a sampled design act on a quantity of each run.

    Raises InputError when too few runs succeeded.
    """
    return _sobol(ds, values) if "matrix" in ds.coords else _ranks(ds, values)


def _sobol(ds: xr.Dataset, values: xr.DataArray) -> Effects:
    """Sobol' indices (Saltelli 2010) with bootstrap intervals by scipy.stats, of the first whole samples: as many as
    the largest power of two among them, for scipy takes no other number."""
    names = inputs(ds)
    table = values.values.reshape(-1, len(names) + 2)
    table = table[np.isfinite(table).all(axis=1)]
    if len(table) < 4:
        raise InputError(f"only {len(table)} samples are whole, too few for Sobol' indices")
    table = table[: 1 << (len(table).bit_length() - 1)]
    f = {"f_A": table[:, 0][None], "f_B": table[:, 1][None], "f_AB": table[:, 2:].T[:, None]}
    found = stats.sobol_indices(func=f, n=len(table))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # an input without any effect has no interval, which is then its value
        bounds = found.bootstrap(confidence_level=CONFIDENCE, n_resamples=RESAMPLES)
    first, total = bounds.first_order.confidence_interval, bounds.total_order.confidence_interval

    def each(values: Any, otherwise: Any) -> Array:
        flat = np.asarray(values, float).reshape(len(names))
        return np.where(np.isnan(flat), np.asarray(otherwise).reshape(len(names)), flat)

    s, st = found.first_order, found.total_order
    return Effects(
        names,
        each(s, 0.0 * s),
        each(first.low, s),
        each(first.high, s),
        each(st, 0.0 * st),
        each(total.low, st),
        each(total.high, st),
        len(table),
    )


def _ranks(ds: xr.Dataset, values: xr.DataArray) -> Effects:
    """Spearman's rank correlation of every input with the quantity; intervals by Fisher's transformation."""
    names, ok = inputs(ds), np.isfinite(values.values)
    if ok.sum() < 5:
        raise InputError(f"only {ok.sum()} runs succeeded, too few for a correlation")
    rho = np.array([stats.spearmanr(ds[name].values[ok], values.values[ok]).statistic for name in names])
    width = stats.norm.ppf(0.5 + CONFIDENCE / 2) * 1.03 / np.sqrt(ok.sum() - 3)
    z = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    return Effects(names, rho, np.tanh(z - width), np.tanh(z + width), None, None, None, int(ok.sum()))


def known(ds: xr.Dataset) -> dict[str, bool]:
    """By coating, whether the first of its cases holds its own values, and not a corner of a range."""
    cases = stores.notes(ds, "coating_cases") or {}
    return {name: _is_known(each) for name, each in cases.items()}


def _is_known(cases: list[dict[str, Any]]) -> bool:
    keys = {key for case in cases for key in case}
    varied = [key for key in keys if len({repr(case.get(key)) for case in cases[1:]}) > 1]
    return all(cases[0].get(key) is None for key in varied) and (len(cases) == 1 or bool(varied))
