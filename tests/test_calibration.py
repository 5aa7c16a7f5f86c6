"""The calibration's machinery on made-up cells: unknowns, residuals, search, and the files it writes."""

import json
import math
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closeness import near

from interphase_sim import calibration
from interphase_sim.calibration import FREE, LIFE, Array, Fit, Observation
from interphase_sim.errors import InputError, SolverFailure
from interphase_sim.resources import shipped
from interphase_sim.scenario import load_scenario

Task = tuple[tuple[float, ...], bool]
LOW, HIGH = np.array([f.bounds for f in FREE]).T
CENTRE = np.array([f.to_search(f.centre) for f in FREE])
MEASURED = {
    "bare": {("charge_capacity", 1): 188.0, ("discharge_capacity", 1): 161.0}
    | {("discharge_capacity", 50): 86.0, ("discharge_capacity", LIFE): 22.0},
    "coated": {("charge_capacity", 1): 200.0, ("discharge_capacity", 1): 180.0}
    | {("discharge_capacity", 50): 153.0, ("discharge_capacity", LIFE): 82.0},
}
# Every trend holds with a margin above 3 %.
OXIDES = {"bare": {0: 2.0, 1: 2.5, 5: 3.0, LIFE: 6.0}, "coated": {0: 1.0, 1: 1.5, 5: 1.8, LIFE: 3.0}}
SULFUR = {"bare": {0: 2.0, 1: 2.5, 5: 3.5, LIFE: 4.0}, "coated": {0: 1.0, 1: 2.0, 5: 3.5, LIFE: 4.0}}


def seen(name: str, **changes: Any) -> Observation:
    """A cell as measured, with every trend and the layer as they should be; and changes."""
    efficiency = {"bare": 99.0, "coated": 99.5}[name]
    found = Observation(MEASURED[name], efficiency, OXIDES[name], OXIDES[name], SULFUR[name], 0.5, 10e-9)
    return replace(found, **changes)


def fit_rows(bare: Observation, coated: Observation) -> Array:
    """Residuals without the first-cycle efficiencies and the gap, which have a test of their own."""
    return calibration.residuals(bare, coated)[:20]


def inline(function: Callable[[Any], Array], tasks: list[Any]) -> Iterable[Array]:
    return [function(task) for task in tasks]


# Unknowns


@pytest.mark.parametrize("f", FREE, ids=lambda f: f.key)
def test_an_unknown_stands_for_its_value(f: calibration.Free) -> None:
    inside = 0.5 * (f.low + f.high)
    for value in (f.low, f.centre, inside, f.high):
        assert f.from_search(f.to_search(value)) == near(value, rel=1e-12)
    low, high = f.bounds
    assert low < f.to_search(f.centre) < high
    assert sorted((f.from_search(low), f.from_search(high))) == near((f.low, f.high), rel=1e-12)


def test_unknowns_by_hand() -> None:
    by_key = {f.key: f for f in FREE}
    assert by_key["kinetics.contact.duration"].to_search(3600.0) == near(math.log(3600), rel=1e-15)
    assert by_key["coating.coverage"].to_search(0.9) == near(-math.log(10), rel=1e-12)
    assert by_key["cell.utilisation"].to_search(0.97) == near(9.7, rel=1e-12)


def test_every_free_number_is_one_of_the_shipped_scenario_and_within_its_bounds() -> None:
    point = calibration.shipped_point()
    assert np.all((point >= LOW - 1e-9) & (point <= HIGH + 1e-9))  # files keep four digits
    for key, value in calibration.values_at(point).items():
        part: Any = load_scenario("coated")
        for name in key.split("."):
            part = getattr(part, name)
        assert value == near(part.si, rel=1e-12), key


def test_prior_draws_are_reproducible_and_within_bounds() -> None:
    draws = calibration.prior_draws(50)
    np.testing.assert_array_equal(draws, calibration.prior_draws(50))
    np.testing.assert_array_equal(draws[:3], calibration.prior_draws(3))
    assert np.all((draws >= LOW) & (draws <= HIGH))
    assert np.all(np.std(draws, axis=0) > 0)
    assert len({tuple(draw) for draw in draws}) == 50


