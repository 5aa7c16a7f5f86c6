"""Samples of uncertain inputs by designs of scipy.stats.qmc, seeded."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.stats import qmc

from interphase_sim.sweeps.schema import Design, Input, number

Array = npt.NDArray[np.float64]


class Sample(NamedTuple):
    """Drawn values (runs, inputs) in the inputs' units, and for Saltelli's design the matrix of each run: 0 for A,
    1 for B, 2 + i for A with column i of B."""

    values: Array
    units: tuple[str, ...]
    matrix: npt.NDArray[np.int64] | None


def draw(design: Design) -> Sample:
    """The sample of a design; the same seed gives the same one."""
    laws = [law(each) for each in design.inputs]
    width, indexed = len(laws), design.indices
    count = (2 if indexed else 1) * width
    if design.method == "sobol":
        unit = qmc.Sobol(count, rng=design.seed).random(design.runs)
    else:
        unit = qmc.LatinHypercube(count, rng=design.seed).random(design.runs)
    inside = np.clip(unit, 1e-12, 1 - 1e-12)  # a scrambled zero would be the infinite end of a normal distribution
    drawn = np.stack([laws[k % width][0].ppf(inside[:, k]) for k in range(count)], axis=1)
    values, matrix = _saltelli(drawn[:, :width], drawn[:, width:]) if indexed else (drawn, None)
    return Sample(values, tuple(unit for _, unit in laws), matrix)


def _saltelli(a: Array, b: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """A, B and A with one column of B each, sample by sample: an unfinished sweep holds whole samples."""
    runs, width = a.shape
    values = np.repeat(a[:, None], width + 2, axis=1)
    values[:, 1] = b
    for k in range(width):
        values[:, 2 + k, k] = b[:, k]
    return values.reshape(-1, width), np.tile(np.arange(width + 2), runs)


def law(given: Input) -> tuple[Any, str]:
    """The distribution of an input as scipy.stats has it, and the unit of its values."""
    names = ("low", "high", "mean", "mode", "deviation")
    found = {name: number(raw, given.key) for name in names if (raw := getattr(given, name)) is not None}
    unit = next(iter(found.values())).unit
    v = {name: found[name].value for name in found}
    if given.distribution == "uniform":
        return stats.uniform(v["low"], v["high"] - v["low"]), unit
    if given.distribution == "loguniform":
        return stats.loguniform(v["low"], v["high"]), unit
    if given.distribution == "triangular":
        span = v["high"] - v["low"]
        return stats.triang((v["mode"] - v["low"]) / span, v["low"], span), unit
    low, high = ((v.get(end, side) - v["mean"]) / v["deviation"] for end, side in (("low", -np.inf), ("high", np.inf)))
    return stats.truncnorm(low, high, v["mean"], v["deviation"]), unit
