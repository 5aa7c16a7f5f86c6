"""From the loop's states to the rows, curves and profiles of the result."""

from __future__ import annotations

import functools
import importlib.metadata
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from interphase_sim import chemistry, coating, validity
from interphase_sim.interphase import contacts as ct
from interphase_sim.simulation import jump, loop
from interphase_sim.simulation.jump import Course
from interphase_sim.simulation.loop import Bench, Half, State
from interphase_sim.status import RUNNING, RunOutcome

if TYPE_CHECKING:
    import xarray as xr

CURVE_POINTS = 200
INTERFACES = ("ncm", "carbon", "collector")


@dataclass
class Recorder:
    """Rows by cycle and tables by output cycle; plain lists, so that a checkpoint can hold them.

    notes: by sentence, the cycles that it is true of. course: what jumps go by, None for a run in which every cycle
    is solved. kept: net charge at solved cycles [mAh g-1].
    """

    bench: Bench
    rows: list[dict[str, float]] = field(default_factory=list)
    amounts: list[Any] = field(default_factory=list)
    curves: dict[int, Any] = field(default_factory=dict)
    profiles: dict[int, Any] = field(default_factory=dict)
    fields: dict[int, Any] = field(default_factory=dict)
    losses: dict[int, dict[str, float]] = field(default_factory=dict)
    outcome: RunOutcome = RUNNING
    notes: dict[str, list[int]] = field(default_factory=dict)
    course: Course | None = None
    kept: dict[int, float] = field(default_factory=dict)
    unsettled: int = 0

    @property
    def warnings(self) -> list[str]:
        """What lies outside its range of validity, each quantity once, from the cycles recorded so far."""
        layers = [row.get("layer_thickness", math.nan) for row in self.rows]
        return [*validity.warnings(self.bench.scenario, layers), *self._contact_warnings()]

    def _contact_warnings(self) -> list[str]:
        """The first cycle in which the model of the contact does not hold, or nothing."""
        for number, row in enumerate(self.rows):
            if row:
                coverage, layer = 1.0 - row["exposed_fraction"], row["layer_thickness"]
                warning = self.bench.setting.model.validity_warning(coverage, layer)
                if warning:
                    return [f"cycle {number}: {warning}"]
        return []

    @property
    def cycles(self) -> int:
        """Cycles recorded so far."""
        return len(self.rows) - 1

    @property
    def open(self) -> bool:
        """Whether the run goes on."""
        return self.outcome == RUNNING

    def skip(self, cycles: int) -> None:
        """Leave rows open for cycles that are not solved."""
        self.rows.extend({} for _ in range(cycles))
        self.amounts.extend(np.full_like(self.amounts[0], math.nan).tolist() for _ in range(cycles))

    def contact_dose(self, state: State) -> None:
        """Row 0: what the contact before the first charge left behind."""
        self._row(state, {})
        if 0 in self.bench.scenario.numerics.output_cycles:
            self._tables(0, state)

    def cycle(self, number: int, state: State, charge: Half, discharge: Half | None) -> None:
        """A finished cycle; without a discharge where the solver failed in it."""
        q_c = charge.charge / loop.MAH_PER_G
        q_d = discharge.charge / loop.MAH_PER_G if discharge else math.nan
        self._row(
            state,
            {
                "charge_capacity": q_c,
                "discharge_capacity": q_d,
                "coulombic_efficiency": 100 * q_d / q_c if q_c > 0 else math.nan,
                "mean_charge_voltage": -charge.energy / -charge.charge if q_c > 0 else math.nan,
                "mean_discharge_voltage": discharge.energy / discharge.charge if discharge and q_d > 0 else math.nan,
            },
        )
        parts = {"charge": charge} | ({"discharge": discharge} if discharge else {})
        for note in _notes(parts):
            self.notes.setdefault(note, []).append(number)
        self.unsettled += sum(len(half.unsettled) for half in parts.values())
        if self.wanted(number):
            self._tables(number, state)
            self.curves[number] = _curve(charge), _curve(discharge or Half())

    def wanted(self, number: int) -> bool:
        """Whether curves and profiles of a cycle are kept: the output cycles and the last one."""
        last = self.bench.scenario.protocol.cycles
        return number == last or number in self.bench.scenario.numerics.output_cycles

    def reference_capacity(self, number: int) -> float:
        """Discharge capacity of the reference of a cycle [mAh g-1]; not-a-number without one, or where it has none."""
        reference = self.bench.scenario.protocol.reference_of(number)
        found = self.rows[reference].get("discharge_capacity", math.nan) if reference is not None else math.nan
        return found if found > 0 else math.nan

    def loss(self, number: int) -> tuple[int | None, float]:
        """The reference of a recorded cycle and the discharge capacity lost since [mAh g-1]; None, not-a-number
        where there is nothing to compare with."""
        lost = self.reference_capacity(number) - self.rows[number].get("discharge_capacity", math.nan)
        return (None, lost) if math.isnan(lost) else (self.bench.scenario.protocol.reference_of(number), lost)

    def _tables(self, number: int, state: State) -> None:
        setting, start = self.bench.setting, state.contacts.ncm[0].rates.t0
        found = ct.profiles(setting, state.contacts)
        self.profiles[number] = np.stack([_species(found[i], start) for i in INTERFACES], axis=1)
        fields = ct.fields(setting, state.contacts)
        if fields:
            concentrations, sigma = fields
            self.fields[number] = np.concatenate((_species(concentrations, start), sigma[None]))

    def _row(self, state: State, capacities: dict[str, float]) -> None:
        bench, contacts, ncm = self.bench, state.contacts, state.ncm
        area = bench.setting.areas["ncm"] * bench.design.ncm_mass
        film, layer = ct.film_resistance(bench.setting, contacts), ct.layer_thickness(contacts)
        regime = coating.regime(bench.scenario.coating, contacts.coverage, layer)
        self.rows.append(
            {
                **capacities,
                "film_resistance": film,
                "film_resistance_geometric": film * bench.design.area / area * 1e4,
                "layer_thickness": layer,
                "exposed_fraction": 1.0 - contacts.coverage,
                "connected_fraction": ncm.connected,
                "isolated_fraction": ncm.isolated,
                "rock_salt_fraction": ncm.rock_salt,
                "working_contact_fraction": math.exp(ncm.log_contact),
                "isolated_lithium_content": ncm.isolated_lithium / ncm.isolated if ncm.isolated > 0 else math.nan,
                "regime": regime,
                "ledger_residual": loop.ledger_residual(bench, state),
                "elapsed_time": state.elapsed,
            }
        )
        if self.course:
            self.rows[-1]["solved"] = 1.0
            self.kept[self.cycles] = state.external / loop.MAH_PER_G
        found, areas = ct.amounts(contacts), bench.setting.areas
        # mol per m2 of contact times m2 per kg of NCM622, to mol per g
        self.amounts.append([[found[i][s] * areas[i] * 1e-3 for i in INTERFACES] for s in chemistry.LABELS])

    def dataset(self) -> xr.Dataset:
        """The result of the run, in the terms of the variable table."""
        from interphase_sim import results

        outputs = sorted(self.profiles)
        model, jumped = self.bench.setting.model, self.course is not None
        sizes = (len(self.rows), len(outputs), CURVE_POINTS, model.depth.size, *model.shape)
        values = results.empty(*sizes, jumped=jumped)
        for name in self.rows[0].keys() | self.rows[-1].keys():
            values[name] = np.array([row.get(name, math.nan) for row in self.rows])
        values["amount"] = np.moveaxis(np.array(self.amounts), 0, -1)
        if jumped:
            self._fill(values)
        values |= {"depth": model.depth.copy(), **model.geometry()}
        for k, number in enumerate(outputs):
            values["profile"][:, :, k] = self.profiles[number]
            if number in self.fields:
                values["unit_cell"][:, k] = self.fields[number][:-1]
                values["unit_cell_conductivity"][k] = self.fields[number][-1]
            for j, curve in enumerate(self.curves.get(number, ())):
                values["curve_capacity"][k, j], values["curve_voltage"][k, j] = curve
            for channel, lost in self.losses.get(number, {}).items():
                values["capacity_loss"][results.CHANNELS.index(channel), k] = lost
        return results.build(values, {"cycle": np.arange(len(self.rows)), "output_cycle": outputs}, self._attributes())

    def _fill(self, values: dict[str, Any]) -> None:
        """Fill in the rows of cycles that were not solved, in place."""
        solved = values["solved"] = np.nan_to_num(values["solved"])
        for name in (*self.rows[0].keys(), *self.rows[-1].keys(), "amount"):
            if name != "solved":
                values[name] = jump.filled(solved, values[name], self.bench.scenario.protocol)
        charge, discharge, out = values["charge_capacity"], values["discharge_capacity"], solved == 0
        kept = np.array([self.kept.get(number, math.nan) for number in range(len(self.rows))])
        values["charge_capacity"] = charge = jump.balanced(solved, charge, discharge, kept)
        values["coulombic_efficiency"][out] = 100 * discharge[out] / charge[out]
        values["connected_fraction"][out] = 1 - values["isolated_fraction"][out] - values["rock_salt_fraction"][out]

    def _attributes(self) -> dict[str, Any]:
        bench = self.bench
        steps: dict[str, float] = {
            "cell_solves": bench.cell.solves,
            "cell_retries": bench.cell.retries,
            "unsettled_steps": self.unsettled,
        }
        if self.course:
            steps["cycles_solved"] = sum(bool(row) for row in self.rows[1:])
            steps["jumps_rejected"] = self.course.rejected
            steps["jump_error"] = self.course.error
        return {
            "name": bench.scenario.name,
            "scenario": bench.scenario.to_toml(),
            "scenario_digest": bench.scenario.digest(),
            **self.outcome.attributes(),
            "versions": versions(),
            "statistics": steps,
            "warnings": [
                *self.warnings,
                *(_told(note, cycles) for note, cycles in self.notes.items()),
                *bench.scenario.unreached(),
                *self._missing_losses(),
            ],
        }

    def _missing_losses(self) -> Iterator[str]:
        """Why output cycles have no loss of capacity, one sentence for each reason."""
        protocol, early, empty, late = self.bench.scenario.protocol, [], [], []
        for number in sorted(self.profiles.keys() - {0}):
            if protocol.reference_of(number) is None:
                early.append(number)
            elif math.isnan(self.loss(number)[1]):
                empty.append(number)
            elif any(map(math.isnan, self.losses.get(number, {}).values())):
                late.append(number)
        if early:
            yield f"{_missing(early)}: before protocol.reference_cycle, {protocol.reference_cycle}"
        if empty:
            names = ", ".join(dict.fromkeys(f"cycle {protocol.reference_of(number)}" for number in empty))
            yield f"{_missing(empty)}: no discharge capacity in the cycle or in its reference, {names}"
        if late:
            yield f"{_missing(late)}: a step of the split between channels ended at its time limit"


