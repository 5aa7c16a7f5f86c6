"""Findings as small files, each with the digest of what decided it; others are computed again, never mixed in."""

from __future__ import annotations

import ast
import functools
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.store import versions
from interphase_sim import digest
from validation.particulate import store
from validation.verification.study import Finding, Study

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "validation" / "output" / "verification"
PARTS = (
    "orders",
    "limits",
    "crosscheck",
    "coupling",
    "mutation",
    "properties",
    "protocols",
    "extremes",
    "kill",
    "fuzz",
    "files",
)


@dataclass(frozen=True)
class Stored:
    """A finding and the time it took, sittings before an interrupt included [s]."""

    finding: Finding
    seconds: float


def parts() -> tuple[str, ...]:
    """The parts that there are."""
    return tuple(part for part in PARTS if (HERE / f"{part}.py").exists())


def studies(part: str) -> Mapping[str, Study]:
    """The studies of a part by short name."""
    found: Mapping[str, Study] = importlib.import_module(f"validation.verification.{part}").STUDIES
    return found


def code(part: str) -> str:
    """Digest of package, scenarios and libraries, of the part and of what it imports from beside it."""
    return digest.combined([_package(ROOT), *map(digest.content, sorted(_sources(part)))])


@functools.cache
def _package(root: Path) -> str:
    scenarios = sorted(root.glob("scenarios/*.toml"))
    versioned = json.dumps(versions(), sort_keys=True)
    return digest.combined([versioned, digest.package(), *map(digest.content, scenarios)])


def judged(part: str) -> str:
    """The same with the further files that a part reads: what a finding must carry."""
    read = getattr(importlib.import_module(f"validation.verification.{part}"), "READS", ())
    files = [path for pattern in read for path in sorted(ROOT.glob(pattern))]
    return digest.combined([code(part), *(path.read_text(encoding="utf-8") for path in files)])


def _sources(part: str) -> set[Path]:
    found: set[Path] = set()
    open_ = {HERE / "study.py", HERE / f"{part}.py"}
    while open_:
        path = open_.pop()
        found.add(path)
        open_ |= {other for other in _imported(path) if other.exists()} - found
    return found


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("validation."):
            folder = ROOT / str(node.module).replace(".", "/")
            yield folder.with_suffix(".py")
            yield from (folder / f"{name.name}.py" for name in node.names)


def save(folder: Path, part: str, name: str, found: Stored) -> None:
    """Store a finding whole or not at all."""
    store.save(folder / part / f"{name}.json", asdict(found), judged(part))


def load(folder: Path, part: str, name: str) -> Stored | None:
    """The finding of a study; None where there is none, or one of other code."""
    record = store.load(folder / part / f"{name}.json", judged(part))
    return None if record is None else Stored(Finding(**record["finding"]), float(record["seconds"]))
