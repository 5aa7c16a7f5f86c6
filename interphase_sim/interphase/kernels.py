"""Compiled kernels of the interphase: a reaction-diffusion column or unit cell, and the conductivity of its layer.

The column, per volume of original electrolyte (z = 0 at the oxide, z > 0 into the electrolyte):

    dO/dt = d/dz(D dO/dz) - 4 (r1 + r2 + r4)          r1  = k1 O T    PS4(3-) + 4 O -> PO4(3-) + 4 S(0)
    dT/dt = -r1 - r3b          dP/dt = r1              r2  = k2 O F    S(2-) + 4 O -> SO4(2-)
    dF/dt = -r2 - r3           dQ/dt = r2 + r4         r4  = k4 O S    S(0) + 4 O + 2 Li+ + 2 e- -> Li2SO4
    dS/dt = 4 r1 + r3 + 1.5 r3b - r4                   r3  = k3 g w X  S(2-) -> S(0) + 2 e-
    dR/dt = r3b                dE/dt = r3              r3b = k3b b w Y PS4(3-) -> PS2.5 + 1.5 S(0) + 3 e-
    dX/dt = -k2 O X - r3       dY/dt = -k1 O Y - r3b   w = max(0, 1 - z/lambda_e)

X and Y are the parts of F and T that lie over exposed oxide or carbon, where electrons can be taken up; on a
bare contact X = F and Y = T.  E counts what R3 has oxidised.  D = D0 exp(beta (1 - T/T0)).

Boundary: N = N_gap + N_cov into z = 0, no flux at z = Z,
    N_x = K_x (c_eq - O_1) / (1 + (K_gap + K_cov) dz_1/(2 D_1)),  K_cov = kappa_cov f(t),
    K_gap = e kappa_0 f / (1 + kappa_0 f (r_gap + v U_gap)),      dU_x/dt = N_x.

A unit cell has the same reactions, cell by cell, and div(D grad O) on rings (r, z) around a gap; each ring of exposed
oxide has its own U_gap, each ring of coating its own U_cov (see ``Mesh``).

Time: Rosenbrock method RODAS3 (Sandu et al., Atmos. Environ. 31, 3459 (1997)): four stages, order 3 with an
embedded order 2, stiffly accurate, exact Jacobian.  Immobile species are affine in their cell's oxygen
increment and are eliminated, which leaves one solve for oxygen per stage: tridiagonal in a column, a band as wide
as there are rings in a unit cell, both factorised directly.  Linear invariants therefore hold to round-off.
Cells beyond the front, which oxygen and electrons do not reach, are left out of a step (see ``busy``).  Drives act by
the straight line of their mean and first moment over a step (see ``line_over``).

| symbol | meaning | unit |
|---|---|---|
| y (10, n) | O T F S P Q R E X Y per cell | mol m-3 |
| u (2 m,) | oxygen taken up through gaps, through the coating, by m inlets (a column has one), per NCM area | mol m-2 |
| tk, fk, gk, bk | nodes of the drive: time, oxygen activity, switches of R3 and R3b | s, 1 |
| k1 k2 k4 | rate constants | m3 mol-1 s-1 |
| k3 k3b | rate constants | s-1 |
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

OX, PS4, S2, S0, PO4, SO4, PS25, OXIDISED, S2_EXPOSED, PS4_EXPOSED = range(10)
N_SPECIES = 10

jit = numba.njit(cache=True, error_model="numpy")  # divisions unguarded: a step that fails is not finite


class Rates(NamedTuple):
    """Constants of one column; see the module's table for symbols and units."""

    k1: float
    k2: float
    k4: float
    k3: float
    k3b: float
    d0: float
    beta: float
    t0: float
    c_eq: float
    kappa_0: float
    kappa_cov: float
    exposed: float
    r_gap: float
    v: float


# RODAS3 in the form (I/(h gamma) - J) K_i = f(Y_i) + sum_j (c_ij/h) K_j + gamma_i h df/dt
GAMMA = 0.5
SAFETY, GROWTH = 0.8, 4.0  # of the next step: a rejected one costs as much as an accepted one


@jit
def line_over(t: float, h: float, tk: Array, values: Array) -> tuple[float, float]:
    """Ends of the straight line that does over a step from t what a drive does, which is linear between its nodes.

    Line and drive have the same mean and, unless the line would pass below zero, the same first moment: where the
    state moves little, however long the step, exposure is exact.  A drive is constant outside its nodes, and not
    negative.
    """
    n = tk.shape[0]
    i = min(max(np.searchsorted(tk, t, side="right") - 1, 0), n - 1)
    area, moment, x = 0.0, 0.0, 0.0  # of the drive over (0, 1), and how far they are known
    left = value_at(t, tk, values, i)
    while x < 1.0:
        inside = i < n - 1 and t < tk[n - 1]
        far = min((tk[i + 1] - t) / h, 1.0) if inside else 1.0
        right = value_at(t + far * h, tk, values, i)
        width = far - x
        area += 0.5 * width * (left + right)
        moment += width * (x * 0.5 * (left + right) + width * (left + 2.0 * right) / 6.0)
        x, left, i = far, right, i + 1
    tilt = min(max(12.0 * moment - 6.0 * area, -2.0 * area), 2.0 * area)
    return area - 0.5 * tilt, area + 0.5 * tilt


@jit
def value_at(t: float, tk: Array, values: Array, i: int) -> float:
    """The drive at time t behind node i."""
    if i >= tk.shape[0] - 1 or t <= tk[0]:
        return float(values[min(i, tk.shape[0] - 1)])
    value: float = values[i] + (values[i + 1] - values[i]) / (tk[i + 1] - tk[i]) * (t - tk[i])
    return value


