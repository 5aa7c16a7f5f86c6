"""Variants compared and the coated cell predicted, on made-up cells: draws, coverage, rivals, and the files written."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import made_up
import numpy as np
import pytest
import synthetic
from closeness import near
from made_up import CAPACITIES, MEASURED, World, centre, silent

from interphase_sim import calibration
from interphase_sim.calibration import SHIPPED, files, misfit, prediction, search, unknowns, variants
from interphase_sim.calibration.prediction import Draw
from interphase_sim.calibration.search import Fit, Problem, Simulator
from interphase_sim.calibration.unknowns import Array, Free, parameter, values_at
from interphase_sim.errors import SolverFailure
from interphase_sim.experiment import criteria, observations, study
from interphase_sim.experiment.criteria import Limits
from interphase_sim.experiment.judge import judge
from interphase_sim.experiment.observables import LAST as LIFE
from interphase_sim.experiment.observations import Key
from interphase_sim.experiment.table import print_table
from interphase_sim.resources import shipped
from interphase_sim.scenario import load_scenario, with_units

Table = dict[str, Any]
FEW = (unknowns.EXCHANGE, unknowns.HINDRANCE, unknowns.COVERAGE)
LOSSES = "kinetics.losses."
FIRST = ("coated", "discharge_capacity", 1)
PREDICTED = (
    ("coated", "charge_capacity", 1),
    ("coated", "discharge_capacity", 50),
    ("coated", "discharge_capacity", 200),
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return made_up.world(monkeypatch)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# Variants


def test_one_variant_is_shipped_and_it_is_what_the_scenarios_say() -> None:
    (own,) = (v for v in variants.variants(SHIPPED.free) if v.shipped)
    assert own.free == SHIPPED.free
    for name in MEASURED:
        scenario = load_scenario(name)
        assert scenario.replace(dict(own.problem.fixed)) == scenario


def test_every_variant_is_another_model_that_a_scenario_takes() -> None:
    table = variants.variants(SHIPPED.free)
    models = [load_scenario("bare").replace(dict(v.problem.fixed)).kinetics.losses for v in table]
    assert all(a != b for k, a in enumerate(models) for b in models[:k])
    assert len({v.name for v in table}) == len(table)
    assert all(losses.film and losses.rock_salt and losses.electrolyte_oxidation for losses in models)
    for v, losses in zip(table, models, strict=True):
        # A number is fitted only where it acts.
        assert unknowns.CONTACT_LENGTH not in v.free or losses.slow_lithiation or losses.isolation, v.name
        assert unknowns.THRESHOLD not in v.free or losses.isolation, v.name
        assert set(v.free) <= {*SHIPPED.free, unknowns.THRESHOLD}
        assert v.problem.cells == ("bare", "coated")
        assert v.choices >= 1


@pytest.mark.parametrize("key", CAPACITIES, ids=lambda key: " ".join(map(str, key)))
def test_a_capacity_left_out_is_predicted_by_the_others(world: World, key: Key) -> None:
    """All capacities but one agree, so a fit to these finds them all, and errs by what the odd one is off."""
    world.outliers = {key: 9.0}
    problem, simulator = Problem(FEW), made_up.simulator()
    fit = search.minimise(problem, centre(FEW) + 0.3, simulator, 8, silent)
    together = simulator.runs(problem, fit.z)
    assert together is not None
    missed = variants.left_out_errors(problem, fit, simulator, silent)
    assert list(missed) == list(CAPACITIES)
    assert missed[key] == pytest.approx(9.0, abs=0.1)
    assert abs(misfit.capacity_errors(together)[key] - 9.0) > 0.3


def test_leaving_out_starts_from_the_fit_and_says_which(world: World) -> None:
    told: list[str] = []
    world.outliers = {("bare", "discharge_capacity", 50): 4.0}
    problem, simulator = Problem(FEW), made_up.simulator()
    fit = search.minimise(problem, centre(FEW) + 0.3, simulator, 8, silent)
    world.asked.clear()
    variants.left_out_errors(problem, fit, simulator, told.append)
    simulations = len(world.asked)
    first = {text.split(":")[0]: text for text in reversed(told)}
    for key, text in zip(CAPACITIES, reversed(first.values()), strict=True):
        (r,) = made_up.simulator().residuals(problem.without(key), [fit.z])
        assert text == f"without {' '.join(map(str, key))}: cost {r @ r:.3f}"
    # The simulations of the Jacobian are known already: there are only those of the steps.
    assert simulations <= 2 * len(told) <= 2 * len(CAPACITIES) * variants.REFIT


def test_the_better_of_two_searches_is_taken(world: World) -> None:
    """What starts at the shipped numbers cannot be simulated at first, or what starts elsewhere."""
    home = load_scenario("coated").kinetics.oxygen.exchange.si
    for fails in (lambda value: abs(value / home - 1) < 0.5, lambda value: abs(value / home - 1) >= 0.5):
        world.fails = lambda name, changes, fails=fails: fails(changes["kinetics.oxygen.exchange"])  # type: ignore[misc]
        free = (unknowns.EXCHANGE._replace(centre=100 * home), unknowns.UTILISATION)
        assert variants.best_fit(variants.Variant("x", {}, free, 0), made_up.simulator(), silent).cost < search.FAR**2


def test_a_variant_may_start_from_numbers_of_its_own(world: World) -> None:
    free = (unknowns.CONTACT_LENGTH, unknowns.HINDRANCE)
    own = variants.Variant("x", {}, free, 0, start={unknowns.CONTACT_LENGTH.key: "15 nm"})
    variants.best_fit(own, made_up.simulator(), silent)
    shipped_numbers = load_scenario("coated")
    expected = {f.key: near(parameter(shipped_numbers, f.key).si, rel=1e-9) for f in free}
    assert world.asked[0][1] == expected | {unknowns.CONTACT_LENGTH.key: near(15e-9, rel=1e-9)}


class Compared(NamedTuple):
    """Variants compared where slow lithiation by its law of length takes what is measured."""

    world: World
    directory: Path
    rows: list[Table]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    directory = tmp_path_factory.mktemp("variants")
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = made_up.world(monkeypatch)
        made.effects = {(f"{LOSSES}slow_lithiation", False): 12.0, (f"{LOSSES}lithiation_law", "shift"): 7.0}
        made.outliers = {("bare", "discharge_capacity", 50): 3.0}
        assert calibration.main(variants=True, directory=directory) == 0
    return Compared(made, directory, read(directory / "variants.json"))


def test_variants_are_judged_alike_and_the_right_one_wins(compared: Compared) -> None:
    rows, table = compared.rows, variants.variants(SHIPPED.free)
    assert [row["variant"] for row in rows[:-1]] == [v.name for v in table]
    own = next(row for row in rows if row.get("role") == "shipped")
    others = [row for row in rows[:-1] if row["variant"] not in (own["variant"], "all")]
    for key in ("rms", "cost", "leave_one_out", "leave_one_out_discharges"):
        assert own[key] < min(row[key] for row in others)
    for row, v in zip(rows, table, strict=False):
        assert (row["fitted"], row["free"]) == (len(v.free), len(v.free) + v.choices)
        assert row["values"].keys() == {f.key for f in v.free}
        cells = [compared.world.capacities(cell, {**dict(v.problem.fixed), **row["values"]}) for cell in MEASURED]
        errors = np.concatenate(cells) - list(CAPACITIES.values())
        assert row["rms"] == near(math.sqrt(np.mean(errors**2)), rel=1e-9)
        assert list(row["left_out_errors"]) == [" ".join(map(str, key)) for key in CAPACITIES]
        missed = np.array(list(row["left_out_errors"].values()))
        assert row["leave_one_out"] == near(math.sqrt(np.mean(missed**2)), rel=1e-12)
        later = np.array([error for name, error in row["left_out_errors"].items() if "discharge" in name])
        assert later.size == 6
        assert row["leave_one_out_discharges"] == near(math.sqrt(np.mean(later**2)), rel=1e-12)
        assert (row["ce_bare"], row["ce_coated"]) == (99.0, 99.5)
        assert (row["trends_failed"], row["bounds_hold"]) == ([], True)


def test_a_variant_names_the_trends_and_bounds_it_fails(world: World) -> None:
    oxide = {0: 3.0, 1: 4.0, 5: 5.0, LIFE: 9.0}
    world.shown = {"bare": {"sulfur_elsewhere": 0.1, "layer": 61.0}, "coated": {"sulfate": oxide, "isolated": 0.3}}
    (own,) = (v for v in variants.variants(FEW) if v.shipped)
    fit = Fit(centre(FEW), np.zeros(1), np.zeros((1, 3)))
    missed = dict.fromkeys(CAPACITIES, 0.0) | {FIRST: -3.0, PREDICTED[1]: 4.0, PREDICTED[0]: 10.0}
    row = variants._judged(own, fit, missed, made_up.simulator())
    assert row["trends_failed"] == ["T1", "T4", "T6", "T13"]
    assert row["bounds_hold"] is False
    assert row["leave_one_out"] == near(math.sqrt(125 / 8), rel=1e-12)
    assert row["leave_one_out_discharges"] == near(math.sqrt(25 / 6), rel=1e-12)  # a charge is none
    world.shown = {"bare": {"layer": 2.0}}
    assert variants._judged(own, fit, missed, made_up.simulator())["bounds_hold"] is False


@pytest.mark.parametrize(("key", "discharges"), [(FIRST, None), (PREDICTED[0], 1.0)], ids=["discharge", "charge"])
def test_a_fit_without_one_capacity_that_fails_does_not_lose_the_row(
    monkeypatch: pytest.MonkeyPatch, world: World, key: Key, discharges: float | None
) -> None:
    left_out = variants.left_out_errors
    (own,) = (v for v in variants.variants(FEW) if v.shipped)
    fit = Fit(centre(FEW), np.zeros(1), np.zeros((1, 3)))

    def minimise(problem: Problem, *rest: Any, **options: Any) -> Fit:
        moved = np.ones(3) if problem.left_out == key else np.zeros(3)
        return fit._replace(z=centre(FEW) + 0.1 * moved)

    monkeypatch.setattr(variants, "minimise", minimise)
    nowhere = values_at(FEW, centre(FEW) + 0.1)[FEW[0].key]
    world.fails = lambda name, changes: abs(changes[FEW[0].key] / nowhere - 1) < 1e-9
    world.outliers = dict.fromkeys(CAPACITIES, 1.0)
    simulator = made_up.simulator()
    missed = left_out(own.problem, fit, simulator, silent)
    assert missed[key] == math.inf
    row = variants._judged(own, fit, missed, simulator)
    json.dumps(row, allow_nan=False)
    assert row["leave_one_out"] is None
    assert row["leave_one_out_discharges"] == (discharges and near(discharges, rel=1e-9))
    assert [name for name, error in row["left_out_errors"].items() if error is None] == [" ".join(map(str, key))]


def test_a_variant_without_one_simulation_is_a_solver_failure(world: World, tmp_path: Path) -> None:
    world.fails = lambda name, changes: changes[f"{LOSSES}isolation"]
    with pytest.raises(SolverFailure, match="no start of 'film \\+ isolation' could be simulated"):
        calibration.main(variants=True, directory=tmp_path)
    done = {path.name for path in tmp_path.iterdir()}  # for --resume
    assert len(done) == 3
    assert not any("isolation" in name for name in done)


def test_validate_reads_the_variants(compared: Compared) -> None:
    known = study.Study(variants=compared.rows)
    own, law = (next(row for row in compared.rows if row.get("role") == role) for role in ("shipped", "empirical"))
    assert known.variant("shipped", "leave_one_out") == own["leave_one_out"]
    assert known.variant("shipped", "free") == own["free"] > len(SHIPPED.free)
    assert law["leave_one_out"] is None
    found = {row["id"]: row["value"] for row in report_on(known)["criteria"]}
    assert found["leave_one_out"] == own["leave_one_out"]
    discharges = own["leave_one_out_discharges"] / law["leave_one_out_discharges"]
    assert found["empirical_law"] == near(discharges, rel=1e-12)


def test_the_printed_variants_are_a_table(compared: Compared, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(report_on(study.Study(variants=compared.rows)))
    told = capsys.readouterr().out
    lines = told[told.index("Variants of the loss channels") :].splitlines()
    for row in compared.rows:
        name = row["variant"] + (" (shipped)" if row.get("role") == "shipped" else "")
        assert len([line for line in lines if line.startswith(f" {name}  ")]) == 1, name
    assert max(map(len, lines[: len(compared.rows) + 3])) <= 120
    assert "kinetics" not in "".join(lines[: len(compared.rows) + 3])


def report_on(known: study.Study) -> Table:
    """The report on made-up results of both cells beside a study."""
    cells = [synthetic.result(name, scenario=load_scenario(name).to_toml()) for name in MEASURED]
    walls = dict.fromkeys(("setup", *MEASURED))
    found = judge(cells[0], cells[1], criteria.load(), walls, known)
    json.dumps(found, allow_nan=False)
    return found


def test_variants_are_compared_with_coarse_runs_of_their_own_switches(compared: Compared) -> None:
    assert all(coarse for *_, coarse in compared.world.asked)
    keys = [f"{LOSSES}{name}" for name in ("slow_lithiation", "isolation")]
    asked = {tuple(changes[key] for key in keys) for _, changes, _ in compared.world.asked}
    assert asked == {(False, False), (True, False), (False, True), (True, True)}


def test_a_resumed_comparison_fits_only_what_is_left(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path, compared: Compared
) -> None:
    world.effects, world.outliers = compared.world.effects, compared.world.outliers
    kept = sorted(compared.directory.glob("variant_*.json"))
    assert len(kept) == len(compared.rows) - 1
    for path in kept:
        if "isolation" not in path.name:
            (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    told: list[str] = []
    calibration.main(
        variants=True, directory=tmp_path, resume=True, progress=lambda done, total, text: told.append(text)
    )
    assert {text.split(":")[0] for text in told} == {"film + isolation"}
    assert {changes[f"{LOSSES}slow_lithiation"] for _, changes, _ in world.asked} == {False}
    assert read(tmp_path / "variants.json") == compared.rows


# The empirical law


def test_the_fade_law_by_hand() -> None:
    found = variants.fade_law(np.log([160.0, 200.0, 50.0, 200.0]))
    assert list(found) == [key for key in CAPACITIES if key[1] == "discharge_capacity"]
    assert found["bare", "discharge_capacity", 50] == near(160 / math.e, rel=1e-12)
    assert found["bare", "discharge_capacity", 200] == near(160 * math.exp(-4), rel=1e-12)
    assert found["coated", "discharge_capacity", 50] == near(200 * math.exp(-0.25), rel=1e-12)
    assert found["coated", "discharge_capacity", 1] == near(200 * math.exp(-1 / 200), rel=1e-12)


def test_a_cell_that_fades_by_the_law_is_predicted_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    true = np.log([165.0, 185.0, 90.0, 240.0])
    obeying = {**CAPACITIES, **variants.fade_law(true)}
    law = {key: value for key, value in obeying.items() if key[1] == "discharge_capacity"}
    np.testing.assert_allclose(variants.fit_law(variants.fade_law, true + 0.2, law), true, rtol=1e-6)
    rows = [made_up.with_capacities(obeying.values())]
    monkeypatch.setattr(observations, "load", lambda: rows[0])
    row = variants.empirical_row()
    assert row["rms"] < 1e-4
    assert row["leave_one_out_discharges"] < 1e-4
    odd = ("coated", "discharge_capacity", 50)
    obeying[odd] += 9.0
    rows[0] = made_up.with_capacities(obeying.values())
    row = variants.empirical_row()
    assert row["left_out_errors"][" ".join(map(str, odd))] == pytest.approx(-9.0, abs=1e-3)
    assert 0.5 < row["rms"] < 9 / math.sqrt(6)
    assert row["leave_one_out_discharges"] > 9 / math.sqrt(6)
    assert row["leave_one_out"] is None  # it knows no charge


def test_the_law_is_fitted_to_the_measured_discharges_and_left_one_out() -> None:
    row, known = variants.empirical_row(), variants.discharges()
    assert (row["role"], row["fitted"], row["free"]) == ("empirical", 4, 4)
    assert len(row["left_out_errors"]) == len(known) == 6
    best = variants.fit_law(variants.fade_law, variants.LAW_START, known)

    def rms(numbers: Array) -> float:
        found = variants.fade_law(numbers)
        return math.sqrt(np.mean([(found[key] - value) ** 2 for key, value in known.items()]))

    assert row["rms"] == near(rms(best), rel=1e-6)
    assert all(rms(best + sign * 0.01 * step) > rms(best) for step in np.eye(4) for sign in (-1, 1))
    assert row["rms"] < row["leave_one_out_discharges"]
    missed = list(row["left_out_errors"].values())
    assert row["leave_one_out_discharges"] == near(math.sqrt(np.mean(np.square(missed))), rel=1e-12)


# Draws of the posterior


def unbounded(name: str, spread: float | None) -> Free:
    return Free(name, "log", 1e-30, 1e30, 1.0, spread)


class Linear(Simulator):
    """Residuals of a bare cell that are linear in the unknowns, or bent; zero at the best point but for `rest`."""

    def __init__(self, jacobian: Array, bend: float = 0.0, rest: Array | None = None) -> None:
        super().__init__(made_up.inline, coarse=True)
        self.matrix, self.bend = jacobian, bend
        self.rest = np.zeros(len(jacobian)) if rest is None else rest

    def residuals(self, problem: Problem, points: Sequence[Array]) -> list[Array]:
        assert problem.cells == ("bare",)
        z = np.array(points)
        return list((z + self.bend * z**2) @ self.matrix.T + self.rest)

    def fit(self) -> Fit:
        """The best point, the origin."""
        return Fit(np.zeros(self.matrix.shape[1]), self.rest, self.matrix)


def draws_of(monkeypatch: pytest.MonkeyPatch, model: Linear, free: Sequence[Free], count: int, seed: int = 1) -> Array:
    monkeypatch.setattr(prediction, "FREE", tuple(free))
    monkeypatch.setattr(prediction, "DRAWS", count)
    return np.array(prediction.posterior(model.fit(), model, np.random.default_rng(seed)))


PRIORS = (None, 0.2, 0.3, None, 0.15)


def bare_jacobian() -> Array:
    """Six rows of data, four of penalties of which one is at work, five of priors."""
    rng = np.random.default_rng(3)
    data, work = 3 * rng.standard_normal((6, 5)), 2 * rng.standard_normal(5)
    priors = np.diag([search.PRIOR_WEIGHT / spread if spread else 0.0 for spread in PRIORS])
    return np.array([*data, np.zeros(5), work, np.zeros(5), np.zeros(5), *priors])


def test_draws_of_a_linear_model_have_the_mean_and_covariance_of_its_posterior(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jacobian, count = bare_jacobian(), 20000
    free = [unbounded(str(k), spread) for k, spread in enumerate(PRIORS)]
    # Residuals of the best point are not zero, but orthogonal to what the unknowns can do.
    rest = np.random.default_rng(4).standard_normal(len(jacobian))
    rest -= jacobian @ np.linalg.lstsq(jacobian, rest, rcond=None)[0]
    draws = draws_of(monkeypatch, Linear(jacobian, rest=rest), free, count)
    assert draws.shape == (count, 5)
    # A penalty is a wall, not a measurement: it is not shaken.
    shaken = np.array([1.0] * 6 + [0.0] * 4 + [0.0 if spread is None else 1.0 for spread in PRIORS])
    to_unknowns = np.linalg.inv(jacobian.T @ jacobian) @ jacobian.T
    expected = to_unknowns @ np.diag(shaken) @ to_unknowns.T
    spread = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(draws.mean(axis=0) / spread, 0.0, atol=5 / math.sqrt(count))
    found = np.cov(draws.T)
    np.testing.assert_allclose(found / np.outer(spread, spread), expected / np.outer(spread, spread), atol=0.05)
    everything = np.linalg.inv(jacobian.T @ jacobian)
    assert np.abs(everything - expected).max() > 0.1 * expected.max()  # the penalty matters here


def test_draws_of_a_bent_model_descend_to_where_its_shaken_data_are_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many data as unknowns: each draw meets its data, so its residuals are the errors, with spread one."""
    count, model = 8000, Linear(np.r_[5 * np.eye(6), np.zeros((10, 6))], bend=0.35)
    free = [unbounded(str(k), None) for k in range(6)]
    monkeypatch.setattr(prediction, "DESCENTS", 12)
    draws = draws_of(monkeypatch, model, free, count)
    errors = np.array(model.residuals(prediction.BARE, list(draws)))[:, :6]
    np.testing.assert_allclose(errors.mean(axis=0), 0.0, atol=5 / math.sqrt(count))
    np.testing.assert_allclose(np.cov(errors.T), np.eye(6), atol=0.08)
    monkeypatch.setattr(prediction, "DESCENTS", 1)
    straight = draws_of(monkeypatch, model, free, count)
    bias = np.array(model.residuals(prediction.BARE, list(straight)))[:, :6].mean(axis=0)
    assert np.all(bias > 5 / math.sqrt(count))  # what the descents are for


