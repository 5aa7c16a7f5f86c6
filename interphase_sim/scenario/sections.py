"""The tables of a scenario: cell, kinetics, coating, protocol, numerics, with every key a file may hold.

Checks between keys are written as field validators that look at the keys before them, so that one bad key
does not hide another.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from interphase_sim.ageing import Losses
from interphase_sim.errors import InputError
from interphase_sim.fields import (
    ANY,
    NON_NEGATIVE,
    BelowOne,
    Conductivity,
    CredibleTemperature,
    Density,
    Diffusivity,
    Energy,
    Factor,
    FirstOrderRate,
    Fraction,
    Length,
    Mass,
    MassRatio,
    Parameter,
    PositiveNumber,
    Quantity,
    Rate,
    RateOrCurrent,
    Ratio,
    SecondOrderRate,
    Section,
    Share,
    Span,
    Temperature,
    Valid,
    Voltage,
    preset,
)
from interphase_sim.scenario import potential
from interphase_sim.scenario.writer import numbers

MAX_CONTACT_HOURS = 1000
SAME_LENGTH = 0.01  # relative difference of two statements of one length
_CurrentDensity = Annotated[Parameter, Quantity("current density")]
_Capacity = Annotated[Parameter, Quantity("specific capacity", NON_NEGATIVE)]
_CapacityChange = Annotated[Parameter, Quantity("specific capacity")]
_Cells = Annotated[int, Field(ge=10, le=10_000)]
_Rings = Annotated[int, Field(ge=10, le=500)]
_Tolerance = Annotated[float, Field(gt=0, lt=0.1)]


class Validity(Section):
    """Where the numbers of a file are stated to hold; a result warns of what lies outside, and is the same.

    rate: of constant-current steps. potential: at which steps end or hold, against Li/Li+. What a file does not state
    is not judged.
    """

    temperature: Annotated[Span, Valid(CredibleTemperature())] | None = None
    rate: Annotated[Span, Valid(Quantity("rate"))] | None = None
    potential: Annotated[Span, Valid(Quantity("voltage", ANY))] | None = None
    layer_thickness: Annotated[Span, Valid(Quantity("length", NON_NEGATIVE))] | None = None


class Cell(Section):
    """LTO | Li6PS5Cl | NCM622 pellet cell: masses, structure, transport, window; voltages against LTO.

    reference_temperature: of the electrolyte's conductivity; ncm_reference_temperature: of the exchange current of NCM;
    lto_reference_temperature: of exchange current and diffusivity of LTO.
    """

    model: Literal["SPM", "SPMe", "DFN"] = "SPMe"
    diameter: Length
    cathode_composite_mass: Mass
    separator_mass: Mass
    anode_composite_mass: Mass
    cathode_mass_ratio: Annotated[Ratio, MassRatio(("NCM622", "Li6PS5Cl", "C65"))]
    anode_mass_ratio: Annotated[Ratio, MassRatio(("LTO", "Li6PS5Cl", "C65"))]
    ncm_d50: Length
    ncm_d90: Length
    ncm_density: Density
    electrolyte_density: Density
    carbon_density: Density
    lto_density: Density
    cathode_porosity: BelowOne
    anode_porosity: BelowOne
    separator_porosity: BelowOne
    cathode_tortuosity_factor: Factor
    anode_tortuosity_factor: Factor
    separator_tortuosity_factor: Factor
    contact_fraction: Share
    utilisation: Share
    carbon_specific_area: Annotated[Parameter, Quantity("specific area")]
    carbon_contact_fraction: Share
    collector_contact_fraction: Share
    electrolyte_conductivity: Conductivity
    electrolyte_activation_energy: Energy
    reference_temperature: Temperature
    temperature: Temperature
    ncm_exchange_current: _CurrentDensity
    ncm_exchange_current_activation_energy: Energy = preset(Energy, "0.5 eV")
    ncm_reference_temperature: Temperature = preset(Temperature, "45 degC")
    lto_exchange_current: _CurrentDensity
    lto_exchange_current_activation_energy: Energy = preset(Energy, "0.5 eV")
    lto_diffusivity: Diffusivity
    lto_diffusivity_activation_energy: Energy = preset(Energy, "0.35 eV")
    lto_reference_temperature: Temperature = preset(Temperature, "25 degC")
    lto_max_concentration: Annotated[Parameter, Quantity("concentration")]
    lto_radius: Length
    lto_plateau: Voltage
    lto_initial_stoichiometry: BelowOne
    lower_voltage: Voltage
    upper_voltage: Voltage
    one_c: Annotated[Parameter, Quantity("specific current")]
    validity: Validity | None = None

    @field_validator("ncm_d90")
    @classmethod
    def _size_distribution(cls, d90: Parameter, info: ValidationInfo) -> Parameter:
        return _above(d90, "ncm_d50", info)

    @field_validator("upper_voltage")
    @classmethod
    def _window(cls, upper: Parameter, info: ValidationInfo) -> Parameter:
        return _above(upper, "lower_voltage", info)

    @field_validator("lower_voltage", "upper_voltage")
    @classmethod
    def _inside_potential_table(cls, voltage: Parameter, info: ValidationInfo) -> Parameter:
        if "lto_plateau" in info.data:
            potential.refuse_beyond(repr(dict(voltage.given)["value"]), voltage.si, info.data["lto_plateau"].si)
        return voltage


class Oxygen(Section):
    """Release of oxygen by the oxide and its way outwards; `exchange` holds at 4.2 V vs Li/Li+."""

    exchange: Annotated[Parameter, Quantity("velocity", NON_NEGATIVE)]
    equilibrium_concentration: Annotated[Parameter, Quantity("concentration")]
    diffusivity: Diffusivity
    converted_diffusivity_ratio: PositiveNumber
    potential_law: Literal["exponential", "onset"]
    efold: Voltage
    onset_lithium_extracted: Fraction
    onset_width: Share
    activation_energy: Energy
    reference_temperature: Temperature
    rocksalt_diffusivity: Diffusivity
    gap_diffusivity: Diffusivity


class Reactions(Section):
    """Rate constants of the reactions in the column; onsets against Li/Li+."""

    phosphate: SecondOrderRate
    sulfate: SecondOrderRate
    polysulfide_sulfate: SecondOrderRate
    sulfide_oxidation: FirstOrderRate
    thiophosphate_oxidation: FirstOrderRate
    sulfide_onset: Voltage
    thiophosphate_onset: Voltage
    onset_width: Voltage
    reach: Length


class Layer(Section):
    """Conduction in the interphase and the electrolyte available to it.

    Both conductivities of products hold at the reference temperature and share one activation energy.
    """

    insulating_conductivity: Conductivity
    thiophosphate_conductivity: Conductivity
    activation_energy: Energy = preset(Energy, "0.42 eV")
    reference_temperature: Temperature = preset(Temperature, "45 degC")
    electrolyte_available: Length


class Lithium(Section):
    """Diffusion of lithium in NCM622 and its fall at high lithiation."""

    diffusivity: Diffusivity
    activation_energy: Energy = preset(Energy, "0.35 eV")
    reference_temperature: Temperature = preset(Temperature, "45 degC")
    hindrance_stoichiometry: Share
    hindrance_width: Share
    hindrance_factor: Factor


class ContactDose(Section):
    """Reaction before the first charge, as hours at a temperature."""

    duration: Annotated[Parameter, Quantity("time", NON_NEGATIVE)]
    temperature: Temperature

    @field_validator("duration")
    @classmethod
    def _believable(cls, duration: Parameter) -> Parameter:
        if duration.si > MAX_CONTACT_HOURS * 3600:
            raise InputError(f"{duration.si / 3600:g} h is longer than {MAX_CONTACT_HOURS} h of contact")
        return duration


class Kinetics(Section):
    """Everything the calibration may touch, shared by all cells."""

    oxygen: Oxygen
    reactions: Reactions
    layer: Layer
    lithium: Lithium
    losses: Losses
    contact: ContactDose
    validity: Validity | None = None


def gap_share(coverage: float, filled: float) -> float:
    """Share of a contact that lies in the gaps of its unit cells: the open ones, or all where all are filled [1]."""
    return (1.0 - coverage) * (1.0 - filled if filled < 1 else 1.0)


class Coating(Section):
    """The descriptors of a coating on NCM622: how much it covers, how thick it is, what its gaps are.

    covered_rate: oxygen exchange of covered oxide over that of exposed oxide [1]; without it, `rate_slope` and
    the reaction energies of the coatings table give it. filler_diffusivity: of oxygen through filled gaps; without
    it they exchange like covered oxide. cell_radius: half the distance between gaps, which the others imply; given,
    it must agree with them.
    """

    coverage: BelowOne
    thickness: Length
    gap_radius: Annotated[Length | None, Field(validate_default=True)] = None
    core: Annotated[str, Field(min_length=1)]
    shell: Annotated[str, Field(min_length=1)] | None = None
    shell_thickness: Annotated[Length | None, Field(validate_default=True)] = None
    filler: Literal["electrolyte", "carbonate", "residue"]
    filler_coverage: Fraction = preset(Fraction, 0.0)
    contact: Literal["closure", "mixed", "separate", "resolved"] = "closure"
    covered_rate: Fraction | None = None
    rate_slope: Annotated[Parameter, Quantity("number", NON_NEGATIVE)]
    coverage_loss: BelowOne = preset(BelowOne, 0.0)
    core_conductivity: Conductivity | None = None
    core_activation_energy: Energy | None = None
    shell_conductivity: Conductivity | None = None
    shell_activation_energy: Energy | None = None
    filler_conductivity: Conductivity | None = None
    filler_activation_energy: Energy | None = None
    filler_diffusivity: Diffusivity | None = None
    cell_radius: Length | None = None

    @field_validator("gap_radius")
    @classmethod
    def _gaps(cls, gap_radius: Parameter | None, info: ValidationInfo) -> Parameter | None:
        covered = "coverage" in info.data and info.data["coverage"].si > 0
        if gap_radius is None and covered:
            raise InputError("is missing: a coating with gaps needs their radius")
        if gap_radius is not None and "coverage" in info.data and not covered:
            raise InputError("given, but coverage 0 has no gaps; leave the coating out instead")
        return gap_radius

    @field_validator("shell_thickness")
    @classmethod
    def _shell(cls, shell_thickness: Parameter | None, info: ValidationInfo) -> Parameter | None:
        shell, thickness = info.data.get("shell"), info.data.get("thickness")
        if shell_thickness is None:
            if shell is not None:
                raise InputError(f"is missing: the shell of {shell} needs a thickness")
            return None
        _needs_shell(shell_thickness, info)
        if thickness is not None and 2 * shell_thickness.si >= thickness.si:
            raise InputError("two shells are as thick as the whole coating; they must leave room for a core")
        return shell_thickness

    @field_validator("shell_conductivity", "shell_activation_energy")
    @classmethod
    def _of_shell(cls, value: Parameter | None, info: ValidationInfo) -> Parameter | None:
        return _needs_shell(value, info)

    @field_validator("cell_radius")
    @classmethod
    def _agrees(cls, cell_radius: Parameter | None, info: ValidationInfo) -> Parameter | None:
        gap, coverage, filled = (info.data.get(key) for key in ("gap_radius", "coverage", "filler_coverage"))
        if cell_radius is None or gap is None or coverage is None or filled is None:
            return cell_radius
        written = dict(cell_radius.given)["value"]
        if gap.si >= cell_radius.si:
            raise InputError(f"{written!r} is no larger than gap_radius {dict(gap.given)['value']!r}: the gap must fit")
        implied = gap.si / math.sqrt(gap_share(coverage.si, filled.si))
        if abs(cell_radius.si / implied - 1.0) > SAME_LENGTH:
            raise InputError(
                f"{written!r} contradicts coverage {coverage.si:g} with gap_radius {dict(gap.given)['value']!r}, which "
                f"imply {1e9 * implied:.4g} nm; leave one of them out or make them agree"
            )
        return cell_radius

    @field_validator("filler_coverage", "filler_conductivity", "filler_activation_energy", "filler_diffusivity")
    @classmethod
    def _of_filler(cls, value: Parameter | None, info: ValidationInfo) -> Parameter | None:
        electrolyte = info.data.get("filler") == "electrolyte"
        empty = value is None or (info.field_name == "filler_coverage" and value.si == 0)
        if electrolyte and not empty:
            raise InputError('given, but filler = "electrolyte" leaves the gaps unfilled')
        return value


class ConstantCurrent(Section):
    """Charge or discharge at constant current; `until` defaults to the limit of the cell's window."""

    type: Literal["cc"]
    direction: Literal["charge", "discharge"]
    rate: Rate | None = None
    current: Annotated[Annotated[Parameter, Quantity("current")] | None, Field(validate_default=True)] = None
    until: Voltage | None = None

    @field_validator("current")
    @classmethod
    def _one_of_two(cls, current: Parameter | None, info: ValidationInfo) -> Parameter | None:
        if "rate" in info.data and (current is None) == (info.data["rate"] is None):
            raise InputError("give either rate or current" + (", not both" if current else ""))
        return current


