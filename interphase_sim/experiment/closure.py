"""The closure held beside the resolved contact that it stands for: the coated cell simulated twice."""

import math
from typing import Any

import numpy as np
import xarray as xr

from interphase_sim.experiment.observables import OBSERVABLES, PRODUCTS
from interphase_sim.experiment.observations import CAPACITIES, Observation
from interphase_sim.scenario import Scenario

RESOLVED = "coated_resolved"

Row = dict[str, Any]


def resolved(coated: Scenario) -> Scenario | None:
    """The same cell with its contact resolved; None where it has no closure."""
    if coated.coating is None or coated.coating.contact != "closure":
        return None
    return coated.replace({"name": RESOLVED, "coating.contact": "resolved"})


def differences(closure: xr.Dataset, exact: xr.Dataset) -> dict[str, float]:
    """Largest differences of the closure from the resolved contact, by criterion.

    Capacities over all cycles [mAh g-1]; amounts of the products at the NCM over all cycles, and the film resistance
    at the output cycles, relative to the resolved ones [%]. Not-a-number where the runs have no cycle in common.
    """
    by_cycle = [*CAPACITIES, "amount", "film_resistance"]
    one, other = xr.align(closure[by_cycle], exact[by_cycle], join="inner")
    capacity = [_apart(one[name], other[name]) for name in CAPACITIES]
    amount = [_relative(*(ds["amount"].sel(species=s, interface="ncm") for ds in (one, other))) for s in PRODUCTS]
    kept = [int(n) for n in closure["output_cycle"].values if n in one["cycle"].values]
    film = [ds["film_resistance"].sel(cycle=kept) for ds in (one, other)]
    return {"capacity": max(capacity), "amount": max(amount), "resistance": _relative(*film)}


def rows(closure: xr.Dataset, exact: xr.Dataset, measured: list[Observation]) -> list[Row]:
    """The measured capacities of the coated cell beside both."""
    return [
        {
            "quantity": row.quantity,
            "cycle": row.cycle,
            "measured": row.value,
            "closure": OBSERVABLES[row.quantity].read(closure, row.cycle),
            "resolved": OBSERVABLES[row.quantity].read(exact, row.cycle),
        }
        for row in measured
        if row.cell == "coated" and row.quantity in CAPACITIES
    ]


def _apart(one: xr.DataArray, other: xr.DataArray) -> float:
    found = np.abs(one.values - other.values)
    return float(np.nanmax(found)) if np.isfinite(found).any() else math.nan


def _relative(one: xr.DataArray, other: xr.DataArray) -> float:
    """Largest |one/other - 1| [%]."""
    there = other.values > 0
    return float(100 * np.max(np.abs(one.values[there] / other.values[there] - 1))) if there.any() else math.nan
