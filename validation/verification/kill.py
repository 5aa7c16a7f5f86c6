"""Runs that are killed or interrupted at random moments, and go on to the same bits."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from interphase_sim.scenario import Scenario, load_scenario
from interphase_sim.simulation import checkpoint
from validation.verification import command
from validation.verification.study import Finding, Run, Study

KILLS, INTERRUPTS = 50, 10
PER_CHUNK = 5
CYCLES = 60
INTERRUPTED = 130
COARSE = {
    "protocol.cycles": CYCLES, "cell.model": "SPM", "numerics.column_cells": 40, "numerics.particle_cells": 20,
    "numerics.checkpoint_every": 1, "numerics.output_cycles": [1, 20, 40], "numerics.closure_rings": 12,
    "numerics.closure_rows": 40,
}  # fmt: skip
NAMES = ("bare", "coated")


def scenario(name: str) -> Scenario:
    """A run of a few seconds that saves a checkpoint after every cycle."""
    return load_scenario(name).replace(COARSE)


def reference(run: Run, name: str) -> tuple[Path, Path, float]:
    """The file of a scenario, the folder of its uninterrupted run, and how long that took [s]."""
    file = command.written(scenario(name), run.folder / f"{name}.toml")
    folder, spent = run.folder / f"{name}-whole", run.folder / f"{name}-seconds"
    if not spent.exists():
        shutil.rmtree(folder, ignore_errors=True)
        command.ended("run", file, "-o", run.folder / f"{name}-warm", "--force")
        start = time.perf_counter()
        code, told = command.ended("run", file, "-o", folder, "--force")
        if code:
            raise RuntimeError(told)
        spent.write_text(str(time.perf_counter() - start), encoding="utf-8")
    return file, folder, float(spent.read_text(encoding="utf-8"))


def killed(run: Run) -> Finding:
    """SIGKILL at a random moment, then --resume: the same bits, and all on disk readable right after."""
    parts = _struck(run, "killed", KILLS, signal.SIGKILL)
    early = sum(part["early"] for part in parts)
    note = f"{early} were killed before the first checkpoint and ran again"
    return _finding("killed at a random moment, then --resume", parts, note)


def interrupted(run: Run) -> Finding:
    """SIGINT at a random moment: exit code 130, no traceback, how to go on, and going on gives the same bits."""
    parts = _struck(run, "interrupted", INTERRUPTS, signal.SIGINT)
    return _finding("interrupted at a random moment, then --resume", parts, "")


def _struck(run: Run, key: str, total: int, sign: signal.Signals) -> list[dict[str, Any]]:
    def chunk(first: int, last: int) -> dict[str, Any]:
        found: dict[str, Any] = {"cases": last - first, "failures": [], "early": 0}
        for number in range(first, last):
            wrong, early = _once(run, number, sign)
            found["failures"] += [f"case {number}: {text}" for text in wrong]
            found["early"] += early
        return found

    run.folder.mkdir(parents=True, exist_ok=True)
    return run.chunks(key, 2 if run.quick else total, PER_CHUNK, chunk)


def _once(run: Run, number: int, sign: signal.Signals) -> tuple[list[str], bool]:
    """One run that is struck and resumed: what was wrong, and whether nothing was stored yet."""
    chance = np.random.default_rng([run.seed, number])
    file, whole, spent = reference(run, NAMES[number % len(NAMES)])
    folder = run.folder / f"{sign.name}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    code, told = command.struck(
        command.started("run", file, "-o", folder), spent * float(chance.uniform(0.15, 1.0)), sign
    )
    wrong = command.unreadable(folder)
    if sign is signal.SIGINT and code != 0:
        wrong += _unclean(code, told)
    early = not (folder / checkpoint.FILE_NAME).exists()
    code, told = command.ended("run", file, "-o", folder, "--force" if early else "--resume")
    wrong += [f"going on ended with {code}: {told[-300:]}"] if code else command.differs(folder, whole)
    if not wrong:
        shutil.rmtree(folder)
    return wrong, early


def _unclean(code: int, told: str) -> list[str]:
    """What is wrong about the end of an interrupted command."""
    lines = [line for line in told.splitlines() if line.startswith("Interrupted. ")]
    wrong = [f"exit code {code}"] if code != INTERRUPTED else []
    wrong += ["a traceback"] if "Traceback" in told else []
    return wrong + ([] if lines else [f"says nothing of how to go on: {told[-200:]}"])


def _finding(study: str, parts: list[dict[str, Any]], note: str) -> Finding:
    cases, failures = sum(part["cases"] for part in parts), [text for part in parts for text in part["failures"]]
    told = "; ".join([*([note] if note else []), *failures])
    return Finding(study, cases, len(failures), "equal bits" if not failures else "differs", "equal bits", told)


STUDIES: dict[str, Study] = {"killed": killed, "interrupted": interrupted}
