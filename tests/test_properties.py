"""The properties of `make verify` on few cases that never change; the search is in validation/verification."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interphase_sim.scenario import Scenario
from interphase_sim.simulation import simulate
from validation.verification import fuzz, histories, properties, runs, watchdog
from validation.verification.search import search
from validation.verification.strategies import COLUMNS, UNIT_CELLS, drawn, scenarios
from validation.verification.strategies import histories as random_histories

SAME = settings(
    max_examples=10, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


def meets(cases: st.SearchStrategy[Any], check: Callable[[Any], float]) -> None:
    """Ten cases pass a check."""

    @SAME
    @given(cases)
    def checked(case: Any) -> None:
        check(case)

    checked()


CHECKS = [histories.invariants, histories.resists_more, histories.splits]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
@pytest.mark.parametrize(("kinds", "bare"), [(COLUMNS, True), (UNIT_CELLS, False)], ids=["columns", "unit cells"])
def test_a_contact_on_a_given_history(check: Callable[[Any], float], kinds: tuple[str, ...], bare: bool) -> None:
    meets(random_histories(kinds, bare), check)


@pytest.mark.parametrize(("kinds", "bare"), [(COLUMNS, True), (UNIT_CELLS, False)], ids=["columns", "unit cells"])
def test_uptake_rises_with_exposure_rates_and_heat(kinds: tuple[str, ...], bare: bool) -> None:
    cases = st.tuples(random_histories(kinds, bare, properties.EVEN), st.integers(0, 6))
    meets(cases, histories.grows_more)


@SAME
@given(scenarios(1000), st.integers(0, 99))
def test_scenarios_survive_other_units(scenario: Scenario, number: int) -> None:
    changed = properties._rewritten(scenario.to_dict(), np.random.default_rng(number))
    assert Scenario.from_dict(changed).digest() == scenario.digest()


def test_random_runs_are_sound_and_resume(tmp_path: Path) -> None:
    cell = {"cell.model": "SPM", "numerics.particle_cells": 20}
    for number, scenario in enumerate(drawn(scenarios(4, cell), 4, 5)):
        ds = simulate(scenario)
        assert runs.breaches(ds, scenario) == []
        runs.same(runs.stopped(scenario, tmp_path / str(number), 2), ds)


def test_a_search_finds_and_shrinks() -> None:
    def small(number: float) -> float:
        assert number < 7, "seven"
        return number

    found = search(st.integers(0, 1000), small, 200, 1)
    assert found["failures"] == ["AssertionError in small: seven assert 7 < 7; case: 7"]
    assert search(st.integers(0, 6), small, 200, 1) == {"cases": 7, "worst": 6, "failures": []}


def test_breaches_are_noticed() -> None:
    cell = {"cell.model": "SPM", "numerics.particle_cells": 20}
    fixed = {"protocol.cycles": 3, "numerics.output_cycles": [1, 3], "numerics.jump": False}
    (scenario,) = drawn(scenarios(1, cell, bare=True, fixed=fixed), 1, 3)
    ds = simulate(scenario)
    assert runs.breaches(ds, scenario) == []
    for name, value, words in (
        ("discharge_capacity", np.nan, "discharge_capacity is not finite"),
        ("discharge_capacity", 0.0, "in a cycle that is recorded"),
        ("layer_thickness", -1e-9, "layer_thickness falls"),
        ("ledger_residual", 1e-3, "the ledger is off"),
        ("connected_fraction", 2.0, "shares of NCM are off"),
    ):
        wrong = ds.copy(deep=True)
        wrong[name][-1] = value
        assert any(words in text for text in runs.breaches(wrong, scenario)), name


@pytest.mark.parametrize("kind", sorted(fuzz.READERS))
def test_mutated_files_are_read_or_refused_by_name(kind: str, tmp_path: Path) -> None:
    if kind == "result":
        import synthetic

        from interphase_sim import results

        results.write(synthetic.result(cycles=3, output_cycles=(1, 3)), tmp_path / results.FILE_NAME)
    home = tmp_path / "home"
    path, content = fuzz._prepared(kind, tmp_path, home)
    for number in range(40):
        path.write_bytes(fuzz.mutated(content, np.random.default_rng([4, number])))
        assert not fuzz._judged(fuzz.READERS[kind], path, home), number


def _work(task: str) -> str:
    while task == "hang":
        pass
    if task == "die":
        raise SystemExit
    return task


def test_a_watchdog_ends_what_hangs_or_dies() -> None:
    with watchdog.Watched(_work, 1.0, first=60.0) as watched:
        answers = [watched(task) for task in ("go", "hang", "die", "go")]
    assert answers == ["go", watchdog.TOO_LONG, watchdog.DIED, "go"]
