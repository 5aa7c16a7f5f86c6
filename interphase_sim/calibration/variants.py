"""Which channels of loss do the data favour? Variants of the model, each fitted and judged alike.

Every variant is fitted to all capacities and then, capacity by capacity, to all others (leave one out); an empirical
fade law without any physics is judged the same way. All with SPM at coarse accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from interphase_sim.calibration import files, misfit, unknowns
from interphase_sim.calibration.misfit import measured_capacities
from interphase_sim.calibration.search import Fit, Problem, Say, Simulator, about, minimise
from interphase_sim.calibration.unknowns import Array, Free, point_of, prior_draws, values_at
from interphase_sim.errors import SolverFailure
from interphase_sim.experiment import observations
from interphase_sim.experiment.observations import Key
from interphase_sim.scenario import load_scenario

BOTH = observations.CELLS
SEARCH, REFIT = 12, 8  # evaluations allowed to a search and to the refit without one capacity
Row = dict[str, Any]


class Variant(NamedTuple):
    """A choice of loss channels: switches, the numbers fitted with them, and the choices made after looking.

    choices: switches that were settled by looking at measured capacities or efficiencies; they count as free.
    start: numbers to search from where the shipped ones, fitted with other channels, are far off.
    """

    name: str
    switches: Mapping[str, Any]
    free: tuple[Free, ...]
    choices: int
    shipped: bool = False
    start: Mapping[str, Any] = {}

    @property
    def problem(self) -> Problem:
        """The fit of this variant to both cells."""
        return Problem(self.free, tuple((f"kinetics.losses.{key}", value) for key, value in self.switches.items()))


def variants(free: tuple[Free, ...]) -> list[Variant]:
    """Film only; with slow lithiation by either law; with isolation; with all. Rock salt and electrolyte
    oxidation have no number of their own and are always on."""
    without = tuple(f for f in free if f != unknowns.CONTACT_LENGTH)
    off = {"slow_lithiation": False, "isolation": False}
    length = {"slow_lithiation": True, "lithiation_law": "length"}
    shift = {**off, **length, "lithiation_law": "shift"}
    mild = {"kinetics.losses.contact_length": "15 nm", "kinetics.lithium.hindrance_stoichiometry": 0.84}
    return [
        Variant("film only", off, without, 1),
        Variant("film + slow lithiation", {**off, **length}, free, 2, shipped=True),
        Variant("film + slow lithiation, law of the shift", shift, free, 2, start=mild),
        Variant("film + isolation", {**off, "isolation": True}, free, 1),
        Variant("all", {**length, "isolation": True}, (*free, unknowns.THRESHOLD), 2),
    ]


def compare(free: tuple[Free, ...], simulator: Simulator, directory: Path, resume: bool, say: Say) -> list[Row]:
    """The table of variants, row by row kept on disk; the empirical law last."""
    return [*(_row(v, simulator, directory, resume, say) for v in variants(free)), empirical_row()]


def _row(variant: Variant, simulator: Simulator, directory: Path, resume: bool, say: Say) -> Row:
    path = directory / f"variant_{variant.name.replace(' ', '_').replace(',', '')}.json"
    problem = files.named(variant)
    known = files.kept(path, problem) if resume else None
    if known:
        return dict(known["row"])
    fit = best_fit(variant, simulator, about(variant.name, say))
    missed = left_out_errors(variant.problem, fit, simulator, about(variant.name, say))
    row = _judged(variant, fit, missed, simulator)
    files.keep(path, {"problem": problem, "row": row})
    return row


def best_fit(variant: Variant, simulator: Simulator, say: Say) -> Fit:
    """The better of two searches, from the shipped numbers (or the variant's own) and from a draw of the priors."""
    near = load_scenario("coated").replace(dict(variant.start))
    starts = [point_of(variant.free, near), *prior_draws(variant.free, 1)]
    fits = [minimise(variant.problem, start, simulator, SEARCH, say) for start in starts]
    return min(fits, key=lambda fit: fit.cost)


def left_out_errors(problem: Problem, fit: Fit, simulator: Simulator, say: Say) -> dict[Key, float]:
    """Errors of every capacity predicted by a fit to all others [mAh g-1].

    The refits start from the full fit and keep its Jacobian, whose simulations are known already.
    """
    errors = {}
    for key in measured_capacities(BOTH):
        told = about(f"without {' '.join(map(str, key))}", say)
        again = minimise(problem.without(key), fit.z, simulator, REFIT, told, frozen=True)
        runs = simulator.runs(problem, again.z)
        errors[key] = misfit.capacity_errors(runs)[key] if runs else float("inf")
    return errors


def _judged(variant: Variant, fit: Fit, missed: Mapping[Key, float], simulator: Simulator) -> Row:
    runs = simulator.runs(variant.problem, fit.z)
    if runs is None:
        raise SolverFailure(f"calibrate: no start of {variant.name!r} could be simulated")
    row: Row = {
        "variant": variant.name,
        "fitted": len(variant.free),
        "free": len(variant.free) + variant.choices,
        "rms": _rms(list(misfit.capacity_errors(runs).values())),
        "leave_one_out": _rms(list(missed.values())),
        "leave_one_out_discharges": _rms([missed[key] for key in discharges()]),
        "ce_bare": misfit.late_efficiency(runs["bare"]),
        "ce_coated": misfit.late_efficiency(runs["coated"]),
        "trends_failed": [name for name, ratio in misfit.trend_ratios(runs).items() if ratio < 1],
        "bounds_hold": misfit.layer_holds(runs),
        "cost": fit.cost,
        "values": values_at(variant.free, fit.z),
        "left_out_errors": _named(missed),
    }
    return {**row, "role": "shipped"} if variant.shipped else row


def _rms(errors: list[float]) -> float | None:
    """Root mean square; None where one of the errors is not known."""
    rms = float(np.sqrt(np.mean(np.square(errors))))
    return rms if np.isfinite(rms) else None


def _named(missed: Mapping[Key, float]) -> dict[str, float | None]:
    return {" ".join(map(str, key)): error if np.isfinite(error) else None for key, error in missed.items()}


# The rival without physics


LAW_START = np.log([165.0, 182.0, 100.0, 250.0])


def fade_law(numbers: Array) -> dict[Key, float]:
    """Q_n = Q_0 exp(-n/tau) with Q_0 [mAh g-1] and tau [cycles] of each cell, for the discharges it is a law of.

    numbers: ln Q_0 of bare and coated, ln tau of both. The best of several laws with four numbers: straight line,
    square root, hyperbola, exponential; power law and stretched exponential with shared Q_0 and exponent.
    """
    fresh, life = np.exp(numbers).reshape(2, 2)
    return {key: float(fresh[BOTH.index(key[0])] * np.exp(-key[2] / life[BOTH.index(key[0])])) for key in discharges()}


def discharges() -> dict[Key, float]:
    """The measured discharge capacities [mAh g-1]."""
    return {key: value for key, value in measured_capacities(BOTH).items() if key[1] == "discharge_capacity"}


def fit_law(law: Callable[[Array], Mapping[Key, float]], start: Array, known: Mapping[Key, float]) -> Array:
    """Least squares of a law's numbers to known capacities."""
    keys = list(known)
    target = np.array([known[key] for key in keys])
    found = least_squares(lambda x: np.array([law(x)[key] for key in keys]) - target, start, method="lm", max_nfev=4000)
    return np.asarray(found.x)


def empirical_row() -> Row:
    """The four-parameter fade law, fitted to the discharges and left one out like the variants.

    It knows no charge; to give it a left-out discharge by way of the charge and the measured first-cycle
    efficiency would not be alike, as the variants go without that efficiency too.
    """
    known = discharges()
    best = fit_law(fade_law, LAW_START, known)
    missed = {}
    for key in known:
        rest = {k: value for k, value in known.items() if k != key}
        missed[key] = fade_law(fit_law(fade_law, best, rest))[key] - known[key]
    return {
        "variant": "exponential fade, no physics",
        "role": "empirical",
        "fitted": 4,
        "free": 4,
        "rms": _rms([fade_law(best)[key] - value for key, value in known.items()]),
        "leave_one_out": None,
        "leave_one_out_discharges": _rms(list(missed.values())),
        "ce_bare": None,
        "ce_coated": None,
        "trends_failed": None,
        "bounds_hold": None,
        "left_out_errors": _named(missed),
    }
