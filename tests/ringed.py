"""Small unit cells with numbers near one, for tests that look at every entry."""

import numpy as np

from interphase_sim.interphase import column, kernels, unitcell
from interphase_sim.interphase.kernels import Array
from interphase_sim.interphase.unitcell import Geometry, Rings

RADIUS = np.array([0.0, 0.35, 0.6, 0.9, 1.3])
HEIGHT = np.array([0.0, 0.2, 0.5, 0.8, 1.2])


def small() -> Rings:
    """Four rings by four rows, two by two of them in the gap: twelve cells with electrolyte."""
    geometry = Geometry(0.6, 1.3, 0.5, 1.2 - 0.5 * (1 - (0.6 / 1.3) ** 2))
    return unitcell.between(geometry, RADIUS, HEIGHT, 2, 2)


def state(grid: Rings) -> tuple[Array, Array, Array]:
    """Concentrations, uptakes and electron reach with every reaction and inlet at work."""
    rng = np.random.default_rng(11)
    n, m = grid.width.size, grid.share.size
    return rng.uniform(0.2, 1.8, (kernels.N_SPECIES, n)), rng.uniform(0.05, 0.2, 2 * m), rng.uniform(0, 1, n)


def workspace(grid: Rings) -> kernels.Workspace:
    """Own scratch arrays, filled with not-a-number so that nothing unwritten is read."""
    rings = grid.share.size
    fresh = column.workspace.__wrapped__(grid.width.size, rings, rings)
    for part in fresh:
        part[...] = np.nan if part.dtype == float else -1
    return fresh
