"""The study of particulate coatings: its points, its stored runs, and how it judges them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closeness import near

from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.contact_models.unit_cell import UnitCell
from interphase_sim.scenario import Scenario, gap_share
from interphase_sim.simulation import loop
from validation.particulate import __main__ as command
from validation.particulate import evaluate, figures, points, runs, store, study, table
from validation.particulate.points import Point

BASE = study.base()
PAPER = Point(0.9, 15e-9, 15e-9, True)
CLOSED = Point(0.99, 50e-9, 5e-9, False)


# Points


@pytest.mark.parametrize("point", [PAPER, CLOSED, Point(0.5, 500e-9, 50e-9, False)])
def test_particles_and_gaps_fill_the_plane(point: Point) -> None:
    gaps = 1 / (math.pi * point.disc**2)  # per area
    assert gaps / 2 * math.pi * (point.size / 2) ** 2 == near(point.particles, rel=1e-12)
    assert gaps * math.pi * point.gap**2 == near(1 - point.coverage, rel=1e-12)
    assert (1 - point.particles) * (1 - point.filled) == near(1 - point.coverage, rel=1e-12)


def test_the_points_are_the_whole_factorial_and_only_ions_limit_them() -> None:
    every = points.every()
    assert len(every) == len({p.name for p in every}) == 150
    assert {(p.coverage, p.size) for p in every if not p.exists} == {(0.99, 5e-9)}
    assert PAPER in every
    assert 1.2e-9 < PAPER.gap < 7.5e-9  # the shipped scenario's range


def test_points_are_chosen_by_name() -> None:
    assert list(points.chosen([PAPER, CLOSED], ["c0.99_*"])) == [CLOSED]
    assert list(points.chosen([PAPER, CLOSED], [])) == [PAPER, CLOSED]


def test_the_outermost_points_have_a_unit_cell_fine_and_coarse() -> None:
    design = loop.design_of(BASE)
    for point in points.every():
        extreme = point.coverage in (0.5, 0.97, 0.99) and point.size in (5e-9, 15e-9, 500e-9)
        if point.exists and point.film and extreme and point.thickness != 15e-9:
            for contact in ("resolved", "closure"):
                made = points.scenario(BASE, point, contact, 5)
                s = ct.setting(made, design.contact_areas, 0.47)
                assert isinstance(s.model, UnitCell)
                assert s.model.rings.geometry.disc == near(point.disc, rel=1e-9)


def test_a_scenario_is_the_base_with_another_coating() -> None:
    plain = points.scenario(BASE, CLOSED, "mixed", 7)
    assert plain.coating is not None
    assert BASE.coating is not None
    assert plain.coating.shell is None
    assert plain.coating.filler == "carbonate"
    assert plain.coating.filler_conductivity is not None
    assert BASE.coating.shell_conductivity is not None
    assert plain.coating.filler_conductivity.si == near(BASE.coating.shell_conductivity.si, rel=1e-12)
    assert gap_share(plain.coating.coverage.si, plain.coating.filler_coverage.si) == near(0.01, rel=1e-9)
    assert plain.kinetics == BASE.kinetics
    assert plain.protocol.cycles == 7
    paper = points.scenario(BASE, PAPER, "resolved", 200)
    assert paper.coating is not None
    assert paper.coating.shell == BASE.coating.shell
    assert paper.coating.filler == "electrolyte"


def test_lateral_conductances_are_changed_and_nothing_else() -> None:
    made = points.scenario(BASE, PAPER, "closure", 5)
    model = ct.setting(made, loop.design_of(made).contact_areas, 0.47).model
    assert isinstance(model, UnitCell)
    rings = model.rings
    apart = runs.with_lateral(rings, 0.0)
    row = rings.mesh.rows.searchsorted(rings.mesh.one, side="right")
    beside = rings.mesh.rows.searchsorted(rings.mesh.other, side="right") == row
    assert beside.any()
    assert not apart.mesh.conductance[beside].any()
    assert np.array_equal(apart.mesh.conductance[~beside], rings.mesh.conductance[~beside])
    assert apart.shape == rings.shape


# Stored runs


def pretended(task: study.Task, base: Scenario) -> store.Record:
    """A record of the right form, quickly: three pictures of a contact whose layers merge at cycle 3."""
    n = np.arange(task.cycles + 1.0)
    slow = {"resolved": 1.0, "closure": 1.001, "mixed": 1.2, "separate": 1.01}.get(task.kind, 1.0)
    if task.kind in study.REPLAYS:
        lateral = {
            name: {"uptake": [k, 2 * k], "resistance": [1.0, k]}
            for name, k in zip(runs.LATERAL, (2, 1, 3), strict=True)
        }
        return {"seconds": 0.0, "lateral": lateral}
    ramp = np.clip(n / 6, 0, 1)
    shape = {name: list(ramp) for name in runs.SHAPES}
    capacity = [math.nan, *(180 - slow * (n[1:] + 5 * np.maximum(n[1:] - 10, 0)))]
    return {
        "status": "completed",
        "seconds": 0.0,
        "coating": 1e-3,
        "discharge_capacity": capacity,
        "film_resistance": list(slow * (1 + 0.01 * n)),
        "layer_thickness": list(1e-9 * n),
        "amounts": {name: list(slow * n) for name in runs.SPECIES},
        "shape": shape if task.kind in ("resolved", "closure") else {},
    }


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[study.Task]:
    """The tasks that a stand-in for the simulation was asked for."""
    asked: list[study.Task] = []

    def compute(task: study.Task, base: Scenario) -> store.Record:
        asked.append(task)
        return pretended(task, base)

    monkeypatch.setattr(study, "compute", compute)
    return asked


def silent(text: str) -> None:
    """Say nothing."""


def test_only_what_is_missing_is_run(tmp_path: Path, computed: list[study.Task]) -> None:
    wanted = study.tasks([PAPER, replace(PAPER, film=False)], 20)
    assert len(wanted) == 9  # four models of two coatings, one replay for both
    study.run(wanted[:3], BASE, tmp_path, 1, silent)
    lacking, stale = study.missing(wanted, BASE, tmp_path)
    assert (lacking, stale) == (wanted[3:], 0)
    study.run(lacking, BASE, tmp_path, 1, silent)
    assert study.missing(wanted, BASE, tmp_path) == ([], 0)
    assert computed == wanted


def test_another_scenario_cycle_count_or_code_is_noticed(
    tmp_path: Path, computed: list[study.Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = study.tasks([PAPER], 20)
    study.run(wanted, BASE, tmp_path, 1, silent)
    other = BASE.replace({"kinetics.oxygen.exchange": "1e-10 m/s"})
    assert study.missing(wanted, other, tmp_path) == (wanted, len(wanted))
    longer = study.tasks([PAPER], 21)
    assert study.missing(longer, BASE, tmp_path) == (longer, len(longer))
    assert study.records(PAPER, 20, BASE, tmp_path) is not None
    assert study.records(PAPER, 20, other, tmp_path) is None
    monkeypatch.setattr(store, "code", lambda: "another")
    assert study.missing(wanted, BASE, tmp_path) == (wanted, len(wanted))


def test_a_damaged_record_is_run_again(tmp_path: Path, computed: list[study.Task]) -> None:
    wanted = study.tasks([PAPER], 20)
    study.run(wanted, BASE, tmp_path, 1, silent)
    path = tmp_path / wanted[0].path
    path.write_text(path.read_text(encoding="utf-8")[:40], encoding="utf-8")
    assert study.missing(wanted, BASE, tmp_path) == ([wanted[0]], 1)


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "point" / "run.json"
    store.save(path, {"a": 1.5}, "key")
    with pytest.raises(TypeError):
        store.save(path, {"a": object()}, "key")
    assert store.load(path, "key") == {"a": 1.5, "key": "key"}
    assert store.load(path, "other") is None
    assert [file.name for file in path.parent.iterdir()] == ["run.json"]


def test_an_interruption_keeps_what_was_done_and_a_failure_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = study.tasks([PAPER], 20)

    def stops_at(number: int, with_: type[BaseException]) -> Callable[[study.Task, Scenario], store.Record]:
        def compute(task: study.Task, base: Scenario) -> store.Record:
            if task == wanted[number]:
                raise with_("here")
            return pretended(task, base)

        return compute

    monkeypatch.setattr(study, "compute", stops_at(2, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        study.run(wanted, BASE, tmp_path, 1, silent)
    assert study.missing(wanted, BASE, tmp_path)[0] == wanted[2:]
    monkeypatch.setattr(study, "compute", stops_at(2, ValueError))
    said: list[str] = []
    with pytest.raises(RuntimeError, match="1 of 3"):
        study.run(wanted[2:], BASE, tmp_path, 1, said.append)
    assert "ValueError: here" in said[0]
    assert study.missing(wanted, BASE, tmp_path)[0] == [wanted[2]]


def test_the_command_runs_draws_and_goes_on(
    tmp_path: Path,
    computed: list[study.Task],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(figures, "save", lambda rows, runs, folder: drawn.append(folder))
    call = ["--points", "c0.90_d15_h15_*", "c0.99_d5_h5_film", "--cycles", "20", "--workers", "1"]
    call += ["--folder", str(tmp_path)]
    assert command.main(call) == 0
    assert len(computed) == 9
    lines = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert any("gap narrower than an ion" in line for line in lines)
    assert drawn == [tmp_path]
    assert "regime separate: 2" in capsys.readouterr().out
    assert command.main(call) == 0
    assert len(computed) == 9
    assert command.main(["--points", "nothing"]) == 2
    assert command.main([*call[:1], "c0.50_d50_h50_film", "--draw", "--folder", str(tmp_path)]) == 1


def test_bounds_that_fail_ask_for_a_finer_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(task: study.Task, base: Scenario) -> store.Record:
        record = dict(pretended(task, base))
        if task.kind == "replay":
            record["lateral"]["none"]["uptake"] = [2.02, 4.0]
        return record

    monkeypatch.setattr(study, "compute", compute)
    study.run(study.tasks([PAPER], 20), BASE, tmp_path, 1, silent)
    (finer,) = study.doubtful([PAPER], 20, BASE, tmp_path)
    assert finer.scenario(BASE).numerics.closure_rings == 2 * BASE.numerics.closure_rings
    study.run([finer], BASE, tmp_path, 1, silent)
    found = study.records(PAPER, 20, BASE, tmp_path)
    assert found is not None
    row = evaluate.row(PAPER, found)
    assert not row["bounds_hold"]
    assert row["uptake_over_lower"] == near(2 / 2.02, rel=1e-12)
    assert row["grid_error"] == near(1.02, rel=1e-9)  # of the bound itself
    assert any("outside its bounds: 1 of 1" in line for line in table.summary([row]))


# Judgements


def test_a_crossing_is_for_good_and_between_cycles() -> None:
    assert evaluate.crossing(np.array([0.0, 0.2, 0.6, 0.8]), 0.5) == near(1.75, rel=1e-12)
    assert evaluate.crossing(np.array([0.6, 0.2, 0.6, 0.8]), 0.5) == near(1.75, rel=1e-12)
    assert evaluate.crossing(np.array([0.6, 0.7]), 0.5) == 0.0
    assert evaluate.crossing(np.array([0.6, 0.4]), 0.5) == math.inf


def test_a_gap_closes_and_a_layer_seals_when_they_resist_more_than_the_coating() -> None:
    run = {"coating": 9.0, "shape": {"through_gap": [1.0, 10.0, 100.0], "over_coating": [0.0, 1.0, 1.0]}}
    assert evaluate.closed(run, 0.9) == near(1.0, rel=1e-12)
    assert evaluate.sealed(run, 0.9) == math.inf


def test_the_knee_of_two_lines_is_found() -> None:
    n = np.arange(1.0, 101.0)
    found = evaluate.knee(180 - 0.1 * n - 0.4 * np.maximum(n - 60, 0))
    assert found.cycle == 60
    assert (found.before, found.after) == (near(0.1, rel=1e-9), near(0.5, rel=1e-9))
    assert found.ratio == near(5.0, rel=1e-9)
    assert evaluate.fade_around(180 - 0.1 * n, 50.0) == (near(0.1, rel=1e-9), near(0.1, rel=1e-9))
    assert math.isnan(evaluate.fade_around(n, math.inf)[1])
    step = 180 - 0.1 * n - 0.6 * np.clip(n - 40, 0, 5)
    assert evaluate.steepest(step) == (near(0.7, rel=1e-9), 42.5)  # from cycle 40 to 45
    assert math.isnan(evaluate.steepest(step[:9])[0])


def run_of(resistance: Any, capacity: float = 150.0, amount: float = 1.0) -> dict[str, Any]:
    """A run with a film resistance over cycles and everything else constant."""
    n = len(resistance)
    return {
        "film_resistance": list(resistance),
        "discharge_capacity": [math.nan, *[capacity] * (n - 1)],
        "amounts": {"phosphate": [0.0, *[amount] * (n - 1)]},
    }


def test_deviations_are_told_apart_at_and_outside_percolation() -> None:
    n = np.arange(51.0)

    def percolates(at: float) -> Any:
        return 1.0 + 99.0 / (1.0 + np.exp(-4 * (n - at)))

    same = evaluate.deviation(run_of(percolates(25.5), 150.5, 1.02), run_of(percolates(25.0)))
    assert 0.3 < same.delay < 0.7  # between whole cycles, by straight lines
    assert same.outside < 0.05 < same.event == same.resistance
    assert (same.capacity, same.amounts) == (near(0.5, rel=1e-9), near(0.02, rel=1e-9))
    assert not same.holds
    early = evaluate.deviation(run_of(percolates(25)[:40]), run_of(percolates(25)))
    assert early.capacity == math.inf


@pytest.mark.parametrize(
    ("mixed", "separate", "expected"),
    [(1.04, 1.2, "mixed"), (1.2, 1.04, "separate"), (1.01, 0.99, "both"), (1.06, 0.9, "neither")],
)
def test_the_regime_is_what_agrees_over_all_cycles(mixed: float, separate: float, expected: str) -> None:
    flat = np.ones(10)
    off = [evaluate.deviation(run_of(factor * flat), run_of(flat)) for factor in (mixed, separate)]
    assert evaluate.regime(*off) == expected
    worse = evaluate.deviation(run_of(flat, capacity=148.9), run_of(flat))
    assert evaluate.regime(worse, worse) == "neither"


def test_what_never_happens_is_written_so_and_the_figures_bear_it(tmp_path: Path) -> None:
    assert [table.written(v) for v in (math.inf, math.nan, 1 / 3, True, "x")] == ["never", "", "0.3333", "yes", "x"]
    records = {kind: pretended(study.Task(PAPER, kind, 20), BASE) for kind in (*points.CONTACTS, "replay")}
    records = json.loads(json.dumps(records))
    for name in ("resolved", "closure"):
        records[name]["shape"]["least"] = [0.0] * 21
    row = evaluate.row(PAPER, records)
    assert row["merged_cycle"] == math.inf
    for file in figures.save([row], {PAPER: records}, tmp_path):
        assert file.stat().st_size > 1000
