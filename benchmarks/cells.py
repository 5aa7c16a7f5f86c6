"""Two hundred cycles of the cell: coupled to its contacts, and PyBaMM's own Experiment with an ageing SEI.

Same parameters ("Walther2021"), mesh, tolerances, protocol and cycles. PyBaMM has no ageing of this kind; its
solvent-diffusion limited SEI on the NCM adds as many film states as the cell model has places for a film, and is
scaled so that its film resists like the benchmark's at cycle 200.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pybamm

from interphase_sim.cell import parameters, runner
from interphase_sim.scenario import Scenario, load_scenario
from interphase_sim.simulation import loop, simulate

Facts = dict[str, Any]
SEI = {
    "SEI resistivity [Ohm.m]": 3e5,
    "SEI solvent diffusivity [m2.s-1]": 2.5e-22,
    "Bulk solvent concentration [mol.m-3]": 2636.0,
    "SEI growth activation energy [J.mol-1]": 0.0,
}
PROTOCOL = ("Charge at C/5 until {high} V", "Discharge at C/5 until {low} V")


def scenario(name: str, changes: dict[str, Any]) -> Scenario:
    """A shipped scenario with changed values."""
    return load_scenario(name).replace(changes) if changes else load_scenario(name)


def coupled(name: str, changes: dict[str, Any]) -> Facts:
    """A coupled run, from the scenario's file to its Dataset."""
    ds = simulate(scenario(name, changes))
    capacity = [float(q) for q in ds["discharge_capacity"].values[1:]]
    facts = {"status": ds.attrs["status"], "cycles": len(capacity), "solves": _solves(ds)}
    return facts | {"first": capacity[0], "last": capacity[-1], "capacities": [round(q, 6) for q in capacity]}


def _solves(ds: Any) -> int:
    told = ds.attrs["statistics"]
    return int((json.loads(told) if isinstance(told, str) else told)["cell_solves"])


def values(name: str, model: str, sei: bool) -> tuple[pybamm.ParameterValues, dict[str, Any], Scenario]:
    """Parameters and options of PyBaMM's model, and the scenario they come from."""
    given = scenario(name, {"cell.model": model})
    found = pybamm.ParameterValues(parameters.parameter_values(loop.design_of(given)))
    if not sei:
        return found, {}, given
    found.update(SEI, check_already_exists=False)
    film = "distributed" if model == "DFN" else "average"
    return found, {"SEI": ("none", "solvent-diffusion limited"), "SEI film resistance": film}, given


def experiment(name: str, model: str, sei: bool, mode: str, cycles: int) -> Facts:
    """PyBaMM's Experiment. Modes:

    default: every state of every cycle kept, no compiler, eSOH per cycle, as Simulation does it by itself;
    tuned: compiled functions, first and last state of a step, first and last cycle, no eSOH;
    untouched: as default, on PyBaMM's own mesh and tolerances.
    """
    found, options, given = values(name, model, sei)
    made = getattr(pybamm.lithium_ion, model)(options)
    protocol = tuple(
        step.format(high=found["Upper voltage cut-off [V]"], low=found["Lower voltage cut-off [V]"])
        for step in PROTOCOL
    )
    asked: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    tolerance = given.numerics.solver_tolerance
    if mode != "untouched":
        shells = pybamm.MeshGenerator(pybamm.Exponential1DSubMesh, {"side": "right", "stretch": 1.5})
        places = {**runner.MESHES[model], "r_p": given.numerics.particle_cells, "r_n": 6}
        asked["var_pts"] = {**made.default_var_pts, **places}
        asked["submesh_types"] = {**made.default_submesh_types, "positive particle": shells}
        asked["solver"] = pybamm.IDAKLUSolver(rtol=tolerance, atol=tolerance)
    if mode == "tuned":
        asked["solver"] = pybamm.IDAKLUSolver(
            rtol=tolerance, atol=tolerance, options={"compile": True}, store_first_last=True
        )
        kept = {"save_at_cycles": cycles, "calc_esoh": False}
    plan = pybamm.Experiment([protocol] * cycles)
    simulation = pybamm.Simulation(made, parameter_values=found, experiment=plan, **asked)
    return _facts(simulation.solve(**kept), loop.design_of(given).ncm_mass, cycles)


def _facts(solution: Any, mass: float, cycles: int) -> Facts:
    """Discharge capacities [mAh/g] and the voltages at which half-cycles ended, of the first and the last cycle."""
    ends = [solution.cycles[0], solution.cycles[-1]]
    capacity, voltage = [], []
    for cycle in ends:
        passed = cycle.steps[1]["Discharge capacity [A.h]"].entries
        capacity.append(float(passed[-1] - passed[0]) / mass)
        voltage.append([float(step["Voltage [V]"].entries[-1]) for step in cycle.steps])
    done = len(solution.cycles)
    states = int(np.concatenate(solution.cycles[-1].all_ys, axis=1).shape[0])
    return {
        "status": "completed" if done == cycles else f"ended after {done} cycles",
        "cycles": done,
        "states": states,
        "first": capacity[0],
        "last": capacity[-1],
        "voltages": [v for pair in voltage for v in pair] if math.isfinite(capacity[-1]) else [],
    }
