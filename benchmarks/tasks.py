"""What is measured: parts, tasks, and what each task asks its process to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PARTS = ("cell", "kernel", "cli", "memory", "scaling")
CYCLES, LONG = 200, 2000
KERNEL_CYCLES = 10
FIPY_CYCLES = 1  # it needs minutes for more
CASE = "coated"  # whose contact the kernel's problem is, as one column
PEERS = (
    "LSODA-numba",
    "LSODA-numpy",
    "BDF-numba",
    "BDF-numpy",
    "Radau-numba",
    "Radau-numpy",
    "pybamm",
)
SLOW = 2  # repeats of what takes minutes
JUMP_ON: dict[str, Any] = {"numerics.jump": True}
COLUMN: dict[str, Any] = {"coating.contact": "mixed"}  # gaps and coating as one column instead of rings
JUMP_OFF: dict[str, Any] = {"numerics.jump": False}


@dataclass(frozen=True)
class Task:
    """One thing that is measured: its name, what its process is asked, and how often at most.

    cold: with empty compile caches. warm: asked once before, in place of the task, to fill the caches.
    """

    part: str
    name: str
    asks: dict[str, Any] = field(hash=False)
    most: int = 1000
    cold: bool = False
    warm: dict[str, Any] | None = field(default=None, hash=False)

    def key(self, code: str) -> str:
        """What a stored record must carry to stand for this task."""
        text = json.dumps([self.name, self.asks, self.cold, code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def repeats(self, asked: int) -> int:
        """How often it is measured when the figures are measured so often."""
        return min(asked, self.most)


@dataclass(frozen=True)
class Sizes:
    """How much is run; ``quick`` sizes try the whole way in minutes and say nothing about speed."""

    cycles: int = CYCLES
    long: int = LONG
    kernel: int = KERNEL_CYCLES
    counts: tuple[int, ...] = (50, 100, 500, 1000)
    nodes: tuple[int, ...] = (50, 100, 200, 400, 800)
    grids: tuple[tuple[int, int], ...] = ((12, 60), (16, 80), (32, 160), (48, 240))
    contacts: int = 5


QUICK = Sizes(cycles=4, long=8, kernel=1, counts=(2,), nodes=(50, 100), grids=((12, 60),), contacts=1)


def coupled(
    part: str, name: str, scenario: str, cycles: int, changes: dict[str, Any] | None = None, **more: Any
) -> Task:
    """A coupled run of a scenario."""
    made: dict[str, Any] = {"protocol.cycles": cycles} | (changes or {})
    asks: dict[str, Any] = {"kind": "coupled", "scenario": scenario, "changes": made}
    return Task(part, name, asks, warm=asks | {"changes": made | {"protocol.cycles": 2}}, **more)


def experiment(name: str, model: str, sei: bool, mode: str, cycles: int, **more: Any) -> Task:
    """PyBaMM's Experiment of the benchmark's cell."""
    asks = {"kind": "experiment", "scenario": "bench", "model": model, "sei": sei, "mode": mode, "cycles": cycles}
    return Task("cell", name, asks, warm=asks | {"cycles": 2}, **more)


def cell(sizes: Sizes, jump: bool) -> Iterator[Task]:
    """Coupled runs against PyBaMM's Experiment, and jumps against every cycle solved."""
    n = sizes.cycles
    off = JUMP_OFF if jump else {}
    for model in ("SPMe", "DFN"):
        yield coupled("cell", f"coupled {model}", "bench", n, off | {"cell.model": model})
        for mode in ("default", "tuned"):
            yield experiment(f"Experiment {model} {mode}, SEI", model, True, mode, n)
            if model == "SPMe":
                yield experiment(f"Experiment {model} {mode}", model, False, mode, n)
    yield experiment("Experiment SPMe untouched, SEI", "SPMe", True, "untouched", n)
    for scenario in ("bare", "coated"):
        yield coupled("cell", f"{scenario} SPMe", scenario, n, off)
    yield coupled("cell", "column SPMe", "bench", n, off | COLUMN)
    for name, changes in (("share SPM", {}), ("share SPM, column", COLUMN)):
        made = off | changes | {"protocol.cycles": n, "cell.model": "SPM"}
        asks = {"kind": "shares", "scenario": "bench", "changes": made}
        yield Task("cell", name, asks, warm=asks | {"changes": made | {"protocol.cycles": 2}})
    yield coupled("cell", "coupled SPMe, cold", "bench", n, off, cold=True, most=1)
    yield experiment("Experiment SPMe default, SEI, cold", "SPMe", True, "default", n, cold=True, most=1)
    yield experiment("Experiment SPMe tuned, SEI, cold", "SPMe", True, "tuned", n, cold=True, most=1)
    if jump:
        yield coupled("cell", "coated DFN", "coated", n, off | {"cell.model": "DFN"}, most=SLOW)
        for model, most in (("SPMe", 1000), ("DFN", SLOW)):
            yield coupled("cell", f"coated {model} jump", "coated", n, JUMP_ON | {"cell.model": model}, most=most)
        yield coupled("cell", "bare SPMe jump", "bare", n, JUMP_ON)


