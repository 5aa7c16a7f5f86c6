"""Mutated and random files for every reader: accepted, or refused by a sentence that names the file."""

from __future__ import annotations

import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from interphase_sim import materials, results
from interphase_sim.errors import InputError
from interphase_sim.resources import shipped
from interphase_sim.scenario import load_scenario
from validation.verification import command
from validation.verification.strategies import setting_of
from validation.verification.study import Finding, Run, Study
from validation.verification.watchdog import Watched

TOTALS = {"scenario": 8000, "kinetics": 4000, "cell": 4000, "material": 2000, "result": 3000}
PER_CHUNK, PER_TASK = 500, 25
SLOW, SIZE = 5.0, 1_000_000_000  # s, bytes
COMMANDS = 100
FILES = {"scenario": "coated.toml", "kinetics": "kinetics.toml", "cell": "cell_walther2021.toml"}
TOKENS = (
    "nan", "inf", "-inf", "1e400", "-1e400", "9" * 400, "1e-400", "0", "-1", "true", '""', "[]", "{}", "[[[[[[[[",
    "]]]]", "'", '"', "\\u0000", "\x00", "\u2028", "µm", "²", "\ud7ff", "🜁" * 50, "1 parsec", "1e999 nm", "nan nm",
    "0x1p3 nm", "1979-05-27", '"../../etc/passwd"', '"/etc/passwd"', '"shipped:../x.toml"', "{value=1,value=2}",
    "a.b.c = 1\n", "[coating]\n", "[[protocol.steps]]\n", "#" * 3000, "x = " + "[" * 600 + "]" * 600,
    "x = [" + "1," * 100_000 + "]", '"' + "a" * 50_000 + '"', "{a=" * 300, "1_000_000_000_000", "__class__", "°C",
    "1e5 V", "-300 degC", "C/0", "1 m" * 99, '"1e-300 nm"', '"1e300 m"', '"1e-30 K"', '"1e9 degC"', "1e-300", "1e300",
)  # fmt: skip


def mutated(content: bytes, chance: np.random.Generator) -> bytes:
    """A valid file with one change, at times up to four, or random bytes."""
    if chance.random() < 0.05:
        return chance.bytes(int(chance.integers(0, 3000)))
    for _ in range(1 + int(chance.integers(0, 2)) * int(chance.integers(0, 4))):
        content = _changed(content, chance)
    return content


def _changed(content: bytes, chance: np.random.Generator) -> bytes:
    """One flipped byte, cut, doubled or swapped part, or token in the place of a value or anywhere."""
    size, kind = len(content), int(chance.integers(7))
    at, other = sorted(int(i) for i in chance.integers(0, size + 1, 2))
    token = TOKENS[int(chance.integers(len(TOKENS)))].encode("utf-8", "surrogatepass")
    if kind == 0:
        return content[:at] + chance.bytes(1) + content[at + 1 :]
    if kind == 1:
        return content[:at] + content[min(at + int(chance.integers(1, 60)), size) :]
    if kind == 2:
        return content[:other] + content[at : min(other, at + 500)] + content[other:]
    if kind == 3:
        lines = content.splitlines(keepends=True)
        chance.shuffle(lines)
        return b"".join(lines)
    if kind == 4:
        return content[:at] + token + content[at:]
    marks = [i for i, byte in enumerate(content[:200_000]) if byte in b"="]
    if not marks:
        return token
    start = marks[int(chance.integers(len(marks)))] + 1
    end = content.find(b"\n" if kind == 5 else b",", start)
    return content[:start] + b" " + token + content[end if end > 0 else size :]


def _scenario(path: Path) -> None:
    """A scenario, and the contacts that a run would lay out."""
    setting_of(load_scenario(path))


def _material(path: Path) -> None:
    materials.parsed(path.read_bytes().decode("utf-8", "replace"), str(path))


READERS: dict[str, Callable[[Path], Any]] = {
    "scenario": _scenario,
    "kinetics": lambda path: _scenario(path.with_name("coated.toml")),
    "cell": lambda path: _scenario(path.with_name("coated.toml")),
    "material": _material,
    "result": results.read,
}


