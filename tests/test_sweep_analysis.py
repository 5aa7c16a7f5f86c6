"""What sweeps say: ranges, parameters without effect, Sobol' indices, and figures of them all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from matplotlib.figure import Figure
from matplotlib.text import Text
from sweeping import FAST, written

from interphase_sim import sweeps
from interphase_sim.cli import cli
from interphase_sim.errors import InputError
from interphase_sim.results import load_result
from interphase_sim.scenario import load_scenario
from interphase_sim.sweeps import analysis, figures, store
from interphase_sim.sweeps.figures import marks
from interphase_sim.sweeps.figures.bars import ranking
from interphase_sim.sweeps.figures.fade import sampled_fade
from interphase_sim.sweeps.figures.maps import maps
from interphase_sim.sweeps.plan import Changes, Plan, load
from interphase_sim.sweeps.worker import DONE, ENDED, FAILED, NO_CAPACITY, Outcome

Number = Callable[[Changes], float]
COATED = """
[[axes]]
key = "coating"
values = ["LiNbO3 (amorphous)", "Li2ZrO3", "LiPO3 (glass)"]

[[axes]]
key = "coating.coverage"
values = [0.0, 0.5, 0.8, 0.9]
"""
THREE = """
[[axes]]
key = "coating.coverage"
values = [0.0, 0.5, 0.7867]

[[axes]]
key = "coating.thickness"
start = "5 nm"
stop = "45 nm"
count = 3
scale = "log"

