"""The cycling loop: the only place where the cell and its contacts meet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from interphase_sim import losses
from interphase_sim.cell.design import FARADAY, NCM_MOLAR_MASS, CellDesign
from interphase_sim.cell.runner import Cell, Degradation, History
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.losses import Ncm
from interphase_sim.scenario import ConstantCurrent, ConstantVoltage, Rest, Scenario, Step, halves

MAH_PER_G = 3.6e3  # A s kg-1 in one mAh g-1
FULL_CHARGE = FARADAY / NCM_MOLAR_MASS  # A s kg-1 of one lithium per formula unit
TIME_LIMIT = 20.0  # a step lasts at most this many times its nominal duration
STEEPNESS = 5e-3  # V per mAh g-1, slope of the potential at 4.4 V vs Li/Li+; a floor, so errors are bounded
SHORTEST = 1800.0  # s over which owed charge is repaid at the fastest, so a short step gets no current spike
LEVERAGE = 80.0  # mAh g-1 of capacity per e-fold of working contact; a ceiling


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
    [A s kg-1], full swings done, elapsed time [s], ledger terms [A s kg-1] and the steps' last rates."""

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
    rates: tuple[Rates, ...] = ()


@dataclass(frozen=True, eq=False)
class Bench:
    """A scenario made ready to run; ``full`` is the lithium content of the pristine NCM [1]."""

    scenario: Scenario
    design: CellDesign
    cell: Cell
    setting: Setting
    full: float


@dataclass
class Half:
    """What one half-cycle delivered: charge [A s kg-1], energy [V A s kg-1], its curve, whether the cell was past
    its cut-off from the start (spent), whether a step ran into its time limit before its cut-off (overtime), and
    its steps as solved."""

    charge: float = 0.0
    energy: float = 0.0
    spent: bool = False
    overtime: bool = False
    capacity: list[Any] = field(default_factory=list)
    voltage: list[Any] = field(default_factory=list)
    histories: list[History] = field(default_factory=list)