# Residuals


def test_cells_as_measured_leave_no_residual() -> None:
    found = fit_rows(seen("bare"), seen("coated"))
    assert found.shape == (20,)  # eight capacities, two efficiencies, eight trends, two bounds of the layer
    assert not found[:8].any()
    np.testing.assert_allclose(found[8:], 0.0, atol=1e-12)


@pytest.mark.parametrize("cell", ["bare", "coated"])
@pytest.mark.parametrize("which", MEASURED["bare"], ids=lambda which: f"{which[0]} {which[1]}")
def test_a_capacity_that_is_off_costs_its_square(cell: str, which: tuple[str, int]) -> None:
    cells = {name: seen(name) for name in MEASURED}
    costs = []
    for off in (0.0, 2.5, 5.0, -5.0):  # mAh/g; the error is 2.5
        moved = {**MEASURED[cell], which: MEASURED[cell][which] + off}
        r = fit_rows(**{**cells, cell: replace(cells[cell], capacities=moved)})
        costs.append(float(r @ r))
    assert costs == pytest.approx([0.0, 1.0, 4.0, 4.0], abs=1e-12)


def test_first_cycle_efficiencies_count_in_points_and_a_small_gap_is_penalised() -> None:
    bare, coated = seen("bare"), seen("coated")
    rest = calibration.residuals(bare, coated)[20:]
    assert rest[:2] * calibration.FIRST_ERROR == pytest.approx(
        [100 * 161 / 188 - 86, 100 * 180 / 200 - 90], abs=1e-9
    )  # round-off
    assert rest[2] == 0.0
    close = calibration.residuals(bare, replace(coated, efficiency=bare.efficiency + 0.1))
    assert close[22] == pytest.approx(8 * 0.13 / 0.23, rel=1e-9)  # round-off


def test_late_efficiencies_that_are_off_cost_their_square() -> None:
    r = fit_rows(seen("bare"), seen("coated", efficiency=99.7))
    assert r[8:10] == pytest.approx([2.0, 2.0], abs=1e-9)  # 0.2 points off 99.5 and off a difference of 0.5


TRENDS: dict[int, tuple[str, dict[str, Any]]] = {
    1: ("bare", {"phosphate": {**OXIDES["bare"], 0: 1.1}}),
    2: ("coated", {"sulfate": {**OXIDES["coated"], 1: 1.0}}),
    3: ("coated", {"phosphate": {**OXIDES["coated"], 1: 2.5}}),
    4: ("bare", {"sulfate": {**OXIDES["bare"], LIFE: 3.3}}),
    5: ("bare", {"phosphate": {**OXIDES["bare"], 0: 5.0}}),
    6: ("bare", {"sulfur_elsewhere": 0.1}),
    7: ("coated", {"sulfur": {**SULFUR["coated"], 5: 2.0}}),
    8: ("bare", {"sulfur": {**SULFUR["bare"], 0: 0.9}}),
}


@pytest.mark.parametrize("number", TRENDS)
def test_a_violated_trend_costs_and_no_other_does(number: int) -> None:
    cell, changes = TRENDS[number]
    cells = {name: seen(name) for name in MEASURED} | {cell: seen(cell, **changes)}
    ratios = calibration.trend_ratios(**cells)
    r = fit_rows(**cells)
    assert [k for k, ratio in enumerate(ratios, 1) if ratio < 1] == [number]
    assert r[10 + number - 1] == near(8.0 * (math.log(1.03) - math.log(ratios[number - 1])), rel=1e-12)
    assert np.count_nonzero(r[10:]) == 1


@pytest.mark.parametrize(("layer", "expected"), [(1e-9, (math.log(3), 0)), (120e-9, (0, math.log(2)))])
def test_a_layer_out_of_bounds_costs(layer: float, expected: tuple[float, float]) -> None:
    r = fit_rows(seen("bare", layer=layer), seen("coated"))
    assert r[18:] == pytest.approx([4 * e for e in expected], abs=1e-12)


