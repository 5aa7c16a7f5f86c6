"""Scenario files: the shipped ones are complete, bad input is refused in a sentence, nothing is lost."""

import contextlib
import os
import pickle
import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interphase_sim.errors import InputError
from interphase_sim.resources import shipped
from interphase_sim.scenario import (
    ConstantVoltage,
    Rest,
    Scenario,
    halves,
    load_scenario,
    quantity_of,
    scenario_names,
    template,
    to_toml,
    with_units,
)

SHIPPED = sorted(shipped("scenarios").glob("*.toml"))
PLAIN = {  # every key that is no physical value: names, switches and settings
    "schema_version", "name", "description", "cell", "kinetics", "model", "potential_law",
    "lithiation_law", "core", "shell",
    "filler", "contact", "cycles", "type", "direction", "output_cycles", "film", "slow_lithiation",
    "isolation", "rock_salt", "electrolyte_oxidation",
}  # fmt: skip


def refusal(text: str, folder: Path) -> str:
    """What is said about a scenario file with this text."""
    file = folder / "x.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_scenario(file)
    return str(error.value)


def changed(old: str, new: str) -> str:
    """The template with one line changed."""
    text = template("x")
    assert old in text
    return text.replace(old, new)


def physical_values(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every physical value of a raw table with its path."""
    for key, value in table.items():
        if key == "validity":  # ranges, which have no kind; their reader asks for a source
            continue
        if isinstance(value, dict) and "value" not in value:
            yield from physical_values(value, f"{path}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                yield from physical_values(item, f"{path}{key}.")
        elif key not in PLAIN:
            yield path + key, value


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A folder with the shipped files, so that the shared ones can be changed."""
    for file in SHIPPED:
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["bare", "coated"])
def test_shipped_scenarios_load_by_name_and_by_path(name: str) -> None:
    assert load_scenario(name) == load_scenario(shipped(f"scenarios/{name}.toml"))
    assert load_scenario(name).name == name


def test_the_shared_files_are_no_scenarios() -> None:
    assert {"bare", "coated"} <= set(scenario_names())
    assert not any(name.startswith(("cell", "kinetics")) for name in scenario_names())


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_value_has_a_kind_and_a_source(file: Path) -> None:
    values = list(physical_values(tomllib.loads(file.read_text(encoding="utf-8"))))
    assert values
    assert [path for path, value in values if not isinstance(value, dict)] == []
    assert [path for path, value in values if not value.get("kind") or not value.get("source")] == []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_no_shipped_value_awaits_a_better_one(file: Path) -> None:
    """A value that was never fitted is assumed, and says so."""
    assert "placeholder" not in file.read_text(encoding="utf-8")


def test_coated_differs_from_bare_by_its_coating_only() -> None:
    coated = tomllib.loads(shipped("scenarios/coated.toml").read_text(encoding="utf-8"))
    bare = tomllib.loads(shipped("scenarios/bare.toml").read_text(encoding="utf-8"))
    assert coated.pop("coating")
    for table in (coated, bare):
        del table["name"], table["description"]
    assert coated == bare


def test_numbers_arrive_in_si() -> None:
    scenario = load_scenario("coated")
    assert scenario.coating is not None
    assert float(scenario.coating.thickness) == 15e-9
    assert scenario.cell.temperature.si == 318.15
    assert scenario.cell.electrolyte_conductivity.si == 0.2
    assert scenario.cell.cathode_mass_ratio.fractions[0] == pytest.approx(7 / 10.1, rel=1e-15)  # one rounding
    assert scenario.kinetics.contact.duration.unit == "s"
    assert scenario.numerics.exchange_tolerance.si == 180.0  # 0.05 mAh/g in C/kg


def test_a_scenario_loads_within_a_blink() -> None:
    load_scenario("coated")
    start = time.perf_counter()
    load_scenario("coated")
    assert time.perf_counter() - start < 0.3  # it takes 5 ms; pint alone would take 0.5 s


