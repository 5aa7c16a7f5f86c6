"""What a folder holds whose run was interrupted: read from its checkpoint, without PyBaMM or Numba."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from interphase_sim.status import RunOutcome, RunStatus, outcome_of

CHECKPOINT = "checkpoint.npz"


class Unfinished(NamedTuple):
    """A run without a result: its scenario's name and planned cycles (None where the checkpoint does not say), the
    cycles done, how it stands, and the numbers of the cycles by name; of cycles that a jump left out there are none."""

    name: str | None
    cycles: int
    planned: int | None
    outcome: RunOutcome
    rows: Sequence[Mapping[str, float]]

    def sentence(self, folder: Path) -> str:
        """What the folder holds and how the run is continued."""
        planned = f" of {self.planned}" if self.planned is not None else ""
        of = f" of {self.name}" if self.name else ""
        if self.outcome.status is not RunStatus.RUNNING:
            return (
                f"holds the checkpoint of a run{of} that is over ({self.outcome.sentence}, {self.cycles}{planned} "
                f"cycles) but whose result was not written; to write it: {self.command(folder)}"
            )
        return (
            f"holds the checkpoint of an interrupted run{of} with {self.cycles}{planned} cycles done; "
            f"to continue it, with the scenario and every --set that it was started with: {self.command(folder)}"
        )

    def command(self, folder: Path) -> str:
        """The command that continues the run; SCENARIO stands for the file or name that it was started with."""
        return f"interphase-sim run {self.name or 'SCENARIO'} -o {shlex.quote(str(folder))} --resume"


def read(folder: Path) -> Unfinished | None:
    """What the checkpoint of a folder says; None where there is none, or none that can be read."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            meta: Any = json.loads(file["meta"].tobytes())
        rows = [dict(row) for row in meta["rows"]]
        return Unfinished(meta.get("name"), len(rows) - 1, meta.get("planned"), outcome_of(meta), rows)
    except Exception:  # a damaged archive can raise anything
        return None
