"""The calibration's machinery on made-up cells: unknowns, misfit, search, files, and the searches over all data."""

import json
import math
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_up
import numpy as np
import pytest
import synthetic
import xarray as xr
from closeness import near
from made_up import ALL, CAPACITIES, MEASURED, OXIDES, SULFUR, World, centre, seen, silent

import interphase_sim
from interphase_sim import calibration
from interphase_sim.calibration import SHIPPED, files, misfit, search, unknowns
from interphase_sim.calibration.misfit import COARSE, Simulated
from interphase_sim.calibration.search import Fit, Problem, Simulator, Task
from interphase_sim.calibration.unknowns import Array, Free, limits, parameter, point_of, prior_draws, values_at
from interphase_sim.errors import InputError, SolverFailure
from interphase_sim.experiment import criteria, observations
from interphase_sim.experiment.observables import LAST as LIFE
from interphase_sim.experiment.observables import LATE_EFFICIENCY, OBSERVABLES
from interphase_sim.experiment.observations import Key
from interphase_sim.resources import shipped
from interphase_sim.scenario import Parameter, load_scenario, with_units

FEW = (unknowns.EXCHANGE, unknowns.CONTACT_LENGTH, unknowns.HINDRANCE, unknowns.UTILISATION, unknowns.COVERAGE)
BOTH = Problem(FEW)
BARE = Problem(FEW[:-1], cells=("bare",))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return made_up.world(monkeypatch)


# Unknowns


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.key)
def test_an_unknown_stands_for_its_value(f: Free) -> None:
    inside = 0.5 * (f.low + f.high)
    for value in (f.low, f.centre, inside, f.high):
        assert f.from_search(f.to_search(value)) == near(value, rel=1e-12)
    low, high = f.bounds
    assert low < f.to_search(f.centre) < high
    assert sorted((f.from_search(low), f.from_search(high))) == near((f.low, f.high), rel=1e-12)


def test_unknowns_by_hand() -> None:
    assert unknowns.DOSE.to_search(3600.0) == near(math.log(3600), rel=1e-15)
    assert unknowns.COVERAGE.to_search(0.9) == near(-math.log(10), rel=1e-12)
    assert unknowns.UTILISATION.to_search(0.97) == near(9.7, rel=1e-12)
    assert values_at((unknowns.DOSE, unknowns.COVERAGE), [math.log(7200), -math.log(20)]) == {
        "kinetics.contact.duration": near(7200, rel=1e-12),
        "coating.coverage": near(0.95, rel=1e-12),
    }


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.key)
def test_a_scenario_takes_an_unknown_anywhere_within_its_bounds(f: Free) -> None:
    for z in (*f.bounds, f.to_search(f.centre)):
        value = f.from_search(z)
        assert parameter(load_scenario("coated").replace(with_units({f.key: value})), f.key).si == near(
            value, rel=1e-15
        )


def test_the_shipped_numbers_are_a_point_of_the_search() -> None:
    point = point_of(SHIPPED.free, load_scenario("coated"))
    for f, (key, value) in zip(SHIPPED.free, values_at(SHIPPED.free, point).items(), strict=True):
        assert key == f.key
        own = parameter(load_scenario("coated"), key)
        assert value == near(min(max(own.si, f.low), f.high), rel=1e-12), key


def test_what_the_scenarios_call_fitted_is_what_is_searched() -> None:
    assert {key for key, value in parameters(load_scenario("coated")) if value.kind == "fitted"} == {
        f.key for f in SHIPPED.free
    }


def parameters(section: Any, path: str = "") -> Iterator[tuple[str, Parameter]]:
    """Every parameter of a scenario with its dotted key."""
    for name in type(section).model_fields:
        part = getattr(section, name)
        if isinstance(part, Parameter):
            yield f"{path}{name}", part
        elif hasattr(type(part), "model_fields"):
            yield from parameters(part, f"{path}{name}.")


def test_no_unknown_is_searched_twice() -> None:
    assert len({f.key for f in SHIPPED.free}) == len(SHIPPED.free)
    assert len({f.key for f in ALL}) == len(ALL)


def test_a_number_out_of_bounds_starts_at_the_bound() -> None:
    far = load_scenario("coated").replace({"coating.coverage": 0.1, "kinetics.oxygen.exchange": "1e-6 m/s"})
    found = values_at(FEW, point_of(FEW, far))
    assert found["coating.coverage"] == near(unknowns.COVERAGE.low, rel=1e-12)
    assert found["kinetics.oxygen.exchange"] == near(unknowns.EXCHANGE.high, rel=1e-12)


def test_prior_draws_are_reproducible_and_within_bounds() -> None:
    draws = prior_draws(ALL, 50)
    low, high = limits(ALL)
    np.testing.assert_array_equal(draws, prior_draws(ALL, 50))
    np.testing.assert_array_equal(draws[:3], prior_draws(ALL, 3))
    assert np.all((draws >= low) & (draws <= high))
    assert len({tuple(draw) for draw in draws}) == 50


def test_prior_draws_are_half_a_spread_wide_and_half_an_e_fold_without_one() -> None:
    flat, narrow = unknowns.EXCHANGE, unknowns.CONTACT_LENGTH._replace(spread=0.6)
    draws = np.array(prior_draws((flat, narrow), 4000))
    error = 4 / math.sqrt(4000)  # four standard errors
    np.testing.assert_allclose(draws.std(axis=0), [0.5, 0.3], rtol=error)
    np.testing.assert_allclose((draws.mean(axis=0) - centre((flat, narrow))) / [0.5, 0.3], 0.0, atol=error)
    exchange, length = ((draws - draws.mean(axis=0)) / draws.std(axis=0)).T
    assert abs(np.mean(exchange * length)) < error


# Misfit


def bare_and_coated(**changed: dict[str, Any]) -> dict[str, Simulated]:
    return {name: seen(name, **changed.get(name, {})) for name in MEASURED}


def off(key: Key, by: float) -> dict[str, Simulated]:
    """Both cells as measured but for one capacity."""
    cell, *which = key
    return bare_and_coated(**{cell: {"capacities": MEASURED[cell] | {(which[0], which[1]): CAPACITIES[key] + by}}})


