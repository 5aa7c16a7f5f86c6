"""Bars of a sweep: coatings ranked, and what decides a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interphase_sim.plot import COLOURS, styled, with_source
from interphase_sim.sweeps import analysis
from interphase_sim.sweeps.figures.marks import references
from interphase_sim.sweeps.figures.shared import (
    Quantity,
    coating_dim,
    labelled,
    measured_capacities,
    nearest,
    short_name,
    varied,
)


@styled
def ranking(ds: xr.Dataset, cycle: int | None = None) -> Figure:
    """Coatings by their discharge capacity in a cycle at the coverage of the base scenario: bars from the least to
    the greatest of what their uncertain numbers allow, a mark at known values."""
    coating = coating_dim(ds)
    assert coating is not None
    fixed = {name: nearest(ds, name) for name in varied(ds) if name != coating}
    capacity = analysis.at_cycle(ds, "discharge_capacity", cycle)
    here = capacity.isel(fixed)
    low, high = (each.values for each in analysis.spread(here))
    known = analysis.known(ds)
    first = here.isel(case=0).values if "case" in here.dims else here.values
    names = ds[coating].values.tolist()
    marks = np.where([known.get(name, True) for name in names], first, np.nan)
    order = np.argsort(np.where(np.isnan(marks), (low + high) / 2, marks))
    figure = Figure(figsize=(6.6, 1.3 + 0.32 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    y = np.arange(len(names))
    axes.barh(y, (high - low)[order], 0.55, low[order], color="#56B4E9", label="range of what is uncertain or unknown")
    axes.plot(marks[order], y, "D", color="0.1", markersize=4.5, label="values known")
    axes.plot(low[order], y, "|", color="#0072B2", markersize=9)
    axes.plot(high[order], y, "|", color="#0072B2", markersize=9)
    for k, i in enumerate(order):
        if np.isnan(high[i]):
            axes.text(0.02, k, "no result", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    number = int(capacity["cycle"])
    _reference(axes, ds, capacity, number, references(ds, fixed))
    axes.set_yticks(y, [names[i] for i in order])
    where = ", ".join(labelled(ds, name, ds[name].values[i]) for name, i in fixed.items())
    axes.set(
        xlabel=f"Discharge capacity in cycle {number} (mAh g⁻¹ of NCM622)",
        title=f"Coatings at {where}" if where else "",
    )
    axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _reference(axes: Axes, ds: xr.Dataset, capacity: xr.DataArray, cycle: int, cells: Sequence[str]) -> None:
    """The bare cell, where the sweep has it, and measured capacities of the measured cells that belong to it."""
    for name in varied(ds):
        if ds[name].attrs.get("long_name") == "coating.coverage" and 0.0 in ds[name].values:
            bare = float(capacity.sel({name: 0.0}).max())
            axes.axvline(bare, color=COLOURS["bare"], linewidth=1.2, label=f"no coating, simulated: {bare:.0f}")
    for cell in cells:
        for row in measured_capacities(cell):
            if row.cycle == cycle:
                label = f"{with_source(f'{cell} cell, measured', row.source)}: {row.value:g}"
                axes.axvline(row.value, color=COLOURS[cell], linestyle=":", label=label)


@styled
def effects(ds: xr.Dataset, chosen: Sequence[Quantity]) -> Figure:
    """What decides each quantity of a sample: Sobol' indices, or rank correlations, with 95 % intervals."""
    found = [(each, analysis.effects(ds, each.values)) for each in chosen if np.isfinite(each.values).any()]
    inputs = analysis.inputs(ds)
    figure = Figure(figsize=(1.9 + 3.6 * len(found), 1.5 + 0.36 * len(inputs)), layout="constrained")
    axes = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    leading = found[0][1]
    order = np.argsort(leading.total if leading.total is not None else np.abs(leading.first))
    for each, (quantity, effect) in zip(axes, found, strict=True):
        for offset, (label, colour, values, low, high) in enumerate(_bars(effect)):
            y = np.arange(len(inputs)) + 0.36 * offset - 0.18 * (effect.total is not None)
            errors = np.clip([values - low, high - values], 0, None)[:, order]
            style = {"xerr": errors, "color": colour, "ecolor": "0.25", "error_kw": {"linewidth": 0.9}}
            each.barh(y, values[order], 0.34, label=label if each is axes[0] else None, **style)
        each.axvline(0, color="0.2", linewidth=0.8)
        each.set_title(quantity.title)
        each.set_xlabel(f"from {effect.samples} samples, bars: 95 % intervals")
    axes[0].set_yticks(np.arange(len(inputs)), [short_name(inputs[i]) for i in order])
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _bars(effect: analysis.Effects) -> Iterator[tuple[str, str, Any, Any, Any]]:
    if effect.total is None:
        yield "rank correlation (Spearman)", "#0072B2", effect.first, effect.first_low, effect.first_high
        return
    yield "total: alone and with others", "#56B4E9", effect.total, effect.total_low, effect.total_high
    yield "first order: alone", "#0072B2", effect.first, effect.first_low, effect.first_high
