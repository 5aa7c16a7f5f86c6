"""The kernel's problem: one contact over half-cycles of a given oxygen activity, begun anew at each of them.

Grid, constants and coating are those of a shipped scenario with its contact as one column; the state after the contact
dose is every solver's start. A half-cycle lasts five hours and its history is smooth. The kernel sees it as in a
coupled run, linear between 65 nodes; peers, whose high orders kinks would cost ten times the steps, as a cubic spline.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from interphase_sim.cell.design import CellDesign
from interphase_sim.interphase import column, kernels
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.interphase.kernels import Array
from interphase_sim.scenario import Scenario, load_scenario
from interphase_sim.simulation import loop

HALF = 5 * 3600.0  # s
AMOUNTS = ("oxygen", "thiophosphate", "phosphate", "sulfate", "oxidised_sulfur", "P2S5", "released")
REFERENCE_TOLERANCE = 1e-9
NODES = 65  # of a half-cycle's drive, about as many as a coupled run has
FINE_NODES = 4097  # of the kernel's drive where it stands as a second reference
LADDER = tuple(float(f"{m}e-{e}") for e in range(4, 11) for m in (10, 3))

# What a solver of the column does: from the contact's start through drives to the end, at a tolerance.
Solver = Callable[["Problem", float], dict[str, float]]


@dataclass(frozen=True, eq=False)
class Problem:
    """A column, its half-cycles in turn (charge, discharge, charge ...) and the default tolerance of its steps.

    drives: linear between nodes, for the kernel. histories: exact at the nodes of a spline, for peers.
    """

    start: Column
    drives: tuple[Drive, ...]
    histories: tuple[Drive, ...]
    tolerance: float


def half_cycles(scenario: Scenario, nodes: int = NODES) -> tuple[Drive, Drive]:
    """Drives of a charge and a discharge, linear between nodes and with the integrals of the smooth ones."""
    charge, discharge = (_coarse(half, nodes) for half in histories(scenario, 10 * nodes))
    return charge, discharge


def _coarse(fine: Drive, nodes: int) -> Drive:
    time = np.linspace(fine.time[0], fine.time[-1], nodes)
    series = []
    for values in (fine.oxygen, fine.sulfide, fine.thiophosphate):
        found = np.interp(time, fine.time, values)
        series.append(found * (np.trapezoid(values, fine.time) / np.trapezoid(found, time)))
    return Drive(time, *series)


def histories(scenario: Scenario, nodes: int = NODES) -> tuple[Drive, Drive]:
    """The same, exact at the nodes: the open-circuit potential climbs from 3.6 to 4.4 V, last part steeply."""
    time = np.linspace(0.0, HALF, nodes)
    s = time / HALF
    ocp = 3.62 + 0.38 * s + 0.4 * s**4
    surface = 0.95 - 0.65 * s
    reactions = scenario.kinetics.reactions
    oxygen = ct.oxygen_activity(scenario.kinetics, ocp, surface)
    switches = [
        1.0 / (1.0 + np.exp(-4.0 * (ocp - onset.si) / reactions.onset_width.si))
        for onset in (reactions.sulfide_onset, reactions.thiophosphate_onset)
    ]
    return Drive(time, oxygen, *switches), Drive(time, oxygen[::-1], *(w[::-1] for w in switches))


def changed(name: str, cells: int | None = None) -> tuple[Scenario, CellDesign]:
    """A shipped scenario with its contact, if coated, as one column."""
    scenario = load_scenario(name)
    if scenario.coating is not None:
        scenario = scenario.replace({"coating.contact": "mixed"})
    if cells is not None:
        scenario = scenario.replace({"numerics.column_cells": cells})
    return scenario, loop.design_of(scenario)


@functools.lru_cache(maxsize=4)
def problem(name: str, cycles: int, cells: int | None = None, nodes: int = NODES) -> Problem:
    """The contact of a shipped scenario over some cycles, the kernel's drives on so many nodes."""
    scenario, design = changed(name, cells)
    setting = ct.setting(scenario, design.contact_areas, design.conductivity(design.temperature))
    dosed = ct.contact_dose(setting, ct.pristine(setting)).ncm[0]
    return Problem(dosed, half_cycles(scenario, nodes) * cycles, histories(scenario) * cycles, setting.tolerance)


def kernel(given: Problem, tolerance: float) -> dict[str, float]:
    """Amounts at the end [mol m-2], by the kernel."""
    state = replace(given.start, step=0.0)
    for drive in given.drives:
        state = column.advance(state, drive, tolerance)  # the length of steps carries over, as in a coupled run
    return kept(column.amounts(state))


def kept(amounts: dict[str, float]) -> dict[str, float]:
    """The amounts that are compared."""
    return {name: float(amounts[name]) for name in AMOUNTS}


def error(found: dict[str, float], reference: dict[str, float]) -> float:
    """Largest relative deviation of an amount; not-a-number counts as infinite."""
    scale = max(abs(value) for value in reference.values())
    worst = 0.0
    for name, value in reference.items():
        deviation = abs(found[name] - value) / max(abs(value), 1e-3 * scale)
        worst = max(worst, deviation) if math.isfinite(deviation) else math.inf
    return worst


def loosest(solve: Callable[[float], float], bound: float, ladder: tuple[float, ...] = LADDER) -> tuple[float, float]:
    """The loosest tolerance of a ladder whose error is within the bound, and that error.

    None is: the tolerance with the least error.
    """
    best = (ladder[0], math.inf)
    for tolerance in ladder:
        reached = solve(tolerance)
        if reached <= bound:
            return tolerance, reached
        if reached < best[1]:
            best = (tolerance, reached)
    return best


# The same unknowns for every peer: eight of the kernel's ten species, the others follow from what is conserved

SPECIES = (
    kernels.OX, kernels.PS4, kernels.S2, kernels.S0, kernels.PS25, kernels.OXIDISED, kernels.S2_EXPOSED,
    kernels.PS4_EXPOSED,
)  # fmt: skip


def peer_amounts(fields: Array, uptake: float, width: Array, t0: float) -> dict[str, float]:
    """Amounts from the peers' fields (8, n) in the order of ``SPECIES`` and the oxygen let in.

    P = T0 - T - R;  what R4 made = 4 P + E + 1.5 R - S;  Q = T0 - F - E + what R4 made.
    """
    _, t, f, s, r, e, _, _ = fields @ width
    fresh = t0 * float(width.sum())
    p = fresh - t - r
    by_r4 = 4.0 * p + e + 1.5 * r - s
    return kept(
        {
            "oxygen": uptake,
            "thiophosphate": fresh - t,
            "phosphate": p,
            "sulfate": fresh - f - e + by_r4,
            "oxidised_sulfur": s,
            "P2S5": r,
            "released": 2.0 * e + 3.0 * r,
        }
    )
