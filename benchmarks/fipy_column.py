"""The column in FiPy: implicit diffusion and sources, equation by equation, swept; FiPy need not be installed.

FiPy steps by backward Euler, so that no choice of steps reaches the kernel's accuracy in reasonable time; the table
prints what it reached. Tolerance here means one over the number of steps in a half-cycle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import problem, scipy_column
from benchmarks.problem import Problem

LADDER = (0.1, 0.05, 0.025)
SWEEPS = 2


def solve(given: Problem, tolerance: float) -> dict[str, float]:
    """Amounts at the end [mol m-2], by FiPy. Raises ImportError without it."""
    import fipy

    k1, k2, k4, k3, k3b, d, c_eq, kappa, covered, exposed, r_gap, v = (float(c) for c in scipy_column.constants(given))
    grid, reach = given.start.grid, given.start.reach
    mesh = fipy.Grid1D(dx=grid.width)
    fields = given.start.y[list(problem.SPECIES)]
    y: list[Any] = [fipy.CellVariable(mesh=mesh, value=value, hasOld=True) for value in fields]
    o, thio, sulfide, sulfur, r, e, free_sulfide, free_thio = y
    gap, cov = float(given.start.u[0]), float(given.start.u[1])
    first = np.zeros(grid.width.size)
    first[0] = 1.0 / grid.width[0]
    steps = max(round(1.0 / tolerance), 1)
    transient, implicit = fipy.TransientTerm, fipy.ImplicitSourceTerm
    for drive in given.histories:
        history = scipy_column.spline(drive)
        dt = float(drive.time[-1]) / steps
        for k in range(steps):
            f, g, b = (float(value) for value in history((k + 1) * dt))
            e3, e3b = k3 * g * reach, k3b * b * reach
            for variable in y:
                variable.updateOld()
            for _ in range(SWEEPS):
                k_gap = exposed * kappa * f / (1.0 + kappa * f * (r_gap + v * gap))
                through = (k_gap + covered * f) / (1.0 + (k_gap + covered * f) * 0.5 * grid.width[0] / d)
                sink = 4.0 * (k1 * thio.value + k2 * sulfide.value + k4 * sulfur.value)
                inlet = fipy.CellVariable(mesh=mesh, value=through * c_eq * first)
                loss = fipy.CellVariable(mesh=mesh, value=sink + through * first)
                (transient() == fipy.DiffusionTerm(coeff=d) + inlet - implicit(coeff=loss)).solve(var=o, dt=dt)
                ox = o.value
                terms = (
                    (free_thio, 0.0 * ox, k1 * ox + e3b),
                    (free_sulfide, 0.0 * ox, k2 * ox + e3),
                    (thio, -e3b * free_thio.value, k1 * ox),
                    (sulfide, -e3 * free_sulfide.value, k2 * ox),
                )
                for variable, source, rate in terms:
                    _implicit(fipy, mesh, variable, source, rate, dt)
                gain = 4.0 * k1 * ox * thio.value + e3 * free_sulfide.value + 1.5 * e3b * free_thio.value
                _implicit(fipy, mesh, sulfur, gain, k4 * ox, dt)
                _implicit(fipy, mesh, r, e3b * free_thio.value, 0.0 * ox, dt)
                _implicit(fipy, mesh, e, e3 * free_sulfide.value, 0.0 * ox, dt)
            wall = c_eq - float(o.value[0])
            share = through * wall / (k_gap + covered * f)
            gap, cov = gap + dt * k_gap * share, cov + dt * covered * f * share
    found = np.array([variable.value for variable in y])
    return problem.peer_amounts(found, gap + cov, grid.width, given.start.rates.t0)


def _implicit(fipy: Any, mesh: Any, variable: Any, source: Any, rate: Any, dt: float) -> None:
    gain, loss = fipy.CellVariable(mesh=mesh, value=source), fipy.CellVariable(mesh=mesh, value=rate)
    (fipy.TransientTerm() == gain - fipy.ImplicitSourceTerm(coeff=loss)).solve(var=variable, dt=dt)
