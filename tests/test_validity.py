"""Validity as data: stated with the numbers it belongs to, warned of once per quantity, and no part of the answer."""

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from test_cli import call
from test_simulation import CC, short

from interphase_sim import validity
from interphase_sim.errors import InputError
from interphase_sim.scenario import Scenario, load_scenario, scenario_names, with_units
from interphase_sim.simulation import simulate
from interphase_sim.sweeps import worker

LAYERS = [0.5e-9, math.nan, 60e-9]
STATED = ("temperature", "rate", "potential", "layer_thickness")


def told(layers: list[float] = LAYERS, **changes: Any) -> list[str]:
    """The warnings of the bare cell with changes of cell and protocol, `cell__temperature` for cell.temperature."""
    return validity.warnings(load_scenario("bare").replace(with_units(dotted(changes))), layers)


def dotted(changes: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("__", "."): value for key, value in changes.items()}


def at_rate(rate: str, **more: Any) -> list[dict[str, Any]]:
    return [{"type": "cc", "direction": d, "rate": rate} | more for d in ("charge", "discharge")]


@pytest.mark.parametrize("name", scenario_names())
def test_shipped_scenarios_lie_within_what_they_state(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.kinetics.validity is not None
    assert all(getattr(scenario.kinetics.validity, quantity) is not None for quantity in STATED)
    assert validity.warnings(scenario, LAYERS) == []


def test_a_fast_warm_run_beyond_the_window_passed_without_a_word() -> None:
    warned = told([*LAYERS, 61e-9, 70e-9], cell__temperature="60 degC", cell__upper_voltage="3.0 V",
                  protocol__steps=at_rate("1 C"))  # fmt: skip
    assert [text.split(" is beyond its stated validity of ")[0] for text in warned] == [
        "the cell temperature of 60 degC",
        "a rate of 1C",
        "a potential of 4.55 V vs Li/Li+",
        "a layer thickness of 70 nm (first in cycle 3)",
    ]
    ranges = ["45 degC", "C/5", "2.90 V to 4.40 V", "0 nm to 60 nm"]
    for text, stated, name in zip(warned, ranges, STATED, strict=True):
        assert f" {stated} (" in text
        assert f"kinetics.validity.{name}: " in text
        assert "; treat the result with caution, " in text


def test_what_two_files_state_is_warned_of_once() -> None:
    (text,) = told(cell__upper_voltage="2.95 V")
    start = (
        "a potential of 4.5 V vs Li/Li+ is beyond its stated validity of 2.90 V to 4.40 V (cell.validity.potential: "
    )
    assert text.startswith(start)
    assert "; kinetics.validity.potential: " in text
    wider = {"low": "2 V", "high": "4.45 V", "source": "another study"}
    (text,) = told(cell__upper_voltage="2.95 V", kinetics__validity__potential=wider)
    assert " of 2.90 V to 4.40 V (cell." in text
    assert ") and 2 V to 4.45 V (kinetics.validity.potential: another study)" in text


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"cell__temperature": 318.15 + 1e-9}, None),
        ({"cell__temperature": "46 degC"}, "the cell temperature of 46 degC"),
        ({"protocol__steps": at_rate("C/5")}, None),
        ({"protocol__steps": at_rate("C/20")}, "a rate of C/20"),
        ({"protocol__steps": [at_rate("C/20")[0], at_rate("2 C")[1]]}, "a rate of C/20 to 2C"),
        ({"protocol__steps": [{**CC[0], "rate": None, "current": "1 mA"}, CC[1]]}, "a rate of 0.729C"),
        ({"protocol__steps": [{**CC[0], "rate": None, "current": "0.27446 mA"}, CC[1]]}, None),  # C/5 of 7.624 mg
        ({"protocol__steps": at_rate("C/5", until="2.0 V")}, None),
        ({"protocol__first": [{"cycles": 1, "steps": at_rate("C/20")}]}, "a rate of C/20"),
        ({"protocol__first": [{"cycles": 200, "steps": at_rate("C/5")}], "protocol__steps": at_rate("1 C")}, None),
        (
            {"protocol__steps": [CC[0], {"type": "cv", "voltage": "2.9 V", "until_current": "C/20"}, CC[1]],
             "cell__upper_voltage": "2.9 V"},
            "a potential of 4.45 V vs Li/Li+",
        ),
        ({"cell__lower_voltage": "1.3 V"}, "a potential of 2.85 V vs Li/Li+"),
        ({"cell__lower_voltage": "1.3 V", "cell__upper_voltage": "2.9 V"}, "a potential of 2.85 V to 4.45 V vs Li/Li+"),
        ({"kinetics__validity": None, "cell__validity": None, "cell__temperature": "60 degC"}, None),
    ],
)  # fmt: skip
def test_each_quantity_is_judged_by_what_the_protocol_comes_to(changes: dict[str, Any], warned: str | None) -> None:
    steps = changes.get("protocol__steps", [])
    cleaned = [{key: value for key, value in step.items() if value is not None} for step in steps]
    found = told(**changes | ({"protocol__steps": cleaned} if steps else {}))
    assert [text.split(" is beyond")[0] for text in found] == ([warned] if warned else [])


