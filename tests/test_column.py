"""The reaction-diffusion column: what it conserves, its signs, its solve, compiled and interpreted."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ringed
from closeness import near
from hypothesis import given, settings
from hypothesis import strategies as st

from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import column, kernels
from interphase_sim.interphase.column import Column, Drive, Grid
from interphase_sim.interphase.kernels import Array, Rates
from validation.verification import balances

T0 = column.ELECTROLYTE_CONCENTRATION
REACH = 3e-9
HOUR = 3600.0
# a coated contact in SI with every reaction and every barrier at work
PHYSICAL = Rates(
    k1=1e-6, k2=2e-6, k4=5e-7, k3=1e-4, k3b=5e-5, d0=1e-20, beta=-1.0, t0=T0, c_eq=1000.0,
    kappa_0=3e-11, kappa_cov=1e-12, exposed=0.4, r_gap=1e9, v=1e12,
)  # fmt: skip
# the same with all numbers near one, so that derivatives are well scaled
PLAIN = Rates(
    k1=0.7, k2=1.3, k4=0.9, k3=0.4, k3b=0.6, d0=0.8, beta=-0.7, t0=2.0, c_eq=1.5,
    kappa_0=1.1, kappa_cov=0.3, exposed=0.6, r_gap=0.5, v=0.4,
)  # fmt: skip
PLAIN_GRID = np.array([0.3, 0.4, 0.55, 0.7, 0.9])
PLAIN_REACH = np.array([0.9, 0.6, 0.2, 0.0, 0.0])
COMPILED = {
    name: f
    for name, f in vars(kernels).items()
    if callable(f) and getattr(f, "__module__", "") == kernels.__name__ and not isinstance(f, type)
}


def contact(rates: Rates = PHYSICAL, cells: int = 40, depth: float = 7e-7) -> Column:
    return column.new_column(column.graded_grid(cells, 0.4e-9, depth), rates, REACH, rates.exposed)


def half_cycle(hours: float = 5.0) -> Drive:
    """A charge: activity and both switches rise."""
    time = np.linspace(0.0, hours * HOUR, 4)
    oxygen, sulfide, thiophosphate = [0.1, 0.3, 0.6, 1.0], [0.2, 1.0, 1.0, 1.0], [0.0, 0.3, 0.9, 1.0]
    return Drive(time, np.array(oxygen), np.array(sulfide), np.array(thiophosphate))


def constant(hours: float, oxygen: float = 1.0, sulfide: float = 1.0, thiophosphate: float = 1.0) -> Drive:
    return Drive(np.array([0.0, hours * HOUR]), *(np.full(2, x) for x in (oxygen, sulfide, thiophosphate)))


def workspace(n: int) -> kernels.Workspace:
    """Own scratch arrays, filled with not-a-number so that nothing unwritten is read."""
    fresh = column.workspace.__wrapped__(n)
    for part in fresh:
        part[...] = np.nan if part.dtype == float else -1
    return fresh


def mesh(width: Array) -> kernels.Mesh:
    """A column of these widths."""
    return Grid(width, np.cumsum(width) - width / 2).mesh


def plain_state(n: int = PLAIN_GRID.size) -> tuple[Array, Array]:
    rng = np.random.default_rng(7)
    return rng.uniform(0.2, 1.8, (kernels.N_SPECIES, n)), np.array([0.3, 0.1])


def interpreted() -> SimpleNamespace:
    """The kernels as plain Python, calling each other as plain Python: out-of-bounds reads raise here."""
    scope = dict(vars(kernels))
    for name, kernel in COMPILED.items():
        plain = getattr(kernel, "py_func", kernel)  # itself where Numba is switched off
        scope[name] = FunctionType(plain.__code__, scope, name, plain.__defaults__)
    return SimpleNamespace(**{name: scope[name] for name in COMPILED})


# Invariants


def rate(low: int, high: int) -> st.SearchStrategy[float]:
    """Zero or a rate within decades."""
    return st.just(0.0) | st.floats(low, high).map(lambda power: 10.0**power)


@st.composite
def contacts(draw: st.DrawFn) -> tuple[Column, Drive, float]:
    rates = Rates(
        k1=draw(rate(-9, -5)), k2=draw(rate(-9, -5)), k4=draw(rate(-9, -5)),
        k3=draw(rate(-7, -2)), k3b=draw(rate(-7, -2)),
        d0=10.0 ** draw(st.floats(-23, -17)), beta=draw(st.floats(-5, 2)), t0=T0, c_eq=1000.0,
        kappa_0=10.0 ** draw(st.floats(-13, -8)), kappa_cov=draw(rate(-14, -9)),
        exposed=draw(st.floats(0.02, 1.0)), r_gap=draw(rate(4, 10)), v=draw(rate(8, 13)),
    )  # fmt: skip
    cells, depth = draw(st.integers(5, 40)), draw(st.sampled_from([2e-8, 7e-7]))
    gaps = draw(st.lists(st.floats(60.0, 40 * HOUR), min_size=3, max_size=3))
    series = [np.array(draw(st.lists(st.floats(0.05, 1.0), min_size=4, max_size=4))) for _ in range(3)]
    drive = Drive(np.concatenate(([0.0], np.cumsum(gaps))), *series)
    return contact(rates, cells, depth), drive, draw(st.sampled_from([1e-3, 1e-5]))


@settings(max_examples=60, deadline=None)
@given(contacts())
def test_phosphorus_sulfur_oxygen_and_charge_are_conserved(case: tuple[Column, Drive, float]) -> None:
    before, drive, tolerance = case
    after = column.advance(before, drive, tolerance)
    round_off = 1e-13  # worst of 1500 random contacts 1.1e-14; a coefficient 0.1 % wrong gives 1e-3
    assert max(balances.elements(after).values()) < 5 * round_off  # of five sulfur
    assert balances.electrons(after) < round_off
    for element, off in balances.exchanged(after).items():
        assert off < 1e-10, element  # worst 5e-15; clipping c_O gives 1e-5


def test_an_invariant_notices_a_wrong_coefficient() -> None:
    scope = interpreted()
    y, u = plain_state()
    n = y.shape[1]
    dy, du, d, bc = np.empty((10, n)), np.empty(2), np.empty(n), np.empty(10)
    scope.right_side(PLAIN, PLAIN_GRID, PLAIN_REACH, 0.5, 0.4, 0.7, y, u, d, bc, dy, du)
    change = 4 * dy[1] + 2.5 * dy[6] + dy[2] + dy[3] + dy[5]
    assert np.abs(change).max() < 1e-14  # sums of terms near one
    dy[3] += (3.9 - 4.0) * PLAIN.k1 * y[0] * y[1]
    change = 4 * dy[1] + 2.5 * dy[6] + dy[2] + dy[3] + dy[5]
    assert np.abs(change).max() > 1e-2  # 0.1 k1 O T with O, T, k1 near one


def test_amounts_are_the_integrals_of_the_concentrations() -> None:
    after = column.advance(contact(), half_cycle(), 1e-5)
    found, width = column.amounts(after), after.grid.width
    for name, row in (("phosphate", 4), ("sulfate", 5), ("oxidised_sulfur", 3), ("P2S5", 6)):
        assert found[name] == near(float(after.y[row] @ width), rel=1e-14)  # the same sum
    lost = found["thiophosphate"]
    kept = found["phosphate"] + found["P2S5"]
    assert lost == near(kept, rel=1e-9)  # a difference of numbers 1e3 times larger
    assert column.layer_thickness(after) == near(lost / T0, rel=1e-9)  # the same cancellation
    assert found["oxygen"] == after.u.sum()


def test_the_given_column_is_left_as_it_was() -> None:
    before = contact()
    y, u = before.y.copy(), before.u.copy()
    column.advance(before, half_cycle(), 1e-4)
    assert np.array_equal(before.y, y)
    assert np.array_equal(before.u, u)


def test_exposed_parts_equal_the_whole_on_a_bare_contact() -> None:
    bare = PHYSICAL._replace(exposed=1.0, kappa_cov=0.0)
    y = column.advance(contact(bare), half_cycle(), 1e-5).y
    round_off = 1e-11 * T0  # equal equations, eliminated in another order, over hundreds of steps
    np.testing.assert_allclose(y[kernels.S2_EXPOSED], y[kernels.S2], atol=round_off)
    np.testing.assert_allclose(y[kernels.PS4_EXPOSED], y[kernels.PS4], atol=round_off)


def tried(y: Array) -> kernels.Workspace:
    """A workspace after a step whose errors are one and two per mille, the one at a concentration below zero."""
    ws = workspace(y.shape[1])
    ws.y[:], ws.k[3], ws.ku[3] = y, 1e-3, 2e-3
    ws.y[kernels.S2, 1] = -0.5
    return ws


def test_a_step_to_a_negative_concentration_passed_for_a_good_one() -> None:
    """A stiff reactant may land below zero, where it would make what it consumes; its error estimate is small there."""
    y, u = plain_state()
    ws = tried(y)
    found = kernels.error_norm(5, 1e-3, np.ones(10), 1.0, y, u, ws)
    assert found == near(0.5 / (1e-3 * (1 + y[kernels.S2, 1])), rel=1e-12)
    ws.y[kernels.S2, 1] = -0.5e-3  # within the tolerance
    assert kernels.error_norm(5, 1e-3, np.ones(10), 1.0, y, u, ws) < 2.0


# Electron transfer


def electrons_alone(reach: float = REACH) -> Column:
    """A carbon contact: no oxygen, nothing covered."""
    rates = PHYSICAL._replace(kappa_0=0.0, kappa_cov=0.0, exposed=1.0)
    return column.new_column(column.graded_grid(60, 0.2e-9, 2e-8), rates, reach, 1.0)


def test_electron_transfer_follows_its_exponential() -> None:
    before, hours = electrons_alone(), 7.0
    after = column.advance(before, constant(hours, sulfide=0.8, thiophosphate=0.3), 1e-7)
    weight = np.maximum(0.0, 1.0 - before.grid.centre / REACH)
    sulfide = T0 * np.exp(-PHYSICAL.k3 * 0.8 * weight * hours * HOUR)
    thiophosphate = T0 * np.exp(-PHYSICAL.k3b * 0.3 * weight * hours * HOUR)
    per_step = 1e-5 * T0  # 1e-7 in each of some hundred steps, against a change of order one
    np.testing.assert_allclose(after.y[kernels.S2], sulfide, atol=per_step)
    np.testing.assert_allclose(after.y[kernels.PS4], thiophosphate, atol=per_step)
    charge = float((2 * (T0 - sulfide) + 3 * (T0 - thiophosphate)) @ before.grid.width)
    assert column.amounts(after)["electrons"] == near(charge, rel=1e-5)  # as above, relative
    assert after.u.sum() == 0.0


def test_electron_transfer_stops_at_its_reach() -> None:
    year = 365 * 24.0
    once = column.advance(electrons_alone(), constant(year), 1e-6)
    twice = column.advance(once, constant(year), 1e-6)
    inside = once.grid.centre < REACH
    limit = 5 * T0 * float(once.grid.width[inside].sum())  # 2 electrons per sulfide, 3 per PS4, within reach
    first, second = (column.amounts(c)["electrons"] for c in (once, twice))
    assert np.all(twice.y[kernels.S0][~inside] == 0.0)
    assert first == near(limit, rel=1e-2)  # the outermost cell reacts a hundred times more slowly
    assert first <= second <= limit * (1 + 1e-12)  # round-off of the sums
    assert second - first < 1e-2 * first  # an exponential reach would grow by ln 2 reaches, 10 %


def test_a_switch_that_is_off_leaves_the_contact_alone() -> None:
    after = column.advance(electrons_alone(), constant(100.0, sulfide=0.0, thiophosphate=0.0), 1e-5)
    assert column.amounts(after)["electrons"] == 0.0
    assert column.layer_thickness(after) == 0.0


# Histories


def test_a_history_cut_at_the_end_of_a_step_gives_the_same_bits() -> None:
    start = replace(contact(), step=0.5)
    whole = column.advance(start, constant(5.0), 1e-5)
    first = column.advance(start, constant(0.5 / HOUR), 1e-5)
    assert first.steps == 1  # the cut lies at the end of the first step of the whole
    rest = Drive(np.array([0.5, 5 * HOUR]), np.ones(2), np.ones(2), np.ones(2))
    second = column.advance(first, rest, 1e-5)
    assert second.steps == whole.steps > 5
    assert np.array_equal(second.y, whole.y)
    assert np.array_equal(second.u, whole.u)


@pytest.mark.parametrize("share", [0.2, 1 / 3, 0.77])
def test_a_history_cut_anywhere_gives_the_same_within_tolerance(share: float) -> None:
    drive = half_cycle()
    time = np.unique(np.append(drive.time, share * drive.time[-1]))
    series = [np.interp(time, drive.time, s) for s in (drive.oxygen, drive.sulfide, drive.thiophosphate)]
    cut = int(np.searchsorted(time, share * drive.time[-1]))
    first, second = (Drive(time[p], *(s[p] for s in series)) for p in (slice(cut + 1), slice(cut, None)))
    whole = column.advance(contact(), drive, 1e-6)
    parts = column.advance(column.advance(contact(), first, 1e-6), second, 1e-6)
    np.testing.assert_allclose(parts.y, whole.y, atol=2e-5 * T0)  # 1e-6 in each of some hundred steps
    for name, amount in column.amounts(whole).items():
        assert column.amounts(parts)[name] == near(amount, rel=1e-4), name  # as above, relative


def test_a_tighter_tolerance_takes_more_steps_and_lands_closer() -> None:
    exact = column.advance(contact(), half_cycle(), 1e-9)
    errors, steps = [], []
    for tolerance in (1e-3, 1e-5):
        found = column.advance(contact(), half_cycle(), tolerance)
        errors.append(float(np.abs(found.y - exact.y).max()) / T0)
        steps.append(found.steps)
    assert steps[0] < steps[1] < exact.steps
    assert errors[1] < 1e-4  # 1e-5 in each step, of which a few dozen add up
    assert errors[1] < 0.2 * errors[0]  # the tolerance is a hundred times tighter


def test_a_drive_is_linear_between_its_nodes_and_constant_outside() -> None:
    time, values = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 1.0])
    assert kernels.line_over(1.0, 0.5, time, values) == near((3.0, 4.0), rel=1e-12)  # a line is itself
    assert kernels.line_over(3.0, 1.0, time, values) == near((3.0, 1.0), rel=1e-12)
    assert kernels.line_over(5.0, 2.0, time, values) == near((1.0, 1.0), rel=1e-12)
    assert kernels.line_over(9.0, 1.0, time[:1], values[:1]) == near((3.0, 3.0), rel=1e-12)
    # from 1 to 4: area (4 + 6)/3; moment (4 * 0.5 + 1/6 + 6 * 2 - 4/3)/9
    left, right = kernels.line_over(1.0, 3.0, time, values)
    area, moment = 10 / 3, (2 + 1 / 6 + 12 - 4 / 3) / 9
    assert 0.5 * (left + right) == near(area, rel=1e-12)  # by hand
    assert (right - left) / 12 + area / 2 == near(moment, rel=1e-12)  # by hand


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20), st.floats(0.0, 21.0), st.floats(0.01, 25.0))
def test_a_step_sees_all_of_a_drive(values: list[float], start: float, span: float) -> None:
    """The line over a step has the drive's mean, its first moment unless it would fall below zero, and never does."""
    time, drive = np.arange(float(len(values))), np.array(values)
    left, right = kernels.line_over(start, span, time, drive)
    inside = time[(time > start) & (time < start + span)]
    x = np.unique(np.concatenate(([start], inside, [start + span])))
    f, s = np.interp(x, time, drive), (x - start) / span
    middle, half = np.interp(0.5 * (x[1:] + x[:-1]), time, drive), 0.5 * (s[1:] + s[:-1])
    mean = float(np.sum(np.diff(s) * 0.5 * (f[1:] + f[:-1])))
    moment = float(np.sum(np.diff(s) * (s[1:] * f[1:] + 4 * half * middle + s[:-1] * f[:-1])) / 6)  # Simpson is exact
    assert 0.5 * (left + right) == pytest.approx(mean, abs=1e-12)  # sums of numbers below one
    assert min(left, right) >= -1e-12
    if min(left, right) > 1e-9:
        assert (right - left) / 12 + mean / 2 == pytest.approx(moment, abs=1e-12)  # as above


