"""The free numbers of the calibration: how each is searched, its bounds and its prior."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from interphase_sim.scenario import Parameter, Scenario

Array = npt.NDArray[np.float64]
SEED = 2021


class Free(NamedTuple):
    """A free number: dotted key, how it is searched ("log", "linear" or "gap": ln(1 - value)), search bounds,
    prior centre and prior spread in search units (None: flat), all values in SI."""

    key: str
    scale: str
    low: float
    high: float
    centre: float
    spread: float | None

    def to_search(self, value: float) -> float:
        """The unknown of the search that stands for a value."""
        if self.scale == "log":
            return math.log(value)
        return math.log(1.0 - value) if self.scale == "gap" else 10.0 * value

    def from_search(self, z: float) -> float:
        """The value that an unknown of the search stands for."""
        if self.scale == "log":
            return math.exp(z)
        return 1.0 - math.exp(z) if self.scale == "gap" else 0.1 * z

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the unknown, rising."""
        a, b = self.to_search(self.low), self.to_search(self.high)
        return min(a, b), max(a, b)


EXCHANGE = Free("kinetics.oxygen.exchange", "log", 1e-14, 1e-9, 5e-12, None)
DIFFUSIVITY = Free("kinetics.oxygen.diffusivity", "log", 1e-22, 1e-17, 1e-20, 2.3)
CONDUCTIVITY = Free("kinetics.layer.insulating_conductivity", "log", 1e-10, 1e-5, 1e-8, 2.3)
CONTACT_LENGTH = Free("kinetics.losses.contact_length", "log", 1e-10, 1e-6, 1e-8, 1.5)
HINDRANCE = Free("kinetics.lithium.hindrance_stoichiometry", "linear", 0.4, 1.0, 0.84, 1.0)
HINDRANCE_WIDTH = Free("kinetics.lithium.hindrance_width", "log", 0.01, 0.3, 0.05, 1.0)
DOSE = Free("kinetics.contact.duration", "log", 3600.0, 1.2e6, 86400.0, 1.0)
THRESHOLD = Free("kinetics.losses.percolation_threshold", "log", 0.01, 0.9, 0.2, 1.0)
SWING = Free("kinetics.losses.mechanical_loss", "log", 1e-5, 3e-2, 2e-3, 1.0)
UTILISATION = Free("cell.utilisation", "linear", 0.90, 1.0, 0.97, 0.2)
# Randomly packed discs cover 0.82, close-packed ones 0.907.
COVERAGE = Free("coating.coverage", "gap", 0.5, 0.905, 0.82, 0.7)


def values_at(free: Sequence[Free], z: Iterable[float]) -> dict[str, float]:
    """Free numbers in SI by key."""
    return {f.key: f.from_search(float(v)) for f, v in zip(free, z, strict=True)}


def parameter(scenario: Scenario, key: str) -> Parameter:
    """The parameter of a scenario with a dotted key."""
    part: Any = scenario
    for name in key.split("."):
        part = getattr(part, name)
    return part  # type: ignore[no-any-return]


def point_of(free: Sequence[Free], scenario: Scenario) -> Array:
    """A scenario's numbers as a point of the search, within its bounds."""
    low, high = limits(free)
    return np.clip([f.to_search(parameter(scenario, f.key).si) for f in free], low, high)


def limits(free: Sequence[Free]) -> tuple[Array, Array]:
    """Lower and upper bounds of the unknowns."""
    low, high = np.array([f.bounds for f in free], dtype=float).reshape(-1, 2).T
    return low, high


def centre(free: Sequence[Free]) -> Array:
    """The priors' centres as a point of the search."""
    return np.array([f.to_search(f.centre) for f in free])


def prior_draws(free: Sequence[Free], count: int) -> list[Array]:
    """Seeded starts from the priors, half their spread wide; a flat prior counts as an e-fold."""
    rng = np.random.default_rng(SEED)
    spread = np.array([f.spread if f.spread is not None else 1.0 for f in free])
    return [np.clip(centre(free) + 0.5 * spread * rng.standard_normal(len(free)), *limits(free)) for _ in range(count)]
