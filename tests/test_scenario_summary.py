"""How a scenario is shown: a few lines that fit a screen, whatever it holds."""

from typing import Any

import pytest

from interphase_sim.scenario import Scenario, load_scenario, scenario_names

LINES, COLUMNS = 25, 100
LONG = "word " * 200
STEPS = [
    {"type": "cc", "direction": "charge", "rate": "C/5", "until": "2.7 V"},
    {"type": "cv", "voltage": "2.7 V", "until_current": "C/20"},
    *[{"type": "rest", "duration": "1 h"}] * 40,
    {"type": "cc", "direction": "discharge", "current": "1 mA"},
]


def shown(scenario: Scenario) -> list[str]:
    lines = repr(scenario).splitlines()
    assert str(scenario) == repr(scenario)
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    return lines


@pytest.mark.parametrize("name", scenario_names())
def test_a_shipped_scenario_fits_a_screen(name: str) -> None:
    scenario = load_scenario(name)
    lines = shown(scenario)
    assert lines[0].startswith(f"Scenario {name!r}")
    assert [line.split()[0] for line in lines if line[2] != " "][1:] == [
        "cell",
        "coating",
        "kinetics",
        "protocol",
        "numerics",
        "digest",
    ]
    assert f"  digest    {scenario.digest()[:16]}" in lines


def test_the_longest_scenario_fits_a_screen() -> None:
    blocks = [{"cycles": 1, "steps": STEPS} for _ in range(50)]
    changes: dict[str, Any] = {
        "description": LONG,
        "protocol.steps": STEPS,
        "protocol.first": blocks,
        "coating.core_conductivity": None,
    }
    changes |= {"numerics.output_cycles": list(range(1, 200)), "name": "n" * 80}
    text = " ".join(" ".join(shown(load_scenario("coated").replace(changes))).split())
    assert "200 cycles: charge at C/5 to 2.7 V, hold 2.7 V until C/20, rest 1 h" in text
    assert "and 37 more steps" in text
    assert "and 46 more blocks of first cycles" in text


def test_the_summary_names_what_decides() -> None:
    bare = " ".join(repr(load_scenario("bare")).split())
    assert "coating none" in bare
    assert "200 cycles: charge at C/5, discharge at C/5" in bare
    limited = load_scenario("coated").replace({"numerics.jump": True, "numerics.end_of_life_fraction": 0.7})
    text = " ".join(repr(limited).split())
    assert "15 nm of LiNbO3 (amorphous) in Li2CO3 on 0.787 of the contact" in text
    assert "jumps within 0.15 mAh/g; end_of_life_fraction 0.7" in text
    assert "fitted" in text


def test_sections_show_all_their_fields() -> None:
    scenario = load_scenario("coated")
    assert repr(scenario.coating).startswith("Coating(coverage=Parameter(si=0.7867, ")
    assert "covered_rate=Parameter(si=0.0249" in repr(scenario.coating)
    assert repr(scenario.protocol).startswith("Protocol(cycles=200, steps=(ConstantCurrent(type='cc'")