@jit
def boundary(
    p: Rates, exposed: float, kappa_cov: float, f: float, o1: float, d1: float, half: float, u_gap: float, out: Array
) -> None:
    """Oxygen fluxes through gaps and coating and their derivatives.

    out = [N_gap, N_cov, dN_gap/dO, dN_cov/dO, dN_gap/dU, dN_cov/dU, dN_gap/dT, dN_cov/dT, dN_gap/df, dN_cov/df],
    ``half`` = dz_1/2 [m], ``d1`` = D in the first cell [m2 s-1].
    """
    barrier = p.r_gap + p.v * u_gap
    damp = 1.0 / (1.0 + p.kappa_0 * f * barrier)
    k_gap = exposed * p.kappa_0 * f * damp
    k_cov = kappa_cov * f
    gap_u = -exposed * (p.kappa_0 * f * damp) ** 2 * p.v
    gap_f = exposed * p.kappa_0 * damp * damp
    rho = half / d1
    rho_t = rho * p.beta / p.t0
    g = 1.0 / (1.0 + (k_gap + k_cov) * rho)
    drop = p.c_eq - o1
    out[0] = k_gap * drop * g
    out[1] = k_cov * drop * g
    out[2] = -k_gap * g
    out[3] = -k_cov * g
    out[4] = gap_u * drop * g * (1.0 - k_gap * rho * g)
    out[5] = -k_cov * drop * rho * gap_u * g * g
    out[6] = -k_gap * drop * (k_gap + k_cov) * rho_t * g * g
    out[7] = -k_cov * drop * (k_gap + k_cov) * rho_t * g * g
    out[8] = gap_f * drop * g - k_gap * drop * rho * (gap_f + kappa_cov) * g * g
    out[9] = kappa_cov * drop * g - k_cov * drop * rho * (gap_f + kappa_cov) * g * g


@jit
def diffusivity(p: Rates, y: Array, out: Array) -> None:
    """D0 exp(beta (1 - T/T0)) per cell [m2 s-1]."""
    for i in range(out.size):
        out[i] = p.d0 * np.exp(p.beta * (1.0 - y[1, i] / p.t0)) if p.beta != 0.0 else p.d0


# Reactions: the same cell by cell in a column and in a unit cell


@jit
def react(p: Rates, w: Array, g: float, b: float, y: Array, dy: Array) -> None:
    """Rates of change by reaction alone, dy (10, n) [mol m-3 s-1]."""
    for i in range(w.size):
        o = y[0, i]
        r1 = p.k1 * o * y[1, i]
        r2 = p.k2 * o * y[2, i]
        r4 = p.k4 * o * y[3, i]
        r3 = p.k3 * g * w[i] * y[8, i]
        r3b = p.k3b * b * w[i] * y[9, i]
        dy[0, i] = -4.0 * (r1 + r2 + r4)
        dy[1, i] = -r1 - r3b
        dy[2, i] = -r2 - r3
        dy[3, i] = 4.0 * r1 + r3 + 1.5 * r3b - r4
        dy[4, i] = r1
        dy[5, i] = r2 + r4
        dy[6, i] = r3b
        dy[7, i] = r3
        dy[8, i] = -p.k2 * o * y[8, i] - r3
        dy[9, i] = -p.k1 * o * y[9, i] - r3b


@jit
def eliminate(
    p: Rates, w: Array, g: float, b: float, a: float, y: Array, aff: Array, inverse: Array, diagonal: Array
) -> None:
    """Eliminate the immobile species from (a I - J) in every cell.

    aff (5, n): response of Y, T, X, F, S in a cell to its oxygen increment.
    inverse (5, n): one over the diagonals of Y, T, X, F, S, by which all stages of a step multiply [s].
    diagonal (n,): a + what the reactions put on the diagonal of the oxygen equation [s-1].
    """
    for i in range(w.size):
        o = y[0, i]
        e3 = p.k3 * g * w[i]
        e3b = p.k3b * b * w[i]
        inverse[0, i] = 1.0 / (a + p.k1 * o + e3b)
        inverse[1, i] = 1.0 / (a + p.k1 * o)
        inverse[2, i] = 1.0 / (a + p.k2 * o + e3)
        inverse[3, i] = 1.0 / (a + p.k2 * o)
        inverse[4, i] = 1.0 / (a + p.k4 * o)
        aff[0, i] = -p.k1 * y[9, i] * inverse[0, i]
        aff[1, i] = (-p.k1 * y[1, i] - e3b * aff[0, i]) * inverse[1, i]
        aff[2, i] = -p.k2 * y[8, i] * inverse[2, i]
        aff[3, i] = (-p.k2 * y[2, i] - e3 * aff[2, i]) * inverse[3, i]
        gain = (
            4.0 * p.k1 * y[1, i] - p.k4 * y[3, i] + 4.0 * p.k1 * o * aff[1, i] + e3 * aff[2, i] + 1.5 * e3b * aff[0, i]
        )
        aff[4, i] = gain * inverse[4, i]
        sink = p.k1 * (y[1, i] + o * aff[1, i]) + p.k2 * (y[2, i] + o * aff[3, i]) + p.k4 * (y[3, i] + o * aff[4, i])
        diagonal[i] = a + 4.0 * sink


