"""Cycle jumping: what it costs in accuracy, what it must not miss, and what stays exact."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from test_simulation import CC, SLOW, discharge, killed_at, same, short

from interphase_sim import ageing, results
from interphase_sim.ageing import Exposure, Ncm
from interphase_sim.ageing.law import LossLaw
from interphase_sim.interphase import contacts as ct
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import jump, loop, simulate

CYCLES = 30
TOLERANCE = 0.15  # mAh g-1, the default of numerics.jump_tolerance
BOUND = 0.5  # mAh g-1


def long(name: str = "bare", **changes: Any) -> Scenario:
    """A scenario of 30 cycles of which the last is an output cycle.

    The column is finer than elsewhere: on 40 cells its growth jumps by a fifth from cycle to cycle.
    """
    given = {"numerics__output_cycles": [1], "protocol__cycles": CYCLES, "numerics__column_cells": 120, **changes}
    return short(name, given.pop("protocol__cycles"), **given)


def jumping(name: str = "bare", **changes: Any) -> Scenario:
    return long(name, numerics__jump=True, **changes)


@cache
def full(name: str = "bare") -> xr.Dataset:
    return simulate(long(name))


@cache
def jumped(name: str = "bare") -> xr.Dataset:
    return simulate(jumping(name))


def solved(ds: xr.Dataset) -> NDArray[np.bool_]:
    return np.asarray(ds.solved.values == 1)


def worst(ds: xr.Dataset, of: xr.Dataset) -> float:
    """Largest error of a capacity [mAh g-1]."""
    names = ("charge_capacity", "discharge_capacity")
    return max(float(np.nanmax(np.abs(ds[name].values - of[name].values))) for name in names)


# Accuracy


@pytest.mark.parametrize("name", ["bare", "coated"])
def test_capacities_are_those_of_the_full_run(name: str) -> None:
    ds, told = jumped(name), json.loads(jumped(name).attrs["statistics"])
    assert worst(ds, full(name)) < BOUND
    assert told["cycles_solved"] == solved(ds)[1:].sum() <= 0.6 * CYCLES
    assert told["jump_error"] < 3 * TOLERANCE
    assert told["cell_solves"] < json.loads(full(name).attrs["statistics"])["cell_solves"]


@pytest.mark.parametrize("name", ["bare", "coated"])
def test_every_row_is_there_and_close(name: str) -> None:
    ds, of = jumped(name), full(name)
    assert np.array_equal(ds.cycle, of.cycle)
    for variable in ("film_resistance", "layer_thickness", "working_contact_fraction", "rock_salt_fraction"):
        np.testing.assert_allclose(ds[variable], of[variable], rtol=0.02, err_msg=variable)
    np.testing.assert_allclose(ds.elapsed_time, of.elapsed_time, rtol=5e-3)
    np.testing.assert_allclose(ds.coulombic_efficiency[1:], of.coulombic_efficiency[1:], atol=0.2)
    np.testing.assert_allclose(ds.amount, of.amount, rtol=0.05, atol=1e-9)  # what R3 leaves swings most
    for row, full_row in zip(ds.data_vars.values(), of.data_vars.values(), strict=False):
        assert np.array_equal(np.isnan(row), np.isnan(full_row)), row.name


def test_a_smaller_tolerance_solves_more_cycles() -> None:
    fine = simulate(jumping(numerics__jump_tolerance="0.02 mAh/g"))
    assert solved(fine).sum() > solved(jumped()).sum()
    assert worst(fine, full()) < worst(jumped(), full())


def test_first_cycles_are_exact() -> None:
    for name in ("charge_capacity", "discharge_capacity", "film_resistance"):
        np.testing.assert_array_equal(jumped()[name][:4], full()[name][:4])


def test_the_cycles_asked_for_are_solved() -> None:
    ds = simulate(jumping(numerics__output_cycles=[1, 13, 17], numerics__jump_tolerance="5 mAh/g"))
    assert solved(ds)[[1, 2, 3, 13, 17, CYCLES]].all()
    assert not np.isnan(ds.curve_capacity.values).any()
    for k, number in enumerate(ds.output_cycle.values):
        for j, name in enumerate(("charge_capacity", "discharge_capacity")):
            assert ds.curve_capacity.values[k, j, -1] == pytest.approx(ds[name].values[number], rel=1e-12)


def test_a_change_of_protocol_is_solved_on_both_sides() -> None:
    blocks = [{"cycles": 12, "steps": SLOW}]
    given: dict[str, Any] = {"protocol__cycles": 24, "protocol__first": blocks, "protocol__steps": CC}
    ds, of = simulate(jumping(**given)), simulate(long(**given))
    assert solved(ds)[[1, 2, 3, 12, 13, 14, 15, 24]].all()
    assert not solved(ds).all()
    assert worst(ds, of) < BOUND


# What must hold whatever is left out


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "coated"},
        {"name": "coated", "coating__contact": "separate"},
        {"name": "coated", "coating__coverage_loss": 0.01},
        {"losses__isolation": True, "losses__percolation_threshold": 0.4},
        {"protocol__steps": [CC[0], {"type": "rest", "duration": "1 h"}, CC[1]]},
        {"protocol__steps": [CC[0], {"type": "cv", "voltage": "2.85 V", "until_current": "C/20"}, CC[1]]},
        {"oxygen__exchange": 0.0, "losses__mechanical_loss": 0.02},
    ],
)
def test_the_ledger_closes(changes: dict[str, Any]) -> None:
    """Also by what the rows say passed, which the cycles left out share."""
    given = {"protocol__cycles": 20, **changes}
    ds, of = simulate(jumping(**given)), simulate(long(**given))
    assert not solved(ds).all()
    assert np.abs(ds.ledger_residual).max() < 1e-9
    assert worst(ds, of) < BOUND
    whole = ds.connected_fraction + ds.isolated_fraction + ds.rock_salt_fraction
    np.testing.assert_allclose(whole, 1.0, rtol=1e-12)


def test_what_the_rows_say_passed_is_what_the_ledger_counted() -> None:
    bench = loop.prepare(jumping())
    seen: list[loop.State] = []
    with pytest.MonkeyPatch.context() as patch:
        cycle = loop.cycle

        def watched(*given: Any) -> Any:
            done = cycle(*given)
            seen.append(done[0])
            return done

        patch.setattr(loop, "cycle", watched)
        ds = simulate(bench.scenario)
    net = float((ds.charge_capacity - ds.discharge_capacity)[1:].sum())
    assert net == pytest.approx(seen[-1].external / loop.MAH_PER_G, rel=1e-9)


# Sudden changes and ends


@pytest.mark.parametrize("place", [12.0, 14.5])
def test_a_sudden_film_is_found_by_solved_cycles(monkeypatch: pytest.MonkeyPatch, place: float) -> None:
    """A film that jumps by 0.5 ohm m2 once the layer is so thick: a knee within a cycle."""
    resistance, bare_layer = ct.film_resistance, full().layer_thickness.values
    thick = float(np.interp(place, np.arange(CYCLES + 1), bare_layer))

    def stepwise(setting: Any, contacts: Any) -> float:
        return float(resistance(setting, contacts)) + 0.5 * (ct.layer_thickness(contacts) > thick)

    monkeypatch.setattr(ct, "film_resistance", stepwise)
    ds, of = simulate(jumping()), simulate(long())
    fall = -np.diff(discharge(of))
    knee = int(np.argmax(fall)) + 2
    assert fall.max() > 4 * np.median(fall)
    assert solved(ds)[[knee - 1, knee]].all()
    assert worst(ds, of) < BOUND


def test_the_end_of_life_is_that_of_the_full_run() -> None:
    limit = {"numerics__end_of_life_capacity": f"{float(full().discharge_capacity[21:23].mean())} mAh/g"}
    ds = simulate(jumping(**limit))
    assert ds.attrs["status"].startswith("end of life at cycle ")
    assert abs(ds.sizes["cycle"] - 1 - 22) <= 1
    assert solved(ds)[-2:].all()


def test_a_cell_past_its_cut_off_ends_as_in_the_full_run() -> None:
    given: dict[str, Any] = {"layer__insulating_conductivity": 2e-10}
    ds, of = simulate(jumping(**given)), simulate(long(**given))
    assert of.attrs["status"].startswith("end of life at cycle ")
    assert ds.attrs["status"].split(":")[1] == of.attrs["status"].split(":")[1]
    assert abs(ds.sizes["cycle"] - of.sizes["cycle"]) <= 1


# Files


@pytest.mark.parametrize("stop", [6, 16])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path, stop: int) -> None:
    numbers = np.flatnonzero(solved(jumped()))
    killed_at(int(numbers[numbers >= stop][0]), tmp_path, jumping())
    resumed = simulate(jumping(), directory=tmp_path, resume=True)
    same(resumed, jumped())
    assert resumed.attrs["statistics"] == jumped().attrs["statistics"]


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    results.write(jumped(), tmp_path / results.FILE_NAME)
    same(results.load_result(tmp_path), jumped())
    assert "solved [1]" in results.cycles_table(jumped()).splitlines()[0]


def test_a_run_without_jumps_says_nothing_of_them() -> None:
    assert "solved" not in full()
    assert set(json.loads(full().attrs["statistics"])) == {"cell_solves", "cell_retries", "unsettled_steps"}


# Parts


def test_blocks_are_where_the_steps_change() -> None:
    parts = [{"cycles": 2, "steps": SLOW}, {"cycles": 3, "steps": CC}]
    protocol = short(cycles=9, protocol__first=parts).protocol
    assert [jump.block(protocol, n) for n in (1, 2, 3, 5, 6, 9)] == [(1, 2), (1, 2), (3, 5), (3, 5), (6, 9), (6, 9)]


def test_gaps_are_filled_monotonically_within_blocks() -> None:
    protocol = short(cycles=8, protocol__first=[{"cycles": 4, "steps": SLOW}]).protocol
    flags = np.array([1.0, 1, 0, 0, 1, 1, 0, 0, 1])
    values = np.where(flags > 0, [9.0, 4, 0, 0, 3, 8, 0, 0, 7], np.nan)
    found = jump.filled(flags, values, protocol)
    np.testing.assert_array_equal(found[flags > 0], values[flags > 0])
    assert np.all(np.diff(found[1:5]) < 0)
    assert np.all(np.diff(found[5:]) < 0)


def test_gaps_share_what_the_ledger_counted() -> None:
    flags, nothing = np.array([1.0, 1, 0, 0, 1]), np.zeros(5)
    kept = np.array([0.0, 1, np.nan, np.nan, 10])
    found = jump.balanced(flags, np.array([np.nan, 1.0, 2, 2, 2]), nothing, kept)
    np.testing.assert_allclose(found[1:], [1, 3.5, 3.5, 2])


# Laws of loss


class Calendar(LossLaw):
    """A law written the natural way: contact is lost to time, and a variable of its own counts the oxygen lost."""

    source, validity = "made up", "nowhere"

    def changes(self, losses: Any, ncm: Ncm, exposure: Exposure) -> dict[str, float]:
        return {"log_contact": -2e-7 * exposure.time, "counted": exposure.reduced}


def test_a_new_law_was_right_when_every_cycle_is_solved_and_wrong_when_some_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By 9.4 mAh/g, for ageing was written once for solved cycles and again for those left out."""
    without = discharge(full())[-1]
    monkeypatch.setattr(ageing, "LAWS", (*ageing.LAWS, Calendar()))
    ds, of = simulate(jumping()), simulate(long())
    assert discharge(of)[-1] < without - 3.0
    assert not solved(ds).all()
    assert worst(ds, of) < BOUND
    assert np.abs(ds.ledger_residual).max() < 1e-9
    assert worst(ds, of) < json.loads(ds.attrs["statistics"])["jump_error"] + TOLERANCE