def test_the_measured_capacities_are_those_of_the_paper() -> None:
    assert misfit.measured_capacities(("bare", "coated")) == CAPACITIES
    assert list(misfit.measured_capacities(("bare", "coated"))) == list(CAPACITIES)
    assert {key[0] for key in misfit.measured_capacities(("coated",))} == {"coated"}


@pytest.mark.parametrize("cells", [("bare", "coated"), ("bare",)], ids=str)
def test_cells_as_measured_leave_no_residual(world: World, cells: tuple[str, ...]) -> None:
    runs = {name: seen(name) for name in cells}
    data, penalties = misfit.data_residuals(runs), misfit.penalties(runs)
    np.testing.assert_allclose(data, 0.0, atol=1e-12)
    assert not penalties.any()
    # four capacities, first and late efficiency a cell; trends, two bounds of the layer, the gap of two cells
    assert (data.size, penalties.size) == ((12, 12) if len(cells) == 2 else (6, 4))
    assert misfit.count(cells) == data.size + penalties.size


@pytest.mark.parametrize("key", CAPACITIES, ids=lambda key: " ".join(map(str, key)))
def test_a_capacity_that_is_off_costs_its_square(key: Key) -> None:
    rows = list(CAPACITIES)
    for by in (2.5, 5.0, -5.0):  # mAh/g; the error is 2.5
        found = misfit.data_residuals(off(key, by))[:8]
        assert found[rows.index(key)] == near(by / 2.5, rel=1e-12)
        assert np.count_nonzero(found) == 1
    assert misfit.capacity_errors(off(key, -3.0))[key] == near(-3.0, rel=1e-12)


def test_first_efficiencies_count_in_points() -> None:
    found = misfit.data_residuals(bare_and_coated())[8:10] * 0.7
    assert found == pytest.approx([100 * 161 / 188 - 86, 100 * 180 / 200 - 90], abs=1e-9)  # round-off


def test_late_efficiencies_that_are_off_cost_their_square() -> None:
    found = misfit.data_residuals(bare_and_coated(coated={"efficiency": 99.7}))
    assert found[10:] == pytest.approx([2.0, 2.0], abs=1e-9)  # 0.2 points off 99.5 and off a difference of 0.5
    found = misfit.data_residuals(bare_and_coated(bare={"efficiency": 98.8}))
    assert found[10:] == pytest.approx([0.0, 2.0], abs=1e-9)
    found = misfit.data_residuals({"bare": seen("bare", efficiency=98.8)})
    assert found[5:] == pytest.approx([-2.0], abs=1e-9)


@pytest.mark.parametrize("key", CAPACITIES, ids=lambda key: " ".join(map(str, key)))
def test_a_capacity_left_out_is_not_told_by_the_first_efficiency_either(key: Key) -> None:
    late = {"bare": 98.0, "coated": 97.0}
    runs = {name: Simulated({**run.values, LATE_EFFICIENCY: late[name]}) for name, run in off(key, 20.0).items()}
    everything, rest = misfit.data_residuals(runs), misfit.data_residuals(runs, key)
    silent_rows = {list(CAPACITIES).index(key)}
    if key[2] == 1:
        silent_rows.add(8 + list(MEASURED).index(key[0]))
    assert {int(row) for row in np.flatnonzero(everything != rest)} <= silent_rows
    assert not rest[sorted(silent_rows)].any()
    other = everything.copy()
    other[sorted(silent_rows)] = 0.0
    np.testing.assert_array_equal(rest, other)


TRENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "T1": ("bare", {"sulfate": {**OXIDES["bare"], 0: 1.1}}),
    "T2": ("bare", {"phosphate": {**OXIDES["bare"], 0: 1.1}}),
    "T3": ("coated", {"phosphate": {**OXIDES["coated"], 1: 2.5}}),
    "T4": ("bare", {"sulfate": {**OXIDES["bare"], LIFE: 3.3}}),
    "T5": ("bare", {"phosphate": {**OXIDES["bare"], 0: 5.0}}),
    "T6": ("bare", {"sulfur_elsewhere": 0.1}),
    "T7": ("coated", {"sulfur": {**SULFUR["coated"], 5: 2.0}}),
    "T8": ("bare", {"sulfur": {**SULFUR["bare"], 0: 0.9}}),
    "T13": ("coated", {"isolated": 0.3}),
}


def test_every_trend_is_one_that_validate_judges() -> None:
    fitted = misfit.fitted_trends(MEASURED)
    assert set(fitted) == set(TRENDS) < set(criteria.load().trends)
    assert fitted == list(misfit.trend_ratios(bare_and_coated()))


@pytest.mark.parametrize("name", TRENDS)
def test_a_violated_trend_costs_and_no_other_does(name: str) -> None:
    cell, changes = TRENDS[name]
    runs = bare_and_coated(**{cell: changes})
    ratios = misfit.trend_ratios(runs)
    found = misfit.penalties(runs)
    assert [trend for trend, ratio in ratios.items() if ratio < 1] == [name]
    row = list(ratios).index(name)
    assert found[row] == near(8.0 * (math.log(1.03) - math.log(ratios[name])), rel=1e-12)
    assert np.count_nonzero(found) == 1


@pytest.mark.parametrize(
    ("cell", "changes", "trend", "expected"),
    [
        ("coated", {"sulfate": {**OXIDES["coated"], 1: 1.0}}, "T3", 1 / 1.05),  # no growth in the first cycle
        ("coated", {"sulfate": {**OXIDES["coated"], 1: 2.4}}, "T3", 3 / 2.4 / 1.5),  # little afterwards
        ("coated", {"sulfur": {**SULFUR["coated"], LIFE: 1.6}}, "T6", 2 / (4 / 1.6)),  # bare 2.5 times the coated
        ("bare", {"sulfur": {**SULFUR["bare"], LIFE: 1.0}}, "T6", 0.25 / 0.5),
        ("coated", {"sulfur_elsewhere": 0.15}, "T6", 0.5),
        ("coated", {"phosphate": {**OXIDES["coated"], 5: 2.8}}, "T7", 0.7 * 3 / 2.8),
        ("coated", {"isolated": 0.4}, "T13", 0.25 / 0.4),
        ("bare", {"isolated": 0.4}, "T13", math.inf),  # of the coated cell; no division by zero
    ],
)
def test_every_side_of_a_trend_counts(cell: str, changes: dict[str, Any], trend: str, expected: float) -> None:
    assert misfit.trend_ratios(bare_and_coated(**{cell: changes}))[trend] == near(expected, rel=1e-12)


