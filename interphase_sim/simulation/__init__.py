"""Cycle a cell and its contacts: ``simulate(scenario)`` gives the Dataset of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from interphase_sim.errors import SolverFailure
from interphase_sim.files import as_path, exclusive_folder
from interphase_sim.scenario import Scenario, load_scenario
from interphase_sim.simulation import checkpoint, jump, loop
from interphase_sim.simulation.jump import Course, Landing
from interphase_sim.simulation.loop import Bench, Half, State
from interphase_sim.simulation.recorder import Recorder

if TYPE_CHECKING:
    import xarray as xr

Progress = Callable[[int, int, str], None]

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
    folder = as_path(directory, "directory") if directory is not None else None
    bench = loop.prepare(scenario if isinstance(scenario, Scenario) else load_scenario(scenario))
    with exclusive_folder(folder) if folder else contextlib.nullcontext():
        return _cycled(bench, folder, resume, progress)


def _cycled(bench: Bench, directory: Path | None, resume: bool, progress: Progress | None) -> xr.Dataset:
    scenario = bench.scenario
    recorder, state, first = _started(bench, directory if resume else None)
    total = scenario.protocol.cycles
    while recorder.open and recorder.cycles < total:
        done = recorder.cycles
        state, first = _next_cycle(bench, recorder, state, first)
        if progress:
            progress(recorder.cycles, total, recorder.status)
        every = scenario.numerics.checkpoint_every
        if directory and recorder.cycles // every > done // every:
            checkpoint.save(directory, recorder, state, first)
    if recorder.open:
        recorder.status = "completed"
    if directory:
        checkpoint.save(directory, recorder, state, first)
    return recorder.dataset()


def _started(bench: Bench, directory: Path | None) -> tuple[Recorder, State, State | None]:
    found = checkpoint.load(bench, directory) if directory else None
    if found:
        return found
    state, recorder = loop.begin(bench), Recorder(bench, course=Course() if bench.scenario.numerics.jump else None)
    recorder.contact_dose(state)
    return recorder, state, None


def _next_cycle(bench: Bench, recorder: Recorder, state: State, first: State | None) -> tuple[State, State | None]:
    """The next cycle to be solved, recorded; a run that cannot go on keeps its last good state and says why."""
    number = recorder.cycles + 1
    try:
        landing = _jumped(bench, recorder, state) or _solved(bench, recorder, state)
        number, after, discharge = landing.number, landing.after, landing.discharge
        if _ended(bench, recorder, number, landing.charge, discharge):
            return state, first
        first = after if first is None else first
        recorder.skip(number - recorder.cycles - 1)
        recorder.cycle(number, after, landing.charge, discharge)
        if recorder.course:
            recorder.course = jump.follow(bench, recorder.course, landing)
        if recorder.wanted(number):
            lost = recorder.rows[1]["discharge_capacity"] - recorder.rows[number]["discharge_capacity"]
            recorder.losses[number] = loop.split_losses(bench, first, after, number, lost)
    except SolverFailure as failure:
        recorder.status = f"solver failure at cycle {number}: {failure}"
        return state, first
    recorder.status = _worn(bench, recorder, discharge) or recorder.status
    return after, first


def _worn(bench: Bench, recorder: Recorder, discharge: Half) -> str | None:
    """The status of a cell whose capacity has fallen below what the scenario calls its end of life.

    A share of the first capacity stops a run that jumps at the first solved cycle below it.
    """
    numerics, first = bench.scenario.numerics, recorder.rows[1]["discharge_capacity"] * loop.MAH_PER_G
    limits = {
        "end_of_life_capacity": numerics.end_of_life_capacity.si,
        "end_of_life_fraction": numerics.end_of_life_fraction.si * first,
    }
    passed = [name for name, limit in limits.items() if discharge.charge < limit]
    return f"end of life at cycle {recorder.cycles}: capacity below numerics.{passed[0]}" if passed else None


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


def _ended(bench: Bench, recorder: Recorder, number: int, charge: Half, discharge: Half) -> bool:
    """Whether the cell passed its cut-off at the applied current, and so has no capacity left."""
    for name, half in (("charge", charge), ("discharge", discharge)):
        if half.spent:
            recorder.status = f"end of life at cycle {number}: the {name} cut-off is passed at the applied current"
            return True
    return False
