"""The cycling loop: charge, discharge, and what a cycle lost by which channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from interphase_sim import ageing
from interphase_sim.ageing import Effect, Exposure
from interphase_sim.cell.runner import Degradation, History
from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import contacts as ct
from interphase_sim.scenario import ConstantVoltage, Rest, Step, halves
from interphase_sim.scenario.sections import same_steps
from interphase_sim.simulation.exchange import (
    advance as advance,
)
from interphase_sim.simulation.exchange import (
    cut_off,
    cut_off_current,
    solve_step,
    step_current,
    time_limit,
)
from interphase_sim.simulation.state import FULL_CHARGE as FULL_CHARGE
from interphase_sim.simulation.state import MAH_PER_G as MAH_PER_G
from interphase_sim.simulation.state import Bench as Bench
from interphase_sim.simulation.state import Rates as Rates
from interphase_sim.simulation.state import State as State
from interphase_sim.simulation.state import begin as begin
from interphase_sim.simulation.state import degradation as degradation
from interphase_sim.simulation.state import design_of as design_of
from interphase_sim.simulation.state import exposure, never_connected
from interphase_sim.simulation.state import ledger_residual as ledger_residual
from interphase_sim.simulation.state import oxidation_charge as oxidation_charge
from interphase_sim.simulation.state import parasitic_charge as parasitic_charge
from interphase_sim.simulation.state import prepare as prepare


@dataclass
class Half:
    """What one half-cycle delivered: charge [A s kg-1], energy [V A s kg-1], its curve; of its steps those that ran,
    by their index in the cycle and as solved, those that were skipped because they were at their limit before they
    began, and those whose exchange with the contacts did not settle; whether a step ran into its time limit; what
    moved the NCM; and the sign of the current in its own direction, -1 for a charge."""

    charge: float = 0.0
    energy: float = 0.0
    hit_time_limit: bool = False
    capacity: list[Any] = field(default_factory=list)
    voltage: list[Any] = field(default_factory=list)
    ran: list[int] = field(default_factory=list)
    histories: list[History] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    unsettled: list[int] = field(default_factory=list)
    exposure: Exposure = field(default_factory=Exposure)
    sign: float = 1.0

    @property
    def has_no_capacity(self) -> bool:
        """Whether no charge passed in its own direction in any of its steps; a hold may have gone back."""
        return not any(np.any(self.sign * history.passed > 0) for history in self.histories)


class DischargeFailure(SolverFailure):
    """The solver failed in a discharge: the state before it and the charge half that was completed."""

    def __init__(self, failure: SolverFailure, state: State, charge: Half) -> None:
        super().__init__(str(failure))
        self.state, self.charge = state, charge


class Reached(NamedTuple):
    """The limit at which the last step of a half-cycle ended: voltage [V vs LTO] and size of the current [A]."""

    voltage: float
    current: float


def half_cycle(bench: Bench, state: State, steps: tuple[Step, ...], offset: int) -> tuple[State, Half]:
    """Charge or discharge: every step in turn, charge counted positive in the half's own direction.

    A step that is at its limit before it begins is skipped, as if it were not in the protocol.
    """
    sign = 1.0 if offset else -1.0
    half, reached, before = Half(sign=sign), None, state
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
    swing, time = state.swings - before.swings, state.elapsed - before.elapsed
    half.exposure = exposure(bench, before.contacts, state.contacts, swing, time)
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
    known = state.rates if _repeats(bench, number) else ()
    state = replace(state, rates=(*known[:count], *[None] * (count - len(known))))
    state, charge = half_cycle(bench, state, charge_steps, 0)
    losses, never = bench.scenario.kinetics.losses, never_connected(bench)
    state = replace(state, ncm=ageing.charged(losses, state.ncm, state.mean, never))
    if charge.has_no_capacity:
        return state, charge, Half()
    try:
        state, discharge = half_cycle(bench, state, discharge_steps, len(charge_steps))
    except SolverFailure as failure:
        raise DischargeFailure(failure, state, charge) from failure
    opened = ct.uncover(bench.setting, state.contacts, state.swings)
    return replace(state, contacts=opened), charge, discharge


def _repeats(bench: Bench, number: int) -> bool:
    """Whether a cycle has the steps of the one before it, so that these know how the steps move the degradation."""
    protocol = bench.scenario.protocol
    return number > 1 and same_steps(protocol.steps_of(number - 1), protocol.steps_of(number))


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
    undone = [
        _or_still(before).oxidation - _or_still(rates).oxidation
        for before, rates in zip(earlier, now.rates, strict=False)
    ]
    without = [current + change for current, change in zip(parasitic, undone, strict=True)]
    losses = bench.scenario.kinetics.losses
    share = {name: _without(effect, ageing.undone(losses, name, now.ncm, first.ncm)) for name in ageing.CHANNELS}
    share["film"] = replace(effect, film=fresh.film)
    currents = {name: without if name == "electrolyte_oxidation" else parasitic for name in share}
    changed = [name for name in share if share[name] != effect or currents[name] != parasitic]

    def capacity(effect: Degradation, currents: list[float]) -> float:
        each = [replace(effect, parasitic=current * bench.design.ncm_mass) for current in currents]
        return frozen_capacity(bench, now, number, each)

    base = capacity(effect, parasitic) if changed else 0.0
    gained = dict.fromkeys(share, 0.0)
    gained |= {name: capacity(share[name], currents[name]) - base for name in changed}
    return gained | {"interaction": lost - sum(gained.values())}


def _without(effect: Degradation, undone: tuple[Effect, float]) -> Degradation:
    """A degradation with the effect of one channel undone."""
    diffusion, connected = undone
    return replace(
        effect,
        log_diffusion=effect.log_diffusion + diffusion.log_diffusion,
        hindrance_shift=effect.hindrance_shift + diffusion.hindrance_shift,
        connected=effect.connected + connected,
    )


def _or_still(rates: Rates | None) -> Rates:
    return rates or Rates()
