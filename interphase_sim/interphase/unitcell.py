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

Cost on one core with 32 rings and 160 rows (4300 cells), of which a step takes the half that oxygen has reached: 1 ms
a step, some 20 steps a half-cycle.  Of a step, the elimination and the band's factorisation take half, the four solves
40 %, right sides and the rest 10 %; a resistance takes 5 ms, a third of it the conductivities.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from interphase_sim.errors import InputError
from interphase_sim.interphase import kernels
from interphase_sim.interphase.column import SLICES, Column, Grid, Slices, graded_faces, slice_up
from interphase_sim.interphase.kernels import Array, Mesh, Rates


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
    """Rings by rows: faces in r and z [m], and how many rings and rows the gap has.

    ``width`` is a cell's volume per contact area [m], ``centre`` its height over the oxide [m]; both over the
    cells with electrolyte alone, row by row from the floor of the gap, each from the axis outwards.
    """

    geometry: Geometry
    radius: Array
    height: Array
    gap_rings: int
    gap_rows: int

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
        out = np.full(self.shape, solid)
        out[self.electrolyte] = values
        return out

    @property
    def faces(self) -> Array:
        """Height of the faces between rows [m]."""
        return self.height

    @functools.cached_property
    def cut(self) -> Rings:
        """The same with every row cut into equal slices."""
        low, high = self.height[:-1, None], self.height[1:, None]
        inner = (low + (high - low) * np.arange(SLICES) / SLICES).ravel()
        height = np.concatenate((inner, self.height[-1:]))
        return between(self.geometry, self.radius, height, self.gap_rings, SLICES * self.gap_rows)

    @functools.cached_property
    def lowest(self) -> npt.NDArray[np.intp]:
        """Lowest row with electrolyte, of every ring."""
        return np.asarray(np.argmax(self.electrolyte, axis=0))

    @functools.cached_property
    def number(self) -> npt.NDArray[np.intp]:
        """Numbers of the cells on (rows, rings); 0 in solids."""
        out = np.zeros(self.shape, dtype=np.intp)
        out[self.electrolyte] = np.arange(self.width.size)
        return out

    @functools.cached_property
    def slices(self) -> Slices:
        """Every cell cut into equal slices, between its neighbours above and below in its ring."""
        fine, ring = self.cut, np.arange(self.shape[1])
        before, way = np.zeros(fine.shape, dtype=np.intp), np.zeros(fine.shape)
        for first in np.unique(self.lowest):
            _, low, part = slice_up(self.middle[first:], np.diff(self.height)[first:])
            inside = self.lowest == first
            before[SLICES * first :, inside], way[SLICES * first :, inside] = first + low[:, None], part[:, None]
        lower, upper = self.number[before, ring], self.number[before + 1, ring]
        there = fine.electrolyte
        return Slices(fine.width, fine.centre, lower[there], upper[there], way[there])

    @functools.cached_property
    def mesh(self) -> Mesh:
        """Volumes, conductances and inlets of the kernels."""
        dz, open_, ring = np.diff(self.height), self.electrolyte, np.arange(self.shape[1])
        gap, cells = ring < self.gap_rings, open_.sum(axis=1)
        first = np.concatenate(([0], np.cumsum(cells[cells > 0])))
        up = np.zeros(self.shape)
        up[:-1] = self.share / (dz[:-1] + dz[1:])[:, None]
        out = np.zeros(self.shape)
        out[:, :-1] = 0.5 * dz[:, None] * _around(self)[None, :]
        if self.gap_rings:
            out[: self.gap_rows, self.gap_rings - 1] = 0.0
        inlet, half = self.number[self.lowest, ring], 0.5 * dz[self.lowest]
        return Mesh(
            self.width, up[open_], out[open_], first, inlet, self.share, half, gap.astype(float), (~gap).astype(float)
        )


def _around(rings: Rings) -> Array:
    """Circumference of the faces between rings over the distance of the rings' centres, per contact area [m-2]."""
    centre = 0.5 * (rings.radius[1:] + rings.radius[:-1])
    return np.asarray(2.0 * rings.radius[1:-1] / rings.geometry.disc**2 / np.diff(centre))