def test_the_bare_cell_alone_is_held_to_its_own_trends() -> None:
    def trends(**changes: Any) -> Array:
        return misfit.penalties({"bare": seen("bare", **changes)})[:2]

    assert not trends().any()
    grown = trends(sulfate={**OXIDES["bare"], 0: 5.0})
    assert list(grown) == [near(8 * (math.log(1.03) - math.log(6 / 5 / 1.5)), rel=1e-12), 0.0]
    assert list(trends(sulfur_elsewhere=0.15)) == [0.0, near(8 * (math.log(1.03) - math.log(0.5)), rel=1e-12)]


def test_nothing_formed_is_a_trend_not_held_and_no_division_by_zero() -> None:
    nothing = dict.fromkeys((0, 1, 5, LIFE), 0.0)
    none = {"phosphate": nothing, "sulfate": nothing, "sulfur": nothing, "sulfur_elsewhere": 0.0, "layer": 0.0}
    runs = bare_and_coated(bare=none, coated=none)
    assert list(misfit.trend_ratios(runs).values()) == [0.0] * 8 + [math.inf]  # nothing is isolated either
    assert np.isfinite(misfit.penalties(runs)).all()


@pytest.mark.parametrize(("layer", "expected"), [(1.0, (math.log(3), 0)), (120.0, (0, math.log(2)))])
@pytest.mark.parametrize("cells", [("bare", "coated"), ("bare",)], ids=str)
def test_a_layer_out_of_bounds_costs(layer: float, expected: tuple[float, float], cells: tuple[str, ...]) -> None:
    runs = {name: seen(name) for name in cells} | {"bare": seen("bare", layer=layer)}
    start = 9 if len(cells) == 2 else 2
    found = misfit.penalties(runs)[start : start + 2]
    assert found == pytest.approx([4 * e for e in expected], abs=1e-12)


def test_a_small_gap_of_late_efficiencies_is_penalised() -> None:
    close = misfit.penalties(bare_and_coated(coated={"efficiency": 99.1}))
    assert close[11] == near(8 * 0.13 / 0.23, rel=1e-9)  # round-off
    assert np.count_nonzero(close) == 1


# What is read from a run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a stand-in for `simulate` hands back ("result") and was given ("scenario")."""
    told: dict[str, Any] = {"result": synthetic.result("bare")}

    def simulate(scenario: Any) -> xr.Dataset:
        told["scenario"] = scenario
        return told["result"]  # type: ignore[no-any-return]

    stand_in = SimpleNamespace(simulate=simulate)
    monkeypatch.setitem(sys.modules, "interphase_sim.simulation", stand_in)
    monkeypatch.setattr(interphase_sim, "simulation", stand_in, raising=False)
    return told


def read_off(cell: str, changes: dict[str, Any] | None = None, coarse: bool = False) -> Mapping[tuple[str, int], float]:
    return misfit.observe(cell, changes or {}, coarse, observations.readings()[cell]).values


def test_an_observation_reads_the_run(run: dict[str, Any]) -> None:
    found, ds = read_off("bare"), run["result"]
    for n in (1, 50, LIFE):
        for quantity in ("charge_capacity", "discharge_capacity"):
            if (quantity, n) in found:
                assert found[quantity, n] == float(ds[quantity].sel(cycle=n))
    assert {key for key in found if key[0].endswith("capacity")} == {key[1:] for key in CAPACITIES}
    late = float(ds["coulombic_efficiency"].sel(cycle=slice(39, 200)).mean())
    assert found[LATE_EFFICIENCY] == near(late, rel=1e-12)
    assert found["coulombic_efficiency", 1] == float(ds["coulombic_efficiency"].sel(cycle=1))
    assert found["layer_thickness", LIFE] == near(1e9 * float(ds["layer_thickness"].sel(cycle=LIFE)), rel=1e-12)
    amount = ds["amount"]
    for name in ("phosphate", "sulfate", "oxidised_sulfur"):
        for n in (0, LIFE):
            assert found[name, n] == near(float(amount.sel(cycle=n, species=name).sum()), rel=1e-12)
    last = amount.sel(cycle=LIFE, species="oxidised_sulfur")
    elsewhere = float(last.sel(interface="carbon") + last.sel(interface="collector"))
    assert found["oxidised_sulfur_away_from_ncm", LIFE] == near(elsewhere, rel=1e-12)
    assert found["phosphate", LIFE] != found["sulfate", LIFE]
    coated = read_off("coated")
    for n in (0, LIFE):
        assert coated["isolated_fraction", n] == float(ds["isolated_fraction"].sel(cycle=n))
    assert {("phosphate", 5), ("oxidised_sulfur", 5), ("sulfate", 1)} <= coated.keys()


def test_a_run_has_the_numbers_asked_for_and_coarse_grids_if_asked(run: dict[str, Any]) -> None:
    changes = {"kinetics.oxygen.exchange": 3e-12, "coating.coverage": 0.8, "protocol.cycles": 1}
    run["result"] = synthetic.result("coated", cycles=1)
    read_off("coated", changes, coarse=True)
    coarse = load_scenario("coated").replace({**COARSE, **with_units(changes), **misfit.WHOLE_LIFE})
    assert run["scenario"] == coarse
    read_off("coated", changes)
    assert run["scenario"] == load_scenario("coated").replace({**with_units(changes), **misfit.WHOLE_LIFE})
    assert run["scenario"] != coarse


