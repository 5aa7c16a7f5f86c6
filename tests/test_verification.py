"""The verification: its frame, and every part that is cheap at its quick sizes."""

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from validation.verification import __main__ as command
from validation.verification import mutants, mutation, sitting, store, study
from validation.verification.store import Stored
from validation.verification.study import Finding, Run


def _run(folder: Path, code: str = "this") -> Run:
    return Run(folder, code, quick=True)


class Work:
    """Counts what it is asked for, and breaks off at a case."""

    def __init__(self, breaks_at: int = 10**9) -> None:
        self.asked: list[tuple[int, int]] = []
        self.breaks_at = breaks_at

    def __call__(self, first: int, last: int) -> dict[str, Any]:
        if first <= self.breaks_at < last:
            raise KeyboardInterrupt
        self.asked.append((first, last))
        return {"sum": sum(range(first, last))}


# Chunks


def test_chunks_cover_every_case_once(tmp_path: Path) -> None:
    work = Work()
    found = _run(tmp_path).chunks("a", 10, 4, work)
    assert work.asked == [(0, 4), (4, 8), (8, 10)]
    assert sum(chunk["sum"] for chunk in found) == 45


def test_a_study_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path).chunks("a", 10, 4, Work(breaks_at=5))
    work, run = Work(), _run(tmp_path)
    found = run.chunks("a", 10, 4, work)
    assert work.asked == [(4, 8), (8, 10)]
    assert [chunk["sum"] for chunk in found] == [6, 22, 17]
    assert run.earlier > 0


def test_chunks_of_other_code_size_or_seed_are_computed_again(tmp_path: Path) -> None:
    _run(tmp_path).chunks("a", 4, 4, Work())
    other_seed = _run(tmp_path)
    other_seed.seed += 1
    for run, size in ((_run(tmp_path, "other"), 4), (_run(tmp_path), 3), (other_seed, 4)):
        work = Work()
        run.chunks("a", 4, size, work)
        assert work.asked


def test_a_damaged_chunk_is_computed_again(tmp_path: Path) -> None:
    _run(tmp_path).chunks("a", 4, 4, Work())
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text()[:-5])
    work = Work()
    _run(tmp_path).chunks("a", 4, 4, work)
    assert work.asked == [(0, 4)]


# Findings and their digest


def test_a_finding_of_other_code_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Stored(Finding("s", 3, 1, "2 m", "< 1 m", "why"), 2.5)
    store.save(tmp_path, "limits", "s", found)
    assert store.load(tmp_path, "limits", "s") == found
    monkeypatch.setattr(store, "code", lambda part: "other")
    assert store.load(tmp_path, "limits", "s") is None


def test_the_digest_follows_what_a_part_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "validation" / "verification"
    package.mkdir(parents=True)
    sources = {"study": "", "one": "from validation.verification import two", "two": "X = 1", "three": "X = 1"}
    for name, text in sources.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setattr(store, "HERE", package)
    before = store.code("one")
    for name, text, same in (("three", "X = 2", True), ("two", "X = 1  # a word", True), ("two", "X = 2", False)):
        (package / f"{name}.py").write_text(text)
        assert (store.code("one") == before) is same


# The command

FINDINGS = {"good": Finding("holds", 5, 0, "1e-6 m", "< 1e-5 m"), "bad": Finding("fails", 5, 2, "2 | 3", note="odd")}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Parts with made-up studies; returns what is computed."""
    asked: list[str] = []

    def made(name: str, run: Run) -> Finding:
        asked.append(name)
        if name == "broken":
            raise ArithmeticError("no way on")
        if name == "slow":
            raise KeyboardInterrupt
        return FINDINGS[name]

    def studies(part: str) -> dict[str, study.Study]:
        return {part: lambda run: made(part, run)}

    monkeypatch.setattr(store, "parts", lambda: ("good", "bad", "broken", "slow"))
    monkeypatch.setattr(store, "studies", studies)
    for digest in ("code", "judged"):
        monkeypatch.setattr(store, digest, lambda part: "this")
    return asked


def _command(folder: Path, *arguments: str) -> int:
    return command.main([*arguments, "--workers", "1", "--folder", str(folder)])


def test_findings_are_computed_once(tmp_path: Path, made_up: list[str]) -> None:
    assert _command(tmp_path, "good") == 0
    assert _command(tmp_path, "good") == 0
    assert made_up == ["good"]
    assert _command(tmp_path, "good", "--quick") == 0  # apart from the others
    assert made_up == ["good", "good"]


def test_failures_and_missing_findings_are_told(
    tmp_path: Path, made_up: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _command(tmp_path, "bad", "good") == 1
    text = (tmp_path / "table.md").read_text()
    assert text == capsys.readouterr().out
    assert "| bad | fails | 5 | 2 | 2 \\| 3 |  | 0 |" in text
    assert "| good | holds | 5 | 0 | 1e-6 m | < 1e-5 m | 0 |" in text
    assert "* bad, fails: odd" in text
    assert "2 of 2 studies, 10 cases, 2 failures" in text
    assert _command(tmp_path, "good", "slow", "--table") == 1
    assert "| slow | slow | - | - | not computed |  | - |" in (tmp_path / "table.md").read_text()
    assert made_up == ["bad", "good"]


def test_a_study_that_breaks_off_is_a_failure_and_computed_again(tmp_path: Path, made_up: list[str]) -> None:
    assert _command(tmp_path, "broken") == 1
    assert "ArithmeticError: no way on" in (tmp_path / "table.md").read_text()
    assert _command(tmp_path, "broken", "good") == 1
    assert made_up == ["broken", "broken", "good"]


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(
    tmp_path: Path, made_up: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _command(tmp_path, "good", "slow") == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert json.loads((tmp_path / "good" / "good.json").read_text())["finding"]["cases"] == 5


def test_an_unknown_part_is_refused_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _command(tmp_path, "limts")
    assert ended.value.code == 2
    assert "no part 'limts', nearest is 'limits'" in capsys.readouterr().err


def test_a_worker_that_dies_breaks_its_study_off() -> None:
    assert sitting.broken(("part", "study"), RuntimeError("died")).finding.failures == 1


# Mutants

SOURCE = """
LIMIT = 3

