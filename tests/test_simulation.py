"""Coupled runs of a few cycles: the ledger, the split of losses, checkpoints, ends and failures."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pybamm
import pytest
import xarray as xr
from closeness import near
from numpy.typing import NDArray
from pinned import scenario

from interphase_sim import results, unfinished
from interphase_sim.ageing import Ncm
from interphase_sim.cell import parameters
from interphase_sim.cell.runner import Cell
from interphase_sim.errors import InputError, SolverFailure
from interphase_sim.scenario import ConstantCurrent, ConstantVoltage, Scenario
from interphase_sim.simulation import checkpoint, exchange, loop, simulate
from interphase_sim.simulation.state import turning_share

CYCLES = 6
CC = [{"type": "cc", "direction": d, "rate": "C/5"} for d in ("charge", "discharge")]
SLOW = [{"type": "cc", "direction": d, "rate": "C/10"} for d in ("charge", "discharge")]
REST = {"type": "rest", "duration": "1 h"}
CV = {"type": "cv", "voltage": "2.85 V", "until_current": "C/20"}
HOLD = ConstantVoltage.model_validate(CV)


def short(name: str = "bare", cycles: int = CYCLES, **changes: Any) -> Scenario:
    """A few cycles; changes name a key by its last two parts, with two underscores for the dot."""
    dotted = {_key(key): value for key, value in changes.items()}
    base = {"protocol.cycles": cycles, "protocol.steps": CC, "numerics.output_cycles": [1, 3, 6]}
    return scenario(name, {**base, "numerics.checkpoint_every": 2, **dotted})


def _key(written: str) -> str:
    """`losses__film` for kinetics.losses.film, `protocol__cycles` for protocol.cycles."""
    room, key = written.split("__")
    return f"{room}.{key}" if room in ("cell", "coating", "protocol", "numerics") else f"kinetics.{room}.{key}"


@cache
def bare() -> xr.Dataset:
    return simulate(short())


@cache
def coated() -> xr.Dataset:
    return simulate(short("coated"))


@cache
def resolved() -> xr.Dataset:
    return simulate(short("coated", 3, coating__contact="resolved"))


def discharge(ds: xr.Dataset) -> NDArray[np.float64]:
    return np.asarray(ds.discharge_capacity.values[1:])


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Equal to the last bit, but for the counts of a process's own work."""
    assert list(one.variables) == list(other.variables)
    for name in one.variables:
        assert np.array_equal(one[name].values, other[name].values, equal_nan=one[name].dtype.kind == "f"), name
    attributes = [{k: v for k, v in ds.attrs.items() if k != "statistics"} for ds in (one, other)]
    assert attributes[0] == attributes[1]


# The ledger

