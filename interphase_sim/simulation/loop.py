"""The cycling loop: the only place where the cell and its contacts meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from interphase_sim import losses
from interphase_sim.cell.design import FARADAY, NCM_MOLAR_MASS, CellDesign
from interphase_sim.cell.runner import Cell, Degradation, History, joined, ocp_slope
from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.losses import Ncm
from interphase_sim.scenario import ConstantCurrent, ConstantVoltage, Rest, Scenario, Step, halves

MAH_PER_G = 3.6e3  # A s kg-1 in one mAh g-1
FULL_CHARGE = FARADAY / NCM_MOLAR_MASS  # A s kg-1 of one lithium per formula unit
TIME_LIMIT = 20.0  # a step lasts at most this many times its nominal duration
SHORTEST = 1800.0  # s over which owed charge is repaid at the fastest, so a short step gets no current spike
LEVERAGE = 80.0  # mAh g-1 of capacity per e-fold of working contact; a ceiling
FLATTEST = 1e-4  # V per mAh g-1, the least slope of the potential that is reckoned with
MEANS = 4.0  # what mean values within a step may cost, over the exchange tolerance
SHORTEST_PART = 30.0  # s, of a step that does not settle
FIRST_REST = 3600.0  # s, the first part of a rest that is longer: what reacts quickly does so early
LONGER = 3.0  # the next part of a step over the last one, at most
SMALLEST_SHARE = 1e-4  # of reactions that the surface holds back
HALVINGS = 10  # of the share of a parasitic current that the surface gives or takes
SAFETY = 0.8  # of the next part's length
MAX_PARTS = 1000  # of a step
MAX_FAILURES = 4  # of the solver in one step, each followed by a shorter part
USUAL_RATE = 0.2  # C, at which what a rest adds to the film is weighed
NO_DRIVE = Drive(*np.zeros((4, 1)))


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


@dataclass
class Half:
    """What one half-cycle delivered: charge [A s kg-1], energy [V A s kg-1], its curve; of its steps those that ran,
    by their index in the cycle and as solved, those that were skipped because they were at their limit before they
    began, and those whose exchange with the contacts did not settle; whether a step ran into its time limit."""

    charge: float = 0.0
    energy: float = 0.0
    hit_time_limit: bool = False
    capacity: list[Any] = field(default_factory=list)
    voltage: list[Any] = field(default_factory=list)
    ran: list[int] = field(default_factory=list)
    histories: list[History] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    unsettled: list[int] = field(default_factory=list)

    @property
    def has_no_capacity(self) -> bool:
        """Whether no charge passed in any of its steps."""
        return not any(np.any(history.passed) for history in self.histories)


class DischargeFailure(SolverFailure):
    """The solver failed in a discharge: the state before it and the charge half that was completed."""

    def __init__(self, failure: SolverFailure, state: State, charge: Half) -> None:
        super().__init__(str(failure))
        self.state, self.charge = state, charge


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


def time_limit(bench: Bench, step: Step) -> float:
    """The longest that a step may last: the duration of a rest, or a multiple of what is usual [s]."""
    if isinstance(step, Rest):
        return step.duration.si
    if isinstance(step, ConstantVoltage):
        return TIME_LIMIT * 3600
    return TIME_LIMIT * 0.1 * FULL_CHARGE * bench.design.ncm_mass / abs(step_current(bench, step))


def solve_step(bench: Bench, state: State, step: Step, effect: Degradation, limit: float) -> History:
    """One protocol step of the cell under a given degradation, for no longer than a limit [s].

    A rest that ends before its limit was driven out of all bounds by its parasitic current. Raises SolverFailure.
    """
    if isinstance(step, Rest):
        return bench.cell.constant_current(state.cell, effect, 0.0, None, limit)
    if isinstance(step, ConstantVoltage):
        return bench.cell.constant_voltage(state.cell, effect, step.voltage.si, cut_off_current(bench, step), limit)
    return bench.cell.constant_current(state.cell, effect, step_current(bench, step), cut_off(bench, step), limit)


def cut_off(bench: Bench, step: ConstantCurrent) -> float:
    """Voltage at which a step at constant current ends [V vs LTO]."""
    window = bench.design.upper_voltage if step.direction == "charge" else bench.design.lower_voltage
    return step.until.si if step.until is not None else window


def cut_off_current(bench: Bench, step: ConstantVoltage) -> float:
    """Current at which a hold ends [A]."""
    return step.until_current.si * (bench.design.current(1.0) if step.until_current.unit == "C" else 1.0)


def step_current(bench: Bench, step: ConstantCurrent) -> float:
    """Cell current of a step, discharge positive [A]."""
    size = bench.design.current(step.rate.si) if step.rate is not None else step.current.si  # type: ignore[union-attr]
    return -size if step.direction == "charge" else size


class Trial(NamedTuple):
    """A protocol step, or a part of it, as solved with guessed rates: guess, degradation and history of the cell, its
    drive, the contacts after it, the rates found, and what moved: ln chi [1], swing [1], rock salt [1], its lithium
    and the parasitic charge [A s kg-1]; and what the guess may have cost [mAh g-1]."""

    guess: Rates
    effect: Degradation
    history: History
    drive: Drive
    contacts: Contacts
    found: Rates
    decay: float
    swing: float
    turned: float
    lithium: float
    charge: float
    mismatch: float

    @property
    def span(self) -> float:
        """How long it lasted [s]."""
        return float(self.history.time[-1])


def advance(bench: Bench, state: State, step: Step, index: int) -> tuple[State, History, bool]:
    """Solve a protocol step together with its contacts: the state after it, its history, whether it settled.

    The film and the working contact change linearly within the step; the connected NCM and the parasitic current,
    to which the lithium of what turns to rock salt belongs, are their means. Their rates come from the same step of
    the last cycle and are corrected by solving again until the capacity they decide is known within
    ``numerics.exchange_tolerance``. A step that does not settle, that the cell cannot be followed through, or whose
    parasitic current changes too much for its mean to stand for it, is solved in parts, one after the other.

    A step that is at its limit before it begins leaves the state as it is, with a history of one point.
    """
    left, guess = time_limit(bench, step), state.rates[index] or Rates()
    limit = min(left, FIRST_REST) if isinstance(step, Rest) else left
    after, parts, settled, failures = state, list[Trial](), True, 0
    while left > 0:
        try:
            trial = _solved(bench, after, step, guess, min(limit, left))
        except SolverFailure:
            failures += 1
            if failures > MAX_FAILURES:
                raise
            limit = 0.25 * min(limit, left, guess.duration or math.inf)
            continue
        if trial.span <= 0:
            return (after, trial.history, True) if not parts else _assembled(state, after, index, parts, settled)
        excess = _excess(bench, after, step, trial)
        if excess > 1 and trial.span > SHORTEST_PART and bench.scenario.numerics.max_iterations > 1:
            limit = trial.span * min(max(SAFETY / math.sqrt(excess), 0.1), 0.5)
            guess = trial.found
            continue
        settled &= excess <= 1
        after, guess = _applied(bench, after, trial), trial.found
        parts.append(trial)
        if len(parts) > MAX_PARTS:
            raise SolverFailure(f"a step was not over after {MAX_PARTS} parts, {after.elapsed - state.elapsed:.3g} s")
        left = 0.0 if trial.history.reached else left - trial.span
        limit = trial.span * min(max(SAFETY / math.sqrt(max(excess, 1e-9)), 1.0), LONGER)
    return _assembled(state, after, index, parts, settled)


def _assembled(
    before: State, after: State, index: int, parts: list[Trial], settled: bool
) -> tuple[State, History, bool]:
    """A step put together from its parts, with its mean rates."""
    spans = np.array([part.span for part in parts])
    rates = parts[0].found
    if len(parts) > 1:
        mean = spans @ np.array([astuple(part.found) for part in parts]) / spans.sum()
        rates = replace(Rates(*(float(value) for value in mean)), duration=float(spans.sum()))
    steps = (*before.rates[:index], rates, *before.rates[index + 1 :])
    return replace(after, rates=steps), joined([part.history for part in parts]), settled


def _solved(bench: Bench, state: State, step: Step, guess: Rates, limit: float) -> Trial:
    """A step, or as much of it as the limit lets pass [s], solved until the exchange has settled or may not go on."""
    numerics, before = bench.scenario.numerics, None
    for _ in range(numerics.max_iterations):
        trial = _tried(bench, state, step, guess, limit)
        if isinstance(step, Rest) and (trial.history.outside or trial.history.reached):
            trial = _held_back(bench, state, step, trial, limit)
        if trial.span <= 0 or trial.mismatch <= numerics.exchange_tolerance.si / MAH_PER_G:
            break
        guess, before = _corrected(before, trial), trial
    return trial


def _corrected(before: Trial | None, trial: Trial) -> Rates:
    """The next guess: what was found, or by the secant through the last two guesses where there are two.

    A parasitic current that falls with the potential it lowers would otherwise swing to and fro.
    """
    if before is None:
        return trial.found
    guess = trial.found
    for name in ("film", "log_contact", "rock_salt", "parasitic"):
        (g0, f0), (g1, f1) = ((getattr(t.guess, name), getattr(t.found, name)) for t in (before, trial))
        change = (f1 - g1) - (f0 - g0)
        factor = min(max(-(g1 - g0) / change, 0.05), 2.0) if change != 0 else 1.0
        guess = replace(guess, **{name: g1 + factor * (f1 - g1)})
    return guess


def _tried(bench: Bench, state: State, step: Step, guess: Rates, limit: float) -> Trial:
    """A step solved once with guessed rates."""
    held = isinstance(step, ConstantVoltage)  # a hold has no current to add to: what it owes is repaid later
    if isinstance(step, Rest) or guess.duration > limit:
        guess = replace(guess, duration=limit)
    repaid = state.owed / max(guess.duration, SHORTEST) if guess.duration > 0 else 0.0
    effect = degradation(bench, state, guess, 0.0 if held else guess.parasitic + repaid)
    history = solve_step(bench, state, step, effect, limit)
    span = float(history.time[-1])
    if span <= 0:
        return Trial(guess, effect, history, NO_DRIVE, state.contacts, Rates(), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    trial = _exchanged(bench, state, guess, effect, history, drive_of(bench, history))
    return trial._replace(mismatch=_mismatch(bench, state, step, history, guess, trial.found))


def _exchanged(bench: Bench, state: State, guess: Rates, effect: Degradation, history: History, drive: Drive) -> Trial:
    """The contacts after a step of the cell, and the rates at which they changed."""
    span = float(history.time[-1])
    grown = ct.advance(bench.setting, state.contacts, drive)
    decay, swing = _decay(bench, state.contacts, grown, history)
    turned = rock_salt_share(bench, state.ncm, state.contacts, grown)
    lithium = _rock_salt_lithium(history, turned, _turning(state, guess))
    charge = parasitic_charge(bench, grown) - parasitic_charge(bench, state.contacts) + lithium
    film = ct.film_resistance(bench.setting, grown) - ct.film_resistance(bench.setting, state.contacts)
    oxidised = oxidation_charge(bench, grown) - oxidation_charge(bench, state.contacts)
    found = Rates(film / span, decay / span, turned / span, charge / span, oxidised / span, span)
    return Trial(guess, effect, history, drive, grown, found, decay, swing, turned, lithium, charge, 0.0)


def drive_of(bench: Bench, history: History) -> Drive:
    """The drive of the contacts by a step of the cell."""
    kinetics = bench.scenario.kinetics
    return ct.drive(kinetics, history.time, history.potential, history.open_circuit, history.surface)


def _held_back(bench: Bench, state: State, step: Rest, trial: Trial, limit: float) -> Trial:
    """A rest whose parasitic current would make the NCM's surface fuller than full, or emptier than its potential is
    known: the largest current that does not, and the reactions that ask for more slowed down to it.

    What the surface cannot give or take is so neither given nor taken, and what is owed stays so.
    """
    asked = trial.effect.parasitic
    share, history = _bearable(bench, state, step, trial.effect, limit)
    effect = replace(trial.effect, parasitic=share * asked)
    wanted = effect.parasitic / bench.design.ncm_mass * limit

    def reacted(share: float) -> Trial:
        drive = ct.held_back(drive_of(bench, history), share, taking=asked > 0)
        return _exchanged(bench, state, trial.guess, effect, history, drive)

    most, tolerance = reacted(1.0), 0.1 * bench.scenario.numerics.exchange_tolerance.si
    if (most.charge - wanted) * asked <= tolerance * abs(asked):  # the guess asked for more than the reactions do
        return most._replace(mismatch=abs(most.charge - wanted) / MAH_PER_G)
    least, low, high = reacted(0.0), 0.0, 1.0
    done = least
    while abs(done.charge - wanted) > tolerance and high - low > SMALLEST_SHARE:
        way = (wanted - least.charge) / (most.charge - least.charge) if most.charge != least.charge else 0.5
        middle = low + min(max(way, 0.05), 0.95) * (high - low)
        done = reacted(middle)
        if (done.charge - wanted) * asked > 0:
            high, most = middle, done
        else:
            low, least = middle, done
    return done._replace(mismatch=abs(done.charge - wanted) / MAH_PER_G)


def _bearable(bench: Bench, state: State, step: Rest, effect: Degradation, limit: float) -> tuple[float, History]:
    """The share of a parasitic current that keeps the surface inside the tabulated potential, and the rest with it."""
    least, most = 0.0, 1.0
    found = solve_step(bench, state, step, replace(effect, parasitic=0.0), limit)
    for _ in range(HALVINGS):
        if found.near_an_end:
            break
        middle = 0.5 * (least + most)
        further = solve_step(bench, state, step, replace(effect, parasitic=middle * effect.parasitic), limit)
        if further.outside or further.reached:
            most = middle
        else:
            least, found = middle, further
    if found.reached:
        raise SolverFailure(f"a rest of {limit:.6g} s ended after {found.time[-1]:.6g} s, with no current at all")
    return least, found


def _applied(bench: Bench, state: State, trial: Trial) -> State:
    """The state after a step that was accepted."""
    history, ncm = trial.history, state.ncm
    passed = 0.0 if trial.effect.parasitic == 0 else trial.effect.parasitic / bench.design.ncm_mass * trial.span
    return replace(
        state,
        cell=history.state,
        contacts=trial.contacts,
        ncm=replace(ncm, log_contact=ncm.log_contact + trial.decay, rock_salt=ncm.rock_salt + trial.turned),
        owed=state.owed + trial.charge - passed,
        swings=state.swings + trial.swing,
        elapsed=state.elapsed + trial.span,
        external=state.external - history.charge / bench.design.ncm_mass,
        applied=state.applied + passed,
        lost_to_rock_salt=state.lost_to_rock_salt + trial.lithium,
        mean=float(history.mean[-1]),
    )


def _excess(bench: Bench, state: State, step: Step, trial: Trial) -> float:
    """What a step may be wrong by over what it may [1]: by rates that have not settled, and by means that stand for
    what changes within it."""
    numerics = bench.scenario.numerics
    tolerance = numerics.exchange_tolerance.si / MAH_PER_G
    allowed = tolerance * (1.0 if isinstance(step, Rest) else MEANS)
    excess = trial.mismatch / tolerance
    bound = _cost_of_means(bench, state, step, trial, 0.5 * abs(trial.charge))
    if bound > allowed:
        bound = _cost_of_means(bench, state, step, trial, _unevenness(bench, state, trial))
    return max(excess, bound / allowed)


def _unevenness(bench: Bench, state: State, trial: Trial) -> float:
    """How far the parasitic charge is, in the middle of a step, from half of all [A s kg-1]."""
    middle = ct.advance(bench.setting, state.contacts, trial.drive.until(0.5 * trial.span))
    return abs(parasitic_charge(bench, middle) - parasitic_charge(bench, state.contacts) - 0.5 * trial.charge)


def _cost_of_means(bench: Bench, state: State, step: Step, trial: Trial, uneven: float) -> float:
    """Estimate of the capacity that mean values cost [mAh g-1].

    uneven: distance of the parasitic charge in the middle of the step from half of all, dq [A s kg-1]. A current that
    changes linearly ends 4 dq/t from its mean, and the NCM connected at the end is half of what turned less than its
    mean: both move the voltage at the cut-off. Within the step the charge is off by dq and the potential with it, by
    dU: so what grows is off by the share dU/efold.
    """
    history = trial.history
    cost = _cost_of_growth(bench, state, step, history, trial.found, uneven)
    if isinstance(step, ConstantCurrent) and history.reached:
        drop = abs(float(history.potential[-1] - history.open_circuit[-1]))
        end = 4.0 * uneven / trial.span * bench.design.ncm_mass / abs(float(history.current[-1]))
        slope = steepness(float(history.surface[-1]), state)
        cost += drop * (end + 0.5 * trial.turned / state.ncm.connected) / slope
    return cost


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


def _mismatch(bench: Bench, state: State, step: Step, history: History, guess: Rates, found: Rates) -> float:
    """Upper estimate of the capacity that wrong rates cost [mAh g-1]; a hold has no current that could be wrong."""
    wrong = Rates(
        film=found.film - guess.film,
        log_contact=found.log_contact - guess.log_contact,
        rock_salt=found.rock_salt - guess.rock_salt,
        parasitic=0.0 if isinstance(step, ConstantVoltage) else found.parasitic - guess.parasitic,
    )
    missing = abs(state.owed) / MAH_PER_G if guess.duration == 0 else 0.0
    cost = _cost(bench, state, history, wrong, float(history.current[-1])) + missing
    return cost + _cost_of_growth(bench, state, step, history, found, abs(wrong.parasitic) * float(history.time[-1]))


def _cost_of_growth(bench: Bench, state: State, step: Step, history: History, found: Rates, uncertain: float) -> float:
    """Capacity that is lost wrongly when the charge within a step is uncertain [A s kg-1], as mAh g-1.

    The potential is off by dU, where the NCM is charged most, and what oxygen does with it, by the share dU/efold. A
    part of a rest is weighed as if the whole rest went on like it; what it adds to the film counts at a usual current.
    """
    slope = steepness(float(history.surface.min()), state)
    share = min(slope * uncertain / MAH_PER_G / bench.scenario.kinetics.oxygen.efold.si, 1.0)
    current = float(history.current[-1]) or bench.design.current(USUAL_RATE)
    whole = step.duration.si / float(history.time[-1]) if isinstance(step, Rest) else 1.0
    return share * whole * _cost(bench, state, history, replace(found, parasitic=0.0), current)


def _cost(bench: Bench, state: State, history: History, rates: Rates, current: float) -> float:
    """Upper estimate of the capacity that rates [s-1] cost over a step which ends at a cell current [A] [mAh g-1]."""
    span, on = float(history.time[-1]), bench.scenario.kinetics.losses
    area = bench.setting.areas["ncm"] * bench.design.ncm_mass * state.ncm.connected
    volts = abs(rates.film) * span * abs(current) / area if on.film else 0.0
    contact = LEVERAGE * abs(rates.log_contact) * span if on.slow_lithiation else 0.0
    owed = abs(rates.parasitic) * span / MAH_PER_G
    turned = abs(rates.rock_salt) * span * FULL_CHARGE / MAH_PER_G
    return float(volts / steepness(float(history.surface[-1]), state) + contact + owed + turned)


def steepness(stoichiometry: float, state: State) -> float:
    """Slope of the open-circuit potential over the charge of all NCM [V per mAh g-1].

    dU/dq = |dU/dx| / (F/M (1 - isolated - rock salt)).
    """
    full = FULL_CHARGE / MAH_PER_G * state.ncm.connected
    return max(ocp_slope(stoichiometry) / full, FLATTEST)


class Reached(NamedTuple):
    """The limit at which the last step of a half-cycle ended: voltage [V vs LTO] and size of the current [A]."""

    voltage: float
    current: float


def half_cycle(bench: Bench, state: State, steps: tuple[Step, ...], offset: int) -> tuple[State, Half]:
    """Charge or discharge: every step in turn, charge counted positive in the half's own direction.

    A step that is at its limit before it begins is skipped, as if it were not in the protocol.
    """
    half, reached = Half(), None
    sign = 1.0 if offset else -1.0
    for index, step in enumerate(steps, offset):
        found = None if reached and _asks_no_more(bench, step, reached, -sign) else advance(bench, state, step, index)
        if found is None or found[1].time[-1] <= 0:
            half.skipped.append(index)
            state = replace(state, rates=(*state.rates[:index], None, *state.rates[index + 1 :]))
            continue
        state, history, settled = found
        half.ran.append(index)
        half.histories.append(history)
        half.unsettled += [] if settled else [index]
        half.hit_time_limit |= _hit_time_limit(step, history)
        _record(half, history, sign / bench.design.ncm_mass)
        reached = _limit_reached(bench, step, history, sign)
    return state, half


def _limit_reached(bench: Bench, step: Step, history: History, sign: float) -> Reached | None:
    """The limit at which a step ended in its half's own direction; none behind a rest."""
    if isinstance(step, Rest) or not history.reached or sign * history.current[-1] <= 0:
        return None
    if isinstance(step, ConstantVoltage):
        return Reached(step.voltage.si, cut_off_current(bench, step))
    return Reached(cut_off(bench, step), abs(step_current(bench, step)))


