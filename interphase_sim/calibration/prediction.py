"""What does a coating buy, predicted from the bare cell alone?

The kinetics are fitted to the bare capacities, the bare efficiencies and the priors; how much oxide a coating
leaves exposed is read from one capacity of the coated cell, its first discharge (the anchor of the measured data); all
its other capacities are then predicted, with an interval from draws of the posterior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from interphase_sim.calibration import files, unknowns
from interphase_sim.calibration.misfit import measured_capacities
from interphase_sim.calibration.search import Fit, Problem, Say, Simulator, Task, about, minimise, uncertainty
from interphase_sim.calibration.unknowns import SEED, Array, centre, limits, prior_draws, values_at
from interphase_sim.errors import SolverFailure
from interphase_sim.experiment import observations
from interphase_sim.experiment.observations import Key

DRAWS = 64
LEVELS = (10.0, 50.0, 90.0)  # percentiles: median and an interval of 80 %
SEARCH = 25
DESCENTS = 4  # Gauss-Newton steps of every draw
STRIDE = 2.0  # longest of them after the first, in search units
HALVINGS = 9  # of the search for the exposed share: to 0.01 e-folds
FREE = (
    unknowns.EXCHANGE,
    unknowns.DIFFUSIVITY,
    unknowns.CONDUCTIVITY,
    unknowns.CONTACT_LENGTH,
    unknowns.HINDRANCE,
    unknowns.HINDRANCE_WIDTH,
    unknowns.DOSE,
    unknowns.UTILISATION,
)
BARE = Problem(FREE, cells=("bare",))
MECHANICAL = Problem(
    (unknowns.SWING, unknowns.HINDRANCE, unknowns.UTILISATION),
    fixed=(
        ("kinetics.losses.film", False),
        ("kinetics.losses.rock_salt", False),
        ("kinetics.losses.contact_length", 1.0),  # m: a layer of nanometres takes no contact
    ),
    cells=("bare",),
)


class Draw(NamedTuple):
    """A draw of the posterior: the bare cell's unknowns, the coverage that its first coated discharge asks for, and
    the discharge delivered with it [mAh g-1]; less than asked where no coverage gives as much."""

    z: Array
    coverage: float
    delivered: float

    def changes(self, cycles: int | None = None) -> dict[str, Any]:
        """Numbers of the coated cell; only so many cycles if asked."""
        short = {"protocol.cycles": cycles} if cycles else {}
        return {**values_at(FREE, self.z), unknowns.COVERAGE.key: self.coverage, **short}


def predict(simulator: Simulator, directory: Path, resume: bool, say: Say) -> dict[str, Any]:
    """Fit the bare cell, draw, predict the coated cell, and hold simpler predictions beside it.

    Writes ``kinetics_bare_only.toml`` and ``prediction.json`` into the folder and returns the latter's content.
    Raises SolverFailure when no draw can be simulated.
    """
    fit = _fitted(simulator, directory, resume, say)
    rng = np.random.default_rng(SEED)
    points = posterior(fit, simulator, rng)
    say(f"{len(points)} draws of the posterior")
    anchor = observations.anchor()
    told = anchor.value
    wanted = told + (anchor.uncertainty or 0.0) * rng.standard_normal(len(points))
    best, draws = exposed([fit.z], [told], simulator), exposed(points, list(wanted), simulator)
    if not best or not draws:
        raise SolverFailure("calibrate: no draw of the posterior could be simulated with a coating")
    say("coverage found for every draw")
    table = {
        "rows": predicted_rows(draws, simulator),
        "rivals": rivals(simulator, say),
        "fit": {"cost": fit.cost, "values": best[0].changes(), "uncertainty": _uncertainty(fit)},
        "draws": len(draws),
        "coverage": _levels([d.coverage for d in draws]),
        "first_discharge": {"measured": told, **_levels([d.delivered for d in draws])},
    }
    _write(fit, best[0], directory)
    files.keep(directory / "prediction.json", table)
    return table


def _fitted(simulator: Simulator, directory: Path, resume: bool, say: Say) -> Fit:
    """The better of two fits of the bare cell, kept on disk."""
    path, starts = directory / "bare.json", [centre(FREE), *prior_draws(FREE, 1)]
    problem = files.named(BARE)
    known = files.kept(path, problem) if resume else None
    if known:
        return Fit(*(np.array(known[key]) for key in ("z", "r", "jacobian")))
    fit = min(
        (minimise(BARE, z, simulator, SEARCH, about("bare cell", say)) for z in starts), key=lambda found: found.cost
    )
    files.keep(path, {"problem": problem, "z": fit.z.tolist(), "r": fit.r.tolist(), "jacobian": fit.jacobian.tolist()})
    return fit


def posterior(fit: Fit, simulator: Simulator, rng: np.random.Generator) -> list[Array]:
    """Draws by randomised maximum likelihood: data and prior centres are shaken by their errors, and the fit is
    repeated with the Jacobian of the best point, within the bounds.

    Source: D. S. Oliver, N. He, A. C. Reynolds, ECMOR V (1996). Exact for a linear model.
    """
    low, high = limits(FREE)
    noise = rng.standard_normal((DRAWS, fit.r.size)) * _uncertain_rows(fit)
    inverse = np.linalg.pinv(fit.jacobian)
    points = best = np.clip(fit.z - noise @ inverse.T, low, high)
    costs = np.full(DRAWS, np.inf)
    for _ in range(DESCENTS):
        shaken = np.array(simulator.residuals(BARE, list(points))) + noise
        cost = np.sum(shaken**2, axis=1)
        better = cost < costs
        best = np.where(better[:, None], points, best)
        costs = np.minimum(cost, costs)
        points = np.clip(points - np.clip(shaken @ inverse.T, -STRIDE, STRIDE), low, high)
    return list(best)


def _uncertain_rows(fit: Fit) -> Array:
    """One for residuals that carry a measurement or a prior, zero for penalties and flat priors.

    Priors are weighted like data, so that a z-score has the spread the search gave it.
    """
    known = np.zeros(fit.r.size)
    known[: len(observations.targets(BARE.cells))] = 1.0
    known[fit.r.size - len(FREE) :] = [float(f.spread is not None) for f in FREE]
    return known


def exposed(points: list[Array], wanted: list[float], simulator: Simulator) -> list[Draw]:
    """The coverage with which each point's coated cell delivers the wanted discharge of the anchor, by bisection.

    A discharge beyond reach takes the nearest bound of the coverage; a point that cannot be simulated is dropped.
    """
    low = np.full(len(points), unknowns.COVERAGE.bounds[0])  # ln(1 - theta), most covered
    high = np.full(len(points), unknowns.COVERAGE.bounds[1])
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        found = _anchored(points, middle, simulator)
        more = found > np.array(wanted)  # delivers more than wanted: can be more exposed
        low, high = np.where(more, middle, low), np.where(found <= np.array(wanted), middle, high)
        low, high = np.where(np.isnan(found), np.nan, low), np.where(np.isnan(found), np.nan, high)
    middle = 0.5 * (low + high)
    found = _anchored(points, middle, simulator)
    ends = zip(points, middle, found, strict=True)
    return [Draw(z, unknowns.COVERAGE.from_search(m), float(q)) for z, m, q in ends if np.isfinite(q)]


def _anchored(points: list[Array], gaps: Array, simulator: Simulator) -> Array:
    """Coated discharges of the anchor at ln(1 - coverage) [mAh g-1]; not a number where there is no simulation."""
    anchor = observations.anchor()
    draws = [Draw(z, unknowns.COVERAGE.from_search(m), math.nan) for z, m in zip(points, gaps, strict=True)]
    last = anchor.cycle
    tasks = [_coated(draw, simulator.coarse, last) if math.isfinite(draw.coverage) else None for draw in draws]
    simulator.observe(task for task in tasks if task)
    return np.array([_delivered(simulator, task, anchor.key) if task else math.nan for task in tasks])


def _coated(draw: Draw, coarse: bool, cycles: int | None = None) -> Task:
    return "coated", tuple(sorted(draw.changes(cycles).items())), coarse


def _delivered(simulator: Simulator, task: Task, key: Key) -> float:
    run = simulator.known[task]
    return run.values[key[1:]] if run else math.nan


def predicted_rows(draws: list[Draw], simulator: Simulator) -> list[dict[str, Any]]:
    """Median and 80 % interval of what the draws predict, beside the measured values [mAh g-1]."""
    tasks = [_coated(draw, simulator.coarse) for draw in draws]
    simulator.observe(tasks)
    known = measured_capacities(("coated",))
    rows = []
    for key in observations.predicted():
        predicted = _levels([_delivered(simulator, task, key) for task in tasks])
        row = dict(zip(("cell", "quantity", "cycle"), key, strict=True))
        rows.append({**row, "measured": known[key], **predicted})
    return rows


def _levels(values: list[float]) -> dict[str, float]:
    """Median and the interval of 80 % of values; not-a-numbers are passed over.

    Raises SolverFailure when there is no number at all.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        raise SolverFailure("calibrate: none of the draws could be simulated to the end")
    return dict(zip(("low", "simulated", "high"), map(float, np.percentile(finite, LEVELS)), strict=True))


