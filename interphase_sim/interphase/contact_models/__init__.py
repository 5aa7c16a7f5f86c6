"""The models of the NCM's contact with the electrolyte, one file each.

Every file of this folder is imported here; a class with ``@contact_model`` is then known by its names, those that
``coating.contact`` may have. A further model is one more file, and its name in `interphase_sim.scenario`'s `Coating`.
"""

import importlib
import pkgutil

from interphase_sim.coating import shield
from interphase_sim.errors import InputError
from interphase_sim.interphase.contact_models import interface
from interphase_sim.interphase.contact_models.bare import Bare
from interphase_sim.interphase.contact_models.interface import Conditions, Contact, ContactModel
from interphase_sim.scenario import Scenario

__all__ = ["MODELS", "Conditions", "Contact", "ContactModel", "of"]

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")

MODELS = interface.REGISTERED


def of(scenario: Scenario, conditions: Conditions) -> ContactModel:
    """The model of a scenario's contact: that of its coating, or of a bare contact where nothing is covered.

    Raises InputError for a coating that its model cannot hold, and naming a property of it that is missing and decides
    the answer.
    """
    coat = scenario.coating
    if coat is None:
        return Bare(conditions)
    model = MODELS[coat.contact]
    if coat.coverage_loss.si > 0 and model.keeps_coverage:
        raise InputError(f'coating.coverage_loss must be 0 with contact = "{coat.contact}": {model.keeps_coverage}')
    cover = shield(coat, conditions.temperature)
    if coat.coverage.si <= 0:
        return Bare(conditions)
    return model.of(coat, cover, conditions, scenario)