def test_draws_stay_within_bounds_and_keep_the_best_they_met(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Linear(np.r_[0.5 * np.eye(6), np.zeros((10, 6))], bend=-2.0)  # far from linear: steps overshoot
    free = [unbounded(str(k), None)._replace(low=math.exp(-0.2), high=math.exp(1.5)) for k in range(6)]
    costs = []
    for descents in (1, 2, 3, 6):
        monkeypatch.setattr(prediction, "DESCENTS", descents)
        draws = draws_of(monkeypatch, model, free, 200)
        assert np.all((draws >= -0.2 - 1e-12) & (draws <= 1.5 + 1e-12))
        errors = np.random.default_rng(1).standard_normal((200, 16))[:, :6]
        shaken = np.array(model.residuals(prediction.BARE, list(draws)))[:, :6] + errors
        costs.append(np.sum(shaken**2, axis=1))
    assert all(np.all(more <= less + 1e-12) for less, more in pairwise(costs))
    assert np.mean(costs[-1]) < np.mean(costs[0])


def test_draws_of_a_number_that_no_datum_sees_are_as_wide_as_its_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    priors = (2.3, 1.5, 1.0)
    jacobian = np.array([*np.zeros((10, 3)), *np.diag([search.PRIOR_WEIGHT / spread for spread in priors])])
    free = [unbounded(str(k), spread) for k, spread in enumerate(priors)]
    draws = draws_of(monkeypatch, Linear(jacobian), free, 4000)
    np.testing.assert_allclose(draws.std(axis=0), [4.6, 3.0, 2.0], rtol=5 / math.sqrt(8000))


def test_the_bare_cell_is_fitted_without_the_coating() -> None:
    assert prediction.BARE.cells == ("bare",)
    assert prediction.BARE.free == prediction.FREE
    assert not any(f.key.startswith("coating.") for f in prediction.FREE)
    # What all data have settled is not taken over: it is free here too.
    assert {f.key for f in SHIPPED.free} - {f.key for f in prediction.FREE} == {"coating.coverage"}
    missing = misfit.count(prediction.BARE.cells) + len(prediction.FREE)
    known = prediction._uncertain_rows(Fit(centre(prediction.FREE), np.zeros(missing), np.zeros((1, 1))))
    assert known[:10].tolist() == [1.0] * 6 + [0.0] * 4
    assert known[10:].tolist() == [float(f.spread is not None) for f in prediction.FREE]


# The coverage that the first coated discharge asks for


def test_the_coverage_found_delivers_the_wanted_first_discharge(world: World) -> None:
    rng = np.random.default_rng(8)
    points = [centre(prediction.FREE) + 0.2 * rng.standard_normal(len(prediction.FREE)) for _ in range(20)]
    wanted = [float(q) for q in 180 + 2.5 * rng.standard_normal(20)]
    draws = prediction.exposed(points, wanted, made_up.simulator())
    low, high = unknowns.COVERAGE.bounds
    exact = 10 * (high - low) * 0.5 ** (prediction.HALVINGS + 1)  # 10 mAh/g for an e-fold
    for point, goal, draw in zip(points, wanted, draws, strict=True):
        np.testing.assert_array_equal(draw.z, point)
        assert draw.delivered == near(world.capacities("coated", draw.changes())[1], rel=1e-12)
        assert draw.delivered == pytest.approx(goal, abs=1.001 * exact)
    assert len({draw.coverage for draw in draws}) == 20
    assert {(name, changes["protocol.cycles"]) for name, changes, _ in world.asked} == {("coated", 1)}
    assert len(world.asked) <= 20 * (prediction.HALVINGS + 1)


def test_a_first_discharge_beyond_reach_takes_the_nearest_bound(world: World) -> None:
    z = centre(prediction.FREE)
    most, least = prediction.exposed([z, z], [250.0, 100.0], made_up.simulator())
    low, high = unknowns.COVERAGE.bounds
    near_it = (high - low) * 0.5**prediction.HALVINGS
    assert unknowns.COVERAGE.to_search(most.coverage) == pytest.approx(low, abs=near_it)
    assert unknowns.COVERAGE.to_search(least.coverage) == pytest.approx(high, abs=near_it)
    # What is delivered there is told, not what was wanted.
    gap = unknowns.COVERAGE.to_search(unknowns.COVERAGE.centre)
    assert most.delivered == pytest.approx(180 + 10 * (gap - low), abs=10 * near_it)
    assert least.delivered == pytest.approx(180 + 10 * (gap - high), abs=10 * near_it)


@pytest.mark.parametrize("when", range(prediction.HALVINGS + 1))
def test_a_point_that_fails_on_the_way_is_dropped_and_no_other(world: World, when: int) -> None:
    bad, good = centre(prediction.FREE) + 0.1, centre(prediction.FREE)
    tried: list[float] = []

    def fails(name: str, changes: Mapping[str, Any]) -> bool:
        if changes[prediction.FREE[0].key] == near(prediction.FREE[0].centre, rel=1e-9):
            return False
        tried.append(changes["coating.coverage"])
        return len(tried) == when + 1

    world.fails = fails
    (draw,) = prediction.exposed([bad, good], [176.0, 174.0], made_up.simulator())
    np.testing.assert_array_equal(draw.z, good)
    assert draw.delivered == pytest.approx(174.0, abs=0.05)
    assert len(tried) == when + 1  # once is enough
    assert all(math.isfinite(changes["coating.coverage"]) for _, changes, _ in world.asked)


def test_a_draw_changes_the_bare_numbers_and_the_coverage() -> None:
    draw = Draw(centre(prediction.FREE), 0.8, 175.0)
    expected = {f.key: near(f.centre, rel=1e-12) for f in prediction.FREE} | {"coating.coverage": 0.8}
    assert draw.changes() == expected
    assert draw.changes(1) == expected | {"protocol.cycles": 1}


# Predicted numbers


def draw_at(first: float) -> Draw:
    """A draw whose first coated discharge is this, 10 mAh/g for every e-fold of exposed oxide."""
    return Draw(centre(prediction.FREE), 1 - (1 - unknowns.COVERAGE.centre) * math.exp((180 - first) / 10), first)


def test_predictions_are_median_and_80_per_cent_of_the_draws(world: World) -> None:
    firsts = np.random.default_rng(2).permutation(np.linspace(175, 185, 101))
    rows = prediction.predicted_rows([draw_at(float(q)) for q in firsts], made_up.simulator())
    assert [(row["cell"], row["quantity"], row["cycle"]) for row in rows] == list(PREDICTED)
    for row, slope in zip(rows, (0.3, 2.0, 3.0), strict=True):  # of each capacity with the first discharge
        expected = CAPACITIES[row["cell"], row["quantity"], row["cycle"]]
        assert row["measured"] == expected
        assert row["simulated"] == near(expected, rel=1e-9)
        assert (row["low"], row["high"]) == near((expected - 4 * slope, expected + 4 * slope), rel=1e-9)
    assert all("protocol.cycles" not in changes for _, changes, _ in world.asked)


def test_a_draw_that_cannot_be_simulated_is_left_out(world: World) -> None:
    world.fails = lambda name, changes: changes["coating.coverage"] > 0.89
    rows = prediction.predicted_rows([draw_at(q) for q in (179.0, 180.0, 181.0, 186.0, 187.0)], made_up.simulator())
    assert rows[1]["simulated"] == near(153.0, rel=1e-9)


def test_no_draw_that_can_be_simulated_is_a_solver_failure(world: World) -> None:
    world.fails = lambda name, changes: True
    with pytest.raises(SolverFailure, match="none of the draws could be simulated to the end"):
        prediction.predicted_rows([draw_at(180.0)], made_up.simulator())


@pytest.mark.parametrize("cell", MEASURED)
def test_a_prediction_without_a_simulation_of_a_cell_is_a_solver_failure(
    tmp_path: Path, world: World, cell: str
) -> None:
    world.fails = lambda name, changes: name in (cell, "coated")
    with pytest.raises(SolverFailure, match="no draw of the posterior could be simulated") as error:
        calibration.main(data="bare", directory=tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "prediction.json").exists()
    assert not list(tmp_path.glob("*.toml"))


class Predicted(NamedTuple):
    """The coated cell predicted from the bare one, both as measured."""

    world: World
    directory: Path
    table: Table


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    directory = tmp_path_factory.mktemp("prediction")
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = made_up.world(monkeypatch)
        assert calibration.main(data="bare", directory=directory) == 0
    return Predicted(made, directory, read(directory / "prediction.json"))


def test_validate_reads_the_prediction_and_gives_a_verdict(
    monkeypatch: pytest.MonkeyPatch, predicted: Predicted
) -> None:
    monkeypatch.setattr(study, "data_file", lambda name: predicted.directory / name)
    known = study.load()
    assert [(row["cell"], row["quantity"], row["cycle"]) for row in study.rows(known)] == list(PREDICTED)
    assert all(row["low"] <= row["simulated"] <= row["high"] for row in known.prediction)
    found = study.verdict(known, Limits(at_most=500))
    assert found is not None
    assert found["verdict"] == "supported"  # made-up cells that are as measured
    assert found["rivals_mAh_g"] == predicted.table["rivals"]
    assert len(found["rivals_mAh_g"]) == 2
    assert report_on(known)["prediction"]["width_mAh_g"] == found["width_mAh_g"]
    narrow = study.verdict(known, Limits(at_most=0.5 * found["width_mAh_g"]))
    assert narrow is not None
    assert narrow["verdict"] == "not supported"


def test_a_prediction_tells_how_it_was_made(predicted: Predicted) -> None:
    assert predicted.table["draws"] == prediction.DRAWS
    coverage = predicted.table["coverage"]
    assert list(coverage) == ["low", "simulated", "high"]
    low, high = unknowns.COVERAGE.low, unknowns.COVERAGE.high
    assert low < coverage["low"] < coverage["simulated"] < coverage["high"] < high
    assert coverage["simulated"] == pytest.approx(unknowns.COVERAGE.centre, abs=0.05)
    first = predicted.table["first_discharge"]
    assert first["measured"] == 180.0
    assert first["simulated"] == pytest.approx(180.0, abs=5 * 2.5 * 1.25 / math.sqrt(prediction.DRAWS))
    assert first["low"] < 178.0 < 182.0 < first["high"]
    fit = predicted.table["fit"]
    assert fit["values"].keys() == {f.key for f in prediction.FREE} | {"coating.coverage"}
    assert fit["uncertainty"].keys() == {f.key for f in prediction.FREE}
    for f in prediction.FREE:
        assert f.to_search(fit["values"][f.key]) == pytest.approx(f.to_search(f.centre), abs=0.1)
        # Data can only add to what the prior says.
        assert 0 < fit["uncertainty"][f.key] <= (f.spread / search.PRIOR_WEIGHT if f.spread else math.inf) * 1.001
    assert fit["cost"] < 0.05


def test_the_better_of_two_searches_of_the_bare_cell_is_taken(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path
) -> None:
    found: list[Fit] = []

    def minimise(problem: Problem, start: Array, *rest: Any) -> Fit:
        fit = search.minimise(problem, start, *rest)
        if problem == prediction.BARE:
            worse = fit.z + 0.1 * (1 - len(found))  # the second is the better one
            found.append(fit._replace(z=worse, r=fit.r + 1 - len(found)))
        return found[-1] if problem == prediction.BARE else fit

    monkeypatch.setattr(prediction, "minimise", minimise)
    monkeypatch.setattr(prediction, "DRAWS", 3)
    table = prediction.predict(made_up.simulator(), tmp_path, False, silent)
    assert len(found) == 2
    assert table["fit"]["cost"] == found[1].cost < found[0].cost
    fitted = [table["fit"]["values"][f.key] for f in prediction.FREE]
    assert fitted == near([f.from_search(z) for f, z in zip(prediction.FREE, found[1].z, strict=True)], rel=1e-12)


def test_a_resumed_prediction_does_not_fit_again(tmp_path: Path, world: World, predicted: Predicted) -> None:
    kept = read(predicted.directory / "bare.json")
    files.keep(tmp_path / "bare.json", kept)
    told: list[str] = []

    def hear(done: int, total: int, text: str) -> None:
        told.append(text)

    calibration.main(data="bare", directory=tmp_path, resume=True, progress=hear)
    assert told
    assert not [text for text in told if text.startswith("bare cell:")]
    assert read(tmp_path / "prediction.json") == predicted.table
    told.clear()
    files.keep(tmp_path / "bare.json", kept | {"problem": files.named(Problem(FEW))})
    calibration.main(data="bare", directory=tmp_path, resume=True, progress=hear)
    assert [text for text in told if text.startswith("bare cell: cost ")]
    assert read(tmp_path / "bare.json") == kept


def test_a_prediction_that_is_not_resumed_fits_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World, predicted: Predicted
) -> None:
    files.keep(tmp_path / "bare.json", read(predicted.directory / "bare.json") | {"z": [0.0]})
    monkeypatch.setattr(prediction, "DRAWS", 3)
    prediction.predict(made_up.simulator(), tmp_path, False, silent)
    assert read(tmp_path / "bare.json") == read(predicted.directory / "bare.json")


