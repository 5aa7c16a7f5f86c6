"""Strategies that draw whole valid scenarios, extreme ones included, and fixed histories of a contact.

Ranges: 1 to 1000 cycles, C/50 to 2C, -10 to 80 degC, coatings of 1 to 500 nm with coverage 0 to 0.9999, rates over
six decades; protocols of many steps from -20 degC on. A coating that its contact cannot hold is never drawn: touching
particles leave a tenth open, "mixed" and "separate" need an open gap, and the gap of a unit cell needs some cells.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from interphase_sim.cell.parameters import ocp_table
from interphase_sim.coating import CLOSE_PACKED
from interphase_sim.errors import InputError
from interphase_sim.interphase import contacts
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.contact_models import MODELS
from interphase_sim.interphase.contact_models.unit_cell import CUTS, rings_of
from interphase_sim.interphase.contacts import Setting
from interphase_sim.scenario import Scenario, load_scenario, with_units
from interphase_sim.scenario.writer import numbers

# Hypothesis mixes in numbers from the modules that are loaded, which depend on what a process did before; the same
# seed shall draw the same cases.
providers._get_local_constants = Constants

Changes = dict[str, Any]
Strategy = st.SearchStrategy[Any]

UNIT_CELLS = tuple(CUTS)
COLUMNS = tuple(name for name in MODELS if name not in CUTS)
AREAS = {"ncm": 300.0, "carbon": 500.0, "collector": 10.0}  # m2 kg-1
COLDEST, HOTTEST = 263.15, 353.15  # K
LOWER, UPPER = "1.35 V", "2.85 V"


def decades(low: float, high: float) -> st.SearchStrategy[float]:
    """Powers of ten between 10**low and 10**high."""
    return st.floats(low, high).map(lambda power: 10.0**power)


def shares(low: float = 0.0, high: float = 1.0) -> st.SearchStrategy[float]:
    """Numbers between two shares."""
    return st.floats(low, high)


KINETICS: dict[str, Strategy] = {
    "oxygen.exchange": st.just(0.0) | decades(-14, -8),
    "oxygen.equilibrium_concentration": decades(2, 4),
    "oxygen.diffusivity": decades(-23, -17),
    "oxygen.converted_diffusivity_ratio": decades(-2, 1),
    "oxygen.potential_law": st.sampled_from(["exponential", "onset"]),
    "oxygen.efold": shares(0.05, 0.5),
    "oxygen.onset_lithium_extracted": shares(0.5, 0.9),
    "oxygen.onset_width": shares(0.01, 0.2),
    "oxygen.activation_energy": shares(0.0, 1.0).map("{} eV".format),
    "oxygen.rocksalt_diffusivity": decades(-20, -14),
    "oxygen.gap_diffusivity": decades(-18, -12),
    "reactions.phosphate": st.just(0.0) | decades(-10, -4),
    "reactions.sulfate": st.just(0.0) | decades(-10, -4),
    "reactions.polysulfide_sulfate": st.just(0.0) | decades(-10, -4),
    "reactions.sulfide_oxidation": st.just(0.0) | decades(-8, -2),
    "reactions.thiophosphate_oxidation": st.just(0.0) | decades(-8, -2),
    "reactions.sulfide_onset": shares(2.0, 3.5),
    "reactions.thiophosphate_onset": shares(2.3, 4.0),
    "reactions.onset_width": shares(0.01, 0.2),
    "reactions.reach": decades(-9.3, -7.5),
    "layer.insulating_conductivity": decades(-12, -6),
    "layer.thiophosphate_conductivity": decades(-5, -1),
    "layer.electrolyte_available": decades(-7.5, -5.7),
    "lithium.diffusivity": decades(-16, -13),
    "lithium.hindrance_stoichiometry": shares(0.7, 1.0),
    "lithium.hindrance_width": shares(0.01, 0.2),
    "lithium.hindrance_factor": decades(0, 4),
    "losses.film": st.booleans(),
    "losses.slow_lithiation": st.booleans(),
    "losses.isolation": st.booleans(),
    "losses.rock_salt": st.booleans(),
    "losses.electrolyte_oxidation": st.booleans(),
    "losses.contact_length": decades(-9, -6),
    "losses.mechanical_loss": shares(0.0, 0.05),
    "losses.lithiation_law": st.sampled_from(["length", "shift"]),
    "losses.diffusion_exponent": shares(0.0, 4.0),
    "losses.hindrance_shift": shares(0.0, 0.5),
    "losses.percolation_threshold": shares(0.0, 0.6),
    "losses.percolation_spread": shares(0.1, 1.0),
    "contact.duration": st.just(0.0) | shares(60.0, 1000 * 3600.0),
    "contact.temperature": shares(COLDEST, HOTTEST),
}
WARMTH: dict[str, Strategy] = {"cell.temperature": shares(COLDEST, HOTTEST)}
CELL: dict[str, Strategy] = WARMTH | {
    "cell.contact_fraction": shares(0.2, 1.0),
    "cell.utilisation": shares(0.5, 1.0),
    "cell.electrolyte_conductivity": decades(-2, 1),
    "cell.ncm_exchange_current": decades(-1, 1),
    "cell.cathode_porosity": shares(0.0, 0.4),
    "cell.carbon_specific_area": decades(3, 5.5),
    "numerics.particle_cells": st.integers(8, 45),
    "numerics.solver_tolerance": decades(-8, -5),
}
CUT: dict[str, Strategy] = {"column_cells": st.integers(10, 60), "column_tolerance": decades(-6, -3)}
NUMERICS: dict[str, Strategy] = CUT | {
    "exchange_tolerance": shares(0.01, 0.5).map("{} mAh/g".format),
    "max_iterations": st.integers(1, 6),
    "checkpoint_every": st.integers(1, 30),
    "jump": st.booleans(),
    "end_of_life_capacity": st.sampled_from(["0 mAh/g", "20 mAh/g"]),
}


def under(prefix: str, table: Mapping[str, Strategy]) -> st.SearchStrategy[Changes]:
    """One value for every key, each key behind the prefix."""
    return st.fixed_dictionaries({f"{prefix}{key}": values for key, values in table.items()})


def cells(models: tuple[str, ...] = ("SPM",)) -> st.SearchStrategy[Changes]:
    """What decides the discretised cell; building one takes a second, so searches share it between cases."""
    return under("", CELL | {"cell.model": st.sampled_from(models)})


@st.composite
def coatings(draw: st.DrawFn, kinds: tuple[str, ...]) -> Changes:
    """A coating that its contact can hold: particles that touch, or a filler in some or all of the gaps."""
    kind = draw(st.sampled_from(kinds))
    filler = draw(st.sampled_from(["electrolyte", "carbonate", "residue"]))
    packed = kind in UNIT_CELLS and filler == "electrolyte"
    thickness = 1e-9 * 10.0 ** draw(shares(0.0, math.log10(500.0)))
    found: Changes = {
        "contact": kind,
        "coverage": draw(shares(1e-6, CLOSE_PACKED if packed else 0.9999)),
        "thickness": thickness,
        "gap_radius": draw(decades(-9.3, -7.5)),
        "core": "LiNbO3 (amorphous)",
        "core_conductivity": draw(decades(-12, -1)),
        "covered_rate": draw(st.just(0.0) | shares()),
        "rate_slope": draw(shares(0.0, 8.0)),
        "filler": filler,
    }
    if filler != "electrolyte":
        full = 1.0 if kind in UNIT_CELLS else 0.999
        found |= {"filler_coverage": draw(shares(0.0, full)), "filler_conductivity": draw(decades(-12, -3))}
        found |= {"filler_activation_energy": "0.7 eV"} if filler == "carbonate" else {}
        found |= draw(st.sampled_from([{}, {"filler_diffusivity": 1e-18}, {"filler_diffusivity": 1e-22}]))
    if draw(st.booleans()):
        found |= {"shell": "Li2CO3", "shell_thickness": thickness * draw(shares(0.01, 0.49))}
        found |= {"shell_conductivity": draw(decades(-12, -3)), "shell_activation_energy": "0.7 eV"}
    if kind == "mixed":
        found["coverage_loss"] = draw(st.just(0.0) | shares(0.0, 0.1))
    return {f"coating.{key}": value for key, value in found.items()} | _fineness(kind, found)


def _fineness(kind: str, coating: Changes) -> Changes:
    """A coarse cut that leaves cells enough in the gap."""
    edge = min(0.25 * coating["gap_radius"], 0.125 * coating["thickness"], 0.5e-9)
    prefix, rings, rows = ("numerics.closure", 12, 30) if kind == "closure" else ("numerics.unit_cell", 14, 40)
    return {f"{prefix}_rings": rings, f"{prefix}_rows": rows, f"{prefix}_edge": edge} if kind in UNIT_CELLS else {}


@st.composite
def half_cycles(draw: st.DrawFn, direction: str) -> list[Changes]:
    """A constant current, and behind it a hold, a rest or both."""
    step: Changes = {"type": "cc", "direction": direction}
    if draw(st.booleans()):
        step["rate"] = f"{draw(shares(0.02, 2.0)):.4f} C"
    else:
        step["current"] = f"{draw(shares(0.03, 2.5)):.4f} mA"
    low, high = (2.4, 2.85) if direction == "charge" else (1.35, 1.9)
    until = draw(st.none() | shares(low, high))
    steps = [step if until is None else step | {"until": f"{until:.4f} V"}]
    if direction == "charge" and draw(st.booleans()):
        voltage = UPPER if until is None else f"{until:.4f} V"
        cut_off = draw(st.sampled_from(["C/20", "C/100", "0.05 mA"]))
        steps.append({"type": "cv", "voltage": voltage, "until_current": cut_off})
    if draw(st.booleans()):
        steps.append({"type": "rest", "duration": f"{draw(shares(1.0, 24 * 3600.0)):.1f} s"})
    return steps


@st.composite
def protocols(draw: st.DrawFn, most: int) -> Changes:
    """Cycles of several steps, at times with others at the start."""
    steps = [*draw(half_cycles("charge")), *draw(half_cycles("discharge"))]
    cycles = draw(st.integers(1, most))
    found: Changes = {"protocol.cycles": cycles, "protocol.steps": steps}
    if draw(st.booleans()):
        first = [*draw(half_cycles("charge")), *draw(half_cycles("discharge"))]
        found["protocol.first"] = [{"cycles": draw(st.integers(1, 3)), "steps": first}]
    found["numerics.output_cycles"] = sorted({1, draw(st.integers(0, cycles)), cycles})
    return found


@functools.cache
def _base() -> Scenario:
    return load_scenario("bare")


def told(scenario: Scenario) -> str:
    """What of a scenario differs from the shipped bare cell, in SI."""
    plain, differs = flat(numbers(_base())), flat(numbers(scenario))
    return json.dumps({key: value for key, value in differs.items() if plain.get(key) != value}, sort_keys=True)


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested table."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


@st.composite
def scenarios(
    draw: st.DrawFn,
    most: int = 30,
    cell: Changes | None = None,
    kinds: tuple[str, ...] = (*COLUMNS, *UNIT_CELLS),
    bare: bool = True,
    fixed: Changes | None = None,
) -> Scenario:
    """A whole valid scenario of at most ``most`` cycles.

    cell: what ``cells`` drew, drawn anew without it; kinds: contacts of the coatings; bare: also without coating;
    fixed: values that take the place of drawn ones.
    """
    changes: Changes = {**(draw(cells()) if cell is None else cell)}
    changes |= draw(under("kinetics.", KINETICS)) | draw(under("numerics.", NUMERICS)) | draw(protocols(most))
    if not bare or draw(st.integers(0, 3)):
        changes |= draw(coatings(kinds))
    scenario = _base().replace(with_units(changes | (fixed or {})))
    assume(_holds(scenario))
    return scenario


def _holds(scenario: Scenario) -> bool:
    """Whether the unit cell of its coating, if any, has cells enough in its gap."""
    try:
        if scenario.coating and scenario.coating.contact in CUTS:
            rings_of(scenario)
    except InputError:
        return False
    return True


# Protocols of many steps

YEAR = 365 * 24 * 3600.0  # s
RESTS = (1.0, YEAR)
COLD = 253.15  # K
TEMPERATURE: dict[str, Strategy] = {"cell.temperature": shares(COLD, HOTTEST)}
PROTOCOL_NUMERICS: dict[str, Strategy] = {
    "column_cells": st.integers(30, 60),
    "column_tolerance": decades(-5, -3),
    "exchange_tolerance": st.just("0.05 mAh/g") | shares(0.01, 0.5).map("{} mAh/g".format),
    "max_iterations": st.just(4) | st.integers(1, 6),
    "end_of_life_capacity": st.sampled_from(["0 mAh/g", "0 mAh/g", "20 mAh/g"]),
    "end_of_life_fraction": st.sampled_from([0.0, 0.0, 0.8]),
}


def base() -> Scenario:
    """The shipped bare cell, which all changes here refer to."""
    return _base()


def rests(low: float = RESTS[0], high: float = RESTS[1]) -> st.SearchStrategy[Changes]:
    """Open circuit, as often for seconds as for months [s]."""
    durations = decades(math.log10(low), math.log10(high))
    return durations.map(lambda seconds: {"type": "rest", "duration": f"{min(seconds, high):.1f} s"})


@st.composite
def currents(draw: st.DrawFn, direction: str, limit: bool = True) -> Changes:
    """A constant current of C/20 to 2C; with ``limit``, often to a voltage of its own."""
    rates = decades(math.log10(0.05), math.log10(2.0)).map("{:.4f} C".format)
    rate = draw(st.sampled_from(["C/20", "C/5", "1C", "2C"]) | rates)
    step: Changes = {"type": "cc", "direction": direction, "rate": rate}
    low, high = (2.3, 2.85) if direction == "charge" else (1.35, 2.3)
    until = draw(st.none() | shares(low, high)) if limit else None
    return step if until is None else step | {"until": f"{until:.4f} V"}


@st.composite
def holds(draw: st.DrawFn, direction: str, before: Changes) -> Changes:
    """A hold at the limit of the current before it, or up to 0.1 V from there within the window."""
    window = UPPER if direction == "charge" else LOWER
    voltage = float(before.get("until", window).split()[0]) + draw(st.just(0.0) | shares(-0.1, 0.1))
    voltage = min(max(voltage, 1.35), 2.85)
    cut_off = draw(st.sampled_from(["C/20", "C/100", "C/5", "0.05 mA"]))
    return {"type": "cv", "voltage": f"{voltage:.4f} V", "until_current": cut_off}


@st.composite
def long_halves(draw: st.DrawFn, direction: str, longest: float) -> list[Changes]:
    """A half-cycle of 1 to 6 steps: currents, holds after a current, rests of up to ``longest`` [s] anywhere."""
    count = draw(st.integers(1, 6))
    steps: list[Changes] = []
    before: Changes | None = None
    for left in range(count, 0, -1):
        must = before is None and (left == 1 or direction == "discharge")  # a discharge begins with a current
        kind = "cc" if must else draw(st.sampled_from(["cc", "rest"] if before is None else ["cc", "cc", "cv", "rest"]))
        if kind == "cc":
            before = draw(currents(direction))
            steps.append(before)
        else:
            steps.append(draw(holds(direction, before or {}) if kind == "cv" else rests(high=longest)))
    return steps


@st.composite
def short_halves(draw: st.DrawFn, direction: str, longest: float) -> list[Changes]:
    """A half-cycle of one current to the end of the window."""
    return [draw(currents(direction, limit=False))]


@st.composite
def resting_halves(draw: st.DrawFn, direction: str, longest: float) -> list[Changes]:
    """A half-cycle of one current, a rest behind it, and at times one before the charge."""
    steps = [draw(currents(direction)), draw(rests(3600.0, longest))]
    return [draw(rests(3600.0, longest)), *steps] if direction == "charge" and draw(st.booleans()) else steps


@st.composite
def protocol_changes(
    draw: st.DrawFn,
    cycles: int,
    cell: Changes,
    halves: Any = long_halves,
    jump: Strategy | None = None,
    kinetics: Strategy | None = None,
    kinds: tuple[str, ...] = (*COLUMNS, *UNIT_CELLS),
    bare: int = 5,
    longest: float = YEAR,
    fixed: Changes | None = None,
) -> Changes:
    """Changes of the shipped bare cell that give it a random protocol.

    cell: what ``protocol_cells`` drew. halves: strategy of a half-cycle by direction and longest rest [s]. kinetics:
    without a strategy, those that are shipped in every other case. One case in ``bare`` has no coating, none if 0.
    Formation blocks, jumps and ends of life are drawn, and ``fixed`` takes the place of what is drawn.
    """
    changes: Changes = {**cell} | draw(under("numerics.", PROTOCOL_NUMERICS))
    changes["numerics.jump"] = draw(st.booleans() if jump is None else jump)
    changes |= draw(st.just({}) | under("kinetics.", KINETICS) if kinetics is None else kinetics)
    if not bare or draw(st.integers(0, bare - 1)):
        changes |= draw(coatings(kinds))

    def steps() -> list[Changes]:
        return [*draw(halves("charge", longest)), *draw(halves("discharge", longest))]

    changes |= {"protocol.cycles": cycles, "protocol.steps": steps()}
    if draw(st.integers(0, 2)) == 2:
        changes["protocol.first"] = [{"cycles": draw(st.integers(1, max(1, min(cycles - 1, 5)))), "steps": steps()}]
    changes["numerics.output_cycles"] = sorted({1, draw(st.integers(0, cycles)), cycles})
    changes |= fixed or {}
    assume(_holds(_base().replace(with_units(changes))))
    return changes


def protocol_cells(models: tuple[str, ...] = ("SPM",)) -> st.SearchStrategy[Changes]:
    """A cell for random protocols: as shipped but for its temperature, or any other, on a coarse mesh."""
    meshed = {"cell.model": st.sampled_from(models), "numerics.particle_cells": st.integers(15, 30)}
    return under("", TEMPERATURE | meshed) | under("", CELL | TEMPERATURE | meshed)


class History(NamedTuple):
    """A contact and the drives of half-cycles at potentials that are given, whatever the contact does."""

    scenario: Scenario
    setting: Setting
    drives: tuple[Drive, ...]
    tolerance: float

    def __repr__(self) -> str:
        return f"{told(self.scenario)} over {[drive.time[-1] for drive in self.drives]} s"


def setting_of(scenario: Scenario) -> Setting:
    """The contacts of a scenario on round areas."""
    return contacts.setting(scenario, AREAS, 0.4)


@st.composite
def histories(draw: st.DrawFn, kinds: tuple[str, ...], bare: bool, fixed: Changes | None = None) -> History:
    """One to four half-cycles between 3 and 4.6 V vs Li/Li+, an hour to fifty each."""
    changes = draw(under("kinetics.", KINETICS)) | draw(under("numerics.", CUT)) | draw(under("", WARMTH))
    if not bare or draw(st.integers(0, 3)):
        changes |= draw(coatings(kinds))
    chosen = _base().replace(with_units(changes | (fixed or {})))
    assume(_holds(chosen))
    points = draw(st.integers(1, 4))
    potentials = [draw(shares(3.0, 4.6)) for _ in range(points + 1)]
    hours = [draw(shares(1.0, 50.0)) for _ in range(points)]
    s = setting_of(chosen)
    pairs = zip(potentials[:-1], potentials[1:], hours, strict=True)
    return History(chosen, s, tuple(driven(s, *pair) for pair in pairs), s.ncm_tolerance)


def driven(s: Setting, start: float, end: float, hours: float) -> Drive:
    """A half-cycle in equilibrium from one potential to another [V vs Li/Li+]."""
    potential = np.linspace(start, end, 30)
    surface = np.interp(potential, *(values[::-1] for values in reversed(ocp_table())))
    return contacts.drive(s.kinetics, np.linspace(0.0, 3600 * hours, 30), potential, potential, surface)


def drawn(strategy: Strategy, count: int, number: int) -> list[Any]:
    """Examples of a strategy, the same for the same number; the first ones, which are the simplest, left out."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count + 3, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found[-count:]