def test_the_length_of_steps_does_not_change_a_slow_contacts_exposure() -> None:
    """Half-cycles of an activity that rises by e^6 at their end: two steps take up what thousands do."""
    time = np.linspace(0.0, 18000.0, 65)
    rising = Drive(time, np.exp(6.0 * time / 18000.0 - 6.0), np.ones(65), np.zeros(65))
    slow = contact(PHYSICAL._replace(kappa_0=1e-13))
    coarse, fine = (column.advance(replace(slow, step=18000.0), rising, tol) for tol in (1e-2, 1e-8))
    assert coarse.steps <= 5 < 100 < fine.steps
    assert coarse.u.sum() == near(fine.u.sum(), rel=5e-3)  # sampled at the ends of steps it was 18 % off


def test_a_column_that_cannot_go_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column, "MAX_STEPS", 3)
    with pytest.raises(SolverFailure, match=r"column stalled at a step of .*; loosen numerics\."):
        column.advance(contact(), half_cycle(), 1e-6)


@pytest.mark.parametrize("budget", [1, 7])
def test_a_step_budget_is_spent_to_the_last_step_and_no_further(budget: int) -> None:
    y, u = plain_state()
    given = (PLAIN, mesh(PLAIN_GRID), PLAIN_REACH, DRIVE, 1e-6, np.ones(10), 1.0, 0.0, y, u, workspace(5), budget)
    _, accepted, rejected = kernels.advance(*given)
    assert -accepted - 1 + rejected == budget


