"""Where the data and the criteria of the experiment are: in the package, or in a folder of the user's own."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from interphase_sim.errors import InputError
from interphase_sim.resources import shipped

_folder: ContextVar[Path | None] = ContextVar("experiment folder", default=None)


@contextmanager
def data_folder(folder: str | Path | None) -> Iterator[None]:
    """Take measured data and criteria from a folder; a shipped file stands in for one that it lacks.

    None changes nothing. Holds for this thread until the context ends. Raises InputError if there is no such folder.
    """
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder of measured data")
    token = _folder.set(_folder.get() if folder is None else Path(folder))
    try:
        yield
    finally:
        _folder.reset(token)


def data_file(name: str) -> Path:
    """Path of a file of the experiment, such as `criteria.toml`."""
    folder = _folder.get()
    own = folder / name if folder else None
    return own if own and own.exists() else shipped(f"validation/{name}")


def digest(*names: str) -> str:
    """A short digest of the contents of files of the experiment."""
    found = hashlib.sha256()
    for name in names:
        found.update(data_file(name).read_bytes())
    return found.hexdigest()[:16]
