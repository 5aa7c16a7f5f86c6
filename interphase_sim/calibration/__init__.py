"""Calibration: how the shipped numbers of kind "fitted" were obtained, what the data favour and what they predict.

Least squares over the measured capacities and efficiencies of both cells with priors on every free number
(``misfit``, ``unknowns``). Several starts search with SPM at coarse accuracy, the best is polished with the
scenario's own cell model (``search``). Loss channels are compared in ``variants``; the coated cell is predicted
from the bare one in ``prediction``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from interphase_sim.calibration import files, misfit, prediction, unknowns, variants
from interphase_sim.calibration.search import Fit, Map, Problem, Say, Simulator, about, minimise, uncertainty
from interphase_sim.calibration.unknowns import parameter, point_of, prior_draws, values_at
from interphase_sim.errors import InputError, SolverFailure
from interphase_sim.experiment import data_folder, observations
from interphase_sim.scenario import load_scenario

__all__ = ["SHIPPED", "main"]

log = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]

SHIPPED = Problem(
    (
        unknowns.EXCHANGE,
        unknowns.CONDUCTIVITY,
        unknowns.CONTACT_LENGTH,
        unknowns.HINDRANCE,
        unknowns.DOSE,
        unknowns.UTILISATION,
        unknowns.COVERAGE,
    )
)
STARTS = 3  # draws of the priors beside the shipped numbers
CHECK_STARTS = 4
SEARCH, POLISH = 14, 6  # evaluations allowed to a coarse search and to the polish
WITHIN = 1.01  # of the shipped cost must be reached again


def main(
    *,
    data: str = "all",
    check: bool = False,
    variants: bool = False,
    directory: Path,
    resume: bool = False,
    progress: Progress | None = None,
    experiment: Path | None = None,
) -> int:
    """Run one kind of calibration and write what it found into a folder.

    By default the fitted scenario files and ``calibration.json``. data = "bare": the bare cell alone and what it
    predicts, ``kinetics_bare_only.toml`` and ``prediction.json``. variants: the loss channels compared,
    ``variants.json``. check: search again from draws of the priors; exit code 1 when the shipped cost is not
    reached within 1 %. resume: skip what a stopped run in the folder has already finished. experiment: folder with
    measured data and criteria instead of the shipped ones.

    Raises InputError for kinds that exclude each other, and for data that cannot be used.
    """
    if sum((data == "bare", check, variants)) > 1:
        raise InputError("calibrate: --data bare, --check and --variants exclude each other; give one of them")

    def say(text: str) -> None:
        log.info(text)
        if progress:
            progress(0, 1, text)

    with data_folder(experiment), _workers() as run:
        misfit.check_reach(observations.CELLS)
        coarse = Simulator(run, coarse=True)
        if data == "bare":
            prediction.predict(coarse, directory, resume, say)
        elif variants:
            files.keep(directory / "variants.json", _variants(coarse, directory, resume, say))
        elif check:
            return _check(coarse, directory, resume, say)
        else:
            _calibrate(run, coarse, directory, resume, say)
    return 0


@contextmanager
def _workers() -> Iterator[Map]:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield pool.map


def _variants(simulator: Simulator, directory: Path, resume: bool, say: Say) -> list[dict[str, Any]]:
    return variants.compare(SHIPPED.free, simulator, directory, resume, say)


def _calibrate(run: Map, coarse: Simulator, directory: Path, resume: bool, say: Say) -> None:
    """Search from the shipped numbers and from draws of the priors, polish the best, write the scenario files."""
    starts = [point_of(SHIPPED.free, load_scenario("coated")), *prior_draws(SHIPPED.free, STARTS)]
    searched = [_searched(f"start_{k}", z, coarse, directory, resume, say) for k, z in enumerate(starts, 1)]
    best = min(searched, key=lambda entry: float(entry["cost"]))
    fine = Simulator(run, coarse=False)
    fit = minimise(SHIPPED, np.array(best["z"]), fine, POLISH, about("polish", say))
    report = _report(fit, searched, fine)
    files.write_scenarios(SHIPPED.free, fit.z, uncertainty(fit), directory)
    files.keep(directory / "calibration.json", report)


def _report(fit: Fit, searched: list[dict[str, Any]], fine: Simulator) -> dict[str, Any]:
    runs = fine.runs(SHIPPED, fit.z)
    if runs is None:
        raise SolverFailure("calibrate: no start could be simulated")
    errors = {" ".join(map(str, key)): error for key, error in misfit.capacity_errors(runs).items()}
    values = values_at(SHIPPED.free, fit.z)
    return {"cost": fit.cost, "values": values, "starts": searched, "capacity_errors_mAh_g": errors}


def _searched(
    name: str, start: unknowns.Array, simulator: Simulator, directory: Path, resume: bool, say: Say
) -> dict[str, Any]:
    """One coarse search, kept on disk as soon as it is done."""
    path, problem = directory / f"{name}.json", files.named(f"{SHIPPED} from {start}")
    known = files.kept(path, problem) if resume else None
    if known:
        return known
    fit = minimise(SHIPPED, start, simulator, SEARCH, about(name.replace("_", " "), say))
    entry = {"problem": problem, "z": fit.z.tolist(), "cost": fit.cost, "values": values_at(SHIPPED.free, fit.z)}
    files.keep(path, entry)
    return entry


def _check(simulator: Simulator, directory: Path, resume: bool, say: Say) -> int:
    """Search from draws of the priors alone and print how the best compares with the shipped numbers."""
    draws = prior_draws(SHIPPED.free, CHECK_STARTS)
    searched = [_searched(f"check_{k}", z, simulator, directory, resume, say) for k, z in enumerate(draws, 1)]
    best = min(searched, key=lambda entry: float(entry["cost"]))
    here = point_of(SHIPPED.free, load_scenario("coated"))
    (r,) = simulator.residuals(SHIPPED, [here])
    cost = float(r @ r)
    print(f"shipped cost {cost:.3f}, found from prior draws {best['cost']:.3f} (both coarse)")
    for line in differences(best["values"]):
        print(line)
    return 0 if best["cost"] <= WITHIN * cost else 1


def differences(found: dict[str, float]) -> Iterator[str]:
    """A line for every number that differs from the shipped one by more than its stated uncertainty."""
    scenario = load_scenario("coated")
    for f in SHIPPED.free:
        known = parameter(scenario, f.key)
        if known.uncertainty is not None and abs(found[f.key] - known.si) > known.uncertainty:
            yield f"{f.key}: found {found[f.key]:.4g}, shipped {known.si:.4g} +- {known.uncertainty:.2g}"
