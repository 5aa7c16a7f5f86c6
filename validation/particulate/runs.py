"""The computations of the study: a coupled run of one contact, and a unit cell replayed under one fixed history."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from interphase_sim import chemistry
from interphase_sim.cell.runner import Degradation
from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import column, kernels
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.contact_models.unit_cell import UnitCell
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.interphase.unitcell import Rings
from interphase_sim.scenario import Scenario, halves
from interphase_sim.simulation import exchange, loop
from interphase_sim.simulation.recorder import Recorder

SPECIES = (*chemistry.LABELS, "released")
SHAPES = ("midway", "least", "levelness", "through_gap", "over_coating")
ROWS = ("discharge_capacity", "film_resistance", "layer_thickness")
LATERAL = {"as it is": 1.0, "none": 0.0, "infinite": 1e6}  # times the conductance between rings


def aged(scenario: Scenario) -> dict[str, Any]:
    """Age a cell as ``simulate`` does, without splitting its losses; per cycle (0 = after the contact dose) its
    capacity, film resistance, layer, the NCM's amounts [mol m-2] and, around a gap, the shape of the layer.

    status: "completed", or why the run ended; what was computed is kept.
    """
    start, bench = time.process_time(), loop.prepare(scenario)
    state, recorder = loop.begin(bench), Recorder(bench)
    recorder.contact_dose(state)
    amounts, shapes, status = [_amounts(state.contacts)], [_shape(bench.setting, state.contacts)], "completed"
    for number in range(1, scenario.protocol.cycles + 1):
        try:
            state, charge, discharge = loop.cycle(bench, state, number)
        except SolverFailure as failure:
            status = f"solver failure at cycle {number}: {failure}"
            break
        if charge.has_no_capacity or discharge.has_no_capacity:
            status = f"end of life at cycle {number}"
            break
        recorder.cycle(number, state, charge, discharge)
        amounts.append(_amounts(state.contacts))
        shapes.append(_shape(bench.setting, state.contacts))
    rows = {name: [_digits(row.get(name, float("nan"))) for row in recorder.rows] for name in ROWS}
    shield = bench.setting.model.shield
    return {
        "scenario": scenario.digest(),
        "status": status,
        "seconds": round(time.process_time() - start, 1),
        "coating": shield.covered if shield else 0.0,
        **rows,
        "amounts": {name: [_digits(row[name]) for row in amounts] for name in SPECIES},
        "shape": {name: [_digits(row[name]) for row in shapes] for name in SHAPES} if shapes[0] else {},
    }


def _digits(value: float) -> float:
    return float(f"{value:.8g}")


def _amounts(contacts: Contacts) -> dict[str, float]:
    return ct.amounts(contacts)["ncm"]


def _shape(setting: Setting, contacts: Contacts) -> dict[str, float]:
    """The layer around a gap: how far the electrolyte right above the coating is converted midway between gaps and
    where it is least, the thinnest over the thickest place of the layer above the coating [1], and per contact area the
    resistance along the gap and that the layer adds above the coating, both with free current sideways [ohm m2]."""
    if not isinstance(setting.model, UnitCell):
        return {}
    grid, cell = setting.model.rings, contacts.ncm[0]
    converted = grid.full(1.0 - cell.y[kernels.PS4] / cell.rates.t0, solid=0.0)
    above, dz = converted[grid.gap_rows :], np.diff(grid.height)
    layer = dz[grid.gap_rows :] @ above
    sigma = grid.full(column.conductivity(cell, setting.volumes, setting.sigmas), solid=0.0)
    inside = sigma[: grid.gap_rows, : grid.gap_rings] @ grid.share[: grid.gap_rings]
    through = sigma[grid.gap_rows :] @ grid.share
    return {
        "midway": float(above[0, -1]),
        "least": float(above[0].min()),
        "levelness": float(layer.min() / layer.max()) if layer.max() > 0 else 0.0,
        "through_gap": float(np.sum(dz[: grid.gap_rows] / inside)),
        "over_coating": float(np.sum(dz[grid.gap_rows :] * (1.0 / through - 1.0 / setting.sigmas[0]))),
    }


def history(scenario: Scenario) -> list[Drive]:
    """The drives of the half-cycles of the first cycle of a cell without film, loss or side reaction."""
    bench = loop.prepare(scenario)
    state, unharmed = loop.begin(bench), Degradation(connected=bench.design.utilisation)
    drives = []
    for steps in halves(scenario.protocol.steps_of(1)):
        for step in steps:
            seen = exchange.solve_step(bench, state, step, unharmed, exchange.time_limit(bench, step))
            drives.append(exchange.drive_of(bench, seen))
            state = replace(state, cell=seen.state)
    return drives


def with_lateral(grid: Rings, factor: float) -> Rings:
    """The same rings with the conductances between them multiplied."""
    other, mesh = copy.copy(grid), grid.mesh
    row = np.searchsorted(mesh.rows, np.arange(mesh.volume.size), side="right")
    beside = row[mesh.one] == row[mesh.other]
    vars(other)["mesh"] = mesh._replace(conductance=np.where(beside, factor, 1.0) * mesh.conductance)
    return other


def replayed(scenario: Scenario, drives: list[Drive]) -> dict[str, Any]:
    """Uptake [mol m-2] and film resistance [ohm m2] after each cycle of a fixed history, by lateral exchange."""
    start = time.process_time()
    design = loop.design_of(scenario)
    setting = ct.setting(scenario, design.contact_areas, design.conductivity(design.temperature))
    found: dict[str, Any] = {}
    for name, factor in LATERAL.items():
        assert isinstance(setting.model, UnitCell)
        model = replace(setting.model, rings=with_lateral(setting.model.rings, factor))
        apart = replace(setting, model=model)
        series = list(_driven(apart, drives, scenario.protocol.cycles))
        found[name] = {"uptake": [_digits(u) for u, _ in series], "resistance": [_digits(r) for _, r in series]}
    return {"scenario": scenario.digest(), "seconds": round(time.process_time() - start, 1), "lateral": found}


def _driven(setting: Setting, drives: list[Drive], cycles: int) -> Iterator[tuple[float, float]]:
    contacts = ct.contact_dose(setting, ct.pristine(setting))
    for _ in range(cycles):
        for drive in drives:
            grown = setting.model.advance(contacts.contact, drive, setting.ncm_tolerance)
            contacts = replace(contacts, contact=grown)
        yield grown.amounts["oxygen"], ct.film_resistance(setting, contacts)
