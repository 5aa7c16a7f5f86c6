"""Sweeps: a scenario run over axes or a sampled design, into one store that can be resumed, merged and drawn."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interphase_sim.errors import InputError
from interphase_sim.files import as_path, written_whole
from interphase_sim.sweeps import store as stores
from interphase_sim.sweeps.plan import Plan, load
from interphase_sim.sweeps.report import estimate, estimate_text, exit_code, summary, summary_text
from interphase_sim.sweeps.store import Store
from interphase_sim.sweeps.worker import BAD, Job, Outcome, Task, code

if TYPE_CHECKING:
    import xarray as xr

Progress = Callable[[int, int, str], None]
Shard = tuple[int, int]

__all__ = [
    "default_store",
    "draw",
    "estimate",
    "estimate_text",
    "exit_code",
    "load",
    "merge",
    "run",
    "summary",
    "summary_text",
    "sweep",
    "without_effect",
]

_FLUSH = 1.0  # s after which finished runs are recorded at the latest


def sweep(
    file: str | Path,
    store: str | Path | None = None,
    *,
    workers: int = 2,
    scheduler: str | None = None,
    shard: Shard | None = None,
    resume: bool = False,
    recompute: bool = False,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run a sweep and return its data set, read from the store on demand.

    file: a sweep file, or the name of a shipped sweep. store: where the data are kept [results/NAME.zarr].
    workers: processes. scheduler: address of a Dask scheduler, used instead. shard: (i, n), the i-th of n parts.
    resume: compute what an existing store lacks. recompute: replace an existing store. progress: called with runs
    recorded, runs and a text.

    Runs that fail are recorded with their reason in ``status`` and ``message``.
    Raises InputError for a wrong file, a store that exists already, or one of another content or code.
    """
    plan = load(file)
    _check(workers, shard)
    path = as_path(store, "store") if store is not None else default_store(plan, shard)
    run(plan, path, workers, scheduler, shard, resume=resume, recompute=recompute, progress=progress)
    return stores.dataset(path)


def default_store(plan: Plan, shard: Shard | None = None) -> Path:
    """Where a sweep goes when nobody says where."""
    part = f".shard-{shard[0]}-of-{shard[1]}" if shard else ""
    return Path("results") / f"{plan.file.name}{part}.zarr"


def run(
    plan: Plan,
    path: Path,
    workers: int = 2,
    scheduler: str | None = None,
    shard: Shard | None = None,
    *,
    resume: bool = False,
    recompute: bool = False,
    progress: Progress | None = None,
) -> None:
    """Compute what the store lacks, in groups of runs; see ``sweep``."""
    _check(workers, shard)
    attrs = _attributes(plan, shard)
    with stores.exclusive(path):
        _prepare(path, plan, attrs, resume=resume, recompute=recompute)
        store = stores.open_store(path, write=True)
        store.tidy()
        first = plan.firsts()
        mine = _mine(store, first, shard)
        missing = np.flatnonzero(mine & ~store.recorded() & (first == np.arange(plan.runs)))
        if missing.size:
            _compute(plan, store, missing, int(mine.sum()), workers, scheduler, progress)
        _copy(store, first, np.flatnonzero(mine & ~store.recorded()))


def _compute(
    plan: Plan,
    store: Store,
    missing: Any,
    total: int,
    workers: int,
    scheduler: str | None,
    progress: Progress | None,
) -> None:
    from interphase_sim.sweeps import engine

    job = _job(plan)
    tasks = (Task(job.key, int(run), plan.changes(int(run))) for run in missing)
    recorder = _Recorder(store, total, progress)
    with engine.one_thread_each(), contextlib.closing(engine.crew(job, workers, scheduler)) as crew:
        try:
            engine.run(tasks, crew, recorder.keep, recorder.tick)
        finally:
            recorder.flush()


class _Recorder:
    """Holds finished runs for a moment, so that a chunk is not written for each of them."""

    def __init__(self, store: Store, total: int, progress: Progress | None) -> None:
        self.store, self.total, self.progress = store, total, progress
        self.waiting: list[Outcome] = []
        self.written = time.monotonic()
        self.done = int(store.recorded().sum())
        self.bad = int(np.isin(store.status, BAD).sum())

    def keep(self, outcome: Outcome) -> None:
        self.waiting.append(outcome)
        self.done += 1
        self.bad += outcome.status in BAD
        if self.progress:
            self.progress(self.done, self.total, f"{self.bad} failed" if self.bad else "running")

    def tick(self) -> None:
        if self.waiting and time.monotonic() - self.written > _FLUSH:
            self.flush()

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        self.store.write(waiting)
        self.written = time.monotonic()