def test_the_written_kinetics_are_those_of_the_bare_cell_alone(tmp_path: Path, predicted: Predicted) -> None:
    text = (predicted.directory / "kinetics_bare_only.toml").read_text(encoding="utf-8")
    tomllib.loads(text)
    (tmp_path / "kinetics_bare_only.toml").write_text(text, encoding="utf-8")
    for name in ("coated.toml", "cell_walther2021.toml"):
        around = shipped(f"scenarios/{name}").read_text(encoding="utf-8")
        (tmp_path / name).write_text(around.replace("kinetics.toml", "kinetics_bare_only.toml"), encoding="utf-8")
    loaded = load_scenario(tmp_path / "coated.toml")
    values = predicted.table["fit"]["values"]
    kinetics = [f for f in prediction.FREE if f.key.startswith("kinetics.")]
    for f in kinetics:
        own = parameter(loaded, f.key)
        assert (own.kind, own.source) == ("fitted", "interphase-sim calibrate --data bare")
        assert own.si == near(values[f.key], rel=1e-3)  # four digits are written
        assert own.uncertainty is not None
    assert text.count('kind = "fitted"') == len(kinetics)
    note = text[: text.index("\n\n")]
    assert f"cell.utilisation = {values['cell.utilisation']:.4g}" in note
    assert f"coating.coverage = {values['coating.coverage']:.4g}" in note


