"""The search: residuals of many points at once, least squares within bounds, and what is known afterwards.

    cost = sum((simulated - measured)/s)^2 + sum(log-prior z-scores)^2/4 + penalties of violated trends

SciPy's trust-region reflective method does the search; the simulations of a finite-difference Jacobian are
independent and keep all workers busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from interphase_sim.calibration import misfit
from interphase_sim.calibration.misfit import Readings, Simulated
from interphase_sim.calibration.unknowns import Array, Free, limits, values_at
from interphase_sim.errors import SolverFailure
from interphase_sim.experiment import observations
from interphase_sim.experiment.observations import Key

PRIOR_WEIGHT = 0.5
STEP = 0.04  # of the finite differences, in search units: well above the noise of coarse runs
FAR = 1e4  # residual of a point that cannot be simulated: worse than any that can
EARLY_STOP = 5e-3  # relative fall of the cost that is worth another iteration; the noise of coarse runs

Task = tuple[str, tuple[tuple[str, Any], ...], bool]
Map = Callable[[Callable[[Task], Simulated | None], list[Task]], Iterable[Simulated | None]]
Say = Callable[[str], None]


def about(topic: str, say: Say) -> Say:
    """A voice that names its topic first."""
    return lambda text: say(f"{topic}: {text}")


@dataclass(frozen=True)
class Problem:
    """What is fitted to what: free numbers, numbers and switches changed for good, cells, a capacity left out."""

    free: tuple[Free, ...]
    fixed: tuple[tuple[str, Any], ...] = ()
    cells: tuple[str, ...] = ("bare", "coated")
    left_out: Key | None = None

    def without(self, capacity: Key) -> Problem:
        """The same problem with one measured capacity left out."""
        return replace(self, left_out=capacity)


class Fit(NamedTuple):
    """Where a search ended: point, residuals, Jacobian (rows: residuals)."""

    z: Array
    r: Array
    jacobian: Array

    @property
    def cost(self) -> float:
        """Sum of squares."""
        return float(self.r @ self.r)


def run_task(readings: Mapping[str, Readings], task: Task) -> Simulated | None:
    """One simulation, as workers do it, and what is read from it; None for a solver failure."""
    name, changes, coarse = task
    try:
        return misfit.observe(name, dict(changes), coarse, readings[name])
    except SolverFailure:
        return None


@dataclass
class Simulator:
    """Runs simulations side by side and remembers them; a number of the coating does not run the bare cell anew."""

    run: Map
    coarse: bool
    known: dict[Task, Simulated | None] = field(default_factory=dict)

    def task(self, problem: Problem, cell: str, z: Array) -> Task:
        """The simulation of a cell at a point."""
        changes = {**dict(problem.fixed), **values_at(problem.free, z)}
        own = {key: value for key, value in changes.items() if cell != "bare" or not key.startswith("coating.")}
        return cell, tuple(sorted(own.items())), self.coarse

    def observe(self, tasks: Iterable[Task]) -> None:
        """Make sure that all these simulations are known."""
        new = [task for task in dict.fromkeys(tasks) if task not in self.known]
        read = partial(run_task, observations.readings())
        self.known.update(zip(new, self.run(read, new), strict=True))

    def residuals(self, problem: Problem, points: Sequence[Array]) -> list[Array]:
        """Residuals at several points: data, penalties, priors."""
        self.observe(self.task(problem, cell, z) for z in points for cell in problem.cells)
        return [np.concatenate([self._fit(problem, z), priors(problem.free, z)]) for z in points]

    def runs(self, problem: Problem, z: Array) -> dict[str, Simulated] | None:
        """The simulated cells at a point; None if one cannot be simulated."""
        tasks = {cell: self.task(problem, cell, z) for cell in problem.cells}
        self.observe(tasks.values())
        found = {cell: run for cell, task in tasks.items() if (run := self.known[task]) is not None}
        return found if len(found) == len(tasks) else None

    def _fit(self, problem: Problem, z: Array) -> Array:
        runs = self.runs(problem, z)
        if runs is None:
            return np.full(misfit.count(problem.cells), FAR)
        return np.concatenate([misfit.data_residuals(runs, problem.left_out), misfit.penalties(runs)])

    def jacobian(self, problem: Problem, z: Array) -> Array:
        """Forward differences of the residuals, rows are residuals; backward where a bound or a failed simulation
        is in the way, zero where no side is left."""
        low, high = limits(problem.free)
        step = np.where(z + STEP <= high, STEP, -STEP)
        here, *there = self.residuals(problem, [z, *(z + np.diag(step))])
        failed = [k for k, moved in enumerate(there) if moved[0] == FAR]
        step[failed] *= -1
        inside = [k for k in failed if low[k] <= z[k] + step[k] <= high[k]]
        tried = dict(zip(inside, self.residuals(problem, list(z + np.diag(step)[inside])), strict=True))
        for k in failed:
            there[k] = tried[k] if k in tried and tried[k][0] != FAR else here
        return np.array([(moved - here) / s for moved, s in zip(there, step, strict=True)]).T


def priors(free: Sequence[Free], z: Array) -> Array:
    """Weighted z-scores of the unknowns in their priors; zero for flat ones."""
    return np.array(
        [
            0.0 if f.spread is None else PRIOR_WEIGHT * (v - f.to_search(f.centre)) / f.spread
            for f, v in zip(free, z, strict=True)
        ]
    )


def minimise(
    problem: Problem, start: Array, simulator: Simulator, evaluations: int, say: Say, *, frozen: bool = False
) -> Fit:
    """Least squares from a start within the bounds, with at most so many accepted or refused steps.

    The unknowns are counted from the start, so the first step is at most about one e-fold long. frozen: keep the
    Jacobian of the start, which is enough for a refit that does not move far.
    """
    low, high = limits(problem.free)
    start = np.clip(start, low + 1e-6, high - 1e-6)

    def residuals(moved: Array) -> Array:
        (r,) = simulator.residuals(problem, [start + moved])
        say(f"cost {float(r @ r):.3f}")
        return r

    def jacobian(moved: Array) -> Array:
        return simulator.jacobian(problem, start if frozen else start + moved)

    found = least_squares(
        residuals,
        np.zeros_like(start),
        jac=jacobian,
        bounds=(low - start, high - start),
        method="trf",
        ftol=EARLY_STOP,
        xtol=1e-3,
        max_nfev=evaluations,
    )
    return Fit(start + found.x, found.fun, found.jac)


def uncertainty(fit: Fit) -> Array:
    """Standard deviation of each unknown from the inverse normal matrix, the residuals being scaled."""
    return np.asarray(np.sqrt(np.diag(np.linalg.pinv(fit.jacobian.T @ fit.jacobian))))
