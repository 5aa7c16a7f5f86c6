"""The contact's equations written out anew in plain NumPy, for SciPy: a column, and rings around a gap.

Nothing of the kernels' equations is imported: reactions, flux, exchange, phase rules and effective medium are
written from the model's own statement of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

Array = NDArray[np.float64]
Drives = Callable[[float], Sequence[float]]  # oxygen activity and both switches at a time
C0 = 6930.0  # mol m-3 of Li6PS5Cl
NM = 1e-9


@dataclass(frozen=True)
class Case:
    """A contact in the model's words, SI; rock salt as s m-1 per mol m-2."""

    k1: float = 1e-6
    k2: float = 3e-7
    k4: float = 5e-7
    k3: float = 1e-4
    k3b: float = 4e-5
    diffusivity: float = 2e-20
    converted: float = 0.5  # D of wholly converted electrolyte over that of fresh one
    exchange: float = 3e-11
    covered_exchange: float = 0.0
    exposed: float = 1.0
    gap: float = 0.0
    rock_salt: float = 1e12  # of the oxygen through exposed oxide
    equilibrium: float = 1000.0
    reach: float = 3 * NM


# The state: cell after cell of O, T, F, S, P, Q, R and the exposed T and F, then the oxygen through gaps and through
# the coating, by inlet, and of a column the electrons of R3, R3b and R4.
SPECIES = 9


def _reacted(case: Case, near: Array, g: float, b: float, cells: Array) -> tuple[list[Array], Array, Array]:
    """Change of every species by reaction, that of oxygen among them, D by cell, and electrons set free per volume."""
    o, thio, sulfide, sulfur, _, _, _, thio_exposed, sulfide_exposed = cells
    r1, r2, r4 = case.k1 * o * thio, case.k2 * o * sulfide, case.k4 * o * sulfur
    r3, r3b = case.k3 * g * near * sulfide_exposed, case.k3b * b * near * thio_exposed
    change = [
        -4 * (r1 + r2 + r4), -r1 - r3b, -r2 - r3, 4 * r1 + r3 + 1.5 * r3b - r4, r1, r2 + r4, r3b,
        -case.k1 * o * thio_exposed - r3b, -case.k2 * o * sulfide_exposed - r3,
    ]  # fmt: skip
    return change, case.diffusivity * case.converted ** (1 - thio / C0), 2 * r3 + 3 * r3b - 2 * r4


def _conductance(case: Case, f: float, through: Array, exposed: float) -> Array:
    """Exchange through gaps per contact area, in series with rock salt and gap; ``through``: taken up by them."""
    if case.exchange <= 0:
        return 0 * through
    return np.asarray(exposed / (1 / (case.exchange * f) + case.gap + case.rock_salt * through / exposed))


def column_side(case: Case, width: Array, drives: Drives) -> Callable[[float, Array], Array]:
    """The right-hand side of a column of cells of these widths."""
    z = np.cumsum(width) - 0.5 * width
    near = np.clip(1 - z / case.reach, 0, None)

    def side(t: float, x: Array) -> Array:
        f, g, b = drives(t)
        cells = x[:-3].reshape(-1, SPECIES).T
        change, d, freed = _reacted(case, near, g, b, cells)
        o = cells[0]
        inside = 0.5 * (d[1:] + d[:-1]) * (o[:-1] - o[1:]) / (0.5 * (width[1:] + width[:-1]))
        # both ways in share half a cell of electrolyte
        ways = np.array([float(_conductance(case, f, x[-3], case.exposed)), case.covered_exchange * f])
        wall = (case.equilibrium - o[0]) / (1 + ways.sum() * 0.5 * width[0] / d[0])
        flux = np.concatenate(([ways.sum() * wall], inside, [0.0]))
        change[0] = change[0] - np.diff(flux) / width
        return np.concatenate((np.array(change).T.ravel(), ways * wall, [float(freed @ width)]))

    return side


def column_pattern(n: int) -> Any:
    """What depends on what in a column; that the electrons depend on all cells is left to the iteration."""
    neighbours = sp.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(n, n))
    pattern = sp.block_diag([sp.kron(neighbours, np.ones((SPECIES, SPECIES))), np.ones((3, 3))]).tolil()
    pattern[-3:, :SPECIES] = 1
    pattern[:SPECIES, -3:] = 1
    return pattern.tocsr()


@dataclass(frozen=True, eq=False)
class Gap:
    """Rings by rows around a gap: faces in r and z [m], how many of them lie in the gap."""

    radius: Array
    height: Array
    rings: int
    rows: int

    @property
    def open(self) -> NDArray[np.bool_]:
        """Where there is electrolyte."""
        found = np.ones((self.height.size - 1, self.radius.size - 1), dtype=bool)
        found[: self.rows, self.rings :] = False
        return found