[[axes]]
key = "cell.temperature"
values = ["25 degC", "45 degC"]
"""
SAMPLE = """
[design]
method = "{method}"
seed = 3
runs = {runs}
indices = {indices}
"""
INPUT = """
[[design.inputs]]
key = "{key}"
distribution = "uniform"
low = {low}
high = {high}
"""
INPUTS = "".join(
    INPUT.format(key=key, low=low, high=high)
    for key, low, high in (
        ("cell.utilisation", 0.9, 0.95),  # not in the order of the alphabet, in which a data set keeps its variables
        ("coating.coverage", 0.5, 0.9),
        ("coating.covered_rate", 0.1, 0.2),
    )
)


def made_up(
    folder: Path,
    varied: str,
    capacity: Number,
    failed: Callable[[Changes], bool] = lambda _: False,
    settings: str = FAST,
) -> Path:
    """A full store whose runs were not simulated: their last capacity is a function of their changes."""
    end = "cycles = 2\n[end_of_life]\nfraction = 0.5"
    return _filled(folder, load(written(folder, varied, settings, head=end)), capacity, failed)


def _filled(folder: Path, plan: Plan, capacity: Number, failed: Callable[[Changes], bool]) -> Path:
    path = folder / "made_up.zarr"
    attrs = {**sweeps._attributes(plan, None)}
    store.create(path, plan, attrs)
    opened = store.open_store(path, write=True)
    opened.write(_outcome(run, plan.changes(run), capacity, failed, plan.file.outputs) for run in range(plan.runs))
    return path


def _outcome(run: int, changes: Changes, capacity: Number, failed: Callable[[Changes], bool], names: Any) -> Outcome:
    if failed(changes):
        return Outcome(run, FAILED, "solver failure at cycle 1: made up")
    last = capacity(changes)
    rows = {name: np.array([np.nan, 100.0, last]) for name in names}
    life = 2.0 if last < 50 else np.nan
    return Outcome(run, DONE, "", 1.0, "0" * 16, 2, life, np.nan, rows)


def last(path: Path) -> tuple[xr.Dataset, xr.DataArray]:
    ds = store.dataset(path)
    return ds, analysis.at_cycle(ds, "discharge_capacity")


def test_sobol_indices_are_those_of_a_linear_function(tmp_path: Path) -> None:
    """x + 3 y with x, y uniform over widths 0.4 and 0.1: variances 0.16 : 0.09, and nothing from the third."""

    def capacity(changes: Changes) -> float:
        return 100 * (float(changes["coating.coverage"]) + 3 * float(changes["coating.covered_rate"]))

    ds, values = last(made_up(tmp_path, SAMPLE.format(method="sobol", runs=256, indices="true") + INPUTS, capacity))
    found = analysis.effects(ds, values)
    assert (found.names, found.samples) == (("utilisation", "coverage", "covered_rate"), 256)
    np.testing.assert_allclose(found.first, [0.0, 0.64, 0.36], atol=0.02)  # 256 samples of a smooth function
    assert found.total is not None
    np.testing.assert_allclose(found.total, [0.0, 0.64, 0.36], atol=0.02)
    assert (found.first_low <= found.first).all()
    assert (found.first <= found.first_high).all()
    assert analysis.without_effect(ds) == ["utilisation"]


def test_samples_with_a_failed_run_are_left_out_and_counted(tmp_path: Path) -> None:
    path = made_up(
        tmp_path,
        SAMPLE.format(method="sobol", runs=64, indices="true") + INPUTS,
        lambda changes: float(changes["coating.coverage"]),
        lambda changes: float(changes["coating.covered_rate"]) > 0.19,
    )
    found = analysis.effects(*last(path))
    assert found.samples == 32  # the largest power of two among those that are whole
    truth = np.array([0.0, 1.0, 0.0])
    assert (found.first_low <= truth).all()
    assert (truth <= found.first_high).all()


def test_a_latin_hypercube_is_ranked_by_correlation(tmp_path: Path) -> None:
    varied = SAMPLE.format(method="latin_hypercube", runs=100, indices="false") + INPUTS
    found = analysis.effects(
        *last(made_up(tmp_path, varied, lambda changes: -(float(changes["coating.coverage"]) ** 3)))
    )
    assert found.total is None
    effect = dict(zip(found.names, found.first, strict=True))
    assert effect.pop("coverage") == pytest.approx(-1.0, abs=1e-12)
    assert max(map(abs, effect.values())) < 0.3


def test_an_axis_that_changes_nothing_is_named(tmp_path: Path) -> None:
    path = made_up(tmp_path, THREE, lambda changes: 80.0 + len(str(changes.get("coating.coverage", ""))))
    assert analysis.without_effect(store.dataset(path)) == ["thickness", "temperature"]


def test_the_base_scenario_is_found_on_the_axes(tmp_path: Path) -> None:
    ds = store.dataset(made_up(tmp_path, THREE, lambda _: 80.0))
    assert [analysis.base_value(ds, name) for name in analysis.dims(ds)] == [0.7867, 15.0, 45.0]


def test_known_coatings_are_told_from_ranges(tmp_path: Path) -> None:
    ds = store.dataset(made_up(tmp_path, COATED, lambda _: 80.0))
    assert analysis.known(ds) == {"LiNbO3 (amorphous)": True, "Li2ZrO3": False, "LiPO3 (glass)": True}


def test_a_range_spans_what_its_corners_give(tmp_path: Path) -> None:
    def capacity(changes: Changes) -> float:
        conductivity = changes.get("coating.core_conductivity")
        return 80.0 if conductivity is None else 1e8 * float(conductivity.removesuffix(" S/m"))

    _, values = last(made_up(tmp_path, COATED, capacity))
    low, high = analysis.spread(values.sel(coating="Li2ZrO3", coverage=0.5))
    assert (float(low), float(high)) == pytest.approx((10.0, 60.0), rel=1e-12)


@pytest.mark.parametrize(
    ("varied", "names"),
    [
        (COATED, {"map.png", "fade.png", "ranking.png"}),
        (THREE, {"map.png", "fade.png"}),
        (SAMPLE.format(method="sobol", runs=16, indices="true") + INPUTS, {"effects.png", "fade.png"}),
        (SAMPLE.format(method="latin_hypercube", runs=16, indices="false") + INPUTS, {"effects.png", "fade.png"}),
        ('[[axes]]\nkey = "coating.coverage"\nvalues = [0.5, 0.6]', {"fade.png"}),
    ],
)
def test_every_kind_of_sweep_is_drawn_by_one_command(varied: str, names: set[str], tmp_path: Path) -> None:
    def capacity(changes: Changes) -> float:
        return 40 + 50 * float(changes.get("coating.coverage", 0))

    path = made_up(tmp_path, varied, capacity, lambda changes: changes.get("cell.temperature") == "25 degC")
    done = CliRunner().invoke(cli, ["plot", str(path)])
    assert done.exit_code == 0, done.output
    drawn = {Path(line).name for line in done.stdout.splitlines() if line.endswith(".png")}
    assert drawn == names == {file.name for file in (tmp_path / "made_up_figures").iterdir()}


def _markers(figure: Figure) -> set[tuple[str, float, float]]:
    lines = [line for axes in figure.axes for line in axes.lines if line.get_marker() in ("o", "s")]
    return {(str(line.get_marker()), float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines}  # type: ignore[arg-type, index]


def test_measured_cells_are_marked_where_they_lie(tmp_path: Path) -> None:
    """Bare: coverage 0 on the first row; coated: coverage 0.7867 between the second and third value, LiNbO3's row."""
    ds = store.dataset(made_up(tmp_path, COATED, lambda _: 80.0))
    marked = _markers(maps(ds, figures.quantities(ds)))
    between = 1 + (0.7867 - 0.5) / 0.3
    shape = sorted((marker, round(x, 6), y) for marker, x, y in marked)
    assert shape == [("o", round(between, 6), 0.0), ("s", 0.0, 0.0)] or shape == [("o", 0.7867, 0.0), ("s", 0.0, 0.0)]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(NO_CAPACITY, [np.nan, 100.0, 0.0]), (ENDED, [np.nan, 100.0, np.nan]), (DONE, [np.nan, 100.0, np.nan])],
)
def test_the_words_of_a_message_decided_whether_a_cell_had_no_capacity_left(
    status: int, expected: list[float], tmp_path: Path
) -> None:
    """A run that a limit has ended does not fall to 0 afterwards; whatever it says."""
    plan = load(written(tmp_path, THREE, head="cycles = 2"))
    path = tmp_path / "ended.zarr"
    store.create(path, plan, {**sweeps._attributes(plan, None)})
    rows = {name: np.array([np.nan, 100.0, np.nan]) for name in plan.file.outputs}
    store.open_store(path, write=True).write(
        Outcome(run, status, "cut-off is passed", 1.0, "0" * 16, 1, np.nan, np.nan, rows) for run in range(plan.runs)
    )
    found = analysis.with_ends(store.dataset(path), "discharge_capacity")
    np.testing.assert_array_equal(found.isel(coverage=0, thickness=1, temperature=1), expected)
    np.testing.assert_array_equal(
        analysis.with_ends(store.dataset(path), "layer_thickness").isel(coverage=0, thickness=1, temperature=1),
        rows["layer_thickness"],
    )