def test_a_cell_that_ended_early_delivers_nothing_afterwards_and_stays_as_it_is(run: dict[str, Any]) -> None:
    run["result"] = synthetic.result("bare", cycles=60, status="end of life at cycle 60")
    found, ds = read_off("bare", coarse=True), run["result"]
    assert found["discharge_capacity", 50] == float(ds["discharge_capacity"].sel(cycle=50))
    assert found["discharge_capacity", LIFE] == 0.0
    assert found[LATE_EFFICIENCY] == 0.0
    assert found["layer_thickness", LIFE] == OBSERVABLES["layer_thickness"].read(ds, 60)
    assert found["phosphate", LIFE] == OBSERVABLES["phosphate"].read(ds, 60) > 0


def test_a_run_that_a_limit_ended_counted_as_without_capacity(run: dict[str, Any]) -> None:
    reached = "end of life at cycle 60: capacity below numerics.end_of_life_fraction"
    run["result"] = synthetic.result("bare", cycles=60, status=reached)
    changes = {"numerics.end_of_life_fraction": 0.5, "numerics.end_of_life_capacity": "50 mAh/g"}
    found = read_off("bare", changes, coarse=True)
    numerics = run["scenario"].numerics
    assert numerics.end_of_life_fraction.si == numerics.end_of_life_capacity.si == 0.0
    assert math.isnan(found["discharge_capacity", LIFE])
    assert math.isnan(found[LATE_EFFICIENCY])


def test_a_run_that_fails_is_no_observation(run: dict[str, Any]) -> None:
    run["result"] = synthetic.result("bare", cycles=60, status="solver failure at cycle 61: step too small")
    with pytest.raises(SolverFailure, match="cycle 61"):
        read_off("bare", coarse=True)
    assert search.run_task(observations.readings(), ("bare", (), True)) is None


# Points of the search


def test_a_simulation_is_named_by_its_cell_and_all_its_numbers() -> None:
    simulator = made_up.simulator()
    switch = ("kinetics.losses.isolation", True)
    z = centre(FEW)
    coated = simulator.task(Problem(FEW, (switch,)), "coated", z)
    assert coated == ("coated", tuple(sorted([switch, *values_at(FEW, z).items()])), True)
    bare = simulator.task(Problem(FEW, (switch,)), "bare", z)
    assert bare == ("bare", tuple(pair for pair in coated[1] if pair[0] != "coating.coverage"), True)
    assert replace(simulator, coarse=False).task(BARE, "bare", z[:-1])[2] is False


def test_a_failing_worker_counts_and_a_broken_one_is_heard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fails = lambda name, changes: name == "coated"
    assert search.run_task(observations.readings(), ("coated", (), True)) is None
    assert search.run_task(observations.readings(), ("bare", (), True)) == seen("bare")

    def broken(*_: Any) -> Simulated:
        raise ZeroDivisionError

    monkeypatch.setattr(misfit, "observe", broken)
    with pytest.raises(ZeroDivisionError):
        search.run_task(observations.readings(), ("bare", (), True))


def test_priors_are_added_half_a_spread_each(world: World) -> None:
    simulator = made_up.simulator()
    spread = np.array([f.spread or 1.0 for f in ALL])
    assert search.priors(ALL, centre(ALL) + spread) == pytest.approx([0.5 if f.spread else 0.0 for f in ALL], abs=1e-9)
    (r,) = simulator.residuals(BOTH, [centre(FEW) + 0.1])
    np.testing.assert_array_equal(r[24:], search.priors(FEW, centre(FEW) + 0.1))
    (alone,) = simulator.residuals(BARE, [centre(BARE.free) + 0.1])
    np.testing.assert_array_equal(alone[10:], search.priors(BARE.free, centre(BARE.free) + 0.1))


def test_residuals_are_data_then_penalties_of_the_simulated_cells(world: World) -> None:
    world.shown = {"bare": {"layer": 1.0}}
    z = centre(FEW) + np.linspace(-0.2, 0.2, len(FEW))
    simulator = made_up.simulator()
    first, again = simulator.residuals(BOTH, [centre(FEW), z])
    runs = {cell: world.observe(cell, dict(simulator.task(BOTH, cell, z)[1]), True, ()) for cell in MEASURED}
    np.testing.assert_array_equal(again[:12], misfit.data_residuals(runs))
    np.testing.assert_array_equal(again[12:24], misfit.penalties(runs))
    np.testing.assert_allclose(first[:12], 0.0, atol=1e-12)
    assert again[:8].all()
    key = ("coated", "discharge_capacity", 50)
    (without,) = simulator.residuals(BOTH.without(key), [z])
    assert [int(row) for row in np.flatnonzero(without != again)] == [list(CAPACITIES).index(key)]
    assert without[6] == 0.0


@pytest.mark.parametrize("problem", [BOTH, BARE], ids=["both", "bare"])
def test_a_failed_simulation_counts_as_far_off(world: World, problem: Problem) -> None:
    world.fails = lambda name, changes: name == problem.cells[-1]
    simulator = made_up.simulator()
    z = centre(problem.free) + 0.1
    (r,) = simulator.residuals(problem, [z])
    assert r.tolist() == [search.FAR] * misfit.count(problem.cells) + search.priors(problem.free, z).tolist()
    assert simulator.runs(problem, z) is None


@pytest.mark.parametrize("problem", [BOTH, BARE], ids=["both", "bare"])
def test_a_point_that_cannot_be_simulated_is_worse_than_one_where_nothing_is_right(
    world: World, problem: Problem
) -> None:
    nothing = dict.fromkeys((0, 1, 5, LIFE), 0.0)
    world.shown = {
        name: {"efficiency": 0.0, "phosphate": nothing, "sulfate": nothing, "sulfur": nothing, "layer": 0.0}
        for name in MEASURED
    }
    world.outliers = {key: -value for key, value in CAPACITIES.items()}
    z = centre(problem.free)
    (ended,) = made_up.simulator().residuals(problem, [z])
    world.fails = lambda name, changes: True
    (failed,) = made_up.simulator().residuals(problem, [z])
    assert failed @ failed > 100 * (ended @ ended)


