"""Single functions of cycle jumping, by hand: capacities straight in the square root of the cycle number."""

from dataclasses import astuple, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from closeness import near
from pinned import scenario

from interphase_sim.ageing import Exposure, Ncm
from interphase_sim.interphase import contacts as ct
from interphase_sim.simulation import exchange, jump, loop
from interphase_sim.simulation.jump import CHARGE, DISCHARGE, GROWTH, PLAIN, RATES, Course, Landing
from interphase_sim.simulation.loop import FULL_CHARGE, MAH_PER_G, Half, Rates, State

NM = 1e-9
NUMBERS = (4, 9, 16)
NEXT = 25


@pytest.fixture(autouse=True)
def contacts_are_their_thickness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ct, "layer_thickness", lambda contacts: contacts)


def course(deficit: float = 0.0) -> Course:
    """Charge 200 - 10 sqrt(n), discharge 190 - 10 sqrt(n), growth of 1 nm a cycle."""
    traces, x = np.zeros((3, PLAIN)), np.sqrt(NUMBERS)
    traces[:, CHARGE], traces[:, DISCHARGE], traces[:, GROWTH] = 200 - 10 * x, 190 - 10 * x, NM
    return Course(numbers=NUMBERS, traces=traces, deficit=deficit)


def state(thickness: float, **given: Any) -> State:
    return State(cell=np.array([[7.0], [8.0]]), contacts=thickness, ncm=Ncm(), **given)  # type: ignore[arg-type]


def _half(charge: float) -> Half:
    """A half-cycle of one step; capacity in mAh/g."""
    history: Any = SimpleNamespace(passed=np.array([0.0, charge]))
    return Half(charge=charge * MAH_PER_G, histories=[history])


def landing(charge: float, discharge: float, **given: Any) -> Landing:
    """The next cycle, in which the layer grows by 1 nm; capacities in mAh/g."""
    passed, back = (_half(value) for value in (charge, discharge))
    return Landing(NEXT, state(9 * NM), state(10 * NM), passed, back, **given)


# What a jump costs


def test_the_error_is_what_interpolation_missed_and_what_missing_growth_costs() -> None:
    """The charge is 0.8 mAh/g beside both extrapolations; 7.5 of 8 nm grew, 0.1 nm were missing before."""
    slope = (150 - 140.4) / 8.5
    assert jump._error(course(0.1 * NM), landing(150.8, 140.4, jumped=7.5 * NM)) == near(
        0.8 / 16 + slope * 0.5, rel=1e-9
    )


def test_a_jump_is_not_charged_for_what_was_missing_before_it() -> None:
    slope = (150 - 140.4) / 8.5
    assert jump._error(course(-0.1 * NM), landing(150.8, 140.4, jumped=7.5 * NM)) == near(
        0.8 / 16 + slope * 0.4, rel=1e-9
    )


def test_an_abrupt_film_counts_where_it_costs_more() -> None:
    assert jump._error(course(), landing(150.8, 140.0, jumped=8 * NM, abrupt=0.3)) == near(0.3, rel=1e-9)
    assert jump._error(course(), landing(150.8, 140.0, jumped=8 * NM, abrupt=0.01)) == near(0.05, rel=1e-6)


def test_a_layer_that_did_not_grow_has_no_slope() -> None:
    assert jump._error(course(), landing(150.8, 140.4, jumped=-NM)) == near(0.05, rel=1e-9)


