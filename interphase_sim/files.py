"""Paths as callers give them, and the lock of a folder that only one run may write to."""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interphase_sim.errors import InputError

log = logging.getLogger(__name__)

LOCK_NAME = ".lock"  # of a folder that a run writes to; there while it runs, or left behind by a killed process
_own = threading.local()  # locks that the calling thread holds


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
