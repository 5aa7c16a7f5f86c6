"""The coupled run: what it must reduce to, how its exchange converges, and its lithium ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pybamm

from interphase_sim.cell import parameters
from interphase_sim.cell.design import CellDesign
from interphase_sim.cell.runner import MESHES, Cell, Degradation, History
from interphase_sim.interphase import contacts as ct
from interphase_sim.scenario import Scenario, load_scenario
from interphase_sim.simulation import loop, simulate
from validation.verification.study import Finding, Run, Study

Array = npt.NDArray[np.float64]
TOLERANCE = 1e-6  # of the solver, as shipped
ALLOWED = 10 * TOLERANCE  # relative, of capacities and voltages
SHELLS = 20
MODELS = ("SPM", "SPMe", "DFN")
STILL: dict[str, Any] = {
    "kinetics.oxygen.exchange": "0 m/s",
    "kinetics.reactions.sulfide_oxidation": "0 1/s",
    "kinetics.reactions.thiophosphate_oxidation": "0 1/s",
    "kinetics.contact.duration": "0 s",
    "numerics.particle_cells": SHELLS,
    "numerics.solver_tolerance": TOLERANCE,
}


def plain(design: CellDesign, model: str, cycles: int, film: float | None = None) -> list[Any]:
    """The half-cycles of PyBaMM's own Experiment on the same mesh; ``film``: of its constant SEI [ohm m2 of contact].

    PyBaMM's film lies on all of the particle's area.
    """
    options = {} if film is None else {
        "SEI": ("none", "constant"), "SEI film resistance": "distributed" if model == "DFN" else "average",
    }  # fmt: skip
    made, values = (
        getattr(pybamm.lithium_ion, model)(options),
        pybamm.ParameterValues(parameters.parameter_values(design)),
    )
    if film is not None:
        values["SEI resistivity [Ohm.m]"] = film / design.contact_fraction / values["Initial SEI thickness [m]"]
    shells = pybamm.MeshGenerator(pybamm.Exponential1DSubMesh, {"side": "right", "stretch": 1.5})
    steps = [f"Charge at C/5 until {design.upper_voltage} V", f"Discharge at C/5 until {design.lower_voltage} V"]
    simulation = pybamm.Simulation(
        made,
        parameter_values=values,
        experiment=pybamm.Experiment([tuple(steps)] * cycles),
        solver=pybamm.IDAKLUSolver(rtol=TOLERANCE, atol=TOLERANCE),
        var_pts={**made.default_var_pts, **MESHES[model], "r_p": SHELLS, "r_n": 6},
        submesh_types={**made.default_submesh_types, "positive particle": shells},
    )
    return [step for cycle in simulation.solve(calc_esoh=False).cycles for step in cycle.steps]


def apart(history: History, step: Any, design: CellDesign) -> tuple[float, float]:
    """How far a half-cycle is from PyBaMM's: in duration and in voltage, relative."""
    begin = float(step.t[0])
    span = float(step.t[-1]) - begin
    ours = history.time / history.time[-1]
    inside = (ours > 0) & (ours < 1)
    voltage = step["Voltage [V]"](begin + ours[inside] * span)
    return abs(history.time[-1] / span - 1), float(np.abs(history.voltage[inside] / voltage - 1).max())


def _compared(study: str, found: dict[str, list[tuple[float, float]]]) -> Finding:
    pairs = [(name, *pair) for name, several in found.items() for pair in several]
    missed = [f"{name}: {q:.1e}, {v:.1e}" for name, q, v in pairs if not max(q, v) <= ALLOWED]
    capacity, voltage = max(q for _, q, _ in pairs), max(v for _, _, v in pairs)
    figure = f"{capacity:.1e} of a capacity, {voltage:.1e} of a voltage"
    return Finding(study, len(pairs), len(missed), figure, f"<= {ALLOWED:g} (10 solver tolerances)", "; ".join(missed))