def gap_side(case: Case, gap: Gap, drives: Drives) -> Callable[[float, Array], Array]:
    """The right-hand side around a gap: per contact area, on all of (rows, rings), with walls where the coating is."""
    disc, dz, open_ = gap.radius[-1], np.diff(gap.height), gap.open
    area = np.diff(gap.radius**2) / disc**2
    volume, rows = np.outer(dz, area), np.argmax(open_, axis=0)
    middle, centre = 0.5 * (gap.radius[1:] + gap.radius[:-1]), 0.5 * (gap.height[1:] + gap.height[:-1])
    aside = np.maximum(0.0, middle - gap.radius[gap.rings])[None, :]
    rim = gap.height[gap.rows]
    way = np.where(aside > 0, rim + np.hypot(aside, centre[:, None] - rim), centre[:, None])
    near = np.clip(1 - way / case.reach, 0, None)[open_]
    m, ring = area.size, np.arange(area.size)
    exposed = ring < gap.rings

    def side(t: float, x: Array) -> Array:
        f, g, b = drives(t)
        cells, through = x[: -2 * m].reshape(-1, SPECIES).T, x[-2 * m : -m] / area
        change, mobility, _ = _reacted(case, near, g, b, cells)
        o, d = np.zeros(open_.shape), np.ones(open_.shape)
        o[open_], d[open_] = cells[0], mobility
        up = 0.5 * (d[1:] + d[:-1]) * (o[:-1] - o[1:]) / np.diff(centre)[:, None] * area
        up[~(open_[1:] & open_[:-1])] = 0.0
        around = 2 * gap.radius[1:-1] / disc**2 * dz[:, None]
        out = 0.5 * (d[:, 1:] + d[:, :-1]) * (o[:, :-1] - o[:, 1:]) / np.diff(middle) * around
        out[~(open_[:, 1:] & open_[:, :-1])] = 0.0
        gain = np.zeros(open_.shape)
        gain[:-1] -= up
        gain[1:] += up
        gain[:, :-1] -= out
        gain[:, 1:] += out
        ways = np.array([
            np.where(exposed, _conductance(case, f, through, 1.0), 0.0),
            np.where(exposed, 0.0, case.covered_exchange * f),
        ])  # fmt: skip
        first, floor = o[rows, ring], 0.5 * dz[rows] / d[rows, ring]
        entering = area * ways * (case.equilibrium - first) / (1 + ways.sum(axis=0) * floor)
        gain[rows, ring] += entering.sum(axis=0)
        change[0] = change[0] + (gain / volume)[open_]
        return np.concatenate((np.array(change).T.ravel(), entering.ravel()))

    return side


def gap_pattern(gap: Gap) -> Any:
    """What depends on what around a gap."""
    open_ = gap.open
    number = np.full(open_.shape, -1)
    number[open_] = np.arange(open_.sum())
    n, m = int(open_.sum()), open_.shape[1]
    cells = sp.eye(n).tolil()
    for a, b in ((number[1:], number[:-1]), (number[:, 1:], number[:, :-1])):
        both = (a >= 0) & (b >= 0)
        cells[a[both], b[both]] = cells[b[both], a[both]] = 1
    whole = sp.block_diag([sp.kron(cells, np.ones((SPECIES, SPECIES))), sp.eye(2 * m)]).tolil()
    for ring, row in enumerate(np.argmax(open_, axis=0)):
        first = SPECIES * number[row, ring]
        for uptake in (SPECIES * n + ring, SPECIES * n + m + ring):
            whole[uptake, first : first + SPECIES] = 1
            whole[first, uptake] = 1
            whole[uptake, SPECIES * n + ring] = 1
    return whole.tocsr()


def solved(
    side: Callable[[float, Array], Array], span: tuple[float, float], x: Array, size: Array, pattern: Any, rtol: float
) -> Array:
    """The state after a span of time, by BDF; ``size``: of what each unknown's absolute tolerance is rtol/100."""
    with np.errstate(invalid="ignore", over="ignore"):  # BDF subtracts differences it has not filled in yet
        done = solve_ivp(
            side, span, x, "BDF", t_eval=span[1:], rtol=rtol, atol=1e-2 * rtol * size, jac_sparsity=pattern
        )
    if not done.success:
        raise RuntimeError(done.message)
    return np.asarray(done.y[:, -1])


# Li6PS5Cl, Li3PS4, Li2S, LiCl, Li3PO4, Li2SO4, S, P2S5/2
MOLAR_VOLUMES = np.array([144.3, 96.3, 27.7, 20.5, 46.7, 49.5, 15.5, 53.2]) * 1e-6


def effective_medium(volumes: Array, conductivities: tuple[float, float, float]) -> float:
    """sum_i phi_i (s_i - s)/(s_i + 2 s) = 0 solved for s [S m-1]."""
    present, parts = np.maximum(volumes, 0.0), np.array(conductivities)
    shares = present / present.sum()
    return float(
        brentq(
            lambda s: float(shares @ ((parts - s) / (parts + 2 * s))), 0.5 * parts.min(), 2 * parts.max(), xtol=1e-18
        )
    )


def resistance(width: Array, fields: Array, conductivities: tuple[float, float, float]) -> float:
    """integral of (1/sigma - 1/sigma_SE) dz [ohm m2], over thirds of cells between which concentrations are linear."""
    total = 0.0
    v = MOLAR_VOLUMES
    centre = np.cumsum(width) - 0.5 * width
    thirds = np.sort(np.concatenate([centre + share * width for share in (-1 / 3, 0, 1 / 3)]))
    between = np.array([np.interp(thirds, centre, field) for field in fields[:7]])
    for dz, (_, thio, sulfide, sulfur, phosphate, sulfate, p2s5) in zip(
        np.repeat(width / 3, 3), between.T, strict=True
    ):
        salt = min(thio, sulfide)
        products = v[4] * phosphate + v[5] * sulfate + v[6] * sulfur + v[7] * p2s5
        insulating = v[2] * (sulfide - salt) + v[3] * (C0 - salt) + products
        sigma = effective_medium(np.array([v[0] * salt, v[1] * (thio - salt), insulating]), conductivities)
        total += dz * (1 / sigma - 1 / conductivities[0])
    return total