# Simpler predictions of the same numbers


def rivals(simulator: Simulator, say: Say) -> dict[str, float]:
    """Rms error of simpler predictions of the same coated capacities [mAh g-1]; one that fails is no rival."""
    known = measured_capacities(("coated",))
    found = {"bare curve rescaled in time": rescaled(), "mechanical loss alone": mechanical(simulator, say)}
    errors = {name: [(told[key] - known[key]) ** 2 for key in told] for name, told in found.items() if told}
    return {name: float(np.sqrt(np.mean(squares))) for name, squares in errors.items()}


def rescaled() -> dict[Key, float]:
    """The bare cell's curve run more slowly, so that it passes through the coated cell's anchor.

    The curve is monotone through the first charge (cycle 0, nothing lost yet) and all discharges; what is charged in a
    cycle is what the cycle before has left. Empty where the bare curve has no such point.
    """
    bare, anchor = measured_capacities(("bare",)), observations.anchor()
    points = {(0 if key[1] == "charge_capacity" else key[2]): value for key, value in bare.items() if _is_of_curve(key)}
    if len(points) < 2:
        return {}
    cycles = sorted(points)
    curve = PchipInterpolator(cycles, [points[n] for n in cycles])
    if not float(curve(anchor.cycle)) <= anchor.value <= float(curve(0.0)):
        return {}
    pace = brentq(lambda n: float(curve(n)) - anchor.value, 0.0, anchor.cycle) / anchor.cycle
    return {key: float(curve(pace * (key[2] - (key[1] == "charge_capacity")))) for key in observations.predicted()}


