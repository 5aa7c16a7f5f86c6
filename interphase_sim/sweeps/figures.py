"""Figures of a sweep: maps over two axes, families of fade curves, coatings ranked, what decides a sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from interphase_sim import measured
from interphase_sim.errors import InputError
from interphase_sim.plot import COLOURS, MARKERS, styled, written
from interphase_sim.sweeps import analysis

MOST_ROWS, MOST_PANELS, MOST_LINES, MOST_RANGES, MOST_TICKS = 4, 12, 9, 4, 15
BASE = 0.02  # how close to the base scenario's value an axis' value is taken for it, relative
_GREY = "0.85"
_WORDS = {
    "discharge_capacity": "Discharge capacity (mAh g⁻¹ of NCM622)",
    "charge_capacity": "Charge capacity (mAh g⁻¹ of NCM622)",
    "film_resistance_geometric": "Film resistance (Ω cm²)",
    "film_resistance": "Film resistance (Ω m²)",
    "layer_thickness": "Layer thickness (m)",
    "coulombic_efficiency": "Coulombic efficiency (%)",
}


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


def save_all(ds: xr.Dataset, folder: Path, cycle: int | None = None) -> list[Path]:
    """Draw all figures that the sweep has data for as PNG; returns the files.

    cycle: what maps, bars and indices show, the last one kept without. Raises InputError where no run succeeded.
    """
    chosen = quantities(ds, cycle)
    if not chosen:
        raise InputError("nothing to draw: no run has succeeded yet")
    drawn: dict[str, Figure] = {}
    if analysis.inputs(ds):
        drawn["effects.png"] = effects(ds, chosen)
    elif len(_shown(ds)) > 1:
        drawn["map.png"] = maps(ds, chosen)
    if "discharge_capacity" in ds and ds.sizes["cycle"] > 1:
        drawn["fade.png"] = sampled_fade(ds) if analysis.inputs(ds) else fade_families(ds)
    if _coating_dim(ds) and "discharge_capacity" in ds:
        drawn["ranking.png"] = ranking(ds, cycle)
    return written(drawn, folder)


def quantities(ds: xr.Dataset, cycle: int | None = None) -> list[Quantity]:
    """Capacity, cycle life and film resistance, as far as the sweep keeps them and any run has them."""
    number = int(ds["cycle"].values[-1]) if cycle is None else cycle
    found = []
    if "discharge_capacity" in ds:
        values = analysis.at_cycle(ds, "discharge_capacity", cycle)
        found.append(Quantity(f"Discharge capacity in cycle {number} (mAh g⁻¹)", values, "discharge_capacity"))
    life = ds["cycle_life"].load().where(ds["status"].load() != 0)
    if np.isfinite(life).any():
        found.append(Quantity("Cycle life (first worn-out cycle)", life, "cycle_life"))
    if "film_resistance_geometric" in ds:
        values = analysis.at_cycle(ds, "film_resistance_geometric", cycle)
        title = f"Film resistance in cycle {number} (Ω cm²)"
        found.append(Quantity(title, values, "film_resistance_geometric", logarithmic=True))
    if not found:
        name = analysis.outputs(ds)[0]
        found.append(Quantity(f"{_WORDS.get(name, name)}, cycle {number}", analysis.at_cycle(ds, name, cycle), name))
    return [each for each in found if np.isfinite(each.values).any()]


# Maps


def _shown(ds: xr.Dataset) -> list[str]:
    """Axes with more than one value, the corners of coatings aside."""
    return [name for name in analysis.dims(ds) if name != "case" and ds.sizes[name] > 1]


def _coating_dim(ds: xr.Dataset) -> str | None:
    long_names = {name: ds[name].attrs.get("long_name") for name in analysis.dims(ds)}
    return next((name for name, text in long_names.items() if text == "material of the coating"), None)


class Panel(NamedTuple):
    """One row of maps: what is fixed in it, its words, and how corners of coatings are taken together."""

    fixed: dict[str, Any]
    words: str
    taken: Callable[[Quantity], xr.DataArray]


def _plane(ds: xr.Dataset) -> tuple[str, str, list[str]]:
    """The axes drawn to the right and upwards, and those left."""
    names = _shown(ds)
    coating = _coating_dim(ds)
    plain = [name for name in names if name != coating]
    up = coating if coating in names else plain[0]
    assert up is not None
    right = next(name for name in plain if name != up)
    return right, up, [name for name in names if name not in (right, up)]


def _panels(ds: xr.Dataset, left: Sequence[str]) -> list[Panel]:
    """Rows: some values of the axis left with the fewest, others as in the base scenario; both ends of a range."""
    rows = min(left, key=lambda name: ds.sizes[name], default=None)
    fixed = {name: _nearest(ds, name) for name in left if name != rows}
    words = [_labelled(ds, name, ds[name].values[i]) for name, i in fixed.items()]
    picked: list[dict[str, Any]] = [{}]
    if rows is not None:
        picked = [{rows: int(i)} for i in np.unique(np.linspace(0, ds.sizes[rows] - 1, MOST_ROWS).astype(int))]
    ends: dict[str, Callable[[Quantity], xr.DataArray]] = {"": lambda quantity: quantity.values}
    if "case" in ds.dims:
        ends = {"lowest of the range": lambda q: q.range[0], "highest of the range": lambda q: q.range[1]}
    if any(analysis.known(ds).values()):
        ends = {"known values": lambda quantity: _known_values(ds, quantity.values), **ends}
    panels = []
    for pick in picked:
        here = [_labelled(ds, name, ds[name].values[i]) for name, i in pick.items()]
        for text, taken in ends.items():
            panels.append(Panel({**fixed, **pick}, ", ".join(filter(None, [*here, *words, text])), taken))
    return panels


def _known_values(ds: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Values at what is known of a coating; not-a-number for coatings of which something is not."""
    coating = _coating_dim(ds)
    assert coating is not None
    known = analysis.known(ds)
    told = xr.DataArray([known[name] for name in ds[coating].values.tolist()], dims=coating)
    return values.isel(case=0).where(told)