def test_a_poisoned_rate_stalls_instead_of_looping() -> None:
    with pytest.raises(SolverFailure, match="stalled"):
        column.advance(contact(PHYSICAL._replace(k1=float("nan"))), half_cycle(), 1e-4)


# Grid


def test_a_graded_grid_fills_its_depth_from_the_first_width() -> None:
    grid = column.graded_grid(120, 0.4e-9, 0.7e-6)
    assert grid.width.sum() == near(0.7e-6, rel=1e-12)  # a sum of 120 widths
    assert grid.width[0] == near(0.4e-9, rel=1e-6)  # the ratio is found by bisection, then scaled
    ratio = grid.width[1:] / grid.width[:-1]
    assert ratio == near(ratio[0], rel=1e-9)  # differences of faces that span three decades
    assert 1.0 < ratio[0] < 1.1
    faces = np.concatenate(([0.0], np.cumsum(grid.width)))
    np.testing.assert_allclose(grid.centre, 0.5 * (faces[1:] + faces[:-1]), rtol=1e-12)  # the same sum again


@pytest.mark.parametrize(
    ("cells", "first"), [(2, 1e-10), (1100, 1e-11), (10_000, 1e-12), (10_000, 7e-11 * (1 - 1e-12))]
)
def test_a_grid_of_more_than_a_thousand_cells_overflowed(cells: int, first: float) -> None:
    """Up to the most that a scenario may ask for; the last is uniform but for a trace."""
    width = column.graded_grid(cells, first, 0.7e-6).width
    assert width.sum() == near(0.7e-6, rel=1e-12)  # a sum of widths
    assert width[0] == near(first, rel=1e-6)  # a difference of faces that span six decades, and a bisection
    assert np.all(np.diff(width) > -1e-9 * width[1:])  # round-off where it is all but uniform


