"""Measured points for figures: `Measured(cell, quantity, cycle, value, unit, paper_location, source)`.

Another name for `interphase_sim.experiment.Observation`, and for the observations that ship with the package.
"""

from interphase_sim.experiment.observations import SOURCE
from interphase_sim.experiment.observations import Observation as Measured
from interphase_sim.experiment.observations import load as capacities

__all__ = ["SOURCE", "Measured", "capacities"]
