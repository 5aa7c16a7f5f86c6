"""Small unit cells with numbers near one, for tests that look at every entry."""

import numpy as np

from interphase_sim.interphase import column, kernels
from interphase_sim.interphase.kernels import Array
from interphase_sim.interphase.unitcell import Rings
from validation.verification import manufactured


def small() -> Rings:
    """Four rings by four rows, two by two of them in the gap: twelve cells with electrolyte."""
    return manufactured.twelve_cells()[0]


def state(grid: Rings) -> tuple[Array, Array, Array]:
    """Concentrations, uptakes and electron reach with every reaction and inlet at work."""
    _, w, y, u = manufactured.twelve_cells()
    assert y.shape[1] == grid.width.size
    return y, u, w


def workspace(grid: Rings) -> kernels.Workspace:
    """Own scratch arrays, filled with not-a-number so that nothing unwritten is read."""
    rings = grid.share.size
    fresh = column.workspace.__wrapped__(grid.width.size, rings, rings)
    for part in fresh:
        part[...] = np.nan if part.dtype == float else -1
    return fresh