def _nearest(ds: xr.Dataset, name: str) -> int:
    """The place on an axis nearest to the base scenario, else its middle."""
    value = analysis.base_value(ds, name)
    if isinstance(value, float):
        return int(np.abs(ds[name].values - value).argmin())
    return ds[name].values.tolist().index(value) if value in ds[name].values.tolist() else ds.sizes[name] // 2


def _labelled(ds: xr.Dataset, name: str, value: Any) -> str:
    unit = _unit(ds, name)
    shown = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return f"{_name(name)} {shown}{f' {unit}' if unit else ''}"


def _name(name: str) -> str:
    return name.rsplit(".", 1)[-1].replace("_", " ")


def _unit(ds: xr.Dataset, name: str) -> str:
    unit = str(ds[name].attrs.get("units", ""))
    return {"1": "", "degC": "°C", "um": "µm", "ohm m2": "Ω m²", "ohm cm2": "Ω cm²"}.get(unit, unit)


def _axis_words(ds: xr.Dataset, name: str) -> str:
    unit = _unit(ds, name)
    return f"{_name(name).capitalize()}{f' ({unit})' if unit else ''}"


@styled
def maps(ds: xr.Dataset, chosen: Sequence[Quantity]) -> Figure:
    """One column per quantity over two axes; rows for further axes, and for both ends of what is not known.

    Open markers: the measured cells, where they lie on the axes. Grey: no result.
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
                axes[row, 0].set_ylabel(f"{panel.words}\n{_axis_words(ds, up)}")
            elif column == 0:
                axes[row, 0].set_ylabel(_axis_words(ds, up))
        axes[0, column].set_title(quantity.title)
        axes[-1, column].set_xlabel(_axis_words(ds, right))
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


def _cells(ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Where the measured cells lie on the axes of this sweep; an axis that the base scenario lacks is left out."""
    here = {name: analysis.base_value(ds, name) for name in _shown(ds)}
    coverage = [name for name in here if ds[name].attrs.get("long_name") == "coating.coverage"]
    cells = {"coated": here}
    if coverage:
        cells["bare"] = here | dict.fromkeys(coverage, 0.0)
    elif "[coating]" not in ds.attrs["base_scenario"]:
        cells = {"bare": here}
    return cells