def test_a_grid_with_cells_to_spare_is_uniform() -> None:
    grid = column.graded_grid(100, 1e-9, 2e-8)
    np.testing.assert_allclose(grid.width, 2e-10, rtol=1e-12)  # differences of linspace


def test_a_grid_within_a_depth_keeps_at_least_two_cells() -> None:
    grid = column.graded_grid(120, 0.4e-9, 0.7e-6)
    assert np.all(grid.within(REACH).centre < REACH)
    assert grid.within(REACH).faces[-1] == near(REACH, rel=1e-12)
    assert np.array_equal(grid.within(REACH).width[:-1], np.diff(grid.within(REACH).faces)[:-1])
    assert grid.within(1e-12).width.size == 2


# Signs of the boundary and of the flux, by hand


def test_four_cells_written_out_by_hand() -> None:
    """Widths 1, 1, 2, 2, D = 1: centres 1, 1.5, 2 apart; N = K (2 - O_1)/(1 + K/2) with K = 2."""
    inert = PLAIN._replace(k1=0.0, k2=0.0, k4=0.0, k3=0.0, k3b=0.0, d0=1.0, beta=0.0)
    p = inert._replace(c_eq=2.0, kappa_0=2.0, kappa_cov=0.0, exposed=1.0, r_gap=0.0, v=0.0)
    width, rest, activity = np.array([1.0, 1.0, 2.0, 2.0]), np.zeros(4), 1.0
    matrix = np.array([
        [-1 - 1, 1, 0, 0],
        [1, -1 - 2 / 3, 2 / 3, 0],
        [0, 1 / 3, -1 / 3 - 1 / 4, 1 / 4],
        [0, 0, 1 / 4, -1 / 4],
    ])  # fmt: skip
    inflow = np.array([2.0, 0.0, 0.0, 0.0])
    for o in (np.zeros(4), np.array([0.3, 0.7, 0.2, 0.9]), np.full(4, 2.0), np.eye(4)[3]):
        y, dy, du = np.zeros((10, 4)), np.empty((10, 4)), np.empty(2)
        y[0] = o
        y[1] = p.t0
        d, bc = np.empty(4), np.empty(10)
        kernels.right_side(p, width, rest, activity, 0.0, 0.0, y, np.zeros(2), d, bc, dy, du)
        np.testing.assert_allclose(dy[0], matrix @ o + inflow, atol=1e-14)  # numbers near one
        assert du[0] == pytest.approx(2.0 - o[0], abs=1e-14)  # oxygen enters while O_1 lies below equilibrium
        assert np.all(dy[1:] == 0.0)


def test_boundary_fluxes_by_hand() -> None:
    """kappa_0 f = 2, barrier 0.25 + 0.5 0.5 = 0.5: K_gap = 0.5; K_cov = 0.25; g = 1/(1 + 0.75 2/3) = 2/3."""
    p = PLAIN._replace(c_eq=2.0, kappa_0=4.0, kappa_cov=0.5, exposed=0.5, r_gap=0.25, v=0.5, beta=0.0)
    out = np.empty(10)
    kernels.boundary(p, p.exposed, p.kappa_cov, 0.5, 0.5, 1.5, 1.0, 0.5, out)
    assert out[0] == near(0.5 * 1.5 * 2 / 3, rel=1e-15)  # by hand
    assert out[1] == near(0.25 * 1.5 * 2 / 3, rel=1e-15)  # by hand


