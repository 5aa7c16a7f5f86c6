"""The column for SciPy: LSODA (banded), BDF and Radau, with right-hand sides in NumPy and in Numba.

State: both uptakes, then cell by cell the eight species of ``problem.SPECIES``, so that the Jacobian is a band of
eight to either side. D does not depend on the conversion here, as in the shipped kinetics. As SciPy's documentation
advises: LSODA is told the band, by ``odeint``, whose steps run in compiled code; BDF and Radau get the sparsity.
Everyone gets the kernel's own absolute tolerances.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp
from scipy.integrate import odeint, solve_ivp
from scipy.interpolate import CubicSpline

from benchmarks import problem
from benchmarks.problem import Problem
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.kernels import Array

NS = len(problem.SPECIES)
RightSide = Callable[[float, Array], Array]
jit = numba.njit(cache=True, error_model="numpy")


def constants(given: Problem) -> Array:
    """The constants of a column, as one array."""
    p = given.start.rates
    if p.beta != 0.0:
        raise ValueError("the peers are written for a diffusivity that does not depend on the conversion")
    return np.array(
        [p.k1, p.k2, p.k4, p.k3, p.k3b, p.d0, p.c_eq, p.kappa_0, p.kappa_cov, p.exposed, p.r_gap, p.v], dtype=float
    )


def spline(drive: Drive) -> CubicSpline:
    """A half-cycle's history: oxygen activity and both switches over time."""
    return CubicSpline(drive.time, np.array(drive.arrays()[1:]).T)


def start(given: Problem) -> Array:
    """The state at the start."""
    y = given.start.y[list(problem.SPECIES)]
    return np.concatenate((given.start.u[::-1], y.T.ravel()))


def numpy_side(given: Problem, half: int) -> RightSide:
    """The right-hand side of a half-cycle in NumPy."""
    k1, k2, k4, k3, k3b, d, c_eq, kappa, covered, exposed, r_gap, v = constants(given)
    dz, reach = given.start.grid.width, given.start.reach
    spans = 0.5 * (dz[1:] + dz[:-1])
    history = spline(given.histories[half])
    parts, step = history.c, history.x[1]
    last, n = history.x.size - 2, dz.size

    def side(t: float, x: Array) -> Array:
        i = min(int(t / step), last)
        s = t - i * step
        f, g, b = ((parts[0, i] * s + parts[1, i]) * s + parts[2, i]) * s + parts[3, i]
        o, thio, sulfide, sulfur, _, _, free_sulfide, free_thio = x[2:].reshape(n, NS).T
        r1, r2, r4 = k1 * o * thio, k2 * o * sulfide, k4 * o * sulfur
        r3, r3b = k3 * g * reach * free_sulfide, k3b * b * reach * free_thio
        k_gap = exposed * kappa * f / (1.0 + kappa * f * (r_gap + v * x[1]))
        k_cov = covered * f
        wall = (c_eq - o[0]) / (1.0 + (k_gap + k_cov) * 0.5 * dz[0] / d)
        flux = np.empty(n + 1)
        flux[0] = (k_gap + k_cov) * wall
        flux[1:-1] = d * (o[:-1] - o[1:]) / spans
        flux[-1] = 0.0
        out = np.empty_like(x)
        out[0], out[1] = k_cov * wall, k_gap * wall
        cells = out[2:].reshape(n, NS)
        cells[:, 0] = (flux[:-1] - flux[1:]) / dz - 4.0 * (r1 + r2 + r4)
        cells[:, 1] = -r1 - r3b
        cells[:, 2] = -r2 - r3
        cells[:, 3] = 4.0 * r1 + r3 + 1.5 * r3b - r4
        cells[:, 4] = r3b
        cells[:, 5] = r3
        cells[:, 6] = -k2 * o * free_sulfide - r3
        cells[:, 7] = -k1 * o * free_thio - r3b
        return out

    return side


