"""One small file per run, written whole or not at all, that knows which scenario and code it came from."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from interphase_sim.simulation.recorder import versions

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "validation" / "output" / "particulate"
# What can change a number of a run; figures, commands and judgements cannot.
DECIDING = (
    "interphase_sim/cell/*.py",
    "interphase_sim/interphase/*.py",
    "interphase_sim/simulation/*.py",
    "interphase_sim/scenario/*.py",
    "interphase_sim/materials/*.py",
    "interphase_sim/arrhenius.py",
    "interphase_sim/coating.py",
    "interphase_sim/ageing/*.py",
    "interphase_sim/fields.py",
    "interphase_sim/units.py",
    "validation/particulate/runs.py",
)
TABLES = ("interphase_sim/materials/*.csv",)

Record = dict[str, Any]


@functools.cache
def code() -> str:
    """Digest of the deciding code without its comments and docstrings, of the tables and of the libraries."""
    found = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    for path in _files(DECIDING):
        found.update(without_words(path.read_text(encoding="utf-8")).encode())
    for path in _files(TABLES):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _files(patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def without_words(source: str) -> str:
    """The syntax of a module, its comments, docstrings and layout left out."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def save(path: Path, record: Record, key: str) -> None:
    """Write a record; a reader finds the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(record | {"key": key}), encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path, key: str) -> Record | None:
    """The record of a file; None when it is missing, damaged, or of another scenario or code."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None