@jit
def condense(p: Rates, w: Array, g: float, b: float, y: Array, inverse: Array, rhs: Array) -> None:
    """Forward half of the elimination: rhs of the oxygen equation with the immobile species taken out."""
    for i in range(w.size):
        o = y[0, i]
        e3 = p.k3 * g * w[i]
        e3b = p.k3b * b * w[i]
        thio_exposed = rhs[9, i] * inverse[0, i]
        thio = (rhs[1, i] - e3b * thio_exposed) * inverse[1, i]
        sulfide_exposed = rhs[8, i] * inverse[2, i]
        sulfide = (rhs[2, i] - e3 * sulfide_exposed) * inverse[3, i]
        gain = 4.0 * p.k1 * o * thio + e3 * sulfide_exposed + 1.5 * e3b * thio_exposed
        sulfur = (rhs[3, i] + gain) * inverse[4, i]
        rhs[0, i] -= 4.0 * o * (p.k1 * thio + p.k2 * sulfide + p.k4 * sulfur)
        rhs[1, i], rhs[2, i], rhs[3, i], rhs[8, i], rhs[9, i] = thio, sulfide, sulfur, sulfide_exposed, thio_exposed


@jit
def expand(p: Rates, w: Array, g: float, b: float, a: float, y: Array, aff: Array, rhs: Array) -> None:
    """Backward half: increments of the immobile species from that of oxygen, which rhs[0] holds."""
    tau = 1.0 / a
    for i in range(w.size):
        o, x = y[0, i], rhs[0, i]
        thio_exposed = rhs[9, i] + aff[0, i] * x
        thio = rhs[1, i] + aff[1, i] * x
        sulfide_exposed = rhs[8, i] + aff[2, i] * x
        sulfide = rhs[2, i] + aff[3, i] * x
        sulfur = rhs[3, i] + aff[4, i] * x
        r1 = p.k1 * (y[1, i] * x + o * thio)
        r2 = p.k2 * (y[2, i] * x + o * sulfide)
        r4 = p.k4 * (y[3, i] * x + o * sulfur)
        rhs[4, i] = (rhs[4, i] + r1) * tau
        rhs[5, i] = (rhs[5, i] + r2 + r4) * tau
        rhs[6, i] = (rhs[6, i] + p.k3b * b * w[i] * thio_exposed) * tau
        rhs[7, i] = (rhs[7, i] + p.k3 * g * w[i] * sulfide_exposed) * tau
        rhs[1, i], rhs[2, i], rhs[3, i], rhs[8, i], rhs[9, i] = thio, sulfide, sulfur, sulfide_exposed, thio_exposed


@jit
def react_in_time(p: Rates, w: Array, dg: float, db: float, y: Array, ft: Array) -> None:
    """Partial derivative of the reaction rates with respect to time, through the switches alone."""
    ft[:, : w.size] = 0.0
    for i in range(w.size):
        r3 = p.k3 * dg * w[i] * y[8, i]
        r3b = p.k3b * db * w[i] * y[9, i]
        ft[1, i] = -r3b
        ft[2, i] = -r3
        ft[3, i] = r3 + 1.5 * r3b
        ft[6, i] = r3b
        ft[7, i] = r3
        ft[8, i] = -r3
        ft[9, i] = -r3b


# Transport in a column


@jit
def right_side(
    p: Rates,
    dz: Array,
    w: Array,
    f: float,
    g: float,
    b: float,
    y: Array,
    u: Array,
    d: Array,
    bc: Array,
    dy: Array,
    du: Array,
) -> None:
    """Semi-discrete right-hand side of the module's equations: dy (10, n) [mol m-3 s-1], du (2,) [mol m-2 s-1]."""
    n = dz.shape[0]
    diffusivity(p, y, d[: w.size])
    react(p, w, g, b, y, dy)
    boundary(p, p.exposed, p.kappa_cov, f, y[0, 0], d[0], 0.5 * dz[0], u[0], bc)
    du[0] = bc[0]
    du[1] = bc[1]
    inflow = bc[0] + bc[1]
    for i in range(n):
        outflow = 0.0
        if i < n - 1:
            outflow = (d[i] + d[i + 1]) * (y[0, i] - y[0, i + 1]) / (dz[i] + dz[i + 1])
        dy[0, i] += (inflow - outflow) / dz[i]
        inflow = outflow


@jit
def factorise(
    p: Rates,
    dz: Array,
    w: Array,
    g: float,
    b: float,
    a: float,
    y: Array,
    d: Array,
    bc: Array,
    aff: Array,
    inverse: Array,
    tri: Array,
) -> float:
    """Eliminate the immobile species from (a I - J) and factorise the tridiagonal rest.

    aff, inverse (5, n): see ``eliminate``.  tri (4, n): lower diagonal / pivot, inverse pivots,
    upper diagonal / pivot, and the derivative of D with respect to T.
    Returns the response of the gap uptake U_gap to the oxygen increment of the first cell.
    """
    n = dz.shape[0]
    eliminate(p, w, g, b, a, y, aff, inverse, tri[1])
    for i in range(n):
        tri[3, i] = -p.beta / p.t0 * d[i]
        tri[0, i] = 0.0
        tri[2, i] = 0.0
    u_o: float = (bc[2] + bc[6] * aff[1, 0]) / (a - bc[4])
    tri[1, 0] -= (bc[2] + bc[3] + (bc[4] + bc[5]) * u_o + (bc[6] + bc[7]) * aff[1, 0]) / dz[0]
    for i in range(n - 1):
        span = dz[i] + dz[i + 1]
        df = (d[i] + d[i + 1]) / span
        jump = (y[0, i] - y[0, i + 1]) / span
        left = df + jump * tri[3, i] * aff[1, i]
        right = -df + jump * tri[3, i + 1] * aff[1, i + 1]
        tri[1, i] += left / dz[i]
        tri[2, i] = right / dz[i]
        tri[0, i + 1] = -left / dz[i + 1]
        tri[1, i + 1] -= right / dz[i + 1]
    for i in range(n):
        if i > 0:
            tri[1, i] -= tri[0, i] * tri[2, i - 1]
        tri[1, i] = 1.0 / tri[1, i]
        tri[0, i] *= tri[1, i]
        tri[2, i] *= tri[1, i]
    return u_o