def _mark(axes: Axes, ds: xr.Dataset, panel: Panel, right: str, up: str) -> None:
    for cell, at in _cells(ds).items():
        fixed = [(at[name], ds[name].values[i]) for name, i in panel.fixed.items()]
        if not all(value is None or _close(value, shown) for value, shown in fixed):
            continue
        x, y = (_position(ds, name, at[name]) for name in (right, up))
        if x is not None and y is not None:
            axes.plot([x], [y], **_marker(cell))


def _close(value: Any, shown: Any) -> bool:
    if isinstance(value, str) or isinstance(shown, str):
        return bool(value == shown)
    return bool(abs(value - shown) <= BASE * max(abs(value), abs(shown)))


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


def _marker(cell: str) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": MARKERS[cell],
        "markersize": 11,
        "markerfacecolor": "none",
        "markeredgecolor": COLOURS[cell],
        "markeredgewidth": 1.9,
        "zorder": 5,
        "clip_on": False,
    }


def _map_key(ds: xr.Dataset, axes: Any, chosen: Sequence[Quantity]) -> list[Line2D | Patch]:
    drawn = {line.get_marker() for each in axes.flat for line in each.lines}
    key: list[Line2D | Patch] = []
    for cell, marker in MARKERS.items():
        if marker in drawn:
            points = [f"{row.value:g} in cycle {row.cycle}" for row in _measured(cell)]
            key.append(Line2D([], [], **_marker(cell), label=f"{cell} cell, measured {', '.join(points)}"))
    if any(np.isnan(each.values).any() for each in chosen):
        words = "no result" if not any(q.name == "cycle_life" for q in chosen) else "no result, or not worn out"
        key.append(Patch(facecolor=_GREY, label=words))
    return key


def _measured(cell: str) -> list[measured.Measured]:
    return [row for row in measured.capacities() if (row.cell, row.quantity) == (cell, "discharge_capacity")]


# Fade