# A point of the search


def test_priors_are_added_half_a_spread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, float], bool]] = []

    def observe(name: str, changes: dict[str, float], coarse: bool) -> Observation:
        asked.append((name, changes, coarse))
        return seen(name)

    monkeypatch.setattr(calibration, "observe", observe)
    spread = np.array([f.spread or 1.0 for f in FREE])
    r = calibration.evaluate((tuple(CENTRE + spread), True))
    assert r[23:] == pytest.approx([0.5 if f.spread else 0.0 for f in FREE], abs=1e-12)
    np.testing.assert_allclose(r[:20], 0.0, atol=1e-12)
    assert [(name, coarse) for name, _, coarse in asked] == [("bare", True), ("coated", True)]
    assert asked[0][1] == calibration.values_at(CENTRE + spread)


def test_a_failed_simulation_counts_as_far_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(*_: Any) -> Observation:
        raise SolverFailure("no way on")

    monkeypatch.setattr(calibration, "observe", observe)
    r = calibration.evaluate((tuple(CENTRE), False))
    assert r.tolist() == [10.0] * 23 + [0.0] * len(FREE)


# The search


def bowl(target: Array, asked: list[Array] | None = None) -> Callable[[Task], Array]:
    """29 residuals that are all zero at the target only, and curved."""
    mix = np.random.default_rng(7).standard_normal((20, len(FREE)))

    def evaluate(task: Task) -> Array:
        z = np.array(task[0])
        if asked is not None:
            asked.append(z)
        off = z - target
        return np.asarray(np.r_[mix @ (off + 0.05 * off**2), off])

    return evaluate


def test_the_search_finds_the_bottom_of_a_bowl_and_stays_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Array] = []
    monkeypatch.setattr(calibration, "evaluate", bowl(CENTRE, asked))
    told: list[str] = []
    start = CENTRE + np.where(np.arange(len(FREE)) % 2, 0.7, -0.7)
    fit = calibration.minimise(start, True, 30, inline, told.append)
    np.testing.assert_allclose(fit.z, CENTRE, atol=1e-3)
    assert fit.cost < 1e-5
    assert fit.jacobian.shape == (29, len(FREE))
    costs = [float(text.split()[-1]) for text in told]
    assert costs == sorted(costs, reverse=True)
    assert np.all((np.array(asked) >= LOW - 1e-12) & (np.array(asked) <= HIGH + 1e-12))


def test_the_search_stops_at_a_bound_that_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    last = len(FREE) - 2
    assert FREE[last].key == "cell.utilisation"
    beyond = CENTRE.copy()
    beyond[last] = HIGH[last] + 0.5
    monkeypatch.setattr(calibration, "evaluate", lambda task: np.array(task[0]) - beyond)
    fit = calibration.minimise(CENTRE, True, 30, inline, lambda text: None)
    assert fit.z[last] == HIGH[last]
    assert fit.cost == near(0.25, rel=1e-3)


def test_uncertainty_is_that_of_the_normal_matrix() -> None:
    jacobian = np.diag(np.arange(1.0, 10.0))
    found = calibration.uncertainty(Fit(CENTRE, np.zeros(9), jacobian))
    assert found == near(1 / np.arange(1.0, 10.0), rel=1e-12)


# Files


