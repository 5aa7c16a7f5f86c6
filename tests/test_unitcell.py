"""The unit cell: its grid, its solve, what it conserves, and the limits in which it is a column."""

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ringed
from closeness import near
from hypothesis import given, settings
from hypothesis import strategies as st
from test_column import PHYSICAL, PLAIN, REACH, T0, constant, differentiate, half_cycle, interpreted

from interphase_sim.errors import InputError
from interphase_sim.interphase import column, contacts, kernels, unitcell
from interphase_sim.interphase.column import Column
from interphase_sim.interphase.contact_models.unit_cell import UnitCell
from interphase_sim.interphase.kernels import Array, Rates
from interphase_sim.interphase.unitcell import Block, Fineness, Geometry, Rings
from interphase_sim.scenario import Numerics, load_scenario
from validation.verification import balances, manufactured
from validation.verification.manufactured import STEADY, slopes

NM = 1e-9
AREAS = {"ncm": 300.0, "carbon": 500.0, "collector": 10.0}
GEOMETRY = Geometry(gap=7.5 * NM, disc=30 * NM, thickness=15 * NM, available=200 * NM)
SIGMAS = (0.4, 0.01, 1e-8)
VOLUMES = np.array([144.3, 96.3, 27.7, 20.5, 46.7, 49.5, 15.5, 53.2]) * 1e-6
# of a unit cell: exchange per exposed and per covered area
RATES = PHYSICAL._replace(exposed=1.0, r_gap=0.0)


def cell(rates: Rates = RATES, geometry: Geometry = GEOMETRY, across: int = 12, along: int = 30) -> Column:
    edge = min(0.5 * NM, geometry.gap / 8)
    return unitcell.new_cell(unitcell.rings(geometry, Fineness(across, along, edge)), rates, REACH)


def rings_of(contact: Column) -> Rings:
    assert isinstance(contact.grid, Rings)
    return contact.grid


# Grid


def test_there_is_as_much_electrolyte_as_in_the_column() -> None:
    grid = unitcell.rings(GEOMETRY, Fineness(12, 30, 0.5 * NM))
    assert grid.width.sum() == near(200 * NM, rel=1e-12)  # a sum of cells
    assert grid.share.sum() == near(1.0, rel=1e-12)  # a sum of squares
    in_gap = grid.width[grid.centre < 15 * NM].sum()
    assert in_gap == near(15 * NM / 16, rel=1e-12)  # h (r_p/r_c)^2
    assert grid.height[-1] == near((200 + 15 * 15 / 16) * NM, rel=1e-12)  # Z + theta h


def test_cells_are_finest_at_the_rim_the_oxide_and_the_coating() -> None:
    grid = unitcell.rings(GEOMETRY, Fineness(20, 60, 0.5 * NM))
    dr, dz, k, j = np.diff(grid.radius), np.diff(grid.height), grid.gap_rings, grid.gap_rows
    assert grid.radius[k] == near(7.5 * NM, rel=1e-12)  # sums of widths
    assert grid.height[j] == near(15 * NM, rel=1e-12)  # sums of widths
    for width in (dr[k - 1], dr[k], dz[0], dz[j - 1], dz[j]):
        assert width == near(0.5 * NM, rel=1e-6)  # the ratio is found by bisection, then scaled
    assert np.all(np.diff(dr[:k]) < 0)
    assert np.all(np.diff(dr[k:]) > 0)
    assert np.all(np.diff(dz[j:]) > 0)


def test_halved_edges_and_doubled_numbers_halve_every_cell() -> None:
    coarse, fine = (unitcell.rings(GEOMETRY, Fineness(12 * k, 40 * k, 0.5 * NM / k)) for k in (1, 2))
    for name in ("radius", "height"):
        ratio = np.diff(getattr(fine, name)).max() / np.diff(getattr(coarse, name)).max()
        assert ratio == near(0.5, rel=0.1)  # numbers of cells are whole
    assert abs(fine.gap_rings - 2 * coarse.gap_rings) <= 1
    assert abs(fine.gap_rows - 2 * coarse.gap_rows) <= 2


def test_a_gap_wider_than_its_disc_is_refused() -> None:
    with pytest.raises(InputError, match=r"gap of radius 4e-08 m does not fit its disc; at most 3e-08 m"):
        unitcell.rings(replace(GEOMETRY, gap=40 * NM), Fineness(20, 40, NM))


