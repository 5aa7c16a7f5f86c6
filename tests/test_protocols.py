"""Random protocols that never change, and protocols that once gave a false result; the search is in
validation/verification/protocols.py."""

import functools
import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import strategies as st

from interphase_sim.cell.parameters import HIGHEST_OCP
from interphase_sim.scenario import load_scenario
from interphase_sim.simulation import exchange, simulate
from validation.verification import oracles, protocols
from validation.verification.strategies import (
    COLUMNS,
    UNIT_CELLS,
    Changes,
    drawn,
    protocol_cells,
    protocol_changes,
    shares,
)

CH = {"type": "cc", "direction": "charge", "rate": "C/5"}
DI = {"type": "cc", "direction": "discharge", "rate": "C/5"}
CV = {"type": "cv", "voltage": "2.85 V", "until_current": "C/20"}
LONGEST, YEARS = 10 * 86400.0, 365 * 86400.0  # s
YEAR = {"type": "rest", "duration": "365 d"}
SMALL: Changes = {
    "cell.model": "SPM",
    "numerics.particle_cells": 20,
    "numerics.column_cells": 60,
    "numerics.closure_rings": 12,
    "numerics.closure_rows": 30,
}


def run(name: str, *steps: dict[str, Any], cycles: int = 1, **changes: Any) -> tuple[xr.Dataset, oracles.Cycles]:
    """A run of a shipped cell with other steps on coarse meshes, none of whose oracles is broken."""
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    protocol = {"protocol.cycles": cycles, "protocol.steps": list(steps), "numerics.output_cycles": [1]}
    scenario = load_scenario(name).replace(SMALL | protocol | dotted)
    ds, solved = oracles.simulated(scenario)
    assert oracles.breaches(ds, scenario, solved) == []
    return ds, solved


# Random protocols