def test_every_variable_of_the_ncm_moves_alike_solved_and_jumped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ageing, "LAWS", (*ageing.LAWS, Calendar()))
    on: dict[str, Any] = {"losses__isolation": True, "losses__percolation_threshold": 0.4}
    ends = []
    for chosen in (jumping(**on), long(**on)):
        states: list[loop.State] = []
        with pytest.MonkeyPatch.context() as patch:
            cycle = loop.cycle

            def watched(*given: Any, cycle: Any = cycle, states: Any = states) -> Any:
                done = cycle(*given)
                states.append(done[0])
                return done

            patch.setattr(loop, "cycle", watched)
            simulate(chosen)
        ends.append(states[-1].ncm)
    jumped_ncm, solved_ncm = ends
    for name in ("log_contact", "isolated", "isolated_lithium", "rock_salt", "counted"):
        assert jumped_ncm.variable(name) == pytest.approx(solved_ncm.variable(name), rel=0.02, abs=2e-3), name


def test_a_jump_that_cannot_explain_its_landing_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that does not act on cycles left out lets none be left out."""

    class Forgetful(Calendar):
        def changes(self, losses: Any, ncm: Ncm, exposure: Exposure) -> dict[str, float]:
            return {"counted": 0.0 if exposure.time in forgotten else 0.01}

    forgotten: set[float] = set()
    aged = ageing.age_cycle

    def forgets(losses: Any, ncm: Ncm, charge: Exposure, content: float, never: float, discharge: Exposure) -> Ncm:
        forgotten.update((charge.time, discharge.time))
        return aged(losses, ncm, charge, content, never, discharge)

    monkeypatch.setattr(ageing, "LAWS", (*ageing.LAWS, Forgetful()))
    monkeypatch.setattr(ageing, "age_cycle", forgets)
    assert solved(simulate(jumping(protocol__cycles=12)))[1:].all()