def test_electrolyte_below_the_top_of_the_coating_ended_in_a_traceback() -> None:
    """Half the disc is gap, so 15 of 30 nm of coating stand out of the electrolyte's 15 nm."""
    low = Geometry(gap=10 * NM, disc=10 * math.sqrt(2) * NM, thickness=30 * NM, available=15 * NM * (1 - 1e-9))
    cut = Fineness(12, 30, 0.5 * NM)
    with pytest.raises(InputError, match=r"kinetics\.layer\.electrolyte_available: .* more than 15 nm does"):
        unitcell.rings(low, cut)
    unitcell.rings(Geometry(low.gap, low.disc, low.thickness, 16 * NM), cut)


@pytest.mark.parametrize(("across", "along", "name"), [(8, 60, "rings"), (20, 5, "rows")])
def test_a_grid_too_coarse_for_the_gap_names_the_smallest_that_is_not(across: int, along: int, name: str) -> None:
    with pytest.raises(InputError, match=rf"unit_cell_{name}: .* the smallest number that does is (\d+)") as refusal:
        unitcell.rings(GEOMETRY, Fineness(across, along, 0.5 * NM))
    enough = int(str(refusal.value).split()[-1])
    numbers = {"rings": (enough, 60), "rows": (20, enough)}[name]
    assert unitcell.rings(GEOMETRY, Fineness(*numbers, 0.5 * NM)).gap_rings >= Fineness._field_defaults["fewest"]
    too_few = {"rings": (enough - 1, 60), "rows": (20, enough - 1)}[name]
    with pytest.raises(InputError):
        unitcell.rings(GEOMETRY, Fineness(*too_few, 0.5 * NM))


def test_electrons_reach_around_the_rim_but_not_through_the_coating() -> None:
    thin = replace(GEOMETRY, thickness=2 * NM)
    grid = unitcell.rings(thin, Fineness(30, 60, 0.2 * NM))
    weight = grid.full(unitcell.electron_reach(grid, 3 * NM))
    middle = 0.5 * (grid.radius[1:] + grid.radius[:-1])
    k, j = grid.gap_rings, grid.gap_rows
    np.testing.assert_allclose(weight[:, 0], np.maximum(0, 1 - grid.middle / (3 * NM)), atol=1e-12)  # straight up
    way = 2 * NM + math.hypot(middle[k] - 7.5 * NM, grid.middle[j] - 2 * NM)
    assert weight[j, k] == near(1 - way / (3 * NM), rel=1e-9)  # differences of lengths
    assert np.all(weight[j:, -1] == 0.0)


def test_rings_far_from_the_mouth_are_one_cell() -> None:
    grid = unitcell.rings(replace(GEOMETRY, gap=2 * NM, disc=4 * NM), Fineness(20, 60, 0.25 * NM))
    k, j, one = grid.gap_rings, grid.gap_rows, grid.number[:, 0]
    apart = np.where(grid.height[1:] <= 10 * NM, True, grid.height[:-1] >= 25 * NM)  # 15 nm less 2.5 gaps, plus discs
    assert np.array_equal(grid.number[:j, k - 1] == one[:j], apart[:j])
    assert np.array_equal(grid.number[j:, -1] == one[j:], apart[j:])
    assert 0 < np.sum(apart[:j]) < j
    assert grid.level == j + np.sum(~apart[j:])
    assert grid.width.size == np.sum(apart) + k * np.sum(~apart[:j]) + 20 * np.sum(~apart[j:])
    values = np.random.default_rng(1).uniform(0, 1, grid.width.size)
    np.testing.assert_allclose(grid.mean(grid.full(values, 0.0)), values, rtol=1e-12)  # sums of shares


def test_one_cell_for_rings_far_from_the_mouth_changes_next_to_nothing() -> None:
    """Shipped numbers: amounts and resistance on levelled rows and on rings everywhere."""
    s = contacts.setting(load_scenario("coated"), AREAS, 0.47)
    assert isinstance(s.model, UnitCell)
    levelled, fresh = s.model.rings, contacts.pristine(s).ncm[0]
    whole = unitcell.between(levelled.geometry, levelled.radius, levelled.height, levelled.gap_rings, levelled.gap_rows)
    assert levelled.width.size < 0.4 * whole.width.size
    found = []
    for grid in (levelled, whole):
        round_ = unitcell.new_cell(grid, fresh.rates, s.kinetics.reactions.reach.si)
        for drive in (constant(30.0, sulfide=0.0, thiophosphate=0.0), *10 * [half_cycle()]):
            round_ = column.advance(round_, drive, 1e-4)
        _, sigma = column.conductivity_profile(round_, s.volumes, s.sigmas)
        resistance = unitcell.ionic_resistance(grid, sigma, s.model.block, s.sigmas[0])
        found.append({**column.amounts(round_), "resistance": resistance})
    for name, value in found[1].items():
        assert found[0][name] == near(value, rel=1e-3), name


