"""Lost capacity, end of life by fraction and cycle life counted from cycle 1, even from a formation cycle."""

import json
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import synthetic
import xarray as xr
from matplotlib.text import Text
from test_simulation import CC, REST, SLOW, discharge, killed_at, refused, same, short

from interphase_sim import plot
from interphase_sim.errors import InputError
from interphase_sim.scenario import Protocol
from interphase_sim.simulation import checkpoint, jump, simulate
from interphase_sim.simulation.recorder import Recorder
from interphase_sim.sweeps import worker
from interphase_sim.sweeps.schema import EndOfLife

FAST = [{"type": "cc", "direction": d, "rate": "1 C"} for d in ("charge", "discharge")]
FORMED: dict[str, Any] = {"protocol__first": [{"cycles": 1, "steps": SLOW}]}


def protocol(cycles: int = 9, **changes: Any) -> Protocol:
    return short(cycles=cycles, **{f"protocol__{key}": value for key, value in changes.items()}).protocol


def references(of: Protocol) -> list[int | None]:
    return [of.reference_of(cycle) for cycle in range(1, of.cycles + 1)]


@cache
def formed() -> xr.Dataset:
    """One slow cycle, then five at C/5."""
    return simulate(short(**FORMED, numerics__output_cycles=[1, 2, 6]))


def warnings(ds: xr.Dataset) -> list[str]:
    """The warnings but for those of validity: C/10 is not the rate that was fitted."""
    return [text for text in json.loads(ds.attrs["warnings"]) if "stated validity" not in text]


# Which cycle it is


def test_the_reference_was_cycle_1_whatever_its_steps() -> None:
    assert references(protocol(4)) == [1, 1, 1, 1]
    assert references(protocol(4, first=[{"cycles": 2, "steps": SLOW}])) == [1, 1, 3, 3]


def test_blocks_of_equal_steps_share_their_first_cycle() -> None:
    parts = [{"cycles": 1, "steps": SLOW}, {"cycles": 2, "steps": CC}, {"cycles": 2, "steps": SLOW}]
    assert references(protocol(7, first=parts)) == [1, 2, 2, 1, 1, 2, 2]


@pytest.mark.parametrize("rate", ["0.2 C", {"value": "C/5", "kind": "measured", "source": "elsewhere"}])
def test_equal_steps_written_differently_are_equal(rate: Any) -> None:
    other = [{**step, "rate": rate} for step in CC]
    assert references(protocol(3, first=[{"cycles": 1, "steps": other}])) == [1, 1, 1]


def test_units_do_not_make_steps_differ() -> None:
    steps = [[{**CC[0], "until": until}, CC[1]] for until in ("2.7 V", "2700 mV")]
    assert references(protocol(3, first=[{"cycles": 1, "steps": steps[0]}], steps=steps[1])) == [1, 1, 1]


def test_a_stated_reference_holds_for_every_cycle_from_it_on_and_none_before() -> None:
    given = protocol(5, first=[{"cycles": 2, "steps": SLOW}], reference_cycle=4)
    assert references(given) == [None, None, None, 4, 4]
    assert given.reference_of(0) is None


@pytest.mark.parametrize(("value", "told"), [(7, "7 is after the last cycle, 6"), (0, "'0' must be at least 1")])
def test_a_reference_cycle_that_cannot_be_is_a_sentence(value: int, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"protocol.reference_cycle: {told}")) as error:
        protocol(6, reference_cycle=value)
    assert "\n" not in str(error.value)


# Runs


def test_a_formation_cycle_at_another_rate_ended_the_run_after_it() -> None:
    """C/20, then 1C: the second cycle was below 0.8 of the first."""
    slow = [{**step, "rate": "C/20"} for step in CC]
    ds = simulate(
        short(
            cycles=3,
            protocol__first=[{"cycles": 1, "steps": slow}],
            protocol__steps=FAST,
            numerics__end_of_life_fraction=0.8,
        )
    )
    assert discharge(ds)[1] < 0.8 * discharge(ds)[0]
    assert ds.attrs["status"] == "completed"


def test_the_end_of_life_is_a_share_of_the_reference_and_of_no_other_cycle() -> None:
    reached = discharge(formed())
    share = float(np.mean(reached[3:5]) / reached[1])  # between cycles 4 and 5
    ds = simulate(short(**FORMED, numerics__end_of_life_fraction=share))
    assert ds.attrs["status"] == "end of life at cycle 5: capacity below numerics.end_of_life_fraction"
    stated = simulate(short(**FORMED, numerics__end_of_life_fraction=share, protocol__reference_cycle=6))
    assert stated.attrs["status"] == "completed"
    (told,) = [text for text in warnings(stated) if "end_of_life" in text]
    assert told == "numerics.end_of_life_fraction has no effect: protocol.reference_cycle is the last cycle"


def test_capacity_was_lost_since_a_formation_cycle() -> None:
    lost = formed().capacity_loss
    reached = discharge(formed())
    assert reached[0] - reached[1] > 1.0
    assert not lost.sel(output_cycle=[1, 2]).values.any()
    assert float(lost.sel(output_cycle=6).sum()) == pytest.approx(reached[1] - reached[5], abs=1e-9)
    assert warnings(formed()) == []


