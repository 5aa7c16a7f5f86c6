"""The command line in processes of its own: run, kill, interrupt, look at what is on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from interphase_sim import results
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import checkpoint
from validation.verification import runs

CALL = (sys.executable, "-m", "interphase_sim")
PATIENCE = 300.0  # s


def started(*words: str | Path, limit: int | None = None) -> subprocess.Popen[str]:
    """The command, running; its files may grow to ``limit`` bytes."""
    command = [*(("prlimit", f"--fsize={limit}") if limit else ()), *CALL, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_quiet())


def ended(*words: str | Path) -> tuple[int, str]:
    """Exit code and stderr of the command."""
    return waited(started(*words))


def waited(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and stderr of a command that runs."""
    _, told = process.communicate(timeout=PATIENCE)
    return process.returncode, told


def struck(process: subprocess.Popen[str], after: float, sign: signal.Signals) -> tuple[int, str]:
    """Send a signal after a time [s], unless the command ends before; exit code and stderr."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(sign)
    return waited(process)


def unreadable(folder: Path) -> list[str]:
    """What in the folder of a run cannot be read, at whatever moment."""
    told = []
    for path, read in ((folder / checkpoint.FILE_NAME, _members), (folder / results.FILE_NAME, results.read)):
        if path.exists():
            try:
                read(path)
            except Exception as error:
                told.append(f"{path.name}: {type(error).__name__}: {error}")
    return told


def _members(path: Path) -> None:
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        for name in file.files:
            file[name]


def differs(folder: Path, reference: Path) -> list[str]:
    """In what two finished runs differ."""
    told = []
    try:
        runs.same(results.read(folder), results.read(reference))
    except Exception as error:
        told.append(f"{type(error).__name__}: {error}")
    if (folder / "cycles.csv").read_bytes() != (reference / "cycles.csv").read_bytes():
        told.append("cycles.csv differs")
    return told


def written(scenario: Scenario, path: Path) -> Path:
    """The file of a scenario."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(scenario.to_toml(), encoding="utf-8")
    return path


def _quiet() -> dict[str, str]:
    return os.environ | {"PYBAMM_DISABLE_TELEMETRY": "true"}