# Signs of the fluxes, by hand


def test_fluxes_between_rings_by_hand() -> None:
    """D = 1, no inlets: V dO/dt = sum of A_face/(distance) (O' - O), all over pi r_c^2."""
    grid = ringed.small()
    p = PLAIN._replace(k1=0, k2=0, k4=0, k3=0, k3b=0, d0=1.0, beta=0.0, kappa_0=0.0, kappa_cov=0.0)
    y, u, w = ringed.state(grid)
    ws = ringed.workspace(grid)
    kernels.cell_right_side(p, grid.mesh, w, 1.0, 1.0, 1.0, y, u, ws.d, ws.bc, ws.f, ws.fu)
    o, found = grid.full(y[0]), grid.full(ws.f[0])
    area = 1.3**2
    # the ring at the axis on the floor: outwards at r = 0.35 over 0.3, upwards over 0.25
    sides = 2 * 0.35 * 0.2 / 0.3 * (o[0, 1] - o[0, 0])
    top = 0.35**2 / 0.25 * (o[1, 0] - o[0, 0])
    assert found[0, 0] == near((sides + top) / (0.35**2 * 0.2), rel=1e-12)  # by hand
    # the ring at the wall of the gap: nothing outwards
    sides = 2 * 0.35 * 0.2 / 0.3 * (o[0, 0] - o[0, 1])
    top = (0.6**2 - 0.35**2) / 0.25 * (o[1, 1] - o[0, 1])
    assert found[0, 1] == near((sides + top) / ((0.6**2 - 0.35**2) * 0.2), rel=1e-12)  # by hand
    # above the coating's rim: nothing downwards
    sides = 2 * 0.6 * 0.3 / 0.275 * (o[2, 1] - o[2, 2]) + 2 * 0.9 * 0.3 / 0.35 * (o[2, 3] - o[2, 2])
    top = (0.9**2 - 0.6**2) / 0.35 * (o[3, 2] - o[2, 2])
    assert found[2, 2] == near((sides + top) / ((0.9**2 - 0.6**2) * 0.3), rel=1e-12)  # by hand
    assert float(ws.f[0] @ grid.width) == pytest.approx(0.0, abs=1e-15)  # nothing is lost; terms near one
    assert grid.mesh.share @ np.ones(4) * area == near(area, rel=1e-12)  # shares sum to one


def test_oxygen_enters_by_the_floor_of_the_gap_and_the_top_of_the_coating() -> None:
    grid = ringed.small()
    p = PLAIN._replace(beta=0.0, r_gap=0.0, v=0.0, kappa_0=2.0, kappa_cov=0.5)
    y, u, w = ringed.state(grid)
    ws = ringed.workspace(grid)
    kernels.cell_right_side(p, grid.mesh, w, 0.5, 0.0, 0.0, y, u, ws.d, ws.bc, ws.f, ws.fu)
    o = grid.full(y[0])
    gap = grid.share[:2] * (p.c_eq - o[0, :2]) / (1 / (2.0 * 0.5) + 0.1 / p.d0)
    top = grid.share[2:] * (p.c_eq - o[2, 2:]) / (1 / (0.5 * 0.5) + 0.15 / p.d0)
    np.testing.assert_allclose(ws.fu, [*gap, 0, 0, 0, 0, *top], rtol=1e-12)  # by hand


def test_the_inlet_of_a_single_ring_over_the_coating_is_never_left_out() -> None:
    """It lies above all others; untouched electrolyte up to it belongs to every step."""
    height = np.array([0.0, 0.2, 0.5, 0.8, 1.2])
    radius = np.array([0.0, 0.35, 0.6, 0.9, 1.3])
    geometry = Geometry(0.9, 1.3, 0.5, 1.2 - 0.5 * (1 - (0.9 / 1.3) ** 2))
    mesh = unitcell.between(geometry, radius, height, 3, 2).mesh
    nothing = np.zeros(mesh.volume.size)
    assert mesh.inlet.tolist() == [0, 1, 2, 9]
    assert kernels.busy(mesh, nothing, 1.0, nothing) == 10


# The eliminated solve