def _is_of_curve(key: Key) -> bool:
    return key[1] == "discharge_capacity" or key[2] == 1


def mechanical(simulator: Simulator, say: Say) -> dict[Key, float]:
    """Contact lost to breathing alone, fitted to the bare cell: the same swing law then ages the coated cell."""
    fit = minimise(MECHANICAL, centre(MECHANICAL.free), simulator, SEARCH, about("mechanical loss alone", say))
    runs = simulator.runs(MECHANICAL, fit.z)
    return {key: runs["bare"].values[key[1:]] for key in observations.predicted()} if runs else {}


def _uncertainty(fit: Fit) -> dict[str, float]:
    """Spread of each unknown in search units."""
    return {f.key: float(s) for f, s in zip(FREE, uncertainty(fit), strict=True)}


def _write(fit: Fit, best: Draw, directory: Path) -> None:
    text = files.fitted_texts(FREE, fit.z, uncertainty(fit), "interphase-sim calibrate --data bare")["kinetics"]
    values: Mapping[str, float] = best.changes()
    note = (
        "# Fitted to the bare cell alone, for the prediction test; goes with\n"
        f"# cell.utilisation = {values['cell.utilisation']:.4g} and coating.coverage = {best.coverage:.4g}.\n"
    )
    files.write(directory / "kinetics_bare_only.toml", note + text)