NARROW = {"low": "0 nm", "high": "0.01 nm", "source": "a test"}


def test_a_doubtful_contact_silenced_every_other_warning(tmp_path: Path) -> None:
    """One list was shared, and written to only while it was empty. A resumed run says the same, once."""
    chosen = short("coated", 2, cell__temperature="60 degC").replace({"kinetics.validity.layer_thickness": NARROW})
    ds = simulate(chosen, directory=tmp_path)
    found = json.loads(ds.attrs["warnings"])
    begins = ["the cell temperature of 60 degC", "a layer thickness of ", "cycle 0: layer over gap distance"]
    assert [text[: len(begin)] for text, begin in zip(found, begins, strict=True)] == begins
    assert json.loads(simulate(chosen, directory=tmp_path, resume=True).attrs["warnings"]) == found
    message = worker._message(ds, "completed", worker.DONE)
    assert message.startswith("warning: the cell temperature of 60 degC")
    assert message.count("warning: ") == 3


def test_a_run_prints_what_lies_outside_to_the_terminal(tmp_path: Path) -> None:
    quick = ("cell.model=SPM", "protocol.cycles=1", "numerics.particle_cells=10", "cell.temperature=60 degC")
    sets = [part for text in quick for part in ("--set", text)]
    done = call("run", "bare", "-o", str(tmp_path / "out"), *sets)
    assert done.stderr.count("Warning: the cell temperature of 60 degC is beyond its stated validity of 45 degC") == 1


def test_validity_decides_no_answer() -> None:
    coated = load_scenario("coated")
    other = {"low": "0 degC", "high": "60 degC", "source": "another study"}
    for change in ({"kinetics.validity": None}, {"cell.validity": None}, {"kinetics.validity.temperature": other}):
        assert coated.replace(change).digest() == coated.digest()
    changed = coated.replace({"kinetics.validity.temperature": other})
    assert Scenario.from_dict(tomllib.loads(changed.to_toml())) == changed != coated
    assert '"60 degC"' in changed.to_toml()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("temperatur", {"low": "0 degC"}, "kinetics.validity.temperatur: unknown key, did you mean 'temperature'?"),
        (
            "temperature",
            "45 degC",
            "kinetics.validity.temperature: '45 degC' must be a table with low, high and source",
        ),
        ("temperature", {"low": "0 degC", "high": "60 degC"}, "kinetics.validity.temperature: source is missing"),
        ("temperature", {"low": "0 degC", "source": "x"}, "kinetics.validity.temperature: high is missing"),
        ("temperature", {"low": "0 degC", "high": "60 K", "source": "x"}, "high: '60 K' must lie between -60 and 200"),
        ("rate", {"low": "C/5", "high": "fast", "source": "x"}, "kinetics.validity.rate: high: 'fast' is not a C-rate"),
        ("rate", {"low": "1 C", "high": "C/5", "source": "x"}, "kinetics.validity.rate: low lies above high"),
        ("rate", {"low": "C/5", "high": "C/5", "source": 1}, "kinetics.validity.rate: source '1' must be text"),
        (
            "rate",
            {"low": "C/5", "high": "C/5", "source": "x", "sorce": 1},
            "unknown key 'sorce', did you mean 'source'?",
        ),
        ("layer_thickness", {"low": "0 nm", "high": "60", "source": "x"}, "high: '60' has no unit, expected a length"),
    ],
)
def test_a_range_that_cannot_be_read_is_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_scenario("bare").replace({f"kinetics.validity.{key}": value})
    assert message in str(error.value)
    assert "\n" not in str(error.value)