def test_no_simulation_is_run_twice(world: World) -> None:
    simulator = made_up.simulator()
    z = centre(FEW)
    more_covered = z - np.eye(len(FEW))[-1]
    simulator.residuals(BOTH, [z, z, more_covered])
    assert sorted(name for name, *_ in world.asked) == ["bare", "coated", "coated"]
    simulator.residuals(BOTH, [more_covered])
    simulator.jacobian(BOTH, z)
    assert len(world.asked) == 3 + 2 * (len(FEW) - 1) + 1
    world.fails = lambda name, changes: True
    simulator.residuals(BOTH, [z + 0.5])
    simulator.residuals(BOTH, [z + 0.5])
    assert len(world.asked) == 3 + 2 * (len(FEW) - 1) + 1 + 2


def test_the_workers_get_all_simulations_of_a_jacobian_at_once(world: World) -> None:
    batches: list[int] = []

    def run(function: Any, tasks: list[Task]) -> list[Any]:
        batches.append(len(tasks))
        return made_up.inline(function, tasks)

    Simulator(run, coarse=True).jacobian(BOTH, centre(FEW))
    assert batches[0] == 2 + 2 * (len(FEW) - 1) + 1
    assert sum(batches) == batches[0]


def test_finite_differences_are_the_slopes_also_at_the_upper_bound(world: World) -> None:
    low, high = limits(FEW)
    for z in (centre(FEW), high, low):
        world.asked.clear()
        found = made_up.simulator().jacobian(BOTH, z)
        assert found.shape == (24 + len(FEW), len(FEW))
        expected = [np.r_[made_up.slopes("bare", f), made_up.slopes("coated", f)] / 2.5 for f in FEW]
        np.testing.assert_allclose(found[:8].T, expected, rtol=1e-9, atol=1e-9)
        prior = np.diag([0.5 / f.spread if f.spread else 0.0 for f in FEW])
        np.testing.assert_allclose(found[24:], prior, rtol=1e-9, atol=1e-9)
        for _, changes, _ in world.asked:
            assert all(f.low * (1 - 1e-12) <= changes.get(f.key, f.low) <= f.high * (1 + 1e-12) for f in FEW)


def failing_above(f: Free, z: float) -> Any:
    """Says that a simulation fails where an unknown lies above a point of the search."""
    return lambda name, changes: f.to_search(changes.get(f.key, f.centre)) > z + 1e-9


