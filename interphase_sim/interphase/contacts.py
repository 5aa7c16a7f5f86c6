"""The three contacts of the cathode composite: NCM, carbon and current collector against electrolyte."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from interphase_sim import materials
from interphase_sim.arrhenius import arrhenius
from interphase_sim.chemistry import PHASES
from interphase_sim.coating import Patch
from interphase_sim.interphase import column, contact_models
from interphase_sim.interphase.column import Column, Drive, Grid
from interphase_sim.interphase.contact_models import Conditions, Contact, ContactModel
from interphase_sim.interphase.contact_models.interface import rates
from interphase_sim.interphase.kernels import Array
from interphase_sim.scenario import Kinetics, Scenario

FULL_ACTIVITY = 4.2  # V vs Li/Li+, where the oxygen activity is one by definition
LITHIUM_EXTRACTED_AT_FULL_ACTIVITY = 0.654  # of Li1MO2 at 4.2 V, from the NCM622 potential


@dataclass(frozen=True, eq=False)
class Setting:
    """What does not change during a run: areas [m2 kg-1 of NCM622], tolerance of steps in time of carbon's and
    collector's column and of the NCM's contact, model of that contact."""

    areas: dict[str, float]
    tolerance: float
    ncm_tolerance: float
    model: ContactModel

    @property
    def kinetics(self) -> Kinetics:
        """The scenario's kinetics."""
        return self.model.conditions.kinetics

    @property
    def grid(self) -> Grid:
        """The grid of a column."""
        return self.model.conditions.grid

    @property
    def volumes(self) -> Array:
        """Molar volumes of the phases [m3 mol-1]."""
        return self.model.conditions.volumes

    @property
    def sigmas(self) -> tuple[float, float, float]:
        """Conductivities of electrolyte, Li3PS4 and insulators [S m-1]."""
        return self.model.conditions.sigmas

    @property
    def depth(self) -> Array:
        """Distance of the profile's cells from the oxide [m]."""
        return self.model.depth


@dataclass(frozen=True, eq=False)
class Contacts:
    """State of the contacts: that of the NCM, as its model has it, and the column of carbon and collector.

    Carbon and collector see the same potential and hold no oxygen, so one column per area serves both.
    """

    contact: Contact
    electronic: Column

    @property
    def patches(self) -> tuple[Patch, ...]:
        """Patches of the NCM's contact."""
        return self.contact.patches

    @property
    def ncm(self) -> tuple[Column, ...]:
        """Their columns."""
        return self.contact.columns

    @property
    def coverage(self) -> float:
        """Coverage of the NCM [1]."""
        return self.contact.coverage

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, those of the NCM first."""
        return (*self.contact.columns, self.electronic)

    def with_columns(self, columns: Iterable[Column]) -> Contacts:
        """The same contacts with other columns, in the order of ``columns``."""
        *ncm, electronic = columns
        return Contacts(replace(self.contact, columns=tuple(ncm)), electronic)

    @functools.cached_property
    def amounts(self) -> dict[str, dict[str, float]]:
        """Amounts by interface and species per contact area [mol m-2]."""
        electronic = column.amounts(self.electronic)
        return {"ncm": self.contact.amounts, "carbon": electronic, "collector": electronic}


def setting(scenario: Scenario, areas: dict[str, float], electrolyte_conductivity: float) -> Setting:
    """Everything constant of a scenario's contacts at the cell's temperature.

    Raises InputError naming a coating property that is missing and decides the answer.
    """
    numerics, layer, temperature = scenario.numerics, scenario.kinetics.layer, scenario.cell.temperature.si
    warmer = arrhenius(layer.activation_energy.si, temperature, layer.reference_temperature.si)
    volumes = [materials.lookup("products", phase.product, "molar_volume").value for phase in PHASES]
    reach = scenario.kinetics.reactions.reach.si
    conditions = Conditions(
        kinetics=scenario.kinetics,
        temperature=temperature,
        grid=column.graded_grid(numerics.column_cells, numerics.first_cell.si, layer.electrolyte_available.si, reach),
        volumes=np.array(volumes, dtype=float),
        sigmas=(
            electrolyte_conductivity,
            warmer * layer.thiophosphate_conductivity.si,
            warmer * layer.insulating_conductivity.si,
        ),
    )
    model = contact_models.of(scenario, conditions)
    return Setting(areas, numerics.column_tolerance, model.tolerance(numerics), model)


def pristine(s: Setting) -> Contacts:
    """Contacts before anything has reacted."""
    conditions, reach = s.model.conditions, s.kinetics.reactions.reach.si
    constants = rates(s.kinetics, None, conditions.temperature)
    return Contacts(s.model.pristine(), column.new_column(s.grid.within(reach), constants, reach, 1.0))


def contact_dose(s: Setting, contacts: Contacts) -> Contacts:
    """Reaction of the freshly pressed composite: hours at a temperature, at unit oxygen activity.

    The lumped metathesis of discharged NCM with electrolyte. No current flows and the NCM is full, so nothing
    can take up electrons: R3 rests until the first charge.
    """
    duration, temperature = s.kinetics.contact.duration.si, s.kinetics.contact.temperature.si
    if duration <= 0:
        return contacts
    ends, flat = np.array([0.0, duration]), np.zeros(2)
    drive, before = Drive(ends, np.ones(2), flat, flat), contacts.contact
    warm = [replace(col, rates=rates(s.kinetics, patch, temperature)) for patch, col in before.parts()]
    after = s.model.advance(replace(before, columns=tuple(warm)), drive, s.ncm_tolerance)
    pairs = zip(after.columns, before.columns, strict=True)
    dosed = tuple(replace(done, rates=col.rates, step=0.0) for done, col in pairs)
    return replace(contacts, contact=replace(after, columns=dosed))


def oxygen_activity(kinetics: Kinetics, ocp: Array, surface: Array) -> Array:
    """f of the oxide's own state, f(4.2 V) = 1 [1].

    exponential: exp((U - 4.2 V)/efold) of the open-circuit potential at the surface stoichiometry;
    onset: a smooth step in the lithium extracted at the surface, scaled to one at 4.2 V.
    """
    oxygen = kinetics.oxygen
    if oxygen.potential_law == "exponential":
        return np.asarray(np.exp((ocp - FULL_ACTIVITY) / oxygen.efold.si))
    width, onset = oxygen.onset_width.si / 4, oxygen.onset_lithium_extracted.si
    step = _switch(1.0 - surface, onset, 4 * width)
    return np.asarray(step / _switch(np.array(LITHIUM_EXTRACTED_AT_FULL_ACTIVITY), onset, 4 * width))


def _switch(value: Array, onset: float, width: float) -> Array:
    """Logistic step from 12 to 88 % over ``width``."""
    with np.errstate(over="ignore"):  # far below the onset, where the step is zero
        return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (value - onset) / width)))


def drive(kinetics: Kinetics, time: Array, potential: Array, ocp: Array, surface: Array) -> Drive:
    """The drive of the contacts from a half-cycle's history: potential against the electrolyte [V vs Li/Li+],
    open-circuit potential [V] and stoichiometry of the NCM's surface, all (n,) over time [s]."""
    reactions = kinetics.reactions
    width = reactions.onset_width.si
    return Drive(
        time,
        oxygen_activity(kinetics, ocp, surface),
        _switch(potential, reactions.sulfide_onset.si, width),
        _switch(potential, reactions.thiophosphate_onset.si, width),
    )


