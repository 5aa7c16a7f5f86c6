"""One contact in depth: grid, state and amounts of a reaction-diffusion column."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from interphase_sim import chemistry
from interphase_sim.caching import per_thread
from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import kernels
from interphase_sim.interphase.kernels import Array, Mesh, Rates

ELECTROLYTE_CONCENTRATION = 6930.0  # mol m-3, formula units of Li6PS5Cl (1/144.3 cm3 mol-1)
MAX_STEPS = 200_000
PRISTINE = np.array(chemistry.fresh(), dtype=float)  # formula units of every row in electrolyte over exposed oxide
EXPOSED_ROWS = [species.row for species in chemistry.SPECIES if species.part_of]
SLICES = 3  # of a cell, over which the layer's resistance is summed

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Grid:
    """Geometrically graded cells from the oxide (z = 0) into the electrolyte: widths and centres [m]."""

    width: Array
    centre: Array

    def within(self, depth: float) -> Grid:
        """The cells up to a depth, at least two; the last one is cut there."""
        n = max(int(np.sum(self.faces[:-1] < (1.0 - 1e-9) * depth)), 2)
        faces = self.faces[: n + 1].copy()
        if faces[n - 1] < depth:
            faces[n] = min(faces[n], depth)
        return _grid(faces)

    @property
    def faces(self) -> Array:
        """Distance of the faces from the oxide [m]."""
        return np.concatenate(([0.0], np.cumsum(self.width)))

    @functools.cached_property
    def mesh(self) -> Mesh:
        """What the kernels need of the grid; a column has no rows and no rings."""
        nothing, none = np.empty(0), np.empty(0, dtype=np.int64)
        return Mesh(self.width, none, none, nothing, none, none, none, nothing, nothing, nothing, nothing)

    @functools.cached_property
    def slices(self) -> Slices:
        """Every cell cut into equal slices across z."""
        centre, before, way = slice_up(self.centre, self.width)
        return Slices(np.repeat(self.width / SLICES, SLICES), centre, before, before + 1, way)


class Slices(NamedTuple):
    """Slices of cells: width and centre [m], the cells around each and how far it is from the one to the other [1]."""

    width: Array
    centre: Array
    before: Indices
    after: Indices
    way: Array


def graded_grid(cells: int, first: float, depth: float, reach: float = 0.0) -> Grid:
    """Cells that widen by a constant ratio away from the oxide and, to either side, from where electrons reach to [m].

    R3 and R3b find what they oxidise last at the end of that reach, where oxygen comes late.
    """
    if not 0.0 < reach < depth or cells < 3:
        return _grid(graded_faces(cells, first, depth))
    lengths = (0.5 * reach, 0.5 * reach, depth - reach)
    counts = split(lengths, cells, first)
    return _grid(faces(list(zip(lengths, counts, (False, True, False), strict=True)), first))


def graded_faces(cells: int, first: float, depth: float) -> Array:
    """Faces of cells that widen by a constant ratio from ``first`` so that they fill ``depth`` [m].

    The faces follow z(s) = first/(ratio - 1) (ratio**s - 1): a smooth map, so halving the steps in s keeps
    second order. If equal cells are already narrower than ``first``, the grid is uniform.
    """
    if cells == 1 or cells * first >= depth:
        return np.linspace(0.0, depth, cells + 1)
    lo, hi = 0.0, math.log(depth / first) / (cells - 1)  # of ln(ratio); at hi the last cell alone is as wide as depth
    for _ in range(200):
        mid = 0.5 * (lo + hi)
        lo, hi = (mid, hi) if first * math.expm1(cells * mid) / math.expm1(mid) < depth else (lo, mid)
    return np.asarray(depth * np.expm1(hi * np.arange(cells + 1)) / math.expm1(hi * cells), dtype=np.float64)


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


def faces(parts: list[tuple[float, int, bool]], edge: float) -> Array:
    """Faces along parts of (length, cells, whether the fine end is the far one), one after the other."""
    found = [np.zeros(1)]
    for length, cells, mirrored in parts:
        if cells:
            part = graded_faces(cells, edge, length)
            found.append(found[-1][-1] + (length - part[-2::-1] if mirrored else part[1:]))
    return np.concatenate(found)


def _grid(at: Array) -> Grid:
    return Grid(np.diff(at), 0.5 * (at[1:] + at[:-1]))


def slice_up(centre: Array, width: Array) -> tuple[Array, Indices, Array]:
    """Centres of the slices of cells; for each the cell centre before it and how far it is to the next [1]."""
    parts = (np.arange(SLICES) + 0.5) / SLICES - 0.5
    where = (centre[:, None] + width[:, None] * parts).ravel()
    before = np.clip(np.searchsorted(centre, where) - 1, 0, centre.size - 2)
    way = (where - centre[before]) / (centre[before + 1] - centre[before])
    return where, before, np.clip(way, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Drive:
    """What the oxide's state does to a contact over a span of time.

    time [s], and at its nodes the oxygen activity f and the switches of R3 and R3b, all (n,) [1]. lithium: share of
    the lithium and electrons asked for by R4 that the oxide gives, over the whole span [1].
    """

    time: Array
    oxygen: Array
    sulfide: Array
    thiophosphate: Array
    lithium: float = field(default=1.0, kw_only=True)

    def until(self, end: float) -> Drive:
        """The drive up to a time [s], with the same share of lithium."""
        time = np.append(self.time[self.time < end], end)
        series = (np.interp(time, self.time, values) for values in self.arrays()[1:])
        return replace(self, **dict(zip(("oxygen", "sulfide", "thiophosphate"), series, strict=True)), time=time)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        return self.time, self.oxygen, self.sulfide, self.thiophosphate


@dataclass(frozen=True, eq=False)
class Column:
    """State of a contact: concentrations y (10, n) [mol m-3], uptake u (2,) [mol m-2], next step h [s]."""

    grid: Grid
    rates: Rates
    reach: Array
    y: Array
    u: Array
    step: float = 0.0
    steps: int = 0


def pristine(cells: int, concentration: float) -> Array:
    """Fresh electrolyte over exposed oxide (10, n) [mol m-3]."""
    return np.repeat(concentration * PRISTINE[:, None], cells, axis=1)


def new_column(grid: Grid, rates: Rates, reach: float, exposed: float) -> Column:
    """A pristine contact whose oxidation by electron transfer reaches ``reach`` [m] over ``exposed`` area share."""
    y = pristine(grid.width.size, rates.t0)
    y[EXPOSED_ROWS] *= exposed
    return Column(grid, rates, np.maximum(0.0, 1.0 - grid.centre / reach), y, np.zeros(2))


@per_thread(maxsize=None)
def workspace(n: int, inlets: int = 1, band: int = 0) -> kernels.Workspace:
    """Scratch arrays for n cells, in the order of the kernels; a band only where there are rings."""
    species, uptakes, factors = (kernels.N_SPECIES, n), 2 * inlets, (n if band else 0, band + 1)
    e = np.empty
    return kernels.Workspace(
        k=e((4, *species)),
        ku=e((4, uptakes)),
        f=e(species),
        fu=e(uptakes),
        ft=e(species),
        ftu=e(uptakes),
        d=e(n),
        d_stage=e(n),
        bc=e((inlets, 10)),
        bc_stage=e((inlets, 10)),
        aff=e((5, n)),
        inverse=e((5, n)),
        tri=e((4, n)),
        u_o=e(inlets),
        upper=e(factors),
        lower=e(factors),
        y=e(species),
        u=e(uptakes),
    )


def scratch(mesh: Mesh) -> kernels.Workspace:
    """Scratch arrays that fit a mesh."""
    return workspace(mesh.volume.size, max(mesh.share.size, 1), int(mesh.envelope.max(initial=0)))


def advance(column: Column, drive: Drive, tolerance: float) -> Column:
    """The column after ``drive``; the given column is left as it was.

    R4 takes lithium and electrons from the oxide and goes on only as far as there are some: its rate constant is
    multiplied by the drive's share.

    ``tolerance`` is relative, with an absolute share of the electrolyte's concentration; of ten times the
    equilibrium concentration for oxygen, which follows its drive at once and carries no error on.

    Raises SolverFailure when the step underflows or the step budget is spent.
    """
    y, u, p = column.y.copy(), column.u.copy(), column.rates
    if drive.lithium < 1.0:
        p = p._replace(k4=drive.lithium * p.k4)
    scale = np.full(kernels.N_SPECIES, p.t0)
    scale[kernels.OX] = 10 * p.c_eq
    scale_u = 1e-9 * p.t0
    h, accepted, _ = kernels.advance(
        p, column.grid.mesh, column.reach, drive.arrays(), tolerance, scale, scale_u, column.step, y, u,
        scratch(column.grid.mesh), MAX_STEPS,
    )  # fmt: skip
    if accepted < 0:
        raise SolverFailure(f"the interphase column stalled at a step of {h:.1e} s; loosen numerics.column_tolerance")
    return replace(column, y=y, u=u, step=h, steps=column.steps + accepted)


def amounts(column: Column) -> dict[str, float]:
    """Amounts per contact area [mol m-2]; see ``chemistry.amounts``."""
    width = column.grid.width
    total: list[float] = (column.y @ width).tolist()
    return chemistry.amounts(total, column.rates.t0 * float(width.sum()), float(column.u.sum()))


def spread(column: Column, faces: Array) -> Array:
    """The same amounts between other faces [m], as concentrations (10, n).

    Beyond the end of the column all electrolyte is pristine, and exposed.
    """
    fresh = column.rates.t0 * PRISTINE[:, None]
    below = np.cumsum((column.y - fresh) * column.grid.width, axis=1)
    upto = [np.interp(faces, column.grid.faces, np.concatenate(([0.0], total))) for total in below]
    return np.asarray(fresh + np.diff(upto, axis=1) / np.diff(faces))


def layer_thickness(column: Column) -> float:
    """L = integral of (1 - c_T/c_T(0)) dz [m]."""
    return float(np.dot(1.0 - column.y[kernels.PS4] / column.rates.t0, column.grid.width))


def conductivity_profile(
    column: Column, volumes: Array, sigmas: tuple[float, float, float], depth: float = math.inf
) -> tuple[Array, Array]:
    """Widths [m] and ionic conductivities [S m-1] of the slices within a depth, by effective medium.

    Concentrations run linearly from cell centre to cell centre: conductivity falls by decades where insulators
    percolate, and cell by cell the resistance would climb in steps while that place moves.
    """
    width, centre, before, after, way = column.grid.slices
    n = max(int(np.searchsorted(centre, depth)), 1)
    sigma = np.empty(n)
    kernels.layer_conductivity(column.y, before[:n], after[:n], way[:n], column.rates.t0, volumes, sigmas, sigma)
    return width[:n], sigma


def conductivity(column: Column, volumes: Array, sigmas: tuple[float, float, float]) -> Array:
    """Ionic conductivity of every cell, by effective medium (n,) [S m-1]."""
    cells, sigma = np.arange(column.grid.width.size), np.empty(column.grid.width.size)
    kernels.layer_conductivity(column.y, cells, cells, np.zeros(cells.size), column.rates.t0, volumes, sigmas, sigma)
    return sigma


def layer_resistance(column: Column, volumes: Array, sigmas: tuple[float, float, float]) -> float:
    """R = integral of (1/sigma - 1/sigma_SE) dz [ohm m2]."""
    width, sigma = conductivity_profile(column, volumes, sigmas)
    return float(np.dot(1.0 / sigma - 1.0 / sigmas[0], width))


def near_conductivity(column: Column, volumes: Array, sigmas: tuple[float, float, float], depth: float) -> float:
    """Conductivity across the layer within a depth from the surface [S m-1]."""
    width, sigma = conductivity_profile(column, volumes, sigmas, depth)
    return float(width.sum() / np.dot(1.0 / sigma, width))
