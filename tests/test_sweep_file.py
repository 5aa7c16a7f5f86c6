"""Sweep files: strict as a scenario, and the runs that they stand for."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeping import FAST, GRID, written

from interphase_sim.errors import InputError
from interphase_sim.scenario import load_scenario
from interphase_sim.sweeps import coatings, sampling
from interphase_sim.sweeps.plan import Plan, load, sweep_names
from interphase_sim.sweeps.schema import VARIED, Design, Input

SOBOL = """
[design]
method = "sobol"
seed = 3
runs = 8
indices = true

[[design.inputs]]
key = "coating.coverage"
distribution = "uniform"
low = 0.6
high = 0.9

[[design.inputs]]
key = "coating.thickness"
distribution = "loguniform"
low = "5 nm"
high = "50 nm"
"""


def planned(folder: Path, *parts: str, **named: str) -> Plan:
    return load(written(folder, *parts, **named))


def axis(folder: Path, key: str, rest: str, **named: str) -> Plan:
    return planned(folder, f'[[axes]]\nkey = "{key}"\n{rest}\n', **named)


def coated(folder: Path, rest: str, **named: str) -> Plan:
    return axis(folder, "coating", rest, **named)


@pytest.mark.parametrize(
    ("varied", "told"),
    [
        (GRID.replace("coverage", "covrage"), "axes[0].key: 'coating.covrage' is no key of a scenario, did you mean"),
        (GRID.replace("values", "valus", 1), "axes[0].valus: unknown key, did you mean 'values'?"),
        ('[[axes]]\nkey = "cell.temperature"\nstart = "20 degC"\nstop = "60"\ncount = 3', "axes[0].stop: '60' has no"),
        (
            '[[axes]]\nkey = "cell.temperature"\nstart = "20 degC"\nstop = "300 K"\ncount = 3',
            "axes[0].stop: has units 'degC' and 'K'; write both bounds in one unit",
        ),
        ('[[axes]]\nkey = "coating.thickness"\nstart = "2 nm"\nstop = "20 nm"', "axes[0].count: is missing"),
        ('[[axes]]\nkey = "protocol.cycles"\nvalues = [1, 2]', "axes[0].key: 'protocol.cycles' is set by the"),
        ('[[axes]]\nkey = "cell.model"\nvalues = ["SPM", "SPMe"]', "axes: 'cell.model' is varied, but [set] holds it"),
        ('[[axes]]\nkey = "coating.coverage"\nvalues = [0.5, 0.50]', "coating.coverage: a value is named twice"),
        ('[[axes]]\nkey = "coating.coverage"\nvalues = [2.0, "much"]', "coating.coverage: '2.0' must lie in [0, 1)"),
        ('[[axes]]\nkey = "coating"\nvalues = ["LiNbO3"]', "named 'LiNbO3', did you mean 'LiNbO3 (amorphous)'?"),
        (
            '[[axes]]\nkey = "coating"\nvalues = ["Li2CO3"]',
            "coatings.Li2CO3.covered_rate is missing: neither the table nor the sweep file has a value or a range",
        ),
        ("", "design: a sweep has either axes or a sampled design"),
        (GRID + SOBOL, "design: a sweep has either axes or a sampled design, not both"),
        (SOBOL.replace("runs = 8", "runs = 9"), "design.runs: 9 must be a power of two"),
        (SOBOL.replace("high = 0.9", ""), "a uniform distribution needs low, high; high is missing"),
        (SOBOL.replace("5 nm", "5 V"), "design.inputs[1].low: '5 V' is not a length"),
        (SOBOL.replace("low = 0.6", "low = 0.96"), "low, mode and high must rise"),
        ('[coatings."Li2CO3"]\nconductivity = 1\n' + GRID, "coatings.Li2CO3.conductivity: unknown key"),
    ],
)  # fmt: skip
def test_bad_input_is_a_sentence_with_file_and_key(varied: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        planned(tmp_path, varied)
    assert str(refused.value).startswith(str(tmp_path / "small.toml"))
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("head", "settings", "told"),
    [
        ('cycles = 2\noutputs = ["capacity"]', FAST, "outputs: 'capacity' is no output by cycle"),
        ("cycles = 2\nkept_cycles = [1, 3]", FAST, "kept_cycles: 3 lies behind the last cycle, 2"),
        ("cycles = 2\nend_of_life = {}", FAST, "end_of_life.capacity: give either fraction or capacity"),
        ("cycles = 2", FAST + "cell.modl = 1", "set: 'cell.modl' is no key of a scenario, did you mean 'cell.model'?"),
        ("cycles = 2", FAST + 'coating.filler = "air"', "set: coating.filler: 'air' is none of electrolyte, carbonate"),
        ("cycles = 0", FAST, "cycles: '0' must be at least 1"),
    ],
)
def test_what_holds_for_all_runs_is_checked_too(head: str, settings: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        planned(tmp_path, settings=settings, head=head)


def test_runs_are_in_the_order_of_the_data_set_and_change_what_the_axes_say(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert (plan.dims, plan.shape) == (("coverage", "thickness"), (3, 2))
    assert plan.changes(3) == {"coating.coverage": 0.7, "coating.thickness": "15 nm"}
    assert plan.base.protocol.cycles == 2
    assert plan.base.cell.model == "SPM"


def test_a_logarithmic_range_is_even_on_its_scale_and_in_its_unit(tmp_path: Path) -> None:
    plan = axis(tmp_path, "coating.thickness", 'scale = "log"\nstart = "5 nm"\nstop = "80 nm"\ncount = 5')
    found = plan.blocks[0].coordinates["thickness"]
    np.testing.assert_allclose(found.values, [5, 10, 20, 40, 80], rtol=1e-11)  # twelve digits are kept
    assert found.attrs == {"units": "nm", "long_name": "coating.thickness"}
    assert plan.changes(2) == {"coating.thickness": "20.0 nm"}


def test_values_in_several_units_are_labelled_in_si(tmp_path: Path) -> None:
    found = axis(tmp_path, "coating.thickness", 'values = ["5 nm", "0.02 um"]').blocks[0].coordinates["thickness"]
    np.testing.assert_allclose(found.values, [5e-9, 2e-8], rtol=1e-15)
    assert found.attrs["units"] == "m"


def test_axes_of_one_last_word_are_named_in_full(tmp_path: Path) -> None:
    one = '[[axes]]\nkey = "{}"\nvalues = ["0.4 eV", "0.6 eV"]\n'
    keys = ("kinetics.oxygen.activation_energy", "coating.core_activation_energy", "cell.electrolyte_activation_energy")
    assert planned(tmp_path, "".join(map(one.format, keys))).dims == tuple(key.rsplit(".", 1)[1] for key in keys)
    twins = ("kinetics.oxygen.reference_temperature", "cell.reference_temperature")
    assert (
        planned(tmp_path, "".join(map(one.replace("0.4 eV", "300 K").replace("0.6 eV", "310 K").format, twins))).dims
        == twins
    )


def test_coverage_zero_is_the_bare_cell_for_every_coating_and_run_once(tmp_path: Path) -> None:
    rest = 'values = ["LiNbO3 (amorphous)", "LiPO3 (glass)"]\n[[axes]]\nkey = "coating.coverage"\nvalues = [0, 0.5]'
    plan = coated(tmp_path, rest)
    bare = load_scenario("bare").replace({"protocol.cycles": 2})
    made = plan.base.replace(plan.changes(0))
    assert made.coating is None
    assert made.kinetics == bare.kinetics
    assert plan.firsts().tolist() == [0, 1, 0, 3]


def test_a_coating_of_the_axis_is_its_material_without_a_shell(tmp_path: Path) -> None:
    made = coated(tmp_path, 'values = ["LiPO3 (glass)"]')
    coating = made.base.replace(made.changes(0)).coating
    assert coating is not None
    assert (coating.core, coating.shell, coating.covered_rate) == ("LiPO3 (glass)", None, None)


def test_what_is_not_known_of_a_coating_runs_over_the_corners_of_its_range(tmp_path: Path) -> None:
    plan = coated(tmp_path, 'values = ["LiNbO3 (amorphous)", "Li2ZrO3"]')
    assert (plan.dims, plan.shape) == (("coating", "case"), (2, 4))
    corners = [plan.changes(run) for run in range(4, 8)]
    assert {c["coating.core_conductivity"] for c in corners} == {
        "1e-07 S/m",
        "6e-07 S/m",
    }  # of the table's 1e-9 and 6e-9 S/cm
    assert len({tuple(map(str, c.values())) for c in corners}) == 4
    assert plan.firsts().tolist() == [0, 0, 0, 0, 4, 5, 6, 7]  # what is known runs once


def test_stated_ranges_are_run_over_beside_the_value(tmp_path: Path) -> None:
    plan = coated(tmp_path, 'values = ["LiNbO3 (amorphous)"]\nspread = "stated"')
    found = [plan.changes(run) for run in range(plan.runs)]
    assert len(found) == 1 + 2**3  # the values; corners of conductivity, activation energy and rate slope
    assert found[0]["coating.core_conductivity"] is None  # left to the table
    assert {c["coating.rate_slope"] for c in found[1:]} == {2.0, 8.0}


def test_a_coating_of_ones_own_needs_all_that_decides(tmp_path: Path) -> None:
    own = """values = ["LiBarO"]