def test_the_errors_of_jumps_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest estimate of a single jump was told as the error of a run: 0.15 where 0.56 mAh/g were missed."""
    monkeypatch.setattr(jump, "_length", lambda *_: 5)
    monkeypatch.setattr(jump, "_explains", lambda *_: True)
    monkeypatch.setattr(jump, "_landing", lambda *_: landing(150.8, 140.4, jumped=8 * NM))
    bench: Any = SimpleNamespace(scenario=scenario("bare", {"numerics.jump_tolerance": "0.15 mAh/g"}))
    once, _ = jump.leap(bench, state(NM), course(), 16)
    twice, _ = jump.leap(bench, state(NM), once, 16)
    assert twice.error == near(2 * once.error, rel=1e-12)
    assert once.error > 0


@pytest.mark.parametrize(("stretched", "gain"), [(1.0, 1.25), (100.0, 0.8), (8.0, 0.875)])
def test_the_gain_is_bounded(stretched: float, gain: float) -> None:
    """Seven cycles were stretched together, in which 7 nm were expected."""
    found, _ = jump._corrected(course(), landing(150.0, 140.0, jumped=8 * NM, stretched=stretched * NM))
    assert found == near(gain, rel=1e-9)


# How far the next one goes


@pytest.mark.parametrize(
    ("error", "length"), [(0.25, 18), (1e-9, 21), (1.0, 9), (4.0, 4), (100.0, 1)], ids=lambda value: str(value)
)
def test_the_next_length_follows_the_error(error: float, length: int) -> None:
    assert jump._next_length(10, error * 0.15, 0.15) == length


def test_the_next_length_is_that_of_what_this_jump_did(monkeypatch: pytest.MonkeyPatch) -> None:
    bench: Any = SimpleNamespace(
        scenario=scenario("bare", {"numerics.jump_tolerance": "0.15 mAh/g", "protocol.cycles": 200}), setting=None
    )
    monkeypatch.setattr(ct, "film_resistance", lambda *_: 0.0)
    monkeypatch.setattr(jump, "_trace", lambda *_: np.zeros(PLAIN))
    monkeypatch.setattr(exchange, "drive_of", lambda *_: None)
    monkeypatch.setattr(jump, "_error", lambda *_: 0.25 * 0.15)
    assert jump.follow(bench, course(), landing(150.0, 140.0, jumped=8 * NM)).length == 16


def test_a_film_that_rises_abruptly_lets_no_cycle_be_solved_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench: Any = SimpleNamespace(scenario=scenario("bare", {"numerics.jump_tolerance": "0.15 mAh/g"}))
    monkeypatch.setattr(jump, "_skipped", lambda *_: jump.Jump(state(NM), state(NM).contacts, 0.0))
    monkeypatch.setattr(jump, "_abruptness", lambda *_: 0.2)
    monkeypatch.setattr(loop, "cycle", lambda *_: pytest.fail("was solved"))
    assert jump._landing(bench, state(NM), course(), 5) is None


@pytest.mark.parametrize(("share", "left"), [(0.25, 0.75), (-1.0, 2.0), (1.0, None), (1.5, None)])
def test_charge_that_belongs_to_the_cycles_left_out_is_taken_away_as_far_as_there_is_some(
    share: float, left: float | None
) -> None:
    """The content is known to be 0 before the cycle, which is off by a share of what was charged."""
    given = landing(1.0, 1.0)
    off = replace(given, before=replace(given.before, mean=share * MAH_PER_G / FULL_CHARGE))
    found = jump._settled(course(), off)
    assert left == (near(found.charge.charge / MAH_PER_G, rel=1e-9) if found else None)


def test_nothing_charged_leaves_nothing_to_settle() -> None:
    assert jump._settled(course(), landing(0.0, 1.0)) is None


# Traces


def _traced(lost: float, turned: float) -> Any:
    histories: Any = [SimpleNamespace(mean=np.array([0.9, 0.3]))]
    before = state(2 * NM, swings=3.0)
    rates = (Rates(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),)
    after = state(5 * NM, swings=4.5, lost_to_rock_salt=lost * FULL_CHARGE, mean=0.8, rates=rates)
    after = replace(after, ncm=Ncm(rock_salt=turned))
    drive: Any = SimpleNamespace(oxygen=np.array([1.0, 3.0]), time=np.array([0.0, 10.0]))
    charge = Half(charge=150 * MAH_PER_G, histories=histories, ran=[0], exposure=Exposure(2 * NM, 0.1, 1.5, 10.0))
    discharge = Half(charge=140 * MAH_PER_G, exposure=Exposure(1 * NM, 0.2, 0.0, 20.0))
    return jump._trace(Landing(NEXT, before, after, charge, discharge), 0.25, (drive,))


def test_a_trace_in_its_order() -> None:
    plain = [150.0, 140.0, 3 * NM, 0.5, 0.3, 0.8, 0.25, 5 * NM]
    exposed, moved = [2 * NM, 0.1, 1.5, 10.0, 1 * NM, 0.2, 0.0, 20.0], [0.0, 0.0, 0.002]
    expected = [*plain, *exposed, *moved, 20.0, *range(1, 7), 7.0, 8.0]
    np.testing.assert_allclose(_traced(lost=0.001, turned=0.002), expected, rtol=1e-12)


def test_nothing_that_turned_held_no_lithium() -> None:
    assert _traced(lost=0.0, turned=0.0)[jump.TURNED] == 0.0


def test_the_cell_is_foreseen_along_a_straight_line_and_the_rest_along_a_bent_one() -> None:
    """Everything is n, the square of the coordinate: a parabola goes on through it, a line through 9 and 16 to 23."""
    width = PLAIN + 2 * len(jump.EXPOSED) + 3 + 1 + RATES + 2
    given = np.repeat(np.array(NUMBERS, dtype=float)[:, None], width, axis=1)
    led: Any = replace(course(), traces=given, drives=(None,), moved=3)  # type: ignore[arg-type]
    found = jump._foreseen(led, NEXT - NUMBERS[-1])
    np.testing.assert_allclose(found.cell, 23.0, rtol=1e-12)
    np.testing.assert_allclose(found.plain[:, 0], np.arange(17, 26), rtol=1e-12)
    assert found.rates.shape == (9, 1, len(astuple(Rates())))


@pytest.mark.parametrize(("kept", "expected"), [(13.0, [2.5, 7.5]), (3.0, [1.0, 3.0]), (5.0, [0.5, 1.5])])
def test_a_dead_cell_charged_less_than_nothing(kept: float, expected: list[float]) -> None:
    """What is shared out keeps signs and proportions; where it would leave nothing it is left."""
    solved, charge = np.array([1.0, 1, 0, 0, 1]), np.array([np.nan, 1.0, 1, 3, 2])
    found = jump.balanced(solved, charge, np.zeros(5), np.array([0.0, 1, np.nan, np.nan, kept]))
    np.testing.assert_allclose(found[2:4], expected, rtol=1e-12)


def test_slopes_of_next_to_nothing_are_interpolated_in_silence() -> None:
    row = np.array([0.0, 1e-310, 1.1e-310, np.nan, 4e-310, 9e-310])
    found = jump.filled(np.array([1.0, 1, 1, 0, 1, 1]), row, scenario("bare", {"protocol.cycles": 5}).protocol)
    assert 1.1e-310 < found[3] < 4e-310
