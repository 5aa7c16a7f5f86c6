"""Reading scenario files: TOML text into plain tables, following references to cell and kinetics files."""

import tomllib
from pathlib import Path
from typing import Any

from interphase_sim import units
from interphase_sim.errors import InputError
from interphase_sim.files import as_path
from interphase_sim.resources import shipped

SHIPPED = "shipped:"
SHARED = ("cell", "kinetics")
_LARGEST = 1_000_000  # bytes; a scenario has about ten thousand


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file, or one sentence that says why it cannot be read."""
    try:
        return tomllib.loads(_read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not valid TOML: a value too long or too deeply nested to read") from None


def find(path_or_name: str | Path) -> Path:
    """The file behind a path, or behind the name of a shipped scenario such as "coated"."""
    as_path(path_or_name, "scenario")
    text = str(path_or_name)
    names = scenario_names()
    if text in names:
        return shipped(f"scenarios/{text}.toml")
    looks_like_path = isinstance(path_or_name, Path) or text.endswith(".toml") or "/" in text or "\\" in text
    if looks_like_path or Path(text).exists():
        return Path(text)
    raise InputError(
        f"no scenario is named {units.shown(text)} (shipped: {', '.join(names)}; any other needs the path "
        f"of its file){units.nearest(text, names)}"
    )


def scenario_names() -> list[str]:
    """Names of the shipped scenarios; files shared by scenarios are not among them."""
    files = sorted(shipped("scenarios").glob("*.toml"))
    return [file.stem for file in files if not file.stem.startswith(SHARED)]


def follow(reference: object, folder: Path | None) -> tuple[Path, dict[str, Any]]:
    """The file and table that `cell = "..."` or `kinetics = "..."` names.

    Only a file in the scenario's own folder, or `shipped:NAME.toml`, may be named.
    """
    name = str(reference)
    plain = name.removeprefix(SHIPPED)
    if not plain or Path(plain).name != plain or "\\" in plain or plain in (".", ".."):
        raise InputError(f"{units.shown(name)} must be the name of a file in the same folder, without a path")
    home = shipped("scenarios") if name.startswith(SHIPPED) else folder
    if home is None:
        raise InputError(f"{units.shown(name)} names a file, but only 'shipped:NAME.toml' can be found here")
    path = home / plain
    try:
        outside = path.is_symlink() and path.resolve().parent != home.resolve()
    except (OSError, RuntimeError) as error:  # a name too long, links in a circle
        raise InputError(f"{units.shown(name)} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if outside:
        raise InputError(f"{units.shown(name)} leads out of its folder")
    return path, read_toml(path)


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, expected a TOML file")
        if not path.exists():
            raise InputError(f"{path}: no such file{_sibling(path)}")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: has more than {_LARGEST // 1000} kB, too large for a scenario")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{units.shown(path)}: is not a usable path") from None


def _sibling(path: Path) -> str:
    names = [file.name for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    return units.nearest(path.name, names)
