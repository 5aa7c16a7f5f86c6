"""The pellet cell of the experiment: masses and densities in, thicknesses, fractions and areas out.

Plain Python and SI throughout, so that the PyBaMM parameter set needs little else of this package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from interphase_sim.arrhenius import arrhenius

NCM_MOLAR_MASS = 0.09693  # kg mol-1, Li(Ni0.6Co0.2Mn0.2)O2, arithmetic
LTO_CAPACITY_SITES = 3.0  # Li per Li4Ti5O12 between plateau ends


@dataclass(frozen=True)
class CellDesign:
    """What was weighed, pressed and set in the experiment, all SI.

    Mass ratios are fractions that sum to one. ``*_tortuosity_factor`` is tau^2 in
    sigma_eff = sigma eps / tau^2. ``contact_fraction`` is the share of NCM area that touches electrolyte,
    ``utilisation`` the share of NCM that has electronic and ionic contact at all. Each constant of transport and
    kinetics holds at a reference temperature and has an activation energy [J]: ``reference_temperature`` belongs to
    the electrolyte's conductivity, ``ncm_reference_temperature`` to the exchange current of NCM,
    ``lto_reference_temperature`` to exchange current and diffusivity of LTO, ``lithium_reference_temperature`` to the
    diffusivity of lithium in NCM.
    """

    diameter: float
    cathode_composite_mass: float
    separator_mass: float
    anode_composite_mass: float
    cathode_mass_fractions: tuple[float, float, float]
    anode_mass_fractions: tuple[float, float, float]
    ncm_d50: float
    ncm_d90: float
    ncm_density: float
    electrolyte_density: float
    carbon_density: float
    lto_density: float
    cathode_porosity: float
    separator_porosity: float
    anode_porosity: float
    cathode_tortuosity_factor: float
    separator_tortuosity_factor: float
    anode_tortuosity_factor: float
    contact_fraction: float
    utilisation: float
    carbon_specific_area: float
    carbon_contact_fraction: float
    collector_contact_fraction: float
    electrolyte_conductivity: float
    electrolyte_activation_energy: float
    reference_temperature: float
    ncm_exchange_current: float
    ncm_exchange_current_activation_energy: float
    ncm_reference_temperature: float
    lto_exchange_current: float
    lto_exchange_current_activation_energy: float
    lto_diffusivity: float
    lto_diffusivity_activation_energy: float
    lto_reference_temperature: float
    lto_max_concentration: float
    lto_radius: float
    lto_plateau: float
    lto_initial_stoichiometry: float
    temperature: float
    lower_voltage: float
    upper_voltage: float
    one_c: float
    lithium_diffusivity: float
    lithium_activation_energy: float
    lithium_reference_temperature: float
    hindrance_stoichiometry: float
    hindrance_width: float
    hindrance_factor: float

    @property
    def area(self) -> float:
        """Cell cross-section pi d^2/4 [m2]."""
        return math.pi * self.diameter**2 / 4

    @property
    def ncm_mass(self) -> float:
        """Mass of NCM622 in the cathode [kg]."""
        return self.cathode_composite_mass * self.cathode_mass_fractions[0]

    @property
    def ncm_moles(self) -> float:
        """Formula units of NCM622 [mol]."""
        return self.ncm_mass / NCM_MOLAR_MASS

    @property
    def sauter_radius(self) -> float:
        """Half the Sauter diameter d32 of a lognormal volume distribution [m].

        d32 = d50 exp(-s^2/2) with s = ln(d90/d50)/1.2816 (moments of the lognormal distribution).
        """
        spread = math.log(self.ncm_d90 / self.ncm_d50) / 1.2815515655446004
        return 0.5 * self.ncm_d50 * math.exp(-0.5 * spread**2)

    @property
    def ncm_specific_area(self) -> float:
        """Area of smooth spheres, 3/(rho R32) [m2 kg-1]."""
        return 3 / (self.ncm_density * self.sauter_radius)

    @property
    def contact_areas(self) -> dict[str, float]:
        """Area in contact with electrolyte per kg of NCM622, by interface [m2 kg-1]."""
        carbon = self.cathode_mass_fractions[2] / self.cathode_mass_fractions[0]
        return {
            "ncm": self.ncm_specific_area * self.contact_fraction,
            "carbon": carbon * self.carbon_specific_area * self.carbon_contact_fraction,
            "collector": self.area * self.collector_contact_fraction / self.ncm_mass,
        }

    def _solids(self, fractions: tuple[float, float, float], active_density: float) -> tuple[float, ...]:
        """Specific volumes of active material, electrolyte, carbon per kg of composite [m3 kg-1]."""
        densities = (active_density, self.electrolyte_density, self.carbon_density)
        return tuple(w / rho for w, rho in zip(fractions, densities, strict=True))

    def volume_fractions(self, electrode: str) -> dict[str, float]:
        """Volume fractions of active material, electrolyte, carbon and pores; they sum to one."""
        cathode = electrode == "cathode"
        fractions = self.cathode_mass_fractions if cathode else self.anode_mass_fractions
        volumes = self._solids(fractions, self.ncm_density if cathode else self.lto_density)
        porosity = self.cathode_porosity if cathode else self.anode_porosity
        if abs(sum(fractions) - 1) > 1e-9:
            raise ValueError(f"mass fractions of the {electrode} sum to {sum(fractions):g}, not to one")
        share = [(1 - porosity) * v / sum(volumes) for v in volumes]
        return dict(zip(("active", "electrolyte", "carbon"), share, strict=True), pores=porosity)

    def thickness(self, layer: str) -> float:
        """Thickness of cathode, separator or anode from its mass, density and porosity [m]."""
        if layer == "separator":
            volume = self.separator_mass / self.electrolyte_density
            return volume / (1 - self.separator_porosity) / self.area
        cathode = layer == "cathode"
        fractions = self.cathode_mass_fractions if cathode else self.anode_mass_fractions
        mass = self.cathode_composite_mass if cathode else self.anode_composite_mass
        volume = mass * sum(self._solids(fractions, self.ncm_density if cathode else self.lto_density))
        return volume / (1 - (self.cathode_porosity if cathode else self.anode_porosity)) / self.area

    def current(self, c_rate: float) -> float:
        """Cell current at a C-rate, one C being ``one_c`` ampere per kg of NCM622 [A]."""
        return c_rate * self.one_c * self.ncm_mass

    def conductivity(self, temperature: float) -> float:
        """Ionic conductivity of the electrolyte at a temperature [S m-1]."""
        factor = arrhenius(self.electrolyte_activation_energy, temperature, self.reference_temperature)
        return self.electrolyte_conductivity * factor

    def ncm_exchange_current_at(self, temperature: float) -> float:
        """Exchange current per NCM area in contact at a temperature [A m-2]."""
        factor = arrhenius(self.ncm_exchange_current_activation_energy, temperature, self.ncm_reference_temperature)
        return self.ncm_exchange_current * factor

    def lto_exchange_current_at(self, temperature: float) -> float:
        """Exchange current per LTO area at a temperature [A m-2]."""
        factor = arrhenius(self.lto_exchange_current_activation_energy, temperature, self.lto_reference_temperature)
        return self.lto_exchange_current * factor

    def lto_diffusivity_at(self, temperature: float) -> float:
        """Diffusivity of lithium in LTO at a temperature [m2 s-1]."""
        factor = arrhenius(self.lto_diffusivity_activation_energy, temperature, self.lto_reference_temperature)
        return self.lto_diffusivity * factor

    def lithium_diffusivity_at(self, temperature: float) -> float:
        """Diffusivity of lithium in NCM622 below its hindrance at a temperature [m2 s-1]."""
        factor = arrhenius(self.lithium_activation_energy, temperature, self.lithium_reference_temperature)
        return self.lithium_diffusivity * factor
