"""State of a run and of what it starts from: the cell, its contacts, the NCM and the ledger of lithium."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interphase_sim import ageing
from interphase_sim.ageing import Exposure, Ncm
from interphase_sim.cell.design import NCM_MOLAR_MASS, CellDesign
from interphase_sim.cell.runner import Cell, Degradation
from interphase_sim.constants import FARADAY
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.scenario import Scenario

MAH_PER_G = 3.6e3  # A s kg-1 in one mAh g-1
FULL_CHARGE = FARADAY / NCM_MOLAR_MASS  # A s kg-1 of one lithium per formula unit


@dataclass(frozen=True)
class Rates:
    """How a protocol step moved the degradation, carried over as the first guess for the same step of the next
    cycle: film [ohm m2 s-1], ln of the working contact [s-1], share of rock salt [s-1], parasitic current and the
    part of it that R3 and R3b release [A kg-1], duration [s]."""

    film: float = 0.0
    log_contact: float = 0.0
    rock_salt: float = 0.0
    parasitic: float = 0.0
    oxidation: float = 0.0
    duration: float = 0.0


@dataclass(frozen=True, eq=False)
class State:
    """Everything a run needs to go on: cell state vector, contacts, NCM, parasitic charge owed to the cell
    [A s kg-1], full swings done, elapsed time [s], ledger terms [A s kg-1] and, by step of the cycle, the rates at
    which it last moved the degradation, None for a step that has not run."""

    cell: Any
    contacts: Contacts
    ncm: Ncm
    owed: float = 0.0
    swings: float = 0.0
    elapsed: float = 0.0
    external: float = 0.0
    applied: float = 0.0
    lost_to_rock_salt: float = 0.0
    mean: float = 0.0
    rates: tuple[Rates | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Bench:
    """A scenario made ready to run; ``full`` is the lithium content of the pristine NCM [1]."""

    scenario: Scenario
    design: CellDesign
    cell: Cell
    setting: Setting
    full: float


def design_of(scenario: Scenario) -> CellDesign:
    """The plain numbers of a scenario's cell and its lithium transport."""
    cell, lithium = scenario.cell, scenario.kinetics.lithium
    names = [n for n in CellDesign.__dataclass_fields__ if n in type(cell).model_fields]
    return CellDesign(
        **{name: getattr(cell, name).si for name in names},
        cathode_mass_fractions=cell.cathode_mass_ratio.fractions,
        anode_mass_fractions=cell.anode_mass_ratio.fractions,
        lithium_diffusivity=lithium.diffusivity.si,
        lithium_activation_energy=lithium.activation_energy.si,
        lithium_reference_temperature=lithium.reference_temperature.si,
        hindrance_stoichiometry=lithium.hindrance_stoichiometry.si,
        hindrance_width=lithium.hindrance_width.si,
        hindrance_factor=lithium.hindrance_factor.si,
    )


def prepare(scenario: Scenario) -> Bench:
    """Build (or reuse) the cell and lay out the contacts."""
    design, numerics = design_of(scenario), scenario.numerics
    cell = Cell(design, scenario.cell.model, numerics.particle_cells, numerics.solver_tolerance)
    setting = ct.setting(scenario, design.contact_areas, design.conductivity(design.temperature))
    return Bench(scenario, design, cell, setting, cell.mean_stoichiometry(cell.start()))


def begin(bench: Bench) -> State:
    """The cell after its contact dose, before the first charge."""
    fresh = ct.pristine(bench.setting)
    dosed = ct.contact_dose(bench.setting, fresh)
    y = bench.cell.start()
    idle = never_connected(bench)
    ncm = Ncm(isolated=idle, isolated_lithium=idle * bench.full)
    ncm = ageing.age(bench.scenario.kinetics.losses, ncm, exposure(bench, fresh, dosed))
    lithium = ncm.rock_salt * bench.full * FULL_CHARGE
    return State(
        cell=y,
        contacts=dosed,
        ncm=ncm,
        owed=parasitic_charge(bench, dosed) + lithium,
        lost_to_rock_salt=lithium,
        mean=bench.full,
    )


def never_connected(bench: Bench) -> float:
    """Share of the NCM that has no contact from the start [1]."""
    return 1.0 - bench.design.utilisation


def exposure(bench: Bench, before: Contacts, after: Contacts, swing: float = 0.0, time: float = 0.0) -> Exposure:
    """What moves the NCM while its contacts change, over a time [s] with so many full delithiation swings [1].

    Of the NCM, one formula unit is reduced per oxygen lost.
    """
    gone = (_uptake(after) - _uptake(before)) * bench.setting.areas["ncm"]
    growth = ct.layer_thickness(after) - ct.layer_thickness(before)
    return Exposure(growth, gone * NCM_MOLAR_MASS, swing, time, bench.scenario.cell.temperature.si)


def _uptake(contacts: Contacts) -> float:
    return ct.amounts(contacts)["ncm"]["oxygen"]


def parasitic_charge(bench: Bench, contacts: Contacts) -> float:
    """Charge that R3 and R3b released over all interfaces, less what R4 took from the NCM [A s kg-1 of NCM]."""
    return _charge(bench, contacts, "electrons")


def oxidation_charge(bench: Bench, contacts: Contacts) -> float:
    """Charge that R3 and R3b released over all interfaces [A s kg-1 of NCM]."""
    return _charge(bench, contacts, "released")


def _charge(bench: Bench, contacts: Contacts, counted: str) -> float:
    found = ct.amounts(contacts)
    return FARADAY * sum(bench.setting.areas[name] * found[name][counted] for name in found)


def degradation(bench: Bench, state: State, guess: Rates, parasitic: float) -> Degradation:
    """The contacts' effect on the cell at the start of a step, with its expected drift.

    The film and ln of the working contact drift linearly; what is turned to rock salt acts by its mean; variables of
    further laws act from the next step on.
    """
    losses, ncm = bench.scenario.kinetics.losses, state.ncm
    now, drift = ageing.effect(losses, ncm), ageing.drift(losses, ncm, guess.log_contact)
    return Degradation(
        film=ct.film_resistance(bench.setting, state.contacts) if losses.film else 0.0,
        film_rate=guess.film if losses.film else 0.0,
        log_diffusion=now.log_diffusion,
        log_diffusion_rate=drift.log_diffusion,
        hindrance_shift=now.hindrance_shift,
        hindrance_shift_rate=drift.hindrance_shift,
        connected=ncm.connected - turning_share(state, guess),
        parasitic=parasitic * bench.design.ncm_mass,
    )


def turning_share(state: State, guess: Rates) -> float:
    """Share of all NCM that is foreseen to turn to rock salt until the middle of a step [1]."""
    return 0.5 * min(guess.rock_salt * guess.duration, state.ncm.connected)


def ledger_residual(bench: Bench, state: State) -> float:
    """Charge the lithium ledger does not account for, over the charge of all NCM [1].

    sum(Q_c - Q_d) = lithium missing from connected NCM + in isolated NCM + in rock salt + net R3 charge.
    """
    ncm = state.ncm
    held = (ncm.connected * state.mean + ncm.isolated_lithium) * FULL_CHARGE
    start = bench.full * FULL_CHARGE
    return (state.external - (start - held - state.lost_to_rock_salt + state.applied)) / FULL_CHARGE