@jit
def compiled(t: float, x: Array, c: Array, dz: Array, reach: Array, step: float, parts: Array, out: Array) -> None:
    """The same, compiled; the spline's equal steps and its coefficients (4, steps, 3)."""
    k1, k2, k4, k3, k3b, d, c_eq = c[0], c[1], c[2], c[3], c[4], c[5], c[6]
    kappa, covered, exposed, r_gap, v = c[7], c[8], c[9], c[10], c[11]
    part = min(int(t / step), parts.shape[1] - 1)
    s = t - part * step
    p = ((parts[0, part] * s + parts[1, part]) * s + parts[2, part]) * s + parts[3, part]
    f, g, b = p[0], p[1], p[2]
    k_gap = exposed * kappa * f / (1.0 + kappa * f * (r_gap + v * x[1]))
    k_cov = covered * f
    wall = (c_eq - x[2]) / (1.0 + (k_gap + k_cov) * 0.5 * dz[0] / d)
    out[0] = k_cov * wall
    out[1] = k_gap * wall
    inflow = out[0] + out[1]
    n = dz.size
    for i in range(n):
        j = 2 + NS * i
        o = x[j]
        r1, r2, r4 = k1 * o * x[j + 1], k2 * o * x[j + 2], k4 * o * x[j + 3]
        r3, r3b = k3 * g * reach[i] * x[j + 6], k3b * b * reach[i] * x[j + 7]
        outflow = 2.0 * d * (o - x[j + NS]) / (dz[i] + dz[i + 1]) if i < n - 1 else 0.0
        out[j] = (inflow - outflow) / dz[i] - 4.0 * (r1 + r2 + r4)
        out[j + 1] = -r1 - r3b
        out[j + 2] = -r2 - r3
        out[j + 3] = 4.0 * r1 + r3 + 1.5 * r3b - r4
        out[j + 4] = r3b
        out[j + 5] = r3
        out[j + 6] = -k2 * o * x[j + 6] - r3
        out[j + 7] = -k1 * o * x[j + 7] - r3b
        inflow = outflow


def numba_side(given: Problem, half: int) -> RightSide:
    """The right-hand side of a half-cycle, compiled."""
    c, dz, reach = constants(given), given.start.grid.width, given.start.reach
    history = spline(given.histories[half])
    step, parts = float(history.x[1]), np.ascontiguousarray(history.c)

    def side(t: float, x: Array) -> Array:
        out = np.empty_like(x)
        compiled(t, x, c, dz, reach, step, parts, out)
        return out

    return side


SIDES = {"numpy": numpy_side, "numba": numba_side}


def sparsity(n: int) -> Any:
    """Which entries of the Jacobian can be other than zero."""
    block = np.zeros((NS, NS))
    block[:4, 0] = 1  # oxygen moves what it reacts with
    block[0, :4] = 1
    block[[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 7, 6, 6, 7]] = 1
    block[[1, 2, 3, 3], [7, 6, 1, 6]] = 1
    block[3, 7] = 1
    block[[6, 7], 0] = 1
    near = np.zeros((NS, NS))
    near[0, 0] = 1
    band = sp.diags([1.0, 1.0], [-1, 1], shape=(n, n))
    inner = sp.kron(sp.eye(n), block) + sp.kron(band, near)
    whole = sp.lil_matrix((2 + NS * n, 2 + NS * n))
    whole[2:, 2:] = inner
    whole[:2, 1:3] = 1
    whole[2, 1] = 1
    return whole.tocsr()


def solver(method: str, side: str) -> problem.Solver:
    """LSODA, BDF or Radau with a right-hand side in "numpy" or "numba"."""

    def solve(given: Problem, tolerance: float) -> dict[str, float]:
        x, p, n = start(given), given.start.rates, given.start.grid.width.size
        scale = np.full(x.size, p.t0)
        scale[2::NS] = p.c_eq
        scale[:2] = 1e-9 * p.t0
        pattern = sparsity(n) if method != "LSODA" else None
        for half, drive in enumerate(given.histories):
            leg, function = (drive.time[0], drive.time[-1]), SIDES[side](given, half)
            atol = tolerance * scale
            x = (_lsoda if method == "LSODA" else _ivp)(function, leg, x, tolerance, atol, method, pattern)
        fields = x[2:].reshape(n, NS).T
        return problem.peer_amounts(fields, float(x[:2].sum()), given.start.grid.width, p.t0)

    return solve


def _lsoda(
    side: RightSide, leg: tuple[float, float], x: Array, rtol: float, atol: Array, method: str, pattern: Any
) -> Array:
    found, told = odeint(
        side, x, leg, tfirst=True, ml=NS, mu=NS, rtol=rtol, atol=atol, mxstep=1_000_000, full_output=True
    )
    if told["message"] != "Integration successful.":
        raise RuntimeError(told["message"])
    return np.asarray(found[-1])


def _ivp(
    side: RightSide, leg: tuple[float, float], x: Array, rtol: float, atol: Array, method: str, pattern: Any
) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):  # BDF subtracts differences it has not filled in yet
        done = solve_ivp(side, leg, x, method, t_eval=leg[1:], rtol=rtol, atol=atol, jac_sparsity=pattern)
    if not done.success:
        raise RuntimeError(done.message)
    return np.asarray(done.y[:, -1])
