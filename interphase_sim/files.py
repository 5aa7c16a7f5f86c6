"""Paths as callers give them, files written whole or not at all, and the lock of a folder that one run writes to."""

import contextlib
import itertools
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interphase_sim.errors import InputError

log = logging.getLogger(__name__)

LOCK_NAME = ".lock"  # of a folder that a run writes to; there while it runs, or left behind by a killed process
_own = threading.local()  # locks that the calling thread holds
_count = itertools.count()  # numbers the writings of this process


def as_path(value: object, name: str) -> Path:
    """A path given as text or as a Path. Raises InputError, beginning with ``name``, for anything else."""
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name}: expected a path, as text or pathlib.Path, and got {_described(value)}")
    text = os.fspath(value)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"{name}: {str(text)[:60]!r} is not a usable path")
    return Path(text)


def _described(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


@contextlib.contextmanager
def written_whole(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Where to write a file or folder that takes the place of ``path`` once it is complete.

    A reader meanwhile finds the old content or the new one, never a part; a folder of that name is missing for a
    moment. What is interrupted or fails leaves nothing. Any number of threads and processes may write at once.
    Folders on the way to it are made. sync: let a file reach the disk before it takes its place.
    Raises InputError for what the system does not let be written.
    """
    part = path.with_name(f".{path.name[:60]}.{os.getpid()}-{threading.get_ident()}-{next(_count)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            _take_place(part, path, sync)
        finally:
            _remove(part)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def write_text(path: Path, text: str, *, sync: bool = False) -> None:
    """Write a text file whole or not at all; see ``written_whole``."""
    with written_whole(path, sync=sync) as part:
        part.write_text(text, encoding="utf-8")


def _take_place(part: Path, path: Path, sync: bool) -> None:
    if part.is_dir():
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
        return
    if sync:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
    os.replace(part, path)


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # of a folder that has become read-only: its files stay as they are
            part.unlink(missing_ok=True)


def exclusive_folder(folder: Path) -> contextlib.AbstractContextManager[None]:
    """The only run that writes to a folder, which is made if it is not there; see ``exclusive_writer``."""
    return exclusive_writer(folder, folder / LOCK_NAME)


@contextlib.contextmanager
def exclusive_writer(path: Path, lock: Path) -> Iterator[None]:
    """Hold the file ``lock`` as the only writer of ``path``, as far as the system can lock files.

    The lock ends with the process, however that ends. A thread that holds it may take it again.
    Folders on the way to it are made.
    Raises InputError if another process or thread holds it, or if the file cannot be made.
    """
    held: set[str] = _own.__dict__.setdefault("held", set())
    name = os.path.realpath(lock)
    if name in held:
        yield
        return
    file = _locked(path, lock)
    held.add(name)
    try:
        yield
    finally:
        held.discard(name)
        with contextlib.suppress(OSError):  # removed before it is unlocked: afterwards it may be that of another run
            lock.unlink()
        file.close()


def _locked(path: Path, lock: Path) -> Any:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = lock.open("a")
            _flock(file, path)
            if _is_current(file, lock):
                return file
            file.close()  # the run that held it has removed it in the meantime
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _flock(file: Any, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"{path}: another run is writing to it; wait for its end or choose another place") from None
    except OSError as error:  # a file system without locks
        log.info("%s: cannot be locked (%s)", path, error)


def _is_current(file: Any, lock: Path) -> bool:
    """Whether the opened file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), lock.stat())
    except FileNotFoundError:
        return False
