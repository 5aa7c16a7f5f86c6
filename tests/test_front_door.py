"""The public functions take names, paths and text, and refuse anything else with one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic

import interphase_sim as isim
from interphase_sim import results
from interphase_sim.errors import InputError
from interphase_sim.scenario import Scenario

FAST = {"protocol.cycles": 1, "cell.model": "SPM", "numerics.column_cells": 40, "numerics.particle_cells": 10}


def test_a_scenario_was_not_found_by_its_name_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`simulate("coated")` was an AttributeError, `directory="out"` a TypeError after the last cycle."""
    chosen = isim.load_scenario("bare").replace(FAST)
    path = tmp_path / "mine.toml"
    path.write_text(chosen.to_toml())
    monkeypatch.chdir(tmp_path)
    expected = isim.simulate(chosen)
    for scenario, directory in (("mine.toml", "out"), (path, tmp_path / "other"), (chosen, "third")):
        found = isim.simulate(scenario, directory=directory)
        np.testing.assert_array_equal(found.discharge_capacity, expected.discharge_capacity)
        assert [file.name for file in Path(directory).iterdir()] == ["checkpoint.npz"]
    with pytest.raises(InputError, match="did you mean 'coated'"):
        isim.simulate("caoted")


def test_results_are_read_and_drawn_from_text_and_paths(tmp_path: Path) -> None:
    ds = synthetic.result("coated", resolved=True)
    path = tmp_path / "result.nc"
    results.write(ds, str(path))
    assert isim.load_result(str(tmp_path)).identical(isim.load_result(path))
    for given in (ds, path, str(tmp_path), [ds], [str(path)], (path, ds)):
        lines = isim.plot.fade(given).get_lines()
        assert lines[0].get_label() == "coated, simulated"
    isim.plot.unit_cell(str(tmp_path))
    assert len(isim.plot.save_all(str(path), str(tmp_path / "figures"))) == 5


def something(value: Any) -> Any:
    """The value, or another wrong one where it would be right."""
    return {None: 0, "{}": {3: 4}}.get(value if value is None else repr(value), value)


ANYTHING: tuple[Any, ...] = (None, 3, {}, 2.5, object())


@pytest.mark.parametrize("value", ANYTHING, ids=["None", "int", "dict", "float", "object"])
@pytest.mark.parametrize(
    "call",
    [
        isim.simulate,
        isim.load_scenario,
        isim.load_result,
        lambda value: isim.save_result(value, "result.nc"),
        lambda value: isim.save_result(synthetic.result(), value),
        isim.sweep,
        isim.plot.fade,
        isim.plot.losses,
        isim.plot.unit_cell,
        lambda value: isim.plot.fade([value]),
        lambda value: isim.plot.save_all([synthetic.result()], value),
        lambda value: isim.simulate("bare", directory=something(value)),
        lambda value: isim.sweep("coverage_x_coating", something(value)),
        lambda value: isim.sweep("coverage_x_coating", shard=something(value)),
        lambda value: isim.load_scenario("bare").replace(something(value)),
        lambda value: Scenario.from_dict(value or 7),  # type: ignore[arg-type]
    ],
    ids=[
        "simulate",
        "load_scenario",
        "load_result",
        "save_result of",
        "save_result to",
        "sweep",
        "fade",
        "losses",
        "unit_cell",
        "fade of a list",
        "save_all into",
        "directory",
        "store",
        "shard",
        "replace",
        "from_dict",
    ],
)
def test_anything_else_ended_in_a_traceback(call: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(InputError) as error:
        call(value)
    assert "\n" not in str(error.value)


def test_a_dataset_that_is_no_result_is_refused() -> None:
    ds = synthetic.result()
    del ds.attrs["name"]
    with pytest.raises(InputError, match="not the result of a run"):
        isim.plot.fade(ds)