def share(part, whole):
    if part > whole and LIMIT > 2:
        raise ValueError
    total = -part / max(whole, 1.0)
    log.info("%d", 5 + 5)
    return total
"""


def _changes() -> dict[str, str]:
    return {mutant.change: mutant.source for mutant in mutants.drawn(SOURCE, 1000, 1)}


def test_mutants_are_of_every_kind() -> None:
    head, total = "if part > whole and LIMIT > 2:", "total = -part / max(whole, 1.0)"
    for change in (
        "LIMIT = 3 -> LIMIT = 4",
        f"{head} -> if part >= whole and LIMIT > 2:",
        f"{head} -> if part > whole or LIMIT > 2:",
        f"{head} -> if not (part > whole and LIMIT > 2):",
        f"{total} -> total = -part * max(whole, 1.0)",
        f"{total} -> total = +part / max(whole, 1.0)",
        f"{total} -> total = -part / min(whole, 1.0)",
        f"{total} -> total = -part / max(whole, 2.0)",
        f"{total} -> total = -(-part / max(whole, 1.0))",
        "raise ValueError -> pass",
    ):
        assert change in _changes(), change


def test_every_mutant_compiles_and_is_another_module() -> None:
    unchanged = ast.unparse(ast.parse(SOURCE))
    for change, source in _changes().items():
        compile(source, change, "exec")
        assert source.strip() != unchanged, change
    assert unchanged == ast.unparse(ast.parse(SOURCE))


def test_mutants_of_functions_that_stay_stay_drawn() -> None:
    more = SOURCE + "\ndef other(x):\n    return x + 1\n"
    before, after = ({m.change for m in mutants.drawn(source, 1000, 1)} for source in (SOURCE, more))
    assert before < after
    few = [m.change for m in mutants.drawn(more, 5, 1) if m.function == "share"]
    assert few == [m.change for m in mutants.drawn(SOURCE, 5, 1)][: len(few)]


def test_a_mutant_is_met_in_a_copy(tmp_path: Path) -> None:
    target = mutation.Target("ageing/law.py", 1, ("tests/test_ageing.py",))
    (before,) = [m for m in mutation.drawn(replace(target, number=1000)) if m.change.startswith("return 1.0 - self")][
        :1
    ]
    assert before.source
    (outcome,) = mutation.met(tmp_path, False, target, [before])
    assert outcome.noticed.startswith("tests/test_ageing.py::")
    assert (store.ROOT / "interphase_sim" / "ageing" / "law.py").read_text() != before.source


def test_the_verdict_of_a_suite() -> None:
    assert mutation._verdict(None, "") == "time limit"
    assert mutation._verdict(0, "3 passed") == ""
    assert mutation._verdict(1, "x\nFAILED tests/a.py::b - oh") == "tests/a.py::b"
    assert mutation._verdict(2, "ERROR tests/a.py - NameError") == "tests/a.py"
    assert mutation._verdict(-11, "") == "signal 11"
    with pytest.raises(RuntimeError, match="ended with 5"):
        mutation._verdict(5, "no tests ran")


def test_survivors_are_explained_by_mutants_that_exist() -> None:
    for file, function, change in mutation.explained():
        source = (store.ROOT / "interphase_sim" / file).read_text(encoding="utf-8")
        assert (function, change) in {(m.function, m.change) for m in mutants.every(source)}, change


def test_enough_mutants_are_drawn() -> None:
    assert sum(target.number for group in mutation.STUDIES for target in mutation.targets(group)) >= 300


# The parts at quick sizes

CHEAP = ("orders", "limits", "crosscheck", "coupling")
QUICK = [(part, name) for part in CHEAP for name in store.studies(part)]


@pytest.mark.parametrize("name", QUICK, ids=" ".join)
def test_quick_studies_find_no_failure(name: tuple[str, str], tmp_path: Path) -> None:
    found = sitting.compute(name, True, tmp_path).finding
    assert found.failures == 0, found
    assert found.cases > 0
