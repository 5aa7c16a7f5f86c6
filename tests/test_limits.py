"""What no run can compute is refused when the scenario is loaded: temperatures and voltages out of range."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closeness import near
from test_cell import potential

from interphase_sim.cell import parameters
from interphase_sim.errors import InputError
from interphase_sim.resources import shipped
from interphase_sim.scenario import load_scenario, with_units
from interphase_sim.scenario import potential as table


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cell.temperature", "45 K", "'45 K' must lie between -60 and 200 degC, did you mean '45 degC'?"),
        ("cell.temperature", "45.0 K", "'45.0 K' must lie between -60 and 200 degC, did you mean '45 degC'?"),
        ("cell.temperature", "318.15 degC", "between -60 and 200 degC, did you mean '318.15 K'?"),
        ("cell.reference_temperature", "-61 degC", "'-61 degC' must lie between -60 and 200 degC"),
        ("cell.ncm_reference_temperature", "201 degC", "'201 degC' must lie between -60 and 200 degC"),
        ("cell.lto_reference_temperature", "25 K", "did you mean '25 degC'?"),
        ("kinetics.oxygen.reference_temperature", "45 K", "did you mean '45 degC'?"),
        ("kinetics.layer.reference_temperature", "45 K", "did you mean '45 degC'?"),
        ("kinetics.lithium.reference_temperature", "45 K", "did you mean '45 degC'?"),
        ("kinetics.contact.temperature", "25 K", "did you mean '25 degC'?"),
        ("cell.temperature", {"value": "45 degC", "high": "60 K"}, "high: '60 K' must lie between -60 and 200 degC"),
    ],
)
def test_kelvin_that_were_meant_as_degrees_ended_in_a_division_by_zero(key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_scenario("coated").replace({key: value})
    assert str(error.value).startswith(f"replace: {key}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_bounds_of_temperature_themselves_are_allowed_and_an_uncertainty_is_a_difference() -> None:
    for kelvin in (213.15, 473.15):
        assert load_scenario("bare").replace({"cell.temperature": f"{kelvin} K"}).cell.temperature.si == kelvin
    spread = {"value": "45 degC", "uncertainty": "2 K"}
    assert load_scenario("bare").replace({"cell.temperature": spread}).cell.temperature.uncertainty == 2.0


def test_a_temperature_is_refused_with_the_file_that_holds_it(tmp_path: Path) -> None:
    for file in shipped("scenarios").glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    cell = tmp_path / "cell_walther2021.toml"
    text = cell.read_text(encoding="utf-8")
    line = '\ntemperature = { value = "45 degC"'
    assert text.count(line) == 1
    cell.write_text(text.replace(line, line.replace("degC", "K")), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_scenario(tmp_path / "bare.toml")
    assert str(error.value) == f"{cell}: temperature: '45 K' must lie between -60 and 200 degC, did you mean '45 degC'?"


# Voltages beyond the potential table


def test_the_ends_of_the_potential_table_are_those_of_the_cell() -> None:
    x, u = parameters.ocp_table()
    assert potential()([1.0])[0] == pytest.approx(table.LOWEST, abs=1e-3)  # V; four digits are stated
    end = np.searchsorted(x, parameters.msmr_stoichiometry(np.array([table.HIGHEST]))[0])
    assert u[end] == pytest.approx(table.HIGHEST, abs=1e-3)  # where the table's straight continuation begins


STEPS = [{"type": "cc", "direction": d, "rate": "C/5"} for d in ("charge", "discharge")]
BEYOND = "4.4 V' vs LTO is 5.95 V vs Li/Li+ (the LTO plateau is at 1.55 V), beyond the NCM622 potential table "
HOLD = {"type": "cv", "voltage": "4.4 V", "until_current": "C/20"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell.upper_voltage": "4.4 V"}, f"cell.upper_voltage: '{BEYOND}(2.815 to 5.2 V); did you mean '2.85 V'?"),
        ({"cell.lower_voltage": "1.2 V"}, "cell.lower_voltage: '1.2 V' vs LTO is 2.75 V vs Li/Li+"),
        ({"cell.lto_plateau": "2.5 V"}, "cell.upper_voltage: '2.85 V' vs LTO is 5.35 V vs Li/Li+ (the LTO plateau is"),
        ({"protocol.steps": [STEPS[0] | {"until": "4.4 V"}, STEPS[1]]}, f"protocol: steps[0].until '{BEYOND}"),
        ({"protocol.steps": [STEPS[0], HOLD, STEPS[1]]}, f"protocol: steps[1].voltage '{BEYOND}"),
        (
            {"protocol.first": [{"cycles": 1, "steps": [STEPS[0] | {"until": "4.4 V"}, STEPS[1]]}]},
            f"protocol: first[0].steps[0].until '{BEYOND}",
        ),
    ],
)
def test_a_voltage_against_lithium_was_taken_for_one_against_lto(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        load_scenario("bare").replace(changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_voltages_within_the_potential_table_are_accepted() -> None:
    wide = {"cell.lower_voltage": table.LOWEST - 1.55 + 1e-6, "cell.upper_voltage": table.HIGHEST - 1.55 - 1e-6}
    assert load_scenario("bare").replace(with_units(wide)).cell.upper_voltage.si == near(3.65, rel=1e-6)
    assert load_scenario("bare").cell.lower_voltage.si + 1.55 > table.LOWEST