@jit
def solve_stage(
    p: Rates,
    dz: Array,
    w: Array,
    g: float,
    b: float,
    a: float,
    y: Array,
    bc: Array,
    aff: Array,
    inverse: Array,
    tri: Array,
    u_o: float,
    rhs: Array,
    rhs_u: Array,
) -> None:
    """Solve (a I - J) K = rhs in place, with the factors of ``factorise``."""
    n = dz.shape[0]
    condense(p, w, g, b, y, inverse, rhs)
    rhs_u[0] = (rhs_u[0] + bc[6] * rhs[1, 0]) / (a - bc[4])
    rhs[0, 0] += ((bc[4] + bc[5]) * rhs_u[0] + (bc[6] + bc[7]) * rhs[1, 0]) / dz[0]
    if p.beta != 0.0:
        for i in range(n - 1):
            jump = (y[0, i] - y[0, i + 1]) / (dz[i] + dz[i + 1])
            flux = jump * (tri[3, i] * rhs[1, i] + tri[3, i + 1] * rhs[1, i + 1])
            rhs[0, i] -= flux / dz[i]
            rhs[0, i + 1] += flux / dz[i + 1]
    rhs[0, 0] *= tri[1, 0]
    for i in range(1, n):
        rhs[0, i] = rhs[0, i] * tri[1, i] - tri[0, i] * rhs[0, i - 1]
    for i in range(n - 2, -1, -1):
        rhs[0, i] -= tri[2, i] * rhs[0, i + 1]
    expand(p, w, g, b, a, y, aff, rhs)
    rhs_u[0] += u_o * rhs[0, 0]
    rhs_u[1] = (rhs_u[1] + bc[3] * rhs[0, 0] + bc[5] * rhs_u[0] + bc[7] * rhs[1, 0]) / a


@jit
def time_derivative(
    p: Rates, dz: Array, w: Array, slopes: tuple[float, float, float], y: Array, bc: Array, ft: Array, ftu: Array
) -> None:
    """Partial derivative of the right-hand side with respect to time, through the drives alone."""
    df, dg, db = slopes
    react_in_time(p, w, dg, db, y, ft)
    ftu[0] = bc[8] * df
    ftu[1] = bc[9] * df
    ft[0, 0] = (ftu[0] + ftu[1]) / dz[0]


# Transport in a unit cell


class Mesh(NamedTuple):
    """Where cells lie and how they touch, all per contact area; the rings of a unit cell, or a column.

    A column has ``rows`` empty and uses ``volume`` alone, as its widths.  In a unit cell a row's cells follow one
    another outwards and the rows upwards; cells touch at faces, in the order of the cell further on.
    """

    volume: Array  # (n,) [m]
    one: Indices  # (faces,) the cell before a face
    other: Indices  # (faces,) the cell behind it
    conductance: Array  # (faces,) half the conductance through it, per diffusivity [m-1]
    envelope: Indices  # (n,) how many cells further on a cell meets in the factorised matrix
    rows: Indices  # (rows + 1,) first cell of each row, then n
    inlet: Indices  # (m,) cell under which ring k lets oxygen in: the gap's floor, or the coating's top
    share: Array  # (m,) area of ring k [1]
    half: Array  # (m,) distance from the inlet to its cell's centre [m]
    exposed: Array  # (m,) 1 where the ring lies over exposed oxide
    covered: Array  # (m,) 1 where it lies over coating


@jit
def cell_right_side(
    p: Rates,
    mesh: Mesh,
    w: Array,
    f: float,
    g: float,
    b: float,
    y: Array,
    u: Array,
    d: Array,
    bc: Array,
    dy: Array,
    du: Array,
) -> None:
    """Right-hand side of the module's equations on rings: dy (10, n) [mol m-3 s-1], du (2 m,) [mol m-2 s-1].

    V dO/dt = share (N_gap + N_cov) - sum over faces of G (D + D') (O - O') - 4 V (r1 + r2 + r4), per contact area.
    """
    m = mesh.share.size
    diffusivity(p, y, d[: w.size])
    react(p, w, g, b, y, dy)
    for k in range(m):
        i, share, covered = mesh.inlet[k], mesh.share[k], p.kappa_cov * mesh.covered[k]
        boundary(p, mesh.exposed[k], covered, f, y[0, i], d[i], mesh.half[k], u[k] / share, bc[k])
        du[k] = share * bc[k, 0]
        du[m + k] = share * bc[k, 1]
        dy[0, i] += (du[k] + du[m + k]) / mesh.volume[i]
    for k in range(mesh.one.size):
        i, j = mesh.one[k], mesh.other[k]
        flux = mesh.conductance[k] * (d[i] + d[j]) * (y[0, i] - y[0, j])
        dy[0, i] -= flux / mesh.volume[i]
        dy[0, j] += flux / mesh.volume[j]


