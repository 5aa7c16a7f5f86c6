"""What the figures of a sweep share: their quantities, the words for axes, the marks of the measured cells."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from interphase_sim.experiment import Observation, observations
from interphase_sim.plot import marker, measured_rows
from interphase_sim.sweeps import analysis

SAME_VALUE = 0.02  # how close to a scenario's value an axis' value is taken for it, relative
CAPACITY = "Discharge capacity (mAh g⁻¹ of NCM622)"


class Quantity(NamedTuple):
    """What a map shows: title, values of every run, and whether its scale is logarithmic."""

    title: str
    values: xr.DataArray
    name: str
    logarithmic: bool = False

    @property
    def range(self) -> tuple[xr.DataArray, xr.DataArray]:
        """Least and greatest over the corners of what is not known."""
        return analysis.spread(self.values, censored=self.name == "cycle_life")


def varied(ds: xr.Dataset) -> list[str]:
    """Axes with more than one value, the corners of coatings aside."""
    return [name for name in analysis.dims(ds) if name != "case" and ds.sizes[name] > 1]


def coating_dim(ds: xr.Dataset) -> str | None:
    """The axis of coatings by name, if there is one."""
    long_names = {name: ds[name].attrs.get("long_name") for name in analysis.dims(ds)}
    return next((name for name, text in long_names.items() if text == "material of the coating"), None)


def nearest(ds: xr.Dataset, name: str) -> int:
    """The place on an axis nearest to the base scenario, else its middle."""
    value = analysis.base_value(ds, name)
    if isinstance(value, float):
        return int(np.abs(ds[name].values - value).argmin())
    return ds[name].values.tolist().index(value) if value in ds[name].values.tolist() else ds.sizes[name] // 2


def labelled(ds: xr.Dataset, name: str, value: Any) -> str:
    """A value of an axis in words: name, value, unit."""
    unit = unit_of(ds, name)
    shown = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return f"{short_name(name)} {shown}{f' {unit}' if unit else ''}"


def short_name(name: str) -> str:
    """The last part of a dotted key as words."""
    return name.rsplit(".", 1)[-1].replace("_", " ")


def unit_of(ds: xr.Dataset, name: str) -> str:
    """The unit of an axis as figures write it, empty without."""
    unit = str(ds[name].attrs.get("units", ""))
    return {"1": "", "degC": "°C", "um": "µm", "ohm m2": "Ω m²", "ohm cm2": "Ω cm²"}.get(unit, unit)


def axis_words(ds: xr.Dataset, name: str) -> str:
    """An axis in words: name and unit."""
    unit = unit_of(ds, name)
    return f"{short_name(name).capitalize()}{f' ({unit})' if unit else ''}"


def large_marker(cell: str) -> dict[str, Any]:
    """Style of the mark of a measured cell that does not hide what lies under it."""
    return marker(cell) | {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.9}


def measured_capacities(cell: str) -> list[Observation]:
    """Measured discharge capacities of a cell [mAh g-1]."""
    return measured_rows(observations.load(), "discharge_capacity", cell)


def close(value: Any, shown: Any) -> bool:
    """Whether a value of a scenario is taken for one on an axis."""
    if value is None or isinstance(value, str) or isinstance(shown, str):
        return bool(value == shown)
    return bool(abs(value - shown) <= SAME_VALUE * max(abs(value), abs(shown)))


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly spaced, both ends among them."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]