VARIANTS: dict[str, Callable[[], xr.Dataset]] = {
    "bare": bare,
    "coated": coated,
    "separate": lambda: simulate(short("coated", 3, coating__contact="separate")),
    "resolved": resolved,
    "coverage lost": lambda: simulate(short("coated", 3, coating__coverage_loss=0.02)),
    "isolation": lambda: simulate(short(cycles=4, losses__isolation=True, losses__percolation_threshold=0.5)),
    "shift": lambda: simulate(short(cycles=3, losses__lithiation_law="shift")),
    "mechanical": lambda: simulate(short(cycles=3, losses__mechanical_loss=0.02)),
    "rest": lambda: simulate(short(cycles=3, protocol__steps=[CC[0], REST, CC[1], REST])),
    "slow first": lambda: simulate(short(cycles=3, protocol__first=[{"cycles": 1, "steps": SLOW}])),
    "oxidation alone": lambda: simulate(short(cycles=3, oxygen__exchange=0.0)),
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_the_ledger_closes_in_every_cycle(variant: str) -> None:
    ds = VARIANTS[variant]()
    assert ds.attrs["status"] == "completed"
    residual = np.abs(ds.ledger_residual.values)
    assert residual.max() < 1e-9  # asked for 1e-6; 1e-11 is found, for every term is counted where it happens


def test_the_ledger_closes_from_states_alone() -> None:
    """sum(Q_c - Q_d) = lithium missing from all NCM + charge of R3 and R4, the dose's too - what is still owed."""
    bench = loop.prepare(short(losses__isolation=True, losses__percolation_threshold=0.5))
    state, passed = loop.begin(bench), 0.0
    for number in (1, 2, 3):
        state, charge, discharge = loop.cycle(bench, state, number)
        passed += charge.charge - discharge.charge
    ncm = state.ncm
    assert ncm.isolated > 0.05
    assert ncm.rock_salt > 0.01
    missing = bench.full - ncm.connected * state.mean - ncm.isolated_lithium
    oxidised = loop.parasitic_charge(bench, state.contacts)
    assert oxidised > 1.0
    expected = loop.FULL_CHARGE * missing + oxidised - state.owed
    assert passed == near(expected, rel=1e-9)  # round-off and the solver's conservation


def test_rock_salt_is_the_oxygen_lost() -> None:
    ds = bare()
    oxygen = (ds.amount.sel(species="oxygen", interface="ncm")).values
    # mol of oxygen per gram times gram per mol of NCM622
    np.testing.assert_allclose(ds.rock_salt_fraction.values, oxygen * 96.93, rtol=1e-9)


def test_connected_isolated_and_rock_salt_make_one() -> None:
    for variant in ("bare", "isolation"):
        ds = VARIANTS[variant]()
        whole = ds.connected_fraction + ds.isolated_fraction + ds.rock_salt_fraction
        np.testing.assert_allclose(whole.values, 1.0, rtol=1e-12)


# What a run records


def test_efficiency_voltages_and_curves_belong_together() -> None:
    ds = bare()
    charge, back = ds.charge_capacity.values[1:], discharge(ds)
    np.testing.assert_allclose(ds.coulombic_efficiency.values[1:], 100 * back / charge, rtol=1e-12)
    assert np.isnan(ds.charge_capacity.values[0])
    for k, number in enumerate(ds.output_cycle.values):
        for j, (name, total) in enumerate((("charge", charge), ("discharge", back))):
            capacity, voltage = ds.curve_capacity.values[k, j], ds.curve_voltage.values[k, j]
            assert capacity[0] == 0.0
            assert capacity[-1] == near(total[number - 1], rel=1e-12)  # the same sum
            mean = np.trapezoid(voltage, capacity) / capacity[-1]
            recorded = float(ds[f"mean_{name}_voltage"][number])
            assert mean == pytest.approx(recorded, abs=5e-3)  # 200 points cut the first half volt short
            assert voltage[-1] == pytest.approx({"charge": 2.85, "discharge": 1.35}[name], abs=1e-4)  # the event


@pytest.mark.parametrize("variant", ["bare", "resolved"])
def test_amounts_are_the_profiles_over_depth(variant: str) -> None:
    """Around a gap every interface has the rows over the oxide, though carbon and collector are columns."""
    ds, bench = VARIANTS[variant](), loop.prepare(short())
    width = np.diff(ds.row_height.values) if "row_height" in ds else bench.setting.grid.width
    for interface in ds.interface.values:
        area = bench.setting.areas[interface] * 1e-3
        for name in ds.species.values:
            if name == "oxygen":  # the amount counts what was taken up, the profile what is still free
                continue
            profile = ds.profile.sel(species=name, interface=interface).values
            amount = ds.amount.sel(species=name, interface=interface).values[ds.output_cycle.values]
            np.testing.assert_allclose(profile @ width * area, amount, rtol=1e-9, err_msg=f"{name} at {interface}")


def test_beyond_the_reach_of_electrons_the_electrolyte_at_carbon_is_pristine() -> None:
    """What there is at carbon ends within 3 nm, and none of it lies deeper."""
    found = bare().profile.sel(interface=["carbon", "collector"])
    depth = bare().depth.values
    assert np.all(found.sel(species="oxidised_sulfur").values[..., depth < 2e-9] > 0)
    beyond = np.flatnonzero(depth > 3e-9)[1:]  # 3 nm may lie in a cell whose centre is deeper
    assert not found.values[..., beyond].any()
    assert not found.sel(species=["oxygen", "phosphate", "sulfate"]).values.any()


def test_time_passes_as_the_currents_say() -> None:
    """C/5 is 36 mA/g."""
    ds = bare()
    hours = np.nancumsum(ds.charge_capacity.values + ds.discharge_capacity.values) / 36.0
    np.testing.assert_allclose(ds.elapsed_time.values[1:] / 3600, hours[1:], rtol=1e-9)


def test_everything_grows_and_capacity_falls() -> None:
    for ds in (bare(), coated()):
        for name in ("film_resistance", "layer_thickness", "rock_salt_fraction"):
            assert np.all(np.diff(ds[name].values) > 0), name
        assert np.all(np.diff(discharge(ds)) < 0)
        assert np.all(ds.coulombic_efficiency.values[1:] < 100)
    ratio = bare().film_resistance_geometric / bare().film_resistance
    bench = loop.prepare(short())
    area = bench.setting.areas["ncm"] * bench.design.ncm_mass  # the cell's area over it turns m2 of NCM to cm2 of cell
    np.testing.assert_allclose(ratio.values[1:], bench.design.area / area * 1e4, rtol=1e-12)


def test_progress_is_told_after_every_cycle() -> None:
    told: list[tuple[int, int, str]] = []
    simulate(short(cycles=3), progress=lambda *seen: told.append(seen))
    assert told == [(1, 3, "running"), (2, 3, "running"), (3, 3, "running")]


def test_the_same_scenario_gives_the_same_bits() -> None:
    same(simulate(short()), bare())


def test_slower_first_cycles_are_slower() -> None:
    ds = VARIANTS["slow first"]()
    charge = ds.charge_capacity.values
    first = ds.elapsed_time.values[1] / 3600
    assert first == near((charge[1] + discharge(ds)[0]) / 18.0, rel=1e-9)  # C/10 is 18 mA/g
    second = np.diff(ds.elapsed_time.values)[1] / 3600
    assert second == near((charge[2] + discharge(ds)[1]) / 36.0, rel=1e-9)  # C/5 again
    assert discharge(ds)[0] > discharge(bare())[0] + 3  # hindered diffusion has more time


def test_a_step_until_a_voltage_ends_there() -> None:
    early = [{**CC[0], "until": "2.7 V"}, CC[1]]
    ds = simulate(short(cycles=2, protocol__steps=early, numerics__output_cycles=[2]))
    assert float(ds.curve_voltage[0, 0, -1]) == pytest.approx(2.7, abs=1e-4)  # the event
    assert np.all(ds.charge_capacity.values[1:] < bare().charge_capacity.values[1:3] - 10)


# Exchange within a half-cycle


def test_the_exchange_within_a_half_cycle_has_settled() -> None:
    settled = simulate(short(numerics__exchange_tolerance="0.001 mAh/g", numerics__max_iterations=30))
    frozen = simulate(short(numerics__max_iterations=1))
    worst = float(np.abs(discharge(bare()) - discharge(settled)).max())
    assert worst < 0.1  # half of the 0.2 mAh/g that is asked for
    assert np.abs(discharge(frozen) - discharge(settled))[0] > 10 * worst


STILL: dict[str, Any] = {
    "oxygen__exchange": 0.0, "reactions__sulfide_oxidation": 0.0, "reactions__thiophosphate_oxidation": 0.0,
}  # fmt: skip


def ready(bench: loop.Bench) -> loop.State:
    """The state before the first cycle, no step of which has run."""
    return replace(loop.begin(bench), rates=(None,) * len(bench.scenario.protocol.steps))


def test_what_is_owed_at_first_is_repaid_within_the_step() -> None:
    """No rate differs from its guess, so only what is owed says that the step must be solved again."""
    bench = loop.prepare(short(contact__duration=0.0, **STILL))
    owing = replace(ready(bench), owed=1000.0)
    done, _, settled = exchange.advance(bench, owing, bench.scenario.protocol.steps[0], 0)
    assert settled
    assert done.applied == near(1000.0, rel=1e-2)  # two solves last unequally long, by what is owed
    assert abs(done.owed) < 0.05 * loop.MAH_PER_G


def made_up_history(bench: loop.Bench, span: float, last: float) -> Any:
    surface = np.array([0.9, 0.3])
    return SimpleNamespace(time=np.array([0.0, span]), current=np.array([1e-3, last]), surface=surface)


def test_wrong_rates_are_weighed_by_the_capacity_that_they_cost() -> None:
    bench = loop.prepare(short())
    state, span, last = loop.begin(bench), 1000.0, 2e-3
    part = exchange.Part(bench, state, bench.scenario.protocol.steps[0])
    history = made_up_history(bench, span, last)
    guess, found = loop.Rates(5e-7, -1e-6, 1e-7, -1e-4, 0.0, span), loop.Rates(1e-6, -2e-6, 3e-7, -1e-4, 0.0, span)
    density = last / (bench.setting.areas["ncm"] * bench.design.ncm_mass * state.ncm.connected)
    volts, contact = 5e-7 * span * density / exchange.steepness(0.3, state), exchange.LEVERAGE * 1e-6 * span
    expected = volts + contact + 2e-7 * span * loop.FULL_CHARGE / 3600
    assert part.mismatch(history, guess, found) == near(expected, rel=1e-12)
    fresh = part.mismatch(history, replace(guess, duration=0.0), found)
    assert fresh == near(expected + abs(state.owed) / 3600, rel=1e-12)
    assert abs(state.owed) > 1.0


def test_a_wrong_charge_is_weighed_with_the_growth_that_it_makes_wrong() -> None:
    """By dU/efold, where the NCM is charged most; a hold has no current that could be wrong."""
    bench = loop.prepare(short())
    state, span = loop.begin(bench), 1000.0
    history = made_up_history(bench, span, 2e-3)
    guess, found = loop.Rates(parasitic=1e-4, duration=span), loop.Rates(1e-6, -2e-6, 3e-7, 4e-4, 0.0, span)
    same = replace(found, parasitic=guess.parasitic)
    steps = {"cc": bench.scenario.protocol.steps[0], "cv": HOLD}
    parts = {kind: exchange.Part(bench, state, step) for kind, step in steps.items()}
    share = exchange.steepness(0.3, state) * 3e-4 * span / 3600 / bench.scenario.kinetics.oxygen.efold.si
    growth = parts["cc"].cost(history, replace(found, parasitic=0.0), 2e-3)
    wrong, right = (parts["cc"].mismatch(history, replace(each, parasitic=1e-4), found) for each in (guess, same))
    assert wrong - parts["cc"].mismatch(history, guess, same) == near(share * growth + 3e-4 * span / 3600, rel=1e-9)
    assert right == near(share * growth + 3e-4 * span / 3600, rel=1e-9)
    assert parts["cv"].mismatch(history, same, found) == 0.0


def test_the_slope_of_the_potential_is_that_of_its_table() -> None:
    """5 mV per mAh/g was assumed everywhere; it is 1.7 at 3.7 V and 10 at 4.4 V vs Li/Li+."""
    bench = loop.prepare(short())
    state = replace(loop.begin(bench), ncm=Ncm())
    x, u = parameters.ocp_table()
    for volts in (3.7, 4.0, 4.4):
        at = float(np.interp(-volts, -u, x))
        slope = (np.interp(at - 1e-3, x, u) - np.interp(at + 1e-3, x, u)) / 2e-3
        assert exchange.steepness(at, state) == near(slope / (loop.FULL_CHARGE / 3600), rel=1e-6)
    assert exchange.steepness(float(np.interp(-4.4, -u, x)), state) > 4 * exchange.steepness(0.79, state)


def test_rock_salt_forms_along_the_step() -> None:
    bench = loop.prepare(short(numerics__exchange_tolerance="0.001 mAh/g", numerics__max_iterations=30))
    before, step = ready(bench), bench.scenario.protocol.steps[0]
    trial = exchange.Part(bench, before, step).solved(loop.Rates(), exchange.time_limit(bench, step))
    assert trial.mismatch < 0.001
    assert trial.turned > 1e-4
    mean = before.ncm.connected - 0.5 * trial.turned
    assert loop.degradation(bench, before, trial.found, 0.0).connected == near(mean, rel=1e-9)
    lithium = trial.lithium / loop.FULL_CHARGE / trial.turned
    assert lithium == near(
        0.5 * (before.mean + trial.history.mean[-1]), rel=1e-3
    )  # the last correction turns at the end
    assert turning_share(before, loop.Rates(rock_salt=1.0, duration=10.0)) == 0.5 * before.ncm.connected


def test_a_step_of_half_a_second_counts() -> None:
    steps = [CC[0], {"type": "rest", "duration": "0.5 s"}, CC[1]]
    bench = loop.prepare(short(contact__duration=0.0, protocol__steps=steps, **STILL))
    rest = bench.scenario.protocol.steps[1]
    once, _, _ = exchange.advance(bench, ready(bench), rest, 0)
    assert once.elapsed == near(0.5, rel=1e-12)
    again, _, _ = exchange.advance(bench, replace(once, owed=1800.0), rest, 0)
    assert again.applied - once.applied == near(0.5, rel=1e-2)  # owed over half an hour, the least time of repayment


def test_rates_are_those_of_their_own_steps() -> None:
    bench = loop.prepare(short(protocol__steps=[CC[0], REST, CC[1], {"type": "rest", "duration": "2 h"}]))
    state, charge, discharge = loop.cycle(bench, loop.begin(bench), 1)
    spans = [history.time[-1] for half in (charge, discharge) for history in half.histories]
    assert [rates.duration for rates in state.rates if rates] == pytest.approx(spans, rel=1e-12)
    assert spans[-1] == 7200.0


def test_a_hold_ends_at_a_current_or_at_a_rate() -> None:
    def held(until: str) -> xr.Dataset:
        hold = {"type": "cv", "voltage": "2.85 V", "until_current": until}
        return simulate(short(cycles=1, protocol__steps=[CC[0], hold, CC[1]]))

    one_c = loop.design_of(short()).current(1.0)
    rate, current, later = held("C/20"), held(f"{one_c / 20 * 1e3:.15g} mA"), held("C/50")
    np.testing.assert_allclose(discharge(current), discharge(rate), rtol=1e-9)  # digits of the current
    assert discharge(later)[0] > discharge(rate)[0] + 0.1


# Switches and limits


@pytest.mark.parametrize(
    ("switch", "variable", "start"),
    [("rock_salt", "rock_salt_fraction", 0.0), ("isolation", "isolated_fraction", 0.03)],
)
def test_a_channel_that_is_off_changes_nothing_of_its_own(switch: str, variable: str, start: float) -> None:
    off: dict[str, Any] = {f"losses__{switch}": False}
    ds = simulate(short(cycles=2, **off))
    np.testing.assert_allclose(ds[variable].values, start, atol=1e-12)  # utilisation 0.97, by a difference
    share = ds.capacity_loss.sel(channel=switch).values
    assert not share.any()


@pytest.mark.parametrize("switch", ["film", "slow_lithiation", "rock_salt"])
def test_a_channel_that_is_off_costs_no_capacity(switch: str) -> None:
    off: dict[str, Any] = {f"losses__{switch}": False}
    without = simulate(short(cycles=3, **off))
    assert np.all(discharge(without) > discharge(bare())[:3] + 0.5)
    assert not without.capacity_loss.sel(channel=switch).values.any()
    assert float(bare().capacity_loss.sel(channel=switch, output_cycle=3)) > 0.3


def test_the_layer_grows_alike_whether_its_resistance_acts_or_not() -> None:
    """The film still forms when its channel is off; only the cell does not feel it."""
    ds = simulate(short(cycles=2, losses__film=False))
    assert ds.film_resistance.values[0] == bare().film_resistance.values[0] > 0


def test_without_electron_transfer_carbon_stays_clean() -> None:
    ds = simulate(short(cycles=2, losses__electrolyte_oxidation=False))
    assert not ds.amount.sel(interface="carbon").values.any()
    assert bare().amount.sel(interface="carbon", species="oxidised_sulfur").values[-1] > 0


def test_electron_transfer_alone_makes_the_efficiency_fall() -> None:
    """No oxygen: what is missing from the discharge is hindered lithium in cycle 1, and R3 from then on."""
    ds = VARIANTS["oxidation alone"]()
    assert not ds.rock_salt_fraction.values.any()
    assert np.all(ds.coulombic_efficiency.values[2:] < 99.95)
    assert not ds.amount.sel(interface="ncm", species="phosphate").values.any()


def test_a_coating_that_loses_coverage_says_so() -> None:
    ds = VARIANTS["coverage lost"]()
    exposed = ds.exposed_fraction.values
    swings = (1 - exposed) / 0.9
    assert exposed[0] == near(0.1, rel=1e-12)
    assert np.all(np.diff(exposed) > 0)
    assert np.log(swings[1]) / np.log(0.98) == pytest.approx(1.1, abs=0.1)  # cycle 1 delithiates 200 of 180 mAh/g


def test_the_regime_is_recorded_and_warned_about_once() -> None:
    warnings = json.loads(coated().attrs["warnings"])
    assert len(warnings) == 1
    assert 'contact = "mixed" holds above 1' in warnings[0]
    layer = coated().layer_thickness.values
    spacing = 2 * 1.2e-9 / np.sqrt(1 - 0.9)
    np.testing.assert_allclose(coated().regime.values, layer / spacing, rtol=1e-12)
    assert json.loads(bare().attrs["warnings"]) == []
    assert np.isnan(bare().regime.values).all()


# The split of what was lost


def test_the_split_sums_to_what_was_lost() -> None:
    for ds in (bare(), coated()):
        lost = discharge(ds)[0] - discharge(ds)[ds.output_cycle.values - 1]
        np.testing.assert_allclose(ds.capacity_loss.sum("channel").values, lost, atol=1e-9)
        at_end = ds.capacity_loss.isel(output_cycle=-1)
        assert abs(float(at_end.sel(channel="interaction"))) < 0.3 * lost[-1]  # else the split says little
    assert not bare().capacity_loss.sel(output_cycle=1).values.any()


def test_a_single_channel_explains_the_whole_loss() -> None:
    """Film alone: what one reset gives back is all that is lost."""
    off: dict[str, Any] = {f"losses__{n}": False for n in ("slow_lithiation", "rock_salt", "electrolyte_oxidation")}
    ds = simulate(short(reactions__polysulfide_sulfate=0.0, **off))
    lost = ds.capacity_loss.isel(output_cycle=-1)
    total = discharge(ds)[0] - discharge(ds)[-1]
    assert total > 1.5
    assert float(lost.sel(channel="film")) == near(total, rel=0.15)  # the re-run freezes the film that still grows
    others = lost.sel(channel=["slow_lithiation", "isolation", "rock_salt"]).values
    assert not others.any()


# Checkpoints


class Killed(KeyboardInterrupt):
    """What a user does to a run."""


def killed_at(cycle: int, directory: Path, chosen: Scenario) -> None:
    def stop(done: int, total: int, status: str) -> None:
        if done == cycle:
            raise Killed

    with pytest.raises(Killed):
        simulate(chosen, directory=directory, progress=stop)


@pytest.mark.parametrize("name", ["bare", "coated"])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path, name: str) -> None:
    killed_at(5, tmp_path, short(name))
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.FILE_NAME]
    told: list[int] = []
    resumed = simulate(short(name), directory=tmp_path, resume=True, progress=lambda done, *_: told.append(done))
    assert told == [5, 6]  # the checkpoint is of cycle 4
    same(resumed, bare() if name == "bare" else coated())


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "coated", "coating__contact": "separate"},
        {"name": "coated", "coating__contact": "resolved"},
        {"name": "coated", "coating__coverage_loss": 0.02},
        {"losses__isolation": True, "losses__percolation_threshold": 0.5},
    ],
)
def test_every_part_of_the_state_survives_a_checkpoint(tmp_path: Path, changes: dict[str, Any]) -> None:
    chosen = short(cycles=3, **changes)
    killed_at(3, tmp_path, chosen)
    same(simulate(chosen, directory=tmp_path, resume=True), simulate(chosen))