@functools.cache
def random_cases() -> tuple[tuple[Changes, float], ...]:
    """Thirty protocols of 2 cycles on three cells; rests of more than ten days in one of ten, for they take long."""
    found = []
    for number in range(30):
        (cell,) = drawn(protocol_cells(), 1, number // 10)
        kinds = COLUMNS if number % 2 else UNIT_CELLS
        cases = protocol_changes(2, cell, kinds=kinds, bare=3, longest=LONGEST if number % 10 else YEARS)
        found += drawn(st.tuples(cases, shares()), 1, number)
    return tuple(found)


@pytest.mark.parametrize("number", range(30))
def test_random_protocols_break_no_oracle(number: int) -> None:
    case, choice = random_cases()[number]
    told, _ = protocols.sound(case, choice)
    assert told == [], f"protocols.again('sound', {json.dumps(case)}, {choice})"


# What went wrong


def test_a_step_that_was_at_its_limit_ended_the_life_of_the_cell() -> None:
    twice, _ = run("bare", CH, CH, DI)
    once, _ = run("bare", CH, DI)
    assert twice.attrs["status"] == "completed"
    assert np.array_equal(twice.discharge_capacity, once.discharge_capacity, equal_nan=True)
    assert any("step 2 was skipped" in text for text in json.loads(twice.attrs["warnings"]))


def test_charging_at_1c_with_a_hold_ended_the_life_of_the_bare_cell() -> None:
    ds, _ = run("bare", CH | {"rate": "1C"}, CV, DI, cycles=60)
    assert ds.attrs["status"] == "completed"
    assert float(ds.discharge_capacity[60]) > 100


def test_a_year_at_rest_after_the_charge_ended_early_and_beyond_the_potential_table() -> None:
    ds, solved = run("coated", CH, YEAR, DI)
    rest = solved[1].steps[1].history
    assert rest.time[-1] == pytest.approx(365 * 86400, rel=1e-9)  # round-off of the sum of its parts
    assert oracles.FULL_LITHIATION_OCP < rest.potential.min() <= rest.potential.max() < HIGHEST_OCP
    assert float(ds.elapsed_time[1]) > 365 * 86400


def test_a_year_at_rest_before_the_first_charge_goes_to_its_end() -> None:
    ds, _ = run("coated", YEAR, CH, DI)
    assert ds.attrs["status"] == "completed"
    assert float(ds.elapsed_time[1]) > 365 * 86400


def test_steps_that_did_not_settle_went_uncounted() -> None:
    ds, _ = run("bare", CH, DI, numerics__max_iterations=1)
    assert oracles.statistic(ds, "unsettled_steps") > 0
    settled, _ = run("bare", CH, DI)
    assert oracles.statistic(settled, "unsettled_steps") == 0


def test_one_more_step_changed_the_first_guesses_after_a_formation_block() -> None:
    formation: list[Changes] = [{"cycles": 1, "steps": [CH, DI | {"rate": "1C"}, DI]}]
    one, _ = run("bare", CH, DI, DI, cycles=2, protocol__first=formation)
    other, _ = run("bare", CH, CH, DI, DI, cycles=2, protocol__first=formation)
    assert np.array_equal(one.film_resistance, other.film_resistance)


def test_a_discharge_that_only_a_hold_sent_back_is_no_capacity() -> None:
    hold = {"type": "cv", "voltage": "2.2 V", "until_current": "C/20"}
    down = DI | {"rate": "2C", "until": "2.3 V"}
    ds, _ = run("bare", CH | {"until": "1.9 V"}, down, hold)
    assert ds.attrs["status"].startswith("end of life at cycle 1: the discharge cut-off is passed")


def test_the_time_a_step_was_cut_at_decided_how_much_owed_charge_was_repaid() -> None:
    left = 1.0
    for duration in (1351.0, 355.0):
        left -= exchange.repayment(left, duration) * duration
    assert left == pytest.approx(1.0 - exchange.repayment(1.0, 1706.0) * 1706.0, rel=1e-12)
    assert exchange.repayment(1.0, 0.0) == 0.0


# That the oracles notice


def test_oracles_notice_what_is_wrong() -> None:
    scenario = load_scenario("bare").replace(SMALL | {"protocol.steps": [CH, YEAR | {"duration": "1 h"}, DI]})
    scenario = scenario.replace({"protocol.cycles": 1})
    ds, solved = oracles.simulated(scenario)
    late = ds.copy(deep=True)
    late["elapsed_time"][1] += 1.0
    assert any("lasts" in text for text in oracles.elapsed(late, scenario, solved))
    unsettled = ds.assign_attrs(statistics=json.dumps({"unsettled_steps": 1}))
    assert len(oracles.unsettled(unsettled, solved)) == 2
    for status in ("end of life at cycle 1: the charge cut-off is passed", "solver failure at cycle 1: x", "stopped"):
        assert oracles.ends(ds.assign_attrs(status=status), scenario, solved)
    rest = solved[1].steps[1]
    solved[1].steps[1] = rest._replace(
        history=rest.history.__class__(**vars(rest.history) | {"potential": rest.history.potential - 2})
    )
    assert oracles.rest_potential(solved)


def test_a_failure_is_made_simpler() -> None:
    case: Changes = {"protocol.cycles": 3, "protocol.steps": [CH, CH, DI], "kinetics.losses.film": False}

    def fails(task: tuple[str, Changes, float]) -> protocols.Outcome:
        steps = task[1]["protocol.steps"]
        return (["end: x"] if len(steps) > 1 and steps[-1] == DI else []), 0.0

    less = protocols.simplest("alone", case, 0.5, "end", fails)
    assert (less["protocol.cycles"], len(less["protocol.steps"])) == (1, 2)
    assert "kinetics.losses.film" not in less


def test_capacities_apart_count_a_cycle_that_only_one_run_has() -> None:
    whole = simulate(load_scenario("bare").replace(SMALL | {"protocol.cycles": 2}))
    assert oracles.apart(whole, whole) == 0
    assert oracles.apart(whole, whole.isel(cycle=slice(0, 2))) == pytest.approx(float(whole.charge_capacity[2]))
