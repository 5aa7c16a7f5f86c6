"""Constants that ignored temperature, and a coating whose core cancelled to zero in the cold."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pybamm
import pytest
from closeness import near
from pinned import scenario
from test_cell import DESIGN
from test_contacts import aged

from interphase_sim import coating
from interphase_sim.arrhenius import arrhenius
from interphase_sim.cell import parameters
from interphase_sim.cell.runner import Cell
from interphase_sim.interphase import contacts
from interphase_sim.interphase.contact_models.unit_cell import block_of
from interphase_sim.scenario import Scenario, load_scenario, with_units
from interphase_sim.simulation import loop, simulate

EV = 1.602176634e-19  # J
ROOM, WARM = 298.15, 318.15  # K
CHANNELS = ("film", "slow_lithiation", "isolation", "rock_salt", "electrolyte_oxidation")
INERT: dict[str, Any] = {
    "kinetics.oxygen.exchange": 0.0,
    "kinetics.reactions.sulfide_oxidation": 0.0,
    "kinetics.reactions.thiophosphate_oxidation": 0.0,
    "kinetics.contact.duration": 0.0,
    **{f"kinetics.losses.{channel}": False for channel in CHANNELS},
}
NEW_KEYS = {
    "cell": (
        "ncm_exchange_current_activation_energy",
        "ncm_reference_temperature",
        "lto_exchange_current_activation_energy",
        "lto_diffusivity_activation_energy",
        "lto_reference_temperature",
        "validity",
    ),
    "kinetics": ("validity",),
    "kinetics.layer": ("activation_energy", "reference_temperature"),
    "kinetics.lithium": ("activation_energy", "reference_temperature"),
}


def capacities(celsius: float, rate: str, model: str = "SPM") -> tuple[float, float]:
    """First charge and discharge without any reaction [mAh/g]; what the cell cannot deliver is zero."""
    steps = [{"type": "cc", "direction": d, "rate": rate} for d in ("charge", "discharge")]
    changes = {"cell.temperature": f"{celsius} degC", "cell.model": model, "protocol.steps": steps}
    ds = simulate(load_scenario("bare").replace(with_units({**INERT, **changes, "protocol.cycles": 1})))
    found = [ds[name].values[1:] for name in ("charge_capacity", "discharge_capacity")]
    return float(np.nan_to_num(found[0]).sum()), float(np.nan_to_num(found[1]).sum())


# What ignored temperature


@pytest.mark.parametrize(
    ("model", "rate", "celsius"),
    [("SPM", "C/5", (-20, 0, 25, 45, 60, 80)), ("SPM", "1 C", (-20, 25, 80)), ("SPMe", "C/5", (0, 45, 80))],
)
def test_a_warmer_cell_without_reactions_delivered_less(model: str, rate: str, celsius: tuple[float, ...]) -> None:
    found = [capacities(t, rate, model) for t in celsius]
    for cold, warm in itertools.pairwise(found):
        assert warm[0] > cold[0] - 0.02  # mAh/g, the accuracy of a half-cycle
        assert warm[1] > cold[1] - 0.02
    assert found[-1][1] > found[0][1] + 10  # diffusion of lithium in NCM


@pytest.mark.parametrize("celsius", [-20, 25, 80])
def test_a_faster_discharge_without_reactions_delivers_no_more(celsius: float) -> None:
    found = [capacities(celsius, rate) for rate in ("C/20", "C/5", "1 C", "2 C")]
    for slow, fast in itertools.pairwise(found):
        assert fast[0] < slow[0] + 0.02  # mAh/g, as above
        assert fast[1] < slow[1] + 0.02


def test_the_film_resisted_alike_at_every_temperature() -> None:
    """A formed bare cathode had 290, 140 and 68 ohm cm2 at 30, 45 and 60 degC, 0.42 eV."""
    old = aged(contacts.setting(scenario(), DESIGN.contact_areas, DESIGN.conductivity(WARM)))
    found = []
    for celsius in (30, 45, 60):
        chosen = scenario(changes={"cell.temperature": f"{celsius} degC"})
        s = contacts.setting(chosen, DESIGN.contact_areas, DESIGN.conductivity(celsius + 273.15))
        found.append(contacts.film_resistance(s, old))
    assert found[0] / found[1] == near(
        289.9 / 139.6, rel=0.03
    )  # the measured values bend by 3 % from one Arrhenius law
    assert found[1] / found[2] == near(139.6 / 67.8, rel=0.05)


def test_conductivities_of_products_hold_at_their_reference_temperature() -> None:
    warm, cold = (
        contacts.setting(scenario(changes={"cell.temperature": t}), DESIGN.contact_areas, 0.4).sigmas
        for t in (WARM, ROOM)
    )
    assert warm == (0.4, 1e-2, 1e-8)
    factor = arrhenius(0.42 * EV, ROOM, WARM)
    assert factor == near(0.358, rel=1e-3)  # 0.42 eV/k = 4873.9 K, times 2.1085e-4, by hand
    assert cold[1:] == near((1e-2 * factor, 1e-8 * factor), rel=1e-12)  # unit conversions


@pytest.mark.parametrize(
    ("value_at", "reference", "energy"),
    [
        ("ncm_exchange_current_at", (WARM, 1.0), 0.5),
        ("lto_exchange_current_at", (ROOM, 3.6), 0.5),
        ("lto_diffusivity_at", (ROOM, 4e-16), 0.35),
        ("lithium_diffusivity_at", (WARM, 1e-14), 0.35),
        ("conductivity", (ROOM, 0.2), 0.35),
    ],
)
def test_a_constant_of_the_cell_ignored_temperature(
    value_at: str, reference: tuple[float, float], energy: float
) -> None:
    at: Callable[[float], float] = getattr(DESIGN, value_at)
    assert at(reference[0]) == reference[1]
    other = 338.15
    expected = reference[1] * math.exp(-energy * EV / 1.380649e-23 * (1 / other - 1 / reference[0]))
    assert at(other) == near(expected, rel=1e-12)  # the same products in another order


LAWS = {
    "Electrolyte conductivity [S.m-1]": (1000.0,),
    "Positive electrode exchange-current density [A.m-2]": (1000.0, 24000.0, 48000.0),
    "Negative electrode exchange-current density [A.m-2]": (1000.0, 11000.0, 22000.0),
    "Positive particle diffusivity [m2.s-1]": (0.5,),
    "Negative particle diffusivity [m2.s-1]": (0.5,),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_parameter_set_at_another_temperature_is_the_design_at_that_temperature(name: str) -> None:
    def value(design: Any, kelvin: float) -> float:
        law = parameters.parameter_values(design)[name]
        return float(law(*map(pybamm.Scalar, LAWS[name]), pybamm.Scalar(kelvin)).evaluate())

    cold = replace(DESIGN, temperature=ROOM)
    assert value(DESIGN, ROOM) == near(value(cold, ROOM), rel=1e-12)  # one exponential or the product of two
    assert value(DESIGN, ROOM) < 0.6 * value(DESIGN, WARM)  # of 0.35 eV


def test_cells_that_differ_in_lithium_transport_alone_share_a_build() -> None:
    other = replace(DESIGN, lithium_activation_energy=0.3 * EV, lithium_reference_temperature=ROOM)
    cells = [Cell(design, "SPM", particle_cells=20, tolerance=1e-6) for design in (DESIGN, other)]
    assert cells[0].recipe == cells[1].recipe
    assert [cell._inputs["Lithium diffusivity [m2.s-1]"] for cell in cells] == near(
        [1e-14, 1e-14 * arrhenius(0.3 * EV, WARM, ROOM)], rel=1e-12
    )


def test_the_shipped_constants_hold_at_45_degrees() -> None:
    """Numbers that were fitted or stated at 45 degC reach the cell as they are written."""
    chosen = load_scenario("bare")
    design = loop.design_of(chosen)
    assert design.temperature == WARM
    assert design.lithium_diffusivity_at(WARM) == chosen.kinetics.lithium.diffusivity.si
    assert design.ncm_exchange_current_at(WARM) == chosen.cell.ncm_exchange_current.si
    layer = chosen.kinetics.layer
    sigmas = contacts.setting(chosen, design.contact_areas, 0.4).sigmas
    assert sigmas == (0.4, layer.thiophosphate_conductivity.si, layer.insulating_conductivity.si)


def test_files_from_before_activation_energies_still_load() -> None:
    chosen = load_scenario("coated")
    raw = chosen.to_dict()
    for path, names in NEW_KEYS.items():
        section = raw
        for part in path.split("."):
            section = section[part]
        for name in names:
            section.pop(name, None)
    assert Scenario.from_dict(raw).digest() == chosen.digest()


def test_a_residue_in_the_gaps_ignored_its_activation_energy() -> None:
    filled = {"coating.filler": "residue", "coating.filler_coverage": 0.5, "coating.filler_conductivity": 1e-8}
    for energy, factor in ((None, 1.0), ("0.5 eV", arrhenius(0.5 * EV, WARM, ROOM))):
        coat = scenario("coated", filled | {"coating.filler_activation_energy": energy}).coating
        assert coat is not None
        assert coating.shield(coat, WARM).gap_conductivity == near(1e-8 * factor, rel=1e-12)


def test_the_core_of_a_cold_coating_cancelled_to_zero() -> None:
    """At 45 K the shells resist 1e60 times more than the core, which was their sum less the shells."""
    coat = scenario("coated", {"coating.contact": "resolved"}).coating
    assert coat is not None
    cover = coating.shield(coat, 45.0)
    assert cover.covered - 2 * cover.shell == 0.0
    block = block_of(coat, cover)
    assert coat.thickness.si / block.vertical == near(cover.core, rel=1e-12)
    assert cover.core == near(13e-9 / (7e-5 * arrhenius(0.45 * EV, 45.0, ROOM)), rel=1e-9)
