"""Measurements as lines of JSON, one file for each part, and the machine they were made on."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.tasks import Task
from interphase_sim import digest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = ROOT / "validation" / "output" / "performance"
DECIDING = (  # beside the package
    "scenarios/*.toml",
    "benchmarks/*_column.py",
    "benchmarks/cells.py",
    "benchmarks/problem.py",
    "benchmarks/worker.py",
)
LIBRARIES = ("pybamm", "pybammsolvers", "casadi", "numba", "numpy", "scipy", "fipy")

Record = dict[str, Any]


@functools.cache
def code() -> str:
    """Digest of the package, scenarios, problems and libraries that decide a measurement, and of the machine."""
    paths = [path for pattern in DECIDING for path in sorted(ROOT.glob(pattern))]
    return digest.combined([json.dumps(machine(), sort_keys=True), digest.package(), *map(digest.content, paths)])


@functools.cache
def versions() -> dict[str, str]:
    """Python and the libraries that are installed."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def machine() -> dict[str, str]:
    """Processor, cores, system and versions."""
    name, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        name = named[0].split(":", 1)[1].strip() if named else name
    return {"processor": name, "cores": str(os.cpu_count()), "system": platform.system()} | versions()


def append(folder: Path, task: Task, record: Record) -> None:
    """Add a measurement; a line is written whole."""
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"name": task.name, "key": task.key(code()), **record})
    with (folder / f"{task.part}.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def load(folder: Path, tasks: Sequence[Task]) -> dict[str, list[Record]]:
    """Valid measurements of tasks by name; damaged lines and those of other code or machine are left out."""
    keys = {(task.name, task.key(code())) for task in tasks}
    found: dict[str, list[Record]] = {task.name: [] for task in tasks}
    for part in dict.fromkeys(task.part for task in tasks):
        path = folder / f"{part}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
                name = record["name"]
                valid = (name, record["key"]) in keys
            except (ValueError, KeyError, TypeError):
                continue
            if valid:
                found[name].append(record)
    return found
