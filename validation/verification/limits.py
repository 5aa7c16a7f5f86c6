"""The column and the effective medium against what is known in closed form."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfc

from interphase_sim.interphase import column, kernels
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.interphase.kernels import Rates
from validation.verification.study import Finding, Run, Study

# numbers near one; nothing reacts until a study says so
INERT = Rates(
    k1=0.0, k2=0.0, k4=0.0, k3=0.0, k3b=0.0, d0=1.0, beta=0.0, t0=10.0, c_eq=1.0,
    kappa_0=1e6, kappa_cov=0.0, exposed=1.0, r_gap=0.0, v=0.0,
)  # fmt: skip


def after(rates: Rates, duration: float, cells: int, depth: float, oxygen: float = 1.0) -> Column:
    """A bare uniform column after some time at constant activity."""
    fresh = column.new_column(column.graded_grid(cells, 2 * depth / cells, depth), rates, 1.0, 1.0)
    flat = np.zeros(2)
    return column.advance(fresh, Drive(np.array([0.0, duration]), np.full(2, oxygen), flat, flat), 1e-6)


def diffusion(run: Run) -> Finding:
    """O = c_eq erfc(z/2 sqrt(D t)) and U = 2 c_eq sqrt(D t/pi) while the far wall is not felt."""
    times, errors = (0.02, 0.04, 0.08), []
    for time in times[:1] if run.quick else times:
        found = after(INERT, time, cells=400, depth=3.0)
        exact = erfc(found.grid.centre / (2 * math.sqrt(time)))
        profile = np.abs(found.y[kernels.OX] - exact).max()
        uptake = abs(found.u.sum() / (2 * math.sqrt(time / math.pi)) - 1)
        errors.append(max(float(profile), float(uptake)))
    bound = 1e-3  # (dz/2)^2/(D t) in the first case
    failures = sum(error > bound for error in errors)
    return Finding(
        "diffusion without reaction is erfc", len(errors), failures, f"{max(errors):.1e} of c_eq", f"< {bound:g}"
    )


STUDIES: dict[str, Study] = {"diffusion": diffusion}
