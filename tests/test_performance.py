"""The benchmarks: what they compare solves the same problem, and how measurements become verdicts."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closeness import near

from benchmarks import __main__ as command
from benchmarks import problem, scipy_column, store, study, table, tasks
from benchmarks.tasks import Task
from interphase_sim.scenario import load_scenario

TASK = Task("cell", "coupled SPMe", {"kind": "coupled"})


@pytest.fixture(scope="module")
def small() -> problem.Problem:
    return problem.problem("coated", 1, 24, 1025)


# The same problem for everyone


@pytest.mark.parametrize("name", ["LSODA-numba", "LSODA-numpy", "BDF-numpy", "Radau-numba"])
def test_scipy_solves_the_kernels_problem(small: problem.Problem, name: str) -> None:
    expected = problem.kernel(small, 1e-8)
    found = scipy_column.solver(*name.split("-"))(small, 1e-7)
    assert problem.error(found, expected) < 1e-4


def test_pybamm_solves_the_kernels_problem(small: problem.Problem) -> None:
    from benchmarks import pybamm_column

    expected = problem.kernel(small, 1e-8)
    assert problem.error(pybamm_column.solve(small, 1e-8, compiled=False), expected) < 1e-4


def test_the_sparsity_holds_every_entry(small: problem.Problem) -> None:
    x = scipy_column.start(small) + 1e-3 * small.start.rates.t0
    side = scipy_column.numpy_side(small, 0)
    base, pattern = side(3600.0, x), scipy_column.sparsity(24).toarray()
    for j in range(x.size):
        moved = x.copy()
        moved[j] *= 1.001
        touched = np.flatnonzero(side(3600.0, moved) != base)
        assert all(pattern[i, j] for i in touched), j
        assert all(abs(i - j) <= scipy_column.NS for i in touched), j


def test_both_right_hand_sides_are_the_same(small: problem.Problem) -> None:
    x = scipy_column.start(small) + 1e-3 * small.start.rates.t0
    pair = [make(small, 1)(7200.0, x) for make in (scipy_column.numpy_side, scipy_column.numba_side)]
    assert pair[1] == near(pair[0], rel=1e-9)


def test_a_peer_that_cannot_tell_the_diffusivity_refuses() -> None:
    given = problem.problem("coated", 1, 12)
    changing = given.start.rates._replace(beta=-0.5)
    other = problem.Problem(
        type(given.start)(given.start.grid, changing, given.start.reach, given.start.y, given.start.u),
        given.drives,
        given.histories,
        given.tolerance,
    )
    with pytest.raises(ValueError, match="does not depend on the conversion"):
        scipy_column.constants(other)


def test_the_loosest_tolerance_within_the_bound_is_taken() -> None:
    errors = {1e-3: math.inf, 1e-4: 3e-5, 1e-5: 2e-6}
    assert problem.loosest(errors.__getitem__, 1e-5, tuple(errors)) == (1e-5, 2e-6)
    assert problem.loosest(errors.__getitem__, 1e-4, tuple(errors)) == (1e-4, 3e-5)
    assert problem.loosest(errors.__getitem__, 1e-9, tuple(errors)) == (1e-5, 2e-6)


def test_an_error_is_relative_and_what_is_no_number_is_none_at_all() -> None:
    reference = {"oxygen": 2.0, "P2S5": 1e-6}
    assert problem.error({"oxygen": 2.002, "P2S5": 1e-6}, reference) == near(1e-3, rel=1e-9)
    assert problem.error({"oxygen": 2.0, "P2S5": 1.1e-6}, reference) == near(5e-5, rel=1e-6)  # small beside oxygen
    assert math.isinf(problem.error({"oxygen": math.nan, "P2S5": 1e-6}, reference))


def test_the_benchmarks_cell_has_everything_switched_on() -> None:
    bench = load_scenario("bench")
    losses, reactions = bench.kinetics.losses, bench.kinetics.reactions
    assert bench.coating is not None
    assert bench.coating.contact == "closure"
    assert losses.film
    assert losses.slow_lithiation
    assert losses.isolation
    assert losses.rock_salt
    assert losses.electrolyte_oxidation
    rates = (reactions.phosphate, reactions.sulfate, reactions.polysulfide_sulfate, reactions.sulfide_oxidation)
    assert all(rate.si > 0 for rate in (*rates, reactions.thiophosphate_oxidation, losses.mechanical_loss))


# Tasks and what is stored


def test_tasks_have_names_of_their_own() -> None:
    listed = [*tasks.cell(tasks.Sizes(), True), *tasks.tuning(tasks.Sizes(), True), *tasks.cli(tasks.Sizes())]
    listed += [*tasks.memory(tasks.Sizes()), *tasks.scaling(tasks.Sizes())]
    names = [task.name for task in listed]
    assert len(names) == len(set(names))
    assert {task.part for task in listed} == set(tasks.PARTS)


def test_jumps_are_measured_only_where_there_are_any() -> None:
    without = list(tasks.cell(tasks.Sizes(), False))
    assert not [task for task in without if "jump" in json.dumps(task.asks)]
    assert [task.name for task in tasks.cell(tasks.Sizes(), True) if task.name.endswith(" jump")]


def test_rounds_alternate_and_go_on_where_they_stopped() -> None:
    a, b, slow = (Task("cell", name, {}, most=most) for name, most in (("a", 9), ("b", 9), ("slow", 1)))
    assert [t.name for t in study.order([a, b, slow], {}, 2)] == ["a", "b", "slow", "b", "a"]
    assert [t.name for t in study.order([a, b, slow], {"a": 1, "b": 2, "slow": 1}, 2)] == ["a"]


def test_only_measurements_of_the_same_task_and_code_count(tmp_path: Path) -> None:
    store.append(tmp_path, TASK, {"seconds": 1.0, "memory": 1.0})
    other = Task("cell", TASK.name, {"kind": "shares"})
    assert store.load(tmp_path, [TASK])[TASK.name][0]["seconds"] == 1.0
    assert store.load(tmp_path, [other])[TASK.name] == []
    with (tmp_path / "cell.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"name": "coupled')  # cut off while writing
    assert len(store.load(tmp_path, [TASK])[TASK.name]) == 1


def test_times_are_asked_for_at_the_tolerances_found(tmp_path: Path) -> None:
    tuned = next(iter(tasks.tuning(tasks.QUICK, False)))
    assert not [t for t in study.planned(["kernel"], tasks.QUICK, tmp_path) if t.name.startswith("solve")]
    store.append(tmp_path, tuned, {"seconds": 1.0, "memory": 1.0, "facts": {"tolerance": 1e-5}})
    (solve,) = [t for t in study.planned(["kernel"], tasks.QUICK, tmp_path) if t.name.startswith("solve")]
    assert solve.asks["tolerance"] == 1e-5
    assert solve.asks["solver"] == "kernel"


def test_a_measurement_is_a_process_of_its_own() -> None:
    asks = {"kind": "command", "arguments": ["--help"]}
    found = study.measured(asks, cold=False)
    assert found["seconds"] > 0
    assert found["memory"] > 1
    with pytest.raises(study.Failed, match="exit status 2"):
        study.measured(asks | {"arguments": ["--halp"]}, cold=False)


# The table


def _records(**seconds: list[float]) -> dict[str, list[dict[str, Any]]]:
    return {name: [{"seconds": s, "memory": 300.0, "load": 1.0} for s in values] for name, values in seconds.items()}


def test_a_figure_is_a_ratio_of_least_times_with_that_of_medians() -> None:
    found = _records(peer=[4.0, 3.0, 5.0], ours=[2.0, 1.0, 2.0])
    figure = table._ratio(found, "", 1.5, 3.5, "peer", "ours")
    assert figure.reached == 3.0
    assert figure.median == 2.0
    assert figure.times == 3
    assert figure.verdict == "must"


@pytest.mark.parametrize(
    ("reached", "more", "verdict"),
    [
        (2.5, True, "goal"),
        (1.5, True, "must"),
        (1.49, True, "**missed**"),
        (0.3, False, "goal"),
        (math.nan, True, "not measured"),
    ],
)
def test_verdicts(reached: float, more: bool, verdict: str) -> None:
    must, goal = (1.5, 2.5) if more else (0.4, 0.3)
    assert table.Figure("", must, goal, reached, more=more).verdict == verdict


def test_less_is_better_of_memory_and_its_worst_counts() -> None:
    found = {"memory SPMe": [{"memory": 410.0}, {"memory": 390.0}]}
    figure = table._memory(found, "", 500.0, 400.0, "memory SPMe")
    assert figure.reached == 410.0
    assert figure.verdict == "must"


def test_a_jump_is_judged_at_every_cycle_of_both_cells() -> None:
    full, jumped = {"facts": {"capacities": [3.0, 2.0]}}, {"facts": {"capacities": [3.0, 2.4]}}
    found = {"bare SPMe": [full], "bare SPMe jump": [full], "coated SPMe": [full]}
    assert math.isnan(table.jump_error(found))
    assert table.jump_error(found | {"coated SPMe jump": [jumped]}) == near(0.4, rel=1e-9)


def test_a_table_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--draw", "--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "not measured" in told
    assert "missed" not in told
    assert (tmp_path / command.TABLE).read_text(encoding="utf-8") == told


def test_a_part_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--parts", "cell,wheel"])
    assert "no part 'wheel'" in capsys.readouterr().err