def test_reactions_by_hand() -> None:
    """One closed cell with O 2, T 3, F 5, S 7 and their exposed parts 11, 13: every rate by hand."""
    p = PLAIN._replace(k1=0.1, k2=0.2, k4=0.3, k3=0.4, k3b=0.5, kappa_0=0.0, kappa_cov=0.0)
    y = np.zeros((10, 2))
    y[:4] = np.array([[2.0], [3.0], [5.0], [7.0]])
    y[8], y[9] = 11.0, 13.0
    dy, du, d, bc = np.empty((10, 2)), np.empty(2), np.empty(2), np.empty(10)
    width, weight = np.ones(2), np.array([0.5, 0.0])
    kernels.right_side(p, width, weight, 1.0, 0.9, 0.8, y, np.zeros(2), d, bc, dy, du)
    r1, r2, r4, r3, r3b = 0.6, 2.0, 4.2, 1.98, 2.6
    near = [-27.2, -r1 - r3b, -r2 - r3, 2.4 + r3 + 3.9 - r4, r1, r2 + r4, r3b, r3, -4.4 - r3, -2.6 - r3b]
    far = [-27.2, -r1, -r2, 2.4 - r4, r1, r2 + r4, 0.0, 0.0, -4.4, -2.6]
    np.testing.assert_allclose(dy[:, 0], near, rtol=1e-14)  # by hand
    np.testing.assert_allclose(dy[:, 1], far, rtol=1e-14)  # by hand


# The eliminated solve


def flat_right_side(drives: tuple[Any, Any, Any], x: Any) -> Any:
    """The kernel's right side on a flat vector (10 n + 2); plain Python, so it takes complex numbers."""
    n = PLAIN_GRID.size
    y, u = x[:-2].reshape(10, n), x[-2:]
    kind = np.result_type(x, *drives)
    dy, du, d, bc = np.zeros((10, n), kind), np.zeros(2, kind), np.zeros(n, kind), np.zeros(10, kind)
    interpreted().right_side(PLAIN, PLAIN_GRID, PLAIN_REACH, *drives, y, u, d, bc, dy, du)
    return np.concatenate((dy.ravel(), du))


def differentiate(function: Callable[[Any], Any], x: Array) -> Array:
    """Dense Jacobian by complex steps: a finite difference without cancellation."""
    columns = [function(x + 1e-30j * unit).imag / 1e-30 for unit in np.eye(x.size)]
    return np.array(columns).T


@pytest.mark.parametrize("step", [0.01, 1.0, 100.0])
def test_the_eliminated_solve_inverts_the_dense_jacobian(step: float) -> None:
    drives, a = (0.5, 0.4, 0.7), 2.0 / step
    y, u = plain_state()
    n = y.shape[1]
    x = np.concatenate((y.ravel(), u))
    jacobian = differentiate(lambda x: flat_right_side(drives, x), x)
    ws = workspace(n)
    kernels.right_side(PLAIN, PLAIN_GRID, PLAIN_REACH, *drives, y, u, ws.d, ws.bc[0], ws.f, ws.fu)
    u_o = kernels.factorise(PLAIN, PLAIN_GRID, PLAIN_REACH, *drives[1:], a, y, ws.d, ws.bc[0], *factors(ws))
    for unit in np.eye(x.size):
        rhs, rhs_u = unit[:-2].reshape(10, n).copy(), unit[-2:].copy()
        kernels.solve_stage(PLAIN, PLAIN_GRID, PLAIN_REACH, *drives[1:], a, y, ws.bc[0], *factors(ws), u_o, rhs, rhs_u)
        dense = np.linalg.solve(a * np.eye(x.size) - jacobian, unit)
        scale = float(np.abs(dense).max())
        found = np.concatenate((rhs.ravel(), rhs_u))
        round_off = 1e-11 * scale  # a missing term shows at 1e-2
        np.testing.assert_allclose(found, dense, atol=round_off)


def test_the_time_derivative_follows_the_drives() -> None:
    drives, slopes = np.array([0.5, 0.4, 0.7]), np.array([0.3, -0.2, 0.9])
    y, u = plain_state()
    x = np.concatenate((y.ravel(), u)).astype(complex)
    expected = flat_right_side(tuple(drives + 1e-30j * slopes), x).imag / 1e-30
    ws = workspace(y.shape[1])
    kernels.right_side(PLAIN, PLAIN_GRID, PLAIN_REACH, *drives, y, u, ws.d, ws.bc[0], ws.f, ws.fu)
    kernels.time_derivative(PLAIN, PLAIN_GRID, PLAIN_REACH, tuple(slopes), y, ws.bc[0], ws.ft, ws.ftu)
    found = np.concatenate((ws.ft.ravel(), ws.ftu))
    np.testing.assert_allclose(found, expected, atol=1e-14)  # complex steps are exact to round-off


# Compiled against interpreted

DRIVE = tuple(np.array(x) for x in ([0.0, 0.4, 1.0], [0.2, 0.9, 0.5], [0.1, 0.8, 0.6], [0.0, 0.3, 0.9]))


def factors(ws: kernels.Workspace) -> tuple[Array, Array, Array]:
    return ws.aff, ws.inverse, ws.tri