def shown(figure: Figure) -> str:
    return "\n".join(str(text.get_text()) for text in figure.findobj(Text) if isinstance(text, Text))


LATIN = SAMPLE.format(method="latin_hypercube", runs=16, indices="false")
COVERAGE = INPUT.format(key="coating.coverage", low=0.5, high=0.9)
SAMPLED = LATIN + COVERAGE
CELLS_OF_USERS = (
    'cell.temperature = "30 degC"',
    'cell.upper_voltage = "2.7 V"',
    "cell.utilisation = 0.9",
    'kinetics.oxygen.exchange = "1e-11 m/s"',
    'protocol.steps = [{ type = "cc", direction = "charge", rate = "C/2" }, '
    '{ type = "cc", direction = "discharge", rate = "C/2" }]',
)


@pytest.mark.parametrize("line", [*CELLS_OF_USERS, 'coating.gap_radius = "3 nm"'])
def test_measured_points_were_drawn_on_the_cell_of_any_user(line: str, tmp_path: Path) -> None:
    """On maps, on samples and in rankings: the bare cell too, unless only the coating is another one."""
    drawn = {}
    for name, varied in (("grid", COATED), ("sample", SAMPLED)):
        (tmp_path / name).mkdir()
        path = made_up(tmp_path / name, varied, lambda _: 80.0, settings=f"{FAST}\n{line}")
        drawn[name] = store.dataset(path)
    grid, sample = drawn["grid"], drawn["sample"]
    coats = line.startswith("coating")
    assert {marker for marker, *_ in _markers(maps(grid, figures.quantities(grid)))} == ({"s"} if coats else set())
    ranked = shown(ranking(grid, 2))
    assert "coated cell, measured" not in ranked
    assert "measured" not in shown(sampled_fade(sample))
    assert marks.measured_cells(sample).keys() <= {"bare"} if coats else not marks.measured_cells(sample)


def test_numerics_and_models_leave_the_cell_what_it_is(tmp_path: Path) -> None:
    more = (
        f'{FAST}\nnumerics.jump = true\ncoating.filler = "carbonate"\n'
        'coating.filler_conductivity = "1e-9 S/cm"\ncoating.filler_activation_energy = "0.7 eV"'
    )
    ds = store.dataset(made_up(tmp_path, SAMPLED, lambda _: 80.0, settings=more))
    assert marks.measured_cells(ds)["coated"] == {"coverage": 0.7867}
    assert "coated cell, measured (Walther et al. 2021)" in shown(sampled_fade(ds))