def test_a_neighbour_that_fails_does_not_spoil_the_jacobian(world: World) -> None:
    z = centre(FEW)
    expected = made_up.simulator().jacobian(BOTH, z)
    world.fails = failing_above(FEW[0], z[0])
    found = made_up.simulator().jacobian(BOTH, z)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-9)  # an efficiency is a ratio, and bends
    np.testing.assert_allclose(found[:8], expected[:8], rtol=1e-9, atol=1e-9)
    world.fails = lambda name, changes: changes[FEW[0].key] != near(FEW[0].centre, rel=1e-9)
    expected[:, 0] = 0.0
    np.testing.assert_allclose(made_up.simulator().jacobian(BOTH, z), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("side", [0, 1], ids=["low", "high"])
@pytest.mark.parametrize("f", FEW, ids=lambda f: f.key)
def test_no_neighbour_beyond_a_bound_is_simulated_when_the_other_fails(world: World, f: Free, side: int) -> None:
    z, k = centre(FEW), FEW.index(f)
    expected = made_up.simulator().jacobian(BOTH, z)
    z[k] = f.bounds[side]
    expected[:, k] = 0.0
    value = f.from_search(z[k])
    world.asked.clear()
    world.fails = lambda name, changes: abs(changes.get(f.key, value) / value - 1) > 1e-9
    found = made_up.simulator().jacobian(BOTH, z)
    np.testing.assert_allclose(found[:8], expected[:8], rtol=1e-9, atol=1e-9)
    assert not found[:, k].any()
    asked = [changes[f.key] for _, changes, _ in world.asked if f.key in changes]
    assert f.low * (1 - 1e-12) <= min(asked) <= max(asked) <= f.high * (1 + 1e-12)


# The search


class Bowl(Simulator):
    """Residuals that are all zero at the target only, and curved; remembers the points asked for."""

    def __init__(self, target: Array, curved: float = 0.05) -> None:
        super().__init__(made_up.inline, coarse=True)
        self.target, self.curved = target, curved
        self.mix = np.random.default_rng(7).standard_normal((20, target.size))
        self.asked: list[Array] = []
        self.calls: list[int] = []

    def residuals(self, problem: Problem, points: Sequence[Array]) -> list[Array]:
        self.asked.extend(points)
        self.calls.append(len(points))
        moved = [z - self.target for z in points]
        return [np.r_[self.mix @ (m + self.curved * m**2), m] for m in moved]


ENTIRE = Problem(ALL)


def test_the_search_finds_the_bottom_of_a_bowl_and_stays_within_bounds() -> None:
    bowl, told = Bowl(centre(ALL)), list[str]()
    low, high = limits(ALL)
    start = np.clip(centre(ALL) + np.where(np.arange(len(ALL)) % 2, 0.7, -0.7), low, high)
    fit = search.minimise(ENTIRE, start, bowl, 30, search.about("bowl", told.append))
    np.testing.assert_allclose(fit.z, centre(ALL), atol=1e-3)
    assert fit.cost < 1e-5
    assert fit.cost == near(sum(r * r for r in fit.r), rel=1e-12)
    assert told[0].startswith("bowl: cost ")
    assert np.all((np.array(bowl.asked) >= low - 1e-12) & (np.array(bowl.asked) <= high + 1e-12))


def test_the_search_ends_with_residuals_and_jacobian_of_where_it_ends() -> None:
    bowl = Bowl(centre(ALL), curved=0.3)
    fit = search.minimise(ENTIRE, centre(ALL) + 0.2, bowl, 3, silent)
    (here,) = bowl.residuals(ENTIRE, [fit.z])
    np.testing.assert_array_equal(fit.r, here)
    np.testing.assert_array_equal(fit.jacobian, bowl.jacobian(ENTIRE, fit.z))


def test_a_frozen_search_keeps_the_jacobian_of_its_start() -> None:
    bowl, start = Bowl(centre(ALL), curved=0.02), centre(ALL) + 0.2
    fit = search.minimise(ENTIRE, start, bowl, 20, silent, frozen=True)
    np.testing.assert_allclose(fit.z, centre(ALL), atol=1e-2)
    around = [z for z, size in zip(bowl.asked, np.repeat(bowl.calls, bowl.calls), strict=True) if size > 1]
    assert np.abs(np.array(around) - start).max() <= search.STEP * (1 + 1e-9)
    np.testing.assert_array_equal(fit.jacobian, bowl.jacobian(ENTIRE, start))


def test_the_search_takes_no_long_first_step_and_as_many_evaluations_as_allowed() -> None:
    wide = tuple(f._replace(low=f.centre * 1e-6, high=f.centre * 1e6) for f in ALL if f.scale == "log")
    bowl = Bowl(centre(wide) + 8.0, curved=0.0)
    search.minimise(Problem(wide), centre(wide), bowl, 4, silent)
    assert bowl.calls.count(1) == 4
    tried = [z for z, size in zip(bowl.asked, np.repeat(bowl.calls, bowl.calls), strict=True) if size == 1]
    assert 0.1 < np.linalg.norm(tried[1] - tried[0]) < 4 < 8 * math.sqrt(len(wide))


def test_the_search_stops_at_a_bound_that_is_in_the_way() -> None:
    last = ALL.index(unknowns.UTILISATION)
    beyond = centre(ALL)
    beyond[last] = limits(ALL)[1][last] + 0.5
    bowl = Bowl(beyond)
    bowl.mix = np.zeros_like(bowl.mix)
    fit = search.minimise(ENTIRE, centre(ALL), bowl, 30, silent)
    assert fit.z[last] == near(limits(ALL)[1][last], rel=1e-3)
    assert fit.z[last] <= limits(ALL)[1][last]
    assert fit.cost == near(0.25, rel=1e-2)
    assert np.delete(fit.z, last) == pytest.approx(np.delete(centre(ALL), last), abs=1e-3)


def test_a_start_on_a_bound_is_searched_too() -> None:
    low, _ = limits(ALL)
    fit = search.minimise(ENTIRE, low, Bowl(low + 0.05), 30, silent)
    np.testing.assert_allclose(fit.z, low + 0.05, atol=1e-3)


def test_a_search_never_ends_where_nothing_can_be_simulated(world: World) -> None:
    """The start is poor; on the way to the truth begins a region where the solver fails."""
    start = centre(BARE.free)
    start[0] -= 6.0
    world.outliers = {("bare", "discharge_capacity", 50): 60.0, ("bare", "discharge_capacity", LIFE): 60.0}
    world.fails = failing_above(FEW[0], start[0] + 0.5)
    simulator = made_up.simulator()
    (r,) = simulator.residuals(BARE, [start])
    assert r @ r > 1000
    fit = search.minimise(BARE, start, simulator, 10, silent)
    assert simulator.runs(BARE, fit.z) is not None
    assert fit.cost <= r @ r


def test_uncertainty_is_that_of_the_normal_matrix() -> None:
    # J'J = [[2, 1], [1, 2]] has the inverse [[2, -1], [-1, 2]]/3
    jacobian = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = search.uncertainty(Fit(np.zeros(2), np.zeros(3), jacobian))
    assert found == near([math.sqrt(2 / 3)] * 2, rel=1e-12)
    found = search.uncertainty(Fit(np.zeros(3), np.zeros(3), np.diag([1.0, 2.0, 4.0])))
    assert found == near((1.0, 0.5, 0.25), rel=1e-12)


# Files


def test_only_the_line_asked_for_is_written_anew() -> None:
    text = shipped("scenarios/kinetics.toml").read_text(encoding="utf-8")
    found = files.replaced(text, "lithium", "diffusivity", {"value": "1e-15 m2/s", "kind": "fitted"})
    old, new = text.splitlines(), found.splitlines()
    (changed,) = [k for k, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
    assert new[changed] == 'diffusivity = { value = "1e-15 m2/s", kind = "fitted" }'
    assert old[changed].startswith("diffusivity =")
    assert max(k for k, line in enumerate(new[:changed]) if line.startswith("[")) == new.index("[lithium]")
    assert found.endswith("\n")


def test_a_key_that_is_not_there_is_no_quiet_success() -> None:
    with pytest.raises(ValueError, match="no exchange in section 'lithium'"):
        files.replaced("[oxygen]\nexchange = 1\n[lithium]\n", "lithium", "exchange", {"value": 1})


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.key)
def test_a_fitted_number_loads_as_it_was_found(f: Free) -> None:
    scenario = load_scenario("coated")
    z, s = f.to_search(f.centre), 0.01
    table = tomllib.loads(files.replaced("[x]\nkey = 1\n", "x", "key", files.fitted(f, z, s, scenario)))
    part = parameter(scenario.replace({f.key: table["x"]["key"]}), f.key)
    assert part.kind == "fitted"
    assert part.source.startswith("interphase-sim calibrate")
    assert part.si == near(f.centre, rel=1e-3)  # four digits are written
    widths = {"log": f.centre, "gap": 1 - f.centre, "linear": 0.1}
    assert part.uncertainty == near(math.expm1(s) * widths[f.scale] if f.scale != "linear" else 1e-3, rel=1e-3)


def test_an_uncertainty_is_never_larger_than_its_value() -> None:
    scenario = load_scenario("coated")
    for f in (unknowns.EXCHANGE, unknowns.UTILISATION, unknowns.COVERAGE):
        table = files.fitted(f, f.to_search(f.centre), 30.0, scenario)
        assert table["uncertainty"] == table["value"]


@pytest.mark.parametrize("s", [800.0, math.inf])
def test_a_number_that_no_datum_sees_is_still_written(s: float) -> None:
    table = files.fitted(unknowns.EXCHANGE, unknowns.EXCHANGE.to_search(5e-12), s, load_scenario("coated"))
    assert table["uncertainty"] == table["value"]


def test_each_number_goes_to_the_file_and_section_of_its_key() -> None:
    z = centre(ALL)
    texts = {root: tomllib.loads(text) for root, text in files.fitted_texts(ALL, z, 0.01 + 0 * z, "made up").items()}
    found = set()
    for root, table in texts.items():
        old = tomllib.loads(shipped(f"scenarios/{files.FILES[root]}").read_text(encoding="utf-8"))
        found |= {(root, *path) for path in _changed(old, table)}
        assert list(table) == list(old)
    expected = {(f.key.split(".")[0], *f.key.split(".")[f.key.split(".")[0] != "coating" :]) for f in ALL}
    assert found == expected
    assert texts["coating"]["coating"]["coverage"]["source"] == "made up"


def _changed(old: dict[str, Any], new: dict[str, Any]) -> set[tuple[str, ...]]:
    """Paths of the values that differ; a value with its unit and source is one value."""
    found = set()
    for key in old | new:
        if key in old and key in new and isinstance(new[key], dict) and "value" not in new[key]:
            found |= {(key, *rest) for rest in _changed(old[key], new[key])}
        elif old.get(key) != new.get(key):
            found.add((key,))
    return found


def test_a_text_that_is_no_toml_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        files.write(tmp_path / "new" / "kinetics.toml", "[oxygen\n")
    assert not list(tmp_path.iterdir())


def test_what_is_kept_is_found_again_for_the_same_problem_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "start_1.json"
    assert files.kept(path, str(BOTH)) is None
    content = {"problem": str(BOTH), "cost": 1.5}
    files.keep(path, content)
    assert files.kept(path, str(BOTH)) == content
    wider = FEW[0]._replace(high=2 * FEW[0].high)
    for other in (
        Problem(FEW[:-1]),
        Problem((*FEW, unknowns.DOSE)),
        Problem((wider, *FEW[1:])),
        replace(BOTH, fixed=(("kinetics.losses.isolation", True),)),
        replace(BOTH, cells=("bare",)),
        BOTH.without(("bare", "discharge_capacity", 50)),
    ):
        assert files.kept(path, str(other)) is None
    assert [file.name for file in path.parent.iterdir()] == ["start_1.json"]


def test_a_file_that_names_no_problem_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "start_1.json"
    files.keep(path, {"cost": 1.5, "values": {}})
    assert files.kept(path, str(BOTH)) is None


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "start_1.json"
    files.keep(path, {"problem": "x"})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.keep(path, {"problem": "x", "cost": math.nan})
    assert files.kept(path, "x") == {"problem": "x"}


# Searches over all data


def test_a_calibration_writes_scenarios_that_load_with_the_numbers_found(tmp_path: Path, world: World) -> None:
    told: list[str] = []
    code = calibration.main(directory=tmp_path, progress=lambda done, total, text: told.append(text))
    assert code == 0
    assert told[0].startswith("start 1: cost ")
    assert told[-1].startswith("polish: cost ")
    report = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))
    assert len(report["starts"]) == calibration.STARTS + 1
    assert report["cost"] <= min(start["cost"] for start in report["starts"]) + 1e-9
    for name in ("bare.toml", "coated.toml"):
        if not (tmp_path / name).exists():
            text = shipped(f"scenarios/{name}").read_text(encoding="utf-8")
            (tmp_path / name).write_text(text, encoding="utf-8")
    scenario = load_scenario(tmp_path / "coated.toml")
    assert load_scenario(tmp_path / "bare.toml").kinetics == scenario.kinetics
    for f in SHIPPED.free:
        part = parameter(scenario, f.key)
        assert part.kind == "fitted", f.key
        assert part.uncertainty is not None
        assert part.si == near(report["values"][f.key], rel=1e-3)  # four digits are written
        assert f.to_search(report["values"][f.key]) == pytest.approx(f.to_search(f.centre), abs=0.02)


