"""Fade curves of a sweep: families over its axes, or median and bands of a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from interphase_sim.plot import COLOURS, sources, styled, with_source
from interphase_sim.sweeps import analysis
from interphase_sim.sweeps.figures.marks import marked
from interphase_sim.sweeps.figures.shared import (
    CAPACITY,
    axis_words,
    coating_dim,
    evenly,
    labelled,
    large_marker,
    measured_capacities,
    nearest,
    varied,
)

MOST_PANELS, MOST_LINES, MOST_RANGES = 12, 9, 4


@styled
def fade_families(ds: xr.Dataset) -> Figure:
    """Discharge capacity against cycle: a line per value of one axis, a panel per value of another; further axes as in
    the base scenario. Where something is not known, broken lines from the least to the greatest."""
    capacity = analysis.with_ends(ds, "discharge_capacity")
    names = varied(ds)
    coating = coating_dim(ds)
    plain = [name for name in names if name != coating]
    lines = plain[0] if plain else None
    rest = [name for name in names if name not in (lines, coating)]
    panels = coating or min(rest, key=lambda name: ds.sizes[name], default=None)
    fixed = {name: nearest(ds, name) for name in rest if name != panels}
    picked = evenly(ds.sizes[panels], MOST_PANELS) if panels else [0]
    columns = min(len(picked), 4 if len(picked) > 6 else 3)
    rows = math.ceil(len(picked) / columns)
    figure = Figure(figsize=(1.0 + 2.9 * columns, 0.9 + 2.5 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    drawn = evenly(ds.sizes[lines], MOST_RANGES if "case" in ds.dims else MOST_LINES) if lines else [0]
    shades = _shades(len(drawn))
    for axes, i in zip(every.flat, picked, strict=False):
        here = capacity.isel({**fixed, **({panels: i} if panels else {})})
        known = analysis.known(ds).get(str(ds[panels].values[i]), False) if panels else False
        for k, shade in zip(drawn, shades, strict=True):
            _line(axes, here.isel({lines: k}) if lines else here, shade, known)
        axes.set_title(_panel_title(ds, panels, i), fontsize=8.5)
        axes.set_xlim(left=0)
    for axes in list(every.flat)[len(picked) :]:
        axes.set_axis_off()
    every[0, 0].set_ylim(0, 1.05 * float(capacity.max()))
    for axes in list(every.flat)[: len(picked)][-columns:]:  # the lowest of each column
        axes.set_xlabel("Cycle number")
        axes.tick_params(labelbottom=True)
    figure.supylabel(CAPACITY, fontsize=9)
    _fade_key(figure, ds, lines, drawn, fixed)
    return figure


def _shades(count: int) -> list[Any]:
    return [mpl.colormaps["viridis"](x) for x in np.linspace(0.0, 0.9, count)]


def _line(axes: Axes, values: xr.DataArray, shade: Any, known: bool) -> None:
    cycle = values["cycle"].values
    ends = [each.values for each in analysis.spread(values)]
    if "case" not in values.dims or not np.nanmax(np.nan_to_num(ends[1] - ends[0])) > 0:
        axes.plot(cycle, ends[0], color=shade, linewidth=1.4)
        return
    for end in ends:
        axes.plot(cycle, end, color=shade, linewidth=0.9, linestyle=(0, (4, 2)))
    if known:
        axes.plot(cycle, values.isel(case=0).values, color=shade, linewidth=1.4)


def _panel_title(ds: xr.Dataset, panels: str | None, i: int) -> str:
    if panels is None:
        return str(ds.attrs["name"])
    value = ds[panels].values[i]
    return str(value) if panels == coating_dim(ds) else labelled(ds, panels, value)


def _fade_key(figure: Figure, ds: xr.Dataset, lines: str | None, drawn: Sequence[int], fixed: dict[str, int]) -> None:
    key: list[Line2D] = []
    if lines:
        values = [ds[lines].values.tolist()[k] for k in drawn]
        texts = [v if isinstance(v, str) else f"{v:.4g}" for v in values]
        key = [Line2D([], [], color=c, label=t) for c, t in zip(_shades(len(drawn)), texts, strict=True)]
    if "case" in ds.dims:
        words = "least and greatest of what is uncertain"
        key.append(Line2D([], [], color="0.4", linewidth=0.9, linestyle=(0, (4, 2)), label=words))
    title = [axis_words(ds, lines)] if lines else []
    title += [labelled(ds, name, ds[name].values[i]) for name, i in fixed.items()]
    if key:
        figure.legend(handles=key, loc="outside lower center", ncols=min(len(key), 9), title="; at ".join(title))


@styled
def sampled_fade(ds: xr.Dataset) -> Figure:
    """Median and bands of the discharge capacity of a sample against cycle, and some of its runs.

    Open markers: a measured cell whose values all lie within the sample.
    """
    capacity = ds["discharge_capacity"].load().values
    capacity = capacity[np.isfinite(capacity[:, -1])]
    cycle = ds["cycle"].values
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    use = np.isfinite(capacity).all(axis=0)
    for low, high, alpha in ((5, 95, 0.2), (25, 75, 0.35)):
        ends = np.percentile(capacity[:, use], [low, high], axis=0)
        axes.fill_between(cycle[use], *ends, color=COLOURS["coated"], alpha=alpha, linewidth=0, label=f"{low}-{high} %")
    for run in capacity[evenly(len(capacity), 30)]:
        axes.plot(cycle[use], run[use], color="0.5", linewidth=0.4, zorder=1)
    axes.plot(cycle[use], np.median(capacity[:, use], axis=0), color=COLOURS["coated"], label="median")
    for cell in marked(ds, {}):
        rows = measured_capacities(cell)
        style = large_marker(cell) | {"markersize": 6.5}
        label = with_source(f"{cell} cell, measured", sources(rows))
        axes.plot([row.cycle for row in rows], [row.value for row in rows], **style, label=label)
    axes.legend(loc="best")
    axes.set(xlabel="Cycle number", ylabel=CAPACITY, title=f"{ds.attrs['name']}: {len(capacity)} runs")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return figure
