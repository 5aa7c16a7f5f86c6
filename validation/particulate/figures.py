"""The figures: which regime holds where, when layers merge, and how typical cells fade."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from interphase_sim.plot import DPI
from validation.particulate import evaluate
from validation.particulate.points import COVERAGES, SIZES, THICKNESSES, Point

Row = Mapping[str, Any]
Records = Mapping[Point, Mapping[str, Any]]

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
# Okabe and Ito's colours, lightened so that numbers stand out on them.
REGIMES = {"mixed": "#80BFE0", "separate": "#F2C572", "both": "#8FD0B8", "neither": "#E6A8C8", "absent": "#EEEEEE"}
SAID = {
    "mixed": "mixed: laterally uniform",
    "separate": "separate: patches in parallel",
    "both": "either",
    "neither": "neither: only resolved or closure",
    "absent": "no such gap, or not run",
}
SHORT = {"mixed": "m", "separate": "s"}
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
FILMS = {True: "with carbonate film", False: "core alone"}


def save(rows: Sequence[Row], runs: Records, folder: Path) -> list[Path]:
    """Draw every figure as PNG; returns the paths."""
    with mpl.rc_context(STYLE):
        drawn = {"regimes.png": regimes(rows), "merging.png": merging(rows), "fade.png": fade(rows, runs)}
        for name, figure in drawn.items():
            figure.savefig(folder / name, dpi=DPI)
    return [folder / name for name in drawn]


def _found(rows: Sequence[Row]) -> dict[tuple[float, float, float, bool], Row]:
    """Rows by coverage, size and thickness [nm] and film, those with numbers only."""
    keys = ("coverage", "size_nm", "thickness_nm")
    return {(*(round(row[k], 6) for k in keys), bool(row["film"])): row for row in rows if "regime" in row}


def _panels(title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(10.2, 6.6), layout="constrained")
    panels = figure.subplots(len(FILMS), len(THICKNESSES), sharex=True, sharey=True)
    for i, words in enumerate(FILMS.values()):
        panels[i, 0].set_ylabel(f"{words}\nSize of particles or islands (nm)")
        for j, h in enumerate(THICKNESSES):
            axes = panels[i, j]
            axes.set_xticks(range(len(COVERAGES)), [f"{c:g}" for c in COVERAGES])
            axes.set_yticks(range(len(SIZES)), [f"{1e9 * d:g}" for d in SIZES])
            axes.tick_params(length=0)
            for side in axes.spines.values():
                side.set_visible(False)
            axes.set_xlim(-0.5, len(COVERAGES) - 0.5)
            axes.set_ylim(-0.5, len(SIZES) - 0.5)
            if not i:
                axes.set_title(f"{1e9 * h:g} nm thick")
            else:
                axes.set_xlabel("Coverage")
    figure.suptitle(title, fontsize=10)
    return figure, panels


def _cells(rows: Sequence[Row], i: int, j: int) -> list[tuple[int, int, Row | None]]:
    """Place and row of every point of a panel; None where there is none."""
    found, film, h = _found(rows), list(FILMS)[i], round(1e9 * THICKNESSES[j], 6)
    return [
        (x, y, found.get((c, round(1e9 * d, 6), h, film))) for x, c in enumerate(COVERAGES) for y, d in enumerate(SIZES)
    ]


def _tiles(axes: Axes, colours: Any, **how: Any) -> Any:
    return axes.pcolormesh(
        np.arange(len(COVERAGES) + 1) - 0.5, np.arange(len(SIZES) + 1) - 0.5, colours, edgecolor="white", lw=1.5, **how
    )


def _write(axes: Axes, x: int, y: int, text: str, colour: str = "0.1") -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color=colour, linespacing=1.15)


def regimes(rows: Sequence[Row]) -> Figure:
    """Which simple picture agrees with the resolved contact, and the discharge capacity at cycle 200."""
    title = (
        "Which picture of the contact holds over 200 cycles; number: discharge capacity at cycle 200 (mAh g⁻¹); "
        "below: how far off\nthe nearer of mixed (m) and separate (s) is at most, where neither holds (mAh g⁻¹)"
    )
    figure, panels = _panels(title)
    names = list(REGIMES)
    for (i, j), axes in np.ndenumerate(panels):
        shades = np.full((len(SIZES), len(COVERAGES)), names.index("absent"))
        for x, y, row in _cells(rows, i, j):
            if row is not None:
                shades[y, x] = names.index(row["regime"])
                text = _number(row["capacity_200"])
                if row["regime"] == "neither":
                    text += f"\n{SHORT[row['nearer']]} ±{row[row['nearer'] + '_capacity']:.1f}"
                _write(axes, x, y, text)
        _tiles(axes, shades, cmap=ListedColormap(list(REGIMES.values())), vmin=-0.5, vmax=len(names) - 0.5)
    key = [Patch(color=colour, label=SAID[name]) for name, colour in REGIMES.items()]
    figure.legend(handles=key, loc="outside lower center", ncols=len(key))
    return figure


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0f}"


def merging(rows: Sequence[Row]) -> Figure:
    """When the layers of neighbouring gaps are one, and how much faster the cell fades after its knee."""
    title = (
        "Cycle from which the layers of neighbouring gaps and of the coating are one; "
        f"below, from {evaluate.LATE:g} on: fade after the knee over the fade before it"
    )
    figure, panels = _panels(title)
    scale = ScalarMappable(LogNorm(1, 200), "viridis_r")
    for (i, j), axes in np.ndenumerate(panels):
        cycle = np.full((len(SIZES), len(COVERAGES)), math.nan)
        for x, y, row in _cells(rows, i, j):
            if row is None:
                continue
            one, late = row["merged_cycle"], row["late_onset"]
            cycle[y, x] = min(max(one, 1.0), 1e3)
            text = "never" if math.isinf(one) else f"{one:.0f}"
            if evaluate.LATE <= late < math.inf:
                text += f"\n× {late:.1f}"
            _write(axes, x, y, text, "0.1" if one < 15 else "white")
        axes.set_facecolor(REGIMES["absent"])
        _tiles(axes, np.ma.masked_invalid(cycle), cmap=scale.cmap, norm=scale.norm)
    bar = figure.colorbar(scale, ax=panels, label="Cycle of merging", location="right", aspect=40, extend="max")
    bar.set_ticks([1, 3, 10, 30, 100, 200], labels=["≤ 1", "3", "10", "30", "100", "200"])
    bar.minorticks_off()
    return figure


def fade(rows: Sequence[Row], runs: Records) -> Figure:
    """Capacity and film resistance over cycles of typical cells, with the cycle in which their layers merge."""
    figure = Figure(figsize=(9.4, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    by_name, key = {row["point"]: row for row in rows}, []
    for (point, records), colour in zip(_typical(rows, runs), LINES, strict=False):
        row, found = by_name[point.name], {name: records[name] for name in ("resolved", "mixed", "separate")}
        for name, style in (("resolved", "-"), ("mixed", "--"), ("separate", ":")):
            capacity = evaluate.arrays(found[name], "discharge_capacity")[1:]
            film = evaluate.arrays(found[name], "film_resistance")
            width = 1.8 if name == "resolved" else 1.0
            left.plot(np.arange(1, capacity.size + 1), capacity, style, color=colour, lw=width)
            right.semilogy(np.arange(film.size), film, style, color=colour, lw=width)
        for axes, name in ((left, "discharge_capacity"), (right, "film_resistance")):
            _mark(axes, evaluate.arrays(found["resolved"], name), row, colour)
        key.append(Line2D([], [], color=colour, label=_words(point)))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("Cycle number")
        axes.set_xlim(left=0)
    left.set_ylabel("Discharge capacity (mAh g⁻¹ of NCM622)")
    left.set_ylim(bottom=0)
    right.set_ylabel("Film resistance (Ω m² of contact)")
    styles = {"resolved": "-", "mixed": "--", "separate": ":"}
    key += [Line2D([], [], color="0.3", ls=style, lw=1.2, label=name) for name, style in styles.items()]
    key += [Line2D([], [], color="0.3", ls="none", label=text, **how) for text, how in MARKS.values()]
    figure.legend(handles=key, loc="outside lower center", ncols=3)
    return figure


MARKS: dict[str, tuple[str, dict[str, Any]]] = {
    "merged_cycle": ("layers become one", {"marker": "o", "markersize": 6, "markerfacecolor": "white"}),
    "layer_sealed_cycle": ("layer above the coating closes", {"marker": "D", "markersize": 5}),
}


def _mark(axes: Axes, series: Any, row: Row, colour: str) -> None:
    n = np.arange(series.size)
    for key, (_, how) in MARKS.items():
        cycle = row[key]
        if 1.0 <= cycle < series.size:
            axes.plot([cycle], [np.interp(cycle, n, series)], color=colour, ls="none", zorder=4, **how)


def _typical(rows: Sequence[Row], runs: Records) -> list[tuple[Point, Mapping[str, Any]]]:
    """Coatings like the paper's, islands, an almost closed coating, and the latest onset."""
    by_name = {point.name: point for point in runs}
    late = [row for row in rows if row["point"] in by_name and 1.0 <= row["merged_cycle"] < math.inf]
    latest = max(late, key=lambda row: _finite(row["late_onset"]), default=None)
    wanted = [
        "c0.75_d15_h15_film",
        "c0.90_d15_h15_film",
        "c0.90_d500_h15_film",
        "c0.99_d50_h15_film",
        *([latest["point"]] if latest else []),
    ]
    names = list(dict.fromkeys(name for name in wanted if name in by_name)) or list(by_name)
    return [(by_name[name], runs[by_name[name]]) for name in names[: len(LINES)]]


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _words(point: Point) -> str:
    film = "film" if point.film else "no film"
    return f"{point.coverage:g} covered, {1e9 * point.size:g} nm wide, {1e9 * point.thickness:g} nm thick, {film}"