def split(lengths: tuple[float, ...], cells: int, edge: float) -> tuple[int, ...]:
    """Share ``cells`` among lengths that all begin with a cell of width ``edge`` [m] and widen alike.

    A length l takes ln(1 + g l/edge)/g cells; the growth per cell g makes the sum right.
    """

    def wanted(growth: float) -> list[float]:
        return [math.log1p(growth * length / edge) / growth for length in lengths]

    lo, hi = 1e-9, 10.0
    for _ in range(80):
        mid = math.sqrt(lo * hi)
        lo, hi = (mid, hi) if sum(wanted(mid)) > cells else (lo, mid)
    parts = wanted(lo)
    counts = [max(1, round(part * cells / sum(parts))) for part in parts]
    counts[parts.index(max(parts))] += cells - sum(counts)
    return tuple(counts)


def rings(geometry: Geometry, cut: Fineness) -> Rings:
    """Rings and rows that are narrowest at the rim of the gap, at the oxide and on the coating, and widen by a
    constant ratio away from there.

    Halving ``cut.edge`` and doubling rings and rows halves every cell.
    Raises InputError for a gap wider than its disc and for too few cells in the gap, with the nearest valid value.
    """
    gap, disc, h = geometry.gap, geometry.disc, geometry.thickness
    if gap > disc:
        raise InputError(f"a gap of radius {gap:.3g} m does not fit its disc; at most {disc:.3g} m")
    edge, whole = cut.edge, (h / 2, h / 2, geometry.height - h)
    inner, outer = split((gap, disc - gap), cut.rings, edge) if gap < disc else (cut.rings, 0)
    low, high, above = split(whole, cut.rows, edge) if outer and h > 0 else (0, 0, cut.rows)
    if outer:
        _fine_enough(cut, "rings", "radius", inner, lambda n: split((gap, disc - gap), n, edge)[0])
    if outer and h > 0:
        _fine_enough(cut, "rows", "depth", low + high, lambda n: sum(split(whole, n, edge)[:2]))
    radius = faces([(gap, inner, True), (disc - gap, outer, False)], edge)
    tall = geometry.height - (h if low else 0.0)
    height = faces([(h / 2, low, False), (h / 2, high, True), (tall, above, False)], edge)
    return between(geometry, radius, height, inner, low + high)


def _fine_enough(cut: Fineness, kind: str, what: str, found: int, at: Callable[[int], int]) -> None:
    if found >= cut.fewest:
        return
    given = getattr(cut, kind)
    enough = next(n for n in range(given, 10_000) if at(n) >= cut.fewest)
    raise InputError(
        f"numerics.{cut.keys}_{kind}: {given} leave {found} across the {what} of the gap, which needs {cut.fewest}; "
        f"the smallest number that does is {enough}"
    )


def faces(parts: list[tuple[float, int, bool]], edge: float) -> Array:
    """Faces along parts of (length, cells, whether the fine end is the far one), one after the other."""
    found = [np.zeros(1)]
    for length, cells, mirrored in parts:
        if cells:
            part = graded_faces(cells, edge, length)
            found.append(found[-1][-1] + (length - part[-2::-1] if mirrored else part[1:]))
    return np.concatenate(found)


def between(geometry: Geometry, radius: Array, height: Array, gap_rings: int, gap_rows: int) -> Rings:
    """Volumes and centres of the cells that hold electrolyte."""
    share, dz = np.diff(radius**2) / geometry.disc**2, np.diff(height)
    inside = _electrolyte(geometry, (dz.size, share.size), gap_rows, gap_rings)
    volume = np.outer(dz, share)[inside]
    centre = np.repeat(0.5 * (height[1:] + height[:-1]), inside.sum(axis=1))
    return Rings(volume, centre, geometry, radius, height, gap_rings, gap_rows)


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
    r = np.broadcast_to(middle, grid.shape)[grid.electrolyte]
    h = grid.geometry.thickness if grid.gap_rings < middle.size else 0.0
    if grid.geometry.filled:
        return np.zeros(r.size)
    aside = np.maximum(0.0, r - grid.geometry.gap)
    way = np.where(aside > 0, h + np.hypot(aside, grid.centre - h), grid.centre)
    return np.asarray(np.maximum(0.0, 1.0 - way / reach))