@pytest.mark.parametrize("name", ["bare", "coated"])
def test_resolved_toml_reads_back_as_the_same_scenario(name: str) -> None:
    scenario = load_scenario(name)
    again = Scenario.from_dict(tomllib.loads(scenario.to_toml()))
    assert again == scenario
    assert again.digest() == scenario.digest()
    assert again.to_toml() == scenario.to_toml()


def test_resolved_toml_keeps_ranges_texts_and_odd_characters() -> None:
    text = changed('"coated NCM622', '"a \\"quoted\\" \\\\ line\\nbreak \\u007f Å 😀 NCM622').replace(
        '\nthickness = "15 nm"',
        '\nthickness = { value = "150 angstrom", low = "10 nm", high = "0.1 um", uncertainty = "2 nm", '
        'kind = "measured", source = "TEM" }',
    )
    scenario = Scenario.from_dict(tomllib.loads(text))
    assert Scenario.from_dict(tomllib.loads(scenario.to_toml())) == scenario
    assert "150 angstrom" in scenario.to_toml()


def test_a_shared_section_is_written_on_its_own(own_folder: Path) -> None:
    bare = load_scenario("bare")
    (own_folder / "kinetics.toml").write_text(to_toml(bare.kinetics), encoding="utf-8")
    (own_folder / "cell_walther2021.toml").write_text(to_toml(bare.cell), encoding="utf-8")
    assert load_scenario(own_folder / "bare.toml") == bare


def test_scenarios_survive_pickling_and_hashing() -> None:
    scenario = load_scenario("coated")
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert hash(scenario) == hash(load_scenario("coated"))


@settings(max_examples=40, deadline=None)
@given(st.floats(min_value=1e-12, max_value=1e-3), st.floats(min_value=0, max_value=1, exclude_max=True))
def test_replaced_numbers_are_exact_and_read_back(thickness: float, porosity: float) -> None:
    bare = load_scenario("bare").replace(with_units({"cell.diameter": thickness, "cell.cathode_porosity": porosity}))
    assert (bare.cell.diameter.si, bare.cell.cathode_porosity.si) == (thickness, porosity)
    assert Scenario.from_dict(tomllib.loads(bare.to_toml())) == bare


def test_replace_takes_values_as_a_file_has_them() -> None:
    coated = load_scenario("coated")
    other = coated.replace({"coating.thickness": "20 nm", "cell.temperature": "300 K", "numerics.column_cells": 60})
    assert other.coating is not None
    assert (other.coating.thickness.si, other.cell.temperature.si, other.numerics.column_cells) == (
        20e-9,
        300,
        60,
    )
    assert other.coating.thickness.kind == "assumed"
    assert coated == load_scenario("coated")


def test_replace_reaches_optional_values_and_removes_them() -> None:
    coated = load_scenario("coated")
    other = coated.replace({"coating.core_conductivity": "1e-5 S/m", "coating.shell_conductivity": None})
    assert other.coating is not None
    assert other.coating.core_conductivity is not None
    assert (other.coating.core_conductivity.si, other.coating.shell_conductivity) == (1e-5, None)
    same = {"name": "bare", "description": load_scenario("bare").description}
    assert coated.replace({"coating": None, **same}) == load_scenario("bare")


