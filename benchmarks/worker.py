"""One measurement in a process of its own: ``python -m benchmarks.worker JSON`` prints one line of JSON.

Build is part of the time where a user waits for it, imports are not.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

Facts = dict[str, Any]
SHORTEST = 0.3  # s; what is shorter is repeated


def main(text: str) -> None:
    """Measure what the task says and print seconds, processor seconds, peak memory [MB] and facts."""
    asked = json.loads(text)
    stdout = os.dup(1)
    os.dup2(2, 1)  # whatever others print
    found = MEASURED[asked.pop("kind")](**asked)
    who = resource.RUSAGE_CHILDREN if found.pop("children", False) else resource.RUSAGE_SELF
    unit = 2**20 if sys.platform == "darwin" else 2**10
    found["memory"] = resource.getrusage(who).ru_maxrss / unit
    with os.fdopen(stdout, "w") as out:
        print(json.dumps(found), file=out)


def load_numba() -> None:
    """Let Numba import what it imports at its first call: imports are not timed."""
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


def timed(run: Callable[[], Facts]) -> Facts:
    """Facts of a run with its duration [s], by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    facts = run()
    return {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - processor, "facts": facts}


def coupled(scenario: str, changes: dict[str, Any]) -> Facts:
    """A coupled run, build included."""
    clock = time.perf_counter()
    import pybamm  # noqa: F401

    imported = time.perf_counter() - clock
    import interphase_sim.results  # noqa: F401
    from benchmarks import cells

    clock = time.perf_counter()
    load_numba()
    imported += time.perf_counter() - clock
    found = timed(lambda: cells.coupled(scenario, changes))
    found["facts"]["imports"] = imported
    return found


def shares(scenario: str, changes: dict[str, Any]) -> Facts:
    """A coupled run and how much of it is spent in the contacts."""
    from benchmarks import cells
    from interphase_sim.interphase import contacts

    load_numba()
    spent = [0.0]

    def counted(name: str) -> None:
        function = getattr(contacts, name)

        def wrapped(*args: Any) -> Any:
            clock = time.perf_counter()
            try:
                return function(*args)
            finally:
                spent[0] += time.perf_counter() - clock

        setattr(contacts, name, wrapped)

    for name in ("contact_dose", "advance", "film_resistance", "layer_thickness", "amounts"):
        counted(name)
    found = timed(lambda: cells.coupled(scenario, changes))
    found["facts"]["share"] = spent[0] / found["seconds"]
    return found


def experiment(scenario: str, model: str, sei: bool, mode: str, cycles: int) -> Facts:
    """PyBaMM's Experiment, build included."""
    import interphase_sim.results  # noqa: F401
    from benchmarks import cells

    return timed(lambda: cells.experiment(scenario, model, sei, mode, cycles))


def _solver(name: str) -> Any:
    from benchmarks import problem

    if name == "kernel":
        return problem.kernel
    if name == "pybamm":
        from benchmarks import pybamm_column

        return pybamm_column.solve
    if name == "fipy":
        from benchmarks import fipy_column

        return fipy_column.solve
    from benchmarks import scipy_column

    return scipy_column.solver(*name.split("-"))


def solve(solver: str, scenario: str, cycles: int, tolerance: float | None, cells: int | None = None) -> Facts:
    """The kernel's problem by one solver, warm, as often as makes a time; tolerance None is the kernel's default."""
    from benchmarks import problem

    given, run = problem.problem(scenario, cycles, cells), _solver(solver)
    tolerance = given.tolerance if tolerance is None else tolerance
    if solver != "fipy":
        run(given, tolerance)
    found, times = timed(lambda: run(given, tolerance)), 1
    while found["seconds"] * times < SHORTEST:
        times = int(SHORTEST / found["seconds"]) + 1

        def several(n: int = times) -> Facts:
            amounts: Facts = {}
            for _ in range(n):
                amounts = run(given, tolerance)
            return amounts

        found = timed(several)
        found["seconds"] /= times
        found["cpu"] /= times
    return found


def tune(solver: str, scenario: str, cycles: int) -> Facts:
    """The loosest tolerance of a solver that is as accurate as the kernel at its default, and that accuracy."""
    from benchmarks import problem

    clock = time.perf_counter()
    given, run = problem.problem(scenario, cycles), _solver(solver)
    reference = _solver("LSODA-numba")(given, problem.REFERENCE_TOLERANCE)
    default = problem.error(problem.kernel(given, given.tolerance), reference)
    facts: Facts = {"bound": default, "reference": reference}
    if solver == "kernel":
        facts |= {"tolerance": given.tolerance, "error": default}
        fine = problem.problem(scenario, cycles, nodes=problem.FINE_NODES)
        apart = problem.kernel(fine, problem.REFERENCE_TOLERANCE)
        facts["references_apart"] = problem.error(apart, reference)
    else:
        ladder = problem.LADDER
        if solver == "fipy":
            from benchmarks import fipy_column

            ladder = fipy_column.LADDER

        def deviation(tolerance: float) -> float:
            try:
                return problem.error(run(given, tolerance), reference)
            except RuntimeError:  # at a tolerance this loose, or this tight, it does not get through
                return float("inf")

        facts["tolerance"], facts["error"] = problem.loosest(deviation, default, ladder)
    return {"seconds": time.perf_counter() - clock, "cpu": 0.0, "facts": facts}


def contact(scenario: str, changes: dict[str, Any], cycles: int) -> Facts:
    """A contact alone over half-cycles of a given history, by any of its models."""
    from benchmarks import problem
    from interphase_sim.interphase import contacts as ct
    from interphase_sim.scenario import load_scenario
    from interphase_sim.simulation import loop

    chosen = load_scenario(scenario).replace(changes)
    design = loop.design_of(chosen)
    setting = ct.setting(chosen, design.contact_areas, design.conductivity(design.temperature))
    halves = problem.half_cycles(chosen)
    start = ct.contact_dose(setting, ct.pristine(setting))
    ct.film_resistance(setting, ct.advance(setting, start, halves[0]))

    def run() -> Facts:
        state = start
        for drive in halves * cycles:
            state = ct.advance(setting, state, drive)
            ct.film_resistance(setting, state)
        unknowns = sum(c.y.size for c in state.ncm)
        return {"uptake": ct.amounts(state)["ncm"]["oxygen"], "unknowns": unknowns}

    return timed(run)


def command(arguments: list[str], stored: bool = False) -> Facts:
    """A command of interphase-sim in a fresh process, everything included; what it stores is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        extra = ["-o", folder + "/run"] if stored else []
        line = [sys.executable, "-m", "interphase_sim", *arguments, *extra]
        clock = time.perf_counter()
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return {"seconds": time.perf_counter() - clock, "cpu": 0.0, "facts": {}, "children": True}


MEASURED: dict[str, Callable[..., Facts]] = {
    "coupled": coupled,
    "shares": shares,
    "experiment": experiment,
    "solve": solve,
    "tune": tune,
    "contact": contact,
    "command": command,
}

if __name__ == "__main__":
    main(sys.argv[1])
