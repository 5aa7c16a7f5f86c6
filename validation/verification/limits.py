"""Column and effective medium against what is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfc

from interphase_sim.interphase import column, kernels
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.interphase.kernels import Rates
from validation.verification.study import Finding, Run, Study

# numbers near one; nothing reacts until a study says so
INERT = Rates(
    k1=0.0, k2=0.0, k4=0.0, k3=0.0, k3b=0.0, d0=1.0, beta=0.0, t0=10.0, c_eq=1.0,
    kappa_0=1e6, kappa_cov=0.0, exposed=1.0, r_gap=0.0, v=0.0,
)  # fmt: skip


def after(rates: Rates, duration: float, cells: int, depth: float, oxygen: float = 1.0) -> Column:
    """A bare uniform column after some time at constant activity."""
    fresh = column.new_column(column.graded_grid(cells, 2 * depth / cells, depth), rates, 1.0, 1.0)
    flat = np.zeros(2)
    return column.advance(fresh, Drive(np.array([0.0, duration]), np.full(2, oxygen), flat, flat), 1e-6)


def _finding(study: str, errors: Iterable[tuple[str, float]], bound: float, unit: str) -> Finding:
    found = list(errors)
    what, worst = max(found, key=lambda pair: pair[1])
    missed = [f"{name}: {error:.2e}" for name, error in found if not error <= bound]
    return Finding(study, len(found), len(missed), f"{worst:.1e} {unit} ({what})", f"<= {bound:g}", "; ".join(missed))


def diffusion(run: Run) -> Finding:
    """O = c_eq erfc(z/2 sqrt(D t)) and U = 2 c_eq sqrt(D t/pi) while the far wall is not felt."""

    def errors() -> Iterable[tuple[str, float]]:
        for time in (0.02,) if run.quick else (0.01, 0.02, 0.04, 0.08):
            found = after(INERT, time, cells=400, depth=3.0)
            profile = np.abs(found.y[kernels.OX] - erfc(found.grid.centre / (2 * math.sqrt(time)))).max()
            yield f"profile at D t = {time:g}", float(profile)
            yield f"uptake at D t = {time:g}", abs(found.u.sum() / (2 * math.sqrt(time / math.pi)) - 1)

    return _finding("diffusion without reaction is erfc", errors(), 1e-3, "of c_eq or uptake")


def crossover(run: Run) -> Finding:
    """Deal and Grove: L^2/(2 D) + L/kappa = c_eq t/(4 c_T), quasi-steady for c_eq << 4 c_T; L kappa/D over decades."""
    length, rates = 0.1, INERT._replace(k1=1e6, t0=1000.0)

    def errors() -> Iterable[tuple[str, float]]:
        for share in np.logspace(-2, 2, 3 if run.quick else 17):
            kappa = share / length
            time = 4 * rates.t0 * (length**2 / 2 + length / kappa)
            found = after(rates._replace(kappa_0=kappa), time, cells=100 if run.quick else 400, depth=2 * length)
            yield f"L kappa/D = {share:.3g}", abs(column.layer_thickness(found) / length - 1)

    return _finding("linear to parabolic growth (Deal-Grove)", errors(), 1e-2, "of the layer")


def _stefan(t0: float, duration: float) -> float:
    """L = 2 a sqrt(D t) with sqrt(pi) a exp(a^2) erf(a) = c_eq/(4 c_T)."""
    a = brentq(lambda x: math.sqrt(math.pi) * x * math.exp(x * x) * math.erf(x) - 1 / (4 * t0), 1e-6, 2.0)
    return float(2 * a * math.sqrt(duration))


def front(run: Run) -> Finding:
    """A reaction that gets faster sharpens the front: its distance from Stefan's falls with every decade."""
    duration, decades = 0.5, (2, 4) if run.quick else (1, 2, 3, 4, 5)
    cases, missed, last = 0, [], 0.0
    for t0 in (2.5,) if run.quick else (0.5, 2.5, 25.0):
        exact, before = _stefan(t0, duration), math.inf
        for decade in decades:
            found = after(INERT._replace(k1=10.0**decade, t0=t0), duration, cells=600, depth=5 * exact + 0.2)
            cases += 1
            # what R1 has consumed, as the layer it would be with a sharp front
            error = abs(column.layer_thickness(found) / exact - 1)
            if not error < before:
                missed.append(f"c_T {t0:g}, k1 1e{decade}: {error:.2e} after {before:.2e}")
            before = error
        last = max(last, before)
    if last > 1e-2:
        missed.append(f"fastest reaction: {last:.2e}")
    bound = "falls with every decade of the rate, to <= 0.01"
    return Finding(
        "sharp front of a fast reaction (Stefan)",
        cases,
        len(missed),
        f"{last:.1e} of the layer",
        bound,
        "; ".join(missed),
    )


def saturation(run: Run) -> Finding:
    """R3 takes lambda (1 - (1 - exp(-K))/K) of the sulfide within its reach lambda, K = k3 t, and nothing beyond."""
    reach, cells = 0.5, 400
    p = INERT._replace(k3=1.0, kappa_0=0.0)
    flat = np.ones(2)

    def errors() -> Iterable[tuple[str, float]]:
        for dose in np.logspace(-2, 4, 3 if run.quick else 13):
            fresh = column.new_column(column.graded_grid(cells, 1.0 / cells, 1.0), p, reach, 1.0)
            found = column.advance(fresh, Drive(np.array([0.0, dose]), 0 * flat, flat, 0 * flat), 1e-7)
            taken = column.amounts(found)["electrons"] / (2 * p.t0 * reach)
            yield f"k3 t = {dose:.3g}", abs(taken / (1 + math.expm1(-dose) / dose) - 1)
            beyond = found.y[kernels.S0][found.grid.centre > reach]
            yield f"beyond the reach, k3 t = {dose:.3g}", float(np.abs(beyond).max() / p.t0)

    return _finding("saturation of R3 at its reach", errors(), 1e-3, "of what it takes")


def medium(run: Run) -> Finding:
    """Bruggeman's symmetric medium: Maxwell's dilute limits, pure phases, the threshold at two thirds."""
    conduct, block = 0.4, 1e-13

    def ratio(insulating: float, inclusion: float = block) -> float:
        shares = (1 - insulating, 0.0, insulating)
        return float(kernels.effective_conductivity(shares, (conduct, conduct, inclusion)) / conduct)

    def errors() -> Iterable[tuple[str, float]]:
        phi = 1e-6
        for r in np.logspace(-6, 3, 4 if run.quick else 19):
            slope = (ratio(phi, r * conduct) - 1) / phi
            yield f"few inclusions of {r:.2g} sigma", abs(slope / (3 * (r - 1) / (r + 2)) - 1) if r != 1 else abs(slope)
        for phi in np.linspace(0, 0.65, 4 if run.quick else 27):
            yield f"insulator {phi:.3g}", abs(ratio(phi) / (1 - 1.5 * phi) - 1)
        for phi in np.linspace(0.69, 1, 4 if run.quick else 25):
            yield f"insulator {phi:.3g}", abs(ratio(phi) * conduct * (3 * phi - 2) / block - 1)

    return _finding("effective medium: dilute limits and threshold", errors(), 1e-3, "relative")


STUDIES: dict[str, Study] = {
    "diffusion": diffusion,
    "crossover": crossover,
    "front": front,
    "saturation": saturation,
    "medium": medium,
}