def test_a_covered_rate_is_optional_and_survives_its_file() -> None:
    coated = load_scenario("coated")
    assert coated.coating is not None
    assert coated.coating.covered_rate is not None
    without = coated.replace({"coating.covered_rate": None})
    assert without.coating is not None
    assert without.coating.covered_rate is None
    for chosen in (without, coated.replace({"coating.covered_rate": 0.1})):
        assert Scenario.from_dict(tomllib.loads(chosen.to_toml())) == chosen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coating.coverage": 1.0}, "coating.coverage: '1.0' must lie in [0, 1)"),
        ({"coating.coverag": 0.5}, "coating.coverag: unknown key, did you mean 'coverage'?"),
        ({"cell.upper_voltage": "1 V"}, "must lie above lower_voltage"),
        ({"cell.diameter": "3"}, "has no unit"),
        ({"name.first": "x"}, "replace: name.first: name is not a table"),
        (
            {"protocol.steps.rate": 0.2},
            "protocol.steps is a list, whose entries have positions, as in protocol.steps[0]",
        ),
        ({"nonsense.key": 1}, "nonsense: unknown key"),
    ],
)
def test_replace_validates_again(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        load_scenario("coated").replace(changes)
    assert message in str(error.value)


def test_the_digest_follows_numbers_and_not_words() -> None:
    coated = load_scenario("coated")
    words = {"name": "other", "description": "other", "numerics.checkpoint_every": 7}
    retold = {"value": "0.015 um", "kind": "assumed", "source": "elsewhere", "low": "1 nm"}
    assert coated.replace({**words, "coating.thickness": retold}).digest() == coated.digest()
    for change in (
        {"coating.thickness": "16 nm"},
        {"coating.covered_rate": 0.03},
        {"coating.covered_rate": None},
        {"protocol.cycles": 5},
        {"kinetics.losses.isolation": True},
    ):
        assert coated.replace(change).digest() != coated.digest()
    assert coated.digest() != load_scenario("bare").digest()


CHARGE = '{ type = "cc", direction = "charge", rate = "C/5" }'
DISCHARGE = CHARGE.replace("charge", "discharge")
HOLD = '{ type = "cv", voltage = "2.8 V", until_current = "C/20" }'
REST = '{ type = "rest", duration = "1 h" }'
HOLD_FIRST = "a hold at constant voltage needs a constant current before it in the same half-cycle"
BAD_LINES = [
    ("thickness", "15", "'15' has no unit, expected a length such as \"15 nm\""),
    ("thickness", '"15"', "'15' has no unit, expected a length"),
    ("thickness", '"15 kg"', "'15 kg' is not a length, expected a length"),
    ("thickness", '"15 nmm"', "'15 nmm' has the unknown unit 'nmm'"),
    ("thickness", '"-3 nm"', "'-3 nm' must be positive"),
    ("thickness", '"0 nm"', "'0 nm' must be positive"),
    ("thickness", None, "is missing"),
    ("coverage", "1.0", "'1.0' must lie in [0, 1)"),
    ("coverage", "-0.1", "'-0.1' must lie in [0, 1)"),
    ("coverage", "nan", "'nan' must be a finite number"),
    ("coverage", "inf", "'inf' must be a finite number"),
    ("coverage", '"80 %"', "'80 %' must be a bare number such as 0.9"),
    ("coverage", "true", "'true' must be a bare number"),
    ("covered_rate", "1.1", "'1.1' must lie between 0 and 1"),
    ("covered_rate", '"2 %"', "'2 %' must be a bare number"),
    ("rate_slope", None, "is missing"),
    ("gap_radius", None, "is missing: a coating with gaps needs their radius"),
    ("shell_thickness", '"7.5 nm"', "two shells are as thick as the whole coating"),
    ("shell_thickness", None, "is missing: the shell of Li2CO3 needs a thickness"),
    (
        "filler",
        '"carbonat"',
        "'carbonat' is none of electrolyte, carbonate, residue, did you mean 'carbonate'?",
    ),
    ("contact", '"mixt"', "'mixt' is none of closure, mixed, separate, resolved, did you mean 'mixed'?"),
    ("cycles", "0", "'0' must be at least 1"),
    ("cycles", '"200"', "'200' must be a whole number"),
    ("cycles", "20.5", "'20.5' must be a whole number"),
    ("output_cycles", "[50, 1]", "the cycles must rise"),
    ("output_cycles", "50", "'50' must be a list"),
    ("schema_version", "2", "'2' is none of 1"),
    ("schema_version", None, "is missing"),
    ("name", '"../x"', "'../x' must be a name of letters"),
    ("cell", '"shipped:cell_walther202.toml"', "no such file, did you mean 'cell_walther2021.toml'?"),
    ("kinetics", '"nowhere.toml"', "nowhere.toml: no such file"),
    ("kinetics", '"../kinetics.toml"', "'../kinetics.toml' must be the name of a file in the same folder"),
    ("kinetics", '"/etc/passwd"', "'/etc/passwd' must be the name of a file in the same folder"),
    ("kinetics", '"shipped:../x.toml"', "must be the name of a file in the same folder"),
    ("kinetics", "3", "'3' must be a table"),
]
BAD_TEXTS = [
    ("\nthickness", "\nthicknes", "coating.thicknes: unknown key, did you mean 'thickness'?"),
    ("[coating]", "[coatin]", "coatin: unknown key, did you mean 'coating'?"),
    ("coverage = 0.80", "coverage = 0", "coating.gap_radius: given, but coverage 0 has no gaps"),
    (
        "filler =",
        'cell_radius = "1.5 nm"\nfiller =',
        "coating.cell_radius: '1.5 nm' is no larger than gap_radius '1.7 nm'",
    ),
    ("filler =", 'cell_radius = "9 nm"\nfiller =', "with gap_radius '1.7 nm', which imply 3.801 nm; leave one"),
    ("filler =", "filler_coverage = 0.5\nfiller =", "coating.filler_coverage: given, but filler"),
    ("200]", "-5]", "numerics.output_cycles[2]: '-5' must be at least 0"),
    (CHARGE, CHARGE.replace("C/5", "C5"), "protocol.steps[0].rate: 'C5' is not a C-rate"),
    (CHARGE, CHARGE.replace("rate", "rat"), "protocol.steps[0].rat: unknown key, did you mean 'rate'?"),
    (CHARGE, CHARGE.replace(', rate = "C/5"', ""), "protocol.steps[0].current: give either rate or current"),
    (CHARGE, CHARGE.replace(" }", ', current = "1 mA" }'), "give either rate or current, not both"),
    (CHARGE, CHARGE.replace(" }", ', until = "3 V" }'), "protocol: a step ends outside the cell's window"),
    (
        CHARGE,
        CHARGE.replace('"charge"', '"discharge"'),
        "protocol.steps: a cycle is charge steps, then discharge",
    ),
    (CHARGE, CHARGE.replace('"cc"', '"cx"'), "protocol.steps[0]: type 'cx' is none of cc, cv, rest"),
    (CHARGE, CHARGE.replace('type = "cc", ', ""), "protocol.steps[0]: type is missing"),
    (CHARGE, '{ type = "cv", voltage = "2 V", until_current = "C/20" }', "protocol.steps: a cycle is charge"),
    (CHARGE, f"{HOLD}, {CHARGE}", f"protocol.steps: {HOLD_FIRST}"),
    (CHARGE, f"{REST}, {HOLD}, {CHARGE}", f"protocol.steps: {HOLD_FIRST}"),
    (CHARGE, f"{REST}, {REST}, {HOLD}, {HOLD}, {CHARGE}, {HOLD}", f"protocol.steps: {HOLD_FIRST}"),
    (
        "[numerics]",
        f"[[protocol.first]]\ncycles = 1\nsteps = [{REST}, {HOLD}, {CHARGE}, {DISCHARGE}]\n\n[numerics]",
        f"protocol.first[0].steps: {HOLD_FIRST}",
    ),
]


@pytest.mark.parametrize(("key", "value", "message"), BAD_LINES, ids=[bad[0] for bad in BAD_LINES])
def test_a_bad_value_is_refused_with_file_and_key(tmp_path: Path, key: str, value: str | None, message: str) -> None:
    line = "" if value is None else f"{key} = {value}"
    text, lines = re.subn(rf"^{key} = .*$", line, template("x"), flags=re.MULTILINE)
    assert lines == 1
    (told,) = refusal(text, tmp_path).splitlines()
    assert re.match(rf"{tmp_path}/x.toml: (\w+\.)?{key}: ", told)
    assert message in told


@pytest.mark.parametrize(("old", "new", "message"), BAD_TEXTS, ids=[bad[2] for bad in BAD_TEXTS])
def test_bad_keys_and_contradictions_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = refusal(changed(old, new), tmp_path)
    assert message in text
    assert all(line.startswith(f"{tmp_path / 'x.toml'}: ") for line in text.splitlines())


def test_what_belongs_to_a_shell_needs_a_shell(tmp_path: Path) -> None:
    told = refusal(changed('\nshell = "Li2CO3"', ""), tmp_path).splitlines()
    keys = ["shell_thickness", "shell_conductivity", "shell_activation_energy"]
    assert [line.split(": ")[1] for line in told] == [f"coating.{key}" for key in keys]
    assert all("given, but the coating has no shell" in line for line in told)


def test_all_errors_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = template("x")
    for old, new in (
        ('s = "15 nm"', 's = "15"'),
        ("0.80", "2"),
        ('"closure"', '"mixt"'),
        ("200\n", "0\n"),
        ("kinetics.t", "k.t"),
    ):
        text = text.replace(old, new)
    told = refusal(text, tmp_path).splitlines()
    keys = ["kinetics", "coating.coverage", "coating.thickness", "coating.contact", "protocol.cycles"]
    assert [line.split(": ")[1] for line in told] == keys


def test_a_table_of_a_value_is_checked_too(tmp_path: Path) -> None:
    table = '{ value = "15 nm", knd = "x", kind = "mesured", low = "3", high = "2 kg", uncertainty = "-1 nm" }'
    told = refusal(changed('\nthickness = "15 nm"', f"\nthickness = {table}"), tmp_path)
    for message in ("'knd', did you mean 'kind'?", "did you mean 'measured'?", "low: '3' has no unit",
                    "high: '2 kg' is not a length", "uncertainty: '-1 nm' must not be negative"):  # fmt: skip
        assert message in told
    upside_down = '{ value = "15 nm", low = "20 nm", high = "10 nm" }'
    assert "low lies above high" in refusal(changed('\nthickness = "15 nm"', f"\nthickness = {upside_down}"), tmp_path)
    assert "value is missing" in refusal(changed('\nthickness = "15 nm"', '\nthickness = { low = "1 nm" }'), tmp_path)


BAD_SHARED = [
    (
        "cell_walther2021",
        '"2.85 V"',
        '"1.2 V"',
        "upper_voltage: '1.2 V' must lie above lower_voltage '1.35 V'",
    ),
    ("cell_walther2021", "[7, 3, 0.1]", "[0.7, 0.2, 0.01]", "the fractions sum to 0.91 and must sum to one"),
    (
        "cell_walther2021",
        "[7, 3, 0.1]",
        "[7, 3]",
        "cathode_mass_ratio: expected 3 masses, NCM622:Li6PS5Cl:C65",
    ),
    ("cell_walther2021", "[7, 3, 0.1]", "[7, 3, -1]", "cathode_mass_ratio: -1.0 must be positive"),
    ("cell_walther2021", '"6.0 um"', '"1 um"', "ncm_d90: '1 um' must lie above ncm_d50"),
    ("cell_walther2021", "value = 4.3", "value = 0.5", "tortuosity_factor: '0.5' must be at least 1"),
    (
        "cell_walther2021",
        '"SPMe"',
        '"SPMee"',
        "model: 'SPMee' is none of SPM, SPMe, DFN, did you mean 'SPMe'?",
    ),
    ("kinetics", "exchange =", "exchang =", "oxygen.exchang: unknown key, did you mean 'exchange'?"),
    ("kinetics", "film = true", "film = 1", "losses.film: '1' must be true or false"),
    (
        "kinetics",
        "duration = {",
        'duration = "2000 h"  # {',
        "contact.duration: 2000 h is longer than 1000 h of contact",
    ),
    ("kinetics", "[oxygen]", "[oxygen", "not valid TOML"),
]


@pytest.mark.parametrize(("name", "old", "new", "message"), BAD_SHARED, ids=[bad[3] for bad in BAD_SHARED])
def test_errors_of_shared_files_carry_their_name(own_folder: Path, name: str, old: str, new: str, message: str) -> None:
    shared = own_folder / f"{name}.toml"
    text = shared.read_text(encoding="utf-8")
    assert old in text
    shared.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_scenario(own_folder / "bare.toml")
    assert f"{shared}: " in str(error.value)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_stands_for_a_value_is_read_or_refused_in_sentences(data: st.DataObject) -> None:
    table = load_scenario("coated").to_dict()
    place = table
    while isinstance(place[key := data.draw(st.sampled_from(sorted(place)))], dict) and data.draw(st.booleans()):
        place = place[key]
    place[key] = data.draw(JUNK)
    with contextlib.suppress(InputError):
        scenario = Scenario.from_dict(table)
        assert Scenario.from_dict(tomllib.loads(scenario.to_toml())) == scenario


def test_a_strange_key_is_shown_escaped(tmp_path: Path) -> None:
    assert "\\x1b[31m" in refusal('"\\u001b[31m" = 1', tmp_path)


def test_a_link_that_leaves_the_folder_is_refused(own_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "kinetics.toml"
    (own_folder / "kinetics.toml").rename(outside)
    (own_folder / "kinetics.toml").symlink_to(outside)
    with pytest.raises(InputError, match="leads out of its folder"):
        load_scenario(own_folder / "bare.toml")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kinetics", '"shipped:' + 300 * "x" + '"', "cannot be read: File name too long"),
        ("kinetics", '"' + 300 * "x" + '"', "cannot be read: File name too long"),
        ("kinetics", '"circle.toml"', "kinetics: 'circle.toml' cannot be read: "),
        ("coating.thickness", f'"1e-{20 * "9"} nm"', "coating.thickness: '1e-99999999999999999999 nm' is too small"),
    ],
)
def test_inputs_that_once_ended_in_a_traceback(tmp_path: Path, key: str, value: str, message: str) -> None:
    """Found by mutating valid files."""
    (tmp_path / "circle.toml").symlink_to(tmp_path / "circle.toml")
    old = {"kinetics": 'kinetics = "shipped:kinetics.toml"', "coating.thickness": 'thickness = "15 nm"'}[key]
    assert message in refusal(changed(old, f"{key.split('.')[-1]} = {value}"), tmp_path)