@jit
def band_factorise(symmetric: bool, reach: Indices, upper: Array, lower: Array) -> None:
    """A = L D U in place without pivoting, for a matrix whose envelope reaches ``reach`` to either side.

    upper (n, b): A[k, k + q] before, U[k, k + q] after, and 1/D[k] at q = 0.
    lower (n, b): A[k + q, k] before, L[k + q, k] after, at q > 0; not touched when A is symmetric.
    """
    n = reach.size
    for k in range(n):
        m = min(reach[k], n - 1 - k)
        pivot, column = upper[k], lower[k]
        inverse = 1.0 / pivot[0]
        for q in range(1, m + 1):
            factor = inverse * (pivot[q] if symmetric else column[q])
            row, rest = upper[k + q], pivot[q:]
            for s in range(m + 1 - q):
                row[s] -= factor * rest[s]
        if not symmetric:
            for q in range(1, m + 1):
                factor, row, rest = inverse * pivot[q], lower[k + q], column[q:]
                for s in range(1, m + 1 - q):
                    row[s] -= factor * rest[s]
            for q in range(1, m + 1):
                column[q] *= inverse
        pivot[0] = inverse
        for q in range(1, m + 1):
            pivot[q] *= inverse


@jit
def band_solve(reach: Indices, upper: Array, lower: Array, x: Array) -> None:
    """Solve A x = x in place with the factors of ``band_factorise``; of a symmetric A, ``upper`` is both."""
    n = reach.size
    for k in range(n):
        m = min(reach[k], n - 1 - k)
        value = x[k]
        row, below = lower[k], x[k:]
        for q in range(1, m + 1):
            below[q] -= row[q] * value
    for k in range(n - 1, -1, -1):
        m = min(reach[k], n - 1 - k)
        row, above = upper[k], x[k:]
        # four sums at a time: a single one waits for itself
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        q = 1
        while q + 3 <= m:
            s0 += row[q] * above[q]
            s1 += row[q + 1] * above[q + 1]
            s2 += row[q + 2] * above[q + 2]
            s3 += row[q + 3] * above[q + 3]
            q += 4
        while q <= m:
            s0 += row[q] * above[q]
            q += 1
        x[k] = x[k] * row[0] - ((s0 + s1) + (s2 + s3))


@jit
def cell_factorise(
    p: Rates, mesh: Mesh, w: Array, g: float, b: float, a: float, y: Array, d: Array, bc: Array, ws: Workspace
) -> None:
    """Eliminate the immobile species from (a I - J) and factorise the rest for oxygen, row by row V times it.

    Symmetric unless D depends on the conversion.
    """
    n, m = mesh.volume.size, mesh.share.size
    slope, aff, upper, lower = -p.beta / p.t0, ws.aff, ws.upper, ws.lower
    eliminate(p, w, g, b, a, y, aff, ws.inverse, ws.tri[1])
    upper[:n] = 0.0
    if p.beta != 0.0:
        lower[:n] = 0.0
    for i in range(n):
        upper[i, 0] = mesh.volume[i] * ws.tri[1, i]
    for k in range(m):
        i, share = mesh.inlet[k], mesh.share[k]
        ws.u_o[k] = share * (bc[k, 2] + bc[k, 6] * aff[1, i]) / (a - bc[k, 4])
        at_once = share * (bc[k, 2] + bc[k, 3] + (bc[k, 6] + bc[k, 7]) * aff[1, i])
        upper[i, 0] -= at_once + (bc[k, 4] + bc[k, 5]) * ws.u_o[k]
    for k in range(mesh.one.size):
        i, j = mesh.one[k], mesh.other[k]
        jump = mesh.conductance[k] * (y[0, i] - y[0, j])
        both = mesh.conductance[k] * (d[i] + d[j])
        left = both + jump * slope * d[i] * aff[1, i]
        right = -both + jump * slope * d[j] * aff[1, j]
        upper[i, 0] += left
        upper[j, 0] -= right
        upper[i, j - i] += right
        if p.beta != 0.0:
            lower[i, j - i] -= left
    band_factorise(p.beta == 0.0, mesh.envelope, upper, lower)


@jit
def cell_solve(
    p: Rates,
    mesh: Mesh,
    w: Array,
    g: float,
    b: float,
    a: float,
    y: Array,
    d: Array,
    bc: Array,
    ws: Workspace,
    rhs: Array,
    rhs_u: Array,
) -> None:
    """Solve (a I - J) K = rhs in place, with the factors of ``cell_factorise``."""
    n, m = mesh.volume.size, mesh.share.size
    condense(p, w, g, b, y, ws.inverse, rhs)
    for i in range(n):
        rhs[0, i] *= mesh.volume[i]
    for k in range(m):
        i, share = mesh.inlet[k], mesh.share[k]
        rhs_u[k] = (rhs_u[k] + share * bc[k, 6] * rhs[1, i]) / (a - bc[k, 4])
        rhs[0, i] += (bc[k, 4] + bc[k, 5]) * rhs_u[k] + share * (bc[k, 6] + bc[k, 7]) * rhs[1, i]
    if p.beta != 0.0:
        slope = -p.beta / p.t0
        for k in range(mesh.one.size):
            i, j = mesh.one[k], mesh.other[k]
            jump = mesh.conductance[k] * slope * (y[0, i] - y[0, j])
            flux = jump * (d[i] * rhs[1, i] + d[j] * rhs[1, j])
            rhs[0, i] -= flux
            rhs[0, j] += flux
    band_solve(mesh.envelope, ws.upper, ws.upper if p.beta == 0.0 else ws.lower, rhs[0])
    expand(p, w, g, b, a, y, ws.aff, rhs)
    for k in range(m):
        i, share = mesh.inlet[k], mesh.share[k]
        rhs_u[k] += ws.u_o[k] * rhs[0, i]
        through = share * (bc[k, 3] * rhs[0, i] + bc[k, 7] * rhs[1, i]) + bc[k, 5] * rhs_u[k]
        rhs_u[m + k] = (rhs_u[m + k] + through) / a