def still(run: Run) -> Finding:
    """Without kinetics the loop cycles as PyBaMM's Experiment does."""
    found, cycles = {}, 1 if run.quick else 3
    for model in MODELS[:1] if run.quick else MODELS:
        bench = loop.prepare(load_scenario("bare").replace(STILL | {"cell.model": model, "cell.utilisation": 1.0}))
        state, histories = loop.begin(bench), list[History]()
        for number in range(1, cycles + 1):
            state, *halves = loop.cycle(bench, state, number)
            histories += [h for half in halves for h in half.histories]
        # the parameter set's own NCM is connected as far as the design says
        steps = plain(bench.design, model, cycles)
        found[model] = [apart(h, s, bench.design) for h, s in zip(histories, steps, strict=True)]
    return _compared("no kinetics: plain PyBaMM cycling", found)


def film(run: Run) -> Finding:
    """A constant film is PyBaMM's constant film."""
    found = {}
    for model in MODELS[:1] if run.quick else MODELS:
        scenario = load_scenario("bare").replace({"cell.model": model, "cell.utilisation": 1.0})
        design = loop.design_of(scenario)
        cell = Cell(design, model, SHELLS, TOLERANCE)
        for ohms in (2.0,) if run.quick else (0.1, 1.0, 3.0, 6.0):
            effect = Degradation(film=ohms, connected=design.utilisation)
            current, long = design.current(0.2), 20 * 3600.0
            up = cell.constant_current(cell.start(), effect, -current, design.upper_voltage, long)
            down = cell.constant_current(up.state, effect, current, design.lower_voltage, long)
            steps = plain(design, model, 1, ohms)
            found[f"{model}, {ohms:g} ohm m2"] = [apart(h, s, design) for h, s in zip((up, down), steps, strict=True)]
    return _compared("constant film: PyBaMM's constant film", found)


# Refining the exchange

EXCHANGE: dict[str, Any] = {
    "cell.model": "SPM",
    "numerics.solver_tolerance": 1e-9,
    "numerics.column_tolerance": 1e-7,
    "numerics.exchange_tolerance": "0.000001 mAh/g",
    "numerics.max_iterations": 60,
    "numerics.particle_cells": 30,
    "protocol.cycles": 1,
}
CONVERGED = 0.005  # mAh g-1, a fortieth of what the exchange may cost
CONVERGED_FILM = 1e-4  # of the film


def split(scenario: Scenario, halves: tuple[loop.Half, loop.Half], parts: int) -> Scenario:
    """The same cycle with each half cut into steps, at voltages that it passed after equal shares of its charge."""
    steps: list[dict[str, Any]] = []
    for direction, half in zip(("charge", "discharge"), halves, strict=True):
        passed, volts = np.concatenate(half.capacity), np.concatenate(half.voltage)
        inner = np.interp(np.arange(1, parts) / parts * passed[-1], passed, volts)
        steps += [{"type": "cc", "direction": direction, "rate": "C/5", "until": f"{v:.6f} V"} for v in inner]
        steps.append({"type": "cc", "direction": direction, "rate": "C/5"})
    return scenario.replace({"protocol.steps": steps})


def refined(scenario: Scenario, parts: Iterable[int]) -> Iterator[Array]:
    """Charge and discharge capacity [mAh g-1] of the first cycle, and the film after it [ohm m2], by number of steps
    in a half-cycle."""
    halves = None
    for number in parts:
        bench = loop.prepare(split(scenario, halves, number) if halves else scenario)
        state, charge, discharge = loop.cycle(bench, loop.begin(bench), 1)
        halves = charge, discharge
        film = ct.film_resistance(bench.setting, state.contacts)
        yield np.array([*(half.charge / loop.MAH_PER_G for half in halves), film])