def flat_right_side(grid: Rings, p: Rates, w: Array, drives: tuple[float, float, float], x: Any) -> Any:
    """The kernel's right side on a flat vector; plain Python, so it takes complex numbers."""
    n, m = grid.width.size, grid.share.size
    y, u = x[: 10 * n].reshape(10, n), x[10 * n :]
    dy, du, d, bc = (np.zeros(shape, x.dtype) for shape in ((10, n), 2 * m, n, (m, 10)))
    _plain().cell_right_side(p, grid.mesh, w, *drives, y, u, d, bc, dy, du)
    return np.concatenate((dy.ravel(), du))


@functools.cache
def _plain() -> Any:
    return interpreted()


@pytest.mark.parametrize("beta", [0.0, -0.7])
@pytest.mark.parametrize("step", [0.01, 100.0])
def test_the_eliminated_solve_inverts_the_dense_jacobian(step: float, beta: float) -> None:
    grid, drives, a = ringed.small(), (0.5, 0.4, 0.7), 2.0 / step
    p, (y, u, w) = PLAIN._replace(beta=beta), ringed.state(grid)
    x = np.concatenate((y.ravel(), u))
    jacobian = differentiate(lambda x: flat_right_side(grid, p, w, drives, x), x)
    ws = ringed.workspace(grid)
    kernels.cell_right_side(p, grid.mesh, w, *drives, y, u, ws.d, ws.bc, ws.f, ws.fu)
    kernels.cell_factorise(p, grid.mesh, w, *drives[1:], a, y, ws.d, ws.bc, ws)
    dense = np.linalg.inv(a * np.eye(x.size) - jacobian)
    for k, unit in enumerate(np.eye(x.size)):
        rhs, rhs_u = unit[: y.size].reshape(y.shape).copy(), unit[y.size :].copy()
        kernels.cell_solve(p, grid.mesh, w, *drives[1:], a, y, ws.d, ws.bc, ws, rhs, rhs_u)
        found = np.concatenate((rhs.ravel(), rhs_u))
        scale = float(np.abs(dense[:, k]).max())
        np.testing.assert_allclose(found, dense[:, k], atol=1e-11 * scale)  # a missing term shows at 1e-2


def test_the_time_derivative_follows_the_drives() -> None:
    grid, drives, slopes = ringed.small(), np.array([0.5, 0.4, 0.7]), np.array([0.3, -0.2, 0.9])
    y, u, w = ringed.state(grid)
    x = np.concatenate((y.ravel(), u)).astype(complex)
    expected = flat_right_side(grid, PLAIN, w, tuple(drives + 1e-30j * slopes), x).imag / 1e-30
    ws = ringed.workspace(grid)
    kernels.cell_right_side(PLAIN, grid.mesh, w, *drives, y, u, ws.d, ws.bc, ws.f, ws.fu)
    kernels.cell_time_derivative(PLAIN, grid.mesh, w, tuple(slopes), y, ws.bc, ws.ft, ws.ftu)
    found = np.concatenate((ws.ft.ravel(), ws.ftu))
    np.testing.assert_allclose(found, expected, atol=1e-14)  # complex steps are exact to round-off
    step = ringed.workspace(grid)
    kernels.cell_right_side(PLAIN, grid.mesh, w, *drives, y, u, step.d, step.bc, step.f, step.fu)
    kernels.linearise(PLAIN, grid.mesh, w, drives[1], drives[2], 1e-3, tuple(slopes), y, step)
    assert np.array_equal(step.ft, ws.ft)
    assert np.array_equal(step.ftu, ws.ftu)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_band_is_factorised_within_its_envelope(symmetric: bool) -> None:
    rng = np.random.default_rng(2)
    n, reach = 30, np.repeat([3, 6], [12, 18])
    dense = np.zeros((n, n))
    for i, m in enumerate(reach):
        end = min(i + m, n - 1) + 1
        dense[i, i + 1 : end] = -rng.uniform(0, 1, end - i - 1)
        dense[i + 1 : end, i] = dense[i, i + 1 : end] if symmetric else -rng.uniform(0, 1, end - i - 1)
    dense[np.arange(n), np.arange(n)] = 12.0
    upper, lower = np.zeros((n, 7)), np.zeros((n, 7))
    for i in range(n):
        for q in range(min(reach[i], n - 1 - i) + 1):
            upper[i, q], lower[i, q] = dense[i, i + q], dense[i + q, i]
    x = rng.uniform(-1, 1, n)
    found = x.copy()
    kernels.band_factorise(symmetric, reach, upper, lower)
    kernels.band_solve(reach, upper, upper if symmetric else lower, found)
    np.testing.assert_allclose(dense @ found, x, atol=1e-14)  # numbers near one, diagonally dominant


