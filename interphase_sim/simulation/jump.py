"""Cycle jumping: cycles that differ little are left out, and the cell is solved again where they have led.

A jump advances the contacts over the cycles left out with the drives of the last solved cycle, stretched in time,
then with one cycle as it is, so that the next solved cycle meets fronts that have seen a cycle. What settles within
a cycle (cell state, rates) is extrapolated from the last solved cycles in the square root of the cycle number, along
which fade by a growing layer is nearly straight; what is owed, a residue, stays. The cycle after the jump is solved;
it must be where the earlier ones led, else the jump is made again, shorter. So a sudden change is found by solved
cycles.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from interphase_sim import ageing
from interphase_sim.ageing import Exposure, Ncm
from interphase_sim.caching import per_thread
from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.scenario import Protocol, Scenario
from interphase_sim.simulation import exchange, loop
from interphase_sim.simulation.loop import FULL_CHARGE, MAH_PER_G, Bench, Half, Rates, State
from interphase_sim.simulation.state import exposure, never_connected

Array = npt.NDArray[np.float64]
Cycles = npt.NDArray[np.int64]

NODES = 4  # solved cycles kept
FIRST = 3  # cycles solved at the start of a protocol block
ORDER = 2  # of the extrapolation
SMOOTHER = {1: 8.0, 2: 16.0}  # by order: how much closer interpolation is than the extrapolation that missed
ABRUPT = 0.5  # capacity lost to a film that rises abruptly, over the ceiling of what it can cost
SAME = 1e-3  # of a variable of the NCM, what need not be explained
EXPLAINED = 0.5  # how far, of it, a jump may move the NCM from where the solved cycles on both sides lead
SAFETY, SHORTER, LONGER = 0.9, 0.4, 2.0  # of the next length: share of what is expected to do, bounds of its change
BIAS = 1.25  # bound of the gain
COARSER = 4.0  # tolerance of the contacts in cycles left out, over that in solved ones
FEWEST = 3  # cycles left out that are stretched

# The first numbers of a trace: charge and discharge capacity [mAh g-1], layer growth [m], lithium content of what
# turned to rock salt and of the charged NCM [1], and at the end of the cycle lithium content [1], film [ohm m2] and
# layer [m].
CHARGE, DISCHARGE, GROWTH, TURNED, CHARGED, MEAN, FILM, LAYER, PLAIN = range(9)
EXPOSED = ("growth", "reduced", "swing", "time")  # of the NCM in the charge, then in the discharge
RATES = len(Rates.__dataclass_fields__)
DURATION = list(Rates.__dataclass_fields__).index("duration")


@dataclass(frozen=True, eq=False)
class Course:
    """What jumps go by: the last solved cycles of a protocol block and their traces (cycles, k), the steps that ran
    in all of them, by index, and their drives in the last one, the next length in cycles, and how the layer grows;
    moved: how many variables of the NCM a trace holds.

    gain: factor on the oxygen activity of stretched drives, for drives and fronts that are stretched together
    respond a little unlike repeated ones [1]; deficit: growth still missing [m]; error: sum of the estimates
    of accepted jumps, for each leaves its mark on all that follows [mAh g-1]; rejected: jumps made again.
    """

    numbers: tuple[int, ...] = ()
    traces: Array = field(default_factory=lambda: np.empty((0, 0)))
    ran: tuple[int, ...] = ()
    moved: int = 0
    drives: tuple[Drive, ...] = ()
    length: int = 1
    gain: float = 1.0
    deficit: float = 0.0
    error: float = 0.0
    rejected: int = 0


@dataclass(frozen=True, eq=False)
class Landing:
    """A solved cycle: its number, the state before and after it, its halves; of the jump before it what the layer
    grew, in all and under stretched drives [m], and how abruptly the film rose, as capacity [mAh g-1]."""

    number: int
    before: State
    after: State
    charge: Half
    discharge: Half
    jumped: float = 0.0
    stretched: float = 0.0
    abrupt: float = 0.0

    @property
    def ran(self) -> tuple[int, ...]:
        """The steps that ran, by index in the cycle."""
        return (*self.charge.ran, *self.discharge.ran)


class Jump(NamedTuple):
    """Where a jump leads: the state before the next cycle, the contacts halfway, and the growth under stretched
    drives [m]."""

    state: State
    middle: Contacts
    stretched: float


def leap(bench: Bench, state: State, course: Course, done: int) -> tuple[Course, Landing | None]:
    """The next jump and the cycle solved after it; None where the next cycle shall be solved.

    A jump that misses, fails or passes the end of life is made again, shorter.
    """
    tolerance = bench.scenario.numerics.jump_tolerance.si / MAH_PER_G
    while (length := _length(bench.scenario, course, done)) > 1:
        landing = _landing(bench, state, course, length)
        error = _error(course, landing) if landing and _explains(course, landing, state.ncm) else math.inf
        if landing and error <= tolerance:
            return replace(course, error=course.error + error), landing
        course = replace(course, length=_next_length(length, error, tolerance), rejected=course.rejected + 1)
    return course, None


def follow(bench: Bench, course: Course, landing: Landing) -> Course:
    """The course after a solved cycle; it begins anew where a block begins, or where other steps ran than before."""
    number, histories = landing.number, (*landing.charge.histories, *landing.discharge.histories)
    first, _ = block(bench.scenario.protocol, number)
    if number == first or landing.ran != course.ran:
        course = Course(error=course.error, rejected=course.rejected, ran=landing.ran)
    if number == first or landing.discharge.has_no_capacity:  # unlike those that follow
        return course
    drives = tuple(exchange.drive_of(bench, history) for history in histories)
    film = ct.film_resistance(bench.setting, landing.after.contacts)
    numbers, traces = (*course.numbers, number), np.array([*course.traces, _trace(landing, film, drives)])
    gain, deficit, length = course.gain, course.deficit, 2
    if len(course.numbers) > ORDER:
        gain, deficit = _corrected(course, landing)
        tolerance = bench.scenario.numerics.jump_tolerance.si / MAH_PER_G
        length = _next_length(number - course.numbers[-1], _error(course, landing), tolerance)
    return replace(
        course,
        numbers=numbers[-NODES:],
        traces=traces[-NODES:],
        moved=_variables(landing.after.ncm).size,
        drives=drives,
        length=length,
        gain=gain,
        deficit=deficit,
    )


def block(protocol: Protocol, cycle: int) -> tuple[int, int]:
    """First and last cycle of the block of equal steps that a cycle belongs to."""
    first = 1
    for part in protocol.first:
        if cycle < first + part.cycles:
            return first, min(first + part.cycles - 1, protocol.cycles)
        first += part.cycles
    return first, protocol.cycles


def asked(scenario: Scenario, cycle: int) -> bool:
    """Whether a cycle must be solved: output cycles, a stated reference cycle, and of a block of equal steps the first
    ones, among which are all other reference cycles, and the last one."""
    first, last = block(scenario.protocol, cycle)
    stated = (*scenario.numerics.output_cycles, scenario.protocol.reference_cycle)
    return cycle < first + FIRST or cycle == last or cycle in stated


def _length(scenario: Scenario, course: Course, done: int) -> int:
    """Length of the next jump, no farther than the next cycle that must be solved, and no sliver before it."""
    if len(course.numbers) <= ORDER:
        return 1
    left = next(n for n in range(done + 1, scenario.protocol.cycles + 1) if asked(scenario, n)) - done
    return left if course.length >= left else min(course.length, -(-left // 2))


def _next_length(length: int, error: float, tolerance: float) -> int:
    """Length of which an error within the tolerance is expected: it grows with about the square of the length."""
    wanted = SAFETY * math.sqrt(tolerance / max(error, 1e-3 * tolerance))
    if error > tolerance:
        return max(1, int(length * min(SHORTER, wanted)))
    return max(1, int(min(length * wanted, LONGER * length + 1)))


def _weights(numbers: tuple[int, ...], at: Any, order: int) -> Array:
    """Weights (at, numbers) of the polynomial through the last order + 1 cycles, in the square root of the number."""
    x, t = np.sqrt(numbers[-order - 1 :]), np.sqrt(np.atleast_1d(at))
    weights = np.zeros((t.size, len(numbers)))
    for i in range(x.size):
        others = np.delete(x, i)
        weights[:, len(numbers) - x.size + i] = np.prod((t[:, None] - others) / (x[i] - others), axis=1)
    return weights


def _trace(landing: Landing, film: float, drives: tuple[Drive, ...]) -> Array:
    """A solved cycle in one row: plain numbers, oxygen exposure by step [s], rates by step, cell state."""
    before, after = landing.before, landing.after
    turned = after.ncm.rock_salt - before.ncm.rock_salt
    lithium = (after.lost_to_rock_salt - before.lost_to_rock_salt) / FULL_CHARGE
    plain = (
        landing.charge.charge / MAH_PER_G,
        landing.discharge.charge / MAH_PER_G,
        _growth(landing),
        lithium / turned if turned > 0 else 0.0,
        float(landing.charge.histories[-1].mean[-1]),
        after.mean,
        film,
        ct.layer_thickness(after.contacts),
    )
    exposed = [getattr(half.exposure, name) for half in (landing.charge, landing.discharge) for name in EXPOSED]
    moved = _variables(after.ncm) - _variables(before.ncm)
    exposure = [_exposure(drive) for drive in drives]
    rates = [value for k in landing.ran for value in astuple(after.rates[k] or Rates())]
    return np.concatenate((plain, exposed, moved, exposure, rates, after.cell[:, 0]))


def _variables(ncm: Ncm) -> Array:
    """What the laws have moved: ln chi, isolated and rock salt, and the variables of further laws."""
    return np.array([ncm.log_contact, ncm.isolated, ncm.rock_salt, *(ncm.further[k] for k in sorted(ncm.further))])


def _exposure(drive: Drive) -> float:
    return float(np.trapezoid(drive.oxygen, drive.time))


def _error(course: Course, landing: Landing) -> float:
    """Estimated error of what a jump did to the rows since the last solved cycle and, by the state, to all that follow
    [mAh g-1].

    That of interpolation, from how far the extrapolation missed or the film rose; and of the state, the layer's
    missing growth times dQ/dL, of which the jump did no more than what it changed.
    """
    found = np.array([landing.charge.charge, landing.discharge.charge]) / MAH_PER_G
    missed = {
        order: np.abs((_weights(course.numbers, landing.number, order) @ course.traces[:, :GROWTH])[0] - found).max()
        for order in SMOOTHER
    }
    between = max(landing.abrupt, float(min(missed[order] / closer for order, closer in SMOOTHER.items())))
    _, deficit = _corrected(course, landing)
    grown = landing.jumped + _growth(landing)
    slope = abs(course.traces[-1, DISCHARGE] - found[1]) / grown if grown > 0 else 0.0
    own = min(abs(deficit), abs(deficit - course.deficit))
    return between + slope * own


def _explains(course: Course, landing: Landing, start: Ncm) -> bool:
    """Whether a jump has moved every variable of the NCM about as the solved cycles on both its sides do.

    A law of loss that does not act on cycles left out, or acts on them otherwise, shows here.
    """
    left_out = np.arange(course.numbers[-1] + 1, landing.number)
    begin = _parts(course.moved, 0)[1]
    each = course.traces[:, begin : begin + course.moved]
    last = _variables(landing.after.ncm) - _variables(landing.before.ncm)
    expected = _weights((*course.numbers, landing.number), left_out, ORDER) @ np.vstack((each, last))
    moved = _variables(landing.before.ncm) - _variables(start)
    return bool(np.all(np.abs(moved - expected.sum(axis=0)) <= EXPLAINED * np.abs(expected).sum(axis=0) + SAME))


def _corrected(course: Course, landing: Landing) -> tuple[float, float]:
    """Gain and missing growth after a jump, by the growth of the solved cycles on both its sides."""
    numbers, grown = (*course.numbers, landing.number), np.append(course.traces[:, GROWTH], _growth(landing))
    left_out = np.arange(numbers[-2] + 1, numbers[-1])
    if not left_out.size:
        return course.gain, course.deficit
    expected = _weights(numbers, left_out, ORDER) @ grown
    deficit = course.deficit + float(expected.sum()) - landing.jumped
    own = landing.stretched - course.deficit  # without what was caught up
    wanted = float(expected[:-1].sum())
    if not landing.stretched or own <= 0 or wanted <= 0:
        return course.gain, deficit
    return min(max(course.gain * wanted / own, 1 / BIAS), BIAS), deficit


def _growth(landing: Landing) -> float:
    """Growth of the layer in a solved cycle [m]."""
    return ct.layer_thickness(landing.after.contacts) - ct.layer_thickness(landing.before.contacts)


def _settled(course: Course, landing: Landing) -> Landing | None:
    """The landing with the charge that belongs to it; None where none would be left.

    The charge began at an extrapolated lithium content and ended at its cut-off. Between solved cycles the content
    is known better; the difference is charge of the cycles left out, as the ledger counts both together.
    """
    numbers, means = (*course.numbers, landing.number), (*course.traces[:, MEAN], landing.after.mean)
    known = float(_weights(numbers, landing.number - 1, len(numbers) - 1)[0] @ means)
    charge = landing.charge
    more = (known - landing.before.mean) * landing.before.ncm.connected * FULL_CHARGE
    if min(charge.charge, charge.charge + more) <= 0:
        return None
    scaled = 1.0 + more / charge.charge
    capacity = [part * scaled for part in charge.capacity]
    settled = replace(charge, charge=charge.charge * scaled, energy=charge.energy * scaled, capacity=capacity)
    return replace(landing, charge=settled)


@per_thread(maxsize=4)
def loose(bench: Bench) -> Bench:
    """The bench for cycles that nobody asks for, whose capacity need not be known closer than jumps are."""
    numerics = bench.scenario.numerics
    tolerance = max(numerics.exchange_tolerance.si, numerics.jump_tolerance.si) / MAH_PER_G
    changed = bench.scenario.replace({"numerics.exchange_tolerance": f"{tolerance} mAh/g"})
    return replace(bench, scenario=changed)


@per_thread(maxsize=4)
def coarse(setting: Setting) -> Setting:
    """The setting for cycles left out, whose few steps in time need not be as accurate as those of every cycle."""
    return replace(setting, tolerance=COARSER * setting.tolerance, ncm_tolerance=COARSER * setting.ncm_tolerance)


def _landing(bench: Bench, state: State, course: Course, length: int) -> Landing | None:
    """The cycle ``length`` after the last solved one; None where the film rises too abruptly before it, or where the
    cell cannot be followed to its end."""
    number = course.numbers[-1] + length
    try:
        jumped = _skipped(bench, state, course, length - 1)
        abrupt = _abruptness(bench, course, jumped)
        if abrupt > bench.scenario.numerics.jump_tolerance.si / MAH_PER_G:
            return None
        after, charge, discharge = loop.cycle(loose(bench), jumped.state, number)
    except SolverFailure:
        return None
    if (*charge.ran, *discharge.ran) != course.ran or charge.has_no_capacity or discharge.has_no_capacity:
        return None
    if discharge.charge < bench.scenario.numerics.end_of_life_capacity.si:
        return None
    growth = ct.layer_thickness(jumped.state.contacts) - ct.layer_thickness(state.contacts)
    landing = Landing(number, jumped.state, after, charge, discharge, growth, jumped.stretched, abrupt)
    return _settled(course, landing)


def _abruptness(bench: Bench, course: Course, jumped: Jump) -> float:
    """What a film that rises abruptly within a jump may cost between its ends [mAh g-1].

    |R - R(L)| I/A over the slope of the potential of charged NCM, in the middle of the jump, where R(L) goes through
    the film at its ends, straight or bent as before it; with the mean current of the last solved cycle.
    """
    last = course.traces[-1]
    layer, film = course.traces[-2:, LAYER], course.traces[-2:, FILM]
    end = ct.layer_thickness(jumped.state.contacts)
    if not bench.scenario.kinetics.losses.film or not layer[0] < layer[1] < end:
        return 0.0
    x, y = np.append(layer, end), np.append(film, ct.film_resistance(bench.setting, jumped.state.contacts))
    at, found = ct.layer_thickness(jumped.middle), ct.film_resistance(bench.setting, jumped.middle)
    missed = min(abs(np.polynomial.Polynomial.fit(x[-n:], y[-n:], n - 1)(at) - found) for n in (2, 3))
    passed = float(last[CHARGE] + last[DISCHARGE]) * MAH_PER_G
    density = passed / sum(drive.time[-1] for drive in course.drives) / bench.setting.areas["ncm"]
    return float(ABRUPT * missed * density / exchange.steepness(float(last[CHARGED]), jumped.state))


class Foreseen(NamedTuple):
    """Traces of cycles to leave out, by part: plain numbers (cycles, PLAIN), what the NCM is exposed to (cycles,
    halves, EXPOSED), oxygen exposure (cycles, steps) [s], rates (cycles, steps, RATES); and the cell state at their
    end (n,)."""

    plain: Array
    exposed: Array
    exposure: Array
    rates: Array
    cell: Array

    @property
    def durations(self) -> Array:
        """Durations of the steps (cycles, steps) [s]."""
        return self.rates[:, :, DURATION]


def _parts(moved: int, steps: int) -> Cycles:
    """Where the parts of a trace end: plain numbers, exposure, moved variables, oxygen exposure and rates by step."""
    return np.cumsum([PLAIN, 2 * len(EXPOSED), moved, steps, RATES * steps])


def _foreseen(course: Course, count: int) -> Foreseen:
    """The next ``count`` cycles by extrapolation."""
    numbers, steps = course.numbers[-1] + 1 + np.arange(count), len(course.drives)
    weights, parts = _weights(course.numbers, numbers, ORDER), _parts(course.moved, steps)
    plain, exposed, _, exposure, rates, _ = np.split(weights @ course.traces, parts, axis=1)
    # straight, so that no concentration leaves its bounds: the charge that the cell begins with is settled afterwards
    cell = (_weights(course.numbers, numbers[-1], 1) @ course.traces[:, parts[-1] :])[0]
    exposed = np.maximum(exposed, 0.0).reshape(count, 2, len(EXPOSED))
    found = Foreseen(plain, exposed, exposure, rates.reshape(count, steps, RATES), cell)
    if found.durations.min() <= 0:
        raise SolverFailure("the cycles to leave out cannot be foreseen")
    return found


def _skipped(bench: Bench, state: State, course: Course, count: int) -> Jump:
    """Over ``count`` cycles that are not solved.

    The ledger closes as it did before: what passed is what the NCM, the rock salt and the contacts took.
    """
    seen = _foreseen(course, count)
    swings = state.swings + float(seen.exposed[:, :, EXPOSED.index("swing")].sum())
    contacts = ct.uncover(bench.setting, state.contacts, 0.5 * (state.swings + swings))
    middle, contacts, stretched = _driven(bench, contacts, course, seen)
    contacts = ct.uncover(bench.setting, contacts, swings)
    ncm, lithium = _aged(bench, state, contacts, seen)
    cell = seen.cell.reshape(-1, 1)
    released = loop.parasitic_charge(bench, contacts) - loop.parasitic_charge(bench, state.contacts)
    rates = list(state.rates)
    for k, step in zip(course.ran, seen.rates[-1], strict=True):
        rates[k] = Rates(*(float(value) for value in step))
    done = replace(
        state,
        cell=cell,
        contacts=contacts,
        ncm=ncm,
        swings=swings,
        elapsed=state.elapsed + float(seen.durations.sum()),
        applied=state.applied + released + lithium,
        lost_to_rock_salt=state.lost_to_rock_salt + lithium,
        mean=bench.cell.mean_stoichiometry(cell),
        rates=tuple(rates),
    )
    passed = (loop.ledger_residual(bench, state) - loop.ledger_residual(bench, done)) * FULL_CHARGE
    return Jump(replace(done, external=done.external + passed), middle, stretched)


def _aged(bench: Bench, state: State, after: Contacts, seen: Foreseen) -> tuple[Ncm, float]:
    """The NCM after a jump, cycle by cycle as if they were solved, and the lithium of what turned to rock salt
    [A s kg-1].

    The contacts tell growth and oxygen of all cycles together; each half-cycle has the share that was foreseen.
    """
    total = exposure(bench, state.contacts, after)
    losses, never = bench.scenario.kinetics.losses, never_connected(bench)
    shared = seen.exposed.copy()
    for k, whole in enumerate((total.growth, total.reduced)):
        foreseen = shared[:, :, k].sum()
        shared[:, :, k] = whole * (shared[:, :, k] / foreseen if foreseen > 0 else 0.5 / len(shared))
    ncm, lithium = state.ncm, 0.0
    for halves, plain in zip(shared, seen.plain, strict=True):
        charge, discharge = (
            Exposure(**dict(zip(EXPOSED, map(float, half), strict=True)), temperature=total.temperature)
            for half in halves
        )
        aged = ageing.age_cycle(losses, ncm, charge, float(plain[CHARGED]), never, discharge)
        lithium += (aged.rock_salt - ncm.rock_salt) * float(plain[TURNED]) * FULL_CHARGE
        ncm = aged
    return ncm, lithium


def _driven(bench: Bench, contacts: Contacts, course: Course, seen: Foreseen) -> tuple[Contacts, Contacts, float]:
    """Contacts halfway and after the drives of the cycles left out, and the growth under stretched drives [m].

    The drives are those of the last solved cycle, all but one cycle stretched in time to one, so that fronts respond
    to charged and discharged NCM as they do; one or two cycles are not stretched.
    """
    count = len(seen.plain)
    if count < FEWEST:
        trail = [contacts]
        for k in range(count):
            trail += _exposed(bench, trail[-1], course, seen, slice(k, k + 1))
        return trail[len(trail) // 2], trail[-1], 0.0
    aim = float(seen.plain[:-1, GROWTH].sum())
    gain = course.gain * max(0.0, 1.0 + course.deficit / aim) if aim > 0 else 1.0
    trail = _exposed(bench, contacts, course, seen, slice(0, count - 1), gain)
    stretched = ct.layer_thickness(trail[-1]) - ct.layer_thickness(contacts)
    last = _exposed(bench, ct.with_steps(trail[-1], contacts), course, seen, slice(count - 1, count))
    return trail[len(trail) // 2 - 1], last[-1], stretched


def _exposed(
    bench: Bench, contacts: Contacts, course: Course, seen: Foreseen, part: slice, gain: float = 1.0
) -> list[Contacts]:
    """Contacts after each of the last drives, stretched to last as long and expose as much as a part of the cycles."""
    trail, setting = [contacts], coarse(bench.setting)
    for k, drive in enumerate(course.drives):
        stretch = float(seen.durations[part, k].sum()) / drive.time[-1]
        exposed = stretch * _exposure(drive)
        dose = gain * max(0.0, float(seen.exposure[part, k].sum())) / exposed if exposed > 0 else 0.0
        stretched = replace(drive, time=drive.time * stretch, oxygen=drive.oxygen * dose)
        trail.append(ct.advance(setting, trail[-1], stretched))
    return trail[1:]


def filled(solved: Array, values: Array, protocol: Protocol) -> Array:
    """Values (..., cycles) with the cycles that were not solved filled in by monotone interpolation, in the square
    root of the cycle number, within each block of equal steps."""
    result, start = values.copy(), 1
    while start < solved.size:
        last = min(block(protocol, start)[1], solved.size - 1)
        rows = np.arange(start, last + 1)
        known, left_out = rows[solved[rows] > 0], rows[solved[rows] == 0]
        if left_out.size:
            for row in result.reshape(-1, solved.size):
                _interpolate(row, known, left_out)
        start = last + 1
    return result


def _interpolate(row: Array, known: Cycles, left_out: Cycles) -> None:
    """Fill in the values of a row (cycles,) that were left out, in place, behind the first that is known."""
    nodes = known[np.isfinite(row[known])]
    if nodes.size > 1:
        between = left_out[left_out > nodes[0]]
        with np.errstate(over="ignore"):  # SciPy divides by slopes, be they next to nothing
            row[between] = PchipInterpolator(np.sqrt(nodes), row[nodes])(np.sqrt(between))


def balanced(solved: Array, charge: Array, discharge: Array, kept: Array) -> Array:
    """Charge capacities whose sum agrees with the ledger: what cycles left out keep is shared out in proportion, so
    that a cell with next to no capacity left charges no negative one.

    kept (cycles,): net charge since the start, at solved cycles [mAh g-1].
    """
    result, nodes = charge.copy(), np.flatnonzero(solved > 0)
    for a, b in itertools.pairwise(nodes):
        rows = slice(a + 1, b + 1)
        missing = kept[b] - kept[a] - (result[rows] - discharge[rows]).sum()
        whole = float(result[a + 1 : b].sum())  # zero between neighbours
        if whole > 0 and whole + missing > 0:
            result[a + 1 : b] *= 1.0 + missing / whole
    return result
