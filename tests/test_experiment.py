"""The experiment as data: one more measured number works everywhere, and what cannot be used is one clear sentence."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import made_up
import pytest
import synthetic
from click.testing import CliRunner
from closeness import near
from made_up import CAPACITIES, World

from interphase_sim import acceptance, calibration, plot, results
from interphase_sim.calibration import SHIPPED, misfit, prediction, variants
from interphase_sim.cli import cli
from interphase_sim.errors import InputError
from interphase_sim.experiment import OBSERVABLES, comparisons, criteria, data_folder, observable, observations
from interphase_sim.experiment.folder import data_file
from interphase_sim.experiment.judge import judge
from interphase_sim.experiment.observations import Observation, Target
from interphase_sim.experiment.study import NO_STUDY
from interphase_sim.scenario import load_scenario
from interphase_sim.sweeps.figures import shared

BARE_100 = 'bare,discharge_capacity,100,55,mAh g-1,"read off Fig. 3B"'
COATED_100 = 'coated,discharge_capacity,100,120,mAh g-1,"read off Fig. 3B"'


def folder_with(directory: Path, *rows: str, name: str = observations.CAPACITY_FILE) -> Path:
    """A data folder whose only file is the shipped one with rows added."""
    directory.mkdir(exist_ok=True)
    text = data_file(name).read_text(encoding="utf-8")
    (directory / name).write_text("\n".join([text.rstrip("\n"), *rows]) + "\n", encoding="utf-8")
    return directory


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Made-up cells; the data are those of the files."""
    made = World()
    monkeypatch.setattr(misfit, "observe", made.observe)
    monkeypatch.setattr(calibration, "ProcessPoolExecutor", made_up.Pool)
    return made


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A folder with stored results of both cells."""
    for name in ("bare", "coated"):
        ds = synthetic.result(name, scenario=load_scenario(name).to_toml())
        results.write(ds, tmp_path / "stored" / f"{name}.nc")
    return tmp_path / "stored"


def report_on(folder: Path) -> dict[str, Any]:
    """The report on stored results."""
    bare, coated = (results.read(folder / f"{name}.nc") for name in ("bare", "coated"))
    return judge(bare, coated, criteria.load(), {"setup": None}, NO_STUDY)


# One more row


def test_validate_judges_counts_and_draws_one_more_row(
    tmp_path: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, drawn = folder_with(tmp_path / "data", BARE_100), list[Observation]()
    monkeypatch.setattr(plot, "save_all", lambda cells, directory, rows, beside: drawn.extend(rows))
    before = acceptance.run(tmp_path / "before", stored)
    words = ["validate", "--from", str(stored), "-o", str(tmp_path / "after"), "--experiment", str(data), "--json"]
    after = json.loads(CliRunner().invoke(cli, words).stdout)
    (row,) = [r for r in after["rows"] if r not in before["rows"]]
    assert (row["cell"], row["quantity"], row["cycle"], row["measured"]) == ("bare", "discharge_capacity", 100, 55.0)
    assert (row["tolerance"], row["gate"], row["criterion"]) == (10, True, "capacity_max_abs")
    assert row["simulated"] is not None
    rms, count = before["capacity_rms_mAh_g"], len(CAPACITIES)
    off = row["simulated"] - 55
    assert after["capacity_rms_mAh_g"] == near(math.sqrt((count * rms**2 + off**2) / (count + 1)), rel=1e-12)
    meanings = {r["id"]: (r["meaning"], r["source"]) for r in after["criteria"]}
    assert meanings["capacity_rms"][0] == "9 measured capacities, rms deviation"
    assert meanings["free_numbers"][1] == "9 capacities cannot support more"
    assert {r["id"] for r in after["failing"]} >= {"bare discharge_capacity 100"} or abs(off) <= 10
    assert [(r.cycle, r.value) for r in drawn if r.key == ("bare", "discharge_capacity", 100)] == [(100, 55.0)]


@pytest.mark.parametrize("row", [BARE_100, COATED_100], ids=["bare", "coated"])
def test_calibrate_fits_one_more_row(row: str, tmp_path: Path, world: World) -> None:
    data = folder_with(tmp_path / "data", row)
    assert calibration.main(directory=tmp_path / "all", experiment=data) == 0
    errors = json.loads((tmp_path / "all" / "calibration.json").read_text())["capacity_errors_mAh_g"]
    assert " ".join(row.split(",")[:3]) in errors
    assert len(errors) == len(CAPACITIES) + 1


def test_one_more_row_is_a_residual_and_a_row_held_out_is_none(tmp_path: Path, world: World) -> None:
    z = made_up.centre(SHIPPED.free)
    (before,) = made_up.simulator().residuals(SHIPPED, [z])
    with data_folder(folder_with(tmp_path / "one", BARE_100)):
        (after,) = made_up.simulator().residuals(SHIPPED, [z])
        simulated = made_up.simulator().runs(SHIPPED, z)
        assert simulated is not None
        assert after.size == before.size + 1
        off = simulated["bare"].values["discharge_capacity", 100] - 55
        assert after @ after == near(before @ before + (off / 2.5) ** 2, rel=1e-12)
    with data_folder(folder_with(tmp_path / "two", f"{BARE_100},,,hold_out,")):
        (after,) = made_up.simulator().residuals(SHIPPED, [z])
        assert after.tolist() == before.tolist()
        assert ("bare", "discharge_capacity", 100) in observations.capacities()


def test_variants_leave_out_one_more_row_too(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "variants", lambda free: [variants.Variant("x", {}, free[:2], 0, shipped=True)])
    data = folder_with(tmp_path / "data", BARE_100)
    assert calibration.main(variants=True, directory=tmp_path / "out", experiment=data) == 0
    own, law = json.loads((tmp_path / "out" / "variants.json").read_text())
    assert len(own["left_out_errors"]) == 9
    assert len(law["left_out_errors"]) == 7
    assert "bare discharge_capacity 100" in own["left_out_errors"].keys() & law["left_out_errors"].keys()


@pytest.mark.parametrize(("row", "predicted"), [(BARE_100, 3), (COATED_100, 4)], ids=["bare", "coated"])
def test_the_prediction_takes_one_more_row(
    row: str, predicted: int, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare one is fitted, and is part of the curve that is rescaled; a coated one is predicted."""
    monkeypatch.setattr(prediction, "DRAWS", 4)
    data = folder_with(tmp_path / "data", row)
    assert calibration.main(data="bare", directory=tmp_path / "out", experiment=data) == 0
    table = json.loads((tmp_path / "out" / "prediction.json").read_text())
    rows = {(r["cell"], r["quantity"], r["cycle"]): r for r in table["rows"]}
    assert len(rows) == predicted
    assert ("coated", "discharge_capacity", 1) not in rows
    if predicted == 4:
        assert rows["coated", "discharge_capacity", 100]["measured"] == 120.0
    assert len(table["rivals"]) == 2
    bare = json.loads((tmp_path / "out" / "bare.json").read_text())
    assert len(bare["r"]) == misfit.count(("bare",)) + len(prediction.FREE) + (predicted == 3)


