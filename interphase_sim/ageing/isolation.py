"""Isolation: NCM particles that lose contact at the end of a charge keep the lithium that they hold."""

import math
from typing import Any

from interphase_sim.ageing.law import LARGEST_LOSS, LossLaw, Ncm
from interphase_sim.fields import BelowOne, PositiveNumber, Section


class Parameters(Section):
    """Switch and numbers of isolation."""

    isolation: bool
    percolation_threshold: BelowOne
    percolation_spread: PositiveNumber


def isolated_fraction(losses: Any, log_contact: float) -> float:
    """Share of particles whose own contact, lognormally spread about chi, lies below the percolation threshold.

    (1/2) erfc((ln chi - ln chi_c)/(sqrt(2) s)), less its value at chi = 1.
    """
    if not losses.isolation or losses.percolation_threshold.si <= 0:
        return 0.0
    depth, width = math.log(losses.percolation_threshold.si), math.sqrt(2.0) * losses.percolation_spread.si
    below = 0.5 * math.erfc((log_contact - depth) / width)
    return max(0.0, below - 0.5 * math.erfc(-depth / width))


class Isolation(LossLaw):
    """Particles do not come back; some connected NCM is always left."""

    channel, order, colour = "isolation", 30, "#009E73"
    source = "assumed; percolation of contacts"
    validity = "45 degC, C/5"
    parameters = Parameters
    variables = ("isolated", "isolated_lithium")

    def charged(self, losses: Any, ncm: Ncm, content: float, never: float) -> dict[str, float]:
        """Particles that lose contact at their smallest, with what lithium they hold."""
        target = never + (1.0 - never) * isolated_fraction(losses, ncm.log_contact)
        lost = min(max(target - ncm.isolated, 0.0), LARGEST_LOSS * ncm.connected)
        return {"isolated": lost, "isolated_lithium": lost * content}


LAW = Isolation()
