"""Film: the ionic resistance of interphase and coating, which the contact itself gives."""

from interphase_sim.ageing.law import LossLaw
from interphase_sim.fields import Section


class Parameters(Section):
    """Switch of the film."""

    film: bool


class Film(LossLaw):
    """R = integral(1/sigma - 1/sigma_SE) dz over the layer, with what a coating adds; it moves nothing in the NCM."""

    channel, order, colour = "film", 0, "#56B4E9"
    source = "Bruggeman's effective medium over the reacted layer; see interphase"
    validity = "as that of the contact model"
    parameters = Parameters


LAW = Film()