def test_a_finished_run_is_read_back_without_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = simulate(short(cycles=2), directory=tmp_path)
    monkeypatch.setattr(loop, "cycle", None)
    same(simulate(short(cycles=2), directory=tmp_path, resume=True), first)


def test_without_a_checkpoint_a_resumed_run_starts_anew(tmp_path: Path) -> None:
    same(simulate(short(cycles=1), directory=tmp_path / "new", resume=True), simulate(short(cycles=1)))


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    results.write(bare(), tmp_path / "run" / results.FILE_NAME)
    same(results.load_result(tmp_path / "run"), bare())


def refused(directory: Path, chosen: Scenario) -> str:
    with pytest.raises(InputError) as error:
        simulate(chosen, directory=directory, resume=True)
    text = str(error.value)
    assert text.startswith(str(directory / checkpoint.FILE_NAME))
    assert "\n" not in text
    return text


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a checkpoint after two cycles."""
    folder = tmp_path_factory.mktemp("saved")
    simulate(short(cycles=2), directory=folder)
    return (folder / checkpoint.FILE_NAME).read_bytes()


@pytest.mark.parametrize("damage", ["empty", "junk", "flipped", "folder"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, saved: bytes, damage: str) -> None:
    path = tmp_path / checkpoint.FILE_NAME
    middle = len(saved) // 2
    broken = {
        "empty": b"",
        "junk": bytes(range(256)) * 40,
        "flipped": saved[:middle] + bytes(b ^ 0xFF for b in saved[middle : middle + 64]) + saved[middle + 64 :],
    }
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(broken[damage])
    assert "damaged, or not a checkpoint; start again with --force" in refused(tmp_path, short(cycles=2))


def test_a_checkpoint_says_what_was_run_and_how_far(tmp_path: Path, saved: bytes) -> None:
    """`info` and `plot` read it without the cell model."""
    (tmp_path / checkpoint.FILE_NAME).write_bytes(saved)
    found = unfinished.read(tmp_path)
    assert found is not None
    assert (found.name, found.cycles, found.planned, len(found.rows)) == ("bare", 2, 2, 3)
    assert found.rows[2]["discharge_capacity"] > 0


def test_a_checkpoint_of_another_scenario_is_refused(tmp_path: Path, saved: bytes) -> None:
    (tmp_path / checkpoint.FILE_NAME).write_bytes(saved)
    assert "belongs to another scenario" in refused(tmp_path, short(cycles=2, oxygen__exchange=4e-11))


def test_a_checkpoint_of_another_version_is_refused(
    tmp_path: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / checkpoint.FILE_NAME).write_bytes(saved)
    monkeypatch.setattr(checkpoint, "versions", lambda: {"interphase-sim": "9.9"})
    assert "written by other versions" in refused(tmp_path, short(cycles=2))


# Ends and failures


def test_a_cell_past_its_cut_off_ends_as_a_result() -> None:
    ds = simulate(short(layer__insulating_conductivity=3e-11))
    status = "end of life at cycle 1: the charge cut-off is passed at the applied current"
    hint = "no charge passes in the first charge of the fresh cell: try a lower current, or other steps before it"
    assert ds.attrs["status"] == f"{status}; {hint}"
    assert ds.sizes["cycle"] == 1
    assert ds.film_resistance.values[0] > 30


def test_a_cell_below_the_capacity_asked_for_ends_as_a_result() -> None:
    limit = float(np.mean(discharge(bare())[2:4]))
    ds = simulate(short(numerics__end_of_life_capacity=f"{limit} mAh/g"))
    assert ds.attrs["status"] == "end of life at cycle 4: capacity below numerics.end_of_life_capacity"
    np.testing.assert_array_equal(discharge(ds), discharge(bare())[:4])


def test_a_cell_below_the_share_of_its_first_capacity_asked_for_ends_as_a_result() -> None:
    reached = discharge(bare())
    share = float(np.mean(reached[2:4]) / reached[0])
    ds = simulate(short(numerics__end_of_life_fraction=share))
    assert ds.attrs["status"] == "end of life at cycle 4: capacity below numerics.end_of_life_fraction"
    np.testing.assert_array_equal(discharge(ds), reached[:4])


def test_a_failed_solver_is_a_failure_and_keeps_what_was_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    solve = Cell._step

    def step(self: Cell, *rest: Any) -> Any:
        if len(told) == 2:
            raise pybamm.SolverError("corrector convergence failed")
        return solve(self, *rest)

    monkeypatch.setattr(Cell, "_step", step)
    ds = simulate(short(), progress=lambda done, *_: told.append(done))
    assert ds.attrs["status"].startswith("solver failure at cycle 3: the cell model could not be solved")
    np.testing.assert_array_equal(discharge(ds), discharge(bare())[:2])


def test_a_retried_step_changes_nothing_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    solve, calls = Cell._step, [0]

    def step(self: Cell, *rest: Any) -> Any:
        calls[0] += 1
        if calls[0] % 7 == 0:
            raise pybamm.SolverError("corrector convergence failed")
        return solve(self, *rest)

    monkeypatch.setattr(Cell, "_step", step)
    ds = simulate(short())
    assert json.loads(ds.attrs["statistics"])["cell_retries"] >= 3
    np.testing.assert_allclose(discharge(ds), discharge(bare()), atol=0.05)  # numerics.exchange_tolerance


# Steps at their limit, and long rests


DISCHARGED_AT_ONCE = [CC[0], {**CC[1], "rate": "20 C"}]


def test_a_step_at_its_limit_ended_the_life_of_the_cell() -> None:
    """Nothing passes in the second of two equal steps: it is as if it were not there, to the last bit."""
    doubled = simulate(short(cycles=3, protocol__steps=[CC[0], CC[0], CC[1], CC[1]]))
    once = simulate(short(cycles=3))
    assert doubled.attrs["status"] == "completed"
    for name in once.variables:
        assert np.array_equal(doubled[name].values, once[name].values, equal_nan=once[name].dtype.kind == "f"), name
    told = json.loads(doubled.attrs["warnings"])
    assert [text.split(":")[1].split(",")[0] for text in told] == [" step 2 was skipped", " step 4 was skipped"]
    assert all("in 3 cycles" in text for text in told)


@pytest.mark.parametrize(
    ("steps", "ran"),
    [
        ([CC[0], {**CC[0], "until": "2.6 V"}, CC[1]], [0]),
        ([CC[0], {**CC[0], "rate": "1C"}, CC[1]], [0]),
        ([CC[0], {**CC[0], "rate": "C/20"}, CC[1]], [0, 1]),
        ([{**CC[0], "until": "2.6 V"}, CC[0], CC[1]], [0, 1]),
        ([CC[0], CV, CV, CC[1]], [0, 1]),
        ([CC[0], CV, {**CV, "until_current": "C/50"}, CC[1]], [0, 1, 2]),
        ([CC[0], CV, CC[0], CC[1]], [0, 1]),
        ([CC[0], {**CV, "until_current": "C/2"}, CC[1]], [0]),
        ([CC[0], REST, CC[0], CC[1]], [0, 1, 2]),
    ],
)
def test_a_step_that_asks_for_no_more_than_the_last_one_is_skipped(steps: list[Any], ran: list[int]) -> None:
    bench = loop.prepare(short(protocol__steps=steps))
    _, charge, discharge = loop.cycle(bench, loop.begin(bench), 1)
    assert charge.ran == ran
    assert sorted([*charge.ran, *charge.skipped]) == list(range(len(steps) - 1))
    assert discharge.ran == [len(steps) - 1]


def test_a_cell_that_delivers_nothing_keeps_its_charge() -> None:
    ds = simulate(short(protocol__steps=DISCHARGED_AT_ONCE))
    assert ds.attrs["status"] == (
        "end of life at cycle 1: the discharge cut-off is passed at the applied current; no charge passes in the first "
        "discharge of the fresh cell: try a lower current, or other steps before it"
    )
    assert ds.charge_capacity.values[1] == bare().charge_capacity.values[1]
    assert ds.discharge_capacity.values[1] == 0.0
    assert ds.sizes["cycle"] == 2


def test_a_charge_before_a_failed_discharge_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    solve = Cell.constant_current

    def fails(self: Cell, state: Any, effect: Any, current: float, *rest: Any) -> Any:
        if current > 0:
            raise SolverFailure("made up")
        return solve(self, state, effect, current, *rest)

    monkeypatch.setattr(Cell, "constant_current", fails)
    ds = simulate(short())
    assert ds.attrs["status"] == "solver failure at cycle 1: made up"
    assert ds.charge_capacity.values[1] == pytest.approx(bare().charge_capacity.values[1], abs=0.1)
    assert np.isnan(ds.discharge_capacity.values[1])


@pytest.mark.parametrize("name", ["bare", "coated"])
@pytest.mark.parametrize("place", [0, 1, 2], ids=["before the charge", "charged", "discharged"])
def test_a_year_of_rest_left_the_potentials_that_are_known(name: str, place: int) -> None:
    """264 of 365 days, 50 V and a stoichiometry below zero were called completed."""
    rest = {"type": "rest", "duration": "365 d"}
    steps = [*CC[:place], rest, *CC[place:]]
    contact: dict[str, Any] = {"coating__contact": "closure"} if name == "coated" else {}
    bench = loop.prepare(short(name, 1, protocol__steps=steps, **contact))
    state, charge, discharge = loop.cycle(bench, loop.begin(bench), 1)
    history = (*charge.histories, *discharge.histories)[place]
    assert history.time[-1] == near(365 * 86400.0, rel=1e-12)
    assert history.voltage[1:].min() + 1.55 > 2.8
    assert history.voltage[1:].max() + 1.55 < 5.2 + 1e-3
    assert state.elapsed == near(sum(h.time[-1] for half in (charge, discharge) for h in half.histories), rel=1e-12)
    assert abs(loop.ledger_residual(bench, state)) < 1e-9


@pytest.mark.parametrize("contact", ["closure", "mixed", "separate", "bare"])
def test_a_long_rest_is_as_long_as_its_parts(contact: str) -> None:
    """A mean current stood for one that dies down: thirty rests of a day were another cell than one of a month."""

    def run(days: float, parts: int) -> xr.Dataset:
        rest = {"type": "rest", "duration": f"{days / parts} d"}
        given: dict[str, Any] = {"protocol__steps": [CC[0], *[rest] * parts, CC[1]]}
        if contact == "bare":
            return simulate(short(cycles=1, **given))
        return simulate(short("coated", 1, coating__contact=contact, **given))

    one, many = run(30.0, 1), run(30.0, 30)
    assert float(one.discharge_capacity[1]) == pytest.approx(float(many.discharge_capacity[1]), abs=0.05)
    assert float(one.elapsed_time[1]) == near(float(many.elapsed_time[1]), rel=1e-6)


def test_a_rest_that_ends_early_is_a_failure_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    solve = Cell.constant_current

    def early(self: Cell, state: Any, effect: Any, current: float, cut_off: Any, limit: float) -> Any:
        history = solve(self, state, effect, current, cut_off, limit)
        return replace(history, reached=True) if cut_off is None else history

    monkeypatch.setattr(Cell, "constant_current", early)
    ds = simulate(short(cycles=1, protocol__steps=[CC[0], REST, CC[1]]))
    assert ds.attrs["status"].startswith("solver failure at cycle 1: a rest of ")


def test_what_does_not_settle_is_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fourth solution was accepted whether it had settled or not."""
    monkeypatch.setattr(exchange, "SHORTEST_PART", 1e9)
    ds = simulate(short(cycles=2, numerics__max_iterations=2, numerics__exchange_tolerance="0.000001 mAh/g"))
    told = [text for text in json.loads(ds.attrs["warnings"]) if "did not settle" in text]
    assert json.loads(ds.attrs["statistics"])["unsettled_steps"] == 4
    assert len(told) == 2
    assert "unsettled" not in bare().attrs["warnings"]
    assert json.loads(bare().attrs["statistics"])["unsettled_steps"] == 0


