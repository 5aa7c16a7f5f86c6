"""The column as a PyBaMM model of its own, solved by IDAKLU with compiled functions, sparse Jacobian by CasADi.

As PyBaMM's documentation advises: built once, restarted with inputs, ``compile``, only first and last state kept.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pybamm

from benchmarks import problem, scipy_column
from benchmarks.problem import Problem
from interphase_sim.interphase.kernels import Array

NAMES = ("O", "T", "F", "S", "R", "E", "X", "Y")


class Built:
    """The discretised model of a column with its first two half-cycles."""

    def __init__(self, given: Problem) -> None:
        grid = given.start.grid
        k1, k2, k4, k3, k3b, d, c_eq, kappa, covered, exposed, r_gap, v = (
            float(c) for c in scipy_column.constants(given)
        )
        p = given.start.rates
        scale = {"O": p.c_eq}
        y = {n: pybamm.Variable(n, domain="layer", scale=pybamm.Scalar(scale.get(n, p.t0))) for n in NAMES}
        unit = pybamm.Scalar(1e-9 * p.t0)
        u = {n: pybamm.Variable(n, scale=unit) for n in ("U_cov", "U_gap")}
        z = pybamm.SpatialVariable("z", domain="layer", coord_sys="cartesian")
        half = pybamm.InputParameter("half")

        def drive(index: int) -> Any:
            series = [(h.time, h.arrays()[index]) for h in given.histories[:2]]
            parts = [pybamm.Interpolant(*pair, pybamm.t, interpolator="cubic") for pair in series]
            return (1 - half) * parts[0] + half * parts[1]

        f, g, b = drive(1), drive(2), drive(3)
        near = pybamm.maximum(0.0, 1.0 - z / self.reach(given))
        o, thio, sulfide, sulfur, free_sulfide, free_thio = (y[n] for n in "OTFSXY")
        r1, r2, r4 = k1 * o * thio, k2 * o * sulfide, k4 * o * sulfur
        r3, r3b = k3 * g * near * free_sulfide, k3b * b * near * free_thio
        k_gap = exposed * kappa * f / (1.0 + kappa * f * (r_gap + v * u["U_gap"]))
        k_cov = covered * f
        wall = (c_eq - pybamm.BoundaryValue(o, "left")) / (1.0 + (k_gap + k_cov) * 0.5 * grid.width[0] / d)
        model = pybamm.BaseModel()
        model.rhs = {
            o: pybamm.div(d * pybamm.grad(o)) - 4.0 * (r1 + r2 + r4),
            thio: -r1 - r3b,
            sulfide: -r2 - r3,
            sulfur: 4.0 * r1 + r3 + 1.5 * r3b - r4,
            y["R"]: r3b,
            y["E"]: r3,
            free_sulfide: -k2 * o * free_sulfide - r3,
            free_thio: -k1 * o * free_thio - r3b,
            u["U_cov"]: k_cov * wall,
            u["U_gap"]: k_gap * wall,
        }
        model.boundary_conditions = {
            o: {"left": (-(k_gap + k_cov) * wall / d, "Neumann"), "right": (pybamm.Scalar(0.0), "Neumann")}
        }
        zero = pybamm.Scalar(0.0)
        model.initial_conditions = dict.fromkeys(model.rhs, zero)
        model.variables = {"oxygen uptake": u["U_cov"] + u["U_gap"]}
        depth = float(grid.width.sum())
        geometry = {"layer": {z: {"min": zero, "max": pybamm.Scalar(depth)}}}
        edges = grid.faces.copy()
        edges[0], edges[-1] = 0.0, depth
        submesh = pybamm.MeshGenerator(pybamm.UserSupplied1DSubMesh, {"edges": edges})
        mesh = pybamm.Mesh(geometry, {"layer": submesh}, {z: grid.width.size})
        # the boundary's value is that of the first cell, as in the kernel
        options = {"extrapolation": {"order": {"gradient": "linear", "value": "constant"}, "use bcs": False}}
        pybamm.Discretisation(mesh, {"layer": pybamm.FiniteVolume(options)}).process_model(model)
        self.model = model
        self.scales = {"O": p.c_eq, "U_cov": 1e-9 * p.t0, "U_gap": 1e-9 * p.t0} | dict.fromkeys(NAMES[1:], p.t0)

    @staticmethod
    def reach(given: Problem) -> float:
        """How far electrons come [m], from the weights of the first cell."""
        return float(given.start.grid.centre[0] / (1.0 - given.start.reach[0]))

    def packed(self, given: Problem) -> Array:
        """The state at the start in the model's order and scales, (n, 1)."""
        state = np.zeros((self.model.len_rhs, 1))
        values = dict(zip(NAMES, given.start.y[list(problem.SPECIES)], strict=True))
        values |= {"U_gap": given.start.u[:1], "U_cov": given.start.u[1:]}
        for variable, slices in self.model.y_slices.items():
            state[slices[0], 0] = values[variable.name] / self.scales[variable.name]
        return state

    def unpacked(self, state: Array) -> dict[str, Array]:
        """The model's variables by name."""
        return {v.name: state[s[0], -1] * self.scales[v.name] for v, s in self.model.y_slices.items()}


@functools.lru_cache(maxsize=4)
def built_for(given: Problem) -> Built:
    """The model of a problem, built once."""
    return Built(given)


@functools.lru_cache(maxsize=4)
def solver_for(given: Problem, tolerance: float, compiled: bool) -> Any:
    """Its solver, which sets itself up at its first step."""
    options = {"compile": compiled}
    return pybamm.IDAKLUSolver(rtol=tolerance, atol=tolerance, options=options, store_first_last=True)


def solve(given: Problem, tolerance: float, compiled: bool = True) -> dict[str, float]:
    """Amounts at the end [mol m-2], by PyBaMM and IDAKLU; model and solver are set up once for a problem."""
    built, solver = built_for(given), solver_for(given, tolerance, compiled)
    state = built.packed(given)
    for half, drive in enumerate(given.histories):
        inputs = {"half": float(half % 2)}
        old = pybamm.Solution(np.zeros(1), state, built.model, inputs, termination="final time")
        done = solver.step(old, built.model, float(drive.time[-1]), inputs=inputs, save=False)
        state = done.all_ys[-1][:, -1:].copy()
    found = built.unpacked(state)
    fields = np.array([found[name] for name in NAMES])
    uptake = float(found["U_cov"][0] + found["U_gap"][0])
    return problem.peer_amounts(fields, uptake, given.start.grid.width, given.start.rates.t0)