def test_the_best_point_has_the_coverage_of_the_measured_first_discharge(predicted: Predicted) -> None:
    low, high = unknowns.COVERAGE.bounds
    exact = 10 * (high - low) * 0.5 ** (prediction.HALVINGS + 1)
    found = predicted.world.capacities("coated", predicted.table["fit"]["values"])
    assert found[1] == pytest.approx(180.0, abs=1.001 * exact)


def test_the_wanted_first_discharge_is_as_uncertain_as_a_reading(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path
) -> None:
    count = 400
    kept: list[Draw] = []

    def keep(draws: list[Draw], simulator: Simulator) -> list[Table]:
        kept.extend(draws)
        return []

    monkeypatch.setattr(prediction, "posterior", lambda fit, simulator, rng: [fit.z] * count)
    monkeypatch.setattr(prediction, "predicted_rows", keep)
    prediction.predict(made_up.simulator(), tmp_path, False, silent)
    firsts = np.array([world.capacities("coated", draw.changes())[1] for draw in kept])
    np.testing.assert_allclose([draw.delivered for draw in kept], firsts, rtol=1e-12)
    assert firsts.size == count
    assert firsts.mean() == pytest.approx(180.0, abs=5 * 2.5 / math.sqrt(count))
    assert firsts.std() == pytest.approx(2.5, rel=5 / math.sqrt(2 * count))