def test_only_the_line_asked_for_is_written_anew() -> None:
    text = shipped("scenarios/kinetics.toml").read_text(encoding="utf-8")
    found = calibration.replaced(text, "lithium", "diffusivity", {"value": "1e-15 m2/s", "kind": "fitted"})
    old, new = text.splitlines(), found.splitlines()
    (changed,) = [k for k, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
    assert new[changed] == 'diffusivity = { value = "1e-15 m2/s", kind = "fitted" }'
    assert old[changed].startswith("diffusivity =")
    assert max(k for k, line in enumerate(new[:changed]) if line.startswith("[")) == new.index("[lithium]")
    assert found.endswith("\n")


def test_a_key_that_is_not_there_is_no_quiet_success() -> None:
    with pytest.raises(ValueError, match="no exchange in section 'lithium'"):
        calibration.replaced("[oxygen]\nexchange = 1\n[lithium]\n", "lithium", "exchange", {"value": 1})


@pytest.mark.parametrize("f", FREE, ids=lambda f: f.key)
def test_a_fitted_number_loads_as_it_was_found(f: calibration.Free) -> None:
    scenario = load_scenario("coated")
    z, s = f.to_search(f.centre), 0.01
    table = tomllib.loads(calibration.replaced("[x]\nkey = 1\n", "x", "key", calibration.fitted(f, z, s, scenario)))
    part: Any = scenario.replace({f.key: table["x"]["key"]})
    for name in f.key.split("."):
        part = getattr(part, name)
    assert part.kind == "fitted"
    assert part.si == near(f.centre, rel=1e-3)  # four digits are written
    widths = {"log": f.centre, "gap": 1 - f.centre, "linear": 0.1}
    assert part.uncertainty == near(math.expm1(s) * widths[f.scale] if f.scale != "linear" else 1e-3, rel=1e-3)


class Inline:
    """A pool that works in this process."""

    def __init__(self, workers: int | None) -> None:
        self.map = inline

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> Array:
    """The target of a bowl that stands for the simulations."""
    target = np.clip(calibration.shipped_point() + 0.1, LOW + 0.05, HIGH - 0.05)
    monkeypatch.setattr(calibration, "evaluate", bowl(target))
    monkeypatch.setattr(calibration, "ProcessPoolExecutor", Inline)
    return target


def test_a_calibration_writes_scenarios_that_load_with_the_numbers_found(tmp_path: Path, cheap: Array) -> None:
    told: list[str] = []
    code = calibration.main(directory=tmp_path, progress=lambda done, total, text: told.append(text))
    assert code == 0
    assert told[0].startswith("start 1, iteration 1: cost ")
    report = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))
    assert len(report["starts"]) == 4
    assert len(report["capacity_errors_mAh_g"]) == 8
    scenario = load_scenario(tmp_path / "coated.toml")
    for f, z in zip(FREE, cheap, strict=True):
        part: Any = scenario
        for name in f.key.split("."):
            part = getattr(part, name)
        assert part.kind == "fitted", f.key
        assert part.si == near(report["values"][f.key], rel=1e-3)  # four digits are written
        assert f.to_search(report["values"][f.key]) == pytest.approx(z, abs=1e-2)


def test_a_resumed_calibration_searches_only_what_is_left(tmp_path: Path, cheap: Array) -> None:
    calibration.main(directory=tmp_path)
    (tmp_path / "start_2.json").unlink()
    told: list[str] = []
    calibration.main(directory=tmp_path, resume=True, progress=lambda done, total, text: told.append(text))
    assert {text.split(",")[0] for text in told if text.startswith("start")} == {"start 3"}


@pytest.mark.parametrize(("reachable", "code"), [(True, 0), (False, 1)])
def test_a_check_fails_when_the_shipped_cost_is_not_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reachable: bool, code: int
) -> None:
    point = calibration.shipped_point()
    found = bowl(point)

    def evaluate(task: Task) -> Array:
        at_home = np.allclose(task[0], point)
        return np.asarray(np.r_[found(task), 0.0 if at_home and not reachable else 1.0])

    monkeypatch.setattr(calibration, "evaluate", evaluate)
    monkeypatch.setattr(calibration, "ProcessPoolExecutor", Inline)
    assert calibration.main(check=True, directory=tmp_path) == code
    assert "shipped cost" in capsys.readouterr().out
    assert not (tmp_path / "calibration.json").exists()


@pytest.mark.parametrize("asked", [{"data": "bare"}, {"variants": True}], ids=str)
def test_what_is_not_part_of_this_version_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="--data bare and --variants are not part of this version") as error:
        calibration.main(directory=tmp_path, **asked)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
