"""Checkpoints of a run: one npz file, arrays bit for bit, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from interphase_sim.ageing import Ncm
from interphase_sim.errors import InputError
from interphase_sim.files import written_whole
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.simulation.jump import Course
from interphase_sim.simulation.loop import Bench, Rates, State
from interphase_sim.simulation.recorder import Recorder, versions
from interphase_sim.status import outcome_of

FILE_NAME = "checkpoint.npz"
FORMAT = 4  # rises when the content changes
COURSE_NUMBERS = ("numbers", "ran", "moved", "length", "gain", "deficit", "error", "rejected")
SCALARS = ("owed", "swings", "elapsed", "external", "applied", "lost_to_rock_salt", "mean")


def save(directory: Path, recorder: Recorder, state: State, references: dict[int, State]) -> None:
    """Write the checkpoint of a run; a reader finds the old file or the new one.

    references: the states after the reference cycles so far, by cycle.
    """
    arrays: dict[str, Any] = {}
    meta = {
        "format": FORMAT,
        "digest": recorder.bench.scenario.digest(),
        "name": recorder.bench.scenario.name,
        "planned": recorder.bench.scenario.protocol.cycles,
        "versions": versions(),
        **recorder.outcome.attributes(),
        "solves": [recorder.bench.cell.solves, recorder.bench.cell.retries],
        "notes": recorder.notes,
        "unsettled": recorder.unsettled,
        "rows": recorder.rows,
        "losses": {str(k): v for k, v in recorder.losses.items()},
        "outputs": sorted(recorder.profiles),
        "kept": {str(k): v for k, v in recorder.kept.items()},
        "course": _flat_course(recorder.course, arrays) if recorder.course else None,
        "state": _flat("state", state, arrays),
        "references": {str(n): _flat(f"reference_{n}", after, arrays) for n, after in references.items()},
    }
    arrays["amounts"] = np.array(recorder.amounts)
    for number, profile in recorder.profiles.items():
        arrays[f"profile_{number}"] = profile
        if number in recorder.fields:
            arrays[f"fields_{number}"] = recorder.fields[number]
        if number in recorder.curves:
            arrays[f"curve_{number}"] = np.array(recorder.curves[number])
    with written_whole(directory / FILE_NAME) as part, part.open("wb") as file:
        np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), **arrays)


def load(bench: Bench, directory: Path) -> tuple[Recorder, State, dict[int, State]] | None:
    """What a checkpoint holds, or None when there is none yet.

    Raises InputError when it is damaged or belongs to another scenario or version.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop("meta").tobytes())
        known, made = meta["digest"], meta["versions"]
    except Exception as error:  # a damaged archive can raise anything
        raise InputError(f"{path}: damaged, or not a checkpoint; start again with --force") from error
    if meta.get("format") != FORMAT:
        raise InputError(
            f"{path}: written by other code, in a format that this one does not read; start again with --force"
        )
    if known != bench.scenario.digest():
        raise InputError(f"{path}: belongs to another scenario; start again with --force or use another folder")
    if made != versions():
        raise InputError(f"{path}: written by other versions ({made}); start again with --force")
    try:
        state = _state(bench, "state", meta["state"], arrays)
        bench.cell.solves, bench.cell.retries = meta["solves"]
        return _recorder(bench, meta, arrays), state, _references(bench, meta, arrays)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: damaged, a part is missing; start again with --force") from error


def _references(bench: Bench, meta: dict[str, Any], arrays: dict[str, Any]) -> dict[int, State]:
    return {int(n): _state(bench, f"reference_{n}", numbers, arrays) for n, numbers in meta["references"].items()}


def _recorder(bench: Bench, meta: dict[str, Any], arrays: dict[str, Any]) -> Recorder:
    return Recorder(
        bench,
        rows=meta["rows"],
        amounts=arrays["amounts"].tolist(),
        curves={n: tuple(arrays[f"curve_{n}"]) for n in meta["outputs"] if f"curve_{n}" in arrays},
        profiles={n: arrays[f"profile_{n}"] for n in meta["outputs"]},
        fields={n: arrays[f"fields_{n}"] for n in meta["outputs"] if f"fields_{n}" in arrays},
        losses={int(k): v for k, v in meta["losses"].items()},
        outcome=outcome_of(meta),
        notes=meta["notes"],
        unsettled=meta["unsettled"],
        course=_course(meta["course"], arrays) if meta["course"] else None,
        kept={int(k): v for k, v in meta["kept"].items()},
    )


def _flat_course(course: Course, arrays: dict[str, Any]) -> dict[str, Any]:
    """Put a course's arrays into ``arrays`` and return its numbers."""
    arrays["course_traces"] = course.traces
    for k, drive in enumerate(course.drives):
        arrays[f"course_drive_{k}"] = np.array(drive.arrays())
    return {key: getattr(course, key) for key in COURSE_NUMBERS} | {"lithium": [d.lithium for d in course.drives]}


def _course(numbers: dict[str, Any], arrays: dict[str, Any]) -> Course:
    drives = tuple(
        replace(Drive(*arrays[f"course_drive_{k}"]), lithium=lithium) for k, lithium in enumerate(numbers["lithium"])
    )
    known = {key: numbers[key] for key in COURSE_NUMBERS}
    known |= {key: tuple(numbers[key]) for key in ("numbers", "ran")}
    return Course(**known, traces=arrays["course_traces"], drives=drives)


def _flat(name: str, state: State, arrays: dict[str, Any]) -> dict[str, Any]:
    """Put a state's arrays into ``arrays`` and return its numbers."""
    arrays[f"{name}_cell"] = state.cell
    columns = state.contacts.columns
    for k, column in enumerate(columns):
        arrays[f"{name}_y{k}"], arrays[f"{name}_u{k}"] = column.y, column.u
    return {
        **{key: getattr(state, key) for key in SCALARS},
        "ncm": asdict(state.ncm),
        "coverage": state.contacts.coverage,
        "steps": [[c.step, c.steps] for c in columns],
        "rates": [r and asdict(r) for r in state.rates],
    }


def _state(bench: Bench, name: str, numbers: dict[str, Any], arrays: dict[str, Any]) -> State:
    contacts = ct.with_coverage(bench.setting, ct.pristine(bench.setting), numbers["coverage"])

    def filled(column: Column, k: int) -> Column:
        step, steps = numbers["steps"][k]
        return replace(column, y=arrays[f"{name}_y{k}"], u=arrays[f"{name}_u{k}"], step=step, steps=steps)

    return State(
        cell=arrays[f"{name}_cell"],
        contacts=contacts.with_columns(filled(column, k) for k, column in enumerate(contacts.columns)),
        ncm=Ncm(**numbers["ncm"]),
        rates=tuple(r and Rates(**r) for r in numbers["rates"]),
        **{key: numbers[key] for key in SCALARS},
    )
