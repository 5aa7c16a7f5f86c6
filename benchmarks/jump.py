"""What cycle jumping costs in accuracy and gains in time, over runs of 200 cycles.

``python -m benchmarks.jump`` prints the table of `jump.md` beside this file: both cells, SPMe and DFN,
every cycle solved against `numerics.jump` at several tolerances.  ``--repeats 3`` takes the shortest processor time
of three runs of each kind, made in turn, so that a busy machine does them alike.  Takes about 10 minutes.

| column | meaning |
|---|---|
| error | largest error of a charge or discharge capacity in any cycle, against every cycle solved [mAh/g] |
| told | the error that the run itself tells, `jump_error` [mAh/g] |
| cycles | cycles solved, and jumps made again |
| solves | of the cell, losses split at three output cycles included, over those without jumps |
| faster | processor time of the run with every cycle solved over that with jumps, both without build and compilation |
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import xarray as xr

from interphase_sim import load_scenario
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import simulate

HEAD = ("cell", "model", "tolerance", "error", "told", "cycles", "solves", "faster")


def timed(scenario: Scenario) -> tuple[xr.Dataset, float]:
    """A result and the processor time it took [s]."""
    start = time.process_time()
    found = simulate(scenario)
    return found, time.process_time() - start


def measured(name: str, model: str, tolerances: Sequence[float], cycles: int, repeats: int) -> list[list[str]]:
    """Rows of the table for one cell and model; every kind of run in turn, the shortest time counts."""
    base = load_scenario(name).replace({"cell.model": model, "protocol.cycles": cycles})
    jumping = [base.replace({"numerics.jump": True, "numerics.jump_tolerance": f"{t} mAh/g"}) for t in tolerances]
    simulate(base.replace({"protocol.cycles": 2}))  # builds and compiles
    found = [[timed(scenario) for scenario in (base, *jumping)] for _ in range(repeats)]
    spent = [min(run[k][1] for run in found) for k in range(len(jumping) + 1)]
    full, *jumped = (ds for ds, _ in found[0])
    return [
        [name, model, f"{tolerance:g}", *_figures(ds, full), f"{spent[0] / took:.1f}"]
        for tolerance, ds, took in zip(tolerances, jumped, spent[1:], strict=True)
    ]


def _figures(ds: xr.Dataset, full: xr.Dataset) -> list[str]:
    told, all_told = (json.loads(one.attrs["statistics"]) for one in (ds, full))
    if ds.attrs["status"] != full.attrs["status"]:
        return [ds.attrs["status"], *["-"] * 3]
    error = max(float(np.nanmax(np.abs(ds[q] - full[q]))) for q in ("charge_capacity", "discharge_capacity"))
    cycles = f"{told['cycles_solved']} + {told['jumps_rejected']}"
    return [f"{error:.2f}", f"{told['jump_error']:.2f}", cycles, f"{told['cell_solves']} of {all_told['cell_solves']}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table row by row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jump", description=__doc__)
    parser.add_argument("--cells", nargs="+", default=["bare", "coated"])
    parser.add_argument("--models", nargs="+", default=["SPMe", "DFN"])
    parser.add_argument("--tolerances", nargs="+", type=float, default=[0.15, 0.3], metavar="MAH_PER_G")
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    asked: Any = parser.parse_args(arguments)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for model in asked.models:
        for name in asked.cells:
            for row in measured(name, model, asked.tolerances, asked.cycles, asked.repeats):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
