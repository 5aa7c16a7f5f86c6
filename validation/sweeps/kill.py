"""SIGKILL at random moments: a worker or the parent of a sweep, which is then resumed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

from interphase_sim import sweeps
from interphase_sim.sweeps import store as stores
from validation.sweeps.measure import Row, short

KILLS, SEED = 20, 6
LONGEST = 3.0  # s after the first recorded run in which a kill falls


def killed(folder: Path, quick: bool) -> list[Row]:
    """Kill a sweep's worker or parent at random, resume, and compare with a sweep that nobody disturbed."""
    plan, wanted = (short(folder, 12, 10), 2) if quick else (short(folder, 50, 50), KILLS)
    file = folder / "short.toml"
    path, calm = folder / "killed.zarr", folder / "undisturbed.zarr"
    shutil.rmtree(path, ignore_errors=True)
    sweeps.run(plan, calm, 2, recompute=calm.exists())
    chance, lost, done = random.Random(SEED), 0, {"worker": 0, "parent": 0}
    for _ in range(wanted):
        before = _recorded(path)
        whom = chance.choice(list(done))
        done[whom] += _kill(file, path, whom, chance.uniform(0.2, LONGEST))
        lost += _lost(before, _recorded(path))
    sweeps.run(plan, path, 2, resume=True)
    equal = _equal(stores.dataset(path), stores.dataset(calm))
    kills = " and ".join(f"{count} of a {name}" for name, count in done.items())
    all_met = sum(done.values()) == wanted  # else the sweep was done before, and the figure says nothing
    return [
        Row(f"recorded runs lost or changed by {kills} killed", "0", f"{lost}", lost == 0 and all_met),
        Row("the resumed sweep is bit-equal to an undisturbed one", "yes", "yes" if equal else "no", equal),
    ]


def _kill(file: Path, path: Path, whom: str, after: float) -> bool:
    """Start or resume the sweep, kill once, and leave; whether there was something to kill."""
    command = [sys.executable, "-m", "interphase_sim", "sweep", str(file), "-o", str(path), "--resume"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    start, begun = time.monotonic(), len(_recorded(path))
    while process.poll() is None and len(_recorded(path)) <= begun and time.monotonic() - start < 120:
        time.sleep(0.1)
    time.sleep(after)
    if process.poll() is not None:
        return False
    if whom == "worker":
        for child in _children(process.pid)[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(after)
    process.kill()
    process.wait()
    return True


def _children(pid: int) -> list[int]:
    """Processes that a process has started, the resource tracker of multiprocessing aside."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(word) for word in listed.read_text(encoding="ascii").split()] if listed.exists() else []
    return [child for child in found if "spawn_main" in _command(child)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _recorded(path: Path) -> dict[int, bytes]:
    """Bytes of the data of each recorded run."""
    if not stores.is_store(path):
        return {}
    ds = stores.dataset(path)
    status, capacity = ds["status"].values.reshape(-1), ds["discharge_capacity"].values
    rows = capacity.reshape(status.size, -1)
    return {int(run): rows[run].tobytes() for run in np.flatnonzero(status)}


def _lost(before: dict[int, bytes], after: dict[int, bytes]) -> int:
    return sum(after.get(run) != data for run, data in before.items())


def _equal(a: xr.Dataset, b: xr.Dataset) -> bool:
    plain = [ds.load().drop_attrs(deep=False).drop_vars("seconds") for ds in (a, b)]
    return plain[0].identical(plain[1])