def tuning(sizes: Sizes, fipy: bool) -> Iterator[Task]:
    """The tolerance at which each solver is as accurate as the kernel."""
    for solver in ("kernel", *PEERS):
        yield tuner(solver, CASE, sizes.kernel)
    for solver in ("kernel", "LSODA-numba"):
        yield tuner(solver, "bare", sizes.kernel)
    if fipy:
        yield tuner("kernel", CASE, FIPY_CYCLES)
        yield tuner("fipy", CASE, FIPY_CYCLES)


def tuner(solver: str, scenario: str, cycles: int) -> Task:
    """The task that finds a solver's tolerance."""
    asks = {"kind": "tune", "solver": solver, "scenario": scenario, "cycles": cycles}
    return Task("kernel", f"tune {solver} {scenario} {cycles}", asks, most=1)


def solves(tolerances: dict[str, float]) -> Iterator[Task]:
    """Every solver at its own tolerance; ``tolerances`` by the rest of the name of the task that found it."""
    for rest, tolerance in tolerances.items():
        solver, scenario, cycles = rest.split()
        asks = {"kind": "solve", "solver": solver, "scenario": scenario, "cycles": int(cycles), "tolerance": tolerance}
        slow = solver in ("fipy", "Radau-numpy", "Radau-numba")
        yield Task("kernel", f"solve {rest}", asks, most=SLOW if slow else 1000)


def cli(sizes: Sizes) -> Iterator[Task]:
    """Commands in fresh processes, and what a run of them cannot do without."""
    for arguments in (["--help"], ["info"]):
        asks: dict[str, Any] = {"kind": "command", "arguments": arguments}
        yield Task("cli", f"command {arguments[0]}", asks, warm=asks)
    changes = ["--set", f"protocol.cycles={sizes.cycles}"]
    asks = {"kind": "command", "arguments": ["run", "bench", *changes], "stored": True}
    yield Task("cli", "command run", asks, warm=asks)
    yield coupled("cli", "run alone", "bench", sizes.cycles)


def memory(sizes: Sizes) -> Iterator[Task]:
    """Peak memory and how it grows with the number of cycles."""
    for model in ("SPMe", "DFN"):
        yield coupled("memory", f"memory {model}", "bench", sizes.cycles, {"cell.model": model}, most=SLOW)
    yield coupled("memory", "memory SPMe, long", "bench", sizes.long, most=1)


def scaling(sizes: Sizes) -> Iterator[Task]:
    """Cost against cycles, nodes, models of the contact and the cut of the unit cell."""
    for n in sizes.counts:
        most = 1000 if n <= CYCLES else SLOW if n <= 500 else 1
        yield coupled("scaling", f"cycles {n}", "bench", n, most=most)
    for n in sizes.nodes:
        asks = {"kind": "solve", "solver": "kernel", "scenario": CASE, "cycles": sizes.kernel, "tolerance": None}
        yield Task("scaling", f"nodes {n}", asks | {"cells": n})
    for model in ("mixed", "separate", "closure"):
        asks = {"kind": "contact", "scenario": CASE, "changes": {"coating.contact": model}, "cycles": sizes.contacts}
        yield Task("scaling", f"contact {model}", asks)
    for rings, rows in sizes.grids:
        cut = {"coating.contact": "resolved", "numerics.unit_cell_rings": rings, "numerics.unit_cell_rows": rows}
        asks = {"kind": "contact", "scenario": CASE, "changes": cut, "cycles": sizes.contacts}
        yield Task("scaling", f"unit cell {rings} x {rows}", asks)
