"""A contact resolved around one gap of its coating: rings (r, z), their mesh, and the ionic current through them.

The disc 0 < r < r_c around a gap of radius r_p = r_c sqrt(1 - theta).  The coating fills 0 < z < h, r > r_p;
electrolyte fills the gap and everything above the coating up to

    Z' = Z + theta h,

so that there is as much electrolyte per contact area as in a column of depth Z: the coating lifts it, it does
not take its place.  No flux at r = r_c, at z = Z' and through the walls of the gap.  All areas, volumes and
uptakes are per contact area pi r_c^2, so the sums of a column are the sums of a unit cell.

A gap may be filled with a solid instead: then electrolyte lies above the coating alone, Z' = Z + h, and oxygen comes
through the filler where it came through the gap.

The electrolyte in an open gap reacts as it does elsewhere, while mixed and separate patches let oxygen pass a gap
that does not react, by h/D_gap and a constriction: here a front must convert the gap before it spreads over the
coating.

Differences between rings fall by exp(-3.8) over a radius from the mouth, so ``LEVEL`` radii away a row is one cell:
of 20 rings and 160 rows some 800 cells remain.  Of a step, the elimination and the band's factorisation take a third.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from interphase_sim.caching import per_thread
from interphase_sim.errors import InputError
from interphase_sim.interphase import kernels
from interphase_sim.interphase.column import SLICES, Column, Grid, Indices, Slices, faces, pristine, slice_up, split
from interphase_sim.interphase.kernels import Array, Mesh, Rates

LEVEL = 2.5  # radii from the mouth of the gap beyond which rings are one cell: differences fall by exp(-3.8) a radius
LEAK = 1e-6  # of the current: so much of it may be lost to round-off
REFINEMENTS = 20
AMPLE = 1e10


class Fineness(NamedTuple):
    """How finely a unit cell is cut: rings over the disc, rows over the height, width of the cells at the rim, the
    oxide and the coating [m], fewest cells across the gap's radius and along its depth, and the keys' prefix."""

    rings: int
    rows: int
    edge: float
    fewest: int = 4
    keys: str = "unit_cell"


@dataclass(frozen=True)
class Geometry:
    """Radius of the gap and of the disc around it, thickness of the coating, electrolyte per contact area [m];
    whether a solid fills the gap."""

    gap: float
    disc: float
    thickness: float
    available: float
    filled: bool = False

    @property
    def covered(self) -> float:
        """Share of the contact area under coating, 1 - (r_p/r_c)^2 [1]."""
        return 1.0 - (self.gap / self.disc) ** 2

    @property
    def height(self) -> float:
        """Z' = Z + theta h, or Z + h over a filled gap [m]."""
        return self.available + (1.0 if self.filled else self.covered) * self.thickness