# Invariants


@st.composite
def cells(draw: st.DrawFn) -> tuple[Column, Any]:
    def rate(low: int, high: int) -> float:
        return draw(st.just(0.0) | st.floats(low, high).map(lambda power: 10.0**power))

    rates = Rates(
        k1=rate(-9, -5), k2=rate(-9, -5), k4=rate(-9, -5), k3=rate(-7, -2), k3b=rate(-7, -2),
        d0=10.0 ** draw(st.floats(-22, -18)), beta=draw(st.sampled_from([0.0, -2.0, 1.0])), t0=T0, c_eq=1000.0,
        kappa_0=10.0 ** draw(st.floats(-13, -9)), kappa_cov=rate(-14, -10), exposed=1.0, r_gap=0.0,
        v=rate(8, 13),
    )  # fmt: skip
    gap, thickness = draw(st.floats(1.0, 30.0)) * NM, draw(st.floats(3.0, 40.0)) * NM
    disc = gap / math.sqrt(1 - draw(st.floats(0.3, 0.97)))
    geometry = Geometry(gap, disc, thickness, draw(st.sampled_from([60, 700])) * NM)
    drive = constant(draw(st.floats(0.1, 30.0))) if draw(st.booleans()) else half_cycle()
    return cell(rates, geometry, 18, 30), drive


@settings(max_examples=12, deadline=None)
@given(cells())
def test_phosphorus_sulfur_oxygen_and_charge_are_conserved(case: tuple[Column, Any]) -> None:
    before, drive = case
    after = column.advance(before, drive, 1e-3)
    round_off = 1e-12  # a coefficient 0.1 % wrong gives 1e-3; the demand is 1e-9
    assert max(balances.elements(after).values()) < 5 * round_off  # of five sulfur
    assert balances.electrons(after) < 1e-13  # sums of that size
    for element, off in balances.exchanged(after).items():
        assert off < 1e-10, element  # a flux lost at a face gives 1e-2
    t, f = after.y[kernels.PS4], after.y[kernels.S2]
    # all electrolyte lies over exposed oxide here; equal equations, eliminated in another order
    np.testing.assert_allclose(after.y[kernels.PS4_EXPOSED], t, atol=1e-10 * T0)
    np.testing.assert_allclose(after.y[kernels.S2_EXPOSED], f, atol=1e-10 * T0)


@pytest.mark.parametrize("sulfate", [1e-6, 1e-5, 3e-5, 1e-4])
def test_a_fast_reaction_behind_a_slow_diffusion_ended_below_zero(sulfate: float) -> None:
    """Once by as much as there is sulfide: -1.6 T0 at a tolerance of 1e-3, and no step was refused."""
    rates = RATES._replace(k1=0.0, k2=sulfate, k4=0.0, d0=1e-23, kappa_0=1e-8, kappa_cov=0.0, v=1e9, beta=0.0)
    start = unitcell.new_cell(
        unitcell.rings(Geometry(10 * NM, 14.14 * NM, NM, 1e-6), Fineness(12, 30, NM / 8)), rates, REACH
    )
    for hours in (1.0, 54.0, 1000.0):
        after = column.advance(start, constant(hours, sulfide=0.0, thiophosphate=0.0), 1e-3)
        assert after.y.min() > -1e-2 * T0  # ten tolerances


# The limits in which a unit cell is a column


def bare_cell(rates: Rates, across: int, like: Column) -> Column:
    """Coverage 0: the gap is the whole disc; on the rows of a column."""
    depth = float(like.grid.width.sum())
    geometry = Geometry(10 * NM, 10 * NM, 15 * NM, depth)
    height = np.concatenate(([0.0], np.cumsum(like.grid.width)))
    grid = unitcell.between(geometry, np.linspace(0, 10 * NM, across + 1), height, across, 0)
    return unitcell.new_cell(grid, rates, REACH)


