"""One protocol step of the cell together with its contacts: the only place where the two meet.

The cell is solved with a degradation that is linear in time, or a mean; its history drives the contacts; what they do
corrects the degradation, until the capacity that it decides is known (``advance``).
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

import numpy as np

from interphase_sim import ageing
from interphase_sim.ageing import Ncm
from interphase_sim.cell.runner import Degradation, History, joined, ocp_slope
from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.contacts import Contacts
from interphase_sim.scenario import ConstantCurrent, ConstantVoltage, Rest, Step
from interphase_sim.simulation.state import (
    FULL_CHARGE,
    MAH_PER_G,
    Bench,
    Rates,
    State,
    degradation,
    exposure,
    oxidation_charge,
    parasitic_charge,
    turning_share,
)

TIME_LIMIT = 20.0  # a step lasts at most this many times its nominal duration
REPAYMENT = 1800.0  # s in which owed charge falls by an e-fold, however its time is cut into steps
REPAID_AT_MOST = 0.9  # share of a step's current: more would turn a charge of a full cell into a discharge
LEVERAGE = 80.0  # mAh g-1 of capacity per e-fold of working contact; a ceiling
SPENT = -3.0  # ln of the working contact, below which capacity itself falls by an e-fold with each of the contact's
FLATTEST = 1e-4  # V per mAh g-1, the least slope of the potential that is reckoned with
USUAL_RATE = 0.2  # C, at which what a rest adds to the film is weighed
MEANS = 4.0  # what mean values within a step may cost, over the exchange tolerance
FIRST_REST = 3600.0  # s, the first part of a rest that is longer: what reacts quickly does so early
SHORTEST_PART = 30.0  # s, of a step that does not settle
SAFETY, SHORTER, LONGER = 0.8, 0.1, 3.0  # of the next part's length: share of what is expected to do, bounds
MANY_PARTS = 200  # of a step, from which on what is allowed doubles with as many more, and the step has not settled
MAX_PARTS = 3000  # of a step
MAX_FAILURES = 4  # of the solver in one step, each followed by a shorter part
PARTS_OF_REST = 10.0  # by which the error of a part counts more, for a long rest has so many and more
HELD, HELD_FIRST = 0.3, 0.003  # length of a part that is held back, over the rest so far and over all of it
HALVINGS = 14  # of the share of a parasitic current that the surface gives or takes
SMALLEST_SHARE = 1e-4  # of reactions that the surface holds back
FARTHEST = 20.0  # V, a voltage at which no step ends
LEAST_CONNECTED = 1e-3  # share of the NCM that takes part, with less of which a cell is not followed
NO_DRIVE = Drive(*np.zeros((4, 1)))


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
    history = bench.cell.constant_current(state.cell, effect, step_current(bench, step), cut_off(bench, step), limit)
    if history.time[-1] > 0 and history.reached and abs(history.voltage[-1]) > FARTHEST:
        raise SolverFailure(f"the voltage left all bounds in a {step.direction}, at {history.voltage[-1]:.3g} V")
    return history


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
    drive, the contacts after it, the rates found, the NCM after it, and what moved: swing [1], rock salt [1], its
    lithium and the parasitic charge [A s kg-1]; and what the guess may have cost [mAh g-1]."""

    guess: Rates
    effect: Degradation
    history: History
    drive: Drive
    contacts: Contacts
    found: Rates
    ncm: Ncm
    swing: float = 0.0
    turned: float = 0.0
    lithium: float = 0.0
    charge: float = 0.0
    mismatch: float = 0.0
    held: bool = False

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
    Raises SolverFailure.
    """
    left, guess = time_limit(bench, step), state.rates[index] or Rates()
    limit = min(left, FIRST_REST) if isinstance(step, Rest) else left
    after, parts, settled, failures = state, list[Trial](), True, 0
    while left > 0:
        part = Part(bench, after, step, after.elapsed - state.elapsed)
        try:
            trial = part.solved(guess, min(limit, left))
        except SolverFailure:
            failures += 1
            if failures > MAX_FAILURES:
                raise
            limit = 0.25 * min(limit, left, guess.duration or math.inf)
            continue
        if trial.span <= 0:
            if not parts:
                return state, trial.history, True
            break
        excess = part.excess(trial)
        patience = max(1.0, 2.0 ** (len(parts) / MANY_PARTS - 1.0))
        if excess > patience and trial.span > SHORTEST_PART and bench.scenario.numerics.max_iterations > 1:
            limit = trial.span * min(max(SAFETY / math.sqrt(excess), SHORTER), 0.5)
            guess = trial.found
            continue
        if after.ncm.connected < LEAST_CONNECTED:
            raise SolverFailure("less than a thousandth of the NCM still takes part")
        settled &= excess <= 1
        after, guess = _applied(bench, after, trial), trial.found
        parts.append(trial)
        if len(parts) > MAX_PARTS:
            raise SolverFailure(f"a step was not over after {MAX_PARTS} parts, {after.elapsed - state.elapsed:.3g} s")
        left = 0.0 if trial.history.reached else left - trial.span
        limit = trial.span * min(max(SAFETY / math.sqrt(max(excess, 1e-9)), 1.0), LONGER)
    rates = (*state.rates[:index], _mean_rates(parts), *state.rates[index + 1 :])
    return replace(after, rates=rates), joined([part.history for part in parts]), settled


def _mean_rates(parts: list[Trial]) -> Rates:
    """The rates of a step that was solved in parts."""
    if len(parts) == 1:
        return parts[0].found
    spans = np.array([part.span for part in parts])
    mean = spans @ np.array([astuple(part.found) for part in parts]) / spans.sum()
    return replace(Rates(*(float(value) for value in mean)), duration=float(spans.sum()))


def _applied(bench: Bench, state: State, trial: Trial) -> State:
    """The state after a step that was accepted."""
    history = trial.history
    passed = trial.effect.parasitic / bench.design.ncm_mass * trial.span
    return replace(
        state,
        cell=history.state,
        contacts=trial.contacts,
        ncm=trial.ncm,
        owed=state.owed + trial.charge - passed,
        swings=state.swings + trial.swing,
        elapsed=state.elapsed + trial.span,
        external=state.external - history.charge / bench.design.ncm_mass,
        applied=state.applied + passed,
        lost_to_rock_salt=state.lost_to_rock_salt + trial.lithium,
        mean=float(history.mean[-1]),
    )


@dataclass(frozen=True, eq=False)
class Part:
    """What is left of a protocol step, from a state that was reached ``done`` seconds after the step began."""

    bench: Bench
    state: State
    step: Step
    done: float = 0.0

    @property
    def tolerance(self) -> float:
        """What unsettled rates may cost [mAh g-1]."""
        return self.bench.scenario.numerics.exchange_tolerance.si / MAH_PER_G

    def solved(self, guess: Rates, limit: float) -> Trial:
        """As much of the step as the limit lets pass [s], solved until the exchange has settled or may not go on."""
        before = None
        for _ in range(self.bench.scenario.numerics.max_iterations):
            trial = self.tried(guess, limit)
            if isinstance(self.step, Rest) and (trial.history.outside or trial.history.reached):
                trial = self.held_back(trial, limit)
            if trial.span <= 0 or trial.mismatch <= self.tolerance:
                break
            guess, before = _corrected(before, trial), trial
        return trial

    def tried(self, guess: Rates, limit: float) -> Trial:
        """The step solved once with guessed rates."""
        bench, state = self.bench, self.state
        if isinstance(self.step, Rest) or guess.duration > limit:
            guess = replace(guess, duration=limit)
        repaid = self.repaid(guess.duration)
        # a hold has no current to add to: what it owes is repaid later
        parasitic = 0.0 if isinstance(self.step, ConstantVoltage) else guess.parasitic + repaid
        effect = degradation(bench, state, guess, parasitic)
        history = solve_step(bench, state, self.step, effect, limit)
        if history.time[-1] <= 0:
            return Trial(guess, effect, history, NO_DRIVE, state.contacts, Rates(), state.ncm)
        trial = self.exchanged(guess, effect, history, drive_of(bench, history))
        return trial._replace(mismatch=self.mismatch(history, guess, trial.found))

    def repaid(self, duration: float) -> float:
        """Mean parasitic current that repays what is owed [A kg-1]; at constant current a share of it at most."""
        repaid = repayment(self.state.owed, duration)
        if not isinstance(self.step, ConstantCurrent):
            return repaid
        most = REPAID_AT_MOST * abs(step_current(self.bench, self.step)) / self.bench.design.ncm_mass
        return min(max(repaid, -most), most)

    def exchanged(self, guess: Rates, effect: Degradation, history: History, drive: Drive) -> Trial:
        """The contacts after a step of the cell, and the rates at which they changed."""
        bench, state, span = self.bench, self.state, float(history.time[-1])
        before, grown = state.contacts, ct.advance(bench.setting, state.contacts, drive)
        swing = _swing(bench, history)
        moved = exposure(bench, before, grown, swing, span)
        changes = ageing.changes(bench.scenario.kinetics.losses, state.ncm, moved)
        decay, turned = changes.get("log_contact", 0.0), changes.get("rock_salt", 0.0)
        lithium = _rock_salt_lithium(history, turned, turning_share(state, guess))
        charge = parasitic_charge(bench, grown) - parasitic_charge(bench, before) + lithium
        film = ct.film_resistance(bench.setting, grown) - ct.film_resistance(bench.setting, before)
        oxidised = oxidation_charge(bench, grown) - oxidation_charge(bench, before)
        found = Rates(film / span, decay / span, turned / span, charge / span, oxidised / span, span)
        return Trial(
            guess, effect, history, drive, grown, found, state.ncm.moved(changes), swing, turned, lithium, charge
        )

    # A rest at an end of the potential

    def held_back(self, trial: Trial, limit: float) -> Trial:
        """A rest whose parasitic current would make the NCM's surface fuller than full, or emptier than its potential
        is known: the largest current that does not, and the reactions that ask for more slowed down to it.

        What the surface cannot give or take is so neither given nor taken, and what is owed stays so. Lithium of rock
        salt for which there is no room in the NCM stays in the rock salt.
        """
        asked = trial.effect.parasitic
        share, history = self.bearable(trial.effect, limit)
        effect = replace(trial.effect, parasitic=share * asked)
        wanted = effect.parasitic / self.bench.design.ncm_mass * limit

        def reacted(share: float) -> Trial:
            drive = ct.held_back(drive_of(self.bench, history), share, taking=asked > 0)
            found = self.exchanged(trial.guess, effect, history, drive)
            kept = min(max(found.charge - wanted, 0.0), found.lithium) if asked > 0 else 0.0
            found = found._replace(charge=found.charge - kept)
            return found._replace(mismatch=abs(found.charge - wanted) / MAH_PER_G, held=True)

        most = reacted(1.0)
        if (most.charge - wanted) * asked <= 0:  # the guess asked for more than the reactions do
            return most
        done = least = reacted(0.0)
        low, high = 0.0, 1.0
        while done.mismatch > 0.1 * self.tolerance and high - low > SMALLEST_SHARE:
            way = (wanted - least.charge) / (most.charge - least.charge) if most.charge != least.charge else 0.5
            middle = low + min(max(way, 0.05), 0.95) * (high - low)
            done = reacted(middle)
            if (done.charge - wanted) * asked > 0:
                high, most = middle, done
            else:
                low, least = middle, done
        return done

    def bearable(self, effect: Degradation, limit: float) -> tuple[float, History]:
        """The share of a parasitic current that keeps the surface inside the tabulated potential, and the rest so."""
        least, most = 0.0, 1.0
        found = solve_step(self.bench, self.state, self.step, replace(effect, parasitic=0.0), limit)
        for _ in range(HALVINGS):
            if found.near_an_end:
                break
            middle = 0.5 * (least + most)
            weaker = replace(effect, parasitic=middle * effect.parasitic)
            further = solve_step(self.bench, self.state, self.step, weaker, limit)
            if further.outside or further.reached:
                most = middle
            else:
                least, found = middle, further
        if found.reached:
            raise SolverFailure(f"a rest of {limit:.6g} s ended after {found.time[-1]:.6g} s, with no current at all")
        return least, found

    # What a step may be wrong by

    def excess(self, trial: Trial) -> float:
        """What a step may be wrong by over what it may be [1]: by rates that have not settled, and by means that stand
        for what changes within it."""
        allowed = self.tolerance * (1.0 if isinstance(self.step, Rest) else MEANS)
        cost = self.cost_of_means(trial, 0.5 * abs(trial.charge))
        if cost > allowed:
            cost = self.cost_of_means(trial, self.unevenness(trial))
        return max(trial.mismatch / self.tolerance, cost / allowed, self.coarseness(trial))

    def coarseness(self, trial: Trial) -> float:
        """How long a part of a rest is that is held back, over what it may be, squared [1].

        Its mean current leads to the limit at its end, where lithium would follow it all along as fast as it diffuses:
        parts are a share of the rest so far, for what diffuses goes with the root of time.
        """
        if not (trial.held and isinstance(self.step, Rest)):
            return 0.0
        return (trial.span / max(HELD * self.done, HELD_FIRST * self.step.duration.si, SHORTEST_PART)) ** 2

    def unevenness(self, trial: Trial) -> float:
        """How far the charge of R3, R3b and R4 is, in the middle of a step, from half of all [A s kg-1]."""
        before = self.state.contacts
        middle = ct.advance(self.bench.setting, before, trial.drive.until(0.5 * trial.span))
        start, half, end = (parasitic_charge(self.bench, contacts) for contacts in (before, middle, trial.contacts))
        return abs(half - 0.5 * (start + end))

    def cost_of_means(self, trial: Trial, uneven: float) -> float:
        """Estimate of the capacity that mean values cost [mAh g-1].

        uneven: distance of the parasitic charge in the middle of the step from half of all, dq [A s kg-1]. A current
        that changes linearly ends 4 dq/t from its mean, what is repaid has died down by then, and the NCM connected at
        the end is half of what turned less than its mean: all three move the voltage at the cut-off. Within the step
        the charge is off by dq.
        """
        history, owed = trial.history, self.state.owed
        cost = self.cost_of_growth(history, trial.found, uneven)
        if isinstance(self.step, ConstantCurrent) and history.reached:
            drop = abs(float(history.potential[-1] - history.open_circuit[-1]))
            late = self.repaid(trial.guess.duration) - owed / REPAYMENT * math.exp(-trial.span / REPAYMENT)
            apart = (4.0 * uneven / trial.span + abs(late)) * self.bench.design.ncm_mass
            end = apart / abs(float(history.current[-1]))
            slope = steepness(float(history.surface[-1]), self.state)
            cost += drop * (end + 0.5 * trial.turned / self.state.ncm.connected) / slope
        return cost

    def mismatch(self, history: History, guess: Rates, found: Rates) -> float:
        """Upper estimate of the capacity that wrong rates cost [mAh g-1]; a hold has no current that could be wrong."""
        wrong = Rates(
            film=found.film - guess.film,
            log_contact=found.log_contact - guess.log_contact,
            rock_salt=found.rock_salt - guess.rock_salt,
            parasitic=0.0 if isinstance(self.step, ConstantVoltage) else found.parasitic - guess.parasitic,
        )
        missing = abs(self.state.owed) / MAH_PER_G if guess.duration == 0 else 0.0
        uncertain = abs(wrong.parasitic) * float(history.time[-1])
        return (
            self.cost(history, wrong, float(history.current[-1]))
            + missing
            + self.cost_of_growth(history, found, uncertain)
        )

    def cost_of_growth(self, history: History, found: Rates, uncertain: float) -> float:
        """Estimate of the capacity that is wrong because the charge within a step is uncertain [A s kg-1], in mAh g-1.

        The potential is off by dU, where the NCM is charged most, and what oxygen does with it by the share dU/efold.
        A part is weighed as if the step so far had gone on like it; what a rest adds to the film counts at a usual
        current.
        """
        slope = steepness(float(history.surface.min()), self.state)
        share = min(slope * uncertain / MAH_PER_G / self.bench.scenario.kinetics.oxygen.efold.si, 1.0)
        current = float(history.current[-1]) or self.bench.design.current(USUAL_RATE)
        weight = (1.0 + self.done / float(history.time[-1])) * (PARTS_OF_REST if isinstance(self.step, Rest) else 1.0)
        return share * weight * self.cost(history, replace(found, parasitic=0.0), current)

    def cost(self, history: History, rates: Rates, current: float) -> float:
        """Upper estimate of the capacity that rates cost over a step that ends at a cell current [A] [mAh g-1]."""
        bench, span = self.bench, float(history.time[-1])
        on = bench.scenario.kinetics.losses
        area = bench.setting.areas["ncm"] * bench.design.ncm_mass * self.state.ncm.connected
        volts = abs(rates.film) * span * abs(current) / area if on.film else 0.0
        leverage = LEVERAGE * math.exp(min(self.state.ncm.log_contact - SPENT, 0.0))
        contact = leverage * abs(rates.log_contact) * span if on.slow_lithiation else 0.0
        owed = abs(rates.parasitic) * span / MAH_PER_G
        turned = abs(rates.rock_salt) * span * FULL_CHARGE / MAH_PER_G
        return float(volts / steepness(float(history.surface[-1]), self.state) + contact + owed + turned)


def repayment(owed: float, duration: float) -> float:
    """Mean current that repays owed charge [A s kg-1] in a step of some duration [s], in A kg-1.

    The charge falls as exp(-t/t_r), so that steps one after the other repay what one step of their length does.
    """
    return -owed * math.expm1(-duration / REPAYMENT) / duration if duration > 0 else 0.0


def _corrected(before: Trial | None, trial: Trial) -> Rates:
    """The next guess: what was found, or by the secant through the last two guesses where there are two.

    A parasitic current that falls with the potential it lowers would otherwise swing to and fro.
    """
    guess = trial.found
    if before is None:
        return guess
    for name in ("film", "log_contact", "rock_salt", "parasitic"):
        (g0, f0), (g1, f1) = ((getattr(t.guess, name), getattr(t.found, name)) for t in (before, trial))
        change = (f1 - g1) - (f0 - g0)
        factor = min(max(-(g1 - g0) / change, 0.05), 2.0) if change != 0 else 1.0
        guess = replace(guess, **{name: g1 + factor * (f1 - g1)})
    return guess


def steepness(stoichiometry: float, state: State) -> float:
    """Slope of the open-circuit potential over the charge of all NCM [V per mAh g-1].

    dU/dq = |dU/dx| / (F/M (1 - isolated - rock salt)).
    """
    full = FULL_CHARGE / MAH_PER_G * state.ncm.connected
    return max(ocp_slope(stoichiometry) / full, FLATTEST)


def drive_of(bench: Bench, history: History) -> Drive:
    """The drive of the contacts by a step of the cell."""
    kinetics = bench.scenario.kinetics
    return ct.drive(kinetics, history.time, history.potential, history.open_circuit, history.surface)


def _rock_salt_lithium(history: History, turned: float, turning: float) -> float:
    """Lithium of the NCM that turned to rock salt in a step [A s kg-1]; it goes to the NCM that stays connected.

    L = turned x_end + turning (x_start - x_end): at the mean content if half of it was foreseen, as c dx + x dc of a
    step that was solved with c - turning connected. So the ledger closes.
    """
    start, end = float(history.mean[0]), float(history.mean[-1])
    return (turned * end + turning * (start - end)) * FULL_CHARGE


def _swing(bench: Bench, history: History) -> float:
    """The delithiation in a step, over the full one [1]."""
    full = bench.design.one_c * 3600 / FULL_CHARGE
    return max(0.0, float(history.mean[0] - history.mean[-1])) / full
