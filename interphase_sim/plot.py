"""Figures of results: lines are simulated, open markers are measured.

Nothing here touches `pyplot` or its state: each function returns a Figure or Axes that needs no display.
Figures take Datasets of `interphase_sim.results`, so stored and fresh results look the same; one Dataset or path
counts as a list of one. Measured marks carry the source that their rows name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize, to_hex, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from interphase_sim import ageing, chemistry
from interphase_sim.errors import InputError
from interphase_sim.experiment.observations import BOTH, CAPACITIES, DIFFERENCE, SOURCE, Observation
from interphase_sim.files import as_path, written_whole
from interphase_sim.results import load_result
from interphase_sim.scenario import protocol_of
from interphase_sim.status import RunStatus, outcome_of

DPI = 150
FORMATS = ("png", "pdf", "svg", "eps", "ps", "jpg", "jpeg", "tif", "tiff", "webp")
# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = {"bare": "#D55E00", "coated": "#0072B2"}
MARKERS = {"bare": "s", "coated": "o"}
SPARE_MARKERS = ("D", "^", "v", "P", "X", "<", ">")  # of other cells and of further sources
_MORE_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_CHANNEL_COLOURS = {**ageing.COLOURS, "interaction": "#BBBBBB"}
_OTHER_COLOUR = "#777777"  # of a loss channel that a later version has added
_SYMBOLS = {"s": "□", "o": "○", "D": "◇", "^": "△", "v": "▽", "P": "✚", "X": "✖", "<": "◁", ">": "▷"}
_INTERFACE_STYLES: dict[str, Any] = {"ncm": "-", "carbon": "--", "collector": ":"}
_INTERFACE_NAMES = {"ncm": "at NCM", "carbon": "at carbon", "collector": "at the collector"}

_CYCLE_LABEL = "Cycle number"
_CAPACITY_UNIT = "mAh g⁻¹"
_STYLE: Any = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.6,
}

Result = xr.Dataset | str | Path  # a result, or where it is stored
Results = Result | Iterable[Result]
Rows = Observation | Iterable[Observation]
P = ParamSpec("P")
T = TypeVar("T")


class _Cell(NamedTuple):
    """A result with the name and colour it has in every panel."""

    data: xr.Dataset
    name: str
    colour: str


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Draw with the style of this module, leaving the caller's settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


class _Marks(NamedTuple):
    """Measured numbers of one cell from one source, and how they are drawn."""

    cell: str
    source: str
    rows: list[Observation]
    style: dict[str, Any]

    @property
    def label(self) -> str:
        """As a legend names them, with the source where one is stated."""
        return f"{self.cell}, {with_source('measured', self.source)}"


def with_source(text: str, source: str) -> str:
    """A text followed by a source in brackets, where one is stated."""
    return f"{text} ({source})" if source else text


def _as_results(results: Results, *needed: str) -> list[xr.Dataset]:
    """Results as a list, read where they are paths. Raises InputError for anything but results of runs that have the
    needed variables."""
    found = []
    for each in [results] if isinstance(results, xr.Dataset) else _listed(results, "results"):
        ds = load_result(each) if isinstance(each, str | Path) else each
        if not isinstance(ds, xr.Dataset):
            raise InputError(f"figures take results or the paths of stored ones, not {_shown(ds)}")
        missing = [name for name in ("name", "status") if name not in ds.attrs]
        missing += [name for name in needed if name not in ds.variables]
        if missing:
            raise InputError(f"not the result of a run, it lacks {', '.join(missing)}")
        found.append(ds)
    return found


def _as_rows(measured: Rows | None) -> list[Observation]:
    """Measured numbers as a list. Raises InputError for anything else."""
    found = [measured] if isinstance(measured, Observation) else _listed(measured or (), "measured")
    for row in found:
        if not isinstance(row, Observation):
            raise InputError(f"measured: expected rows of interphase_sim.experiment.Observation, not {_shown(row)}")
    return found


def _listed(values: Any, name: str) -> list[Any]:
    if isinstance(values, str | Path) or not isinstance(values, Iterable):
        return [values]
    if isinstance(values, Mapping):
        raise InputError(f"{name}: expected a list, not a mapping; give its values")
    return list(values)


def _shown(value: object) -> str:
    return repr(str(value)) if isinstance(value, str | Path) else f"a value of type {type(value).__name__}"


def _cells(results: Sequence[xr.Dataset]) -> list[_Cell]:
    """Bare and coated keep their colours; every other result, and a second of the same name, gets its own."""
    if not results:
        raise InputError("nothing to draw: no result given")
    names: list[str] = []
    for ds in results:
        name = str(ds.attrs["name"])
        numbered = (f"{name} ({n})" if n > 1 else name for n in count(1))
        names.append(next(label for label in numbered if label not in names))
    spare = (_MORE_COLOURS[n % len(_MORE_COLOURS)] for n in count())
    return [
        _Cell(ds, name, COLOURS[name] if name in COLOURS else next(spare))
        for ds, name in zip(results, names, strict=True)
    ]


def _ended(cell: _Cell) -> str:
    """The status in brackets when the run did not complete, as in ` (end of life at cycle 120)`."""
    outcome = outcome_of(cell.data.attrs)
    return "" if outcome.status is RunStatus.COMPLETED else f" ({outcome.headline})"


def measured_rows(measured: Rows | None, quantity: str, cell: str | None = None) -> list[Observation]:
    """The measured numbers of a quantity, of one cell or of all; differences between cells only by their name."""
    rows = (row for row in _as_rows(measured) if row.quantity == quantity)
    return [row for row in rows if (not row.cell.startswith(DIFFERENCE) if cell is None else row.cell == cell)]


def sources(rows: Iterable[Observation]) -> str:
    """The sources that rows name, each once."""
    return ", ".join(dict.fromkeys(row.source for row in rows if row.source))


def marker(cell: str, shape: str | None = None, colour: str | None = None) -> dict[str, Any]:
    """Style of the open mark of a measured cell; its own shape and colour for the bare and the coated one."""
    return {
        "linestyle": "none",
        "marker": shape or MARKERS.get(cell, "D"),
        "markersize": 6.5,
        "markerfacecolor": "white",
        "markeredgecolor": colour or COLOURS.get(cell, "#000000"),
        "markeredgewidth": 1.4,
        "zorder": 5,
        "clip_on": False,
    }


def _marks(rows: Sequence[Observation], cells: Sequence[_Cell] = ()) -> list[_Marks]:
    """Rows by cell and source, each with marks of its own; a cell that is drawn as a line has its colour."""
    colours = {"both": "#000000"} | COLOURS | {cell.name: cell.colour for cell in cells}
    free = [colour for colour in _MORE_COLOURS if colour not in colours.values()] or ["#000000"]
    found: list[_Marks] = []
    for name, source in dict.fromkeys((row.cell, row.source) for row in rows):
        own = MARKERS.get(name)
        taken = [marks.style["marker"] for marks in found]
        spare = [shape for shape in SPARE_MARKERS if shape not in taken] or [*SPARE_MARKERS]
        shape = own if own and own not in taken else spare[0]
        colour = colours.setdefault(name, free[0])
        free = [each for each in free if each != colour] or free
        chosen = [row for row in rows if (row.cell, row.source) == (name, source)]
        found.append(_Marks(name, source, chosen, marker(name, shape, colour)))
    return found


_BESIDE: dict[str, Any] = {"color": "0.1", "linestyle": (0, (4, 4)), "linewidth": 1.0, "zorder": 4}


@styled
def fade(results: Results, measured: Rows | None = None, ax: Axes | None = None) -> Axes:
    """Discharge capacity [mAh g-1 of NCM622] against cycle number, one line per result.

    measured : rows of `interphase_sim.experiment.observations.load()` or your own, drawn as open markers with their
        source; those of a cell without a result too
    ax : axes to draw into; a new figure without
    """
    cells = _cells(_as_results(results, "cycle", "discharge_capacity"))
    axes = Figure(figsize=(6.0, 4.0), layout="constrained").add_subplot() if ax is None else ax
    for cell in cells:
        _line_over_cycles(axes, cell, "discharge_capacity", f"{cell.name}, simulated{_ended(cell)}")
    for marks in _marks(measured_rows(measured, "discharge_capacity"), cells):
        axes.plot(
            [row.cycle for row in marks.rows], [row.value for row in marks.rows], **marks.style, label=marks.label
        )
    axes.set(xlabel=_CYCLE_LABEL, ylabel=f"Discharge capacity ({_CAPACITY_UNIT} of NCM622)")
    axes.set_xlim(left=0)
    axes.set_ylim(0, max(1.03 * axes.get_ylim()[1], 1.0))
    axes.legend(loc="best")
    return axes


def _line_over_cycles(axes: Axes, cell: _Cell, variable: str, label: str) -> None:
    """A line from cycle 1 on; a cross where the run ended early."""
    cycle, values = cell.data["cycle"].values[1:], cell.data[variable].values[1:]
    marks: dict[str, Any] = {}
    if _ended(cell) and len(cycle):
        marks = {"marker": "x", "markevery": [len(cycle) - 1]}
    axes.plot(cycle, values, color=cell.colour, label=label, **marks)


@styled
def capacity_fade(results: Results, measured: Rows | None = None, beside: Results = ()) -> Figure:
    """Discharge capacity above, coulombic efficiency [%] below, both against cycle number.

    beside : results of the same cells computed in another way, drawn as thin broken lines over them
    """
    needed = ("cycle", "discharge_capacity", "coulombic_efficiency")
    cells, rows = _cells(_as_results(results, *needed)), _as_rows(measured)
    figure = Figure(figsize=(6.0, 6.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.7, 1])
    for other in _as_results(beside, *needed):
        line = other["discharge_capacity"][1:]
        name = str(other.attrs["name"]).replace("_", ", ")
        above.plot(line["cycle"], line, **_BESIDE, label=f"{name}, simulated")
    fade([cell.data for cell in cells], rows, above)
    above.set_xlabel("")
    for cell in cells:
        _line_over_cycles(below, cell, "coulombic_efficiency", "_nolegend_")
    low, high = _efficiency_limits(cells)
    below.set_ylim(low, high)
    efficiencies = _marks(measured_rows(rows, "coulombic_efficiency"), cells)
    notes = [*_shown_notes(below, efficiencies, low, high), *_off_scale_notes(cells, efficiencies, low, high)]
    notes += _difference_notes(rows)
    below.text(0.985, 0.03, "\n".join(notes), transform=below.transAxes, ha="right", va="bottom", fontsize=8)
    below.set(xlabel=_CYCLE_LABEL, ylabel="Coulombic efficiency (%)")
    figure.align_ylabels()
    return figure


def _efficiency_limits(cells: Sequence[_Cell]) -> tuple[float, float]:
    """Limits that show the cycles after the first few; those lie far below and are given as text."""
    each = (cell.data["coulombic_efficiency"].values for cell in cells)
    values = np.concatenate([v[8:] if v.size > 16 else v for v in each])
    values = values[np.isfinite(values)]
    low = min(float(np.percentile(values, 1)), 99.3) if values.size else 80.0
    return low - 0.6 * (100.1 - low), 100.1


def _shown_notes(axes: Axes, efficiencies: Sequence[_Marks], low: float, high: float) -> Iterator[str]:
    """Draw what lies within the limits; what the markers are, for one in a legend would read as one more point."""
    for marks in efficiencies:
        rows = [row for row in marks.rows if low <= row.value <= high]
        if rows:
            axes.plot([row.cycle for row in rows], [row.value for row in rows], **marks.style)
            first = min(row.cycle for row in rows)
            cells = f"both cells from about cycle {first}" if marks.cell == BOTH else marks.cell
            yield f"{_SYMBOLS[marks.style['marker']]} measured, {with_source(cells, marks.source)}"


def _off_scale_notes(cells: Sequence[_Cell], efficiencies: Sequence[_Marks], low: float, high: float) -> Iterator[str]:
    """What lies outside the limits as text: the simulated first cycle, and every measured number."""
    off = [row for marks in efficiencies for row in marks.rows if not low <= row.value <= high]
    for cell in cells:
        first = cell.data["coulombic_efficiency"].values[1:2]
        if first.size and first[0] < low:
            known = [row for row in off if (row.cell, row.cycle) == (cell.name, 1)]
            off = [row for row in off if row not in known]
            text = "".join(f", {with_source(f'measured {row.value:g} %', row.source)}" for row in known)
            yield f"cycle 1, off scale: {cell.name} {first[0]:.1f} %{text}"
    for row in off:
        yield f"cycle {row.cycle}, off scale: {row.cell}, {with_source(f'measured {row.value:g} %', row.source)}"


def _difference_notes(rows: Sequence[Observation]) -> Iterator[str]:
    for row in rows:
        if row.quantity == "coulombic_efficiency" and row.cell.startswith(DIFFERENCE):
            upper, lower = row.sides
            after = with_source(f"measured after cycle {row.cycle}", row.source)
            yield f"{after}: {lower} about {row.value:g} points below {upper}"


@styled
def voltage_curves(results: Results, measured: Rows | None = None) -> Figure:
    """Voltage [V vs LTO] against specific capacity at the output cycles, one panel per result.

    Measured end capacities of these cells are drawn where the simulated curves end; measured curves are not available.
    """
    cells = _cells(_as_results(results, "output_cycle", "curve_capacity", "curve_voltage"))
    rows = [row for row in _as_rows(measured) if row.quantity in CAPACITIES]
    outputs = _output_cycles(cells)
    figure = Figure(figsize=(max(5.0, 1.2 + 3.4 * len(cells)), 4.3), layout="constrained")
    panels = figure.subplots(1, len(cells), sharex=True, sharey=True, squeeze=False)[0]
    key = {line.get_label(): line for line in _shade_key(outputs)}
    every = _marks(rows, cells)
    several = len({marks.source for marks in every}) > 1
    for axes, cell in zip(panels, cells, strict=True):
        _curves_of(axes, cell, outputs)
        for marks in every:
            ends = _end_points(cell, marks.rows) if marks.cell == cell.name else []
            if ends:
                axes.plot(*zip(*ends, strict=True), **marks.style)
                text, style = with_source("measured end capacity", marks.source), marker(BOTH)
                if several:
                    text, style = f"{cell.name}, {text}", marks.style
                if marks.source == SOURCE:
                    text += ",\nmeasured curves are not available"
                key[text] = Line2D([], [], **style, label=text)
        axes.set(title=f"{cell.name}{_ended(cell)}", xlabel=f"Specific capacity ({_CAPACITY_UNIT} of NCM622)")
    panels[0].set_xlim(left=0)
    panels[0].set_ylim(bottom=_lowest_end(cells))
    panels[0].set_ylabel("Cell voltage vs LTO (V)")
    if key:
        ncols = 4 if len(cells) > 1 else 2
        figure.legend(handles=list(key.values()), loc="outside lower center", ncols=ncols)
    return figure


def _lowest_end(cells: Sequence[_Cell]) -> float | None:
    """A little below the lowest discharge cut-off [V]; the jump that starts a charge may leave the axes."""
    each = (cell.data["curve_voltage"].sel(curve="discharge").values for cell in cells)
    ends = [float(np.nanmin(voltage)) for voltage in each if np.isfinite(voltage).any()]
    return min(ends) - 0.08 if ends else None


def _output_cycles(cells: Sequence[_Cell]) -> list[int]:
    return sorted({int(n) for cell in cells for n in cell.data["output_cycle"].values})


def _curves_of(axes: Axes, cell: _Cell, outputs: Sequence[int]) -> None:
    for cycle in cell.data["output_cycle"].values:
        for half in ("charge", "discharge"):
            curve = cell.data.sel(output_cycle=cycle, curve=half)
            colour = _shade(cell.colour, outputs.index(cycle), len(outputs))
            axes.plot(curve["curve_capacity"].values, curve["curve_voltage"].values, color=colour)


def _shade(colour: str, i: int, n: int) -> str:
    """The i-th of n shades: light for the first, the full colour for the last."""
    share = 1.0 if n < 2 else 0.35 + 0.65 * i / (n - 1)
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def _shade_key(outputs: Sequence[int]) -> list[Line2D]:
    shades = [_shade("#333333", i, len(outputs)) for i in range(len(outputs))]
    return [Line2D([], [], color=shade, label=f"cycle {n}") for shade, n in zip(shades, outputs, strict=True)]


def _end_points(cell: _Cell, rows: Sequence[Observation]) -> list[tuple[float, float]]:
    """Measured capacity and simulated end voltage of each measured half-cycle that is an output cycle."""
    ends = []
    for half in ("charge", "discharge"):
        for row in measured_rows(rows, f"{half}_capacity"):
            if row.cycle in cell.data["output_cycle"].values:
                voltage = cell.data["curve_voltage"].sel(output_cycle=row.cycle, curve=half).values
                ends += [(row.value, float(v)) for v in voltage[np.isfinite(voltage)][-1:]]
    return ends


@styled
def interphase(results: Results) -> Figure:
    """Amounts of the products against cycle above, their depth profiles at the NCM at the output cycles below.

    Amounts in micromol per g of NCM622 for each interface; concentrations in mol per litre, depth in nm.
    """
    cells = _cells(_as_results(results, "cycle", "output_cycle", "amount", "profile", "depth"))
    outputs = _output_cycles(cells)
    figure = Figure(figsize=(9.4, 6.4), layout="constrained")
    panels = figure.subplots(2, len(chemistry.TITLES))
    for column, (species, title) in enumerate(chemistry.TITLES.items()):
        above, below = panels[:, column]
        for cell in cells:
            _amounts_of(above, cell, species)
            _profiles_of(below, cell, species, outputs)
        above.set(title=title, xlabel=_CYCLE_LABEL)
        above.set_xlim(left=0)
        below.set(xlabel="Depth from the NCM surface (nm)", xlim=(0, _front(cells)))
        for axes in (above, below):
            axes.set_ylim(bottom=0)
    panels[0, 0].set_ylabel("Amount (µmol g⁻¹ of NCM622)")
    panels[1, 0].set_ylabel("Concentration at NCM (mol L⁻¹)")
    figure.align_ylabels()
    key = [*_cell_and_interface_key(cells), *_shade_key(outputs)]
    figure.legend(handles=key, loc="outside lower center", ncols=min(len(key), 8))
    return figure


def _amounts_of(axes: Axes, cell: _Cell, species: str) -> None:
    for interface, style in _INTERFACE_STYLES.items():
        amount = cell.data["amount"].sel(species=species, interface=interface).values
        if np.nanmax(amount, initial=0.0) > 0:
            axes.plot(cell.data["cycle"].values, 1e6 * amount, style, color=cell.colour)


def _profiles_of(axes: Axes, cell: _Cell, species: str, outputs: Sequence[int]) -> None:
    for cycle in cell.data["output_cycle"].values:
        profile = _at_ncm(cell, species).sel(output_cycle=cycle).values
        colour = _shade(cell.colour, outputs.index(cycle), len(outputs))
        axes.plot(1e9 * cell.data["depth"].values, 1e-3 * profile, color=colour)


def _at_ncm(cell: _Cell, species: str) -> xr.DataArray:
    return cell.data["profile"].sel(species=species, interface="ncm")


def _front(cells: Sequence[_Cell]) -> float:
    """Depth [nm] a little beyond the deepest place where a product reaches 1 % of its maximum."""
    deepest = 0.0
    for cell in cells:
        for species in chemistry.TITLES:
            profile = np.nan_to_num(_at_ncm(cell, species).values)
            reached = (profile > 0.01 * profile.max(initial=0.0)).any(axis=0)
            deepest = max(deepest, cell.data["depth"].values[reached].max(initial=0.0))
    return 1.15e9 * deepest or 1.0


def _cell_and_interface_key(cells: Sequence[_Cell]) -> list[Line2D]:
    colours = [Line2D([], [], color=cell.colour, label=cell.name) for cell in cells]
    styles = [
        Line2D([], [], color="0.3", linestyle=style, label=_INTERFACE_NAMES[interface])
        for interface, style in _INTERFACE_STYLES.items()
    ]
    return colours + styles


@styled
def unit_cell(result: Results) -> Figure:
    """Maps around a gap of a coating: products and ionic conductivity, a row for every output cycle.

    Left of a panel is the axis of the gap, below it the NCM; hatched is the coating. Concentrations in mol per litre,
    lengths in nm; the colours of a column are the same in every row.
    Raises InputError for a result without a unit cell.
    """
    found = _as_results(result, "output_cycle")
    if len(found) != 1:
        raise InputError(f"maps around a gap are drawn of one result, not of {len(found)}")
    (result,) = found
    if "unit_cell" not in result:
        raise InputError('no unit cell to draw: only coatings with contact = "resolved" or "closure" have one')
    outputs = [int(n) for n in result["output_cycle"].values]
    figure = Figure(figsize=(10.4, 0.9 + 2.7 * max(len(outputs), 1)), layout="constrained")
    panels = figure.subplots(max(len(outputs), 1), len(chemistry.TITLES) + 1, sharex=True, sharey=True, squeeze=False)
    fields = {title: result["unit_cell"].sel(species=name) for name, title in chemistry.TITLES.items()}
    maps = [(title, "mol L⁻¹", 1e-3 * field) for title, field in fields.items()]
    maps.append(("Ionic conductivity", "S m⁻¹", result["unit_cell_conductivity"]))
    for column, (title, unit, field) in enumerate(maps):
        drawn = [_map(panels[k, column], result, field.sel(output_cycle=n)) for k, n in enumerate(outputs)]
        _same_colours(drawn, field, logarithmic=column == len(chemistry.TITLES))
        panels[0, column].set_title(title)
        panels[-1, column].set_xlabel("Distance from the axis (nm)")
        if drawn:
            figure.colorbar(drawn[0], ax=panels[:, column], label=unit, location="bottom", aspect=16, shrink=0.9)
    for axes, n in zip(panels[:, 0], outputs, strict=False):
        axes.set_ylabel(f"cycle {n}\nHeight over the NCM (nm)")
        axes.set_ylim(0, _reaction_height(result))
    figure.suptitle(f"{result.attrs['name']}: around one gap of the coating", fontsize=10)
    return figure


def _map(axes: Axes, result: xr.Dataset, field: xr.DataArray) -> QuadMesh:
    """One field on its rings and rows, the coating hatched."""
    r, z = (1e9 * result[name].values for name in ("ring_radius", "row_height"))
    axes.set_facecolor("0.85")
    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, hatch="////", fill=False, edgecolor="0.6", lw=0))
    return axes.pcolormesh(r, z, np.ma.masked_invalid(field.values), cmap="viridis", rasterized=True)


def _same_colours(drawn: Sequence[QuadMesh], field: xr.DataArray, logarithmic: bool) -> None:
    """One scale over all cycles: from zero, or from the least conducting to the most on a logarithmic one."""
    if not np.isfinite(field.values).any():
        return
    low, high = float(field.min()), float(field.max())
    for shown in drawn:
        shown.set_norm(LogNorm(low, max(high, 1.01 * low)) if logarithmic else Normalize(0, max(high, 1e-9)))


def _reaction_height(result: xr.Dataset) -> float:
    """Height [nm] that shows the coating and all places where a product reaches 1 % of its maximum."""
    height = result["row_height"].values
    highest = 2 * float(height[1:][np.isnan(result["unit_cell_conductivity"].values).any((0, 2))].max(initial=0.0))
    for name in chemistry.TITLES:
        field = np.nan_to_num(result["unit_cell"].sel(species=name).values)
        reached = (field > 0.01 * field.max(initial=0.0)).any((0, 2))
        highest = max(highest, 1.1 * float(height[1:][reached].max(initial=0.0)))
    return 1e9 * highest or 1.0


@styled
def losses(results: Results) -> Figure:
    """Discharge capacity [mAh g-1] lost since the reference cycle, stacked by channel, with the interaction in a bar of
    its own; a loss that is not known says "missing"."""
    cells = _cells(_as_results(results, "output_cycle", "capacity_loss"))
    figure = Figure(figsize=(max(5.4, 1.6 + 3.4 * len(cells)), 4.2), layout="constrained")
    panels = figure.subplots(1, len(cells), sharey=True, squeeze=False)[0]
    losses_of = [cell.data["capacity_loss"] for cell in cells]
    known = [loss.fillna(0.0) for loss in losses_of if loss.size]
    largest = max((float(abs(loss).sum("channel").max()) for loss in known), default=0.0)
    for axes, cell, loss in zip(panels, cells, losses_of, strict=True):
        _bars_of(axes, loss, readable=0.06 * largest)
        axes.set_title(f"{cell.name}{_ended(cell)}")
    panels[0].set_ylabel(f"Discharge capacity lost since {_reference_words(cells)}\n({_CAPACITY_UNIT} of NCM622)")
    panels[0].margins(y=0.12)
    if min((float(loss.min()) for loss in known), default=0.0) > -0.02 * largest:
        panels[0].set_ylim(bottom=0)
    figure.legend(handles=_channel_key(), loc="outside lower center", ncols=3)
    return figure


def _reference_words(cells: Sequence[_Cell]) -> str:
    """The cycle that the losses drawn count from, where it is the same for all of them."""
    protocols = [(cell.data, protocol_of(cell.data.attrs["scenario"])) for cell in cells]
    found = {
        protocol.reference_of(int(cycle)) if protocol else None
        for data, protocol in protocols
        for cycle in data["output_cycle"].values[data["capacity_loss"].notnull().all("channel").values]
    }
    (one,) = found if len(found) == 1 else (None,)
    return f"cycle {one}" if one is not None else "the reference cycle"


def _bars_of(axes: Axes, loss: xr.DataArray, readable: float) -> None:
    cycles = [n for n in loss["output_cycle"].values if n > 0 and (loss.sel(output_cycle=n) != 0).any()]
    for x, cycle in enumerate(cycles):
        at_cycle = loss.sel(output_cycle=cycle)
        if at_cycle.isnull().any():  # one channel or all: then the sum is not known either
            axes.annotate("missing", (x, 0), (0, 4), textcoords="offset points", ha="center", style="italic")
            continue
        _stack(axes, x, {str(c): float(at_cycle.sel(channel=c)) for c in loss["channel"].values}, readable)
    axes.set_xticks(range(len(cycles)), [f"cycle {n}" for n in cycles])
    axes.set_xlim(-0.6, max(len(cycles), 1) - 0.4)
    axes.axhline(0, color="0.2", linewidth=0.8)
    if not cycles:
        axes.text(0.5, 0.6, "no capacity lost\nat an output cycle", transform=axes.transAxes, ha="center")


def _stack(axes: Axes, x: float, loss: dict[str, float], readable: float) -> None:
    """Channels stacked in one bar (negative ones below zero), the interaction in a narrow bar beside it.

    Shares in percent of the total stand in every part taller than `readable` [mAh g-1].
    """
    total = sum(loss.values())
    top = {True: 0.0, False: 0.0}  # of the stack above zero, and of the one below
    for channel, value in loss.items():
        colour = _CHANNEL_COLOURS.get(channel, _OTHER_COLOUR)
        if channel == "interaction":
            axes.bar(x + 0.33, value, 0.16, color=colour, hatch="////", edgecolor="0.35")
            continue
        bottom = top[value >= 0]
        axes.bar(x, value, 0.44, bottom, color=colour, edgecolor="white", linewidth=0.6)
        if total > 0 and abs(value) > readable:
            text = f"{100 * value / total:.0f} %"
            axes.text(x, bottom + value / 2, text, ha="center", va="center", fontsize=8)
        top[value >= 0] += value
    axes.plot([x - 0.24, x + 0.43], [total, total], color="0.1", linewidth=1.2)
    place = (x + 0.095, max(total, top[True]))
    text = f"{total:.1f} {_CAPACITY_UNIT}"
    axes.annotate(text, place, (0, 4), textcoords="offset points", ha="center")


def _channel_key() -> list[Line2D | Patch]:
    key: list[Line2D | Patch] = [
        Patch(facecolor=colour, label=channel.replace("_", " "))
        for channel, colour in _CHANNEL_COLOURS.items()
        if channel != "interaction"
    ]
    interaction = Patch(
        facecolor=_CHANNEL_COLOURS["interaction"],
        hatch="////",
        edgecolor="0.35",
        label="interaction (not distributed)",
    )
    return [*key, interaction, Line2D([], [], color="0.1", linewidth=1.2, label="total")]


def map_files(results: Results) -> list[str]:
    """Names of the figures of those results that a coating gave a unit cell."""
    return [map_file(cell.name) for cell in _cells(_as_results(results)) if "unit_cell" in cell.data]


def map_file(name: str) -> str:
    """Name of the figure of a unit cell."""
    return f"unit_cell_{name}.png".replace(" ", "_")


def save_all(
    results: Results,
    directory: str | Path,
    measured: Rows | None = None,
    beside: Results = (),
) -> list[Path]:
    """Draw every figure into `directory` as PNG at 150 dpi; returns the paths written.

    beside : results of the same cells computed in another way; shown in the capacity fade and by maps of their own
    """
    chosen, others, rows = _as_results(results), _as_results(beside), _as_rows(measured)
    figures = {
        "capacity_fade.png": capacity_fade(chosen, rows, others),
        "voltage_curves.png": voltage_curves(chosen, rows),
        "interphase.png": interphase(chosen),
        "losses.png": losses(chosen),
    }
    both = [*chosen, *others]
    mapped = [cell.data for cell in _cells(both) if "unit_cell" in cell.data]
    figures |= {name: unit_cell(data) for name, data in zip(map_files(both), mapped, strict=True)}
    return written(figures, as_path(directory, "directory"))


def save(figure: Figure | SubFigure, path: str | Path) -> Path:
    """Write one figure, in the format of the path's extension, PNG without one; returns the path written.

    Missing folders are made. Raises InputError for an extension that is not supported, and for what cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file such as {path / 'fade.png'}")
    target = path if path.suffix else path.with_name(f"{path.name.rstrip('.')}.png")
    kind = target.suffix[1:].lower()
    if kind not in FORMATS:
        raise InputError(f"{path}: cannot be drawn as {target.suffix}, only as .{', .'.join(FORMATS)}")
    whole: Any = figure.get_figure(root=True) or figure
    with written_whole(target) as part:
        try:
            whole.savefig(part, format=kind, dpi=DPI)
        except ValueError as error:
            raise InputError(f"{target}: cannot be drawn ({error})") from error
    return target


def written(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Figures as files of a folder, by their names.

    Raises InputError naming a folder that cannot be written to.
    """
    for name, figure in figures.items():
        with written_whole(folder / name) as part:
            figure.savefig(part, format=name.rpartition(".")[2], dpi=DPI)
    return [folder / name for name in figures]