@dataclass(frozen=True, eq=False)
class Rings(Grid):
    """Rings by rows: faces in r and z [m], how many rings and rows the gap has, and the number of the cell that holds
    the electrolyte of a row in a ring (rows, rings); 0 in solids.

    Far from the mouth of the gap the rings of a row are one cell. ``width`` is a cell's volume per contact area [m],
    ``centre`` its height over the oxide [m]; both row by row from the floor of the gap, each from the axis outwards.
    """

    geometry: Geometry
    radius: Array
    height: Array
    gap_rings: int
    gap_rows: int
    number: Indices

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and rings, the coating counted."""
        return self.height.size - 1, self.radius.size - 1

    @property
    def middle(self) -> Array:
        """Height of every row's centre over the oxide [m]."""
        return np.asarray(0.5 * (self.height[1:] + self.height[:-1]))

    @functools.cached_property
    def share(self) -> Array:
        """Area of every ring per contact area [1]."""
        return np.diff(self.radius**2) / self.geometry.disc**2

    @functools.cached_property
    def electrolyte(self) -> npt.NDArray[np.bool_]:
        """Where there is electrolyte, (rows, rings)."""
        return _electrolyte(self.geometry, self.shape, self.gap_rows, self.gap_rings)

    def full(self, values: Array, solid: float | Array = math.nan) -> Array:
        """Values of the cells (n,) laid out on (rows, rings); ``solid`` is the coating's, or one value per ring."""
        return np.where(self.electrolyte, values[self.number], solid)

    def mean(self, values: Array) -> Array:
        """Mean of values on (rows, rings) over the volume of every cell (n,)."""
        volume = np.outer(np.diff(self.height), self.share)
        inside = self.electrolyte
        return np.asarray(np.bincount(self.number[inside], (volume * values)[inside]) / self.width)

    @property
    def faces(self) -> Array:
        """Height of the faces between rows [m]."""
        return self.height

    @functools.cached_property
    def lowest(self) -> Indices:
        """Lowest row with electrolyte, of every ring."""
        return np.asarray(np.argmax(self.electrolyte, axis=0))

    @functools.cached_property
    def level(self) -> int:
        """How many rows lie below those above the coating whose rings are one cell; the gap's and one more at least."""
        several = np.flatnonzero(self.number[:, -1] > self.number[:, 0])
        return max(self.gap_rows, int(several[-1]) if several.size else 0) + 1

    @functools.cached_property
    def slices(self) -> Slices:
        """Every cell cut into equal slices, between its neighbours above and below in its innermost ring."""
        _, first = np.unique(self.number[self.electrolyte], return_index=True)
        row, ring = (place[first] for place in np.nonzero(self.electrolyte))
        before = np.empty((row.size, SLICES), dtype=np.intp)
        after, way, height = before.copy(), np.empty(before.shape), np.empty(before.shape)
        for low in np.unique(self.lowest):
            mine = self.lowest[ring] == low
            parts = slice_up(self.middle[low:], np.diff(self.height)[low:])
            where, below, part = (found.reshape(-1, SLICES)[row[mine] - low] for found in parts)
            height[mine], way[mine] = where, part
            before[mine] = self.number[low + below, ring[mine, None]]
            after[mine] = self.number[low + below + 1, ring[mine, None]]
        return Slices(
            np.repeat(self.width / SLICES, SLICES), height.ravel(), before.ravel(), after.ravel(), way.ravel()
        )

    @functools.cached_property
    def mesh(self) -> Mesh:
        """Volumes, faces and inlets of the kernels."""
        n, ring, half = self.width.size, np.arange(self.shape[1]), 0.5 * np.diff(self.height)
        one, other, conductance = _faces_between(self)
        furthest = np.arange(n)
        np.maximum.at(furthest, one, other)
        envelope = np.maximum.accumulate(furthest) - np.arange(n)
        there = self.electrolyte.any(axis=1)
        begin = self.number[there, np.argmax(self.electrolyte[there], axis=1)]
        inlet, gap = self.number[self.lowest, ring], (ring < self.gap_rings).astype(float)
        rows = np.append(begin, n)
        return Mesh(
            self.width, one, other, conductance, envelope, rows, inlet, self.share, half[self.lowest], gap, 1.0 - gap
        )