def test_without_coating_a_unit_cell_is_a_column() -> None:
    bare = RATES._replace(kappa_cov=0.0)
    flat = column.new_column(column.graded_grid(40, 0.4 * NM, 700 * NM), bare, REACH, 1.0)
    round_ = bare_cell(bare, 5, flat)
    for drive in (constant(24.0, sulfide=0.0, thiophosphate=0.0), half_cycle(), half_cycle()):
        flat, round_ = (column.advance(c, drive, 1e-5) for c in (flat, round_))
    for name, amount in column.amounts(flat).items():
        assert column.amounts(round_)[name] == near(amount, rel=1e-6), name  # the same steps but for round-off
    layer = column.layer_resistance(flat, VOLUMES, SIGMAS)
    _, sigma = column.conductivity_profile(round_, VOLUMES, SIGMAS)
    found = unitcell.ionic_resistance(rings_of(round_), sigma, Block(1.0, 1.0, 0.0), SIGMAS[0])
    assert found == near(layer, rel=1e-6)  # the same sum along every ring
    assert column.layer_thickness(round_) == near(column.layer_thickness(flat), rel=1e-6)  # as above


def test_under_a_closed_coating_a_unit_cell_is_a_column_with_its_exchange_and_resistance() -> None:
    covered = RATES._replace(kappa_0=0.0, kappa_cov=5e-12)
    flat = column.new_column(column.graded_grid(40, 0.4 * NM, 200 * NM), covered, REACH, 0.0)
    flat = replace(flat, reach=np.zeros(40))
    closed = Geometry(0.0, 10 * NM, 15 * NM, 200 * NM)
    over = 15 * NM + np.concatenate(([0.0], np.cumsum(flat.grid.width)))
    height = np.concatenate((np.linspace(0, 15 * NM, 7)[:-1], over))
    grid = unitcell.between(closed, np.linspace(0, 10 * NM, 6), height, 0, 6)
    round_ = unitcell.new_cell(grid, covered, REACH)
    assert not round_.reach.any()
    for drive in (constant(24.0), half_cycle(), half_cycle()):
        flat, round_ = (column.advance(c, drive, 1e-5) for c in (flat, round_))
    for name, amount in column.amounts(flat).items():
        assert column.amounts(round_)[name] == near(amount, rel=1e-6), name  # the same steps but for round-off
    _, sigma = column.conductivity_profile(round_, VOLUMES, SIGMAS)
    found = unitcell.ionic_resistance(grid, sigma, Block(1e-6, 3e-6, 0.004), SIGMAS[0])
    expected = column.layer_resistance(flat, VOLUMES, SIGMAS) + 15 * NM / 1e-6 + 2 * 0.004
    assert found == near(expected, rel=1e-6)  # in series along every ring


def test_the_mean_profile_holds_the_amounts() -> None:
    after = column.advance(cell(), half_cycle(), 1e-3)
    grid = rings_of(after)
    mean, dz = unitcell.depth_profile(after, grid), np.diff(grid.height)
    found = column.amounts(after)
    for name, row in (("phosphate", kernels.PO4), ("sulfate", kernels.SO4), ("oxidised_sulfur", kernels.S0)):
        assert float(mean[row] @ dz) == near(found[name], rel=1e-12)  # the same sum in another order
    consumed = float((T0 - mean[kernels.PS4]) @ dz)
    assert consumed == near(found["thiophosphate"], rel=1e-9)  # a difference of larger numbers


def test_uptake_lies_between_no_lateral_flux_and_mixing_without_constriction() -> None:
    """Columns side by side below, one column that all of the oxygen enters at once above."""
    rates = RATES._replace(kappa_0=3e-10, kappa_cov=3e-13, d0=1e-19, beta=0.0, v=0.0)
    thin = replace(GEOMETRY, thickness=3 * NM)
    exposed = (thin.gap / thin.disc) ** 2
    grid = column.graded_grid(120, 0.3 * NM, 200 * NM)
    apart = [
        column.new_column(grid, rates._replace(kappa_cov=0.0), REACH, 1.0),
        column.new_column(grid, rates._replace(kappa_0=0.0, exposed=0.0), REACH, 0.0),
    ]
    share = rates._replace(exposed=exposed, v=rates.v / exposed, kappa_cov=(1 - exposed) * rates.kappa_cov)
    mixed = column.new_column(grid, share, REACH, exposed)
    resolved = cell(rates, thin, across=16, along=60)
    for drive in (constant(24.0), half_cycle(), half_cycle()):
        mixed, resolved, *apart = (column.advance(c, drive, 1e-4) for c in (mixed, resolved, *apart))
    low = exposed * apart[0].u.sum() + (1 - exposed) * apart[1].u.sum()
    assert 1.02 * low < resolved.u.sum() < 0.98 * mixed.u.sum()


# Orders of accuracy


