"""Rock salt: NCM that loses its oxygen takes no part any more."""

from typing import Any

from interphase_sim.ageing.law import LARGEST_LOSS, Exposure, LossLaw, Ncm
from interphase_sim.fields import Section


class Parameters(Section):
    """Switch of rock salt."""

    rock_salt: bool


class RockSalt(LossLaw):
    """Li_xMO2 -> MO + O + x Li: one formula unit per oxygen; its lithium goes to the NCM that stays connected."""

    channel, order, colour = "rock_salt", 40, "#CC79A7"
    source = "stoichiometry; no number of its own"
    validity = "as that of the oxygen's release"
    parameters = Parameters
    variables = ("rock_salt",)

    def changes(self, losses: Any, ncm: Ncm, exposure: Exposure) -> dict[str, float]:
        """As much more rock salt as lost its oxygen."""
        turned = exposure.reduced if losses.rock_salt else 0.0
        return {"rock_salt": min(turned, LARGEST_LOSS * ncm.connected)}


LAW = RockSalt()
