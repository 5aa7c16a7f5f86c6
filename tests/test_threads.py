"""Runs in several threads at once: the bits of one thread, whatever the others do."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pinned import scenario
from test_simulation import CC

from interphase_sim import units
from interphase_sim.caching import per_thread
from interphase_sim.cell import runner
from interphase_sim.errors import InputError
from interphase_sim.interphase import column, unitcell
from interphase_sim.scenario import Scenario
from interphase_sim.simulation import loop, simulate

HOLD = {"type": "cv", "voltage": "2.85 V", "until_current": "C/20"}


def chosen(name: str = "bare", **changes: Any) -> Scenario:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return scenario(name, {"protocol.cycles": 2, "protocol.steps": CC, "numerics.output_cycles": [1, 2], **dotted})


def scenarios() -> dict[str, Scenario]:
    return {
        "bare": chosen(),
        "the same again": chosen(),
        "SPMe": chosen(cell__model="SPMe"),
        "around a gap, with a hold": chosen("coated", coating__contact="closure", protocol__steps=[CC[0], HOLD, CC[1]]),
        "refused": chosen("coated", coating__contact="separate", coating__coverage_loss=0.05),
        "failing": chosen(cell__model="DFN"),
    }


def outcome(run: Scenario) -> str:
    """Digest of all numbers and attributes of a result, or the words of a refusal."""
    try:
        ds = simulate(run)
    except InputError as error:
        return str(error)
    found = hashlib.sha256()
    for name in ds.variables:
        found.update(np.ascontiguousarray(ds[name].values).tobytes())
    return f"{ds.attrs['status']}, {ds.attrs['statistics']}, {found.hexdigest()}"


def at_once(tasks: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each task returns in a thread of its own, all begun together."""
    start, found = threading.Barrier(len(tasks)), dict[str, Any]()

    def work(name: str) -> None:
        start.wait()
        found[name] = tasks[name]()

    threads = [threading.Thread(target=work, args=(name,)) for name in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.fixture
def _impatient() -> Any:
    """Threads that take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_impatient")
def test_runs_in_threads_changed_one_another_s_capacities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solvers, observed variables and scratch arrays were shared; casadi then ended the process or mixed numbers."""
    step = runner.Cell._step

    def failing(cell: runner.Cell, built: runner.Build, *rest: Any) -> Any:
        if built.recipe.model == "DFN":
            raise RuntimeError("corrector convergence failed")
        return step(cell, built, *rest)

    monkeypatch.setattr(runner.Cell, "_step", failing)
    runs = scenarios()
    alone = {name: outcome(run) for name, run in runs.items()}
    assert alone["failing"].startswith("solver failure at cycle 1")
    assert alone["refused"].startswith("coating.coverage_loss must be 0")
    assert at_once({name: partial(outcome, run) for name, run in runs.items()}) == alone


def test_a_second_run_of_a_thread_uses_the_build_of_the_first() -> None:
    cell = loop.prepare(chosen()).cell
    assert loop.prepare(chosen()).cell._build() is cell._build()


def test_threads_shared_what_a_step_writes_to() -> None:
    cell = loop.prepare(chosen()).cell
    asked: dict[str, Callable[[], Any]] = {
        "build": cell._build,
        "workspace": lambda: column.workspace(8),
        "band": lambda: unitcell._band(8, 2),
    }
    mine = {name: ask() for name, ask in asked.items()}
    theirs = at_once(asked)
    assert all(theirs[name] is not mine[name] for name in asked)
    assert all(ask() is mine[name] for name, ask in asked.items())


def test_what_a_thread_remembers_ends_with_it() -> None:
    alive: list[int] = []

    class Build:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    @per_thread(maxsize=2)
    def build(number: int) -> Build:
        """Makes one."""
        return Build()

    kept = build(1)
    at_once({"one": lambda: build(1) and None, "another": lambda: build(2) and None})
    assert len(alive) == 1
    assert build(1) is kept
    build.cache_clear()
    assert build(1) is not kept
    assert build.__doc__ == "Makes one."


@pytest.mark.usefixtures("_impatient")
def test_units_of_two_registries_met() -> None:
    """Threads that were the first to need pint made a registry each, and its units do not mix."""
    units._registry.cache_clear()
    asked = {f"{n} mile": partial(units.parse, f"{n} mile", "length") for n in range(1, 7)}
    assert at_once(asked) == {name: pytest.approx(1609.344 * float(name.split()[0]), rel=1e-12) for name in asked}


def test_the_first_use_of_the_package_may_be_in_several_threads(tmp_path: Path) -> None:
    """Imports, compiled kernels and entry points are loaded once, by whichever thread comes first."""
    code = (
        "import threading, interphase_sim as isim\n"
        "found = []\n"
        "def work():\n"
        "    ds = isim.simulate(isim.load_scenario('bare').replace({'protocol.cycles': 1, 'cell.model': 'SPM'}))\n"
        "    found.append(float(ds.discharge_capacity[1]))\n"
        "threads = [threading.Thread(target=work) for _ in range(3)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "assert len(found) == 3 and len(set(found)) == 1, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
