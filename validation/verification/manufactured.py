"""Errors of column and unit cell against manufactured and exact solutions, for tests and for the part ``orders``.

Space: the kernel's semi-discrete right side plus the solution's source, of a column integrated by SciPy to a tolerance
far below the error of the grid, of a unit cell solved for its steady state. Time: the kernel's own step takes no
source, so fixed steps are held against an exact solution, electron transfer under a moving drive, and, with everything
coupled, against SciPy's solution of the same semi-discrete system to 1e-12.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.integrate import solve_ivp

from interphase_sim.interphase import column, kernels, unitcell
from interphase_sim.interphase.column import Grid
from interphase_sim.interphase.kernels import Array, Rates
from interphase_sim.interphase.unitcell import Geometry, Rings

# all numbers near one, every reaction and barrier at work
PLAIN = Rates(
    k1=0.7, k2=1.3, k4=0.9, k3=0.4, k3b=0.6, d0=0.8, beta=-0.7, t0=2.0, c_eq=4.0,
    kappa_0=1.1, kappa_cov=0.3, exposed=0.6, r_gap=0.5, v=0.4,
)  # fmt: skip


def slopes(sizes: Sequence[int], errors: Sequence[float]) -> Array:
    """Order between neighbouring refinements."""
    return np.asarray(-np.diff(np.log(errors)) / np.diff(np.log(sizes)))


# A column in space

REACH = 0.45
END = 0.3
MEAN = np.array([0.0, 1.2, 1.1, 0.8, 0.5, 0.7, 0.6, 0.4, 0.9, 1.0])[:, None]
SWING = np.array([0.0, 0.5, -0.4, 0.3, 0.2, -0.3, 0.3, 0.1, 0.4, -0.5])[:, None]
WAVE = np.array([0.0, 2.0, 3.0, 1.0, 2.5, 1.5, 2.0, 3.0, 1.0, 2.0])[:, None]


def widths(cells: int, grading: float) -> Array:
    """Cells on [0, 1] that widen ``grading`` times from the wall outwards on a smooth map, or are uniform."""
    s = np.arange(cells + 1) / cells
    return np.diff(s if grading == 1.0 else np.expm1(s * np.log(grading)) / (grading - 1))


def column_fields(p: Rates, z: Array, t: float) -> tuple[Array, Array, Array]:
    """Fields (10, n), their time derivatives and the divergence of the oxygen flux (n,).

    O = (1 + 0.3 sin 3t) (1 - z)^2 (1 + z/2), which has no flux at z = 1; the others are b + c cos(w z + t).
    """
    y, change = MEAN + SWING * np.cos(WAVE * z + t), -SWING * np.sin(WAVE * z + t)
    a, a_t = 1 + 0.3 * np.sin(3 * t), 0.9 * np.cos(3 * t)
    shape, slope, bend = (1 - z) ** 2 * (1 + z / 2), -1.5 * (1 - z**2), 3 * z
    y[0], change[0] = a * shape, a_t * shape
    d = p.d0 * np.exp(p.beta * (1 - y[1] / p.t0))
    d_z = -p.beta / p.t0 * d * (-SWING[1] * WAVE[1] * np.sin(WAVE[1] * z + t))
    return y, change, d_z * a * slope + d * a * bend


def _gap_uptake(t: float) -> tuple[float, float]:
    return 0.3 + 0.1 * math.sin(2 * t), 0.2 * math.cos(2 * t)


def _inflow(p: Rates, t: float) -> tuple[float, float, float]:
    """Activity f with which the manufactured solution meets the boundary condition, and N_gap, N_cov then.

    K = -D O_z/(c_eq - O) at z = 0 and K = e k f/(1 + k f B) + k_cov f is a quadratic equation for f.
    """
    at_wall, _, _ = column_fields(p, np.zeros(1), t)
    o, thiophosphate = at_wall[0, 0], at_wall[1, 0]
    flux = p.d0 * np.exp(p.beta * (1 - thiophosphate / p.t0)) * 1.5 * o
    k, barrier = flux / (p.c_eq - o), p.r_gap + p.v * _gap_uptake(t)[0]
    a, b = p.kappa_cov * p.kappa_0 * barrier, p.kappa_cov + p.exposed * p.kappa_0 - k * p.kappa_0 * barrier
    f = (-b + np.sqrt(b * b + 4 * a * k)) / (2 * a)
    covered = p.kappa_cov * f * (p.c_eq - o)
    return f, flux - covered, covered


def _source(p: Rates, z: Array, w: Array, g: float, b: float, t: float) -> tuple[Array, Array]:
    """What must be added to the equations so that the manufactured fields solve them."""
    y, change, spread = column_fields(p, z, t)
    o, thio, sulfide, sulfur, *_, sulfide_exposed, thio_exposed = y
    r1, r2, r4 = p.k1 * o * thio, p.k2 * o * sulfide, p.k4 * o * sulfur
    r3, r3b = p.k3 * g * w * sulfide_exposed, p.k3b * b * w * thio_exposed
    rates = [
        spread - 4 * (r1 + r2 + r4), -r1 - r3b, -r2 - r3, 4 * r1 + r3 + 1.5 * r3b - r4, r1, r2 + r4, r3b, r3,
        -p.k2 * o * sulfide_exposed - r3, -p.k1 * o * thio_exposed - r3b,
    ]  # fmt: skip
    _, through_gaps, through_coating = _inflow(p, t)
    return change - np.array(rates), np.array([_gap_uptake(t)[1] - through_gaps, 1.0 - through_coating])


def _sparsity(n: int) -> sp.csr_matrix:
    """Cells are dense within and coupled to their neighbours; the two uptakes act on the first cell."""
    neighbours = sp.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(n, n))
    pattern = sp.block_diag([sp.kron(np.ones((10, 10)), neighbours), np.ones((2, 2))]).tolil()
    pattern[-2:, 0 : 10 * n : n] = 1
    pattern[0 : 10 * n : n, -2:] = 1
    return pattern.tocsr()


def column_errors(p: Rates, width: Array) -> tuple[float, float]:
    """Largest error of a column's fields and of its uptakes at the end."""
    n, g, b = width.size, 0.6, 0.8
    z = np.cumsum(width) - width / 2
    w = np.maximum(0.0, 1.0 - z / REACH)
    d, bc, dy, du = np.empty(n), np.empty(10), np.empty((10, n)), np.empty(2)

    def forced(t: float, x: Array) -> Array:
        y, u = x[:-2].reshape(10, n), x[-2:]
        kernels.right_side(p, width, w, _inflow(p, t)[0], g, b, y, u, d, bc, dy, du)
        extra, extra_u = _source(p, z, w, g, b, t)
        return np.concatenate(((dy + extra).ravel(), du + extra_u))

    start = np.concatenate((column_fields(p, z, 0.0)[0].ravel(), [_gap_uptake(0.0)[0], 0.0]))
    with np.errstate(invalid="ignore", over="ignore"):  # BDF subtracts differences it has not filled in yet
        done = solve_ivp(forced, (0.0, END), start, "BDF", rtol=1e-9, atol=1e-10, jac_sparsity=_sparsity(n))
    y, u = done.y[:-2, -1].reshape(10, n), done.y[-2:, -1]
    exact = np.array([_gap_uptake(END)[0], END])
    return float(np.abs(y - column_fields(p, z, END)[0]).max()), float(np.abs(u - exact).max())


