"""What `interphase-sim validate` does: simulate the bare and the coated cell, judge them, write report and figures.

Judging stored results needs neither PyBaMM nor Numba; nothing here fits.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import xarray as xr

from interphase_sim import plot, results
from interphase_sim.errors import InputError
from interphase_sim.experiment import closure, criteria, data_folder, observations, pair, study
from interphase_sim.experiment.judge import judge, scenario_of
from interphase_sim.experiment.observations import CELLS
from interphase_sim.files import write_text
from interphase_sim.scenario import Scenario, load_scenario

__all__ = ["run"]

REPORT = "report.json"
FIGURES = ("capacity_fade.png", "voltage_curves.png", "interphase.png", "losses.png")


def run(
    directory: Path,
    stored: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    experiment: Path | None = None,
) -> dict[str, Any]:
    """Simulate both shipped scenarios, judge them, and write results, figures and report to `directory`.

    A coated cell whose contact is a closure is simulated with its contact resolved too.

    stored : folder with bare.nc and coated.nc, and coated_resolved.nc if it is there; judged instead of simulating
    progress : called with cycles done, cycles in all and a text
    experiment : folder with measured data and criteria to judge by instead of the shipped ones

    Returns the report. Raises InputError when it would replace a file that `validate` did not write, when a stored
    result is missing, damaged or of the wrong cell, or when the data cannot be used.
    """
    with data_folder(experiment):
        observations.load()  # what cannot be used is told before anything is simulated
        return _run(directory, stored, progress)


def _run(directory: Path, stored: Path | None, progress: Callable[[int, int, str], None] | None) -> dict[str, Any]:
    shipped = {cell: load_scenario(cell) for cell in CELLS}
    exact = closure.resolved(shipped["coated"])
    if exact:
        shipped[closure.RESOLVED] = exact
    cells = _all_stored(stored) if stored is not None else {}
    maps = plot.map_files([*cells.values()]) if cells else _expected_maps(shipped.values())
    copies = () if _same(stored, directory) else tuple(f"{cell}.nc" for cell in cells or shipped)
    names = (REPORT, *copies, *FIGURES, *maps)
    own = _own_files(directory, names)
    wall: dict[str, float | None] = dict.fromkeys(("setup", *(cells or shipped)))
    if not cells:
        runs = pair.simulate_all(dict(reversed(shipped.items())), progress)  # the longest run first
        cells = {cell: runs[cell].result for cell in shipped}
        wall = {"setup": max(timed.setup for timed in runs.values())}
        wall |= {cell: timed.run for cell, timed in runs.items()}
    report = judge(cells["bare"], cells["coated"], criteria.load(), wall, study.load(), cells.get(closure.RESOLVED))
    same = {cell: ds.attrs["scenario_digest"] == shipped[cell].digest() for cell, ds in cells.items()}
    report |= {"shipped_scenario": same, "directory": str(directory), "files": sorted({*names, *own})}
    _write(directory / REPORT, report)
    for name in copies:
        results.save_result(cells[Path(name).stem], directory / name)
    beside = [ds for cell, ds in cells.items() if cell not in CELLS]
    plot.save_all([cells[cell] for cell in CELLS], directory, observations.load(), beside)
    return report


def _same(stored: Path | None, directory: Path) -> bool:
    return stored is not None and stored.resolve() == directory.resolve()


def _all_stored(folder: Path) -> dict[str, xr.Dataset]:
    """The results of both cells, and of the resolved one if it is there."""
    cells = (*CELLS, closure.RESOLVED) if (folder / f"{closure.RESOLVED}.nc").exists() else CELLS
    return {cell: _stored(folder, cell) for cell in cells}


def _expected_maps(scenarios: Iterable[Scenario]) -> list[str]:
    """Figures of the unit cells that coatings with gaps will have."""
    from interphase_sim.interphase.contact_models.unit_cell import CUTS  # with Numba, which stored results do not need

    return [plot.map_file(s.name) for s in scenarios if s.coating and s.coating.contact in CUTS]


def _stored(folder: Path, cell: str) -> xr.Dataset:
    path = folder / f"{cell}.nc"
    ds = results.load_result(path)
    if (scenario_of(ds).coating is None) != (cell == "bare"):
        raise InputError(f"{path}: holds the result of a cell {'with' if cell == 'bare' else 'without'} a coating")
    return ds


def _own_files(directory: Path, names: Iterable[str]) -> set[str]:
    """What earlier reports in the folder list; a file of another origin under one of the names is refused."""
    own = {name for name in _listed(directory / REPORT) if (directory / name).exists()}
    foreign = [name for name in names if (directory / name).exists() and name not in own]
    if foreign:
        raise InputError(f"{directory}: holds {', '.join(foreign)} not written by validate; choose another folder")
    return own


def _listed(path: Path) -> list[str]:
    try:
        return [Path(name).name for name in json.loads(path.read_text(encoding="utf-8"))["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write(path: Path, report: dict[str, Any]) -> None:
    write_text(path, json.dumps(report, indent=2, allow_nan=False) + "\n")