def exchange(run: Run) -> Finding:
    """More steps in a half-cycle: the largest change of a capacity, and that of the film, fall at first order at
    least, until they are too small to tell.

    What is linear within a step is of second order; what is a mean misses a little at the cut-off, at first order.
    """
    parts = (1, 2, 4) if run.quick else (1, 2, 4, 8)
    without: dict[str, dict[str, Any]] = {
        "all losses": {},
        "no rock salt": {"kinetics.losses.rock_salt": False},
        "no electrons": {
            "kinetics.losses.electrolyte_oxidation": False,
            "kinetics.reactions.polysulfide_sulfate": "0 m3/mol/s",
        },
    }
    orders, missed, told, lasts = [], [], [], 0.0
    for name, changes in list(without.items())[: 1 if run.quick else 3]:
        found = np.array(list(refined(load_scenario("bare").replace(EXCHANGE | changes), parts)))
        change = np.abs(np.diff(found, axis=0))
        change = np.column_stack((change[:, :2].max(axis=1), change[:, 2]))
        order = np.log2(change[:-1] / change[1:])
        orders.append(order)
        lasts = max(lasts, float(change[-1, 0]))
        told.append(f"{name}: {np.abs(found[0] - found[-1])[:2].max():.2f} mAh/g")
        for which, (slope, last) in enumerate(zip(order.T, change[-1], strict=True)):
            told_apart = change[1:, which] > (CONVERGED, CONVERGED_FILM * found[-1, 2])[which]
            if not (np.all(slope[told_apart] >= 0.9) and (which or last <= 0.05)):
                missed.append(f"{name}, {('capacity', 'film')[which]}: orders {slope.round(2).tolist()}, {last:.2g}")
    note = f"a half-cycle as one step against {parts[-1]}, first cycle of the bare cell: " + "; ".join(told + missed)
    reached = f"order {min(o[0].min() for o in orders):.2f} and more, last change {lasts:.3f} mAh/g"
    bound = f"order >= 0.9 while changes are above {CONVERGED} mAh/g, last <= 0.05 mAh/g"
    return Finding("refining the exchange", 2 * len(orders), len(missed), reached, bound, note)


# The ledger

CLOSED = 1e-6  # of all NCM's charge
CC = [{"type": "cc", "direction": d, "rate": "C/5"} for d in ("charge", "discharge")]
FAST = [{"type": "cc", "direction": d, "rate": "1C"} for d in ("charge", "discharge")]
HOLD = [
    CC[0],
    {"type": "cv", "voltage": "2.85 V", "until_current": "0.05 C"},
    CC[1],
    {"type": "rest", "duration": "1 h"},
]
SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "bare": ("bare", {}),
    "closure": ("coated", {}),
    "resolved": ("coated", {"coating.contact": "resolved", "numerics.unit_cell_rings": 20}),
    "mixed": ("coated", {"coating.contact": "mixed"}),
    "separate": ("coated", {"coating.contact": "separate"}),
    "coverage lost": ("coated", {"coating.contact": "mixed", "coating.coverage_loss": 0.02}),
    "isolation": ("bare", {"kinetics.losses.isolation": True, "kinetics.losses.percolation_threshold": 0.5}),
    "law of the shift": ("bare", {"kinetics.losses.lithiation_law": "shift"}),
    "breathing": ("bare", {"kinetics.losses.mechanical_loss": 0.02}),
    "hold and rest": ("bare", {"protocol.steps": HOLD}),
    "fast first cycle": ("bare", {"protocol.first": [{"cycles": 1, "steps": FAST}]}),
    "oxidation alone": ("bare", {"kinetics.oxygen.exchange": "0 m/s"}),
    "jumps": ("bare", {"numerics.jump": True, "protocol.cycles": 40}),
}


def _residuals(model: str, name: str, cycles: int) -> Array:
    shipped, changes = SCENARIOS[name]
    base = {"cell.model": model, "protocol.cycles": cycles, "numerics.output_cycles": [1]}
    return np.asarray(np.abs(simulate(load_scenario(shipped).replace(base | changes))["ledger_residual"].values))


def ledger(run: Run) -> Finding:
    """The lithium ledger closes in every cycle, with every model of the cell and of the contact."""
    names = ["bare", "mixed"] if run.quick else list(SCENARIOS)

    def work(first: int, last: int) -> dict[str, Any]:
        (model,) = MODELS[first:last]
        return {name: _residuals(model, name, 2 if run.quick else 5).tolist() for name in names}

    models = MODELS[: 1 if run.quick else 3]
    chunks = run.chunks("ledger", len(models), 1, work)
    found = {f"{m}, {name}": values for m, c in zip(models, chunks, strict=True) for name, values in c.items()}
    missed = [f"{name}: {max(v):.1e}" for name, v in found.items() if not max(v) <= CLOSED]
    worst = max(max(values) for values in found.values())
    cases = sum(len(values) for values in found.values())
    return Finding(
        "lithium ledger", cases, len(missed), f"{worst:.1e} of all charge", f"<= {CLOSED:g}", "; ".join(missed)
    )


STUDIES: dict[str, Study] = {"still": still, "film": film, "exchange": exchange, "ledger": ledger}
