"""One small file per run, written whole or not at all, that knows which scenario and code it came from."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from interphase_sim import digest
from interphase_sim.files import write_text
from interphase_sim.simulation.recorder import versions

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "validation" / "output" / "particulate"
DECIDING = ROOT / "validation" / "particulate" / "runs.py"

Record = dict[str, Any]


@functools.cache
def code() -> str:
    """Digest of the package, of how points are run and of the libraries; comments and docstrings do not count."""
    return digest.combined([json.dumps(versions(), sort_keys=True), digest.package(), digest.content(DECIDING)])


def save(path: Path, record: Record, key: str) -> None:
    """Write a record; a reader finds the old file or the new one."""
    write_text(path, json.dumps(record | {"key": key}))


def load(path: Path, key: str) -> Record | None:
    """The record of a file; None when it is missing, damaged, or of another scenario or code."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None
