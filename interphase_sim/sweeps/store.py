"""The store of a sweep: one zarr data set of fixed shape, readable while it fills.

Dimensions are the sweep's, and cycle. A chunk holds a group of runs that follow one another, all cycles. Only one
process writes; it fills a group's variables first and its status last, each chunk replaced as a whole, so that a
run whose status is not "pending" is there, whatever happens. Zarr format 2, the one that knows texts.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr

from interphase_sim.errors import InputError
from interphase_sim.files import exclusive_writer, written_whole
from interphase_sim.results import VARIABLES
from interphase_sim.sweeps.plan import Coordinate, Plan
from interphase_sim.sweeps.worker import PENDING, STATUS, Outcome

if TYPE_CHECKING:
    import xarray as xr

SCHEMA_VERSION = 1
KIND = "sweep of interphase-sim"
GROUPS, LARGEST_GROUP = 64, 256  # groups of runs at least, as far as a group holds more than one; runs at most
TEXT = 240  # letters of a message kept
STATUS_CHUNK = 65_536  # runs; one byte each, so that few files tell what is done
_FLAGS = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
_PER_RUN: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "message": (f"<U{TEXT}", None, {"long_name": "why a run ended early or failed, or what it warns of"}),
    "seconds": ("f8", math.nan, {"units": "s", "long_name": "time of the run; 0: equal to another run"}),
    "digest": ("<U16", None, {"long_name": "start of the digest of the run's scenario"}),
    "cycles": ("i4", None, {"units": "1", "long_name": "last cycle of the run"}),
    "cycle_life": (
        "f8",
        math.nan,
        {"units": "1", "long_name": "first cycle that is worn out or passes no charge; none: not reached"},
    ),
    "jump_error": (
        "f8",
        math.nan,
        {"units": "mAh g-1", "long_name": "estimated error of all jumps together"},
    ),
}


Box = tuple[slice, ...]


class Store:
    """An open store; `status` (shape of the sweep, int8) is what is recorded so far."""

    def __init__(self, path: Path, group: Any) -> None:
        self.path = path
        self._group = group
        self._arrays = {name: group[name] for name in group.array_keys()}
        self.status: npt.NDArray[np.int8] = self._arrays["status"][...]
        self.shape = self.status.shape
        self.chunk = self._arrays["seconds"].chunks
        by_cycle = (*self.dims, "cycle")
        self.variables = [name for name in self._arrays if name in _PER_RUN or self._dims(name) == by_cycle]

    def _dims(self, name: str) -> tuple[str, ...]:
        return tuple(self._arrays[name].attrs["_ARRAY_DIMENSIONS"])

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of a run."""
        return self._dims("status")

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the data set."""
        return dict(self._group.attrs)

    def recorded(self) -> npt.NDArray[np.bool_]:
        """Whether a run is recorded (runs,)."""
        return np.asarray(self.status.reshape(-1) != PENDING)

    def write(self, outcomes: Iterable[Outcome]) -> None:
        """Record outcomes; what is on disk stays whole at every moment."""
        by_run = {outcome.run: outcome for outcome in outcomes}
        for box, places in self._by_group(by_run):
            for name in self.variables:
                block = self._arrays[name][box]
                for run, inside in places:
                    block[inside] = _value(by_run[run], name)
                self._arrays[name][box] = block
            for run, _ in places:
                self.status.reshape(-1)[run] = by_run[run].status
            self._write_status(box)

    def read(self, runs: Iterable[int]) -> Iterator[Outcome]:
        """Recorded runs, group by group."""
        for box, places in self._by_group(runs):
            blocks = {name: self._arrays[name][box] for name in self.variables}
            for run, inside in places:
                found = {name: block[inside] for name, block in blocks.items()}
                plain = {name: _plain(found.pop(name)) for name in _PER_RUN}
                yield Outcome(run=run, status=int(self.status.reshape(-1)[run]), rows=found, **plain)

    def copy(self, sources: Mapping[int, int]) -> None:
        """Record runs that are equal to others, by the run that each is a copy of."""
        found = {outcome.run: outcome for outcome in self.read({*sources.values()})}
        self.write(found[source]._replace(run=run, seconds=0.0) for run, source in sources.items())

    def take(self, other: Store) -> None:
        """Record what another store of the same sweep has and this one has not."""
        new = (other.status != PENDING) & (self.status == PENDING)
        for box, _ in self._by_group(np.flatnonzero(new).tolist()):
            for name in self.variables:
                block = self._arrays[name][box]
                block[new[box]] = other._arrays[name][box][new[box]]
                self._arrays[name][box] = block
            self.status[box][new[box]] = other.status[box][new[box]]
            self._write_status(box)

    def _by_group(self, runs: Iterable[int]) -> list[tuple[Box, list[tuple[int, tuple[int, ...]]]]]:
        """Chunks with runs in them, and these runs with their places inside."""
        found: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
        for run in runs:
            at = [int(i) for i in np.unravel_index(run, self.shape)]
            starts = tuple(i - i % c for i, c in zip(at, self.chunk, strict=True))
            found[starts].append((run, tuple(i - start for i, start in zip(at, starts, strict=True))))
        return [(self._box(starts, self.chunk), places) for starts, places in found.items()]

    def _box(self, starts: Iterable[int], chunk: Iterable[int]) -> Box:
        edges = zip(starts, chunk, self.shape, strict=True)
        return tuple(slice(start, min(start + c, n)) for start, c, n in edges)

    def _write_status(self, box: Box) -> None:
        """Write the chunk of the status that holds a group, as known here: it is never read back."""
        chunk = self._arrays["status"].chunks
        starts = [b.start - b.start % c for b, c in zip(box, chunk, strict=True)]
        whole = self._box(starts, chunk)
        self._arrays["status"][whole] = self.status[whole]

    def labels(self, run: int) -> dict[str, Any]:
        """Where a run lies: its label in every dimension."""
        at = np.unravel_index(run, self.shape)
        return {name: _plain(self._arrays[name][int(i)][()]) for name, i in zip(self.dims, at, strict=True)}

    def relabel(self, shard: str) -> None:
        """Say which shard the store holds, "" for all."""
        self._group.attrs["shard"] = shard
        zarr.consolidate_metadata(self.path)

    def tidy(self) -> None:
        """Remove what a killed writer left half written."""
        for part in self.path.rglob("*.partial"):
            part.unlink(missing_ok=True)


def _value(outcome: Outcome, name: str) -> Any:
    if name == "message":
        return outcome.message if len(outcome.message) <= TEXT else outcome.message[: TEXT - 1] + "…"
    return getattr(outcome, name) if name in _PER_RUN else outcome.rows.get(name, math.nan)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def grouped(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The chunk of a group: runs that follow one another, whole rows of the last dimensions first."""
    left = min(max(math.prod(shape) // GROUPS, 1), LARGEST_GROUP)
    chunk = []
    for size in reversed(shape):
        chunk.append(min(size, left))
        left = max(left // size, 1) if left >= size else 1
    return tuple(reversed(chunk))


def bytes_at_most(plan: Plan) -> int:
    """Size of a full store without compression."""
    per_run = 8 * len(plan.file.outputs) * len(plan.cycles) + 4 * (TEXT + 16) + 8 * 3 + 4 + 1
    return plan.runs * per_run


def create(path: Path, plan: Plan, attrs: Mapping[str, Any]) -> None:
    """Lay out the whole store, every run pending; it appears under its name when complete."""
    with written_whole(path) as part:
        _lay_out(part, plan, attrs)


def _lay_out(path: Path, plan: Plan, attrs: Mapping[str, Any]) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs.update({"schema_version": SCHEMA_VERSION, "kind": KIND, **attrs})
    dims, shape, chunk = plan.dims, plan.shape, grouped(plan.shape)
    cycles = len(plan.cycles)
    for name in plan.file.outputs:
        row = VARIABLES[name]
        _array(group, name, (*dims, "cycle"), (*shape, cycles), (*chunk, cycles), "f8", math.nan, row.attrs)
    for name, (kind, fill, words) in _PER_RUN.items():
        _array(group, name, dims, shape, chunk, kind, fill, words)
    _array(
        group, "status", dims, shape, _status_chunk(shape), "i1", None, {"long_name": "what became of a run", **_FLAGS}
    )
    for block in plan.blocks:
        for name, coordinate in block.coordinates.items():
            _coordinate(group, name, coordinate)
    _coordinate(group, "cycle", Coordinate(("cycle",), plan.cycles, {"units": "1", "long_name": "cycle number"}))
    others = [name for block in plan.blocks for name in block.coordinates if name not in block.dims]
    if others:  # xarray learns from this which arrays are coordinates
        group.attrs["coordinates"] = " ".join(others)
    zarr.consolidate_metadata(path)


def _status_chunk(shape: tuple[int, ...]) -> tuple[int, ...]:
    left, chunk = STATUS_CHUNK, []
    for size in reversed(shape):
        chunk.append(min(size, left))
        left = max(left // size, 1)
    return tuple(reversed(chunk))


def _coordinate(group: Any, name: str, given: Coordinate) -> None:
    shape = given.values.shape
    array = _array(group, name, given.dims, shape, shape, given.values.dtype, None, given.attrs)
    array[...] = given.values


def _array(
    group: Any, name: str, dims: Any, shape: Any, chunks: Any, kind: Any, fill: Any, attrs: Mapping[str, Any]
) -> Any:
    array = group.create_array(name, shape=shape, chunks=chunks, dtype=kind, fill_value=fill)
    array.attrs.update({**attrs, "_ARRAY_DIMENSIONS": list(dims)})
    return array


def is_store(path: Path) -> bool:
    """Whether a folder is a store."""
    return (path / ".zgroup").is_file()


def open_store(path: Path, *, write: bool = False) -> Store:
    """Open a store. Raises InputError for anything else, and for a store of another format."""
    if not path.is_dir():
        raise InputError(f"{path}: no such store")
    if not is_store(path):
        raise InputError(f"{path}: this folder is no store of a sweep")
    try:
        group = zarr.open_group(path, mode="r+" if write else "r", zarr_format=2, use_consolidated=True)
        attrs = dict(group.attrs)
        if attrs.get("kind") != KIND:
            raise InputError(f"{path}: a zarr store, but not of a sweep of interphase-sim")
        if attrs.get("schema_version") != SCHEMA_VERSION:
            raise InputError(f"{path}: store format {attrs.get('schema_version')}, this version reads {SCHEMA_VERSION}")
        return Store(path, group)
    except InputError:
        raise
    except Exception as error:  # a damaged store can raise anything
        raise InputError(f"{path}: damaged, or not a store of a sweep ({type(error).__name__})") from error


def exclusive(path: Path) -> contextlib.AbstractContextManager[None]:
    """The only writer of a store; its lock lies next to it, as the store itself may be replaced."""
    folder, name = os.path.split(os.path.realpath(path))
    return exclusive_writer(path, Path(folder) / f".{name}.lock")


def dataset(path: Path) -> xr.Dataset:
    """The whole store as a lazily read Dataset."""
    import xarray as xr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds: xr.Dataset = xr.open_zarr(path, chunks=None, consolidated=True)
    return ds


def notes(ds: xr.Dataset, name: str) -> Any:
    """What an attribute holds as JSON text."""
    return json.loads(ds.attrs.get(name, "null"))