@jit
def cell_time_derivative(
    p: Rates, mesh: Mesh, w: Array, slopes: tuple[float, float, float], y: Array, bc: Array, ft: Array, ftu: Array
) -> None:
    """Partial derivative of the right-hand side with respect to time, through the drives alone."""
    df, dg, db = slopes
    m = mesh.share.size
    react_in_time(p, w, dg, db, y, ft)
    for k in range(m):
        i, share = mesh.inlet[k], mesh.share[k]
        ftu[k] = share * bc[k, 8] * df
        ftu[m + k] = share * bc[k, 9] * df
        ft[0, i] += (ftu[k] + ftu[m + k]) / mesh.volume[i]


# Steps in time, of either


class Workspace(NamedTuple):
    """Scratch arrays of the integrator, one set per mesh; m inlets, b cells from a cell to the one above it."""

    k: Array  # (4, 10, n) stages
    ku: Array  # (4, 2 m)
    f: Array  # (10, n) right-hand side at the step's start
    fu: Array
    ft: Array  # (10, n) its partial time derivative
    ftu: Array
    d: Array  # (n,)
    d_stage: Array
    bc: Array  # (m, 10) boundary terms at the step's start
    bc_stage: Array
    aff: Array  # (5, n)
    inverse: Array  # (5, n)
    tri: Array  # (4, n)
    u_o: Array  # (m,) response of the gap uptake to its cell's oxygen
    upper: Array  # (n, b + 1) of a unit cell, else empty
    lower: Array
    y: Array  # (10, n) trial state
    u: Array


@jit
def slope_at(
    p: Rates,
    mesh: Mesh,
    w: Array,
    drives: tuple[float, float, float],
    y: Array,
    u: Array,
    d: Array,
    bc: Array,
    dy: Array,
    du: Array,
) -> None:
    """Right-hand side on a column or on rings."""
    f, g, b = drives
    if mesh.rows.size == 0:
        right_side(p, mesh.volume, w, f, g, b, y, u, d, bc[0], dy, du)
    else:
        cell_right_side(p, mesh, w, f, g, b, y, u, d, bc, dy, du)


@jit
def stage(p: Rates, mesh: Mesh, w: Array, g: float, b: float, a: float, y: Array, ws: Workspace, j: int) -> None:
    """Solve for stage j in place, on a column or on rings."""
    if mesh.rows.size == 0:
        solve_stage(p, mesh.volume, w, g, b, a, y, ws.bc[0], ws.aff, ws.inverse, ws.tri, ws.u_o[0], ws.k[j], ws.ku[j])
    else:
        cell_solve(p, mesh, w, g, b, a, y, ws.d, ws.bc, ws, ws.k[j], ws.ku[j])


@jit
def linearise(
    p: Rates,
    mesh: Mesh,
    w: Array,
    g: float,
    b: float,
    a: float,
    slopes: tuple[float, float, float],
    y: Array,
    ws: Workspace,
) -> None:
    """Factors of (a I - J) and the partial time derivative, on a column or on rings."""
    if mesh.rows.size == 0:
        ws.u_o[0] = factorise(p, mesh.volume, w, g, b, a, y, ws.d, ws.bc[0], ws.aff, ws.inverse, ws.tri)
        time_derivative(p, mesh.volume, w, slopes, y, ws.bc[0], ws.ft, ws.ftu)
    else:
        cell_factorise(p, mesh, w, g, b, a, y, ws.d, ws.bc, ws)
        cell_time_derivative(p, mesh, w, slopes, y, ws.bc, ws.ft, ws.ftu)


@jit
def blend(n: int, out: Array, base: Array, k1: Array, c1: float, k2: Array, c2: float, k3: Array, c3: float) -> None:
    """out = base + c1 k1 + c2 k2 + c3 k3 in the first n cells of every species."""
    for s in range(out.shape[0]):
        for i in range(n):
            out[s, i] = base[s, i] + c1 * k1[s, i] + c2 * k2[s, i] + c3 * k3[s, i]