def held_back(driven: Drive, share: float, *, taking: bool) -> Drive:
    """The drive when the oxide takes up only a share of the electrons of R3 and R3b, or gives only a share of those
    that R4 asks for [1]."""
    if not taking:
        return replace(driven, lithium=share)
    return replace(driven, sulfide=share * driven.sulfide, thiophosphate=share * driven.thiophosphate)


def advance(s: Setting, contacts: Contacts, driven: Drive) -> Contacts:
    """Contacts after a drive; the same potential acts on NCM, carbon and collector."""
    dry = replace(driven, oxygen=np.zeros_like(driven.time))
    return Contacts(
        s.model.advance(contacts.contact, driven, s.ncm_tolerance),
        column.advance(contacts.electronic, dry, s.tolerance),
    )


def with_steps(contacts: Contacts, like: Contacts) -> Contacts:
    """The same contacts, to go on with the steps in time of others."""
    pairs = zip(contacts.columns, like.columns, strict=True)
    return contacts.with_columns(replace(col, step=other.step) for col, other in pairs)


def with_coverage(s: Setting, contacts: Contacts, coverage: float) -> Contacts:
    """The same contacts at another coverage, where their model lets it fall."""
    contact = s.model.with_coverage(contacts.contact, coverage)
    return contacts if contact is contacts.contact else replace(contacts, contact=contact)


def uncover(s: Setting, contacts: Contacts, swings: float) -> Contacts:
    """Lower the coverage as far as ``swings`` full delithiation swings take it."""
    return with_coverage(s, contacts, s.model.coverage_at(swings))


def film_resistance(s: Setting, contacts: Contacts) -> float:
    """Resistance of interphase and coating per NCM area in contact [ohm m2].

    The state has it, unless it was made under another model, as that of another temperature is.
    """
    contact = contacts.contact
    return contact.film_resistance if contact.model is s.model else s.model.film_resistance(contact)


def layer_thickness(contacts: Contacts) -> float:
    """Layer thickness averaged over the NCM's contact area [m]."""
    return contacts.contact.layer_thickness


def amounts(contacts: Contacts) -> dict[str, dict[str, float]]:
    """Amounts by interface and species per contact area [mol m-2], patches of the NCM averaged by area."""
    return contacts.amounts


def profiles(s: Setting, contacts: Contacts) -> dict[str, Array]:
    """Concentrations by interface (10, n) [mol m-3] over ``s.depth``, averaged over the contact area."""
    electronic = column.spread(contacts.electronic, s.model.grid.faces)
    return {"ncm": s.model.profile(contacts.contact), "carbon": electronic, "collector": electronic}


def fields(s: Setting, contacts: Contacts) -> tuple[Array, Array] | None:
    """Concentrations (10, rows, rings) [mol m-3] and ionic conductivity (rows, rings) [S m-1] of the NCM's contact.

    Not a number where the coating is; None for a model without rings.
    """
    return s.model.fields(contacts.contact)
