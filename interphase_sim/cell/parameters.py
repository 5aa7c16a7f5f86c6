"""PyBaMM parameter set "Walther2021": LTO | Li6PS5Cl | NCM622 pellet cell at 45 degC.

Exchange currents, diffusivities and the electrolyte's conductivity follow the temperature that PyBaMM passes them, so
that another "Ambient temperature [K]" gives the same cell as a design at that temperature.
``pybamm.ParameterValues("Walther2021")`` works wherever this package is installed; it needs neither the
cycling loop nor the scenario schema.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
import pybamm
from pybamm.parameters import lithium_ion_parameters

from interphase_sim.arrhenius import exponent
from interphase_sim.cell.default import walther_2021
from interphase_sim.cell.design import NCM_MOLAR_MASS, CellDesign
from interphase_sim.constants import FARADAY, GAS_CONSTANT

OCP_OFFSET, OCP_SCALE = 0.1910, 0.8151  # x_Li = offset + scale x_MSMR, least squares on the check table
OCP_TEMPERATURE = 298.15  # K, entropy neglected
HIGHEST_OCP = 5.2  # V vs Li/Li+, where the tabulated potential ends
FULL_LITHIATION = 0.9999
CITATION = "Walther2021"


def _table(name: str) -> list[dict[str, str]]:
    text = (resources.files("interphase_sim") / "materials" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def msmr_stoichiometry(potential: np.ndarray) -> np.ndarray:
    """Lithium content x of LixNCM622 at equilibrium with ``potential`` [V vs Li/Li+].

    x = 0.1910 + 0.8151 sum_j X_j / (1 + exp(F (U - U_j) / (R T w_j))),
    parameters of Verbrugge et al., J. Electrochem. Soc. 164, E3243 (2017).
    """
    f = FARADAY / (GAS_CONSTANT * OCP_TEMPERATURE)
    occupied = np.zeros_like(potential, dtype=float)
    for row in _table("ncm622_ocp_msmr.csv"):
        u0, share, width = (float(row[k]) for k in ("U0_V", "X", "w"))
        occupied += share / (1 + np.exp(f * (potential - u0) / width))
    return OCP_OFFSET + OCP_SCALE * occupied


def ocp_table() -> tuple[np.ndarray, np.ndarray]:
    """Stoichiometry and open-circuit potential of NCM622 on a grid that a cubic spline follows within 0.1 mV.

    The MSMR branch is continued by a steep edge, -0.7 V exp((x - 1)/0.0015), so that the potential passes the
    lower cut-off before x = 1; the edge is assumed and below 0.2 mV for x < 0.9875, where data end.
    """
    potential = np.linspace(HIGHEST_OCP, 3.0, 4001)
    x = msmr_stoichiometry(potential)
    grid = np.unique(np.r_[np.linspace(x[0] + 1e-9, 0.97, 240), np.linspace(0.97, 1.0045, 140)])
    u = np.interp(grid, x, potential) - 0.7 * np.exp((grid - 1) / 0.0015)
    return _extended(grid, u, below=0.0, above=1.05)


def _extended(x: np.ndarray, u: np.ndarray, below: float, above: float) -> tuple[np.ndarray, np.ndarray]:
    """Straight continuations with the end slopes: a solver that oversteps meets a monotone potential."""
    left, right = np.linspace(below, x[0], 6)[:-1], np.linspace(x[-1], above, 6)[1:]
    low = u[0] + (u[1] - u[0]) / (x[1] - x[0]) * (left - x[0])
    high = u[-1] + (u[-1] - u[-2]) / (x[-1] - x[-2]) * (right - x[-1])
    return np.r_[left, x, right], np.r_[low, u, high]


def ncm622_ocp(sto: Any) -> Any:
    """Open-circuit potential of NCM622 against Li/Li+ [V] (PyBaMM symbol)."""
    x, u = ocp_table()
    return pybamm.Interpolant(x, u, sto, name="ncm622_ocp", interpolator="cubic")


def ncm622_ocp_without_asymptotes(sto: Any) -> Any:
    """The open-circuit potential less the term that PyBaMM adds to every one, so that the sum is that of NCM622 [V].

    The term keeps any stoichiometry inside (0, 1), as the table's own edge does, and is -0.5 V at x = 0.9999.
    """
    return ncm622_ocp(sto) - lithium_ion_parameters.U_asymptotes(sto)


def lto_ocp(plateau: float) -> Any:
    """Flat LTO potential with short exponential edges that keep the stoichiometry inside (0, 1)."""

    def ocp(sto: Any) -> Any:
        return plateau + 0.3 * pybamm.exp(-sto / 0.008) - 0.3 * pybamm.exp((sto - 1) / 0.008)

    return ocp


def hindered_diffusivity(plateau: Any, depth: Any, x_d: Any, width: Any) -> Any:
    """Chemical diffusivity of lithium in NCM622, falling where the host is nearly full.

    ln D(x) = ln D_0 - depth / (1 + exp(-(x - x_D)/w)).  The fall at high lithiation is the kinetic hindrance
    that costs layered oxides 10-15 % in the first discharge; its shape is fitted or assumed.
    """

    def diffusivity(sto: Any, temperature: Any) -> Any:
        return plateau * pybamm.exp(-depth / (1 + pybamm.exp(-(sto - x_d) / width)))

    return diffusivity


def exchange_current(reference: float) -> Any:
    """j_0 = j_ref sqrt(4 x (1 - x) + 0.01): Butler-Volmer with a floor that keeps the ends finite."""

    def j0(c_e: Any, c_s_surf: Any, c_s_max: Any, temperature: Any) -> Any:
        sto = c_s_surf / c_s_max
        return reference * pybamm.sqrt(pybamm.maximum(4 * sto * (1 - sto), 0) + 0.01)

    return j0


def with_temperature(law: Callable[..., Any], energy: float, reference: float) -> Callable[..., Any]:
    """A PyBaMM law, whose last argument is the temperature T, times exp(-E/k (1/T - 1/T_ref)).

    energy: activation energy E [J]. reference: T_ref [K], where the law holds as it is.
    """

    def scaled(*arguments: Any) -> Any:
        return law(*arguments) * pybamm.exp(exponent(energy, arguments[-1], reference))

    return scaled


def _bruggeman(fraction: float, tortuosity_factor: float) -> float:
    """Exponent b with fraction**b = fraction / tortuosity_factor."""
    return 1 - math.log(tortuosity_factor) / math.log(fraction)


def parameter_values(design: CellDesign) -> dict[str, Any]:
    """PyBaMM parameters of a pellet cell; the positive electrode's film is zero and its contact whole."""
    cathode, anode = design.volume_fractions("cathode"), design.volume_fractions("anode")
    separator = 1 - design.separator_porosity
    warm = design.temperature
    ncm_max = design.ncm_density / NCM_MOLAR_MASS
    return {
        "chemistry": "lithium_ion",
        "Current function [A]": design.current(0.2),
        "Nominal cell capacity [A.h]": design.current(1.0),
        "Number of electrodes connected in parallel to make a cell": 1.0,
        "Number of cells connected in series to make a battery": 1.0,
        "Electrode height [m]": math.sqrt(design.area),
        "Electrode width [m]": math.sqrt(design.area),
        "Contact resistance [Ohm]": 0.0,
        "Lower voltage cut-off [V]": design.lower_voltage,
        "Upper voltage cut-off [V]": design.upper_voltage,
        "Open-circuit voltage at 0% SOC [V]": design.lower_voltage,
        "Open-circuit voltage at 100% SOC [V]": design.upper_voltage,
        "Ambient temperature [K]": warm,
        "Initial temperature [K]": warm,
        "Reference temperature [K]": warm,
        # LTO composite
        "Negative electrode thickness [m]": design.thickness("anode"),
        "Negative electrode active material volume fraction": anode["active"],
        "Negative electrode porosity": anode["electrolyte"],
        "Negative electrode Bruggeman coefficient (electrolyte)": _bruggeman(
            anode["electrolyte"], design.anode_tortuosity_factor
        ),
        "Negative electrode Bruggeman coefficient (electrode)": 0.0,
        "Negative electrode conductivity [S.m-1]": 10.0,
        "Negative particle radius [m]": design.lto_radius,
        "Negative particle diffusivity [m2.s-1]": with_temperature(
            lambda sto, temperature: design.lto_diffusivity_at(warm), design.lto_diffusivity_activation_energy, warm
        ),
        "Negative electrode OCP [V]": lto_ocp(design.lto_plateau),
        "Negative electrode OCP entropic change [V.K-1]": 0.0,
        "Negative electrode exchange-current density [A.m-2]": with_temperature(
            exchange_current(design.lto_exchange_current_at(warm)), design.lto_exchange_current_activation_energy, warm
        ),
        "Maximum concentration in negative electrode [mol.m-3]": design.lto_max_concentration,
        "Initial concentration in negative electrode [mol.m-3]": design.lto_initial_stoichiometry
        * design.lto_max_concentration,
        # separator and electrolyte: single-ion conductor, so concentration stays put
        "Separator thickness [m]": design.thickness("separator"),
        "Separator porosity": separator,
        "Separator Bruggeman coefficient (electrolyte)": _bruggeman(separator, design.separator_tortuosity_factor),
        "Initial concentration in electrolyte [mol.m-3]": 1000.0,
        "Cation transference number": 1.0,
        "Thermodynamic factor": 1.0,
        "Electrolyte diffusivity [m2.s-1]": 1e-8,
        "Electrolyte conductivity [S.m-1]": with_temperature(
            lambda c_e, temperature: design.conductivity(warm), design.electrolyte_activation_energy, warm
        ),
        # NCM622 composite
        "Positive electrode thickness [m]": design.thickness("cathode"),
        "Positive electrode active material volume fraction": cathode["active"] * design.utilisation,
        "Positive electrode porosity": cathode["electrolyte"],
        "Positive electrode Bruggeman coefficient (electrolyte)": _bruggeman(
            cathode["electrolyte"], design.cathode_tortuosity_factor
        ),
        "Positive electrode Bruggeman coefficient (electrode)": 0.0,
        "Positive electrode conductivity [S.m-1]": 0.13,
        "Positive particle radius [m]": design.sauter_radius,
        "Positive particle diffusivity [m2.s-1]": with_temperature(
            hindered_diffusivity(
                design.lithium_diffusivity_at(warm),
                math.log(design.hindrance_factor),
                design.hindrance_stoichiometry,
                design.hindrance_width,
            ),
            design.lithium_activation_energy,
            warm,
        ),
        "Positive electrode OCP [V]": ncm622_ocp_without_asymptotes,
        "Positive electrode OCP entropic change [V.K-1]": 0.0,
        "Positive electrode exchange-current density [A.m-2]": with_temperature(
            exchange_current(design.ncm_exchange_current_at(warm) * design.contact_fraction),
            design.ncm_exchange_current_activation_energy,
            warm,
        ),
        "Maximum concentration in positive electrode [mol.m-3]": ncm_max,
        "Initial concentration in positive electrode [mol.m-3]": FULL_LITHIATION * ncm_max,
        # film on the NCM, per particle area; both numbers are inputs of the cycling loop
        "Initial SEI thickness [m]": 1e-8,
        "SEI resistivity [Ohm.m]": 0.0,
        "SEI partial molar volume [m3.mol-1]": 5e-5,
        "Ratio of lithium moles to SEI moles": 1.0,
    }


def get_parameter_values() -> dict[str, Any]:
    """Entry point of PyBaMM: the parameter set "Walther2021", the calibrated bare cell before any ageing."""
    return parameter_values(walther_2021())
