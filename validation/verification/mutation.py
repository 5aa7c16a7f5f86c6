"""Tests that can fail: small changes to kernels and coupling, each of which some test must notice.

Mutants are drawn with the run's seed. Each is put into a copy of the repository and met there by the tests that cover
its module. What survives is explained in ``survivors.toml``, or is a failure. Kernels are run as plain Python
(``NUMBA_DISABLE_JIT``), the coupling with kernels compiled into a cache of the copy's own.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from validation.verification import mutants
from validation.verification.mutants import Mutant
from validation.verification.study import SEED, Finding, Run, Study

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXPLAINED = HERE / "survivors.toml"
TARGETS = HERE / "targets.toml"
SANDBOX = HERE / "sandbox.py"
READS = (
    "validation/verification/survivors.toml",
    "validation/verification/targets.toml",
    "validation/verification/sandbox.py",
    "tests/*.py",
)
COPIED = ("interphase_sim", "tests", "scenarios", "validation", "pyproject.toml")
LEFT = shutil.ignore_patterns("__pycache__", "output", "particulate")
HEAVY = "numpy,scipy.integrate,scipy.optimize,scipy.sparse.linalg,numba,pytest,pydantic,pint,xarray,pybamm"
CHUNK = 30
SLOWEST = 2.0  # times as long as the unchanged module takes, beside
GRACE = 10.0  # s
QUIET = ("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0")


@dataclass(frozen=True)
class Target:
    """A module, how many of its mutants are drawn, the tests that meet them in order, and which are left out."""

    module: str
    number: int
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the test that noticed it, or "" where it survived."""

    file: str
    function: str
    change: str
    noticed: str
    seconds: float


class Sandbox:
    """A copy of the repository and a process that runs suites in it, see ``sandbox.py``."""

    def __init__(self, copy: Path, process: subprocess.Popen[str]) -> None:
        self.copy, self.process = copy, process
        self.limit = 600.0

    def noticed(self, target: Target) -> tuple[str, float]:
        """The first test that fails in the copy as it is, "" where none does, and the time it took [s]."""
        shutil.rmtree(self.copy / ".hypothesis", ignore_errors=True)  # no example of an earlier mutant
        log, chosen = self.copy / "log", ["-k", " and ".join(f"not {name}" for name in target.without)]
        arguments = [*QUIET, *(chosen if target.without else []), *target.tests]
        asked = {"arguments": arguments, "limit": self.limit, "log": str(log)}
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        text = log.read_text(encoding="utf-8", errors="replace")
        return _verdict(answer["code"], text), float(answer["seconds"])


def _verdict(code: int | None, log: str) -> str:
    """What noticed a change, from pytest's exit code and its words."""
    if code is None:
        return "time limit"
    if code == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", log, re.MULTILINE)
    if code in (1, 2) and failed:
        return failed[1]
    if code < 0:
        return f"signal {-code}"
    raise RuntimeError(f"pytest ended with {code}: {log[-2000:]}")


@contextmanager
def sandbox(folder: Path, compiled: bool) -> Iterator[Sandbox]:
    """A fresh copy in a folder, with its process."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=LEFT)
        else:
            shutil.copy2(source, copy / name)
    caches = {"NUMBA_CACHE_DIR": str(folder / "numba"), "NUMBA_DISABLE_JIT": str(int(not compiled))}
    line = [sys.executable, str(SANDBOX), str(copy), HEAVY]
    with subprocess.Popen(
        line, env=os.environ | caches, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Sandbox(copy, process)
        finally:
            process.kill()


def targets(group: str) -> list[Target]:
    """The modules of a group."""
    table = tomllib.loads(TARGETS.read_text(encoding="utf-8"))[group]
    return [Target(one["module"], one["number"], tuple(one["tests"]), tuple(one.get("without", ()))) for one in table]


def drawn(target: Target, seed: int = SEED) -> list[Mutant]:
    """The mutants of a target."""
    source = (ROOT / "interphase_sim" / target.module).read_text(encoding="utf-8")
    return mutants.drawn(source, target.number, seed)


def met(folder: Path, compiled: bool, target: Target, chosen: Sequence[Mutant]) -> list[Outcome]:
    """What became of mutants of one module. Raises RuntimeError where its tests fail without any change."""
    found = []
    with sandbox(folder, compiled) as box:
        path = box.copy / "interphase_sim" / target.module
        source = path.read_text(encoding="utf-8")
        failed, seconds = box.noticed(target)
        if failed:
            raise RuntimeError(f"{failed} fails without any change to {target.module}")
        box.limit = SLOWEST * seconds + GRACE
        for mutant in chosen:
            path.write_text(mutant.source, encoding="utf-8")
            noticed, seconds = box.noticed(target)
            found.append(Outcome(target.module, mutant.function, mutant.change, noticed, seconds))
        path.write_text(source, encoding="utf-8")
    return found


def explained() -> dict[tuple[str, str, str], str]:
    """Why a mutant may survive, by file, function and change."""
    told = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["survivor"]
    return {(one["file"], one["function"], one["change"]): one["reason"] for one in told}


def _digest(target: Target) -> str:
    """Of what decides the outcomes beside the package: the tests, and how they are asked."""
    found = hashlib.sha256(repr(target).encode() + SANDBOX.read_bytes())
    for path in _suite(target):
        found.update(path.read_bytes())
    return found.hexdigest()[:8]


def _suite(target: Target) -> Iterator[Path]:
    """The files of the tests that meet a target, those that they import from, and all that help tests."""
    files = {path.stem: path for path in sorted((ROOT / "tests").glob("*.py"))}
    met_by = {Path(test.partition("::")[0]).stem for test in target.tests}
    for name in sorted(met_by):
        met_by |= set(re.findall(r"^from (test_\w+) import", files[name].read_text(encoding="utf-8"), re.MULTILINE))
    yield from (path for name, path in files.items() if name in met_by or not name.startswith("test_"))


def outcomes(run: Run, target: Target, compiled: bool) -> list[Outcome]:
    """What became of a target's mutants, chunk by chunk."""
    chosen = drawn(target, run.seed)[: 3 if run.quick else None]

    def work(first: int, last: int) -> dict[str, Any]:
        found = met(run.folder, compiled, target, chosen[first:last])
        return {"outcomes": [asdict(outcome) for outcome in found]}

    name = target.module.replace("/", "-").removesuffix(".py")
    chunks = run.chunks(f"{name}-{_digest(target)}", len(chosen), CHUNK, work)
    return [Outcome(**outcome) for chunk in chunks for outcome in chunk["outcomes"]]


def _study(group: str, compiled: bool, name: str, run: Run) -> Finding:
    found = [outcome for target in targets(group) for outcome in outcomes(run, target, compiled)]
    reasons = explained()
    alive = [o for o in found if not o.noticed]
    open_ = [o for o in alive if (o.file, o.function, o.change) not in reasons]
    late = sum(o.noticed == "time limit" for o in found)
    figure = f"{len(found) - len(alive)} noticed ({late} by the time limit), {len(alive) - len(open_)} explained"
    note = "; ".join(f"unexplained: {o.file} {o.function}: {o.change}" for o in open_)
    return Finding(f"mutants of {name}", len(found), len(open_), figure, "no survivor unexplained", note)


STUDIES: dict[str, Study] = {
    "kernels": functools.partial(_study, "kernels", False, "the kernels, run as plain Python"),
    "contacts": functools.partial(_study, "contacts", True, "the contacts and losses"),
    "loop": functools.partial(_study, "loop", True, "the cell, the loop and its jumps"),
}