def test_the_prediction_does_not_look_at_what_it_predicts(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path, predicted: Predicted
) -> None:
    known = observations.load()
    shifted = [
        row._replace(value=row.value - 11.0) if (row.cell, row.quantity, row.cycle) in PREDICTED else row
        for row in known
    ]
    monkeypatch.setattr(observations, "load", lambda: shifted)
    calibration.main(data="bare", directory=tmp_path)
    again = read(tmp_path / "prediction.json")
    for key in ("fit", "coverage", "draws"):
        assert again[key] == predicted.table[key]
    for new, old in zip(again["rows"], predicted.table["rows"], strict=True):
        assert new == old | {"measured": old["measured"] - 11.0}


def test_the_prediction_runs_the_bare_cell_and_coated_cells_of_its_draws(predicted: Predicted) -> None:
    assert all(coarse for *_, coarse in predicted.world.asked)
    coated = [changes for name, changes, _ in predicted.world.asked if name == "coated"]
    assert all({f.key for f in prediction.FREE} < changes.keys() for changes in coated)
    assert sum("protocol.cycles" not in changes for changes in coated) == prediction.DRAWS


# Rivals


def test_the_rescaled_bare_curve_passes_through_the_first_coated_discharge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "predicted", lambda: [*PREDICTED, FIRST])
    found = prediction.rescaled()
    assert found[FIRST] == near(180.0, rel=1e-9)
    assert found["coated", "charge_capacity", 1] == near(188.0, rel=1e-12)
    bare = MEASURED["bare"]["discharge_capacity", 50]
    assert bare < found["coated", "discharge_capacity", 50] < 180.0
    assert 22.0 < found["coated", "discharge_capacity", 200] < found["coated", "discharge_capacity", 50]