# A unit cell in space

SLAB = Geometry(1 / 3, 1.0, 0.3, 1.0 - 0.3 * 8 / 9)
STEADY = PLAIN._replace(c_eq=4.0, beta=-0.7, r_gap=0.0, v=0.0, exposed=1.0)


def ringed_fields(p: Rates, r: Array, z: Array) -> tuple[Array, Array, Array]:
    """O, D and the source that makes O steady between T = 2 + 0.4 cos 2z, F = 1.1 + 0.3 sin(r + z), S = 0.8.

    O = c_eq - A B with A = 1 + 0.3 cos(3 pi r), flat at the gap's wall and at the disc's edge, and
    B = 1 + 0.8 sin(pi z/2), flat at z = 1: the inlets' N = K (c_eq - O) holds with K = D B'/B at z = 0 and z = h.
    """
    q, c = 3 * np.pi, 0.5 * np.pi
    a, a_r = 1 + 0.3 * np.cos(q * r), -0.3 * q * np.sin(q * r)
    a_rr = -0.3 * q * q * np.cos(q * r)
    b, b_z, b_zz = 1 + 0.8 * np.sin(c * z), 0.8 * c * np.cos(c * z), -0.8 * c * c * np.sin(c * z)
    t = 2 + 0.4 * np.cos(2 * z)
    d = p.d0 * np.exp(p.beta * (1 - t / p.t0))
    d_z = -p.beta / p.t0 * d * -0.8 * np.sin(2 * z)
    o = p.c_eq - a * b
    sinks = 4 * o * (p.k1 * t + p.k2 * (1.1 + 0.3 * np.sin(r + z)) + p.k4 * 0.8)
    return o, d, d * ((a_rr + a_r / r) * b + a * b_zz) + d_z * a * b_z + sinks


