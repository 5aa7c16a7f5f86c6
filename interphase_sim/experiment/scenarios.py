"""What is judged of the scenarios themselves: their contact dose, what they share, and what was fitted."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from interphase_sim.arrhenius import arrhenius
from interphase_sim.info import parameters
from interphase_sim.scenario import Scenario

Scenarios = Mapping[str, Scenario]

DOSE_REFERENCE = 318.15  # K, 45 degC


def bounds(scenarios: Scenarios) -> dict[str, float]:
    """The numbers of the bounds that scenarios alone decide, by name."""
    return {
        "contact_dose": max(contact_dose(s) for s in scenarios.values()),
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
