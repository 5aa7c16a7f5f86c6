"""The three contacts of the cathode composite: NCM, carbon and current collector against electrolyte."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from interphase_sim import coating, materials
from interphase_sim.arrhenius import arrhenius
from interphase_sim.caching import per_thread
from interphase_sim.coating import Patch, Shield
from interphase_sim.errors import InputError
from interphase_sim.interphase import column, kernels, unitcell
from interphase_sim.interphase.column import Column, Drive, Grid
from interphase_sim.interphase.kernels import Array, Rates
from interphase_sim.interphase.unitcell import Block, Fineness, Rings
from interphase_sim.scenario import Coating, Kinetics, Scenario, gap_share

FULL_ACTIVITY = 4.2  # V vs Li/Li+, where the oxygen activity is one by definition
LITHIUM_EXTRACTED_AT_FULL_ACTIVITY = 0.654  # of Li1MO2 at 4.2 V, from the NCM622 potential
FIXED = {
    "separate": "its patches keep their areas",
    "closure": "its gap keeps its size",
    "resolved": "its gap keeps its size",
}
PHASES = ("Li6PS5Cl", "Li3PS4", "Li2S", "LiCl", "Li3PO4", "Li2SO4", "S", "P2S5/2")


@dataclass(frozen=True, eq=False)
class Setting:
    """What does not change during a run: kinetics, temperature [K], areas [m2 kg-1 of NCM622], grid, phases.

    Around a gap ("closure", "resolved") the NCM has rings, with a tolerance of their own, and the coating is a block.
    """

    kinetics: Kinetics
    coat: Coating | None
    shield: Shield | None
    temperature: float
    areas: dict[str, float]
    grid: Grid
    tolerance: float
    volumes: Array
    sigmas: tuple[float, float, float]
    rings: Rings | None
    rings_tolerance: float
    block: Block | None

    @property
    def ncm_grid(self) -> Grid:
        """The grid of the NCM's contact."""
        return self.rings or self.grid

    @property
    def ncm_tolerance(self) -> float:
        """The tolerance of its steps in time."""
        return self.rings_tolerance if self.rings else self.tolerance

    @property
    def depth(self) -> Array:
        """Distance of the profile's cells from the oxide [m]."""
        return self.rings.middle if self.rings else self.grid.centre


@dataclass(frozen=True, eq=False)
class Contacts:
    """State of the contacts: patches of the NCM and their columns (one on rings around a gap), the electronic
    contact, coverage.

    Carbon and collector see the same potential and hold no oxygen, so one column per area serves both.
    """

    patches: tuple[Patch, ...]
    ncm: tuple[Column, ...]
    electronic: Column
    coverage: float


def setting(scenario: Scenario, areas: dict[str, float], electrolyte_conductivity: float) -> Setting:
    """Everything constant of a scenario's contacts at the cell's temperature.

    Raises InputError naming a coating property that is missing and decides the answer.
    """
    coat = scenario.coating
    if coat and coat.coverage_loss.si > 0 and coat.contact in FIXED:
        raise InputError(f'coating.coverage_loss must be 0 with contact = "{coat.contact}": {FIXED[coat.contact]}')
    numerics, layer, temperature = scenario.numerics, scenario.kinetics.layer, scenario.cell.temperature.si
    cover = coating.shield(coat, temperature) if coat else None
    warmer = arrhenius(layer.activation_energy.si, temperature, layer.reference_temperature.si)
    volumes = [materials.lookup("products", name, "molar_volume").value for name in PHASES]
    return Setting(
        kinetics=scenario.kinetics,
        coat=coat,
        shield=cover,
        temperature=temperature,
        areas=areas,
        grid=column.graded_grid(
            numerics.column_cells,
            numerics.first_cell.si,
            layer.electrolyte_available.si,
            scenario.kinetics.reactions.reach.si,
        ),
        tolerance=numerics.column_tolerance,
        volumes=np.array(volumes, dtype=float),
        sigmas=(
            electrolyte_conductivity,
            warmer * layer.thiophosphate_conductivity.si,
            warmer * layer.insulating_conductivity.si,
        ),
        rings=_rings(scenario),
        rings_tolerance=numerics.closure_tolerance if _coarse(coat) else numerics.unit_cell_tolerance,
        block=_block(coat, cover) if coat and cover and coating.around_a_gap(coat) else None,
    )


