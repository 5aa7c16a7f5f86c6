"""Orders of accuracy of the column.

Space: a manufactured solution. The kernel's semi-discrete right side plus the solution's source is integrated
by SciPy to a tolerance far below the error of the grid. Time: the kernel's own step takes no source, so
fixed steps are held against an exact solution, electron transfer under a moving drive, and, with everything
coupled, against SciPy's solution of the same semi-discrete system to 1e-12.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from interphase_sim.interphase import column, kernels
from interphase_sim.interphase.column import Grid
from interphase_sim.interphase.kernels import Array, Rates

# all numbers near one, every reaction and barrier at work
PLAIN = Rates(
    k1=0.7, k2=1.3, k4=0.9, k3=0.4, k3b=0.6, d0=0.8, beta=-0.7, t0=2.0, c_eq=4.0,
    kappa_0=1.1, kappa_cov=0.3, exposed=0.6, r_gap=0.5, v=0.4,
)  # fmt: skip
REACH = 0.45


def slopes(sizes: list[int], errors: list[float]) -> NDArray[np.float64]:
    """Order between neighbouring refinements."""
    return np.asarray(-np.diff(np.log(errors)) / np.diff(np.log(sizes)))


# Space

END = 0.3
MEAN = np.array([0.0, 1.2, 1.1, 0.8, 0.5, 0.7, 0.6, 0.4, 0.9, 1.0])[:, None]
SWING = np.array([0.0, 0.5, -0.4, 0.3, 0.2, -0.3, 0.3, 0.1, 0.4, -0.5])[:, None]
WAVE = np.array([0.0, 2.0, 3.0, 1.0, 2.5, 1.5, 2.0, 3.0, 1.0, 2.0])[:, None]


def manufactured(z: Array, t: float) -> tuple[Array, Array, Array]:
    """Fields (10, n), their time derivatives and the divergence of the oxygen flux (n,).

    O = (1 + 0.3 sin 3t) (1 - z)^2 (1 + z/2), which has no flux at z = 1; the others are b + c cos(w z + t).
    """
    y, change = MEAN + SWING * np.cos(WAVE * z + t), -SWING * np.sin(WAVE * z + t)
    a, a_t = 1 + 0.3 * np.sin(3 * t), 0.9 * np.cos(3 * t)
    shape, slope, bend = (1 - z) ** 2 * (1 + z / 2), -1.5 * (1 - z**2), 3 * z
    y[0], change[0] = a * shape, a_t * shape
    d = PLAIN.d0 * np.exp(PLAIN.beta * (1 - y[1] / PLAIN.t0))
    d_z = -PLAIN.beta / PLAIN.t0 * d * (-SWING[1] * WAVE[1] * np.sin(WAVE[1] * z + t))
    return y, change, d_z * a * slope + d * a * bend


def gap_uptake(t: float) -> tuple[float, float]:
    return 0.3 + 0.1 * np.sin(2 * t), 0.2 * np.cos(2 * t)


def inflow(t: float) -> tuple[float, float, float]:
    """Activity f with which the manufactured solution meets the boundary condition, and N_gap, N_cov then.

    K = -D O_z/(c_eq - O) at z = 0 and K = e k f/(1 + k f B) + k_cov f is a quadratic equation for f.
    """
    p, (at_wall, _, _) = PLAIN, manufactured(np.zeros(1), t)
    o, thiophosphate = at_wall[0, 0], at_wall[1, 0]
    flux = p.d0 * np.exp(p.beta * (1 - thiophosphate / p.t0)) * 1.5 * o
    k, barrier = flux / (p.c_eq - o), p.r_gap + p.v * gap_uptake(t)[0]
    a, b = p.kappa_cov * p.kappa_0 * barrier, p.kappa_cov + p.exposed * p.kappa_0 - k * p.kappa_0 * barrier
    f = (-b + np.sqrt(b * b + 4 * a * k)) / (2 * a)
    covered = p.kappa_cov * f * (p.c_eq - o)
    return f, flux - covered, covered


def source(z: Array, w: Array, g: float, b: float, t: float) -> tuple[Array, Array]:
    """What must be added to the equations so that the manufactured fields solve them."""
    p, (y, change, spread) = PLAIN, manufactured(z, t)
    o, thio, sulfide, sulfur, *_, sulfide_exposed, thio_exposed = y
    r1, r2, r4 = p.k1 * o * thio, p.k2 * o * sulfide, p.k4 * o * sulfur
    r3, r3b = p.k3 * g * w * sulfide_exposed, p.k3b * b * w * thio_exposed
    rates = [
        spread - 4 * (r1 + r2 + r4), -r1 - r3b, -r2 - r3, 4 * r1 + r3 + 1.5 * r3b - r4, r1, r2 + r4, r3b, r3,
        -p.k2 * o * sulfide_exposed - r3, -p.k1 * o * thio_exposed - r3b,
    ]  # fmt: skip
    _, through_gaps, through_coating = inflow(t)
    return change - np.array(rates), np.array([gap_uptake(t)[1] - through_gaps, 1.0 - through_coating])


def sparsity(n: int) -> sp.csr_matrix:
    """Cells are dense within and coupled to their neighbours; the two uptakes act on the first cell."""
    neighbours = sp.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(n, n))
    pattern = sp.block_diag([sp.kron(np.ones((10, 10)), neighbours), np.ones((2, 2))]).tolil()
    pattern[-2:, 0 : 10 * n : n] = 1
    pattern[0 : 10 * n : n, -2:] = 1
    return pattern.tocsr()


def spatial_errors(width: Array) -> tuple[float, float]:
    """Largest error of the fields and of the uptakes at the end."""
    n, g, b = width.size, 0.6, 0.8
    z = np.cumsum(width) - width / 2
    w = np.maximum(0.0, 1.0 - z / REACH)
    d, bc, dy, du = np.empty(n), np.empty(10), np.empty((10, n)), np.empty(2)

    def forced(t: float, x: Array) -> Array:
        y, u = x[:-2].reshape(10, n), x[-2:]
        kernels.right_side(PLAIN, width, w, inflow(t)[0], g, b, y, u, d, bc, dy, du)
        extra, extra_u = source(z, w, g, b, t)
        return np.concatenate(((dy + extra).ravel(), du + extra_u))

    start = np.concatenate((manufactured(z, 0.0)[0].ravel(), [gap_uptake(0.0)[0], 0.0]))
    done = solve_ivp(forced, (0.0, END), start, "BDF", rtol=1e-9, atol=1e-10, jac_sparsity=sparsity(n))
    y, u = done.y[:-2, -1].reshape(10, n), done.y[-2:, -1]
    exact = np.array([gap_uptake(END)[0], END])
    return float(np.abs(y - manufactured(z, END)[0]).max()), float(np.abs(u - exact).max())


@pytest.mark.parametrize(("grading", "cap"), [(1.0, 5e-7), (6.0, 1e-5)])
def test_second_order_in_space(grading: float, cap: float) -> None:
    """Uniform cells, and cells that widen `grading` times from the wall outwards on a smooth map."""
    sizes, fields, uptakes = [80, 160, 320], [], []
    for n in sizes:
        s = np.arange(n + 1) / n
        faces = s if grading == 1.0 else np.expm1(s * np.log(grading)) / (grading - 1)
        field, uptake = spatial_errors(np.diff(faces))
        fields.append(field)
        uptakes.append(uptake)
    assert slopes(sizes, fields) == pytest.approx(2.0, abs=0.1)  # the next order still shows: 1.93 to 1.99
    assert slopes(sizes, uptakes) == pytest.approx(2.0, abs=0.02)  # sums over time: 1.995 to 2.004
    assert fields[-1] < cap  # of fields near one, 1.5 times what is found
    assert uptakes[-1] < 1e-7  # of uptakes near 0.3, 1.5 times what is found


# Time

START, FINISH = 0.0, 1.0
DRIVE = (np.array([START, FINISH]), np.array([0.2, 1.5]), np.array([0.1, 1.9]), np.array([1.2, 0.3]))


def fixed_steps(p: Rates, width: Array, w: Array, y: Array, u: Array, steps: int) -> tuple[Array, Array]:
    """March with the kernel's step at constant size."""
    mesh, h = Grid(width, width).mesh, (FINISH - START) / steps
    ws = column.scratch(mesh)
    y, u = y.copy(), u.copy()
    for k in range(steps):
        kernels.rosenbrock_step(p, mesh, w, START + k * h, h, DRIVE, y, u, ws)
        y, u = ws.y.copy(), ws.u.copy()
    return y, u


