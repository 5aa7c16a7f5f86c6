"""What grid and tolerance of the contacts cost and how far they are from finer ones, over a run of 200 cycles.

``python -m benchmarks.accuracy bare`` (or ``coated``) prints a table: every row is a run with other
numbers in [numerics], against a run whose grid and tolerance are 8 times finer (around a gap the grid is only twice
as fine: eight times would take days).  ``--cycles 20`` for a trial.  Takes about 10 minutes.

| column | meaning |
|---|---|
| capacity | largest error of a charge or discharge capacity in any cycle [mAh/g] |
| amount | largest error of an amount in any cycle, of the largest of that species at that interface [%] |
| film | largest error of the film resistance in any cycle, of the largest [%] |
| steps | steps in time of the NCM's contact |
| contacts | processor time of all contacts' steps, over that of the shipped numbers |
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from interphase_sim import load_scenario
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import loop

Array = npt.NDArray[np.float64]
FINER = 8
ADVANCE = ct.advance


@dataclass(frozen=True)
class Run:
    """What a run found by cycle, capacities [mAh g-1], amounts [mol m-2], film [ohm m2]; its steps and cost [s]."""

    capacities: Array
    amounts: Array
    film: Array
    steps: int
    cost: float


def keys(scenario: Scenario) -> tuple[tuple[str, ...], str, str]:
    """The names in [numerics] of the numbers of cells, the first cell's width and the tolerance."""
    if scenario.coating is None:
        return ("column_cells",), "first_cell", "column_tolerance"
    return ("closure_rings", "closure_rows"), "closure_edge", "closure_tolerance"


def cut(scenario: Scenario, cells: float, tolerance: float) -> dict[str, Any]:
    """Changes that make the grid ``cells`` times as fine and the tolerance ``tolerance`` times as large."""
    numbers, width, step = keys(scenario)
    n = scenario.numerics
    finer = {f"numerics.{name}": round(getattr(n, name) * cells) for name in numbers}
    edge = getattr(n, width).si / cells
    return {
        **finer,
        f"numerics.{width}": f"{1e9 * edge:.6g} nm",
        f"numerics.{step}": float(f"{getattr(n, step) * tolerance:.3g}"),
    }


def run(scenario: Scenario) -> Run:
    """Cycle a scenario; only the contacts are timed."""
    bench = loop.prepare(scenario)
    state, spent = loop.begin(bench), 0.0

    def timed(s: Setting, contacts: Contacts, driven: Drive) -> Contacts:
        nonlocal spent
        start = time.process_time()
        grown = ADVANCE(s, contacts, driven)
        spent += time.process_time() - start
        return grown

    capacities, amounts, film = [], [], []
    with mock.patch.object(ct, "advance", timed):
        for number in range(1, scenario.protocol.cycles + 1):
            state, charge, discharge = loop.cycle(bench, state, number)
            capacities.append([charge.charge / loop.MAH_PER_G, discharge.charge / loop.MAH_PER_G])
            found = ct.amounts(state.contacts)
            amounts.append([list(found[name].values()) for name in ("ncm", "carbon")])
            film.append(ct.film_resistance(bench.setting, state.contacts))
    return Run(np.array(capacities), np.array(amounts), np.array(film), state.contacts.ncm[0].steps, spent)


def errors(found: Run, exact: Run) -> tuple[float, float, float]:
    """Largest errors of capacities [mAh g-1], amounts and film [%]."""
    largest = np.abs(exact.amounts).max(axis=0)
    apart = np.abs(found.amounts - exact.amounts).max(axis=0)
    share = np.divide(apart, largest, out=np.zeros_like(apart), where=largest > 0)
    film = np.abs(found.film - exact.film).max() / exact.film.max()
    return float(np.abs(found.capacities - exact.capacities).max()), 100 * float(share.max()), 100 * float(film)


def rows(scenario: Scenario) -> list[dict[str, Any]]:
    """The cuts to compare: as shipped, then other grids, then other tolerances, then both looser."""
    pairs = [(1.0, 1.0), (0.6, 1.0), (1.5, 1.0), (1.0, 0.1), (1.0, 10.0), (1.0, 30.0), (1.0, 100.0)]
    pairs += [(0.75, 10.0), (0.6, 10.0), (0.4, 10.0), (0.6, 30.0)]
    if scenario.coating is not None:  # an order looser there than in a column, as shipped
        pairs = [(1.0, 1.0), (0.75, 1.0), (1.5, 1.0), (1.0, 0.1), (1.0, 3.0), (1.0, 10.0), (0.75, 3.0)]
    return [cut(scenario, *pair) for pair in pairs]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("name", choices=["bare", "coated"])
    parser.add_argument("--cycles", type=int, default=200)
    asked = parser.parse_args(arguments)
    base = load_scenario(asked.name).replace({"cell.model": "SPM", "protocol.cycles": asked.cycles})
    run(base.replace({"protocol.cycles": 1}))
    shipped = run(base)
    exact = run(base.replace(cut(base, 2 if base.coating else FINER, 1 / FINER)))
    print("| numerics | capacity | amount | film | steps | contacts |\n|---|---|---|---|---|---|")
    for changes in rows(base):
        found = run(base.replace(changes))
        said = ", ".join(f"{key.removeprefix('numerics.')} {value}" for key, value in changes.items())
        off = " | ".join(f"{error:.2g}" for error in errors(found, exact))
        print(f"| {said} | {off} | {found.steps} | {found.cost / shipped.cost:.2f} |", flush=True)


if __name__ == "__main__":
    main()