def test_figures_of_sweeps_draw_one_more_row(tmp_path: Path) -> None:
    with data_folder(folder_with(tmp_path / "data", BARE_100)):
        assert [row.cycle for row in shared.measured_capacities("bare")] == [1, 50, 200, 100]
    assert [row.cycle for row in shared.measured_capacities("bare")] == [1, 50, 200]


def test_an_efficiency_of_another_cycle_is_shown_and_fitted(tmp_path: Path, stored: Path, world: World) -> None:
    row = "coated,coulombic_efficiency,20,99.2,%,own notes,0.2"
    data = folder_with(tmp_path / "data", row)
    with data_folder(data):
        (target,) = [t for t in observations.targets(("bare", "coated")) if t.cycle == 20]
        assert target == Target(target.key, "coated", "", "coulombic_efficiency", 20, 99.2, 0.2)
        report = report_on(stored)
    (shown,) = [r for r in report["rows"] if r["cycle"] == 20]
    assert (shown["passes"], shown["tolerance"], shown["measured"]) == (None, None, 99.2)


def test_a_fit_to_other_data_is_not_resumed(tmp_path: Path, world: World) -> None:
    out, told = tmp_path / "out", list[str]()
    calibration.main(directory=out)

    def hear(done: int, total: int, text: str) -> None:
        told.append(text.split(":")[0])

    data = folder_with(tmp_path / "data", BARE_100)
    calibration.main(directory=out, resume=True, progress=hear, experiment=data)
    assert {"start 1", "start 2"} <= set(told)