def prepared(n: int = PLAIN_GRID.size) -> tuple[Array, Array, kernels.Workspace, float]:
    """A state with boundary, factors and workspace of one step filled in."""
    y, u = plain_state(n)
    ws = workspace(n)
    scope = interpreted()
    scope.right_side(PLAIN, PLAIN_GRID, PLAIN_REACH, 0.5, 0.4, 0.7, y, u, ws.d, ws.bc[0], ws.f, ws.fu)
    u_o = scope.factorise(PLAIN, PLAIN_GRID, PLAIN_REACH, 0.4, 0.7, 2.0, y, ws.d, ws.bc[0], *factors(ws))
    return y, u, ws, u_o


PLACES = np.array([0, 1, 3]), np.array([1, 2, 4]), np.array([0.0, 0.3, 0.9])


def arguments(name: str) -> tuple[Any, ...]:
    """Fresh arguments of a kernel on five cells."""
    y, u, ws, u_o = prepared()
    p, dz, w = PLAIN, PLAIN_GRID, PLAIN_REACH
    volumes = np.linspace(0.2, 0.9, 8)
    if name.startswith(("cell_", "band_")):
        return ringed_arguments(name)
    table: dict[str, tuple[Any, ...]] = {
        "line_over": (0.7, 0.4, DRIVE[0], DRIVE[1]),
        "value_at": (0.7, DRIVE[0], DRIVE[1], 0),
        "boundary": (p, p.exposed, p.kappa_cov, 0.5, 0.3, 0.7, 0.1, 0.2, np.empty(10)),
        "diffusivity": (p, y, np.empty(5)),
        "right_side": (p, dz, w, 0.5, 0.4, 0.7, y, u, ws.d, ws.bc[0], ws.f, ws.fu),
        "factorise": (p, dz, w, 0.4, 0.7, 2.0, y, ws.d, ws.bc[0], *factors(ws)),
        "solve_stage": (p, dz, w, 0.4, 0.7, 2.0, y, ws.bc[0], *factors(ws), u_o, ws.f, ws.fu),
        "react": (p, w, 0.4, 0.7, y, np.empty((10, 5))),
        "eliminate": (p, w, 0.4, 0.7, 2.0, y, np.empty((5, 5)), np.empty((5, 5)), np.empty(5)),
        "condense": (p, w, 0.4, 0.7, y, ws.inverse, ws.f),
        "expand": (p, w, 0.4, 0.7, 2.0, y, ws.aff, ws.f),
        "react_in_time": (p, w, -0.2, 0.9, y, np.empty((10, 5))),
        "slope_at": (p, mesh(dz), w, (0.5, 0.4, 0.7), y, u, ws.d, ws.bc, ws.f, ws.fu),
        "linearise": (p, mesh(dz), w, 0.4, 0.7, 2.0, (0.3, -0.2, 0.9), y, ws),
        "stage": (p, mesh(dz), w, 0.4, 0.7, 2.0, y, ws, 0),
        "time_derivative": (p, dz, w, (0.3, -0.2, 0.9), y, ws.bc[0], ws.ft, ws.ftu),
        "blend": (5, np.empty((10, 5)), y, y, 2.0, y**2, -1.0, y, 0.5),
        "rosenbrock_step": (p, mesh(dz), w, 0.1, 0.05, DRIVE, y, u, ws),
        "busy": (mesh(dz), np.zeros(5), 0.9, np.array([0.3, 1.0, 0.2, 0.9, 0.1])),
        "whole_rows": (mesh(dz), 2, 1),
        "leading": (mesh(dz), 3),
        "step_where_busy": (p, mesh(dz), w, 0.1, 0.05, DRIVE, y, u, ws),
        "larger": (0.7, -0.3, 0.4),
        "error_norm": (5, 1e-3, np.ones(10), 1.0, y, u, tried(y)),
        "advance": (p, mesh(dz), w, DRIVE, 1e-4, np.ones(10), 1.0, 0.0, y, u, ws, 1000),
        "effective_conductivity": ((0.3, 0.2, 0.5), (0.2, 0.01, 1e-6)),
        "layer_conductivity": (y, *PLACES, p.t0, volumes, (0.2, 0.01, 1e-6), np.empty(3)),
    }
    return table[name]


def ringed_arguments(name: str) -> tuple[Any, ...]:
    """Fresh arguments of a kernel on a small unit cell, with boundary and factors filled in."""
    grid, ws = ringed.small(), ringed.workspace(ringed.small())
    (y, u, w), p, m, scope = ringed.state(grid), PLAIN, grid.mesh, interpreted()
    scope.cell_right_side(p, m, w, 0.5, 0.4, 0.7, y, u, ws.d, ws.bc, ws.f, ws.fu)
    scope.cell_factorise(p, m, w, 0.4, 0.7, 2.0, y, ws.d, ws.bc, ws)
    band = np.ones((y.shape[1], 5)) * np.array([9.0, -1.0, -0.5, -0.2, -0.7])
    table: dict[str, tuple[Any, ...]] = {
        "cell_right_side": (p, m, w, 0.5, 0.4, 0.7, y, u, ws.d, ws.bc, ws.f, ws.fu),
        "cell_factorise": (p, m, w, 0.4, 0.7, 2.0, y, ws.d, ws.bc, ws),
        "cell_solve": (p, m, w, 0.4, 0.7, 2.0, y, ws.d, ws.bc, ws, ws.f, ws.fu),
        "cell_time_derivative": (p, m, w, (0.3, -0.2, 0.9), y, ws.bc, ws.ft, ws.ftu),
        "band_factorise": (False, m.envelope, band, 0.9 * band),
        "band_solve": (m.envelope, ws.upper, ws.lower, y[0]),
    }
    return table[name]


