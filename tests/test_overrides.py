"""One language for values put in the place of others: `replace`, `--set` and what sweeps and the calibration use."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from closeness import near

from interphase_sim import cli, info
from interphase_sim.errors import InputError
from interphase_sim.scenario import Parameter, Scenario, load_scenario, location_of, quantity_of, value_at, with_units

FITTED = "0.7867, fitted, interphase-sim calibrate, capacities and efficiencies of Walther 2021"
SLOW = [{"type": "cc", "direction": way, "rate": "C/20"} for way in ("charge", "discharge")]
FORMATION = [{"cycles": 2, "steps": SLOW}]


@pytest.fixture
def coated() -> Scenario:
    return load_scenario("coated").replace({"protocol.first": FORMATION})


def parameter(scenario: Scenario, key: str) -> Parameter:
    """The parameter of a key, through its file."""
    (row,) = [row for row in info.parameters(scenario) if row["parameter"] == key]
    return Parameter(row["value"], row["unit"], row["kind"], row["source"], row["low"], row["high"], row["uncertainty"])


# Units


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("coating.thickness", 15, "'15' has no unit, expected a length such as \"15 nm\""),
        ("coating.thickness", 15e-9, "'1.5e-08' has no unit, expected a length such as \"15 nm\""),
        ("coating.thickness", np.float64(2.5), "'2.5' has no unit, expected a length such as \"15 nm\""),
        ("coating.thickness", "15 V", "'15 V' is not a length, expected a length such as \"15 nm\""),
        ("coating.thickness", {"value": 15}, "'15' has no unit, expected a length such as \"15 nm\""),
        ("coating.thickness", {"kind": "measured"}, "value is missing"),
        ("coating.thickness", {"value": "15 nm", "source": 3}, "source '3' must be text"),
        ("coating.thickness", Parameter(15e-9, "V"), "'1.5e-08 V' is not a length"),
        ("coating.coverage", Parameter(1.5), "'1.5' must lie in [0, 1)"),
        ("cell.temperature", 318.15, "'318.15' has no unit, expected a temperature such as \"45 degC\""),
        ("protocol.steps[0].rate", 0.2, '\'0.2\' is not a C-rate, expected one such as "C/5" or "0.2 C"'),
        ("coating.coverage", "0.8", "'0.8' must be a bare number such as 0.9"),
    ],
)
def test_fifteen_was_fifteen_metres(coated: Scenario, key: str, value: Any, told: str) -> None:
    with pytest.raises(InputError) as error:
        coated.replace({key: value})
    assert str(error.value).startswith(f"replace: {key}: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_what_has_no_unit_is_a_bare_number(coated: Scenario) -> None:
    changes = {"coating.coverage": np.float64(0.75), "numerics.column_cells": np.int64(60), "numerics.jump": True}
    other = coated.replace(changes)
    assert other.coating is not None
    assert (other.coating.coverage.si, other.numerics.column_cells, other.numerics.jump) == (0.75, 60, True)
    assert Scenario.from_dict(tomllib.loads(other.to_toml())) == other


@pytest.mark.parametrize("key", ["cell.diameter", "cell.temperature", "protocol.steps[0].rate", "coating.coverage"])
def test_what_is_written_of_an_si_value_is_accepted(coated: Scenario, key: str) -> None:
    quantity, si = quantity_of(key), {"cell.temperature": 301.7}.get(key, 1.234567890123e-5)
    assert quantity is not None
    for written in (quantity.written(si), with_units({key: si})[key], Parameter(si, quantity.unit(si))):
        assert parameter(coated.replace({key: written}), key).si == si


def test_with_units_leaves_what_is_no_number() -> None:
    same = {"coating": None, "cell.model": "SPM", "numerics.jump": True, "numerics.column_cells": 60}
    assert with_units({**same, "coating.thickness": 15e-9}) == {**same, "coating.thickness": "1.5e-08 m"}


# Steps


def test_a_step_is_named_by_its_position(coated: Scenario) -> None:
    changes = {
        "protocol.steps[0].rate": "C/10",
        "protocol.first[0].steps[1].until": "1.5 V",
        "protocol.first[0].cycles": 3,
    }
    protocol = coated.replace(changes).protocol
    assert [step.rate.si for step in protocol.steps] == [0.1, 0.2]  # type: ignore[union-attr]
    assert protocol.first[0].steps[1].until.si == 1.5  # type: ignore[union-attr]
    assert protocol.first[0].cycles == 3
    by_current = coated.replace({"protocol.steps[1].current": "0.3 mA", "protocol.steps[1].rate": None}).protocol
    assert by_current.steps[1].current.si == near(3e-4, rel=1e-15)  # type: ignore[union-attr]
    held = {"type": "cv", "voltage": "2.8 V", "until_current": "C/50"}
    steps = coated.replace({"protocol.steps": [coated.protocol.steps[0], held, coated.protocol.steps[1]]})
    assert steps.replace({"protocol.steps[1].voltage": "2.7 V"}).protocol.steps[1].voltage.si == 2.7  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("protocol.steps[2].rate", "there is no [2], protocol.steps has 2 entries, the last of them [1]"),
        ("protocol.first[1].cycles", "there is no [1], protocol.first has 1 entry, the last of them [0]"),
        ("protocol.first[0].steps[7].rate", "there is no [7], protocol.first[0].steps has 2 entries, the last of"),
        ("protocol.steps.rate", "protocol.steps is a list, whose entries have positions, as in protocol.steps[0].rate"),
        ("protocol.cycles[0]", "protocol.cycles is not a list"),
        ("protocol.steps[0].rat", "unknown key, did you mean 'rate'?"),
        ("protocol.steps[0].voltage", "unknown key"),
        ("protocol.steps[-1].rate", "is no key; one is written like protocol.steps[0].rate"),
        ("protocol.steps[0.rate", "is no key; one is written like protocol.steps[0].rate"),
        ("protocol..rate", "is no key; one is written like protocol.steps[0].rate"),
    ],
)
def test_a_path_that_leads_nowhere_is_one_sentence(coated: Scenario, key: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        coated.replace({key: "C/10"})
    assert told in str(error.value)
    assert str(error.value).startswith("replace: ")
    assert "\n" not in str(error.value)


def test_there_are_no_first_cycles_to_change() -> None:
    with pytest.raises(InputError, match=r"there is no \[0\], protocol\.first has no entries$"):
        load_scenario("bare").replace({"protocol.first[0].cycles": 2})


def test_an_entry_of_a_list_cannot_be_left_out(coated: Scenario) -> None:
    with pytest.raises(InputError, match="give the whole list without it"):
        coated.replace({"protocol.steps[0]": None})


def test_a_step_that_would_leave_the_window_is_refused(coated: Scenario) -> None:
    with pytest.raises(InputError, match="a step ends outside the cell's window"):
        coated.replace({"protocol.steps[1].until": "1.3 V"})


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("protocol.steps[0]", "'protocol.steps[0]' is a table, expected the key of a value in it"),
        (
            "protocol.steps[0].rat",
            "'protocol.steps[0].rat' is no key of a scenario, did you mean 'protocol.steps[0].ra",
        ),
        ("protocol.steps.rate", "'protocol.steps.rate' is no key: protocol.steps is a list, whose entries have"),
        ("coating.thickness[0]", "'coating.thickness[0]' is no key: coating.thickness is not a list"),
        ("protocol.first[0].steps[0].rate.si", "'protocol.first[0].steps[0].rate.si' is no key: rate holds a value"),
    ],
)
def test_a_key_of_no_step_is_refused_without_a_scenario(key: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        quantity_of(key)
    assert str(error.value).startswith(told)


def test_locations_lead_into_tables(coated: Scenario) -> None:
    assert location_of("protocol.first[0].steps[1].rate") == ("protocol", "first", 0, "steps", 1, "rate")
    table = coated.to_dict()
    assert value_at(table, "protocol.first[0].steps[1].direction") == "discharge"
    for key in ("protocol.first[1].cycles", "protocol.steps.rate", "nowhere.at.all", "name[0]"):
        assert value_at(table, key) is None


# What replaced a value


def test_a_replaced_value_claimed_the_scenario_file_as_its_source(coated: Scenario) -> None:
    found = parameter(coated.replace({"coating.coverage": 0.8}), "coating.coverage")
    assert (found.kind, found.source) == ("assumed", f"replaced in Python (was {FITTED})")
    assert found.uncertainty is None
    by_hand = parameter(coated.replace({"coating.core_conductivity": "1e-5 S/m"}), "coating.core_conductivity")
    assert by_hand.source == "replaced in Python (was not stated)"


def test_a_value_may_state_its_kind_and_source(coated: Scenario) -> None:
    stated = {"value": 0.7, "kind": "measured", "source": "XPS", "low": 0.6}
    found = parameter(coated.replace({"coating.coverage": stated}, by="by --set"), "coating.coverage")
    assert (found.si, found.kind, found.low) == (0.7, "measured", 0.6)
    assert found.source == f"XPS; replaced by --set (was {FITTED})"
    other = load_scenario("bare").cell.separator_porosity
    taken = parameter(coated.replace({"cell.cathode_porosity": other}), "cell.cathode_porosity")
    assert (taken.kind, taken.low, taken.high) == ("assumed", 0.1, 0.17)
    assert taken.source == "like the cathode; replaced in Python (was 0.13, literature, Minnmann 2021 (second-hand))"


def test_a_value_replaced_twice_tells_the_first(coated: Scenario) -> None:
    twice = coated.replace({"coating.coverage": 0.8}).replace({"coating.coverage": 0.6}, by="by a sweep")
    assert parameter(twice, "coating.coverage").source == f"replaced by a sweep (was {FITTED})"
    stated = coated.replace({"coating.coverage": {"value": 0.8, "source": "XPS"}}).replace({"coating.coverage": 0.6})
    assert parameter(stated, "coating.coverage").source == f"replaced in Python (was {FITTED})"


def test_numbers_of_a_replaced_table_tell_so_too(coated: Scenario) -> None:
    rates = [parameter(coated, f"protocol.first[0].steps[{k}].rate") for k in (0, 1)]
    assert {(rate.kind, rate.source) for rate in rates} == {("assumed", "replaced in Python")}
    moved = load_scenario("bare").replace({"coating": coated.coating})
    assert parameter(moved, "coating.thickness").source == "Walther 2021; replaced in Python"
    ratio = coated.replace({"cell.cathode_mass_ratio": [6, 4, 0.1]}).cell.cathode_mass_ratio
    assert ratio.source.startswith("replaced in Python (was 7:3:0.1, measured, Walther 2021")


def test_the_digest_does_not_depend_on_what_replaced_a_value(coated: Scenario) -> None:
    ways: list[dict[str, Any]] = [
        {"coating.coverage": 0.8},
        {"coating.coverage": {"value": 0.8, "kind": "measured", "source": "XPS"}},
    ]
    found = {coated.replace(way, by=by).digest() for way in ways for by in ("in Python", "by --set")}
    assert len(found) == 1
    assert found != {coated.digest()}
    assert coated.replace({"coating.coverage": coated.coating.coverage}).digest() == coated.digest()  # type: ignore[union-attr]


def test_a_replaced_scenario_survives_its_file(coated: Scenario) -> None:
    other = coated.replace({"coating.coverage": 0.8, "protocol.steps[0].rate": "C/10"}, by="by --set")
    assert Scenario.from_dict(tomllib.loads(other.to_toml())) == other


# The command


def settings(*given: str) -> Scenario:
    return cli._changed(load_scenario("coated"), given)


def test_the_command_and_python_speak_one_language() -> None:
    given = ("coating.thickness=20 nm", "protocol.steps[0].rate=C/10", "protocol.cycles=7", "coating.coverage=0.6")
    changes = {"coating.thickness": "20 nm", "protocol.steps[0].rate": "C/10", "protocol.cycles": 7}
    in_python = load_scenario("coated").replace({**changes, "coating.coverage": 0.6}, by="by --set")
    assert settings(*given) == in_python
    assert parameter(in_python, "coating.coverage").source == f"replaced by --set (was {FITTED})"


def test_the_last_setting_of_a_key_counts() -> None:
    assert settings("protocol.cycles=7", "protocol.cycles=9").protocol.cycles == 9


def test_none_leaves_an_optional_key_out() -> None:
    assert settings("coating=none") == load_scenario("coated").replace({"coating": None})
    coating = settings("coating.covered_rate=none").coating
    assert coating is not None
    assert coating.covered_rate is None
    for text in ("cell.model=none", "coating.coverge=none", 'coating.shell_thickness="none"'):
        with pytest.raises(InputError, match=r"^--set: "):
            settings(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("protocol.steps[4].rate=C/10", "--set: protocol.steps[4].rate: there is no [4], protocol.steps has 2 entries"),
        ("protocol.steps[0].rate=0.1", "--set: protocol.steps[0].rate: '0.1' is not a C-rate"),
        ("name.first=x", "--set: name.first: name is not a table"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        settings(text)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


def test_info_tells_what_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(settings("coating.coverage=0.6").to_toml(), encoding="utf-8")
    told = CliRunner().invoke(cli.cli, ["info", str(path)])
    assert f"replaced by --set (was {FITTED})" in told.stdout