[coatings.LiBarO]
core_conductivity = "1e-8 S/cm"
core_activation_energy = { low = "0.4 eV", high = "0.6 eV" }
covered_rate = { low = 0.01, high = 1 }
"""
    assert coated(tmp_path, own).shape == (1, 4)
    with pytest.raises(InputError, match=r"coatings\.LiBarO\.covered_rate is missing"):
        coated(tmp_path, own.replace("covered_rate = { low = 0.01, high = 1 }", ""))


def test_every_coating_of_the_table_tells_what_it_lacks() -> None:
    base = load_scenario("coated")
    lacking = set()
    for name in coatings.names():
        try:
            coatings.cases(name, {}, base, "missing")
        except InputError:
            lacking.add(name)
    assert lacking == {"LiBa(B3O5)3", "Li2CO3", "Li3BO3-Li2CO3", "LiAlO2 (from Al2O3)", "Li2ZrCl6"}


def test_digest_knows_content_and_not_names(tmp_path: Path) -> None:
    plain = planned(tmp_path).digest
    assert planned(tmp_path, head='cycles = 2\ndescription = "other"').digest == plain
    assert planned(tmp_path, GRID.replace("0.9", "0.89")).digest != plain
    assert planned(tmp_path, settings=FAST.replace("40", "50")).digest != plain


def test_saltellis_design_exchanges_one_input_at_a_time(tmp_path: Path) -> None:
    plan = planned(tmp_path, SOBOL)
    assert plan.shape == (8 * 4,)
    values = np.stack([plan.blocks[0].coordinates[n].values for n in ("coverage", "thickness")], 1).reshape(8, 4, 2)
    a, b = values[:, 0], values[:, 1]
    np.testing.assert_array_equal(values[:, 2], np.stack([b[:, 0], a[:, 1]], 1))
    np.testing.assert_array_equal(values[:, 3], np.stack([a[:, 0], b[:, 1]], 1))
    assert plan.blocks[0].coordinates["matrix"].values[:4].tolist() == ["A", "B", "coverage", "thickness"]
    assert values[..., 0].min() >= 0.6
    assert values[..., 1].max() <= 50


@pytest.mark.parametrize("method", ["sobol", "latin_hypercube"])
def test_a_design_is_the_same_for_the_same_seed(method: Any) -> None:
    inputs = (Input(key="coating.coverage", distribution="uniform", low=0.5, high=0.9),)
    draws = [sampling.draw(Design(method=method, seed=s, runs=16, inputs=inputs)).values for s in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    # one value in each sixteenth of the range: what both designs promise in one dimension
    assert sorted(((draws[0][:, 0] - 0.5) / 0.4 * 16).astype(int)) == list(range(16))


@pytest.mark.parametrize(
    ("given", "quantile", "value"),
    [
        ({"distribution": "uniform", "low": "2 nm", "high": "4 nm"}, 0.25, 2.5),
        ({"distribution": "loguniform", "low": "1 nm", "high": "100 nm"}, 0.5, 10.0),
        ({"distribution": "normal", "mean": "9 nm", "deviation": "2 nm"}, 0.8413447460685429, 11.0),
        ({"distribution": "normal", "mean": "9 nm", "deviation": "2 nm", "low": "9 nm"}, 0.0, 9.0),
        ({"distribution": "triangular", "low": "0 nm", "mode": "1 nm", "high": "2 nm"}, 0.5, 1.0),
    ],
)
def test_distributions_are_what_they_are_called(given: dict[str, Any], quantile: float, value: float) -> None:
    law, unit = sampling.law(Input(key="coating.thickness", **given))
    assert unit == "nm"
    assert law.ppf(quantile) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", sweep_names())
def test_every_shipped_sweep_loads_and_runs_nothing_twice(name: str) -> None:
    plan = load(name)
    assert plan.file.name == name
    first = plan.firsts()
    made = {plan.base.replace(plan.changes(int(run))).digest() for run in np.unique(first)[:60]}
    assert len(made) == min(60, np.unique(first).size)


RATE = '{{ type = "cc", direction = "{}", rate = "{}" }}'
SLOW = f"[{RATE.format('charge', 'C/20')}, {RATE.format('discharge', 'C/20')}]"
FIRST = f"[{{ cycles = 1, steps = {SLOW} }}]"


def test_first_cycles_in_set_were_refused(tmp_path: Path) -> None:
    """A list of tables was taken for a table."""
    plan = planned(tmp_path, settings=f"{FAST}protocol.first = {FIRST}\nprotocol.steps = {SLOW}\n")
    protocol = plan.base.protocol
    assert [block.cycles for block in protocol.first] == [1]
    assert protocol.first[0].steps == protocol.steps
    tables = f"[[set.protocol.first]]\ncycles = 1\nsteps = {SLOW}\n"
    assert planned(tmp_path, settings=f"{FAST}{tables}").base.protocol.first == protocol.first


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (f"protocol.first = {FIRST.replace('C/20', 'C20', 1)}", "set: protocol.first[0].steps[0].rate: 'C20' is not a"),
        (f"protocol.first = {FIRST.replace('cycles', 'cycle')}", "set: protocol.first[0].cycle: unknown key, did you"),
        (
            "protocol.first.cycles = 3",
            "set: 'protocol.first.cycles' is no key: protocol.first is a list, whose entries have pos",
        ),
        ("protocol.reference_cycle = 3", "set: protocol.reference_cycle: 3 is after the last cycle, 2"),
    ],
)
def test_first_cycles_in_set_are_checked_as_in_a_scenario(settings: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(told)) as refused:
        planned(tmp_path, settings=f"{FAST}{settings}\n")
    assert str(refused.value).startswith(str(tmp_path / "small.toml"))
    assert "\n" not in str(refused.value)


def test_protocols_are_varied_by_an_axis(tmp_path: Path) -> None:
    plan = axis(tmp_path, "protocol.first", f"values = [[], {FIRST}]")
    assert [len(plan.base.replace(plan.changes(run)).protocol.first) for run in range(2)] == [0, 1]
    assert plan.blocks[0].coordinates["first"].values[0] == "[]"
    assert axis(tmp_path, "protocol.steps", f"values = [{SLOW}]").base.replace({}).protocol.first == ()
    stated = axis(tmp_path, "protocol.reference_cycle", "values = [1, 2]")
    assert stated.base.replace(stated.changes(1)).protocol.reference_cycle == 2


def test_a_step_is_varied_by_its_position(tmp_path: Path) -> None:
    settings = f'{FAST}protocol.first = {FIRST}\n"protocol.first[0].cycles" = 2\n'
    rates = '[[axes]]\nkey = "protocol.steps[{}].rate"\nname = "{}"\nvalues = ["C/5", "0.1 C"]\n'
    plan = planned(tmp_path, rates.format(0, "charge") + rates.format(1, "discharge"), settings=settings)
    assert (plan.dims, plan.base.protocol.first[0].cycles) == (("charge", "discharge"), 2)
    coordinate = plan.blocks[0].coordinates["charge"]
    assert (coordinate.values.tolist(), coordinate.attrs["units"]) == ([0.2, 0.1], "C")
    made = [plan.base.replace(plan.changes(run)).protocol.steps for run in range(plan.runs)]
    assert [tuple(step.rate.si for step in steps) for steps in made] == [  # type: ignore[union-attr]
        (0.2, 0.2), (0.2, 0.1), (0.1, 0.2), (0.1, 0.1)
    ]  # fmt: skip
    unnamed = planned(tmp_path, "".join(re.sub("name = .*", "", rates.format(k, "")) for k in (0, 1)))
    assert unnamed.dims == ("protocol.steps[0].rate", "protocol.steps[1].rate")
    ranged = axis(tmp_path, "protocol.steps[0].rate", 'start = "C/10"\nstop = "1 C"\ncount = 4')
    assert [ranged.changes(run)["protocol.steps[0].rate"] for run in range(4)] == ["0.1 C", "0.4 C", "0.7 C", "1.0 C"]


@pytest.mark.parametrize(
    ("key", "values", "settings", "told"),
    [
        (
            "protocol.steps[2].rate",
            '["C/5"]',
            "",
            "run 0: protocol.steps[2].rate: there is no [2], protocol.s",
        ),
        ("protocol.steps[0].rate", "[0.2]", "", "run 0: protocol.steps[0].rate: '0.2' is not a C-rate"),
        (
            "protocol.steps[0].rat",
            '["C/5"]',
            "",
            "axes[0].key: 'protocol.steps[0].rat' is no key of a s",
        ),
        ("protocol.steps", f"[{SLOW}]", '"protocol.steps[0].rate" = "C/5"', "[set] holds protocol.steps[0].rate fixed"),
        (
            "coating.coverage",
            "[0.5]",
            '"protocol.steps[3].rate" = "C/5"',
            "set: protocol.steps[3].rate: there is no",
        ),
        ("coating.coverage", "[0.5]", "coating.thickness = 15", "set: coating.thickness: '15' has no unit"),
    ],
)
def test_a_step_that_cannot_be_varied_is_one_sentence(
    key: str, values: str, settings: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(told)) as refused:
        planned(tmp_path, f'[[axes]]\nkey = "{key}"\nvalues = {values}', settings=f"{FAST}{settings}\n")
    assert "\n" not in str(refused.value)


def test_a_value_within_another_that_is_varied_is_refused(tmp_path: Path) -> None:
    axis = '[[axes]]\nkey = "{}"\nvalues = [{}]\n'
    axes = axis.format("protocol.steps[0].rate", '"C/5"') + axis.format("protocol.steps", SLOW)
    with pytest.raises(InputError, match=r"'protocol\.steps\[0\]\.rate' lies in protocol\.steps, which is varied too"):
        planned(tmp_path, axes)


def test_values_of_a_sweep_tell_what_replaced_them(tmp_path: Path) -> None:
    plan = planned(tmp_path, settings=f'{FAST}coating.shell_thickness = "2 nm"')
    coating = plan.base.replace(plan.changes(0), by=VARIED).coating
    assert coating is not None
    assert coating.shell_thickness is not None
    assert coating.shell_thickness.source.startswith("replaced by [set] of a sweep (was 1 nm, assumed, thin")
    assert coating.coverage.source.startswith("replaced by a sweep (was 0.7867, fitted, ")


def test_values_may_hold_for_several_keys(tmp_path: Path) -> None:
    rest = 'also = ["coating.core_activation_energy"]\nvalues = ["0.4 eV", "0.6 eV"]'
    plan = axis(tmp_path, "kinetics.oxygen.activation_energy", rest)
    both = ("kinetics.oxygen.activation_energy", "coating.core_activation_energy")
    assert plan.changes(1) == dict.fromkeys(both, "0.6 eV")


def test_the_sweep_of_the_readme_loads(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "thin.toml").write_text(block)
    assert load(tmp_path / "thin.toml").shape == (4, 4)
