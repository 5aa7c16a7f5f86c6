"""Small sweeps for tests: files that take no time to run, and workers inside the test's own process."""

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from interphase_sim.sweeps import engine, worker
from interphase_sim.sweeps.worker import Job

FAST = """
[set]
cell.model = "SPM"
coating.contact = "mixed"
numerics.column_cells = 40
numerics.particle_cells = 10
numerics.solver_tolerance = 1e-4
"""
GRID = """
[[axes]]
key = "coating.coverage"
values = [0.5, 0.7, 0.9]

[[axes]]
key = "coating.thickness"
values = ["5 nm", "15 nm"]
"""


def written(folder: Path, varied: str = GRID, settings: str = FAST, head: str = "cycles = 2") -> Path:
    """A sweep file in a folder."""
    path = folder / "small.toml"
    path.write_text(f'schema_version = 1\nname = "small"\nbase = "shipped:coated.toml"\n{head}\n{settings}\n{varied}')
    return path


class Here:
    """A crew of one thread of this process."""

    width = 2

    def __init__(self, job: Job) -> None:
        worker.prepare(job)
        self.executor: Executor = ThreadPoolExecutor(1)

    def renew(self) -> None:
        self.executor = ThreadPoolExecutor(1)

    def check(self) -> None:
        pass

    def close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run sweeps in this process."""
    monkeypatch.setattr(engine, "crew", lambda job, workers, scheduler: Here(job))