@jit
def rosenbrock_step(
    p: Rates,
    mesh: Mesh,
    w: Array,
    t: float,
    h: float,
    drive: tuple[Array, Array, Array, Array],
    y: Array,
    u: Array,
    ws: Workspace,
) -> None:
    """One RODAS3 step from (y, u) to the trial state of the workspace; stage 4 is the error estimate."""
    a = 1.0 / (h * GAMMA)
    tk, fk, gk, bk = drive
    f, f1 = line_over(t, h, tk, fk)
    g, g1 = line_over(t, h, tk, gk)
    b, b1 = line_over(t, h, tk, bk)
    slopes = ((f1 - f) / h, (g1 - g) / h, (b1 - b) / h)
    n, m = w.size, u.size
    k0, k1, k2, k3 = ws.k[0], ws.k[1], ws.k[2], ws.k[3]
    q0, q1, q2, q3 = ws.ku[0:1], ws.ku[1:2], ws.ku[2:3], ws.ku[3:4]
    f0, ft, yt = ws.f, ws.ft, ws.y
    fu, ftu, u0, ut = ws.fu.reshape((1, m)), ws.ftu.reshape((1, m)), u.reshape((1, m)), ws.u.reshape((1, m))
    slope_at(p, mesh, w, (f, g, b), y, u, ws.d, ws.bc, ws.f, ws.fu)
    linearise(p, mesh, w, g, b, a, slopes, y, ws)
    # stages 1 and 2 share f(y): RODAS3 evaluates the right-hand side three times per step
    blend(n, k0, f0, ft, 0.5 * h, ft, 0.0, ft, 0.0)
    blend(m, q0, fu, ftu, 0.5 * h, ftu, 0.0, ftu, 0.0)
    stage(p, mesh, w, g, b, a, y, ws, 0)
    blend(n, k1, f0, k0, 4.0 / h, ft, 1.5 * h, ft, 0.0)
    blend(m, q1, fu, q0, 4.0 / h, ftu, 1.5 * h, ftu, 0.0)
    stage(p, mesh, w, g, b, a, y, ws, 1)
    blend(n, yt, y, k0, 2.0, k0, 0.0, k0, 0.0)
    blend(m, ut, u0, q0, 2.0, q0, 0.0, q0, 0.0)
    slope_at(p, mesh, w, (f1, g1, b1), ws.y, ws.u, ws.d_stage, ws.bc_stage, k2, ws.ku[2])
    blend(n, k2, k2, k0, 1.0 / h, k1, -1.0 / h, k1, 0.0)
    blend(m, q2, q2, q0, 1.0 / h, q1, -1.0 / h, q1, 0.0)
    stage(p, mesh, w, g, b, a, y, ws, 2)
    blend(n, yt, yt, k2, 1.0, k2, 0.0, k2, 0.0)
    blend(m, ut, ut, q2, 1.0, q2, 0.0, q2, 0.0)
    slope_at(p, mesh, w, (f1, g1, b1), ws.y, ws.u, ws.d_stage, ws.bc_stage, k3, ws.ku[3])
    blend(n, k3, k3, k0, 1.0 / h, k1, -1.0 / h, k2, -8.0 / 3.0 / h)
    blend(m, q3, q3, q0, 1.0 / h, q1, -1.0 / h, q2, -8.0 / 3.0 / h)
    stage(p, mesh, w, g, b, a, y, ws, 3)
    blend(n, yt, yt, k3, 1.0, k3, 0.0, k3, 0.0)
    blend(m, ut, ut, q3, 1.0, q3, 0.0, q3, 0.0)


@jit
def larger(worst: float, error: float, bound: float) -> float:
    """The larger of ``worst`` and |error|/bound, which is divided only where it is; a nan becomes infinite."""
    if abs(error) <= worst * bound:
        return worst
    ratio = abs(error) / bound
    return ratio if np.isfinite(ratio) else np.inf


@jit
def error_norm(n: int, tol: float, scale: Array, scale_u: float, y: Array, u: Array, ws: Workspace) -> float:
    """Largest error over tol (scale + |y|), over n cells, species and uptakes; infinite when any is not a number.

    A trial concentration below zero by more than its tolerance is an error of that size: a long step can land where
    a reactant is negative, which no embedded estimate sees.
    """
    worst, error, error_u = 0.0, ws.k[3], ws.ku[3]
    for s in range(y.shape[0]):
        for i in range(n):
            bound = tol * (scale[s] + abs(y[s, i]))
            worst = larger(worst, error[s, i], bound)
            if ws.y[s, i] < -bound:
                worst = larger(worst, ws.y[s, i], bound)
    for s in range(u.size):
        worst = larger(worst, error_u[s], tol * (scale_u + abs(u[s])))
    return worst


# Where nothing reacts: cells beyond the front hold next to no oxygen, and steps leave them out

IDLE = 1e-14  # of the equilibrium concentration: so little oxygen does nothing in the life of a contact
MARGIN = 4  # rows that a step takes in beyond the last with more; oxygen falls about tenfold across them


@jit
def busy(mesh: Mesh, w: Array, idle: float, o: Array) -> int:
    """How many of the leading cells have an inlet, electrons, or oxygen beyond ``idle``, or lie before one that has."""
    first = mesh.inlet[-1] + 1 if mesh.inlet.size > 0 else 1  # no ring's inlet lies above that of the outermost
    n = w.size
    while n > first and w[n - 1] == 0.0 and abs(o[n - 1]) <= idle:
        n -= 1
    return n


@jit
def whole_rows(mesh: Mesh, n: int, more: int) -> int:
    """Cells of the rows that hold the first n cells, and of some more rows; every cell of a column is a row."""
    if mesh.rows.size == 0:
        return min(n + more, mesh.volume.size)
    return int(mesh.rows[min(int(np.searchsorted(mesh.rows, n)) + more, mesh.rows.size - 1)])


@jit
def leading(mesh: Mesh, n: int) -> Mesh:
    """The first n cells, whole rows, closed to those above."""
    rows, faces = mesh.rows[: np.searchsorted(mesh.rows, n) + 1], np.searchsorted(mesh.other, n)
    one, other, conductance = mesh.one[:faces], mesh.other[:faces], mesh.conductance[:faces]
    inlets = (mesh.inlet, mesh.share, mesh.half, mesh.exposed, mesh.covered)
    return Mesh(mesh.volume[:n], one, other, conductance, mesh.envelope[:n], rows, *inlets)


