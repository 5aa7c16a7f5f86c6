"""The shipped scenarios with every number fixed that a calibration may move, so that tests stand still."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from interphase_sim.scenario import Scenario, load_scenario, with_units

KINETICS = {
    "oxygen.exchange": 3e-11,
    "oxygen.equilibrium_concentration": 1000.0,
    "oxygen.diffusivity": 1e-20,
    "oxygen.converted_diffusivity_ratio": 1.0,
    "oxygen.potential_law": "exponential",
    "oxygen.efold": 0.2,
    "oxygen.onset_lithium_extracted": 0.72,
    "oxygen.onset_width": 0.03,
    "oxygen.activation_energy": "0.5 eV",
    "oxygen.reference_temperature": 318.15,
    "oxygen.rocksalt_diffusivity": 1e-16,
    "oxygen.gap_diffusivity": 1e-12,
    "reactions.phosphate": 1e-6,
    "reactions.sulfate": 1e-6,
    "reactions.polysulfide_sulfate": 1e-6,
    "reactions.sulfide_oxidation": 1e-4,
    "reactions.thiophosphate_oxidation": 1e-4,
    "reactions.sulfide_onset": 2.4,
    "reactions.thiophosphate_onset": 2.7,
    "reactions.onset_width": 0.05,
    "reactions.reach": 3e-9,
    "layer.insulating_conductivity": 1e-8,
    "layer.thiophosphate_conductivity": 1e-2,
    "layer.activation_energy": "0.42 eV",
    "layer.reference_temperature": 318.15,
    "layer.electrolyte_available": 0.7e-6,
    "lithium.diffusivity": 1e-14,
    "lithium.activation_energy": "0.35 eV",
    "lithium.reference_temperature": 318.15,
    "lithium.hindrance_stoichiometry": 0.84,
    "lithium.hindrance_width": 0.05,
    "lithium.hindrance_factor": 1000.0,
    "losses.film": True,
    "losses.slow_lithiation": True,
    "losses.isolation": False,
    "losses.rock_salt": True,
    "losses.electrolyte_oxidation": True,
    "losses.contact_length": 10e-9,
    "losses.mechanical_loss": 0.0,
    "losses.lithiation_law": "length",
    "losses.diffusion_exponent": 2.0,
    "losses.hindrance_shift": 0.3,
    "losses.percolation_threshold": 0.2,
    "losses.percolation_spread": 0.3,
    "contact.duration": 24 * 3600.0,
    "contact.temperature": 298.15,
}
COATING = {
    "coverage": 0.9,
    "thickness": 15e-9,
    "gap_radius": 1.2e-9,
    "core": "LiNbO3 (amorphous)",
    "core_conductivity": None,
    "core_activation_energy": None,
    "shell": "Li2CO3",
    "shell_thickness": 1e-9,
    "shell_conductivity": 1e-7,
    "shell_activation_energy": "0.7 eV",
    "filler": "electrolyte",
    "filler_coverage": 0.0,
    "filler_conductivity": None,
    "filler_activation_energy": None,
    "contact": "mixed",
    "covered_rate": 0.025,
    "rate_slope": 5.0,
    "coverage_loss": 0.0,
}
NOTHING: Mapping[str, Any] = MappingProxyType({})


def scenario(name: str = "bare", changes: Mapping[str, Any] = NOTHING) -> Scenario:
    """The bare or the coated scenario with these numbers, on coarse grids, and with further changes."""
    coarse = {"cell.model": "SPM", "numerics.column_cells": 40, "numerics.particle_cells": 20, "cell.utilisation": 0.97}
    coarse |= {"numerics.unit_cell_rings": 12, "numerics.unit_cell_rows": 40, "numerics.unit_cell_edge": 0.5e-9}
    fixed = {f"kinetics.{key}": value for key, value in KINETICS.items()}
    if name == "coated":
        fixed |= {f"coating.{key}": value for key, value in COATING.items()}
    return load_scenario(name).replace(with_units({**coarse, **fixed, **changes}))