def test_second_order_in_space() -> None:
    scales = (1, 2, 4)
    errors = [manufactured.ringed_errors(STEADY, manufactured.slab(scale, graded=True)) for scale in scales]
    fields, uptakes = zip(*errors, strict=True)
    assert np.all(slopes(scales, fields) > 1.8)
    assert np.all(slopes(scales, uptakes) > 1.8)
    assert fields[-1] < 2e-2  # of a field near 3, 1.5 times what is found
    assert uptakes[-1] < 1e-3  # relative


def test_third_order_in_time_with_everything_coupled() -> None:
    sizes = (40, 80, 160)
    fields, uptakes = manufactured.coupled_errors(PLAIN, *manufactured.twelve_cells(), sizes)
    assert slopes(sizes, fields) == pytest.approx(3.0, abs=0.2)  # the next order still shows
    assert slopes(sizes, uptakes) == pytest.approx(3.0, abs=0.2)  # as above
    assert fields[-1] < 5e-6  # of fields near one, 1.5 times what is found


def test_a_tighter_tolerance_lands_closer() -> None:
    exact = column.advance(cell(), half_cycle(), 1e-6)
    found = [column.advance(cell(), half_cycle(), tolerance) for tolerance in (3e-3, 3e-4, 3e-5)]
    errors = [abs(c.u.sum() / exact.u.sum() - 1) for c in found]
    assert found[0].steps < found[1].steps < found[2].steps < exact.steps
    assert errors[2] < errors[0]
    assert errors[1] < 3e-4  # the tolerance of one step


# Ionic conduction


def opened(epsilon: float, thickness: float = 0.0, across: int = 100, along: int = 120) -> tuple[Rings, float]:
    """A gap of radius 1 in a disc of radius 1/epsilon under an insulating coating: resistance per contact area."""
    geometry = Geometry(1.0, 1 / epsilon, thickness, 4 / epsilon)
    grid = unitcell.rings(geometry, Fineness(across, along, 1e-3))
    block = Block(1e-12, 1e-12, 1e12)
    return grid, unitcell.ionic_resistance(grid, np.ones(grid.width.size), block, 1.0)


@pytest.mark.parametrize("epsilon", [0.02, 0.05, 0.1, 0.3, 0.5])
def test_a_disc_constricts_as_known(epsilon: float) -> None:
    """1/(4 sigma a) times 1 - 1.41581 e + 0.06322 e^2 + 0.15261 e^3 + 0.19998 e^4 (Rosenfeld and Timsit 1981)."""
    series = 1 - 1.41581 * epsilon + 0.06322 * epsilon**2 + 0.15261 * epsilon**3 + 0.19998 * epsilon**4
    _, found = opened(epsilon)
    assert found / (math.pi / epsilon**2) == near(0.25 * series, rel=5e-3)  # grid and fit; the demand is 1 %


@pytest.mark.parametrize("epsilon", [0.1, 0.2, 0.3, 0.35])
def test_a_perforated_layer_constricts_like_the_closure_within_its_range(epsilon: float) -> None:
    """(pi r_p/(4 sigma e)) (1 - sqrt(1 - theta))^1.5 per contact area, e = 1 - theta."""
    _, found = opened(epsilon)
    assert found == near(math.pi / 4 / epsilon**2 * (1 - epsilon) ** 1.5, rel=1e-2)  # the law is itself a fit


def test_a_deep_gap_adds_its_own_length() -> None:
    """Every unit of depth adds 1/(sigma e) in the gap and lifts theta units of electrolyte out of it; the rim does
    not see the floor of a deep gap."""
    epsilon = 0.2
    (_, shallow), (_, deep) = opened(epsilon, 3.0), opened(epsilon, 5.0)
    assert deep - shallow == near(2.0 / epsilon**2 - 2.0 * epsilon**2, rel=1e-3)  # cells of other widths


def test_a_conducting_coating_carries_current_beside_its_gap() -> None:
    grid = unitcell.rings(GEOMETRY, Fineness(12, 30, 0.5 * NM))
    sigma = np.full(grid.width.size, 0.4)
    open_, shut = (unitcell.ionic_resistance(grid, sigma, Block(x, x, 0.0), 0.4) for x in (0.4, 1e-9))
    lifted = 15 / 16 * 15 * NM / 0.4
    assert open_ == near(lifted, rel=1e-9)  # all one conductor, taller by what the coating lifts
    assert shut > 5 * open_
    skins = unitcell.ionic_resistance(grid, sigma, Block(0.4, 0.4, 1e-6), 0.4)
    assert open_ < skins < shut + 1e-12


