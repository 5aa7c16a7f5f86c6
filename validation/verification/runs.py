"""Coupled runs of random scenarios: what must hold of any result."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import xarray as xr

from interphase_sim import results
from interphase_sim.cell.design import NCM_MOLAR_MASS
from interphase_sim.interphase.kernels import Array
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import loop, simulate
from validation.verification.histories import NO_FILM, RISING, T0
from validation.verification.strategies import Changes, cells, drawn

LEDGER = 1e-6  # of the charge of all NCM
FALL = 1e-3  # of the largest value, the loosest tolerance of the contacts
NO_LAYER = 1e-11  # m, a tenth of an atom: amounts below the absolute tolerance of oxygen's concentration
GROWING = ("layer_thickness", "rock_salt_fraction", "isolated_fraction")
MAY_BE_MISSING = {"isolated_lithium_content", "regime", "capacity_loss", "unit_cell", "unit_cell_conductivity"}
BY_HALF_CYCLE = {
    "charge_capacity",
    "discharge_capacity",
    "coulombic_efficiency",
    "mean_charge_voltage",
    "mean_discharge_voltage",
    "curve_capacity",
    "curve_voltage",
}


class Interrupted(Exception):
    """Stops a run between two cycles."""


def a_cell(models: tuple[str, ...], number: int) -> Changes:
    """A random cell for the cases of a chunk, which share its compiled model."""
    found: Changes = drawn(cells(models), 8, number)[-1]
    return found


def breaches(ds: xr.Dataset, scenario: Scenario) -> list[str]:
    """Everything about a result that cannot be, in words."""
    return [*_missing(ds), *_empty(ds), *_falls(ds, scenario), *_sums(ds)]


def _missing(ds: xr.Dataset) -> list[str]:
    """Not-a-number where nothing says that there may be none; infinite numbers."""
    told, whole = [], _whole_cycles(ds)
    for name, values in ds.data_vars.items():
        if name in BY_HALF_CYCLE and "cycle" in values.dims:
            values = values.isel(cycle=slice(1, whole))
        elif name in BY_HALF_CYCLE:
            values = values.sel(output_cycle=(ds.output_cycle > 0) & (ds.output_cycle < whole))
        if np.isinf(values).any() or (name not in MAY_BE_MISSING and np.isnan(values).any()):
            told.append(f"{name} is not finite")
    return told


def _whole_cycles(ds: xr.Dataset) -> int:
    """Rows before the cycle, if any, in whose discharge the run ended: that passed no charge, or the solver failed."""
    last, status = ds.sizes["cycle"] - 1, str(ds.attrs["status"])
    if last < 1 or not status.startswith(
        (f"end of life at cycle {last}: the disch", f"solver failure at cycle {last}:")
    ):
        return last + 1
    return last + 1 if ds.discharge_capacity.values[last] > 0 else last


def _empty(ds: xr.Dataset) -> list[str]:
    """A cycle that is recorded has capacities, however small; only of that in which the run ended, the discharge may
    be zero, where nothing passed, or missing, where the solver failed."""
    charge, discharge = ds.charge_capacity.values[1:], ds.discharge_capacity.values[1 : _whole_cycles(ds)]
    capacity = np.concatenate((charge, discharge))
    return [] if np.all(capacity > 0) else [f"capacity {capacity.min():.3g} mAh/g in a cycle that is recorded"]


def _falls(ds: xr.Dataset, scenario: Scenario) -> list[str]:
    """What must not fall, and what must not be negative."""
    floors = _amount_floors(scenario)
    series = {name: (ds[name].values, 0.0) for name in GROWING}
    series["layer_thickness"] = ds.layer_thickness.values, NO_LAYER
    series["rock_salt_fraction"] = ds.rock_salt_fraction.values, floors["oxygen", "ncm"] * NCM_MOLAR_MASS * 1e3
    if not (scenario.coating and scenario.coating.coverage_loss.si):
        series["film_resistance"] = ds.film_resistance.values, NO_FILM
    for (name, interface), floor in floors.items():
        series[f"{name} at {interface}"] = ds.amount.sel(species=name, interface=interface).values, floor
    told = [f"{name} falls by {_fall(*values):.2g} of it" for name, values in series.items() if _fall(*values) > FALL]
    least = min(float(series[f"{name} at {interface}"][0].min()) / floor for (name, interface), floor in floors.items())
    return told + ([f"an amount is {least:.2g} of the least that counts"] if least < -1 else [])


def _amount_floors(scenario: Scenario) -> dict[tuple[str, str], float]:
    """Amounts by species and interface that are as good as none: a layer of ``NO_LAYER`` [mol g-1]."""
    areas = loop.prepare(scenario).setting.areas
    return {
        (name, interface): RISING[name] * T0 * NO_LAYER * 1e-3 * area
        for name in results.SPECIES
        if name in RISING
        for interface, area in areas.items()
    }


def _fall(values: Array, floor: float) -> float:
    """Largest fall over the largest value, beyond what is as good as none."""
    fall = max(0.0, -float(np.diff(values).min(initial=0.0)) - floor)
    return fall / float(np.abs(values).max()) if fall > 0 else 0.0


def _sums(ds: xr.Dataset) -> list[str]:
    """The ledger of lithium, and the shares of the NCM."""
    ledger = float(np.abs(ds.ledger_residual).max())
    whole = float(np.abs(ds.connected_fraction + ds.isolated_fraction + ds.rock_salt_fraction - 1).max())
    told = [f"the ledger is off by {ledger:.2g}"] if not ledger <= LEDGER else []
    return told + ([f"shares of NCM are off by {whole:.2g}"] if not whole <= 1e-9 else [])


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Equal to the last bit, but for the counts of a process's own work."""
    assert list(one.variables) == list(other.variables)
    for name in one.variables:
        kind = one[name].dtype.kind
        assert np.array_equal(one[name].values, other[name].values, equal_nan=kind == "f"), f"{name} differs"
    assert one.attrs["status"] == other.attrs["status"]


def stopped(scenario: Scenario, folder: Path, after: int) -> xr.Dataset:
    """A run that is stopped once ``after`` cycles are done, and resumed from its checkpoint."""

    def stop(done: int, total: int, status: str) -> None:
        if done >= after:
            raise Interrupted

    with contextlib.suppress(Interrupted):
        simulate(scenario, directory=folder, progress=stop)
    return simulate(scenario, directory=folder, resume=True)


def last_capacity(ds: xr.Dataset, cycle: int) -> float:
    """Discharge capacity of a cycle, 0 once the cell has ended [mAh g-1]."""
    capacity = ds.discharge_capacity.values
    return float(capacity[cycle]) if cycle < capacity.size and math.isfinite(capacity[cycle]) else 0.0
