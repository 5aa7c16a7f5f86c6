"""Files that are full, closed to writing, old or damaged; nothing read is executed, and no connection is opened."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from interphase_sim import results
from interphase_sim.errors import InputError
from interphase_sim.interphase import kernels
from interphase_sim.simulation import checkpoint, simulate
from validation.verification import command, kill
from validation.verification.study import Finding, Run, Study

DAMAGED, PER_CHUNK = 600, 100
BAD_INPUT = 2
BLOCK = 4096
REFUSED_SIZES = ("disk full", "file size limited")
CLOSED = ("read-only file system", "below a file")
SCHEMAS = (0, 1, results.MAJOR + 1)
KERNEL = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
import edited
rates = edited.Rates(*[1.0] * 14)
dy = np.empty((10, 1))
edited.react(rates, np.zeros(1), 0.0, 0.0, np.ones((10, 1)), dy)
print(dy[4, 0])
"""
LISTENER = """
import os, sys
seen, on = [], [False]
def hear(event, arguments):
    within = event == "socket.bind" and arguments[1][0] in ("::1", "127.0.0.1")  # how urllib3 asks for IPv6
    if on[0] and event in {events!r} and not within:
        seen.append((event, repr(arguments)[:200]))
sys.addaudithook(hear)
"""
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto")
EXECUTION = ("pickle.find_class", "exec", "os.system", "subprocess.Popen")  # "exec" is heard for eval too


def small(run: Run) -> tuple[Path, Path]:
    """The file and the folder of a short finished run, of which each test has its copy."""
    run.folder.mkdir(parents=True, exist_ok=True)
    chosen = kill.scenario("coated").replace({"protocol.cycles": 4, "numerics.output_cycles": [1, 4]})
    file, folder = command.written(chosen, run.folder / "small.toml"), run.folder / "small"
    if not (folder / results.FILE_NAME).exists():
        code, told = command.ended("run", file, "-o", folder, "--force")
        if code:
            raise RuntimeError(told)
    return file, folder


def refused(code: int, told: str, words: str) -> list[str]:
    """What is wrong about a refusal: exit code 2, one sentence, no traceback."""
    errors = [line for line in told.splitlines() if line.startswith("Error: ")]
    wrong = [f"exit code {code}"] if code != BAD_INPUT else []
    wrong += ["a traceback"] if "Traceback" in told else []
    return wrong + ([] if any(words in line for line in errors) else [f"says {told[-300:]!r}, not {words!r}"])


