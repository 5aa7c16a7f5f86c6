"""What every model of a contact is asked for, and the state that it hands on.

A contact is made of patches, each with a column of cells; what they mean is the model's. The state carries its model:
what follows from both (film resistance, amounts, thickness) is computed when it is first asked for and stays with the
state.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np

from interphase_sim import coating
from interphase_sim.arrhenius import arrhenius
from interphase_sim.chemistry import REACTIONS
from interphase_sim.coating import Patch, Shield
from interphase_sim.interphase import column
from interphase_sim.interphase.column import Column, Drive, Grid
from interphase_sim.interphase.kernels import Array, Rates
from interphase_sim.scenario import Coating, Kinetics, Numerics, Scenario


class Conditions(NamedTuple):
    """What a contact is in, whatever its model: kinetics, temperature [K], the grid of a column, molar volumes of
    ``chemistry.PHASES`` [m3 mol-1], conductivities of electrolyte, Li3PS4 and insulators [S m-1]."""

    kinetics: Kinetics
    temperature: float
    grid: Grid
    volumes: Array
    sigmas: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Contact:
    """State of the NCM's contact: its patches, their columns, the coverage of the oxide [1].

    Film resistance [ohm m2], amounts [mol m-2] and thickness [m] are per contact area.
    """

    model: ContactModel
    patches: tuple[Patch, ...]
    columns: tuple[Column, ...]
    coverage: float

    @functools.cached_property
    def film_resistance(self) -> float:
        """See ``ContactModel.film_resistance``."""
        return self.model.film_resistance(self)

    @functools.cached_property
    def amounts(self) -> dict[str, float]:
        """Amounts by species, patches averaged by area; electrons and those released."""
        parts = [(patch.area, column.amounts(col)) for patch, col in self.parts()]
        return {key: sum(area * found[key] for area, found in parts) for key in parts[0][1]}

    @functools.cached_property
    def layer_thickness(self) -> float:
        """Thickness of the layer, patches averaged by area."""
        return sum(patch.area * column.layer_thickness(col) for patch, col in self.parts())

    def parts(self) -> zip[tuple[Patch, Column]]:
        """Every patch with its column."""
        return zip(self.patches, self.columns, strict=True)


@dataclass(frozen=True, eq=False)
class ContactModel(ABC):
    """A model of the NCM's contact. Columns side by side are what it does unless it says otherwise."""

    conditions: Conditions

    @abstractmethod
    def patches(self, coverage: float) -> tuple[Patch, ...]:
        """The patches of the contact at a coverage."""

    @abstractmethod
    def film_resistance(self, contact: Contact) -> float:
        """Resistance that layer and coating add to pristine electrolyte [ohm m2 of contact area]."""

    @property
    def coverage(self) -> float:
        """Coverage of the oxide at the start [1]."""
        return 0.0

    @property
    def shield(self) -> Shield | None:
        """The ionic side of the coating."""
        return None

    def coverage_at(self, swings: float) -> float:
        """Coverage after so many full delithiation swings [1]."""
        return self.coverage

    def tolerance(self, numerics: Numerics) -> float:
        """Tolerance of the contact's steps in time [1]."""
        return numerics.column_tolerance

    def pristine(self) -> Contact:
        """The contact before anything has reacted."""
        parts = self.patches(self.coverage)
        return Contact(self, parts, tuple(self.fresh(part) for part in parts), self.coverage)

    def fresh(self, patch: Patch) -> Column:
        """The untouched column of a patch."""
        reach = self.conditions.kinetics.reactions.reach.si
        return column.new_column(self.grid, self.rates(patch), reach, patch.exposed)

    def rates(self, patch: Patch) -> Rates:
        """Constants of a patch's column at the cell's temperature."""
        return rates(self.conditions.kinetics, patch, self.conditions.temperature)

    def advance(self, contact: Contact, drive: Drive, tolerance: float) -> Contact:
        """The contact after a drive."""
        return replace(contact, columns=tuple(column.advance(col, drive, tolerance) for col in contact.columns))

    def with_coverage(self, contact: Contact, coverage: float) -> Contact:
        """The contact at another coverage, where its coverage can fall."""
        return contact

    # Places

    @property
    def grid(self) -> Grid:
        """The cells of the contact."""
        return self.conditions.grid

    @property
    def depth(self) -> Array:
        """Distance of the profile's cells from the oxide [m]."""
        return self.grid.centre

    def profile(self, contact: Contact) -> Array:
        """Concentrations (10, n) [mol m-3] over ``depth``, averaged over the contact area."""
        return np.asarray(sum(patch.area * col.y for patch, col in contact.parts()))

    # What a result has of the contact beyond depth

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and rings of ``fields``; none where the model has no place but depth."""
        return 0, 0

    def geometry(self) -> dict[str, Array]:
        """Variables of the result that say where the cells of ``fields`` lie."""
        return {}

    def fields(self, contact: Contact) -> tuple[Array, Array] | None:
        """Concentrations (10, rows, rings) [mol m-3] and ionic conductivity (rows, rings) [S m-1], not a number
        where there is no electrolyte."""
        return None

    def validity_warning(self, coverage: float, layer: float) -> str | None:
        """Why the model cannot be trusted at a coverage [1] and a layer thickness [m], or None."""
        return None


@dataclass(frozen=True, eq=False)
class CoatedModel(ContactModel):
    """A model of the contact under a coating, whose ionic side is ``cover``."""

    coat: Coating
    cover: Shield

    keeps_coverage: ClassVar[str | None] = None  # why its coverage cannot fall, where it cannot

    @classmethod
    def of(cls, coat: Coating, cover: Shield, conditions: Conditions, scenario: Scenario) -> CoatedModel:
        """The model of a coating that covers something. Raises InputError for one that it cannot hold."""
        return cls(conditions, coat, cover)

    @property
    def coverage(self) -> float:
        return self.coat.coverage.si

    @property
    def shield(self) -> Shield:
        return self.cover

    def coverage_at(self, swings: float) -> float:
        return coating.coverage_at(self.coat, swings)


REGISTERED: dict[str, type[CoatedModel]] = {}
Model = TypeVar("Model", bound=type[CoatedModel])


def contact_model(*names: str) -> Callable[[Model], Model]:
    """Registers a model by the names that ``coating.contact`` may have for it."""

    def register(model: Model) -> Model:
        for name in names:
            if name in REGISTERED:
                raise ValueError(f"two contact models are named {name}")
            REGISTERED[name] = model
        return model

    return register


def rates(kinetics: Kinetics, patch: Patch | None, temperature: float) -> Rates:
    """Constants of a column at a temperature; without a patch, no oxygen enters (carbon, collector).

    Reactions that release electrons run only where the oxidation of the electrolyte is switched on.
    """
    oxygen = kinetics.oxygen
    a = arrhenius(oxygen.activation_energy.si, temperature, oxygen.reference_temperature.si)
    on = a if kinetics.losses.electrolyte_oxidation else 0.0
    constants = {
        reaction.constant: (on if reaction.electrons > 0 else a) * getattr(kinetics.reactions, reaction.parameter).si
        for reaction in REACTIONS
    }
    return Rates(
        **constants,
        d0=a * oxygen.diffusivity.si,
        beta=math.log(oxygen.converted_diffusivity_ratio.si),
        t0=column.ELECTROLYTE_CONCENTRATION,
        c_eq=oxygen.equilibrium_concentration.si,
        kappa_0=a * patch.kappa_0 if patch else 0.0,
        kappa_cov=a * patch.kappa_cov if patch else 0.0,
        exposed=patch.exposed if patch else 0.0,
        r_gap=patch.r_gap / a if patch else 0.0,
        v=patch.v / a if patch else 0.0,
    )