def new_cell(grid: Rings, rates: Rates, reach: float) -> Column:
    """A pristine unit cell: a contact's state on rings, advanced and summed up like a column."""
    n, m = grid.width.size, grid.share.size
    y = np.zeros((kernels.N_SPECIES, n))
    y[[kernels.PS4, kernels.S2, kernels.PS4_EXPOSED, kernels.S2_EXPOSED]] = rates.t0
    return Column(grid, rates, electron_reach(grid, reach), y, np.zeros(2 * m))


def depth_profile(cell: Column, grid: Rings) -> Array:
    """Concentrations averaged over the contact area by row (10, rows) [mol m-3]; coating counts as pristine."""
    pristine = new_cell(grid, cell.rates, 1.0).y[:, 0]
    return np.array([grid.full(y, rest) @ grid.share for y, rest in zip(cell.y, pristine, strict=True)])


@dataclass(frozen=True)
class Block:
    """Conduction in the coating: conductivity along z and along r [S m-1], what one face adds [ohm m2], and the
    conductivity of what fills the gap [S m-1]."""

    vertical: float
    lateral: float
    skin: float
    filler: float | None = None


def ionic_resistance(grid: Rings, sigma: Array, block: Block, pristine: float) -> float:
    """Resistance that layer and coating add to pristine electrolyte [ohm m2 of contact area].

    div(sigma grad phi) = 0 with phi = 0 on the oxide and unit current density through z = Z'; the mean
    potential there less Z/sigma_SE.  sigma (n,) and ``pristine``: conductivity of the cells and of untouched
    electrolyte [S m-1].  A face of the coating adds its skin; a coating without thickness is its two skins.
    """
    rings = grid.shape[1]
    j, k, dz = grid.gap_rows, grid.gap_rings, np.diff(grid.height)
    gap = np.arange(rings) < k
    filler = block.filler or block.vertical
    standing = 0.5 * dz[:, None] / grid.full(sigma, np.where(gap, filler, block.vertical))
    rise = standing[:-1] + standing[1:]
    if j:
        rise[j - 1, k:] += block.skin
    floor = standing[0].copy()
    floor[k:] += block.skin if j else 2 * block.skin
    flat = grid.full(sigma, np.where(gap, filler, block.lateral))
    middle = 0.5 * (grid.radius[1:] + grid.radius[:-1])
    face = grid.radius[1:-1]
    reach = (face - middle[:-1]) / flat[:, :-1] + (middle[1:] - face) / flat[:, 1:]
    if 0 < k < rings:
        reach[:j, k - 1] += block.skin
    around = 2.0 * face / grid.geometry.disc**2 * dz[:, None] / reach
    phi = _potential(grid.share / rise, around, grid.share / floor, grid.share)
    top = float(grid.share @ (phi[-1] + standing[-1]))
    return top - grid.geometry.available / pristine


def _potential(up: Array, out: Array, floor: Array, inflow: Array) -> Array:
    """Potential on (rows, rings) from conductances to the row above, the next ring and the floor [S m-2], with
    ``inflow`` [A m-2] into the last row."""
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
    phi = np.zeros(rows * rings)
    phi[-rings:] = inflow
    kernels.band_factorise(True, band.reach, band.upper, band.lower)
    kernels.band_solve(band.reach, band.upper, band.upper, phi)
    return phi.reshape(rows, rings)


@dataclass(frozen=True, eq=False)
class _Band:
    reach: npt.NDArray[np.int64]
    upper: Array
    lower: Array


@functools.cache
def _band(n: int, rings: int) -> _Band:
    return _Band(np.full(n, rings, dtype=np.int64), np.empty((n, rings + 1)), np.empty((n, rings + 1)))
