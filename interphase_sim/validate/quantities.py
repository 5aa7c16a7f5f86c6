"""The numbers that are judged, read from the results of the bare and the coated cell.

P, Q, S stand for phosphate, sulfate with sulfite, and oxidised sulfur [mol per g NCM622], summed over the
interfaces; x(0) is the uncycled cell after its contact dose. Not-a-number means "not available".
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from interphase_sim.arrhenius import arrhenius
from interphase_sim.info import parameters
from interphase_sim.scenario import Scenario
from interphase_sim.status import RunStatus, outcome_of

Cells = Mapping[str, xr.Dataset]
Scenarios = Mapping[str, Scenario]

LAST = 200
SETTLED = (39, LAST)  # cycles over which the coulombic efficiency is averaged
DOSE_REFERENCE = 318.15  # K, 45 degC
P, Q, S = "phosphate", "sulfate", "oxidised_sulfur"


def at(ds: xr.Dataset, variable: str, cycle: int) -> float:
    """A by-cycle variable after a cycle."""
    return float(ds[variable].sel(cycle=cycle)) if cycle in ds["cycle"].values else math.nan


def amount(ds: xr.Dataset, species: str, cycle: int, *, away_from_ncm: bool = False) -> float:
    """Amount of a product over all interfaces, or over all but the NCM [mol g-1]."""
    if cycle not in ds["cycle"].values:
        return math.nan
    found = ds["amount"].sel(species=species, cycle=cycle)
    return float((found.drop_sel(interface="ncm") if away_from_ncm else found).sum(skipna=False))


def ratio(above: float, below: float) -> float:
    """A quotient; there is none to a number that is not positive."""
    return above / below if below > 0 else math.nan


def ended(ds: xr.Dataset) -> bool:
    """Whether the run ended because the cell had no capacity left; not by a limit that its scenario states."""
    return outcome_of(ds.attrs).status is RunStatus.NO_CAPACITY


def delivered(ds: xr.Dataset, quantity: str, cycle: int) -> float:
    """Capacity of a cycle [mAh g-1]; a cell without capacity delivers nothing in later cycles."""
    return 0.0 if ended(ds) and cycle > int(ds["cycle"].values[-1]) else at(ds, quantity, cycle)


def _settled(ds: xr.Dataset) -> NDArray[np.float64]:
    """Coulombic efficiency of cycles 39 to 200 [%]; not-a-number where there is none."""
    cycles = np.arange(SETTLED[0], SETTLED[1] + 1)
    return np.asarray(ds["coulombic_efficiency"].reindex(cycle=cycles).values, np.float64)


def mean_efficiency(ds: xr.Dataset) -> float:
    """Mean coulombic efficiency of cycles 39 to 200 [%]; not available if the cell ended earlier."""
    return float(_settled(ds).mean())


def kink(ds: xr.Dataset) -> float:
    """max |CE_n - (CE_(n-1) + CE_(n+1))/2| over n = 40..199 [points]."""
    efficiency = _settled(ds)
    return float(np.abs(efficiency[1:-1] - (efficiency[:-2] + efficiency[2:]) / 2).max())


def coverage(ds: xr.Dataset, cycle: int) -> float:
    """Share of the NCM contact area under the coating."""
    return 1 - at(ds, "exposed_fraction", cycle)


def trends(cells: Cells) -> dict[str, dict[str, list[float]]]:
    """The numbers of each trend by condition, as section "trends" of the criteria names them.

    NCM is isolated at the end of a charge, so what is isolated since cycle 0 counts as charged in T13.
    """
    bare, coated = cells["bare"], cells["coated"]

    def cell_ratio(species: str, cycle: int) -> float:
        return ratio(amount(bare, species, cycle), amount(coated, species, cycle))

    def growth(ds: xr.Dataset, early: int, late: int) -> list[float]:
        return [ratio(amount(ds, x, late), amount(ds, x, early)) for x in (P, Q)]

    def early_share(species: str) -> float:
        return ratio(amount(coated, species, 5), amount(coated, species, LAST))

    away = [ratio(amount(d, S, LAST, away_from_ncm=True), amount(d, S, LAST)) for d in (bare, coated)]
    return {
        "T1": {"ratio": [cell_ratio(Q, 0)]},
        "T2": {"ratio": [cell_ratio(P, 0)]},
        "T3": {"first_cycle": growth(coated, 0, 1), "later": growth(coated, 1, LAST)},
        "T4": {"ratio": [cell_ratio(P, LAST), cell_ratio(Q, LAST)]},
        "T5": {"growth": [*growth(bare, 0, LAST), *growth(coated, 0, LAST)]},
        "T6": {"ratio": [cell_ratio(S, LAST)], "share": away},
        "T7": {"sulfur": [early_share(S)], "phosphate": [early_share(P)]},
        "T8": {"ratio": [cell_ratio(S, 0)]},
        "T9": {"coverage": [coverage_kept(coated)]},
        "T13": {"isolated": [at(coated, "isolated_fraction", LAST) - at(coated, "isolated_fraction", 0)]},
    }


def coverage_kept(coated: xr.Dataset) -> float:
    """Coverage at cycle 200 over the initial one."""
    return ratio(coverage(coated, LAST), coverage(coated, 0))


def bounds(cells: Cells, scenarios: Scenarios) -> dict[str, float]:
    """The numbers of the bounds for all fits, by name."""
    return {
        "contact_dose": max(contact_dose(s) for s in scenarios.values()),
        "layer_bare_200": 1e9 * at(cells["bare"], "layer_thickness", LAST),
        "coverage_kept": coverage_kept(cells["coated"]),
        "one_kinetic_set": float(one_kinetic_set(scenarios)),
    }


def contact_dose(scenario: Scenario) -> float:
    """Contact before the first charge as hours at 45 degC, by the activation energy of the exchange [h].

    t exp(-E/k (1/T - 1/318.15 K)) with the dose's duration t and temperature T.
    """
    dose, energy = scenario.kinetics.contact, scenario.kinetics.oxygen.activation_energy.si
    return dose.duration.si / 3600 * arrhenius(energy, dose.temperature.si, DOSE_REFERENCE)


def one_kinetic_set(scenarios: Scenarios) -> bool:
    """Whether the scenarios share cell, kinetics and protocol, as the cells of one experiment do."""
    shared = [(s.cell, s.kinetics, s.protocol) for s in scenarios.values()]
    return all(one == other for one, other in pairwise(shared))


def free_parameters(scenarios: Scenarios) -> list[dict[str, Any]]:
    """Every fitted parameter of the scenarios; one that they share counts once."""
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for scenario in scenarios.values():
        for row in parameters(scenario):
            if row["kind"] == "fitted":
                shown = {name: row[name] for name in ("value", "unit", "kind", "uncertainty")}
                found.setdefault((row["parameter"], row["value"]), {"name": row["parameter"], **shown})
    return list(found.values())
