"""Throughput of two workers over one, cost per run, memory per worker, and ten thousand short runs."""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from interphase_sim import sweeps
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import simulate
from interphase_sim.sweeps import store as stores
from interphase_sim.sweeps.plan import Plan, load

SHORT = """schema_version = 1
name = "short"
base = "shipped:coated.toml"
cycles = 5
outputs = ["discharge_capacity", "film_resistance_geometric"]

[set]
cell.model = "SPM"
coating.contact = "mixed"
numerics.jump = true

[[axes]]
key = "coating.coverage"
start = 0.5
stop = 0.95
count = {coverages}

[[axes]]
key = "coating.thickness"
start = "5 nm"
stop = "50 nm"
count = {thicknesses}
"""
THROUGHPUT, COST, MEGABYTES, OPENING, GROWTH = 1.8, 1.1, 600.0, 2.0, 1.05
ROUNDS = 7


class Row(NamedTuple):
    """One figure: what it is, what it must be, what was reached, and whether that holds."""

    figure: str
    must: str
    reached: str
    met: bool


def throughput(folder: Path, quick: bool) -> list[Row]:
    """Runs per second of ``coverage_x_coating`` with two workers over one, both beyond the workers' start."""
    plan = short(folder, 3, 3) if quick else load("coverage_x_coating")
    rates = {workers: _rate(plan, folder / f"throughput_{workers}.zarr", workers) for workers in (1, 2)}
    ratio = rates[2] / rates[1]
    words = f"{ratio:.2f} ({rates[1]:.3g} and {rates[2]:.3g} runs/s)"
    return [Row("throughput of two workers over one", f">= {THROUGHPUT}", words, ratio >= THROUGHPUT)]


def _rate(plan: Plan, path: Path, workers: int) -> float:
    """Distinct runs per second from the first that is done to the last."""
    times: list[float] = []
    sweeps.run(plan, path, workers, recompute=path.exists(), progress=lambda *_: times.append(time.perf_counter()))
    return (len(times) - 1) / (times[-1] - times[0])


def cost(folder: Path, quick: bool) -> list[Row]:
    """Time of a run in a worker, handing over and recording included, over that of the bare simulation here.

    In turn, for the speed of a machine wanders by more than what is looked for: the median over the rounds.
    """
    plan = short(folder, 3, 3) if quick else short(folder, 20, 3)
    path = folder / "cost.zarr"
    scenarios = [plan.base.replace(plan.changes(run)) for run in range(plan.runs)]
    simulate(scenarios[0])
    pairs = [(1 / _rate(plan, path, 1), _bare(scenarios)) for _ in range(1 if quick else ROUNDS)]
    ratios = [in_sweep / bare for in_sweep, bare in pairs]
    ratio, seconds = float(np.median(ratios)), np.median(pairs, axis=0)
    words = f"{ratio:.3f} ({min(ratios):.2f} to {max(ratios):.2f}; {seconds[0]:.3g} s and {seconds[1]:.3g} s)"
    return [Row("cost of a run beyond the first over the bare simulation", f"<= {COST}", words, ratio <= COST)]


def _bare(scenarios: list[Scenario]) -> float:
    """Time of a simulation in this process [s]."""
    start = time.perf_counter()
    for scenario in scenarios:
        simulate(scenario)
    return (time.perf_counter() - start) / len(scenarios)


def memory(folder: Path, quick: bool) -> list[Row]:
    """Peak memory of each worker over a thousand runs, at a tenth of them and at the end."""
    plan = short(folder, 3, 4) if quick else short(folder, 40, 25)
    seen = _memory_of_workers(plan, folder / "memory.zarr")
    early, last, peak = seen[len(seen) // 10], seen[-1], max(seen)
    return [
        Row(
            f"memory of a worker, {plan.runs} runs",
            f"<= {MEGABYTES:g} MB",
            f"{peak:.0f} MB",
            peak <= MEGABYTES,
        ),
        Row(
            "the same at the end over that after a tenth",
            f"<= {GROWTH}",
            f"{last / early:.3f} ({early:.0f} and {last:.0f} MB)",
            last / early <= GROWTH,
        ),
    ]


def _memory_of_workers(plan: Plan, path: Path) -> list[float]:
    """Resident memory of the largest worker after each run [MB]."""
    seen: list[float] = []
    sweeps.run(plan, path, 2, recompute=path.exists(), progress=lambda *_: seen.append(_largest_child()))
    return seen


def _largest_child() -> float:
    pids = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
    return max(map(_resident, pids), default=math.nan)


def _resident(pid: int) -> float:
    """Resident memory of a process [MB]."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def many(folder: Path, quick: bool) -> list[Row]:
    """Ten thousand runs of five cycles: do all complete, does memory stay, how fast does the store open."""
    plan = short(folder, 5, 4) if quick else short(folder, 100, 100)
    path = folder / "many.zarr"
    seen: list[tuple[float, float]] = []
    start = time.perf_counter()
    sweeps.run(
        plan,
        path,
        2,
        recompute=path.exists(),
        progress=lambda *_: seen.append((_largest_child(), _resident(os.getpid()))),
    )
    took = time.perf_counter() - start
    opening = min(_opening(path) for _ in range(3))
    done = sweeps.summary(path)["status"]["completed"]
    growth = [np.array(seen)[-1, k] / np.array(seen)[len(seen) // 10, k] for k in (0, 1)]
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    files = sum(1 for _ in path.rglob("*"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return [
        Row(f"runs completed in one sweep, {took:.0f} s", f"{plan.runs}", f"{done}", done == plan.runs),
        Row("opening of the store and reading of one run", f"<= {OPENING} s", f"{opening:.2f} s", opening <= OPENING),
        Row("memory of a worker, end over a tenth", f"<= {GROWTH}", f"{growth[0]:.3f}", growth[0] <= GROWTH),
        Row(
            "memory of the parent, end over a tenth",
            f"<= {GROWTH}",
            f"{growth[1]:.3f} (peak {peak:.0f} MB)",
            growth[1] <= GROWTH,
        ),
        Row("size of the store", "-", f"{size:.1f} MB, {files} files", True),
    ]


def _opening(path: Path) -> float:
    start = time.perf_counter()
    ds = stores.dataset(path)
    np.asarray(ds["discharge_capacity"].isel(dict.fromkeys(ds["status"].dims, -1)))
    return time.perf_counter() - start


def short(folder: Path, coverages: int, thicknesses: int) -> Plan:
    """A sweep of short runs, its file written to the folder as ``short.toml``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "short.toml"
    file.write_text(SHORT.format(coverages=coverages, thicknesses=thicknesses), encoding="utf-8")
    return load(file)