def test_the_measured_cell_lies_at_its_own_values_and_not_at_those_of_the_base(tmp_path: Path) -> None:
    """The base scenario of a user may have another value where the sweep varies it."""
    table = load_scenario("coated").replace({"coating.coverage": 0.6, "name": "mine"})
    (tmp_path / "mine.toml").write_text(table.to_toml())
    path = written(tmp_path, THREE)
    path.write_text(path.read_text().replace("shipped:coated.toml", "mine.toml"))
    ds = store.dataset(_filled(tmp_path, load(path), lambda _: 80.0, lambda _: False))
    assert analysis.base_value(ds, "coverage") == 0.6
    assert marks.measured_cells(ds)["coated"] == {"coverage": 0.7867, "thickness": 15.0, "temperature": 45.0}
    assert marks.measured_cells(ds)["bare"]["coverage"] == 0.0


@pytest.mark.parametrize(("low", "high", "told"), [(0.5, 0.9, True), (0.5, 0.7, False)])
def test_a_sample_is_marked_where_the_measured_cell_lies_within(
    low: float, high: float, told: bool, tmp_path: Path
) -> None:
    varied = LATIN + INPUT.format(key="coating.coverage", low=low, high=high)
    assert ("measured" in shown(sampled_fade(store.dataset(made_up(tmp_path, varied, lambda _: 80.0))))) is told


def test_a_sample_of_the_bare_cell_was_marked_with_the_coated_one(tmp_path: Path) -> None:
    settings = FAST.replace('coating.contact = "mixed"\n', "")
    path = written(tmp_path, LATIN + INPUT.format(key="cell.utilisation", low=0.9, high=0.99), settings)
    path.write_text(path.read_text().replace("coated.toml", "bare.toml"))
    ds = store.dataset(_filled(tmp_path, load(path), lambda _: 80.0, lambda _: False))
    told = shown(sampled_fade(ds))
    assert "bare cell, measured (Walther et al. 2021)" in told
    assert "coated cell" not in told


def test_a_ranking_names_the_measured_cells_and_their_source(tmp_path: Path) -> None:
    """Capacities of cycle 1, the coverage held at 0.8, which is close to the coated cell's."""
    told = shown(ranking(store.dataset(made_up(tmp_path, COATED, lambda _: 80.0)), 1))
    assert "coated cell, measured (Walther et al. 2021): 180" in told
    assert "bare cell, measured (Walther et al. 2021): 161" in told


@pytest.mark.parametrize("name", ["coverage_x_coating", "cutoff_x_temperature", "thickness_x_carbonate", "sensitivity"])
def test_the_shipped_sweeps_keep_their_marks(name: str, tmp_path: Path) -> None:
    plan = load(name)
    store.create(tmp_path / "store.zarr", plan, sweeps._attributes(plan, None))
    found = marks.measured_cells(store.dataset(tmp_path / "store.zarr"))
    assert set(found) == ({"coated"} if name == "thickness_x_carbonate" else {"coated", "bare"})


def test_a_cycle_that_is_not_kept_is_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["plot", str(made_up(tmp_path, THREE, lambda _: 80.0)), "--cycle", "7"])
    assert done.exit_code == 2
    assert "cycle 7 is not kept, these are: 0, 1, 2" in done.stderr


def test_info_of_a_store_said_that_it_holds_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints what `sweep` printed, and succeeds whatever became of the runs."""
    path = made_up(tmp_path, THREE, lambda _: 80.0, lambda changes: changes.get("cell.temperature") == "25 degC")
    done = CliRunner().invoke(cli, ["info", str(path)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{sweeps.summary_text(sweeps.summary(path))}\n"
    told = json.loads(CliRunner().invoke(cli, ["info", str(path), "--json"]).stdout)
    assert told == sweeps.summary(path)
    with pytest.raises(InputError, match="is the store of a sweep, not the result of a run"):
        load_result(path)
    monkeypatch.chdir(path)
    assert CliRunner().invoke(cli, ["info", "."]).exit_code == 0
    drawn = CliRunner().invoke(cli, ["plot", "."])
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "made_up_figures" / "map.png").exists()


def test_a_sweep_without_results_cannot_be_drawn(tmp_path: Path) -> None:
    path = made_up(tmp_path, THREE, lambda _: 80.0, lambda _: True)
    with pytest.raises(InputError, match="no run has succeeded yet"):
        sweeps.draw(path, tmp_path / "figures")


def test_runs_that_all_stopped_early_are_drawn_by_what_they_have(tmp_path: Path) -> None:
    """Maps of a capacity that no run reached were drawn, empty and with a warning."""
    path = made_up(tmp_path, THREE, lambda changes: np.nan)
    ds = store.dataset(path)
    assert [each.name for each in figures.quantities(ds, cycle=1)] == [
        "discharge_capacity",
        "film_resistance_geometric",
    ]
    assert figures.quantities(ds) == []