def test_a_number_after_the_last_cycle_of_a_scenario_is_named(tmp_path: Path, world: World) -> None:
    data = folder_with(tmp_path / "data", "bare,discharge_capacity,300,9,mAh g-1,own notes")
    with pytest.raises(InputError, match=r"bare discharge_capacity 300 is after the last cycle \(200\)"):
        calibration.main(directory=tmp_path / "out", experiment=data)
    assert not world.asked


# Targets and trends


def test_a_number_said_of_both_cells_is_that_of_the_upper_one() -> None:
    late = ("mean_coulombic_efficiency", 38)
    found = {
        cells: [(t.cell, t.minus, t.value) for t in observations.targets(cells) if (t.observable, t.cycle) == late]
        for cells in (("bare", "coated"), ("bare",), ("coated",))
    }
    assert found == {
        ("bare", "coated"): [("coated", "", 99.5), ("coated", "bare", 0.5)],
        ("bare",): [("bare", "", 99.0)],
        ("coated",): [("coated", "", 99.5)],
    }


def test_every_trend_of_the_paper_is_judged_or_built_in() -> None:
    known = criteria.load()
    assert observations.trends().keys() == known.trends.keys() | known.built_in.keys()


def test_the_report_quotes_statement_and_place_of_a_trend(stored: Path) -> None:
    report = report_on(stored)
    (t8,) = [t for t in report["trends"] if t["id"] == "T8"]
    assert t8["statement"].startswith("uncycled: S(ox)")
    assert (t8["method"], t8["place"], t8["source"]) == ("XPS", "Fig. 4A", "XPS, Fig. 4A")


def test_a_trend_that_no_criterion_is_for_is_shown_and_one_that_was_not_measured_refused(
    tmp_path: Path, stored: Path
) -> None:
    with data_folder(folder_with(tmp_path / "more", "T14,something grows,SEM,own notes", name=observations.TREND_FILE)):
        report = report_on(stored)
    (t14,) = [t for t in report["trends"] if t["id"] == "T14"]
    assert (t14["holds"], t14["meaning"], t14["source"]) == (None, "something grows", "SEM, own notes")
    (tmp_path / "less").mkdir()
    (tmp_path / "less" / observations.TREND_FILE).write_text("id,statement,method,where\nT1,x,y,z\n")
    with data_folder(tmp_path / "less"), pytest.raises(InputError, match=r"no trend T2, T3"):
        report_on(stored)


def test_a_limit_is_read_by_calibration_and_validation_from_the_same_place(tmp_path: Path, world: World) -> None:
    text = data_file(criteria.FILE).read_text(encoding="utf-8")
    (tmp_path / criteria.FILE).write_text(
        text.replace("must.growth = { at_least = 1.5 }", "must.growth = { at_least = 30 }")
    )
    runs = {cell: made_up.seen(cell) for cell in ("bare", "coated")}
    assert misfit.trend_ratios(runs)["T5"] == near(3 / 1.5, rel=1e-12)
    with data_folder(tmp_path):
        assert misfit.trend_ratios(runs)["T5"] == near(3 / 30, rel=1e-12)
        assert criteria.load().trends["T5"].must["growth"].at_least == 30
        assert misfit.penalties(runs).any()


# Observables