@styled
def fade_families(ds: xr.Dataset) -> Figure:
    """Discharge capacity against cycle: a line per value of one axis, a panel per value of another; further axes as in
    the base scenario. Where something is not known, broken lines from the least to the greatest."""
    capacity = analysis.with_ends(ds, "discharge_capacity")
    names = _shown(ds)
    coating = _coating_dim(ds)
    plain = [name for name in names if name != coating]
    lines = plain[0] if plain else None
    rest = [name for name in names if name not in (lines, coating)]
    panels = coating or min(rest, key=lambda name: ds.sizes[name], default=None)
    fixed = {name: _nearest(ds, name) for name in rest if name != panels}
    picked = _some(ds.sizes[panels], MOST_PANELS) if panels else [0]
    columns = min(len(picked), 4 if len(picked) > 6 else 3)
    rows = math.ceil(len(picked) / columns)
    figure = Figure(figsize=(1.0 + 2.9 * columns, 0.9 + 2.5 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    drawn = _some(ds.sizes[lines], MOST_RANGES if "case" in ds.dims else MOST_LINES) if lines else [0]
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
    figure.supylabel("Discharge capacity (mAh g⁻¹ of NCM622)", fontsize=9)
    _fade_key(figure, ds, lines, drawn, fixed)
    return figure


def _some(count: int, most: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]


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
    return str(value) if panels == _coating_dim(ds) else _labelled(ds, panels, value)


def _fade_key(figure: Figure, ds: xr.Dataset, lines: str | None, drawn: Sequence[int], fixed: dict[str, int]) -> None:
    key: list[Line2D] = []
    if lines:
        values = [ds[lines].values.tolist()[k] for k in drawn]
        texts = [v if isinstance(v, str) else f"{v:.4g}" for v in values]
        key = [Line2D([], [], color=c, label=t) for c, t in zip(_shades(len(drawn)), texts, strict=True)]
    if "case" in ds.dims:
        words = "least and greatest of what is uncertain"
        key.append(Line2D([], [], color="0.4", linewidth=0.9, linestyle=(0, (4, 2)), label=words))
    title = [_axis_words(ds, lines)] if lines else []
    title += [_labelled(ds, name, ds[name].values[i]) for name, i in fixed.items()]
    if key:
        figure.legend(handles=key, loc="outside lower center", ncols=min(len(key), 9), title="; at ".join(title))


@styled
def sampled_fade(ds: xr.Dataset) -> Figure:
    """Median and bands of the discharge capacity of a sample against cycle, and some of its runs."""
    capacity = ds["discharge_capacity"].load().values
    capacity = capacity[np.isfinite(capacity[:, -1])]
    cycle = ds["cycle"].values
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    use = np.isfinite(capacity).all(axis=0)
    for low, high, alpha in ((5, 95, 0.2), (25, 75, 0.35)):
        ends = np.percentile(capacity[:, use], [low, high], axis=0)
        axes.fill_between(cycle[use], *ends, color=COLOURS["coated"], alpha=alpha, linewidth=0, label=f"{low}-{high} %")
    for run in capacity[_some(len(capacity), 30)]:
        axes.plot(cycle[use], run[use], color="0.5", linewidth=0.4, zorder=1)
    axes.plot(cycle[use], np.median(capacity[:, use], axis=0), color=COLOURS["coated"], label="median")
    for row in _measured("coated"):
        axes.plot([row.cycle], [row.value], **_marker("coated") | {"markersize": 6.5})
    marks = Line2D([], [], **_marker("coated"), label=f"coated cell, measured ({measured.SOURCE})")
    handles, _ = axes.get_legend_handles_labels()
    axes.legend(handles=[*handles, marks], loc="best")
    axes.set(
        xlabel="Cycle number", ylabel=_WORDS["discharge_capacity"], title=f"{ds.attrs['name']}: {len(capacity)} runs"
    )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return figure


# Ranking and effects


@styled
def ranking(ds: xr.Dataset, cycle: int | None = None) -> Figure:
    """Coatings by their discharge capacity in a cycle at the coverage of the base scenario: bars from the least to
    the greatest of what their uncertain numbers allow, a mark at known values."""
    coating = _coating_dim(ds)
    assert coating is not None
    fixed = {name: _nearest(ds, name) for name in _shown(ds) if name != coating}
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
    number = int(ds["cycle"].values[-1]) if cycle is None else cycle
    _reference(axes, ds, capacity, number)
    axes.set_yticks(y, [names[i] for i in order])
    where = ", ".join(_labelled(ds, name, ds[name].values[i]) for name, i in fixed.items())
    axes.set(
        xlabel=f"Discharge capacity in cycle {number} (mAh g⁻¹ of NCM622)",
        title=f"Coatings at {where}" if where else "",
    )
    axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _reference(axes: Axes, ds: xr.Dataset, capacity: xr.DataArray, cycle: int) -> None:
    """The bare cell, where the sweep has it, and measured capacities."""
    for name in _shown(ds):
        if ds[name].attrs.get("long_name") == "coating.coverage" and 0.0 in ds[name].values:
            bare = float(capacity.sel({name: 0.0}).max())
            axes.axvline(bare, color=COLOURS["bare"], linewidth=1.2, label=f"no coating, simulated: {bare:.0f}")
    for cell in MARKERS:
        for row in _measured(cell):
            if row.cycle == cycle:
                axes.axvline(
                    row.value, color=COLOURS[cell], linestyle=":", label=f"{cell} cell, measured: {row.value:g}"
                )


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
    axes[0].set_yticks(np.arange(len(inputs)), [_name(inputs[i]) for i in order])
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _bars(effect: analysis.Effects) -> Iterator[tuple[str, str, Any, Any, Any]]:
    if effect.total is None:
        yield "rank correlation (Spearman)", "#0072B2", effect.first, effect.first_low, effect.first_high
        return
    yield "total: alone and with others", "#56B4E9", effect.total, effect.total_low, effect.total_high
    yield "first order: alone", "#0072B2", effect.first, effect.first_low, effect.first_high