def test_a_uniform_contact_needs_no_rim() -> None:
    """A unit cell whose oxygen enters everywhere alike holds the same in every ring."""
    rates = RATES._replace(kappa_cov=0.0)
    flat = column.new_column(column.graded_grid(20, 1 * NM, 100 * NM), rates, REACH, 1.0)
    after = column.advance(bare_cell(rates, 6, flat), constant(10.0), 1e-4)
    grid = rings_of(after)
    for y in after.y:
        rows = grid.full(y)
        np.testing.assert_allclose(rows, rows[:, :1] * np.ones(6), atol=1e-9 * T0)  # round-off over steps


def test_a_blocking_layer_lost_its_resistance_to_round_off() -> None:
    """A nanometre that hardly conducts under what conducts well: 1e5 ohm m2, of which a tenth was found."""
    depth, edge = 700 * NM, 0.125 * NM
    grid = unitcell.rings(Geometry(10 * NM, 10 * NM, 15 * NM, depth), Fineness(12, 160, edge))
    sigma = np.where(grid.centre < NM, 1e-14, 0.4)
    width = np.diff(grid.height)
    expected = float(width[grid.middle < NM].sum()) * (1 / 1e-14 - 1 / 0.4)
    found = unitcell.ionic_resistance(grid, sigma, Block(0.1, 0.1, 0.0), 0.4)
    assert found == near(expected, rel=1e-5)  # ten times the current that may leak


@pytest.mark.parametrize("coated", [False, True])
def test_the_default_grids_agree_on_a_uniform_contact(coated: bool) -> None:
    """Shipped kinetics, a contact dose and four half-cycles: all gap, or all coating, against the column's grid."""
    s = contacts.setting(load_scenario("bare"), AREAS, 0.47)
    bare = contacts.pristine(s).ncm[0]
    rates = bare.rates._replace(kappa_0=0.0, kappa_cov=2e-13) if coated else bare.rates
    flat = replace(bare, rates=rates, reach=0.0 * bare.reach if coated else bare.reach)
    numbers = Numerics()
    depth, edge = float(s.grid.width.sum()), numbers.unit_cell_edge.si
    whole = unitcell.rings(Geometry(3 * NM, 3 * NM, 15 * NM, depth), Fineness(6, numbers.unit_cell_rows, edge))
    floor = np.linspace(0.0, 15 * NM, 6)[:-1]
    over = (
        15 * NM + unitcell.rings(Geometry(1.0, 1.0, 0.0, depth), Fineness(1, numbers.unit_cell_rows - 40, edge)).height
    )
    closed = unitcell.between(
        Geometry(0.0, 3 * NM, 15 * NM, depth), whole.radius, np.concatenate((floor, over)), 0, floor.size
    )
    round_ = unitcell.new_cell(closed if coated else whole, rates, s.kinetics.reactions.reach.si)
    round_tolerance = numbers.unit_cell_tolerance
    for drive in (constant(30.0, sulfide=0.0, thiophosphate=0.0), *4 * [half_cycle()]):
        flat, round_ = column.advance(flat, drive, s.tolerance), column.advance(round_, drive, round_tolerance)
    for name, amount in column.amounts(flat).items():
        # what R3 and R3b leave within the reach of electrons is little, and the grids are 1 and 2.5 % off there;
        # the electrons are a difference
        demand = 2e-2 if name in ("P2S5", "released", "electrons") else 2e-3  # two grids' errors
        if amount:
            assert column.amounts(round_)[name] == near(amount, rel=demand), name
    layer = column.layer_resistance(flat, s.volumes, s.sigmas)
    _, sigma = column.conductivity_profile(round_, s.volumes, s.sigmas)
    block = Block(1e-4, 1e-4, 1e-4)
    found = unitcell.ionic_resistance(rings_of(round_), sigma, block, s.sigmas[0])
    assert found == near(layer + (15 * NM / 1e-4 + 2e-4 if coated else 0.0), rel=5e-3)  # two grids' errors


def test_a_part_of_one_cell_was_widened_for_ever() -> None:
    assert column.graded_faces(1, 1e-10, 1.0).tolist() == [0.0, 1.0]
    narrow = unitcell.rings(replace(GEOMETRY, disc=7.6 * NM), Fineness(20, 40, 0.5 * NM))
    assert narrow.radius[-1] == near(7.6 * NM, rel=1e-12)  # a sum of widths
    assert narrow.gap_rings == 19