def _job(plan: Plan) -> Job:
    key = f"{plan.digest[:16]}-{code()}"
    return Job(key, plan.base.to_toml(), plan.file.outputs, tuple(map(int, plan.cycles)), plan.file.end_of_life, code())


def _attributes(plan: Plan, shard: Shard | None) -> dict[str, Any]:
    from interphase_sim.simulation.recorder import versions

    return {
        "name": plan.file.name,
        "description": plan.file.description,
        "plan_digest": plan.digest,
        "code_digest": code(),
        "versions": json.dumps(versions()),
        "sweep_file": plan.text,
        "base_scenario": plan.base.to_toml(),
        "shard": f"{shard[0]}/{shard[1]}" if shard else "",
        **{name: json.dumps(note) for name, note in plan.notes.items()},
    }


def _check(workers: int, shard: Shard | None) -> None:
    if not isinstance(workers, int) or workers < 1:
        raise InputError(f"--workers {workers}: at least one is needed")
    if shard is not None and not _is_pair(shard):
        raise InputError(f"shard: expected two whole numbers such as (1, 4), and got {shard!r}")
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise InputError(f"--shard {shard[0]}/{shard[1]}: expected i/n with 1 <= i <= n, such as 1/4")


def _is_pair(shard: object) -> bool:
    return isinstance(shard, tuple | list) and len(shard) == 2 and all(isinstance(part, int) for part in shard)


def _prepare(path: Path, plan: Plan, attrs: dict[str, Any], *, resume: bool, recompute: bool) -> None:
    """Make sure that the store at the path is of this sweep; a new one where there is none."""
    if recompute or not path.exists():
        if path.exists() and not stores.is_store(path):
            raise InputError(f"{path}: is no store of a sweep, and is not replaced")
        stores.create(path, plan, attrs)
        return
    found = stores.open_store(path).attrs
    if not resume:
        raise InputError(f"{path}: exists already; --resume computes what it lacks, --recompute starts again")
    changed = _changed(found, attrs)
    if changed:
        raise InputError(f"{path}: {changed}; --recompute starts again")


def _changed(found: dict[str, Any], attrs: dict[str, Any]) -> str | None:
    """What has changed since a store was begun, or None."""
    if found.get("plan_digest") != attrs["plan_digest"]:
        return "its sweep file or base scenario has changed since"
    if found.get("code_digest") != attrs["code_digest"]:
        return "the code or a library has changed since, which may change its numbers"
    if found.get("shard") != attrs["shard"]:
        return f"holds shard {found.get('shard') or 'all'}, not {attrs['shard'] or 'all'}"
    return None


def _mine(store: Store, first: Any, shard: Shard | None) -> Any:
    """The runs of a shard (runs,): every n-th group; equal runs belong where the first of them does."""
    if shard is None:
        return np.ones(first.size, bool)
    homes = np.unravel_index(first, store.shape)
    counts = [-(-size // c) for size, c in zip(store.shape, store.chunk, strict=True)]
    group = np.ravel_multi_index([at // c for at, c in zip(homes, store.chunk, strict=True)], counts)
    return group % shard[1] == shard[0] - 1


def _copy(store: Store, first: Any, copies: Any) -> None:
    for some in np.array_split(copies, max(1, copies.size // stores.LARGEST_GROUP)):
        store.copy({int(run): int(first[run]) for run in some})


def merge(parts: Sequence[Path], path: Path) -> None:
    """Put the stores of one sweep together in a new one.

    Raises InputError for stores of different sweeps, scenarios or code.
    """
    opened = [stores.open_store(part) for part in parts]
    for other in opened[1:]:
        for name in ("plan_digest", "code_digest"):
            if other.attrs[name] != opened[0].attrs[name]:
                what = "sweep or scenario" if name == "plan_digest" else "version of the code"
                raise InputError(f"{other.path}: is of another {what} than {opened[0].path}")
    with stores.exclusive(path):
        _merge(opened, parts[0], path)


def _merge(opened: Sequence[Store], first: Path, path: Path) -> None:
    if path.exists():
        raise InputError(f"{path}: exists already, choose another place")
    with written_whole(path) as part:
        shutil.copytree(first, part)
        merged = stores.open_store(part, write=True)
        merged.tidy()
        for other in opened[1:]:
            merged.take(other)
        merged.relabel("")


def draw(path: Path, folder: Path, cycle: int | None = None) -> list[Path]:
    """Draw every figure of a store into a folder; returns the files. See ``figures.save_all``."""
    from interphase_sim.sweeps import figures

    stores.open_store(path)
    return figures.save_all(stores.dataset(path), folder, cycle)


def without_effect(path: Path) -> list[str]:
    """Swept parameters of a complete store that change no output of any run."""
    from interphase_sim.sweeps import analysis

    return analysis.without_effect(stores.dataset(path))
