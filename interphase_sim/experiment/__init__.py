"""The experiment that runs are compared with: what was measured, by what a run is compared, and what must hold.

`observations` are rows of data files, `observables` read a run, `criteria` are limits, `comparisons` say what of a run
a limit is for; `judge` puts them together and `table` prints its report. Validation, calibration and figures import
them from here, so a datum, a trend or a limit is stated once.
"""

from interphase_sim.experiment import observations
from interphase_sim.experiment.folder import data_folder
from interphase_sim.experiment.observables import OBSERVABLES, Observable, observable
from interphase_sim.experiment.observations import Observation

__all__ = ["OBSERVABLES", "Observable", "Observation", "data_folder", "observable", "observations"]
