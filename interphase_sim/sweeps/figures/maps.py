"""Maps of a sweep over two axes, with rows for further axes and for both ends of what is not known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from interphase_sim.plot import MARKERS, sources, styled, with_source
from interphase_sim.sweeps import analysis
from interphase_sim.sweeps.figures.marks import marked
from interphase_sim.sweeps.figures.shared import (
    Quantity,
    axis_words,
    coating_dim,
    evenly,
    labelled,
    large_marker,
    measured_capacities,
    nearest,
    varied,
)

MOST_ROWS, MOST_TICKS = 4, 15
_GREY = "0.85"


class Panel(NamedTuple):
    """One row of maps: what is fixed in it, its words, and how corners of coatings are taken together."""

    fixed: dict[str, Any]
    words: str
    taken: Callable[[Quantity], xr.DataArray]


def _plane(ds: xr.Dataset) -> tuple[str, str, list[str]]:
    """The axes drawn to the right and upwards, and those left."""
    names = varied(ds)
    coating = coating_dim(ds)
    plain = [name for name in names if name != coating]
    up = coating if coating in names else plain[0]
    assert up is not None
    right = next(name for name in plain if name != up)
    return right, up, [name for name in names if name not in (right, up)]


def _panels(ds: xr.Dataset, left: Sequence[str]) -> list[Panel]:
    """Rows: some values of the axis left with the fewest, others as in the base scenario; both ends of a range."""
    rows = min(left, key=lambda name: ds.sizes[name], default=None)
    fixed = {name: nearest(ds, name) for name in left if name != rows}
    words = [labelled(ds, name, ds[name].values[i]) for name, i in fixed.items()]
    picked: list[dict[str, Any]] = [{}]
    if rows is not None:
        picked = [{rows: i} for i in evenly(ds.sizes[rows], MOST_ROWS)]
    ends: dict[str, Callable[[Quantity], xr.DataArray]] = {"": lambda quantity: quantity.values}
    if "case" in ds.dims:
        ends = {"lowest of the range": lambda q: q.range[0], "highest of the range": lambda q: q.range[1]}
    if any(analysis.known(ds).values()):
        ends = {"known values": lambda quantity: _known_values(ds, quantity.values), **ends}
    panels = []
    for pick in picked:
        here = [labelled(ds, name, ds[name].values[i]) for name, i in pick.items()]
        for text, taken in ends.items():
            panels.append(Panel({**fixed, **pick}, ", ".join(filter(None, [*here, *words, text])), taken))
    return panels


def _known_values(ds: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Values at what is known of a coating; not-a-number for coatings of which something is not."""
    coating = coating_dim(ds)
    assert coating is not None
    known = analysis.known(ds)
    told = xr.DataArray([known[name] for name in ds[coating].values.tolist()], dims=coating)
    return values.isel(case=0).where(told)


@styled
def maps(ds: xr.Dataset, chosen: Sequence[Quantity]) -> Figure:
    """One column per quantity over two axes; rows for further axes, and for both ends of what is not known.

    Open markers: the measured cells, where they are cells of this sweep and lie on its axes. Grey: no result.
    """
    right, up, left = _plane(ds)
    panels = _panels(ds, left)
    tall = max(2.6, 0.26 * ds.sizes[up] + 0.6) if _is_list(ds, up) else 2.7
    wide = 4.3 if _is_list(ds, up) else 3.7
    figure = Figure(figsize=(1.4 + wide * len(chosen), 0.9 + tall * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), len(chosen), squeeze=False, sharex=True, sharey=True)
    for column, quantity in enumerate(chosen):
        norm = _norm(quantity)
        for row, panel in enumerate(panels):
            shown = panel.taken(quantity).isel(panel.fixed).transpose(up, right)
            drawn = _map(axes[row, column], ds, shown, right, up, norm, quantity)
            _mark(axes[row, column], ds, panel, right, up)
            if column == 0 and panel.words:
                axes[row, 0].set_ylabel(f"{panel.words}\n{axis_words(ds, up)}")
            elif column == 0:
                axes[row, 0].set_ylabel(axis_words(ds, up))
        axes[0, column].set_title(quantity.title)
        axes[-1, column].set_xlabel(axis_words(ds, right))
        bar = figure.colorbar(drawn, ax=axes[:, column], location="bottom", aspect=30, shrink=0.85, pad=0.02)
        if isinstance(norm, LogNorm) and _powers(norm) < 1.5:  # too few to read the bar by
            bar.ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            bar.ax.xaxis.set_major_formatter(ScalarFormatter())
            bar.ax.xaxis.set_minor_locator(NullLocator())
    key = _map_key(ds, axes, chosen)
    if key:
        figure.legend(handles=key, loc="outside lower center", ncols=len(key))
    return figure