def tried(task: tuple[str, str, int, int, int]) -> dict[str, Any]:
    """Inputs [first, last) of a kind: how many were accepted, and what was wrong about the rest."""
    kind, folder, seed, first, last = task
    home = Path(folder) / f"{kind}-inputs"
    path, content = _prepared(kind, Path(folder), home)
    found: dict[str, Any] = {"accepted": 0, "failures": []}
    _bounded()
    for number in range(first, last):
        path.write_bytes(mutated(content, np.random.default_rng([seed, number])))
        told = _judged(READERS[kind], path, home)
        found["accepted"] += told is None
        found["failures"] += [f"{kind} {number}: {told}"] if told else []
    found["bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found


def _prepared(kind: str, folder: Path, home: Path) -> tuple[Path, bytes]:
    """The path that is written for every input, among valid files, and the valid content."""
    home.mkdir(parents=True, exist_ok=True)
    for file in shipped("scenarios").glob("*.toml"):
        shutil.copy(file, home)
    if kind in FILES:
        return home / FILES[kind], (home / FILES[kind]).read_bytes()
    if kind == "material":
        return home / "coatings.csv", (Path(materials.__file__).parent / "coatings.csv").read_bytes()
    return home / results.FILE_NAME, (folder / results.FILE_NAME).read_bytes()


def _bounded() -> None:
    """A gigabyte of address space more than there is now, once for the process."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + SIZE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.signal(signal.SIGALRM, _late)


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"took longer than {SLOW} s")


def _judged(read: Callable[[Path], Any], path: Path, home: Path) -> str | None:
    """None where the file is accepted, "" where it is refused as it should be, else what is wrong."""
    start = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, 6 * SLOW)  # wall time of a busy machine; the processor's is judged
    try:
        read(path)
    except InputError as error:
        lines = str(error).splitlines()
        named = all(line.startswith((str(home), *KEYS)) for line in lines)
        return "" if lines and named else f"names no file or key: {str(error)[:300]!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    spent = time.process_time() - start
    return None if spent < SLOW else f"took {spent:.1f} s"


KEYS = ("coating.", "numerics.", "kinetics.", "cell.", "coatings table", "protocol.")  # of what a run refuses


def _study(kind: str) -> Study:
    def study(run: Run) -> Finding:
        _result(run)

        def chunk(first: int, last: int) -> dict[str, Any]:
            found: dict[str, Any] = {"accepted": 0, "failures": [], "bytes": 0}
            with Watched(tried, 8 * SLOW * PER_TASK) as watched:
                for start in range(first, last, PER_TASK):
                    end = min(start + PER_TASK, last)
                    got = watched((kind, str(run.folder), run.seed, start, end))
                    got = got if isinstance(got, dict) else {"failures": [f"{kind} {start}-{end}: {got}"]}
                    found["accepted"] += got.get("accepted", 0)
                    found["failures"] += got["failures"]
                    found["bytes"] = max(found["bytes"], got.get("bytes", 0))
            return found

        total = 2 * PER_TASK if run.quick else TOTALS[kind]
        parts = run.chunks(kind, total, PER_CHUNK, chunk)
        failures = [text for part in parts for text in part["failures"]]
        accepted, most = sum(part["accepted"] for part in parts), max(part["bytes"] for part in parts)
        failures += [f"a process grew to {most / 1e6:.0f} MB"] if most > SIZE else []
        figure = f"{accepted} accepted, the rest refused; at most {most / 1e6:.0f} MB"
        bound = "accepted or refused by file and key, below 1 GB and 5 s"
        return Finding(f"{kind} files, mutated", total, len(failures), figure, bound, "; ".join(failures[:20]))

    return study


def _result(run: Run) -> None:
    """A small valid result to mutate."""
    path = run.folder / results.FILE_NAME
    if not path.exists():
        from interphase_sim.simulation import simulate

        short = {"protocol.cycles": 2, "cell.model": "SPM", "numerics.output_cycles": [1, 2]}
        results.write(simulate(load_scenario("bare").replace(short)), path)


def commands(run: Run) -> Finding:
    """A sample through the command line: exit code 0 or 2, and never a traceback."""
    _result(run)

    def chunk(first: int, last: int) -> dict[str, Any]:
        failures = []
        for number in range(first, last):
            kind = tuple(READERS)[number % len(READERS)]
            if kind == "material":
                kind = "scenario"
            path, content = _prepared(kind, run.folder, run.folder / "commands")
            path.write_bytes(mutated(content, np.random.default_rng([run.seed, 10**6 + number])))
            asked = path if kind in ("scenario", "result") else path.with_name("coated.toml")
            code, told = command.ended("info", asked)
            failures += [f"{kind} {number}: {code} {told[-200:]}"] if code not in (0, 2) or "Traceback" in told else []
            if kind in FILES:
                shutil.copy(shipped("scenarios") / FILES[kind], path)
        return {"failures": failures}

    total = 5 if run.quick else COMMANDS
    parts = run.chunks("commands", total, 10, chunk)
    failures = [text for part in parts for text in part["failures"]]
    figure = "exit code 0 or 2, no traceback"
    return Finding("the same through the command line", total, len(failures), figure, figure, "; ".join(failures))


STUDIES: dict[str, Study] = {kind: _study(kind) for kind in TOTALS} | {"commands": commands}