def slab(scale: int, graded: bool) -> Rings:
    """Cells graded to the rim, or uniform ones; twice the scale halves each."""
    if not graded:
        radius, height = np.linspace(0, 1, 12 * scale + 1), np.linspace(0, 1, 20 * scale + 1)
        return unitcell.between(SLAB, radius, height, 4 * scale, 6 * scale)
    edge = 0.02 / scale
    radius = column.faces([(1 / 3, 5 * scale, True), (2 / 3, 8 * scale, False)], edge)
    height = column.faces([(0.15, 4 * scale, False), (0.15, 4 * scale, True), (0.7, 8 * scale, False)], edge)
    return unitcell.between(SLAB, radius, height, 5 * scale, 8 * scale)


def _between(middle: Array, share: Array) -> Array:
    """Mean of 1 + 0.3 cos(3 pi r) at the rings' middles, by area and ring."""
    return np.asarray(share * (1 + 0.3 * np.cos(3 * np.pi * middle)))


def ringed_errors(steady: Rates, grid: Rings) -> tuple[float, float]:
    """Largest error of the oxygen and error of all that enters, relative."""
    middle = 0.5 * (grid.radius[1:] + grid.radius[:-1])
    r, z, n = np.broadcast_to(middle, grid.shape)[grid.electrolyte], grid.centre, grid.width.size
    exact, _, source = ringed_fields(steady, r, z)
    c = 0.5 * np.pi
    wall = [ringed_fields(steady, np.ones(1), np.array([h]))[1][0] for h in (0.0, 0.3)]
    k_gap, k_top = (
        d * 0.8 * c * math.cos(c * h) / (1 + 0.8 * math.sin(c * h)) for d, h in zip(wall, (0, 0.3), strict=True)
    )
    p = steady._replace(kappa_0=k_gap, kappa_cov=k_top)
    y = np.zeros((10, n))
    y[1], y[2], y[3] = 2 + 0.4 * np.cos(2 * z), 1.1 + 0.3 * np.sin(r + z), 0.8
    ws, u = column.scratch(grid.mesh), np.zeros(2 * grid.share.size)

    def change(o: Array) -> Array:
        y[0] = o
        kernels.cell_right_side(p, grid.mesh, np.zeros(n), 1.0, 0.0, 0.0, y, u, ws.d, ws.bc, ws.f, ws.fu)
        return np.asarray(ws.f[0] + source)

    rest = change(np.zeros(n))
    matrix = sp.csc_matrix(sp.hstack([sp.csc_matrix((change(unit) - rest)[:, None]) for unit in np.eye(n)]))
    found = sp.linalg.spsolve(matrix, -rest)
    change(found)
    entered = float(ws.fu.sum())
    flux = np.where(middle < 1 / 3, k_gap, k_top * (1 + 0.8 * math.sin(0.3 * c)))
    expected = float((_between(middle, np.diff(grid.radius**2)) * flux).sum())
    return float(np.abs(found - exact).max()), abs(entered / expected - 1)


# Time

START, FINISH = 0.0, 1.0
DRIVE = (np.array([START, FINISH]), np.array([0.2, 1.5]), np.array([0.1, 1.9]), np.array([1.2, 0.3]))


def five_cells() -> tuple[Grid, Array, Array, Array]:
    """A column with everything at work: grid, electron reach, state, uptakes."""
    width = np.array([0.3, 0.4, 0.55, 0.7, 0.9])
    y = np.random.default_rng(5).uniform(0.3, 1.7, (10, 5))
    return Grid(width, width), np.array([0.9, 0.6, 0.2, 0.0, 0.0]), y, np.array([0.2, 0.1])