def test_a_straight_bare_curve_is_rescaled_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # 190 - n/2 at cycle n; the coated cell runs at six tenths of the pace
    straight = made_up.with_capacities([190, 189.5, 165, 90, 200, 189.7, 100, 50])
    monkeypatch.setattr(observations, "load", lambda: straight)
    found = prediction.rescaled()
    assert found == {
        PREDICTED[0]: near(190.0, rel=1e-9),
        PREDICTED[1]: near(190 - 0.3 * 50, rel=1e-9),
        PREDICTED[2]: near(190 - 0.3 * 200, rel=1e-9),
    }


def test_mechanical_loss_alone_ages_the_coated_cell_like_the_bare_one(world: World) -> None:
    found = prediction.mechanical(made_up.simulator(), silent)
    assert found == {
        PREDICTED[0]: pytest.approx(188.0, abs=0.05),
        PREDICTED[1]: pytest.approx(86.0, abs=0.05),
        PREDICTED[2]: pytest.approx(22.0, abs=0.05),
    }
    assert {name for name, *_ in world.asked} == {"bare"}
    losses = [load_scenario("bare").replace(with_units(changes)).kinetics.losses for _, changes, _ in world.asked[:1]]
    assert not any(own.film or own.rock_salt or own.isolation for own in losses)
    assert all(own.slow_lithiation and own.mechanical_loss.si > 0 for own in losses)
    assert all(own.contact_length.si > 1e6 * 60e-9 for own in losses)  # a layer takes no contact


