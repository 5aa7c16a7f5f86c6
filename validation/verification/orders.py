"""Orders of accuracy of column and unit cell: slope and absolute error, in space and time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from interphase_sim.interphase.column import Grid
from interphase_sim.interphase.kernels import Array
from validation.verification import manufactured
from validation.verification.manufactured import PLAIN, STEADY, slopes
from validation.verification.study import Finding, Run, Study

BETAS = (0.0, -0.7, 1.0)  # D falls or rises with the conversion, or does neither
CUBIC = 0.1  # of the order in time, which is 3


@dataclass(frozen=True)
class Order:
    """What one quantity on one series of grids or steps reached, and what it must."""

    what: str
    slopes: Array
    error: float
    low: float
    cap: float
    high: float = math.inf

    @property
    def reached(self) -> bool:
        """Slopes and error within their bounds."""
        within = self.low <= float(self.slopes.min()) and float(self.slopes.max()) <= self.high
        return within and self.error <= self.cap


def _finding(study: str, found: Iterable[Order]) -> Finding:
    orders = list(found)
    low, high = min(o.slopes.min() for o in orders), max(o.slopes.max() for o in orders)
    worst = max(orders, key=lambda o: o.error / o.cap)
    missed = [o for o in orders if not o.reached]
    bound = f"order >= {orders[0].low:g}" + (f" and <= {orders[0].high:g}" if orders[0].high < math.inf else "")
    caps = sorted({o.cap for o in orders})
    note = "; ".join(f"{o.what}: slopes {np.round(o.slopes, 3).tolist()}, error {o.error:.1e}" for o in missed)
    return Finding(
        study,
        len(orders),
        len(missed),
        f"order {low:.3f} to {high:.3f}, error {worst.error:.1e} ({worst.what})",
        f"{bound}; error <= " + ", ".join(f"{cap:g}" for cap in caps),
        note,
    )


def _column_space(run: Run, beta: float) -> Iterable[Order]:
    sizes = (80, 160) if run.quick else (80, 160, 320)
    coarser = (320 / sizes[-1]) ** 2
    for grading, cap in ((1.0, 1e-6), (6.0, 2e-5)):
        errors = [manufactured.column_errors(PLAIN._replace(beta=beta), manufactured.widths(n, grading)) for n in sizes]
        for name, values, limit in zip(("fields", "uptakes"), zip(*errors, strict=True), (cap, 2e-7), strict=True):
            told = f"{name}, cells widening {grading:g} times, beta {beta:g}"
            yield Order(told, slopes(sizes, values), values[-1], 1.9, limit * coarser)


def column_space(run: Run) -> Finding:
    """A manufactured solution with every reaction and barrier at work, on uniform and graded cells."""
    betas = BETAS[1:2] if run.quick else BETAS
    return _finding("column in space", [order for beta in betas for order in _column_space(run, beta)])


def unitcell_space(run: Run) -> Finding:
    """A manufactured steady solution around a gap, on uniform cells and cells graded to the rim."""
    scales = (1, 2) if run.quick else (1, 2, 4)
    found = []
    for beta in BETAS[1:2] if run.quick else BETAS:
        for graded in (True, False):
            steady = STEADY._replace(beta=beta)
            errors = [manufactured.ringed_errors(steady, manufactured.slab(scale, graded)) for scale in scales]
            fields, uptakes = zip(*errors, strict=True)
            told = f"{'graded' if graded else 'uniform'} cells, beta {beta:g}"
            coarser = (4 / scales[-1]) ** 2
            found += [
                Order(f"oxygen, {told}", slopes(scales, fields), fields[-1], 1.8, 2e-2 * coarser),
                Order(f"uptake, {told}", slopes(scales, uptakes), uptakes[-1], 1.8, 1e-3 * coarser),
            ]
    return _finding("unit cell in space", found)


def _cases() -> dict[str, tuple[Grid, Array, Array, Array]]:
    """A column and a unit cell of few cells, none of them so small that its stiffness hides the order."""
    return {"column": manufactured.five_cells(), "unit cell": manufactured.twelve_cells()}


def time(run: Run) -> Finding:
    """Fixed steps with everything coupled and moving against SciPy's solution of the same system."""
    sizes = (640, 1280) if run.quick else (1280, 2560)
    found = []
    cases = _cases()
    for name, (grid, w, y, u) in list(cases.items())[: 1 if run.quick else 2]:
        for beta in BETAS[1:2] if run.quick else BETAS:
            errors = manufactured.coupled_errors(PLAIN._replace(beta=beta), grid, w, y, u, sizes)
            for what, values in zip(("fields", "uptakes"), errors, strict=True):
                told = f"{what} of the {name}, beta {beta:g}"
                cap = 1e-7
                found.append(Order(told, slopes(sizes, values), values[-1], 3 - CUBIC, cap, 3 + CUBIC))
    return _finding("time, everything coupled", found)


def exact(run: Run) -> Finding:
    """Electron transfer under moving switches, which has an exact solution."""
    sizes = (80, 160) if run.quick else (80, 160, 320)
    errors = manufactured.electron_errors(PLAIN, sizes)
    order = Order("electron transfer", slopes(sizes, errors), errors[-1], 3 - CUBIC, 1e-8, 3 + CUBIC)
    return _finding("time, exact solution", [order])


def estimate(run: Run) -> Finding:
    """The estimate that steps are chosen by is the error of a method of order 2: third order in one step."""
    sizes = (800, 1600) if run.quick else (800, 1600, 3200)
    found = []
    for name, (grid, w, y, u) in _cases().items():
        errors = manufactured.estimates(PLAIN, grid, w, y, u, sizes)
        found.append(Order(name, slopes(sizes, errors), errors[-1], 3 - CUBIC, 1e-6, 3 + CUBIC))
    return _finding("error estimate of a step", found)


STUDIES: dict[str, Study] = {
    "column_space": column_space,
    "unitcell_space": unitcell_space,
    "time": time,
    "exact": exact,
    "estimate": estimate,
}