def coupled() -> tuple[Array, Array, Array, Array]:
    """Five cells with everything at work: width, weight, state, uptake."""
    width = np.array([0.3, 0.4, 0.55, 0.7, 0.9])
    y = np.random.default_rng(5).uniform(0.3, 1.7, (10, 5))
    return width, np.array([0.9, 0.6, 0.2, 0.0, 0.0]), y, np.array([0.2, 0.1])


def reference(width: Array, w: Array, y: Array, u: Array) -> tuple[Array, Array]:
    """The same semi-discrete system under the same drive by SciPy, to 1e-12."""
    n = width.size
    d, bc, dy, du = np.empty(n), np.empty(10), np.empty((10, n)), np.empty(2)

    def right_side(t: float, x: Array) -> Array:
        f, g, b = (float(np.interp(t, DRIVE[0], values)) for values in DRIVE[1:])
        kernels.right_side(PLAIN, width, w, f, g, b, x[:-2].reshape(10, n), x[-2:], d, bc, dy, du)
        return np.concatenate((dy.ravel(), du))

    x = np.concatenate((y.ravel(), u))
    done = solve_ivp(right_side, (START, FINISH), x, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    return done[:-2].reshape(10, n), done[-2:]


def test_third_order_in_time_with_everything_coupled() -> None:
    width, w, y, u = coupled()
    exact, exact_u = reference(width, w, y, u)
    sizes, fields, uptakes = [40, 80, 160, 320], [], []
    for steps in sizes:
        found, found_u = fixed_steps(PLAIN, width, w, y, u, steps)
        fields.append(float(np.abs(found - exact).max()))
        uptakes.append(float(np.abs(found_u - exact_u).max()))
    assert slopes(sizes, fields) == pytest.approx(3.0, abs=0.1)  # the next order still shows: 3.04 to 3.02
    assert slopes(sizes, uptakes) == pytest.approx(3.0, abs=0.15)  # likewise: 3.13 to 3.07
    assert fields[-1] < 1e-7  # of fields near one, twice what is found
    assert uptakes[-1] < 1.5e-8  # of uptakes near one, twice what is found


def test_third_order_in_time_against_an_exact_solution() -> None:
    """F = F_0 exp(-k_3 w (g_0 t + g' t^2/2)) under a rising switch, and so for PS4 under a falling one."""
    p, width, w = PLAIN._replace(kappa_0=0.0, kappa_cov=0.0), np.ones(3), np.array([0.9, 0.5, 0.0])
    y = np.zeros((10, 3))
    y[1:3] = y[8:10] = p.t0
    sulfide = p.t0 * np.exp(-p.k3 * w * np.trapezoid(DRIVE[2], DRIVE[0]))
    thiophosphate = p.t0 * np.exp(-p.k3b * w * np.trapezoid(DRIVE[3], DRIVE[0]))
    sizes, errors = [20, 40, 80, 160], []
    for steps in sizes:
        found, _ = fixed_steps(p, width, w, y, np.zeros(2), steps)
        errors.append(float(max(np.abs(found[2] - sulfide).max(), np.abs(found[1] - thiophosphate).max())))
    assert slopes(sizes, errors) == pytest.approx(3.0, abs=0.1)  # the next order still shows: 2.95 to 2.99
    assert errors[-1] < 1e-8  # of concentrations near one, twice what is found


def test_the_error_estimate_is_that_of_an_embedded_second_order_method() -> None:
    width, w, y, u = coupled()
    mesh = Grid(width, width).mesh
    ws = column.scratch(mesh)
    sizes, estimates = [200, 400, 800], []
    for steps in sizes:
        kernels.rosenbrock_step(PLAIN, mesh, w, 0.3, 1.0 / steps, DRIVE, y, u, ws)
        estimates.append(float(np.abs(ws.k[3]).max()))
    assert slopes(sizes, estimates) == pytest.approx(3.0, abs=0.2)  # local error of order 2; next order: 2.86
