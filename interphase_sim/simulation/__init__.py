"""Cycle a cell and its contacts: ``simulate(scenario)`` gives the Dataset of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from interphase_sim.errors import InputError, SolverFailure
from interphase_sim.files import as_path, exclusive_folder
from interphase_sim.scenario import Scenario, load_scenario
from interphase_sim.simulation import checkpoint, jump, loop
from interphase_sim.simulation.jump import Course, Landing
from interphase_sim.simulation.loop import Bench, DischargeFailure, Half, State
from interphase_sim.simulation.recorder import Recorder
from interphase_sim.status import COMPLETED, RunOutcome, RunStatus

if TYPE_CHECKING:
    import xarray as xr

Progress = Callable[[int, int, str], None]
References = dict[int, State]

__all__ = ["simulate"]


def simulate(
    scenario: Scenario | str | Path,
    *,
    directory: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Cycle a cell and its contacts as the scenario says.

    scenario: a scenario, the name of a shipped one or the path of a file. directory: where checkpoints are kept
    (none: no checkpoints). resume: go on from the checkpoint there; the result is the same bit for bit. progress:
    called after every cycle with cycle, cycles and a text.

    Returns the Dataset of ``results``. A cell that passes its cut-off at the applied current ends as a result;
    a failed solver ends the run with status "solver failure at cycle n" and keeps what was computed.
    Raises InputError for a coating property that is unknown and decides the answer, and for a directory that another
    run writes to. Threads may call it at the same time: they share nothing that a run changes.
    """
    if progress is not None and not callable(progress):
        raise InputError(f"progress = {progress!r} is not a function of cycle, cycles and a text, nor None")
    folder = as_path(directory, "directory") if directory is not None else None
    bench = loop.prepare(scenario if isinstance(scenario, Scenario) else load_scenario(scenario))
    with exclusive_folder(folder) if folder else contextlib.nullcontext():
        return _cycled(bench, folder, resume, progress)


def _cycled(bench: Bench, directory: Path | None, resume: bool, progress: Progress | None) -> xr.Dataset:
    scenario = bench.scenario
    recorder, state, references = _started(bench, directory if resume else None)
    total = scenario.protocol.cycles
    while recorder.open and recorder.cycles < total:
        done = recorder.cycles
        state, references = _next_cycle(bench, recorder, state, references)
        if progress:
            progress(recorder.cycles, total, recorder.outcome.sentence)
        every = scenario.numerics.checkpoint_every
        if directory and recorder.cycles // every > done // every:
            checkpoint.save(directory, recorder, state, references)
    if recorder.open:
        recorder.outcome = COMPLETED
    if directory:
        checkpoint.save(directory, recorder, state, references)
    return recorder.dataset()


def _started(bench: Bench, directory: Path | None) -> tuple[Recorder, State, References]:
    found = checkpoint.load(bench, directory) if directory else None
    if found:
        return found
    state, recorder = loop.begin(bench), Recorder(bench, course=Course() if bench.scenario.numerics.jump else None)
    recorder.contact_dose(state)
    return recorder, state, {}


def _next_cycle(bench: Bench, recorder: Recorder, state: State, references: References) -> tuple[State, References]:
    """The next cycle to be solved, recorded; a run that cannot go on keeps its last good state and says why.

    references: the states after the reference cycles so far, by cycle.
    """
    number = recorder.cycles + 1
    try:
        landing = _jumped(bench, recorder, state) or _solved(bench, recorder, state)
        number, after, discharge = landing.number, landing.after, landing.discharge
        if landing.charge.has_no_capacity:
            recorder.outcome = _without_capacity(number, "charge")
            return state, references
        if bench.scenario.protocol.reference_of(number) == number:
            references = references | {number: after}
        recorder.skip(number - recorder.cycles - 1)
        recorder.cycle(number, after, landing.charge, discharge)
        if recorder.course:
            recorder.course = jump.follow(bench, recorder.course, landing)
        before, lost = recorder.loss(number)
        if recorder.wanted(number) and before is not None:
            recorder.losses[number] = loop.split_losses(bench, references[before], after, (before, number), lost)
    except DischargeFailure as failure:
        recorder.outcome = RunStatus.SOLVER_FAILURE.at(number, str(failure))
        recorder.cycle(number, failure.state, failure.charge, None)
        return state, references
    except SolverFailure as failure:
        recorder.outcome = RunStatus.SOLVER_FAILURE.at(number, str(failure))
        return state, references
    if discharge.has_no_capacity:
        recorder.outcome = _without_capacity(number, "discharge")
    else:
        recorder.outcome = _worn(bench, recorder, discharge) or recorder.outcome
    return after, references


def _worn(bench: Bench, recorder: Recorder, discharge: Half) -> RunOutcome | None:
    """The outcome of a run whose cell's capacity has fallen below what the scenario calls its end of life.

    A share of the reference cycle's capacity ends a run that jumps at the first solved cycle below it, and none
    where there is no reference.
    """
    numerics, reference = bench.scenario.numerics, recorder.reference_capacity(recorder.cycles) * loop.MAH_PER_G
    limits = {
        "end_of_life_capacity": numerics.end_of_life_capacity.si,
        "end_of_life_fraction": numerics.end_of_life_fraction.si * reference,
    }
    passed = [name for name, limit in limits.items() if limit > 0 and discharge.charge < limit]
    return RunStatus.END_OF_LIFE.at(recorder.cycles, f"capacity below numerics.{passed[0]}") if passed else None


def _jumped(bench: Bench, recorder: Recorder, state: State) -> Landing | None:
    """The cycle solved after a jump; None where no cycle can be left out."""
    if not recorder.course:
        return None
    recorder.course, landing = jump.leap(bench, state, recorder.course, recorder.cycles)
    return landing


def _solved(bench: Bench, recorder: Recorder, state: State) -> Landing:
    number = recorder.cycles + 1
    used = jump.loose(bench) if recorder.course and not jump.asked(bench.scenario, number) else bench
    return Landing(number, state, *loop.cycle(used, state, number))


def _without_capacity(number: int, half: str) -> RunOutcome:
    """The outcome of a run whose cell passes no charge in a half-cycle, so that no capacity is left."""
    fresh = (
        f"; no charge passes in the first {half} of the fresh cell: try a lower current, or other steps before it"
        if number == 1
        else ""
    )
    return RunStatus.NO_CAPACITY.at(number, f"the {half} cut-off is passed at the applied current{fresh}")