def test_the_report_of_a_calibration_names_what_is_left_of_every_capacity(tmp_path: Path, world: World) -> None:
    world.outliers = {("coated", "discharge_capacity", 50): 8.0}
    calibration.main(directory=tmp_path)
    report = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))
    assert list(report["capacity_errors_mAh_g"]) == [" ".join(map(str, key)) for key in CAPACITIES]
    bare, coated = (world.capacities(cell, report["values"]) for cell in MEASURED)
    expected = np.array([*bare, *coated]) - list(CAPACITIES.values())
    assert list(report["capacity_errors_mAh_g"].values()) == pytest.approx(expected, abs=1e-9)
    assert float(np.sum((expected / 2.5) ** 2)) < report["cost"] < 8.0**2 / 2.5**2
    assert expected[6] > 0.3


def test_searches_are_coarse_and_the_polish_is_not(tmp_path: Path, world: World) -> None:
    calibration.main(directory=tmp_path)
    coarse = [coarse for *_, coarse in world.asked]
    assert coarse == sorted(coarse, reverse=True)
    assert set(coarse) == {True, False}
    home = values_at(SHIPPED.free, point_of(SHIPPED.free, load_scenario("coated")))
    assert world.asked[1][1] == pytest.approx(home, rel=1e-4)  # a start keeps a hair off the bounds


def test_a_resumed_calibration_searches_only_what_is_left(tmp_path: Path, world: World) -> None:
    calibration.main(directory=tmp_path)
    report = (tmp_path / "calibration.json").read_text(encoding="utf-8")
    (tmp_path / "start_2.json").unlink()
    told: list[str] = []
    calibration.main(directory=tmp_path, resume=True, progress=lambda done, total, text: told.append(text))
    assert {text.split(":")[0] for text in told} == {"start 2", "polish"}
    assert (tmp_path / "calibration.json").read_text(encoding="utf-8") == report


