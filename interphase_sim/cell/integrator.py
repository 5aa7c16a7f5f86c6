"""A solver of a discretised model without the bookkeeping that surrounds a step of PyBaMM.

``solver.step`` spends about a third of its time on checks and on Solution objects.  The integration inside is reached
here by private names, as they are in PyBaMM ``KNOWN``: the first step of every integrator is taken both ways, and
unless they agree bit for bit, or with another PyBaMM, every step is taken the public way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import casadi
import numpy as np
import numpy.typing as npt
import pybamm

log = logging.getLogger(__name__)
Array = npt.NDArray[np.float64]

KNOWN = "26.10."  # the versions whose private names these are
ROOT = 2  # IDA's flag for a step that ended at an event
# PyBaMM sets models and solvers up with caches of its own that all threads share; only one thread may at a time.
SETTING_UP = threading.RLock()


class Trajectory(NamedTuple):
    """Steps of the integrator: time (n,) [s], states and their slopes (n, m), whether an event ended them."""

    time: Array
    states: Array
    slopes: Array
    event: bool


class Integrator:
    """Integrates a model from a state vector on, with one solver and its options."""

    def __init__(self, model: Any, tolerance: float, options: Mapping[str, Any]) -> None:
        self._model = model
        with SETTING_UP:
            self._solver = pybamm.IDAKLUSolver(rtol=tolerance, atol=tolerance, options=dict(options))
        self._known = pybamm.__version__.startswith(KNOWN)
        self._direct: Callable[[Array, Mapping[str, float], float], Trajectory | None] | None = None

    def step(self, state: Array, inputs: dict[str, float], limit: float) -> Trajectory:
        """The trajectory from a state (m, 1) to an event or the time limit [s].

        Raises pybamm.SolverError or RuntimeError.
        """
        found = self._direct(state, inputs, limit) if self._direct else None
        if found is not None:
            return found
        with SETTING_UP:  # the first public step sets the solver up, and few follow
            return self._publicly(state, inputs, limit)

    def _publicly(self, state: Array, inputs: dict[str, float], limit: float) -> Trajectory:
        old = pybamm.Solution(np.zeros(1), state, self._model, inputs, termination="final time")
        solution = self._solver.step(old, self._model, limit, inputs=inputs, save=False)
        found = _unpacked(solution)
        if self._known and found.time.size > 1:
            self._known, self._direct = False, self._agreeing(found, state, inputs, limit)
        return found

    def _agreeing(
        self, found: Trajectory, state: Array, inputs: dict[str, float], limit: float
    ) -> Callable[[Array, Mapping[str, float], float], Trajectory | None] | None:
        """The direct way, if it takes this step exactly as it was taken."""
        try:
            direct = Direct(self._solver, self._model)
            again = direct(state, inputs, limit)
        except Exception as failure:  # private names: anything may have become of them
            log.info("the solver cannot be called directly: %s", failure)
            return None
        return direct if again is not None and same(found, again) else None


class Direct:
    """The compiled integration behind ``solver.step``."""

    def __init__(self, solver: Any, model: Any) -> None:
        self._solve = solver._setup["solver"].solve
        self._slope = model.rhs_eval
        self._size, self._rates = model.len_rhs_and_alg, model.len_rhs
        self._names = sorted(symbol.name for symbol in model.input_parameters)
        self._plain = model.is_standard_form_dae
        self._nothing = np.empty(0), np.empty((0, 0))

    def __call__(self, state: Array, inputs: Mapping[str, float], limit: float) -> Trajectory | None:
        """The trajectory, or None where it failed or ended where it began: why is for PyBaMM to say."""
        if not self._plain:
            return None
        given = np.array([inputs[name] for name in self._names])
        slope = np.zeros((1, self._size))
        slope[0, : self._rates] = casadi.DM(self._slope(0.0, state, given)).full().ravel()
        moments, none = self._nothing
        try:
            (found,) = self._solve(
                np.array([0.0, limit]), moments, state.reshape(1, -1), slope, given[None], logger=None, pbar=none
            )
        except ValueError:
            return None
        if found.flag < 0 or found.t.size < 2:
            return None
        shape = found.t.size, self._size
        return Trajectory(found.t, found.y.reshape(shape), found.yp.reshape(shape), found.flag == ROOT)


def _unpacked(solution: Any) -> Trajectory:
    time, states = np.concatenate(solution.all_ts), np.concatenate(solution.all_ys, axis=1).T
    slopes = np.concatenate(solution.all_yps, axis=1).T if time.size > 1 else np.zeros_like(states)
    return Trajectory(time, states, slopes, solution.termination.startswith("event"))


def same(one: Trajectory, other: Trajectory) -> bool:
    """Whether two trajectories agree bit for bit."""
    return one.event == other.event and all(np.array_equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