@pytest.mark.parametrize("beta", [0.0, PLAIN.beta])
def test_a_step_on_rings_is_the_same_compiled_and_interpreted(beta: float) -> None:
    """The kernels that choose between column and rings, and the symmetric solve."""
    grid, p = ringed.small(), PLAIN._replace(beta=beta)
    found = []
    for scope in (kernels, interpreted()):
        ws, (y, u, w) = ringed.workspace(grid), ringed.state(grid)
        steps = scope.advance(p, grid.mesh, w, DRIVE, 1e-4, np.ones(10), 1.0, 0.0, y, u, ws, 1000)
        found.append((steps[1:], y, u))
    assert found[0][0] == found[1][0]
    for k in (1, 2):
        np.testing.assert_allclose(found[0][k], found[1][k], rtol=1e-10, atol=1e-12)  # over a dozen steps


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_every_kernel_computes_the_same_compiled_and_interpreted(name: str) -> None:
    fast, slow = arguments(name), arguments(name)
    results = COMPILED[name](*fast), getattr(interpreted(), name)(*slow)
    if results[1] is not None:
        for left, right in zip(*(flattened((result,)) for result in results), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-12)  # compilers reorder sums and fuse multiply-adds
    for left, right in zip(flattened(fast), flattened(slow), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-12)  # the same over ten steps


def flattened(given: tuple[Any, ...]) -> list[Any]:
    """The arguments or results of a kernel with its workspace or mesh taken apart."""
    return [part for x in given for part in (x if isinstance(x, kernels.Workspace | kernels.Mesh) else (x,))]


# A stale cache

USE_KERNEL = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
import edited
y, u = np.ones((10, 2)), np.zeros(2)
dy, du, d, bc = np.empty((10, 2)), np.empty(2), np.empty(2), np.empty(10)
p = edited.Rates(*[1.0] * 14)._replace(beta=0.0, kappa_0=0.0, kappa_cov=0.0)
edited.right_side(p, np.ones(2), np.ones(2), 1.0, 0.0, 0.0, y, u, d, bc, dy, du)
print(dy[4, 0], sum(edited.right_side.stats.cache_hits.values()))
"""


def test_an_edited_kernel_is_compiled_anew(tmp_path: Path) -> None:
    source = Path(kernels.__file__).read_text(encoding="utf-8")
    rate = "r1 = p.k1 * o * y[1, i]"
    assert source.count(rate) == 1
    copy = tmp_path / "edited.py"

    def run() -> tuple[float, int]:
        """Formation of phosphate, and how often it came from the cache, in a fresh interpreter."""
        code, cache = USE_KERNEL.format(folder=str(tmp_path)), {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | cache)
        value, hits = done.stdout.split()
        return float(value), int(hits)

    copy.write_text(source, encoding="utf-8")
    assert run() == (1.0, 0)
    assert run() == (1.0, 1)
    copy.write_text(source.replace(rate, rate.replace("p.k1", "3.0 * p.k1")), encoding="utf-8")
    assert run() == (3.0, 0)


def test_all_compiled_code_lies_in_one_file() -> None:
    """Numba's cache follows the file of a kernel only: a callee in another file would go stale."""
    assert {f.py_func.__code__.co_filename for f in COMPILED.values()} == {kernels.__file__}


# Conductivity of the layer

SIGMAS = (0.4, 0.01, 1e-8)


@pytest.mark.parametrize("phase", range(3))
def test_a_pure_phase_conducts_like_itself(phase: int) -> None:
    shares = tuple(float(k == phase) for k in range(3))
    found = kernels.effective_conductivity(shares, SIGMAS)
    assert found == near(SIGMAS[phase], rel=1e-12)  # bounds 1e-14 apart


@pytest.mark.parametrize("ratio", [0.0, 1e-3, 0.2, 30.0])
def test_dilute_spheres_follow_maxwell(ratio: float) -> None:
    """sigma/sigma_0 = 1 + 3 phi (r - 1)/(r + 2) for few spheres of conductivity r sigma_0."""
    phi = 1e-4
    inclusion = max(ratio, 1e-12) * SIGMAS[0]
    found = kernels.effective_conductivity((1 - phi, 0.0, phi), (SIGMAS[0], SIGMAS[0], inclusion)) / SIGMAS[0]
    assert found - 1 == near(3 * phi * (ratio - 1) / (ratio + 2), rel=3e-3)  # next term phi squared


@pytest.mark.parametrize(("insulating", "expected"), [(0.2, 0.7), (0.5, 0.25), (0.6, 0.1)])
def test_a_conducting_skeleton_fades_linearly_to_the_threshold(insulating: float, expected: float) -> None:
    found = kernels.effective_conductivity((1 - insulating, 0.0, insulating), (0.4, 0.01, 1e-12)) / 0.4
    assert found == near(expected, rel=1e-8)  # 1 - 3 phi/2 for perfect insulators


def test_beyond_two_thirds_the_insulator_blocks() -> None:
    sigmas = (0.4, 0.01, 1e-12)
    below, above, found = (kernels.effective_conductivity((1 - x, 0.0, x), sigmas) for x in (0.66, 0.674, 0.9))
    assert below > 1e-3
    assert above < 1e-10
    assert found == near(1e-12 / 0.7, rel=1e-8)  # sigma_i/(3 phi - 2) between perfect conductors


def test_three_phases_solve_the_cubic() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        shares = rng.dirichlet(np.ones(3))
        sigmas = 10.0 ** rng.uniform(-6, 0, 3)
        s = np.polynomial.Polynomial([0.0, 1.0])
        factors = [sigmas[k] + 2 * s for k in range(3)]
        cubic = sum(shares[k] * (sigmas[k] - s) * factors[k - 1] * factors[k - 2] for k in range(3))
        (root,) = [z.real for z in cubic.roots() if abs(z.imag) < 1e-9 * abs(z) and z.real > 0]
        found = kernels.effective_conductivity(tuple(shares), tuple(sigmas))
        assert found == near(root, rel=1e-8)  # roots of a cubic whose coefficients span decades