def _asks_no_more(bench: Bench, step: Step, reached: Reached, upwards: float) -> bool:
    """Whether a step is at its limit because the step before it went as far: no higher a voltage in a charge
    (``upwards`` 1; no lower in a discharge, -1), and no smaller a current."""
    if isinstance(step, Rest):
        return False
    if isinstance(step, ConstantVoltage):
        voltage, current = step.voltage.si, cut_off_current(bench, step)
    else:
        voltage, current = cut_off(bench, step), abs(step_current(bench, step))
    return upwards * (voltage - reached.voltage) <= 0 and current >= (1 - 1e-12) * reached.current


def _hit_time_limit(step: Step, history: History) -> bool:
    """Whether a step ended at its time limit instead of its cut-off; a rest ends by time as it should."""
    return not history.reached and not isinstance(step, Rest)


def _record(half: Half, history: History, scale: float) -> None:
    passed = scale * history.passed
    half.capacity.append(half.charge / MAH_PER_G + passed / MAH_PER_G)
    half.voltage.append(history.voltage)
    half.charge += float(passed[-1])
    half.energy += float(np.trapezoid(history.voltage, passed))


def cycle(bench: Bench, state: State, number: int) -> tuple[State, Half, Half]:
    """One cycle: charge steps, isolation at the end of charge, discharge steps, loss of coverage.

    A charge that passes nothing leaves nothing to discharge. Raises SolverFailure, a DischargeFailure behind a charge
    that was completed.
    """
    charge_steps, discharge_steps = halves(bench.scenario.protocol.steps_of(number))
    count = len(charge_steps) + len(discharge_steps)
    state = replace(state, rates=(*state.rates[:count], *[None] * (count - len(state.rates))))
    state, charge = half_cycle(bench, state, charge_steps, 0)
    state = replace(
        state, ncm=losses.isolate(bench.scenario.kinetics, state.ncm, state.mean, 1.0 - bench.design.utilisation)
    )
    if charge.has_no_capacity:
        return state, charge, Half()
    try:
        state, discharge = half_cycle(bench, state, discharge_steps, len(charge_steps))
    except SolverFailure as failure:
        raise DischargeFailure(failure, state, charge) from failure
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