def twelve_cells() -> tuple[Rings, Array, Array, Array]:
    """A unit cell with everything at work, four rings by four rows, two by two of them in the gap: the same."""
    radius, height = np.array([0.0, 0.35, 0.6, 0.9, 1.3]), np.array([0.0, 0.2, 0.5, 0.8, 1.2])
    geometry = Geometry(0.6, 1.3, 0.5, 1.2 - 0.5 * (1 - (0.6 / 1.3) ** 2))
    grid, rng = unitcell.between(geometry, radius, height, 2, 2), np.random.default_rng(11)
    n, m = grid.width.size, grid.share.size
    y, u = rng.uniform(0.2, 1.8, (kernels.N_SPECIES, n)), rng.uniform(0.05, 0.2, 2 * m)
    return grid, rng.uniform(0, 1, n), y, u


def fixed_steps(p: Rates, grid: Grid, w: Array, y: Array, u: Array, steps: int) -> tuple[Array, Array]:
    """March a column or a unit cell with the kernel's step at constant size."""
    mesh, h = grid.mesh, (FINISH - START) / steps
    ws = column.scratch(mesh)
    y, u = y.copy(), u.copy()
    for k in range(steps):
        kernels.rosenbrock_step(p, mesh, w, START + k * h, h, DRIVE, y, u, ws)
        y, u = ws.y.copy(), ws.u.copy()
    return y, u


def reference(p: Rates, grid: Grid, w: Array, y: Array, u: Array) -> tuple[Array, Array]:
    """The same semi-discrete system under the same drive by SciPy, to 1e-12."""
    mesh = grid.mesh
    ws, shape = column.scratch(mesh), y.shape

    def right_side(t: float, x: Array) -> Array:
        drives = tuple(float(np.interp(t, DRIVE[0], values)) for values in DRIVE[1:])
        kernels.slope_at(p, mesh, w, drives, x[: y.size].reshape(shape), x[y.size :], ws.d, ws.bc, ws.f, ws.fu)
        return np.concatenate((ws.f.ravel(), ws.fu))

    x = np.concatenate((y.ravel(), u))
    done = solve_ivp(right_side, (START, FINISH), x, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    return done[: y.size].reshape(shape), done[y.size :]


def coupled_errors(p: Rates, grid: Grid, w: Array, y: Array, u: Array, sizes: Sequence[int]) -> list[list[float]]:
    """Largest errors of fields and of uptakes by number of steps, with everything coupled."""
    exact, exact_u = reference(p, grid, w, y, u)
    marched = [fixed_steps(p, grid, w, y, u, steps) for steps in sizes]
    return [
        [float(np.abs(found - exact).max()) for found, _ in marched],
        [float(np.abs(found - exact_u).max()) for _, found in marched],
    ]


def electron_errors(p: Rates, sizes: Sequence[int]) -> list[float]:
    """F = F_0 exp(-k_3 w (g_0 t + g' t^2/2)) under a rising switch, and so for PS4 under a falling one."""
    p, width, w = p._replace(kappa_0=0.0, kappa_cov=0.0), np.ones(3), np.array([0.9, 0.5, 0.0])
    y = np.zeros((10, 3))
    y[1:3] = y[8:10] = p.t0
    sulfide = p.t0 * np.exp(-p.k3 * w * np.trapezoid(DRIVE[2], DRIVE[0]))
    thiophosphate = p.t0 * np.exp(-p.k3b * w * np.trapezoid(DRIVE[3], DRIVE[0]))
    errors = []
    for steps in sizes:
        found, _ = fixed_steps(p, Grid(width, width), w, y, np.zeros(2), steps)
        errors.append(float(max(np.abs(found[2] - sulfide).max(), np.abs(found[1] - thiophosphate).max())))
    return errors


def estimates(p: Rates, grid: Grid, w: Array, y: Array, u: Array, sizes: Sequence[int]) -> list[float]:
    """The error estimate of one step by one over its size."""
    ws, found = column.scratch(grid.mesh), []
    for steps in sizes:
        kernels.rosenbrock_step(p, grid.mesh, w, 0.3, 1.0 / steps, DRIVE, y, u, ws)
        found.append(float(np.abs(ws.k[3]).max()))
    return found