def test_the_tangents_meet_where_bisection_ends() -> None:
    """Phases decades apart, shares down to traces: the root that 60 halvings of ln s find, and sums that vanish."""
    rng = np.random.default_rng(5)
    for _ in range(500):
        phi, s = rng.dirichlet(np.full(3, 10.0 ** rng.uniform(-2, 1))), 10.0 ** rng.uniform(-10, 0, 3)
        found = kernels.effective_conductivity(tuple(phi), tuple(s))
        lo, hi = float(s.min()), float(s.max())
        for _ in range(60):
            mid = math.sqrt(lo * hi)
            lo, hi = (mid, hi) if phi @ ((s - mid) / (s + 2 * mid)) > 0 else (lo, mid)
        assert found == near(lo, rel=1e-12)  # round-off of the sum, found 4e-14
        slope = phi @ (3 * s * found / (s + 2 * found) ** 2)  # by ln s
        assert abs(phi @ ((s - found) / (s + 2 * found))) < 1e-12 * slope  # the same, as a residual


def test_phase_rules_by_hand() -> None:
    """T 3, F 1 of 5: one Li6PS5Cl, two Li3PS4, four lost; excess sulfide the other way round."""
    volumes = np.array([10.0, 7.0, 3.0, 2.0, 5.0, 4.0, 1.0, 6.0])
    y = np.zeros((10, 2))
    y[1], y[2] = (3.0, 1.0), (1.0, 3.0)
    y[3], y[4], y[5], y[6] = 0.5, 0.25, 0.75, 0.1
    products = 2.0 * 4 + 5.0 * 0.25 + 4.0 * 0.75 + 1.0 * 0.5 + 6.0 * 0.1
    out = np.empty(2)
    cells = np.arange(2)
    kernels.layer_conductivity(y, cells, cells, np.zeros(2), 5.0, volumes, SIGMAS, out)
    for k, parts in enumerate([(10.0, 14.0, products), (10.0, 0.0, products + 6.0)]):
        total = sum(parts)
        expected = kernels.effective_conductivity(tuple(v / total for v in parts), SIGMAS)
        assert out[k] == near(expected, rel=1e-12)  # the same shares


def test_a_pristine_contact_has_no_layer() -> None:
    fresh, volumes = contact(), np.full(8, 1e-4)
    assert column.layer_thickness(fresh) == 0.0
    assert column.layer_resistance(fresh, volumes, SIGMAS) == 0.0


def test_amounts_are_kept_between_other_faces() -> None:
    """Finer, coarser, and beyond the column's end, where the electrolyte is pristine."""
    exposed = PHYSICAL._replace(exposed=1.0)
    after, pristine = column.advance(contact(exposed, 20, 10e-9), half_cycle(), 1e-3), contact(exposed).y[:, 0]
    faces = np.array([0.0, 0.3e-9, 0.5e-9, 4e-9, 9e-9, 12e-9, 20e-9])
    found = column.spread(after, faces)
    total = after.y @ after.grid.width + 10e-9 * pristine
    np.testing.assert_allclose(found @ np.diff(faces), total, rtol=1e-12)  # the same sum in other parts
    assert found[:, -1].tolist() == pristine.tolist()
    np.testing.assert_allclose(column.spread(after, after.grid.faces), after.y, rtol=1e-9, atol=1e-12 * T0)  # as above


def front(place: float, width: float) -> Column:
    """Electrolyte turned to phosphate on 40 cells of 0.5 nm, up to a smooth front of a place and a width [m]."""
    grid = column.graded_grid(40, 5e-10, 20e-9)
    fresh = Column(grid, PHYSICAL, np.zeros(40), np.zeros((10, 40)), np.zeros(2))
    fresh.y[kernels.PO4] = T0 / 2 * (1 - np.tanh((grid.centre - place) / width))
    fresh.y[kernels.PS4] = fresh.y[kernels.S2] = T0 - fresh.y[kernels.PO4]
    return fresh


def test_a_converted_layer_resists_like_its_thickness() -> None:
    """Wholly turned to insulating products it adds L (1/sigma - 1/sigma_SE)."""
    found = column.layer_resistance(front(1.0, 1e-9), np.full(8, 1e-4), SIGMAS)
    assert found == near(20e-9 * (1e8 - 1 / 0.4), rel=1e-12)  # a pure phase


def test_conductivity_near_the_surface_is_that_of_slices_in_series() -> None:
    """Electrolyte and insulator at any depth, and half of each."""
    whole, blocked = front(-1.0, 1e-9), front(1.0, 1e-9)
    for depth in (1e-12, 2e-9, 1.0):
        assert column.near_conductivity(whole, np.full(8, 1e-4), SIGMAS, depth) == near(0.4, rel=1e-12)
        assert column.near_conductivity(blocked, np.full(8, 1e-4), SIGMAS, depth) == near(1e-8, rel=1e-12)
    between = column.near_conductivity(front(1e-9, 1e-10), np.full(8, 1e-4), SIGMAS, 2e-9)
    assert between == pytest.approx(2e-8, rel=0.15)  # to half a slice of the front's place


def test_a_front_that_passed_cell_after_cell_made_the_resistance_climb_in_steps() -> None:
    """A front 1 nm wide moves by a tenth of a cell at a time; each move must add about as much."""
    places = 5e-9 + 5e-11 * np.arange(60)
    ohms = [column.layer_resistance(front(z, 1e-9), np.full(8, 1e-4), SIGMAS) for z in places]
    added = np.diff(ohms) / (5e-11 * 1e8)
    assert np.all(np.abs(added - 1) < 0.1)  # found 0.08; summed cell by cell it is 0.31