def test_mechanical_loss_is_fitted_to_the_bare_cell(world: World) -> None:
    world.truth = {unknowns.SWING.key: 4e-3}
    simulator = made_up.simulator()
    prediction.mechanical(simulator, silent)
    swings = [changes[unknowns.SWING.key] for _, changes, _ in world.asked]
    assert min(abs(math.log(swing / 4e-3)) for swing in swings) < 0.2
    assert not [changes for _, changes, _ in world.asked if "coating.coverage" in changes]


def test_rivals_are_judged_on_the_predicted_capacities(world: World) -> None:
    found = prediction.rivals(made_up.simulator(), silent)
    assert found.keys() == {"bare curve rescaled in time", "mechanical loss alone"}
    # The bare cell's 188, 86 and 22 mAh/g beside the coated cell's 200, 153 and 82.
    assert found["mechanical loss alone"] == pytest.approx(math.sqrt((12**2 + 67**2 + 60**2) / 3), abs=0.1)
    curve = prediction.rescaled()
    squares = [(curve[key] - CAPACITIES[key]) ** 2 for key in PREDICTED]
    assert found["bare curve rescaled in time"] == near(math.sqrt(sum(squares) / 3), rel=1e-12)


def test_a_rival_that_cannot_be_simulated_is_left_out(world: World) -> None:
    world.fails = lambda name, changes: changes.get(f"{LOSSES}film") is False
    assert prediction.mechanical(made_up.simulator(), silent) == {}
    found = prediction.rivals(made_up.simulator(), silent)
    assert found.keys() == {"bare curve rescaled in time"}
    assert math.isfinite(found["bare curve rescaled in time"])


def test_a_rival_that_cannot_be_simulated_does_not_lose_the_prediction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World
) -> None:
    monkeypatch.setattr(prediction, "DRAWS", 8)
    world.fails = lambda name, changes: changes.get(f"{LOSSES}film") is False
    assert calibration.main(data="bare", directory=tmp_path) == 0
    found = read(tmp_path / "prediction.json")
    assert study.verdict(study.Study(found["rows"], found["rivals"]), Limits(at_most=500)) is not None