def frozen_capacity(bench: Bench, state: State, number: int, effects: Sequence[Degradation]) -> float:
    """Discharge capacity of a cycle run with the degradation held still, one for each of its steps [mAh g-1]; steps
    that were skipped are skipped again.

    Not-a-number when a step runs into its time limit, for what passed by then is no capacity, or cannot be solved.
    """
    total = 0.0
    for step, rates, effect in zip(bench.scenario.protocol.steps_of(number), state.rates, effects, strict=True):
        if rates is None:
            continue
        try:
            history = solve_step(bench, state, step, effect, time_limit(bench, step))
        except SolverFailure:
            return math.nan
        if _hit_time_limit(step, history):
            return math.nan
        state = replace(state, cell=history.state)
        total += max(0.0, history.charge)
    return total / bench.design.ncm_mass / MAH_PER_G


def split_losses(bench: Bench, first: State, now: State, numbers: tuple[int, int], lost: float) -> dict[str, float]:
    """Capacity lost since the reference cycle by channel: the cycle again with one state reset at a time [mAh g-1].

    first, now: states after the two cycles that ``numbers`` names, the reference and the one that is solved again.

    Every step sees the mean parasitic current that it had. Electrolyte oxidation is the current of R3 and R3b alone;
    it dies down with cycling, so its share may be negative. What R4 takes from the NCM is no channel and stays where
    it was. What the channels leave unexplained, together, is their interaction.
    """
    _, number = numbers
    effect, fresh = degradation(bench, now, Rates(), 0.0), degradation(bench, first, Rates(), 0.0)
    earlier = [*first.rates, *[None] * len(now.rates)]
    parasitic = [_or_still(rates).parasitic for rates in now.rates]
    without = [_or_still(rates).parasitic + _or_still(before).oxidation - _or_still(rates).oxidation
               for before, rates in zip(earlier, now.rates, strict=False)]  # fmt: skip
    share = {
        "film": replace(effect, film=fresh.film),
        "slow_lithiation": replace(effect, log_diffusion=fresh.log_diffusion, hindrance_shift=fresh.hindrance_shift),
        "isolation": replace(effect, connected=effect.connected + now.ncm.isolated - first.ncm.isolated),
        "rock_salt": replace(effect, connected=effect.connected + now.ncm.rock_salt - first.ncm.rock_salt),
        "electrolyte_oxidation": effect,
    }
    currents = {name: without if name == "electrolyte_oxidation" else parasitic for name in share}
    changed = [name for name in share if share[name] != effect or currents[name] != parasitic]

    def capacity(effect: Degradation, currents: list[float]) -> float:
        each = [replace(effect, parasitic=current * bench.design.ncm_mass) for current in currents]
        return frozen_capacity(bench, now, number, each)

    base = capacity(effect, parasitic) if changed else 0.0
    gained = dict.fromkeys(share, 0.0)
    gained |= {name: capacity(share[name], currents[name]) - base for name in changed}
    return gained | {"interaction": lost - sum(gained.values())}


def _or_still(rates: Rates | None) -> Rates:
    return rates or Rates()