def test_a_loss_without_reference_is_missing_with_a_reason() -> None:
    ds = simulate(short(protocol__reference_cycle=3))
    lost = ds.capacity_loss
    assert np.isnan(lost.sel(output_cycle=1)).all()
    assert not lost.sel(output_cycle=3).values.any()
    assert float(lost.sel(output_cycle=6).sum()) == pytest.approx(discharge(ds)[2] - discharge(ds)[5], abs=1e-9)
    assert warnings(ds) == ["capacity_loss is missing in cycle 1: before protocol.reference_cycle, 3"]


@pytest.mark.parametrize("rows", [[0.0, 5.0], [np.nan, 5.0], [5.0, np.nan]])
def test_nothing_is_lost_of_a_capacity_that_never_was(rows: list[float]) -> None:
    bench: Any = SimpleNamespace(scenario=short(cycles=2))
    recorder = Recorder(bench, rows=[{}, *({"discharge_capacity": value} for value in rows)], profiles={0: 0, 2: 0})
    reference, lost = recorder.loss(2)
    assert reference is None
    assert np.isnan(lost)
    assert list(recorder._missing_losses()) == [
        "capacity_loss is missing in cycle 2: no discharge capacity in the cycle or in its reference, cycle 1"
    ]


def test_the_split_took_the_rates_of_a_step_of_the_formation() -> None:
    """Main cycles have fewer steps; the formation's last one, a rest, went on standing for their own last one."""
    ds = simulate(short(cycles=3, protocol__first=[{"cycles": 1, "steps": [CC[0], CC[1], REST]}]))
    plain = simulate(short(cycles=3, protocol__reference_cycle=2))
    shares = [each.capacity_loss.sel(output_cycle=3, channel="electrolyte_oxidation") for each in (ds, plain)]
    assert float(shares[0]) == pytest.approx(float(shares[1]), rel=0.2)  # the rest before moves it by 13 %; it was 0
    assert abs(float(shares[1])) > 1e-3


@pytest.mark.parametrize("stated", [None, 3])
def test_a_resumed_run_kept_only_the_state_after_cycle_1(tmp_path: Path, stated: int | None) -> None:
    chosen = short(**FORMED, protocol__reference_cycle=stated)
    killed_at(5, tmp_path, chosen)
    same(simulate(chosen, directory=tmp_path, resume=True), simulate(chosen))


def test_a_checkpoint_of_an_earlier_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(short(cycles=1), directory=tmp_path)
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    assert "in a format that this one does not read" in refused(tmp_path, short(cycles=1))


def test_jumps_solve_the_reference_cycle() -> None:
    chosen = short(cycles=14, numerics__output_cycles=[1], numerics__jump_tolerance="5 mAh/g", numerics__jump=True)
    assert not jump.asked(chosen, 8)
    stated = chosen.replace({"protocol.reference_cycle": 8})
    assert jump.asked(stated, 8)
    ds = simulate(stated)
    assert ds.solved.values[8] == 1
    assert not ds.solved.values.all()
    assert float(ds.capacity_loss.sel(output_cycle=14).sum()) == pytest.approx(
        discharge(ds)[7] - discharge(ds)[13], abs=1e-9
    )


# Sweeps and figures


def test_cycle_life_counted_from_a_formation_cycle() -> None:
    rule, capacity = EndOfLife.model_validate({"fraction": 0.8}), np.array([np.nan, 200.0, 150.0, 130.0, 119.0])
    formed_first = protocol(4, first=[{"cycles": 1, "steps": SLOW}])
    assert worker.cycle_life(capacity, rule, worker.DONE, formed_first) == 4
    assert worker.cycle_life(capacity, rule, worker.DONE, protocol(4)) == 2
    assert np.isnan(worker.cycle_life(capacity, rule, worker.DONE, protocol(4, reference_cycle=3)))


def test_a_missing_loss_was_drawn_as_none() -> None:
    ds = synthetic.result("bare")
    ds["capacity_loss"].loc[{"output_cycle": 50}] = np.nan
    figure = plot.losses([ds])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cycle 50", "cycle 200"]
    texts = [text.get_text() for text in axes.findobj(Text) if isinstance(text, Text)]
    assert texts.count("missing") == 1
    assert "no capacity lost\nat an output cycle" not in texts


def test_losses_say_which_cycle_they_count_from() -> None:
    def words(ds: xr.Dataset) -> str:
        return str(plot.losses([ds]).axes[0].get_ylabel())

    assert "lost since cycle 2" in words(simulate(short(cycles=2, protocol__reference_cycle=2)))
    assert "lost since the reference cycle" in words(formed())
    assert "lost since the reference cycle" in words(synthetic.result("bare"))  # its scenario has no protocol


# What the cycles do not reach


def test_first_cycles_longer_than_the_run_were_accepted_without_a_word() -> None:
    parts = [{"cycles": 2, "steps": SLOW}, {"cycles": 3, "steps": CC}, {"cycles": 1, "steps": SLOW}]
    assert protocol(7, first=parts).unreached() == []
    assert protocol(6, first=parts).unreached() == [
        "protocol.steps is not run: the blocks of protocol.first fill all cycles up to the last, 6"
    ]
    assert protocol(3, first=parts).unreached() == [
        "protocol.first[1] runs 1 of its 3 cycles: the last cycle is 3",
        "protocol.first[2] is not run: it begins after the last cycle, 3",
        "protocol.steps is not run: the blocks of protocol.first fill all cycles up to the last, 3",
    ]
    ds = simulate(short(cycles=1, **FORMED))
    assert ds.attrs["status"] == "completed"
    assert len(warnings(ds)) == 1