def _rings(scenario: Scenario) -> Rings | None:
    """The unit cell around one gap; filled gaps are part of its coating, unless all are."""
    coat = scenario.coating
    if coat is None or not coating.around_a_gap(coat) or coat.coverage.si <= 0 or coat.gap_radius is None:
        return None
    coating.refuse_overpacking(coat)
    radius, disc = coat.gap_radius.si, 0.5 * coating.gap_distance(coat, coat.coverage.si)
    available = scenario.kinetics.layer.electrolyte_available.si
    geometry = unitcell.Geometry(radius, disc, coat.thickness.si, available, coating.all_filled(coat))
    return unitcell.rings(geometry, _fineness(scenario), scenario.kinetics.reactions.reach.si)


def _coarse(coat: Coating | None) -> bool:
    return coat is not None and coat.contact == "closure"


def _fineness(scenario: Scenario) -> Fineness:
    """The cut of the unit cell; the closure's is coarse, in as few rings as its amounts and resistance bear."""
    n = scenario.numerics
    if _coarse(scenario.coating):
        return Fineness(n.closure_rings, n.closure_rows, n.closure_edge.si, fewest=2, keys="closure")
    return Fineness(n.unit_cell_rings, n.unit_cell_rows, n.unit_cell_edge.si)


def _block(coat: Coating, cover: Shield) -> Block:
    """The coating as one body of its whole thickness, with the core's resistance, between skins, its shells.

    Filled gaps change both by the same factor, so that the conductance of the area under them is that of coating
    and filler side by side.
    """
    factor = 1.0
    if 0 < coat.filler_coverage.si < 1:
        exposed = gap_share(coat.coverage.si, coat.filler_coverage.si)
        factor = coating.block_resistance(cover, coat.coverage.si, exposed) / cover.covered
    core = cover.core * factor
    return Block(cover.thickness / core, cover.thickness / core, cover.shell * factor, cover.gap_conductivity)