@jit
def step_where_busy(
    p: Rates,
    mesh: Mesh,
    w: Array,
    t: float,
    h: float,
    drive: tuple[Array, Array, Array, Array],
    y: Array,
    u: Array,
    ws: Workspace,
) -> int:
    """``rosenbrock_step`` of the busy cells and a margin; returns how many they are.

    They follow from the state alone, so that a run resumes bit for bit.  No flux leaves them: when oxygen beyond
    the idle has come to their last row, the step is repeated with more.
    """
    idle = IDLE * p.c_eq
    n: int = whole_rows(mesh, busy(mesh, w, idle, y[0]), MARGIN)
    while True:
        rosenbrock_step(p, leading(mesh, n), w[:n], t, h, drive, y, u, ws)
        if n == w.size or whole_rows(mesh, busy(mesh, w[:n], idle, ws.y[0]), 1) <= n:
            return n
        n = whole_rows(mesh, 2 * n, 0)


@jit
def advance(
    p: Rates,
    mesh: Mesh,
    w: Array,
    drive: tuple[Array, Array, Array, Array],
    tol: float,
    scale: Array,
    scale_u: float,
    h: float,
    y: Array,
    u: Array,
    ws: Workspace,
    max_steps: int,
) -> tuple[float, int, int]:
    """Integrate (y, u) in place over the drive's time span with adaptive steps.

    Returns the step size to start the next span with [s], accepted steps (negative: the step budget ran out
    or the step underflowed) and rejected steps.
    """
    t = drive[0][0]
    end = drive[0][-1]
    span = end - t
    accepted = 0
    rejected = 0
    if span <= 0.0:
        return h, 0, 0
    h = min(h, span) if h > 0.0 else 1e-3 * span
    proposed = h
    growth = GROWTH
    while t < end:
        if accepted + rejected >= max_steps or h < 1e-13 * span:
            return h, -accepted - 1, rejected
        last = t + h >= end - 1e-9 * span
        if last:
            proposed = h
            h = end - t
        n = step_where_busy(p, mesh, w, t, h, drive, y, u, ws)
        err = error_norm(n, tol, scale, scale_u, y, u, ws)
        if err <= 1.0:
            y[:, :n] = ws.y[:, :n]
            u[:] = ws.u
            t = end if last else t + h
            accepted += 1
            h *= min(growth, SAFETY * max(err, 1e-6) ** (-1.0 / 3.0))
            proposed = max(h, proposed)
            growth = GROWTH
        else:
            # "not err <= 1" also catches a step that produced nan
            rejected += 1
            h *= max(0.1, SAFETY * err ** (-1.0 / 3.0)) if np.isfinite(err) else 0.1
            proposed = h
            growth = 1.0  # a step that follows a rejected one does not widen at once
    return proposed, accepted, rejected


@jit
def effective_conductivity(shares: tuple[float, float, float], sigmas: tuple[float, float, float]) -> float:
    """Bruggeman's symmetric effective medium, sum_i phi_i (s_i - s)/(s_i + 2 s) = 0, for three phases [S m-1].

    The sum is convex in s and concave in 1/s.  Its tangents in s below the root and in 1/s above it therefore never
    pass the root: between bounds a middle's tangent moves one of them, some nine times.
    """
    lo = min(sigmas[0], sigmas[1], sigmas[2])
    hi = max(sigmas[0], sigmas[1], sigmas[2])
    for _ in range(200):
        mid = np.sqrt(lo * hi)
        total, fall = 0.0, 0.0
        for k in range(3):
            inverse = 1.0 / (sigmas[k] + 2.0 * mid)
            total += shares[k] * (sigmas[k] - mid) * inverse
            fall += 3.0 * shares[k] * sigmas[k] * inverse * inverse
        if total > 0.0:
            lo = mid + total / fall
        else:
            hi = mid / (1.0 - total / (mid * fall))
        if hi <= lo * (1.0 + 1e-14):
            break
    middle: float = np.sqrt(lo * hi)
    return middle


@jit
def layer_conductivity(
    y: Array,
    before: Indices,
    after: Indices,
    way: Array,
    t0: float,
    volumes: Array,
    sigmas: tuple[float, float, float],
    out: Array,
) -> None:
    """Ionic conductivity from the phases at places between cells [S m-1].

    Concentrations lie a share ``way`` of the way from those of cell ``before`` to those of cell ``after``.
    ``volumes`` [m3 mol-1]: Li6PS5Cl, Li3PS4, Li2S, LiCl, Li3PO4, Li2SO4, S, P2S5/2.  Phase rules: argyrodite
    min(T, F); excess PS4 as Li3PS4, excess sulfide as Li2S; one LiCl per lost argyrodite.  ``sigmas``:
    electrolyte, Li3PS4, everything else (insulating).
    """
    c = np.empty(7)
    for i in range(out.size):
        for s in range(1, 7):
            c[s] = max(y[s, before[i]] + way[i] * (y[s, after[i]] - y[s, before[i]]), 0.0)
        intact = min(c[PS4], c[S2])
        argyrodite = volumes[0] * intact
        thiophosphate = volumes[1] * (c[PS4] - intact)
        insulating = volumes[2] * (c[S2] - intact) + volumes[3] * max(t0 - intact, 0.0)
        insulating += volumes[4] * c[PO4] + volumes[5] * c[SO4] + volumes[6] * c[S0] + volumes[7] * c[PS25]
        total = argyrodite + thiophosphate + insulating
        if insulating <= 1e-12 * total:
            out[i] = sigmas[0]
        else:
            out[i] = effective_conductivity((argyrodite / total, thiophosphate / total, insulating / total), sigmas)
