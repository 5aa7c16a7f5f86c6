"""Figures: what is drawn, in which unit, and that measured and simulated are told apart."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import synthetic
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from interphase_sim import measured, plot, results
from interphase_sim.errors import InputError


@pytest.fixture
def pair() -> list[xr.Dataset]:
    return [synthetic.result("bare"), synthetic.result("coated")]


def lines(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_linestyle() != "None"]


def points(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_linestyle() == "None"]


def drawn(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_xydata(), float)


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))


def test_fade_draws_a_line_per_cell_and_open_markers_with_their_source(pair: list[xr.Dataset]) -> None:
    axes = plot.fade(pair, measured.capacities())
    assert [line.get_color() for line in lines(axes)] == [plot.COLOURS["bare"], plot.COLOURS["coated"]]
    assert [len(drawn(p)) for p in points(axes)] == [3, 3]
    assert all(p.get_markerfacecolor() == "white" for p in points(axes))
    bare = points(axes)[0]
    np.testing.assert_array_equal(drawn(bare), [(1, 161), (50, 86), (200, 22)])
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "bare, simulated",
        "coated, simulated",
        "bare, measured (Walther et al. 2021)",
        "coated, measured (Walther et al. 2021)",
    ]
    assert axes.get_ylabel() == "Discharge capacity (mAh g⁻¹ of NCM622)"
    assert axes.get_xlabel() == "Cycle number"


MINE = [
    measured.Measured("bare", "discharge_capacity", 1, 150.0, "mAh g-1", "Fig. 1", "Doe 2024"),
    measured.Measured("mine", "discharge_capacity", 1, 170.0, "mAh g-1", "Fig. 1", "Doe 2024"),
    measured.Measured("mine", "coulombic_efficiency", 50, 99.7, "%", "Fig. 2", "Doe 2024"),
    measured.Measured("mine", "coulombic_efficiency", 1, 91.0, "%", "Fig. 2", "Doe 2024"),
    measured.Measured("other", "discharge_capacity", 50, 90.0, "mAh g-1", "own notes"),
    measured.Measured("difference_mine_minus_bare", "coulombic_efficiency", 40, 0.3, "%", "Fig. 2", "Doe 2024"),
]


def test_any_measured_data_were_labelled_with_the_source_of_the_shipped(pair: list[xr.Dataset]) -> None:
    figure = plot.capacity_fade([*pair, synthetic.result("mine")], MINE)
    labels = [str(p.get_label()) for p in points(figure.axes[0])]
    assert labels == ["bare, measured (Doe 2024)", "mine, measured (Doe 2024)", "other, measured"]
    told = words(figure)
    assert "Walther" not in told
    assert "◇ measured, mine (Doe 2024)" in told
    assert "cycle 1, off scale: mine 90.5 %, measured 91 % (Doe 2024)" in told
    assert "measured after cycle 40 (Doe 2024): bare about 0.3 points below mine" in told
    voltages = words(plot.voltage_curves(pair, MINE))
    assert "measured end capacity (Doe 2024)" in voltages
    assert "Walther" not in voltages


def test_several_sources_have_marks_and_labels_of_their_own(pair: list[xr.Dataset]) -> None:
    axes = plot.fade(pair, [*measured.capacities(), *MINE])
    told = {str(p.get_label()): (p.get_marker(), p.get_markeredgecolor()) for p in points(axes)}
    assert [*told] == [
        "bare, measured (Walther et al. 2021)",
        "coated, measured (Walther et al. 2021)",
        "bare, measured (Doe 2024)",
        "mine, measured (Doe 2024)",
        "other, measured",
    ]
    assert len(set(told.values())) == len(told)
    ends = words(plot.voltage_curves(pair, [*measured.capacities(), *MINE]))
    assert "bare, measured end capacity (Doe 2024)" in ends
    assert "coated, measured end capacity (Walther et al. 2021)" in ends


def test_measured_cells_of_other_names_were_dropped_without_a_word(pair: list[xr.Dataset]) -> None:
    """They are drawn, in the colour of the line of their cell where there is one."""
    axes = plot.fade([*pair, synthetic.result("mine")], MINE)
    by_cell = {str(p.get_label()).split(",")[0]: p for p in points(axes)}
    np.testing.assert_array_equal(drawn(by_cell["mine"]), [(1, 170)])
    np.testing.assert_array_equal(drawn(by_cell["other"]), [(50, 90)])
    assert by_cell["mine"].get_markeredgecolor() == lines(axes)[2].get_color()
    assert by_cell["other"].get_markeredgecolor() not in {line.get_color() for line in lines(axes)}


def test_a_measured_efficiency_outside_the_axes_is_text(pair: list[xr.Dataset]) -> None:
    below = plot.capacity_fade(pair, MINE).axes[1]
    assert [drawn(p).tolist() for p in points(below)] == [[[50, 99.7]]]
    assert "cycle 1, off scale: mine, measured 91 % (Doe 2024)" in words(plot.capacity_fade(pair, MINE))


FIGURES = (plot.fade, plot.capacity_fade, plot.voltage_curves, plot.interphase, plot.losses)


@pytest.mark.parametrize("draw", FIGURES)
def test_one_result_was_a_type_error_and_is_a_list_of_one(draw: Any) -> None:
    one, listed = draw(synthetic.result("bare")), draw([synthetic.result("bare")])
    figures = [each if isinstance(each, Figure) else each.figure for each in (one, listed)]
    assert words(figures[0]) == words(figures[1])


def test_one_result_is_enough_for_files_and_maps(tmp_path: Path) -> None:
    ds = synthetic.result(resolved=True)
    assert plot.map_files(ds) == ["unit_cell_coated.png"]
    assert len(plot.save_all(ds, tmp_path, measured.capacities()[0], ds)) == 6
    assert words(plot.unit_cell([ds])) == words(plot.unit_cell(ds))


@pytest.mark.parametrize("draw", [*FIGURES, plot.unit_cell, plot.map_files])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("results/bare", "results/bare: no such result file"),
        ([Path("results/bare")], "results/bare: no such result file"),
        ({"bare": 1}, "results: expected a list, not a mapping"),
        (3, "not a value of type int"),
        ([None], "not a value of type NoneType"),
        (xr.Dataset(), "not the result of a run, it lacks name, status"),
        (xr.DataArray([1.0]), "not a value of type DataArray"),
    ],
)
def test_what_is_no_result_is_refused_with_a_sentence(draw: Any, given: Any, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        draw(given)


def test_a_part_of_a_result_is_drawn_as_far_as_it_goes(pair: list[xr.Dataset]) -> None:
    part = pair[0][["discharge_capacity"]]
    assert len(lines(plot.fade(part))) == 1
    with pytest.raises(InputError, match="it lacks coulombic_efficiency"):
        plot.capacity_fade(part)


@pytest.mark.parametrize("rows", ["data.csv", [("bare", 1, 161.0)], 161.0])
def test_what_is_no_measured_number_is_refused(rows: Any, pair: list[xr.Dataset]) -> None:
    with pytest.raises(InputError, match=r"measured: expected rows of interphase_sim\.experiment\.Observation"):
        plot.fade(pair, rows)


def test_fade_draws_into_given_axes_and_leaves_the_settings_alone(pair: list[xr.Dataset]) -> None:
    before = dict(mpl.rcParams)
    axes = Figure().add_subplot()
    assert plot.fade(pair, ax=axes) is axes
    assert points(axes) == []
    assert dict(mpl.rcParams) == before


def test_a_run_that_ended_early_says_so(pair: list[xr.Dataset]) -> None:
    short = synthetic.result("bare", cycles=120, status="end of life at cycle 120")
    failed = synthetic.result("coated", cycles=30, status="solver failure at cycle 31: step too small")
    axes = plot.fade([short, failed])
    assert [line.get_label() for line in lines(axes)] == [
        "bare, simulated (end of life at cycle 120)",
        "coated, simulated (solver failure at cycle 31)",
    ]
    assert lines(axes)[0].get_marker() == "x"


def test_results_of_one_name_are_told_apart() -> None:
    axes = plot.fade([synthetic.result("coated"), synthetic.result("coated"), synthetic.result("mine")])
    assert [line.get_label() for line in lines(axes)] == [
        "coated, simulated",
        "coated (2), simulated",
        "mine, simulated",
    ]
    assert len({line.get_color() for line in lines(axes)}) == 3


def test_capacity_fade_shows_the_efficiency_below(pair: list[xr.Dataset]) -> None:
    figure = plot.capacity_fade(pair, measured.capacities())
    _, below = figure.axes
    assert below.get_ylabel() == "Coulombic efficiency (%)"
    assert len(lines(below)) == 2
    np.testing.assert_array_equal(drawn(points(below)[0]), [(38, 99.5)])
    low, high = below.get_ylim()
    assert low < 99.0 < 99.5 < high  # both cells of the synthetic pair lie in view after their first cycles
    assert "cycle 1, off scale: bare 87.5 %, measured 86 %" in words(figure)
    assert "bare about 0.5 points below coated" in words(figure)


def test_voltage_curves_show_two_half_cycles_per_output_cycle_and_measured_ends(
    pair: list[xr.Dataset],
) -> None:
    figure = plot.voltage_curves(pair, measured.capacities())
    bare, coated = figure.axes
    assert [len(lines(axes)) for axes in (bare, coated)] == [6, 6]
    assert bare.get_ylabel() == "Cell voltage vs LTO (V)"
    assert bare.get_xlabel() == "Specific capacity (mAh g⁻¹ of NCM622)"
    (ends,) = points(coated)
    np.testing.assert_allclose(drawn(ends), [(200, 2.85), (180, 1.35), (153, 1.35), (82, 1.35)])
    assert "cycle 200" in words(figure)
    assert "measured curves are not available" in words(figure)
    assert "measured" not in words(plot.voltage_curves(pair))


def test_interphase_shows_amounts_per_interface_and_profiles_in_nm(pair: list[xr.Dataset]) -> None:
    figure = plot.interphase(pair)
    panels = np.reshape(np.array(figure.axes), (2, 3))
    assert [len(lines(axes)) for axes in panels[0]] == [2, 2, 6]  # sulfur forms at all three interfaces
    assert [len(lines(axes)) for axes in panels[1]] == [6, 6, 6]
    assert [axes.get_title() for axes in panels[0]] == ["Phosphate", "Sulfate and sulfite", "Oxidised sulfur"]
    assert panels[0, 0].get_ylabel() == "Amount (µmol g⁻¹ of NCM622)"
    assert panels[1, 0].get_ylabel() == "Concentration at NCM (mol L⁻¹)"
    assert panels[1, 0].get_xlabel() == "Depth from the NCM surface (nm)"
    amount = pair[0]["amount"].sel(species="phosphate", interface="ncm", cycle=200)
    assert drawn(lines(panels[0, 0])[0])[-1, 1] == pytest.approx(1e6 * float(amount))
    assert 14.0 < panels[1, 0].get_xlim()[1] < 60.0  # the bare layer of 14 nm fills the panel
    assert "at carbon" in words(figure)


def test_losses_stack_the_channels_and_keep_the_interaction_apart(pair: list[xr.Dataset]) -> None:
    figure = plot.losses(pair)
    bare = figure.axes[0]
    assert [label.get_text() for label in bare.get_xticklabels()] == ["cycle 50", "cycle 200"]
    assert len(bare.patches) == 2 * len(results.CHANNELS)
    *stack, interaction = bare.patches[-len(results.CHANNELS) :]
    tops = [bar.get_y() + bar.get_height() for bar in stack]  # type: ignore[attr-defined]
    assert interaction.get_hatch()
    assert tops[-1] + interaction.get_height() == pytest.approx(161 - 22)  # type: ignore[attr-defined]
    assert "139.0 mAh g⁻¹" in words(figure)
    assert "42 %" in words(figure)
    assert all(channel.replace("_", " ") in words(figure) for channel in results.CHANNELS)


def test_save_all_writes_four_figures_at_150_dpi(pair: list[xr.Dataset], tmp_path: Path) -> None:
    paths = plot.save_all(pair, tmp_path / "figures", measured.capacities())
    assert [path.name for path in paths] == [
        "capacity_fade.png",
        "voltage_curves.png",
        "interphase.png",
        "losses.png",
    ]
    assert imread(paths[0]).shape[:2] == (900, 900)  # 6 inch at 150 dpi


def test_maps_around_a_gap_have_a_row_per_output_cycle_and_a_scale_per_column() -> None:
    figure = plot.unit_cell(synthetic.result(resolved=True))
    panels = np.array(figure.axes[:12]).reshape(3, 4)
    assert [axes.get_ylabel().split("\n")[0] for axes in panels[:, 0]] == ["cycle 1", "cycle 50", "cycle 200"]
    titles = ["Phosphate", "Sulfate and sulfite", "Oxidised sulfur", "Ionic conductivity"]
    assert [axes.get_title() for axes in panels[0]] == titles
    limits = [[axes.findobj(QuadMesh)[0].get_clim() for axes in column] for column in panels.T]
    assert limits[0] == 3 * [limits[0][0]]
    assert limits[0][0] == pytest.approx((0.0, 6.93), rel=1e-3)  # mol per litre; the front is smooth
    assert limits[3][0] == pytest.approx((4e-7, 0.4), rel=1e-2)  # likewise
    assert panels[0, 0].get_ylim() == pytest.approx((0.0, 37.4))  # nm: a tenth above the row the front reaches
    assert np.ma.getmaskarray(panels[0, 0].findobj(QuadMesh)[0].get_array()).any()  # the coating


def test_a_result_without_rings_has_no_maps_and_says_so(pair: list[xr.Dataset], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no unit cell to draw"):
        plot.unit_cell(pair[0])
    paths = plot.save_all([pair[0], synthetic.result(resolved=True)], tmp_path)
    assert [path.name for path in paths][4:] == ["unit_cell_coated.png"]
    plot.unit_cell(synthetic.result(cycles=0, resolved=True)).draw_without_rendering()


def test_unusual_results_are_drawn_too() -> None:
    values = results.empty(cycles=3, output_cycles=1, points=2, depth_cells=2)
    attrs = {n: v for n, v in synthetic.result().attrs.items() if n != "schema_version"}
    coords = {"cycle": np.arange(3), "output_cycle": np.array([1])}
    gaining = synthetic.result()
    gaining["capacity_loss"][:] = -gaining["capacity_loss"]
    for odd in (results.build(values, coords, attrs), synthetic.result(cycles=0), gaining):
        for draw in (plot.capacity_fade, plot.voltage_curves, plot.interphase, plot.losses):
            draw([odd]).draw_without_rendering()


def test_nothing_to_draw_and_nowhere_to_write_are_refused(pair: list[xr.Dataset], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        plot.fade([])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        plot.save_all(pair, tmp_path / "file")


def test_drawing_never_loads_pyplot() -> None:
    code = "import sys, interphase_sim.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