def test_a_step_that_does_not_settle_is_divided() -> None:
    tight = simulate(short(cycles=1, numerics__max_iterations=2, numerics__exchange_tolerance="0.001 mAh/g"))
    loose = simulate(short(cycles=1, numerics__max_iterations=40, numerics__exchange_tolerance="0.001 mAh/g"))
    assert json.loads(tight.attrs["statistics"])["unsettled_steps"] == 0
    assert discharge(tight)[0] == pytest.approx(discharge(loose)[0], abs=0.01)


@pytest.mark.parametrize(("tolerance", "bound"), [("0.05 mAh/g", 0.3), ("0.005 mAh/g", 0.05)])
def test_a_half_cycle_cut_in_two_is_the_whole_one(tolerance: str, bound: float) -> None:
    whole = simulate(short(cycles=2, numerics__exchange_tolerance=tolerance))
    cut = [{**CC[0], "until": "2.4 V"}, CC[0], {**CC[1], "until": "2.1 V"}, CC[1]]
    parts = simulate(short(cycles=2, protocol__steps=cut, numerics__exchange_tolerance=tolerance))
    for name in ("charge_capacity", "discharge_capacity"):
        np.testing.assert_allclose(parts[name][1:], whole[name][1:], atol=bound)


def test_repayment_does_not_turn_a_charge_of_a_full_cell_into_a_discharge() -> None:
    bench = loop.prepare(scenario("bare"))
    charge = bench.scenario.protocol.steps[0]
    assert isinstance(charge, ConstantCurrent)
    owing = replace(ready(bench), owed=133 * 3600.0)  # 133 mAh/g, by the clock many times the current of C/5
    step_current = -exchange.step_current(bench, charge) / bench.design.ncm_mass
    assert 0 < exchange.Part(bench, owing, charge).repaid(60.0) < step_current
    after, history, _ = exchange.advance(bench, owing, charge, 0)
    assert history.reached
    assert after.owed < owing.owed


def test_progress_that_cannot_be_called_is_refused_before_the_run() -> None:
    with pytest.raises(InputError, match="progress = 3 is not a function"):
        simulate("bare", progress=3)  # type: ignore[arg-type]