def design_of(scenario: Scenario) -> CellDesign:
    """The plain numbers of a scenario's cell and its lithium transport."""
    cell, lithium = scenario.cell, scenario.kinetics.lithium
    names = [n for n in CellDesign.__dataclass_fields__ if n in type(cell).model_fields]
    return CellDesign(
        **{name: getattr(cell, name).si for name in names},
        cathode_mass_fractions=cell.cathode_mass_ratio.fractions,
        anode_mass_fractions=cell.anode_mass_ratio.fractions,
        lithium_diffusivity=lithium.diffusivity.si,
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
    decay = losses.contact_decay(bench.scenario.kinetics, ct.layer_thickness(dosed), 0.0)
    idle = 1.0 - bench.design.utilisation
    ncm = Ncm(log_contact=decay, isolated=idle, isolated_lithium=idle * bench.full)
    share = rock_salt_share(bench, ncm, fresh, dosed)
    lithium = share * bench.full * FULL_CHARGE
    return State(
        cell=y,
        contacts=dosed,
        ncm=replace(ncm, rock_salt=share),
        owed=parasitic_charge(bench, dosed) + lithium,
        lost_to_rock_salt=lithium,
        mean=bench.full,
    )


def rock_salt_share(bench: Bench, ncm: Ncm, before: Contacts, after: Contacts) -> float:
    """Share of all NCM that turned to rock salt while contacts changed [1]."""
    gone = _uptake(after) - _uptake(before)
    share = losses.rock_salt_growth(bench.scenario.kinetics, gone, bench.setting.areas["ncm"])
    return min(share, 0.999 * ncm.connected)


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
    """The contacts' effect on the cell at the start of a step, with its expected drift."""
    kinetics = bench.scenario.kinetics
    on = kinetics.losses.film
    log_diffusion, shift = losses.slow_lithiation(kinetics, state.ncm.log_contact)
    log_diffusion_rate, shift_rate = losses.slow_lithiation(kinetics, guess.log_contact)
    return Degradation(
        film=ct.film_resistance(bench.setting, state.contacts) if on else 0.0,
        film_rate=guess.film if on else 0.0,
        log_diffusion=log_diffusion,
        log_diffusion_rate=log_diffusion_rate,
        hindrance_shift=shift,
        hindrance_shift_rate=shift_rate,
        connected=state.ncm.connected - _turning(state, guess),
        parasitic=parasitic * bench.design.ncm_mass,
    )


def solve_step(bench: Bench, state: State, step: Step, effect: Degradation) -> History:
    """One protocol step of the cell under a given degradation."""
    design = bench.design
    if isinstance(step, Rest):
        return bench.cell.constant_current(state.cell, effect, 0.0, None, step.duration.si)
    if isinstance(step, ConstantVoltage):
        cut_off = step.until_current.si * (design.current(1.0) if step.until_current.unit == "C" else 1.0)
        return bench.cell.constant_voltage(state.cell, effect, step.voltage.si, cut_off, TIME_LIMIT * 3600)
    current = step_current(bench, step)
    window = design.upper_voltage if step.direction == "charge" else design.lower_voltage
    until = step.until.si if step.until is not None else window
    limit = TIME_LIMIT * 0.1 * FULL_CHARGE * design.ncm_mass / abs(current)
    return bench.cell.constant_current(state.cell, effect, current, until, limit)


def step_current(bench: Bench, step: ConstantCurrent) -> float:
    """Cell current of a step, discharge positive [A]."""
    size = bench.design.current(step.rate.si) if step.rate is not None else step.current.si  # type: ignore[union-attr]
    return -size if step.direction == "charge" else size


def advance(bench: Bench, state: State, step: Step, index: int) -> tuple[State, History]:
    """Solve a protocol step together with its contacts until the exchange has settled.

    The film and the working contact change linearly within the step; the connected NCM and the parasitic current,
    to which the lithium of what turns to rock salt belongs, are their means. Their rates come from the same step of
    the last cycle and are corrected by solving again until the capacity they decide is known within
    ``numerics.exchange_tolerance``.

    In the length of a step what is linear is of second order; a mean misses at the cut-off, at first order, little.
    """
    numerics = bench.scenario.numerics
    guess = state.rates[index] if index < len(state.rates) else Rates()
    tolerance = numerics.exchange_tolerance.si / MAH_PER_G
    before, released = parasitic_charge(bench, state.contacts), oxidation_charge(bench, state.contacts)
    film_before = ct.film_resistance(bench.setting, state.contacts)
    for _ in range(numerics.max_iterations):
        repaid = state.owed / max(guess.duration, SHORTEST) if guess.duration > 0 else 0.0
        held = isinstance(step, ConstantVoltage)  # a hold has no current to add to: what it owes is repaid later
        effect = degradation(bench, state, guess, 0.0 if held else guess.parasitic + repaid)
        history = solve_step(bench, state, step, effect)
        span = history.time[-1]
        if span <= 0:
            return state, history
        drive = ct.drive(
            bench.scenario.kinetics, history.time, history.potential, history.open_circuit, history.surface
        )
        grown = ct.advance(bench.setting, state.contacts, drive)
        decay, swing = _decay(bench, state.contacts, grown, history)
        turned = rock_salt_share(bench, state.ncm, state.contacts, grown)
        lithium = _rock_salt_lithium(history, turned, _turning(state, guess))
        charge = parasitic_charge(bench, grown) - before + lithium
        found = Rates(
            (ct.film_resistance(bench.setting, grown) - film_before) / span,
            decay / span,
            turned / span,
            charge / span,
            (oxidation_charge(bench, grown) - released) / span,
            span,
        )
        settled = _mismatch(bench, state, history, guess, found) <= tolerance
        guess = found
        if settled:
            break
    passed = effect.parasitic / bench.design.ncm_mass * span
    done = replace(
        state,
        cell=history.state,
        contacts=grown,
        ncm=replace(state.ncm, log_contact=state.ncm.log_contact + decay, rock_salt=state.ncm.rock_salt + turned),
        owed=state.owed + charge - passed,
        swings=state.swings + swing,
        elapsed=state.elapsed + span,
        external=state.external - history.charge / bench.design.ncm_mass,
        applied=state.applied + passed,
        lost_to_rock_salt=state.lost_to_rock_salt + lithium,
        mean=float(history.mean[-1]),
        rates=(*state.rates[:index], found, *state.rates[index + 1 :]),
    )
    return done, history


def _turning(state: State, guess: Rates) -> float:
    """Share of all NCM that is foreseen to turn to rock salt until the middle of a step [1]."""
    return 0.5 * min(guess.rock_salt * guess.duration, state.ncm.connected)


def _rock_salt_lithium(history: History, turned: float, turning: float) -> float:
    """Lithium of the NCM that turned to rock salt in a step [A s kg-1]; it goes to the NCM that stays connected.

    L = turned x_end + turning (x_start - x_end): at the mean content if half of it was foreseen, as c dx + x dc of a
    step that was solved with c - turning connected. So the ledger closes.
    """
    start, end = float(history.mean[0]), float(history.mean[-1])
    return (turned * end + turning * (start - end)) * FULL_CHARGE


def _decay(bench: Bench, before: Contacts, after: Contacts, history: History) -> tuple[float, float]:
    """Change of ln chi in a step and the delithiation swing done, in full swings."""
    growth = ct.layer_thickness(after) - ct.layer_thickness(before)
    full = bench.design.one_c * 3600 / FULL_CHARGE
    swing = max(0.0, float(history.mean[0] - history.mean[-1])) / full
    return losses.contact_decay(bench.scenario.kinetics, growth, swing), swing


def _mismatch(bench: Bench, state: State, history: History, guess: Rates, found: Rates) -> float:
    """Upper estimate of the capacity that wrong rates cost [mAh g-1]."""
    span = history.time[-1]
    area = bench.setting.areas["ncm"] * bench.design.ncm_mass * state.ncm.connected
    film = abs(found.film - guess.film) * span * abs(history.current[-1]) / area
    on = bench.scenario.kinetics.losses
    volts = film / STEEPNESS if on.film else 0.0
    contact = LEVERAGE * abs(found.log_contact - guess.log_contact) * span if on.slow_lithiation else 0.0
    owed = abs(found.parasitic - guess.parasitic) * span / MAH_PER_G
    turned = abs(found.rock_salt - guess.rock_salt) * span * FULL_CHARGE / MAH_PER_G
    missing = abs(state.owed) / MAH_PER_G if guess.duration == 0 else 0.0
    return float(volts + contact + owed + turned + missing)


def half_cycle(bench: Bench, state: State, steps: tuple[Step, ...], offset: int) -> tuple[State, Half]:
    """Charge or discharge: every step in turn, charge counted positive in the half's own direction."""
    half = Half()
    sign = 1.0 if offset else -1.0
    for k, step in enumerate(steps):
        state, history = advance(bench, state, step, offset + k)
        half.histories.append(history)
        _record(half, history, sign / bench.design.ncm_mass)
        if history.time[-1] <= 0 and isinstance(step, ConstantCurrent):
            half.spent = True
        half.overtime |= _overtime(step, history)
    return state, half


def _overtime(step: Step, history: History) -> bool:
    """Whether a step ended at its time limit instead of its cut-off; a rest ends by time as it should."""
    return not history.reached and not isinstance(step, Rest)


def _record(half: Half, history: History, scale: float) -> None:
    passed = scale * history.passed
    half.capacity.append(half.charge / MAH_PER_G + passed / MAH_PER_G)
    half.voltage.append(history.voltage)
    half.charge += float(passed[-1])
    half.energy += float(np.trapezoid(history.voltage, passed))


def cycle(bench: Bench, state: State, number: int) -> tuple[State, Half, Half]:
    """One cycle: charge steps, isolation at the end of charge, discharge steps, loss of coverage."""
    charge_steps, discharge_steps = halves(bench.scenario.protocol.steps_of(number))
    state, charge = half_cycle(bench, state, charge_steps, 0)
    state = replace(
        state, ncm=losses.isolate(bench.scenario.kinetics, state.ncm, state.mean, 1.0 - bench.design.utilisation)
    )
    if charge.spent:
        return state, charge, Half(spent=True)
    state, discharge = half_cycle(bench, state, discharge_steps, len(charge_steps))
    opened = ct.uncover(bench.setting, state.contacts, state.swings)
    return replace(state, contacts=opened), charge, discharge


def ledger_residual(bench: Bench, state: State) -> float:
    """Charge the lithium ledger does not account for, over the charge of all NCM [1].

    sum(Q_c - Q_d) = lithium missing from connected NCM + in isolated NCM + in rock salt + net R3 charge.
    """
    ncm = state.ncm
    held = (ncm.connected * state.mean + ncm.isolated_lithium) * FULL_CHARGE
    start = bench.full * FULL_CHARGE
    return (state.external - (start - held - state.lost_to_rock_salt + state.applied)) / FULL_CHARGE


def frozen_capacity(bench: Bench, state: State, number: int, effect: Degradation) -> float:
    """Discharge capacity of a cycle run with the degradation held still [mAh g-1].

    Not-a-number when a step runs into its time limit: what passed by then is no capacity.
    """
    total = 0.0
    for step in bench.scenario.protocol.steps_of(number):
        history = solve_step(bench, state, step, effect)
        if _overtime(step, history):
            return math.nan
        state = replace(state, cell=history.state)
        total += max(0.0, history.charge)
    return total / bench.design.ncm_mass / MAH_PER_G


def split_losses(bench: Bench, first: State, now: State, numbers: tuple[int, int], lost: float) -> dict[str, float]:
    """Capacity lost since the reference cycle by channel: the cycle again with one state reset at a time [mAh g-1].

    first, now: states after the two cycles that ``numbers`` names, the reference and the one that is solved again.

    Electrolyte oxidation is the current of R3 and R3b alone; it dies down with cycling, so its share may be
    negative. What R4 takes from the NCM is no channel and stays where it was. What the channels leave
    unexplained, together, is their interaction.
    """
    reference, number = numbers
    effect, rates = _frozen(bench, now, number)
    fresh, first_rates = _frozen(bench, first, reference)
    undone = (first_rates.oxidation - rates.oxidation) * bench.design.ncm_mass
    share = {
        "film": replace(effect, film=fresh.film),
        "slow_lithiation": replace(effect, log_diffusion=fresh.log_diffusion, hindrance_shift=fresh.hindrance_shift),
        "isolation": replace(effect, connected=effect.connected + now.ncm.isolated - first.ncm.isolated),
        "rock_salt": replace(effect, connected=effect.connected + now.ncm.rock_salt - first.ncm.rock_salt),
        "electrolyte_oxidation": replace(effect, parasitic=effect.parasitic + undone),
    }
    changed = {name: reset for name, reset in share.items() if reset != effect}
    base = frozen_capacity(bench, now, number, effect) if changed else 0.0
    gained = dict.fromkeys(share, 0.0)
    gained |= {name: frozen_capacity(bench, now, number, reset) - base for name, reset in changed.items()}
    return gained | {"interaction": lost - sum(gained.values())}


def _frozen(bench: Bench, state: State, number: int) -> tuple[Degradation, Rates]:
    """The degradation after a cycle, held still, and the rates of the cycle's last step."""
    rates = _last(state, len(bench.scenario.protocol.steps_of(number)))
    return degradation(bench, state, Rates(), rates.parasitic), rates


def _last(state: State, steps: int | None = None) -> Rates:
    """The rates of the last of so many steps; those after it are left from cycles with more steps."""
    return state.rates[:steps][-1] if state.rates else Rates()