def _faces_between(rings: Rings) -> tuple[Indices, Indices, Array]:
    """Cells before and behind every face, in the order of those behind, and half its conductance [m-1]."""
    dz, number, inside = np.diff(rings.height), rings.number, rings.electrolyte
    side = inside[:, :-1] & inside[:, 1:] & (number[:, :-1] < number[:, 1:])
    top = inside[:-1] & inside[1:]
    around = 0.5 * dz[:, None] * _around(rings)
    above = rings.share / (dz[:-1] + dz[1:])[:, None]
    one = np.concatenate((number[:, :-1][side], number[:-1][top]))
    other = np.concatenate((number[:, 1:][side], number[1:][top]))
    n = rings.width.size
    pairs, place = np.unique(other * n + one, return_inverse=True)
    conductance = np.bincount(place, np.concatenate((around[side], above[top])), pairs.size)
    return np.asarray(pairs % n), np.asarray(pairs // n), np.asarray(conductance)


def _around(rings: Rings) -> Array:
    """Circumference of the faces between rings over the distance of the rings' centres, per contact area [m-2]."""
    centre = 0.5 * (rings.radius[1:] + rings.radius[:-1])
    return np.asarray(2.0 * rings.radius[1:-1] / rings.geometry.disc**2 / np.diff(centre))


def rings(geometry: Geometry, cut: Fineness, reach: float = 0.0) -> Rings:
    """Rings and rows that are narrowest at the rim of the gap, at the oxide and on the coating, and widen by a
    constant ratio away from there; in the gap a face lies where electrons reach to [m].

    Halving ``cut.edge`` and doubling rings and rows halves every cell.
    Raises InputError for a gap wider than its disc, for electrolyte that does not reach over the coating, and for too
    few cells in the gap, with the nearest valid value.
    """
    gap, disc, h = geometry.gap, geometry.disc, geometry.thickness
    if gap > disc:
        raise InputError(f"a gap of radius {gap:.3g} m does not fit its disc; at most {disc:.3g} m")
    if geometry.height <= h:
        least = (1.0 - geometry.covered) * h
        raise InputError(
            f"kinetics.layer.electrolyte_available: {1e9 * geometry.available:.4g} nm fill the gaps of a coating of "
            f"{1e9 * h:.4g} nm without reaching over it; more than {1e9 * least:.4g} nm does"
        )
    edge, depths = cut.edge, _depths(h, reach)
    whole = (*depths, geometry.height - h)
    inner, outer = split((gap, disc - gap), cut.rings, edge) if gap < disc else (cut.rings, 0)
    *inside, above = split(whole, cut.rows, edge) if outer and h > 0 else (cut.rows,)
    if outer:
        _fine_enough(cut, "rings", "radius", inner, lambda n: split((gap, disc - gap), n, edge)[0])
    if outer and h > 0:
        _fine_enough(cut, "rows", "depth", sum(inside), lambda n: sum(split(whole, n, edge)[:-1]))
    radius = faces([(gap, inner, True), (disc - gap, outer, False)], edge)
    tall = geometry.height - (h if inside else 0.0)
    parts = [(depth, n, k % 2 == 1) for k, (depth, n) in enumerate(zip(depths, inside, strict=False))]
    height = faces([*parts, (tall, above, False)], edge)
    return between(geometry, radius, height, inner, sum(inside), LEVEL)


def _depths(h: float, reach: float) -> tuple[float, ...]:
    """Parts of a gap's depth whose ends are the oxide, where electrons reach to, and the mouth, in halves [m]."""
    if not 0 < reach < h:
        return h / 2, h / 2
    return reach / 2, reach / 2, (h - reach) / 2, (h - reach) / 2


def _fine_enough(cut: Fineness, kind: str, what: str, found: int, at: Callable[[int], int]) -> None:
    if found >= cut.fewest:
        return
    given = getattr(cut, kind)
    enough = next(n for n in range(given, 10_000) if at(n) >= cut.fewest)
    raise InputError(
        f"numerics.{cut.keys}_{kind}: {given} leave {found} across the {what} of the gap, which needs {cut.fewest}; "
        f"the smallest number that does is {enough}"
    )


def between(
    geometry: Geometry, radius: Array, height: Array, gap_rings: int, gap_rows: int, level: float = math.inf
) -> Rings:
    """The cells with electrolyte between faces; rows ``level`` radii or more from the mouth of the gap are one."""
    share, dz = np.diff(radius**2) / geometry.disc**2, np.diff(height)
    inside = _electrolyte(geometry, (dz.size, share.size), gap_rows, gap_rings)
    first = inside.copy()
    first[_levelled(geometry, height, level), 1:] = False
    number = np.where(inside, np.cumsum(first).reshape(inside.shape) - 1, 0)
    volume = np.asarray(np.bincount(number[inside], np.outer(dz, share)[inside]), dtype=float)
    row, _ = np.nonzero(first)
    return Rings(volume, 0.5 * (height[1:] + height[:-1])[row], geometry, radius, height, gap_rings, gap_rows, number)


def _levelled(geometry: Geometry, height: Array, level: float) -> npt.NDArray[np.bool_]:
    """Rows far from the mouth: below it by radii of the gap, above it by radii of the disc."""
    if math.isinf(level):
        return np.zeros(height.size - 1, dtype=np.bool_)
    h = geometry.thickness
    return np.asarray((height[1:] <= h - level * geometry.gap) | (height[:-1] >= h + level * geometry.disc))


def _electrolyte(geometry: Geometry, shape: tuple[int, int], gap_rows: int, gap_rings: int) -> npt.NDArray[np.bool_]:
    inside = np.ones(shape, dtype=np.bool_)
    inside[:gap_rows, 0 if geometry.filled else gap_rings :] = False
    return inside


def electron_reach(grid: Rings, reach: float) -> Array:
    """w = max(0, 1 - d/lambda_e) with d the way to exposed oxide: down the gap, or around its rim [1].

    From a place above the coating the way leads over the rim, d = h + sqrt((r - r_p)^2 + (z - h)^2). A filler lets
    no electron through.
    """
    middle = 0.5 * (grid.radius[1:] + grid.radius[:-1])
    h = grid.geometry.thickness if grid.gap_rings < middle.size else 0.0
    if grid.geometry.filled:
        return np.zeros(grid.width.size)
    aside, over = np.maximum(0.0, middle - grid.geometry.gap), grid.middle[:, None]
    way = np.where(aside > 0, h + np.hypot(aside, over - h), over)
    return grid.mean(np.maximum(0.0, 1.0 - way / reach))


def new_cell(grid: Rings, rates: Rates, reach: float) -> Column:
    """A pristine unit cell: a contact's state on rings, advanced and summed up like a column."""
    y = pristine(grid.width.size, rates.t0)
    return Column(grid, rates, electron_reach(grid, reach), y, np.zeros(2 * grid.share.size))


def depth_profile(cell: Column, grid: Rings) -> Array:
    """Concentrations averaged over the contact area by row (10, rows) [mol m-3]; coating counts as pristine."""
    fresh = pristine(1, cell.rates.t0)[:, 0]
    return np.array([grid.full(y, rest) @ grid.share for y, rest in zip(cell.y, fresh, strict=True)])


@dataclass(frozen=True)
class Block:
    """Conduction in the coating: conductivity along z and along r [S m-1], what one face adds [ohm m2], and the
    conductivity of what fills the gap [S m-1]."""

    vertical: float
    lateral: float
    skin: float
    filler: float | None = None


def ionic_resistance(grid: Rings, sigma: Array, block: Block, untouched: float) -> float:
    """Resistance that layer and coating add to pristine electrolyte [ohm m2 of contact area].

    div(sigma grad phi) = 0 with phi = 0 on the oxide and unit current density through z = Z'; the mean
    potential there less Z/sigma_SE.  sigma (n s,) and ``untouched``: conductivity of the cells' s slices and of
    untouched electrolyte [S m-1].  Slices conduct in series along z and side by side along r.  A face of the coating
    adds its skin; a coating without thickness is its two skins.  Above ``grid.level`` rows current flows along z.
    """
    top, rings = grid.level, grid.shape[1]
    j, k, dz = grid.gap_rows, grid.gap_rings, np.diff(grid.height)
    gap = np.arange(rings) < k
    filler = block.filler or block.vertical
    parts = sigma.reshape(grid.width.size, -1)
    resistivity = grid.full((1.0 / parts).mean(axis=1), 1.0 / np.where(gap, filler, block.vertical))
    above = float(dz[top:] @ resistivity[top:, 0])
    standing = 0.5 * dz[:top, None] * resistivity[:top]
    rise = standing[:-1] + standing[1:]
    if j:
        rise[j - 1, k:] += block.skin
    floor = standing[0].copy()
    floor[k:] += block.skin if j else 2 * block.skin
    flat = grid.full(parts.mean(axis=1), np.where(gap, filler, block.lateral))[:top]
    middle = 0.5 * (grid.radius[1:] + grid.radius[:-1])
    face = grid.radius[1:-1]
    reach = (face - middle[:-1]) / flat[:, :-1] + (middle[1:] - face) / flat[:, 1:]
    if 0 < k < rings:
        reach[:j, k - 1] += block.skin
    around = 2.0 * face / grid.geometry.disc**2 * dz[:top, None] / reach
    phi = _potential(grid.share / rise, around, grid.share / floor, grid.share)
    return float(grid.share @ (phi[-1] + standing[-1])) + above - grid.geometry.available / untouched


def _potential(up: Array, out: Array, floor: Array, inflow: Array) -> Array:
    """Potential on (rows, rings) from conductances to the row above, the next ring and the floor [S m-2], with
    ``inflow`` [A m-2] into the last row.

    Where little conducts to the floor and much beside it, round-off of the matrix's diagonal leaks current: what
    conducts ``AMPLE`` times as well as the narrowest row is taken to conduct just so, and the solution is refined by
    the current that is left over, which differences of potential give exactly.
    """
    ample = AMPLE * min(float(floor.sum()), float(up.sum(axis=1).min()))
    up, out = np.minimum(up, ample), np.minimum(out, ample)
    rows, rings = up.shape[0] + 1, inflow.size
    band = _band(rows * rings, rings)
    band.upper[:] = 0.0
    matrix = band.upper.reshape(rows, rings, rings + 1)
    matrix[0, :, 0] = floor
    matrix[:-1, :, 0] += up
    matrix[1:, :, 0] += up
    matrix[:, :-1, 0] += out
    matrix[:, 1:, 0] += out
    matrix[:, :-1, 1] -= out
    matrix[:-1, :, rings] -= up
    kernels.band_factorise(True, band.reach, band.upper, band.lower)
    phi, left = np.zeros((rows, rings)), np.zeros((rows, rings))
    left[-1] = inflow
    for _ in range(REFINEMENTS):
        kernels.band_solve(band.reach, band.upper, band.upper, left.reshape(-1))
        phi += left
        if abs(floor @ phi[0] - inflow.sum()) <= LEAK * inflow.sum():
            break
        left = _left_over(up, out, floor, inflow, phi)
    return phi


def _left_over(up: Array, out: Array, floor: Array, inflow: Array, phi: Array) -> Array:
    """Current that flows into every cell and not out of it again [A m-2]."""
    rise, aside = up * np.diff(phi, axis=0), out * np.diff(phi, axis=1)
    left = np.zeros_like(phi)
    left[-1] = inflow
    left[0] -= floor * phi[0]
    left[:-1] += rise
    left[1:] -= rise
    left[:, :-1] += aside
    left[:, 1:] -= aside
    return left


@dataclass(frozen=True, eq=False)
class _Band:
    reach: npt.NDArray[np.int64]
    upper: Array
    lower: Array


@per_thread(maxsize=None)
def _band(n: int, rings: int) -> _Band:
    return _Band(np.full(n, rings, dtype=np.int64), np.empty((n, rings + 1)), np.empty((n, rings + 1)))