def test_the_best_of_the_searches_is_polished(tmp_path: Path, world: World) -> None:
    calibration.main(directory=tmp_path)
    for k in range(1, calibration.STARTS + 2):
        path = tmp_path / f"start_{k}.json"
        entry = json.loads(path.read_text(encoding="utf-8"))
        files.keep(path, {**entry, "z": (np.array(entry["z"]) + 0.02 * k).tolist(), "cost": abs(k - 2.0)})
    world.asked.clear()
    calibration.main(directory=tmp_path, resume=True)
    best = json.loads((tmp_path / "start_2.json").read_text(encoding="utf-8"))
    first = next(changes for name, changes, coarse in world.asked if name == "coated")
    assert first == pytest.approx(values_at(SHIPPED.free, best["z"]), rel=1e-5)  # a start keeps a hair off the bounds


def test_a_calibration_that_is_not_resumed_starts_again(tmp_path: Path, world: World) -> None:
    calibration.main(directory=tmp_path)
    told: list[str] = []
    calibration.main(directory=tmp_path, progress=lambda done, total, text: told.append(text))
    assert {"start 1", "start 2"} <= {text.split(":")[0] for text in told}


def test_a_search_for_other_unknowns_is_not_resumed(tmp_path: Path, world: World) -> None:
    other = {"problem": str(BOTH), "z": [0.0], "cost": 0.0, "values": {"cell.utilisation": 0.97}}
    files.keep(tmp_path / "start_1.json", other)
    calibration.main(directory=tmp_path, resume=True)
    assert json.loads((tmp_path / "start_1.json").read_text())["values"].keys() == {f.key for f in SHIPPED.free}


def test_a_search_from_another_start_is_not_resumed(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped numbers may have been replaced by those that the first calibration found."""
    calibration.main(directory=tmp_path)
    moved = point_of(SHIPPED.free, load_scenario("coated")) - 0.1
    monkeypatch.setattr(calibration, "point_of", lambda free, scenario: moved)
    told: list[str] = []
    calibration.main(directory=tmp_path, resume=True, progress=lambda done, total, text: told.append(text))
    assert {text.split(":")[0] for text in told} == {"start 1", "polish"}


def test_a_calibration_without_one_simulation_is_a_solver_failure(tmp_path: Path, world: World) -> None:
    world.fails = lambda name, changes: True
    with pytest.raises(SolverFailure, match="no start could be simulated") as error:
        calibration.main(directory=tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("*.toml"))
    assert not (tmp_path / "calibration.json").exists()


@pytest.mark.parametrize(("reachable", "code"), [(True, 0), (False, 1)])
def test_a_check_fails_when_the_shipped_cost_is_not_found_again(
    tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str], reachable: bool, code: int
) -> None:
    home = point_of(SHIPPED.free, load_scenario("coated"))
    world.truth = values_at(SHIPPED.free, home)
    world.fails = lambda name, changes: not reachable and any(world.truth[key] != changes[key] for key in changes)
    assert calibration.main(check=True, directory=tmp_path) == code
    priors = search.priors(SHIPPED.free, home)
    assert f"shipped cost {priors @ priors:.3f}, found from prior draws " in capsys.readouterr().out
    assert not (tmp_path / "calibration.json").exists()
    assert all(coarse for *_, coarse in world.asked)


@pytest.mark.parametrize(("ratio", "code"), [(1.009, 0), (1.011, 1), (0.5, 0)])
def test_a_check_lets_one_per_cent_of_the_cost_pass(
    tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str], ratio: float, code: int
) -> None:
    world.outliers = {("bare", "discharge_capacity", LIFE): 5.0}
    calibration.main(check=True, directory=tmp_path)
    (r,) = made_up.simulator().residuals(SHIPPED, [point_of(SHIPPED.free, load_scenario("coated"))])
    for k, path in enumerate(sorted(tmp_path.glob("check_*.json"))):
        entry = json.loads(path.read_text(encoding="utf-8"))
        files.keep(path, {**entry, "cost": float(r @ r) * (10.0 if k else ratio)})
    world.asked.clear()
    assert calibration.main(check=True, directory=tmp_path, resume=True) == code
    assert len(world.asked) == 2
    assert f"found from prior draws {float(r @ r) * ratio:.3f}" in capsys.readouterr().out


def test_a_check_starts_from_draws_of_the_priors_alone(tmp_path: Path, world: World) -> None:
    calibration.main(check=True, directory=tmp_path)
    names = [f"check_{k}.json" for k in range(1, calibration.CHECK_STARTS + 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    drawn = values_at(SHIPPED.free, prior_draws(SHIPPED.free, 1)[0])
    assert world.asked[1][1] == pytest.approx(drawn, rel=1e-4)  # a start keeps a hair off the bounds


def test_a_check_does_not_take_over_the_searches_of_a_calibration(tmp_path: Path, world: World) -> None:
    calibration.main(directory=tmp_path)
    told: list[str] = []
    calibration.main(check=True, directory=tmp_path, resume=True, progress=lambda done, total, text: told.append(text))
    assert {text.split(":")[0] for text in told} == {f"check {k}" for k in range(1, calibration.CHECK_STARTS + 1)}


def test_a_check_names_the_numbers_that_moved_by_more_than_they_may() -> None:
    scenario = load_scenario("coated")
    home = {f.key: parameter(scenario, f.key).si for f in SHIPPED.free}
    assert not list(calibration.differences(home))
    for f in SHIPPED.free:
        spread = parameter(scenario, f.key).uncertainty
        if spread is None:
            assert not list(calibration.differences({**home, f.key: 2 * home[f.key]}))
            continue
        assert not list(calibration.differences({**home, f.key: home[f.key] + 0.99 * spread}))
        (line,) = calibration.differences({**home, f.key: home[f.key] - 1.01 * spread})
        assert line.startswith(f"{f.key}: found ")


@pytest.mark.parametrize(
    "asked",
    [{"data": "bare", "check": True}, {"data": "bare", "variants": True}, {"check": True, "variants": True}],
    ids=str,
)
def test_kinds_of_calibration_that_exclude_each_other_are_refused(
    tmp_path: Path, world: World, asked: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="--data bare, --check and --variants exclude each other") as error:
        calibration.main(directory=tmp_path, **asked)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    assert not world.asked