def test_a_named_file_needs_a_folder() -> None:
    table = tomllib.loads(shipped("scenarios/bare.toml").read_text(encoding="utf-8"))
    with pytest.raises(InputError, match=r"only 'shipped:NAME\.toml' can be found here"):
        Scenario.from_dict(table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF\xff\xfe\x00", "is not a text file"),
        (b"a = 1\nb = \n", "not valid TOML: Invalid value (at line 2"),
        (b"a = 1\x00", "not valid TOML"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b"#" * 1_000_001, "too large for a scenario"),
        (b"", "schema_version: is missing"),
    ],
    ids=["binary", "broken", "nul", "long number", "deep", "huge", "empty"],
)
def test_junk_is_refused_in_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_scenario(file)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{file}: ")


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "coated.toml").write_text(template("coated"), encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.toml")
    for name, message in (
        ("", "is a folder, expected a TOML file"),
        ("coatd.toml", "no such file, did you mean 'coated.toml'?"),
        ("pipe.toml", "is not a regular file"),
        ("none/x.toml", "no such file"),
    ):
        with pytest.raises(InputError) as error:
            load_scenario(str(tmp_path / name))
        assert message in str(error.value)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as error:
        load_scenario("coatd")
    assert str(error.value).startswith("no scenario is named 'coatd' (shipped: bare, bench, coated")
    assert str(error.value).endswith("did you mean 'coated'?")


def test_the_template_loads_as_written_and_is_commented(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(template("mine"), encoding="utf-8")
    scenario = load_scenario(file)
    assert scenario.name == "mine"
    assert scenario.coating is not None
    assert template("mine").count("#") > 10
    assert max(map(len, template("mine").splitlines())) <= 110


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", ".hidden", "x" * 100, "ä", 'x"'])
def test_a_template_needs_a_plain_name(name: str) -> None:
    with pytest.raises(InputError, match="must be a name"):
        template(name)


def test_default_steps_are_a_charge_and_a_discharge_at_a_fifth_of_c() -> None:
    steps = load_scenario("bare").replace({"protocol": {"cycles": 3}}).protocol.steps
    assert steps == tuple(half[0] for half in halves(steps))
    assert [step.rate.si for step in steps if hasattr(step, "rate") and step.rate] == [0.2, 0.2]


def test_a_protocol_can_hold_rest_and_begin_differently(tmp_path: Path) -> None:
    steps = """steps = [
    { type = "cc", direction = "charge", rate = "C/10", until = "2.8 V" },
    { type = "cv", voltage = "2.8 V", until_current = "%s" },
    { type = "rest", duration = "1 h" },
    { type = "cc", direction = "discharge", current = "0.1 mA" },
    { type = "rest", duration = "10 min" },
]"""
    text = changed("[numerics]", f"[[protocol.first]]\ncycles = 2\n{steps % '20 uA'}\n\n[numerics]")
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    scenario = load_scenario(tmp_path / "x.toml")
    protocol = scenario.protocol
    assert [len(protocol.steps_of(cycle)) for cycle in (1, 2, 3, 200)] == [5, 5, 2, 2]
    charge, discharge = halves(protocol.steps_of(1))
    assert [step.type for step in charge] == ["cc", "cv", "rest"]
    assert [step.type for step in discharge] == ["cc", "rest"]
    assert isinstance(charge[1], ConstantVoltage)
    assert (charge[1].until_current.si, charge[1].until_current.unit) == (20e-6, "A")
    assert isinstance(discharge[1], Rest)
    assert discharge[1].duration.si == 600
    assert Scenario.from_dict(tomllib.loads(scenario.to_toml())) == scenario
    by_rate = Scenario.from_dict(tomllib.loads(text.replace("20 uA", "C/20")))
    held = by_rate.protocol.first[0].steps[1]
    assert isinstance(held, ConstantVoltage)
    assert (held.until_current.si, held.until_current.unit) == (0.05, "C")


@pytest.mark.parametrize("steps", [(REST, CHARGE, HOLD, DISCHARGE), (CHARGE, REST, HOLD, DISCHARGE, REST, HOLD)])
def test_a_hold_may_follow_a_current_and_a_rest(tmp_path: Path, steps: tuple[str, ...]) -> None:
    written = changed("[numerics]", f"[[protocol.first]]\ncycles = 1\nsteps = [{', '.join(steps)}]\n\n[numerics]")
    (tmp_path / "x.toml").write_text(written, encoding="utf-8")
    assert len(load_scenario(tmp_path / "x.toml").protocol.first[0].steps) == len(steps)


def test_fields_know_how_their_si_value_is_written() -> None:
    for key in ("cell.diameter", "coating.shell_conductivity", "kinetics.oxygen.exchange", "protocol.steps[3].rate"):
        assert quantity_of(key) is not None
    for key in ("cell.model", "cell.cathode_mass_ratio", "protocol.steps", "protocol.steps[0].type", "coating.core"):
        assert quantity_of(key) is None


def test_a_key_of_a_value_tells_how_it_is_read() -> None:
    thickness = quantity_of("coating.thickness")
    assert thickness is not None
    assert thickness.dimension == "length"
    assert quantity_of("cell.model") is None


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("coating.covrage", "'coating.covrage' is no key of a scenario, did you mean 'coating.coverage'?"),
        ("coatng.coverage", "'coatng.coverage' is no key of a scenario, did you mean 'coating'?"),
        ("kinetics.oxygen", "'kinetics.oxygen' is a table, expected the key of a value in it"),
        ("cell.temperature.value", "'cell.temperature.value' is no key: temperature holds a value"),
    ],
)
def test_a_key_of_no_value_is_refused(key: str, told: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        quantity_of(key)