class ConstantVoltage(Section):
    """Hold at a voltage until the current has fallen to a C-rate (unit "C") or a current (unit "A")."""

    type: Literal["cv"]
    voltage: Voltage
    until_current: Annotated[Parameter, RateOrCurrent()]


class Rest(Section):
    """Open circuit for a while."""

    type: Literal["rest"]
    duration: Annotated[Parameter, Quantity("time")]


Step = ConstantCurrent | ConstantVoltage | Rest
STEP_TYPES: dict[str, type[Section]] = {"cc": ConstantCurrent, "cv": ConstantVoltage, "rest": Rest}
_Steps = Annotated[tuple[Annotated[Step, Field(discriminator="type")], ...], Field(strict=False)]


def halves(steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The charge steps and the discharge steps of one cycle; a hold or rest belongs to what is before it."""
    direction = [step.direction if isinstance(step, ConstantCurrent) else None for step in steps]
    turn = direction.index("discharge") if "discharge" in direction else len(steps)
    return steps[:turn], steps[turn:]


def _checked_cycle(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    charge, discharge = halves(steps)
    if not any(isinstance(step, ConstantCurrent) for step in charge) or not discharge:
        raise InputError("a cycle is charge steps, then discharge steps; one of the two is missing")
    if any(isinstance(step, ConstantCurrent) and step.direction == "charge" for step in discharge):
        raise InputError("a cycle is charge steps, then discharge steps; a charge follows a discharge here")
    currents = [isinstance(step, ConstantCurrent) for step in charge]  # discharge steps begin with one
    if any(isinstance(step, ConstantVoltage) for step in charge[: currents.index(True)]):
        raise InputError("a hold at constant voltage needs a constant current before it in the same half-cycle")
    return steps


def same_steps(one: tuple[Step, ...], other: tuple[Step, ...]) -> bool:
    """Whether two cycles have the same steps: equal numbers in SI, however written and wherever they come from."""
    return one == other or [_rounded(numbers(step)) for step in one] == [_rounded(numbers(step)) for step in other]


def _rounded(value: Any) -> Any:
    """Numbers to twelve digits, which the conversion of units keeps."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _default_steps() -> tuple[Step, ...]:
    rate = preset(Rate, "C/5")
    charge = ConstantCurrent(type="cc", direction="charge", rate=rate)
    return charge, ConstantCurrent(type="cc", direction="discharge", rate=rate)


class FirstCycles(Section):
    """Cycles at the start that differ from the rest."""

    cycles: Annotated[int, Field(ge=1)]
    steps: _Steps

    @field_validator("steps")
    @classmethod
    def _cycle(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return _checked_cycle(steps)


class Protocol(Section):
    """How the cell is cycled: charge, then discharge, `cycles` times in all.

    reference_cycle: the cycle that lost capacity and an end of life by fraction count from; without it, the first
    cycle with the same steps as the cycle judged.
    """

    cycles: Annotated[int, Field(ge=1, le=100_000)]
    steps: _Steps = Field(default_factory=_default_steps)
    first: Annotated[tuple[FirstCycles, ...], Field(strict=False)] = ()
    reference_cycle: Annotated[int, Field(ge=1)] | None = None

    @field_validator("steps")
    @classmethod
    def _cycle(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return _checked_cycle(steps)

    @field_validator("reference_cycle")
    @classmethod
    def _reached(cls, reference: int | None, info: ValidationInfo) -> int | None:
        last = info.data.get("cycles")
        if reference is not None and last is not None and reference > last:
            raise InputError(f"{reference} is after the last cycle, {last}; state an earlier one or leave it out")
        return reference

    def steps_of(self, cycle: int) -> tuple[Step, ...]:
        """The steps of a cycle, counted from 1."""
        for block in self.first:
            if cycle <= block.cycles:
                return block.steps
            cycle -= block.cycles
        return self.steps

    def reference_of(self, cycle: int) -> int | None:
        """The cycle, counted from 1, whose discharge capacity that of a cycle is compared with.

        It is `reference_cycle` where that is stated, else the first cycle with the same steps; a reference is its
        own reference. None for a cycle before a stated one, and for cycle 0, which has no capacity.
        """
        if cycle < 1 or (self.reference_cycle is not None and cycle < self.reference_cycle):
            return None
        if self.reference_cycle is not None:
            return self.reference_cycle
        steps = self.steps_of(cycle)
        return next(start for start, own in self._blocks() if same_steps(own, steps))

    def unreached(self) -> list[str]:
        """What of the protocol lies after the last cycle, one sentence each."""
        found, last = [], self.cycles
        for k, (block, (start, _)) in enumerate(zip(self.first, self._blocks(), strict=False)):
            if start > last:
                found.append(f"protocol.first[{k}] is not run: it begins after the last cycle, {last}")
            elif start + block.cycles - 1 > last:
                ran = last - start + 1
                found.append(f"protocol.first[{k}] runs {ran} of its {block.cycles} cycles: the last cycle is {last}")
        if self.first and sum(block.cycles for block in self.first) >= last:
            found.append(
                f"protocol.steps is not run: the blocks of protocol.first fill all cycles up to the last, {last}"
            )
        return found

    def _blocks(self) -> Iterator[tuple[int, tuple[Step, ...]]]:
        """First cycle and steps of every block of `first`, then of the cycles after them."""
        start = 1
        for block in self.first:
            yield start, block.steps
            start += block.cycles
        yield start, self.steps


class Numerics(Section):
    """Accuracy and output; capacities are per gram of NCM622. A run ends when its discharge capacity falls below
    `end_of_life_capacity`, or below the share `end_of_life_fraction` of that of its reference cycle (see `Protocol`);
    0 means none. The last cycle is an output cycle; `output_cycles` after it are ignored.

    `jump` leaves cycles out that differ little, each jump within an estimated error of `jump_tolerance`.
    """

    column_cells: _Cells = 250
    first_cell: Length = preset(Length, "0.06 nm")
    column_tolerance: _Tolerance = 3e-4
    unit_cell_rings: _Rings = 40
    unit_cell_rows: _Rings = 240
    unit_cell_edge: Length = preset(Length, "0.1 nm")
    unit_cell_tolerance: _Tolerance = 1e-3
    closure_rings: _Rings = 20
    closure_rows: _Rings = 160
    closure_edge: Length = preset(Length, "0.12 nm")
    closure_tolerance: _Tolerance = 1e-3
    solver_tolerance: _Tolerance = 1e-6
    particle_cells: Annotated[int, Field(ge=5, le=1000)] = 45
    exchange_tolerance: _CapacityChange = preset(_CapacityChange, "0.05 mAh/g")
    max_iterations: Annotated[int, Field(ge=1, le=100)] = 4
    checkpoint_every: Annotated[int, Field(ge=1)] = 20
    output_cycles: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)] = (1, 50, 200)
    end_of_life_capacity: _Capacity = preset(_Capacity, "0 mAh/g")
    end_of_life_fraction: BelowOne = preset(BelowOne, 0.0)
    jump: bool = False
    jump_tolerance: _CapacityChange = preset(_CapacityChange, "0.15 mAh/g")

    @field_validator("output_cycles")
    @classmethod
    def _in_order(cls, cycles: tuple[int, ...]) -> tuple[int, ...]:
        if list(cycles) != sorted(set(cycles)):
            raise InputError("the cycles must rise, each named once")
        return cycles


def _above(value: Parameter, lower_name: str, info: ValidationInfo) -> Parameter:
    lower: Any = info.data.get(lower_name)
    if lower is not None and value.si <= lower.si:
        written, limit = dict(value.given)["value"], dict(lower.given)["value"]
        raise InputError(f"{written!r} must lie above {lower_name} {limit!r}")
    return value


def _needs_shell(value: Parameter | None, info: ValidationInfo) -> Parameter | None:
    if value is not None and "shell" in info.data and info.data["shell"] is None:
        raise InputError("given, but the coating has no shell")
    return value