def full(run: Run) -> Finding:
    """A full disk: a clear error, and the checkpoint that was written stays readable."""
    file, folder = small(run)
    size = (folder / checkpoint.FILE_NAME).stat().st_size
    wrong, how = [], []
    with _disk(run.folder / "disk", size + size // 2) as disk:
        if disk:
            how.append(REFUSED_SIZES[0])
            target = disk / "run"
            wrong += refused(*command.ended("run", file, "-o", target), "cannot be written")
            wrong += command.unreadable(target)
            wrong += [] if (target / checkpoint.FILE_NAME).exists() else ["nothing was kept"]
    how.append(REFUSED_SIZES[1])
    wrong += _limited(file, run.folder / "limited", size)
    return _finding("disk full", len(how), wrong, "refused, computed part kept", ", ".join(how))


def _limited(file: Path, folder: Path, size: int) -> list[str]:
    """Files may grow to a part of a checkpoint's size after a first one was written."""
    shutil.rmtree(folder, ignore_errors=True)
    code, told = command.ended("run", file, "-o", folder)
    os.remove(folder / results.FILE_NAME)
    kept = (folder / checkpoint.FILE_NAME).read_bytes()
    process = command.started("run", file, "-o", folder, "--resume", limit=size // 2)
    wrong = refused(*command.waited(process), "cannot be written")
    same = (folder / checkpoint.FILE_NAME).read_bytes() == kept
    return wrong + ([] if same else ["the checkpoint changed"]) + ([] if code == 0 else [told])


@contextlib.contextmanager
def _disk(folder: Path, size: int) -> Iterator[Path | None]:
    """A file system of a few pages; None where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = -(-size // BLOCK) * BLOCK
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={pages}", "tmpfs", folder], capture_output=True)
    try:
        yield folder if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)


def closed(run: Run) -> Finding:
    """A folder that cannot be written: a clear error, nothing changed."""
    file, folder = small(run)
    wrong, how = [], [CLOSED[1]]
    below = run.folder / "a file"
    below.write_text("in the way", encoding="utf-8")
    wrong += refused(*command.ended("run", file, "-o", below / "run"), "is a file or lies in one")
    shut = run.folder / "shut"
    shutil.rmtree(shut, ignore_errors=True)
    shutil.copytree(folder, shut)
    with _read_only(shut) as done:
        if done:
            how.append(CLOSED[0])
            wrong += refused(*command.ended("run", file, "-o", shut, "--force"), "cannot be written")
            wrong += refused(*command.ended("run", file, "-o", shut / "new"), "cannot be created")
            wrong += refused(*command.ended("plot", shut), "cannot be")
            wrong += command.differs(shut, folder)
    return _finding(
        "folders closed to writing", 1 + 3 * (len(how) - 1), wrong, "refused, nothing changed", ", ".join(how)
    )


@contextlib.contextmanager
def _read_only(folder: Path) -> Iterator[bool]:
    """The folder mounted on itself for reading; False where mounting is not allowed. Root minds no permissions."""
    bound = subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode == 0
    try:
        options = ["mount", "-o", "remount,bind,ro", str(folder)]
        yield bound and subprocess.run(options, capture_output=True).returncode == 0
    finally:
        if bound:
            subprocess.run(["umount", folder], check=True)


def schemas(run: Run) -> Finding:
    """Other result formats are refused with a sentence."""
    _, folder = small(run)
    wrong = []
    for version in SCHEMAS:
        path = run.folder / f"schema-{version}.nc"
        shutil.copy(folder / results.FILE_NAME, path)
        with h5py.File(path, "r+") as file:
            file.attrs["schema_version"] = version
        results.seal(path)
        wrong += refused(*command.ended("info", path), f"result format {version} is")
    return _finding("older and newer result formats", len(SCHEMAS), wrong, "refused", "")


def damaged(run: Run) -> Finding:
    """Truncated, flipped and random results and checkpoints: refused, or read as if nothing were damaged."""
    _, folder = small(run)
    chosen = kill.scenario("coated").replace({"protocol.cycles": 4, "numerics.output_cycles": [1, 4]})
    readers: dict[str, Callable[[Path], xr.Dataset]] = {
        results.FILE_NAME: results.read,
        checkpoint.FILE_NAME: lambda path: simulate(chosen, directory=path.parent, resume=True),
    }

    def chunk(first: int, last: int) -> dict[str, Any]:
        found: dict[str, Any] = {"cases": 0, "failures": [], "harmless": 0}
        whole = results.read(folder)
        for number in range(first, last):
            for name, read in readers.items():
                content = _broken((folder / name).read_bytes(), np.random.default_rng([run.seed, number]))
                path = run.folder / "broken" / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
                told = _read_or_refused(read, path, whole)
                found["cases"] += 1
                found["harmless"] += told == ""
                found["failures"] += [f"{name}, case {number}: {told}"] if told else []
        return found

    total = 10 if run.quick else DAMAGED
    parts = run.chunks("damaged", total, PER_CHUNK, chunk)
    cases, wrong = sum(part["cases"] for part in parts), [text for part in parts for text in part["failures"]]
    harmless = sum(part["harmless"] for part in parts)
    note = f"{harmless} with the same content in spite of it"
    return Finding(
        "damaged results and checkpoints", cases, len(wrong), "refused", "refused", "; ".join([note, *wrong])
    )


def _read_or_refused(read: Callable[[Path], xr.Dataset], path: Path, whole: xr.Dataset) -> str | None:
    """None where the file is refused, "" where it reads as it was, else what is wrong."""
    try:
        found = read(path)
    except InputError as error:
        return None if str(error).startswith(str(path)) and "\n" not in str(error) else f"says {error}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "" if found.drop_attrs(deep=False).identical(whole.drop_attrs(deep=False)) else "other content"


def _broken(content: bytes, chance: np.random.Generator) -> bytes:
    """Cut, flipped, scribbled over, emptied or random."""
    size, kind = len(content), int(chance.integers(5))
    if kind == 0:
        return content[: int(chance.integers(size))]
    if kind == 1:
        return chance.bytes(int(chance.integers(1, size)))
    found = bytearray(content)
    if kind == 2:
        at = int(chance.integers(size))
        found[at] ^= 1 << int(chance.integers(8))
    else:
        at, length = int(chance.integers(size)), int(chance.integers(1, 400))
        found[at : at + length] = chance.bytes(length) if kind == 3 else bytes(length)
    return bytes(found)[:size]


def stale(run: Run) -> Finding:
    """An edited kernel never meets a cache of before."""
    folder = run.folder / "kernel"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source, rate = Path(kernels.__file__).read_text(encoding="utf-8"), "r1 = p.k1 * o * y[1, i]"
    wrong = []
    for factor in (1.0, 1.0, 3.0, 7.0, 1.0):
        (folder / "edited.py").write_text(
            source.replace(rate, rate.replace("p.k1", f"{factor} * p.k1")), encoding="utf-8"
        )
        os.utime(folder / "edited.py", (1e9, 1e9))  # not even the time of the file tells
        found = _python(KERNEL.format(folder=str(folder)), NUMBA_CACHE_DIR=str(folder / "cache"))
        wrong += [] if float(found) == factor else [f"rate {found.strip()} after an edit to {factor}"]
    return _finding("a stale kernel cache", 5, wrong, "never used", "size or time of the file differ at every edit")


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    return done.stdout if done.returncode == 0 else done.stderr[-300:]


def network(run: Run) -> Finding:
    """A run, its description and its figures open no connection: an audit hook hears every attempt."""
    file, _ = small(run)
    target = run.folder / "quiet"
    words = [
        ["run", str(file), "-o", str(target), "--force"],
        ["info", str(target)],
        ["info", str(file)],
        ["info"],
        ["plot", str(target)],
        ["validate", "--from", str(target)],
    ]
    wrong = []
    for each in words:
        code = LISTENER.format(events=NETWORK) + f"on[0] = True\nsys.argv = ['interphase-sim', *{each!r}]\n" + _CLI
        said = _python(code)
        wrong += _heard(said, each[0])
    control = _python(LISTENER.format(events=NETWORK) + "on[0] = True\n" + _CONTROL)
    wrong += [] if "socket.connect" in control else [f"the hook heard nothing of a connection: {control}"]
    note = "the hook hears one opened on purpose; a socket bound to this machine itself, without a peer, is none"
    return _finding("no network connection", len(words), wrong, "none opened", note)


_CLI = """
import json, os
os.environ["PYBAMM_DISABLE_TELEMETRY"] = "true"
sys.stdout = sys.stderr
from interphase_sim.cli import main
try:
    main()
except SystemExit:
    pass
finally:
    print("HEARD", json.dumps(seen), file=sys.__stdout__)
"""
_CONTROL = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=0.1)
except OSError:
    pass
print(seen)
"""


def _heard(said: str, what: str) -> list[str]:
    """Events that a hook heard during a command."""
    lines = [line for line in said.splitlines() if line.startswith("HEARD ")]
    if not lines:
        return [f"{what}: {said[-200:]}"]
    return [f"{what}: {event} {detail}" for event, detail in json.loads(lines[0].removeprefix("HEARD "))]


_READ = """
import json, pathlib, sys
from interphase_sim import load_result, load_scenario
from interphase_sim.errors import InputError
from interphase_sim.simulation import checkpoint, loop
folder = pathlib.Path({folder!r})
def everything(bench):
    for read in (lambda: load_scenario(folder / "small.toml"), lambda: load_result(folder / "small"),
                 lambda: checkpoint.load(bench, folder / "small"), lambda: checkpoint.load(bench, folder / "evil"),
                 lambda: load_result(folder / "evil.nc"), lambda: load_scenario(folder / "evil.toml")):
        try:
            read()
        except InputError:
            pass
bench = loop.prepare(load_scenario(folder / "small.toml"))
everything(bench)
on[0] = True
everything(bench)
on[0] = False
print("HEARD", json.dumps(seen))
"""


class Evil:
    """What would be executed if anything read were unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo executed",)


def executed(run: Run) -> Finding:
    """Nothing that is read is executed: an audit hook hears no unpickling and no running of text.

    NumPy parses the head of an array into a syntax tree that is never run: nothing is heard of that.
    """
    small(run)
    evil = run.folder / "evil"
    evil.mkdir(exist_ok=True)
    np.savez(evil / checkpoint.FILE_NAME, meta=np.array([Evil()], dtype=object))
    (run.folder / "evil.toml").write_text('name = "__import__(\\"os\\").system(\\"true\\")"\n', encoding="utf-8")
    shutil.copy(evil / checkpoint.FILE_NAME, run.folder / "evil.nc")
    said = _python(LISTENER.format(events=EXECUTION) + _READ.format(folder=str(run.folder)))
    wrong = _heard(said, "reading")
    control = _python(LISTENER.format(events=EXECUTION) + "on[0] = True\neval('1')\non[0] = False\nprint(seen)")
    wrong += [] if "exec" in control else [f"the hook heard nothing of an expression: {control}"]
    note = "pickled and quoted code among it; the hook hears an expression evaluated on purpose"
    return _finding("nothing read is executed", 6, wrong, "nothing", note)


def _finding(study: str, cases: int, wrong: list[str], figure: str, note: str) -> Finding:
    told = "; ".join([*([note] if note else []), *wrong])
    return Finding(study, cases, len(wrong), figure if not wrong else "not " + figure, figure, told)


STUDIES: dict[str, Study] = {
    "full": full,
    "closed": closed,
    "schemas": schemas,
    "damaged": damaged,
    "stale": stale,
    "network": network,
    "executed": executed,
}