def _species(found: Any, start: float) -> Any:
    """The recorded rows of concentrations (10, ...); of what was there from the start, what was consumed [mol m-3]."""
    recorded = chemistry.LABELLED.values()
    rows = [species.start * start - found[species.row] if species.start else found[species.row] for species in recorded]
    return np.maximum(rows, 0.0)  # states may lie below zero by the step's tolerance, a concentration cannot


@functools.cache
def versions() -> dict[str, str]:
    """Versions that decide a result."""
    names = ("interphase-sim", "pybamm", "numba", "numpy")
    return {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()}


def _notes(halves: dict[str, Half]) -> Iterator[str]:
    """What a user must know of a cycle's steps, which count from 1 within the cycle."""
    for name, half in halves.items():
        if half.hit_time_limit:
            yield (
                f"a {name} step ended at its time limit instead of its cut-off, so its capacity is only what had "
                "passed by then"
            )
        for index in half.skipped:
            yield f"step {index + 1} was skipped, because the {name} was at the limit of this step before it began"
        for index in half.unsettled:
            yield (
                f"the exchange between cell and contacts did not settle in step {index + 1}, so capacities may be off "
                "by more than numerics.exchange_tolerance; a larger numerics.max_iterations may help"
            )


def _told(note: str, cycles: list[int]) -> str:
    return f"cycle {cycles[0]}: {note} (in {len(cycles)} cycles of this run)"


def _missing(cycles: list[int]) -> str:
    return f"capacity_loss is missing in cycle{'s' if len(cycles) > 1 else ''} {', '.join(map(str, cycles))}"


def _curve(half: Half) -> tuple[Any, Any]:
    """Capacity [mAh g-1] and voltage [V] of a half-cycle at places that lie evenly along the charge that passed.

    Charge counts whichever way it passed, so that a half-cycle that goes back and forth is drawn as it went. Where
    none passed, as in a rest, the points as solved are the way.
    """
    if not half.capacity:
        return np.full(CURVE_POINTS, math.nan), np.full(CURVE_POINTS, math.nan)
    capacity, voltage = np.concatenate(half.capacity), np.concatenate(half.voltage)
    if capacity.size < 2:
        return np.full(CURVE_POINTS, math.nan), np.full(CURVE_POINTS, math.nan)
    way = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(capacity)))))
    if way[-1] == 0:
        way = np.arange(float(capacity.size))
    places = np.linspace(0.0, way[-1], CURVE_POINTS)
    return np.interp(places, way, capacity), np.interp(places, way, voltage)