def _is_list(ds: xr.Dataset, name: str) -> bool:
    """Whether an axis has names, or numbers too unevenly spaced to be drawn where they lie."""
    values = ds[name].values
    if values.dtype.kind == "U":
        return True
    steps = np.abs(np.diff(np.log(values) if _is_log(values) else values.astype(float)))
    return bool(steps.max() > 12 * steps.min())


def _is_log(values: Any) -> bool:
    if values.dtype.kind == "U" or values.min() <= 0 or len(values) < 3:
        return False
    ratio, step = np.diff(np.log(values)), np.diff(values.astype(float))
    return bool(np.ptp(ratio) < 0.2 * np.abs(ratio).mean() < np.inf and np.ptp(step) > 0.5 * np.abs(step).mean())


def _norm(quantity: Quantity) -> Normalize:
    values = quantity.values.values
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if quantity.logarithmic and low > 0:
        return LogNorm(low, max(high, 1.01 * low))
    return Normalize(min(low, 0.0) if quantity.name == "discharge_capacity" else low, high if high > low else low + 1)


def _powers(norm: LogNorm) -> float:
    """Powers of ten that a logarithmic scale spans."""
    return math.log10((norm.vmax or 1.0) / (norm.vmin or 1.0))


def _place(ds: xr.Dataset, name: str) -> Any:
    return np.arange(ds.sizes[name]) if _is_list(ds, name) else ds[name].values


def _map(
    axes: Axes, ds: xr.Dataset, shown: xr.DataArray, right: str, up: str, norm: Normalize, quantity: Quantity
) -> Any:
    x, y, z = _place(ds, right), _place(ds, up), np.ma.masked_invalid(shown.values)
    axes.set_facecolor(_GREY)
    colours = "magma_r" if quantity.logarithmic else "viridis"
    drawn = axes.pcolormesh(x, y, z, norm=norm, cmap=colours, shading="nearest", rasterized=True)
    for name, axis in ((right, axes.xaxis), (up, axes.yaxis)):
        if _is_log(ds[name].values) and not _is_list(ds, name):
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        if ds.sizes[name] <= MOST_TICKS:
            labels = [v if isinstance(v, str) else f"{v:.3g}" for v in ds[name].values.tolist()]
            axis.set_ticks(_place(ds, name), labels)
            axis.set_minor_locator(NullLocator())
    if _is_list(ds, right) or _is_list(ds, up):
        _numbers(axes, x, y, z, drawn)
    elif z.count() > 3 and min(z.shape) > 1:
        _contours(axes, x, y, z)
    return drawn


def _numbers(axes: Axes, x: Any, y: Any, z: Any, drawn: Any) -> None:
    for j, i in np.ndindex(z.shape):
        if not np.ma.is_masked(z[j, i]):
            red, green, blue, _ = drawn.cmap(drawn.norm(z[j, i]))
            ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
            text = f"{z[j, i]:.0f}" if abs(z[j, i]) >= 99.5 else f"{z[j, i]:.2g}"
            axes.text(x[i], y[j], text, ha="center", va="center", fontsize=6.5, color=ink)


def _contours(axes: Axes, x: Any, y: Any, z: Any) -> None:
    if z.max() - z.min() <= 1e-9 * abs(z.max()):
        return
    lines = axes.contour(x, y, z, levels=6, colors="white", linewidths=0.9)
    axes.clabel(lines, fontsize=7, fmt="%.4g")


def _mark(axes: Axes, ds: xr.Dataset, panel: Panel, right: str, up: str) -> None:
    for cell, at in marked(ds, panel.fixed).items():
        x, y = (_position(ds, name, at.get(name)) for name in (right, up))
        if x is not None and y is not None:
            axes.plot([x], [y], **large_marker(cell))


def _position(ds: xr.Dataset, name: str, value: Any) -> float | None:
    """Where a value is drawn on an axis; None off its ends."""
    values = ds[name].values
    if value is None:
        return None
    if values.dtype.kind == "U":
        return float(values.tolist().index(value)) if value in values.tolist() else None
    if not values.min() <= value <= values.max():
        return None
    order = np.argsort(values)
    return float(np.interp(value, values[order], _place(ds, name)[order]))


def _map_key(ds: xr.Dataset, axes: Any, chosen: Sequence[Quantity]) -> list[Line2D | Patch]:
    drawn = {line.get_marker() for each in axes.flat for line in each.lines}
    key: list[Line2D | Patch] = []
    for cell, shape in MARKERS.items():
        if shape in drawn:
            rows = measured_capacities(cell)
            points = ", ".join(f"{row.value:g} in cycle {row.cycle}" for row in rows)
            label = with_source(f"{cell} cell, measured {points}", sources(rows))
            key.append(Line2D([], [], **large_marker(cell), label=label))
    if any(np.isnan(each.values).any() for each in chosen):
        words = "no result" if not any(q.name == "cycle_life" for q in chosen) else "no result, or not worn out"
        key.append(Patch(facecolor=_GREY, label=words))
    return key
