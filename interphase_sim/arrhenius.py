"""How a rate, a diffusivity or a conductivity follows temperature: the one Arrhenius law of this package."""

from __future__ import annotations

import math
from typing import Any

from interphase_sim.constants import BOLTZMANN


def exponent(energy: float, temperature: Any, reference: float) -> Any:
    """-E/k (1/T - 1/T_ref) [1] with E in J and temperatures in K; ``temperature`` may be a PyBaMM symbol."""
    return -energy / BOLTZMANN * (1.0 / temperature - 1.0 / reference)


def arrhenius(energy: float, temperature: float, reference: float) -> float:
    """Factor exp(-E/k (1/T - 1/T_ref)) on a constant that is stated at T_ref [1]; exactly one at T_ref.

    energy: activation energy [J]. temperature, reference: T and T_ref [K].
    """
    return math.exp(exponent(energy, temperature, reference))