def _rates(kinetics: Kinetics, patch: Patch | None, temperature: float) -> Rates:
    """Constants of a column at a temperature; without a patch, no oxygen enters (carbon, collector)."""
    oxygen, reactions = kinetics.oxygen, kinetics.reactions
    a = arrhenius(oxygen.activation_energy.si, temperature, oxygen.reference_temperature.si)
    on = a if kinetics.losses.electrolyte_oxidation else 0.0
    return Rates(
        k1=a * reactions.phosphate.si,
        k2=a * reactions.sulfate.si,
        k4=a * reactions.polysulfide_sulfate.si,
        k3=on * reactions.sulfide_oxidation.si,
        k3b=on * reactions.thiophosphate_oxidation.si,
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


def pristine(s: Setting) -> Contacts:
    """Contacts before anything has reacted."""
    reach = s.kinetics.reactions.reach.si
    coverage = coating.coverage_at(s.coat, 0.0)
    parts = coating.patches(s.coat, coverage, s.kinetics, s.temperature)

    def fresh(patch: Patch | None, grid: Grid) -> Column:
        exposed = patch.exposed if patch else 1.0
        return column.new_column(grid, _rates(s.kinetics, patch, s.temperature), reach, exposed)

    electronic = fresh(None, s.grid.within(reach))
    if s.rings:
        resolved = unitcell.new_cell(s.rings, _rates(s.kinetics, parts[0], s.temperature), reach)
        return Contacts(parts, (resolved,), electronic, coverage)
    return Contacts(parts, tuple(fresh(p, s.grid) for p in parts), electronic, coverage)


def contact_dose(s: Setting, contacts: Contacts) -> Contacts:
    """Reaction of the freshly pressed composite: hours at a temperature, at unit oxygen activity.

    The lumped metathesis of discharged NCM with electrolyte. No current flows and the NCM is full, so nothing
    can take up electrons: R3 rests until the first charge.
    """
    duration, temperature = s.kinetics.contact.duration.si, s.kinetics.contact.temperature.si
    if duration <= 0:
        return contacts
    ends, flat = np.array([0.0, duration]), np.zeros(2)
    drive = Drive(ends, np.ones(2), flat, flat)
    dosed = []
    for patch, col in zip(contacts.patches, contacts.ncm, strict=True):
        warm = replace(col, rates=_rates(s.kinetics, patch, temperature))
        done = column.advance(warm, drive, s.ncm_tolerance)
        dosed.append(replace(done, rates=col.rates, step=0.0))
    return replace(contacts, ncm=tuple(dosed))


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
    return replace(
        contacts,
        ncm=tuple(column.advance(c, driven, s.ncm_tolerance) for c in contacts.ncm),
        electronic=column.advance(contacts.electronic, dry, s.tolerance),
    )


def with_steps(contacts: Contacts, like: Contacts) -> Contacts:
    """The same contacts, to go on with the steps in time of others."""
    ncm = tuple(replace(c, step=other.step) for c, other in zip(contacts.ncm, like.ncm, strict=True))
    return replace(contacts, ncm=ncm, electronic=replace(contacts.electronic, step=like.electronic.step))


def with_coverage(s: Setting, contacts: Contacts, coverage: float) -> Contacts:
    """The same contacts at another coverage; freshly exposed oxide finds its electrolyte in electron reach."""
    if coverage == contacts.coverage or len(contacts.patches) > 1:
        return contacts
    patch, old, col = (
        coating.patches(s.coat, coverage, s.kinetics, s.temperature)[0],
        contacts.patches[0],
        contacts.ncm[0],
    )
    share = (patch.exposed - old.exposed) / (1.0 - old.exposed)
    y = col.y.copy()
    for part, whole in ((kernels.S2_EXPOSED, kernels.S2), (kernels.PS4_EXPOSED, kernels.PS4)):
        y[part] += share * (y[whole] - y[part])
    opened = replace(col, y=y, rates=_rates(s.kinetics, patch, s.temperature))
    return replace(contacts, patches=(patch,), ncm=(opened,), coverage=coverage)


def uncover(s: Setting, contacts: Contacts, swings: float) -> Contacts:
    """Lower the coverage as far as ``swings`` full delithiation swings take it."""
    return with_coverage(s, contacts, coating.coverage_at(s.coat, swings))


@per_thread(maxsize=4)
def film_resistance(s: Setting, contacts: Contacts) -> float:
    """Resistance of interphase and coating per NCM area in contact [ohm m2].

    Remembered for the last contacts asked about: a step, its correction and its record ask again.
    """
    if s.rings and s.block:
        _, sigma = column.conductivity_profile(contacts.ncm[0], s.volumes, s.sigmas)
        return unitcell.ionic_resistance(s.rings, sigma, s.block, s.sigmas[0])
    gap = s.shield.gap_radius if s.shield else 0.0
    layers = [column.layer_resistance(c, s.volumes, s.sigmas) for c in contacts.ncm]
    near = [column.near_conductivity(c, s.volumes, s.sigmas, max(gap, c.grid.width[0])) for c in contacts.ncm]
    return coating.contact_resistance(contacts.patches, layers, near, s.shield, contacts.coverage)


def layer_thickness(contacts: Contacts) -> float:
    """Layer thickness averaged over the NCM's contact area [m]."""
    return sum(p.area * column.layer_thickness(c) for p, c in zip(contacts.patches, contacts.ncm, strict=True))


@per_thread(maxsize=4)
def amounts(contacts: Contacts) -> dict[str, dict[str, float]]:
    """Amounts by interface and species per contact area [mol m-2], patches of the NCM averaged by area.

    Remembered as ``film_resistance`` is.
    """
    parts = [(p.area, column.amounts(c)) for p, c in zip(contacts.patches, contacts.ncm, strict=True)]
    mean = {key: sum(area * found[key] for area, found in parts) for key in parts[0][1]}
    electronic = column.amounts(contacts.electronic)
    return {"ncm": mean, "carbon": electronic, "collector": electronic}


def profiles(s: Setting, contacts: Contacts) -> dict[str, Array]:
    """Concentrations by interface (10, n) [mol m-3] over ``s.depth``, averaged over the contact area."""
    if s.rings:
        ncm = unitcell.depth_profile(contacts.ncm[0], s.rings)
    else:
        ncm = np.asarray(sum(p.area * c.y for p, c in zip(contacts.patches, contacts.ncm, strict=True)))
    electronic = column.spread(contacts.electronic, s.ncm_grid.faces)
    return {"ncm": ncm, "carbon": electronic, "collector": electronic}


def fields(s: Setting, contacts: Contacts) -> tuple[Array, Array]:
    """Concentrations (10, rows, rings) [mol m-3] and ionic conductivity (rows, rings) [S m-1] around a gap.

    Not a number where the coating is.
    """
    assert s.rings is not None
    cell = contacts.ncm[0]
    sigma = column.conductivity(cell, s.volumes, s.sigmas)
    return np.array([s.rings.full(y) for y in cell.y]), s.rings.full(sigma)
