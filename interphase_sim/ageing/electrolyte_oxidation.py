"""Electrolyte oxidation: the electrons of R3 and R3b, a current that the contacts give and the cell carries."""

from interphase_sim.ageing.law import LossLaw
from interphase_sim.fields import Section


class Parameters(Section):
    """Switch of electrolyte oxidation."""

    electrolyte_oxidation: bool


class ElectrolyteOxidation(LossLaw):
    """Charge that is not lithium of the NCM; it moves nothing in the NCM."""

    channel, order, colour = "electrolyte_oxidation", 50, "#F0E442"
    source = "electrons of R3 and R3b; see interphase"
    validity = "as that of the reactions"
    parameters = Parameters


LAW = ElectrolyteOxidation()