def test_a_users_observable_serves_data_and_criteria(tmp_path: Path) -> None:
    try:
        observable("film_decades", "1", "log of the film resistance")(
            lambda ds, cycle: math.log10(float(ds["film_resistance"].sel(cycle=cycle)))
        )
        with data_folder(folder_with(tmp_path / "data", "bare,film_decades,50,-2,1,own notes,0.3")):
            assert observations.targets(("bare",))[-1].observable == "film_decades"
            assert ("film_decades", 50) in observations.readings()["bare"]
        assert comparisons.parse("bare film_decades 200 - bare film_decades 1").value(
            lambda cell, name, cycle: float(cycle)
        ) == near(199.0, rel=1e-15)
        with pytest.raises(ValueError, match="an observable 'film_decades' already"):
            observable("film_decades", "1", "again")(lambda ds, cycle: 0.0)
    finally:
        OBSERVABLES.pop("film_decades", None)


@pytest.mark.parametrize("name", sorted(OBSERVABLES))
def test_every_observable_reads_a_result_and_says_what_it_is(name: str) -> None:
    known = OBSERVABLES[name]
    assert known.unit
    assert known.meaning
    assert math.isfinite(known.read(synthetic.result("coated"), 38))
    assert math.isnan(known.read(synthetic.result("coated", cycles=20), 38))


# What cannot be used


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (BARE_100.replace("55", "many"), "line 14: could not convert string to float: 'many'"),
        (BARE_100.replace("55", "nan"), "line 14: nan is no measured value"),
        (BARE_100.replace("100", "0"), "line 14: cycles count from 1"),
        (BARE_100.replace("discharge", "dischrge"), "no observable 'dischrge_capacity'; did you mean 'discharge_"),
        (BARE_100.replace("mAh g-1", "Ah"), "line 14: discharge_capacity is in mAh g-1, not Ah"),
        (BARE_100.replace("100", "50"), "line 14: a second bare discharge_capacity 50"),
        (f"{BARE_100},-1", "line 14: an uncertainty is positive"),
        (f"{BARE_100},,capacity", "line 14: there is no criterion 'capacity' with a must"),
        (f"{BARE_100},,,fit", "line 14: use is anchor, hold_out or empty, not 'fit'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: str, told: str, tmp_path: Path) -> None:
    data = folder_with(tmp_path / "data", row)
    with data_folder(data), pytest.raises(InputError, match=re.escape(told)) as error:
        observations.load()
    assert str(data) in str(error.value)


def test_two_anchors_or_none_are_refused(tmp_path: Path) -> None:
    with (
        data_folder(folder_with(tmp_path / "data", f"{COATED_100},,,anchor")),
        pytest.raises(InputError, match="one discharge capacity of the coated cell must have use = anchor"),
    ):
        observations.anchor()


def test_a_missing_folder_or_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"), data_folder(tmp_path / "nowhere"):
        pass
    (tmp_path / observations.CAPACITY_FILE).write_text("cell,quantity,cycle\n")
    with data_folder(tmp_path), pytest.raises(InputError, match="lacks the columns value, unit, paper_location"):
        observations.load()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bare sulfate", "is not cell, observable and cycle"),
        ("bare sulfate 0 * coated sulfate 0", "is not cell, observable and cycle"),
        ("bare sulphate 0", "no observable 'sulphate'; did you mean 'sulfate'?"),
        ("bare sulfate late", "'late' is no cycle number"),
    ],
)
def test_a_comparison_that_cannot_be_read_is_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        comparisons.parse(text)
    toml = data_file(criteria.FILE).read_text(encoding="utf-8")
    (tmp_path / criteria.FILE).write_text(toml.replace("bare sulfate 0 / coated sulfate 0", text))
    with data_folder(tmp_path), pytest.raises(InputError, match=re.escape(told)) as error:
        criteria.load()
    assert f"{tmp_path / criteria.FILE}: trends.T1: " in str(error.value)


def test_a_data_folder_holds_until_its_context_ends(tmp_path: Path) -> None:
    shutil.copy(data_file(criteria.FILE), tmp_path)
    with data_folder(tmp_path):
        assert data_file(criteria.FILE).parent == tmp_path
        assert data_file(observations.TREND_FILE).parent != tmp_path
        with data_folder(None):
            assert data_file(criteria.FILE).parent == tmp_path
    assert data_file(criteria.FILE).parent != tmp_path
