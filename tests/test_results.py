"""The variable table, the file and the CSV table of a result; every refusal is one sentence."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import synthetic
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from interphase_sim import plot, results
from interphase_sim.errors import InputError, ResultWarning
from interphase_sim.measured import SOURCE, capacities

COORDS = {"cycle": np.arange(3), "output_cycle": np.array([1, 2])}
ATTRS: dict[str, Any] = {
    "name": "mine",
    "scenario": "",
    "scenario_digest": "",
    "status": "running",
    "versions": {"b": 1, "a": "2"},
    "statistics": {},
    "warnings": ["careful"],
}


def arrays() -> dict[str, NDArray[np.float64]]:
    return results.empty(cycles=3, output_cycles=2, points=4, depth_cells=5)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        results.load_result(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "run" / results.FILE_NAME
    results.write(synthetic.result(cycles=5, output_cycles=(1, 5)), path)
    return path


def change_attribute(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value
    results.seal(path)


def test_every_variable_says_its_unit_and_meaning() -> None:
    known = {"cycle", "interface", "species", "output_cycle", "curve", "point", "depth_cell", "channel"}
    for name, row in results.VARIABLES.items():
        assert row.units, name
        assert row.long_name, name
        assert set(row.dims) <= known, name
    ds = synthetic.result()
    assert [name for name in results.VARIABLES if name in ds.data_vars] == list(ds.data_vars)
    assert set(results.VARIABLES) - set(ds.data_vars) == {"depth"} <= set(ds.coords)
    assert all(ds[name].attrs == row.attrs for name, row in results.VARIABLES.items())


def test_build_turns_nested_attributes_into_json_and_sets_the_version() -> None:
    ds = results.build(arrays(), COORDS, ATTRS | {"wall_s": np.float64(1.5)})
    assert ds.attrs["schema_version"] == results.SCHEMA_VERSION
    assert ds.attrs["versions"] == '{"a": "2", "b": 1}'
    assert json.loads(ds.attrs["warnings"]) == ["careful"]
    assert type(ds.attrs["wall_s"]) is float


def test_build_names_every_mismatch_at_once() -> None:
    values: dict[str, Any] = arrays()
    del values["regime"]
    values["colour"] = values["depth"]
    values["layer_thickness"] = np.zeros(3, np.float32)
    values["amount"] = np.zeros((6, 3))
    values["curve_voltage"] = np.zeros((2, 2, 7))
    attrs = {name: value for name, value in ATTRS.items() if name != "status"} | {
        "resumed": True,
        "mean": None,
    }
    with pytest.raises(ValueError, match="colour: not in the variable table") as caught:
        results.build(values, COORDS, attrs)
    assert str(caught.value).splitlines() == [
        "colour: not in the variable table",
        "layer_thickness: dtype float32, expected float64",
        "regime: missing",
        "amount: shape (6, 3), expected (species: 6, interface: 3, cycle: 3)",
        "curve_voltage: shape (2, 2, 7), expected (output_cycle: 2, curve: 2, point: 4)",
        "attribute status: missing",
        "attribute resumed: bool, expected text, a number, a dict or a list",
        "attribute mean: NoneType, expected text, a number, a dict or a list",
    ]


@pytest.mark.parametrize(
    ("coords", "message"),
    [
        ({"cycle": np.arange(3)}, "coords: expected"),
        (COORDS | {"output_cycle": np.array([2, 1])}, "output_cycle: expected rising whole numbers"),
        (COORDS | {"cycle": np.arange(3.0)}, "cycle: expected rising whole numbers"),
        (COORDS | {"output_cycle": np.array([1, 7])}, "must be among the cycles"),
    ],
)
def test_build_refuses_bad_coordinates(coords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        results.build(arrays(), coords, ATTRS)


@pytest.mark.parametrize("outputs", [(1, 50, 200), ()])
def test_a_result_survives_the_file_unchanged(tmp_path: Path, outputs: tuple[int, ...]) -> None:
    ds = synthetic.result(output_cycles=outputs, scenario="# " + 200_000 * "x")  # above HDF5's 64 kB limit
    path = tmp_path / results.FILE_NAME
    results.write(ds, path)
    for source in (path, tmp_path, str(tmp_path)):
        xr.testing.assert_identical(results.load_result(source), ds)
    assert all(type(value) in (str, int, float) for value in results.read(path).attrs.values())


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        results.write(synthetic.result(), tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored.read_bytes()

    def fail(self: xr.Dataset, path: Path, **options: Any) -> None:
        path.write_bytes(b"half a fi")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(InputError, match=r"result\.nc: cannot be written \(No space left on device\)"):
        results.write(synthetic.result(), stored)
    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]


def test_writing_where_a_folder_or_a_file_is_in_the_way_is_refused(stored: Path) -> None:
    for path in (stored.parent, stored / "deeper.nc"):
        with pytest.raises(InputError, match="cannot be written"):
            results.write(synthetic.result(), path)


def test_missing_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.nc").endswith("no such result file")
    assert refusal(tmp_path).endswith("this folder holds no result.nc")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a netCDF-4 file, so no result"),
        (b"binary \x00 junk \xff", "not a netCDF-4 file, so no result"),
        (b"\x89HDF\r\n\x1a\n", "damaged, or not as interphase-sim wrote it"),
    ],
)
def test_anything_but_netcdf_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "result.nc"
    path.write_bytes(content)
    assert refusal(path).endswith(message)
    results.seal(path)
    assert refusal(path).endswith("not a netCDF result file")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(stored: Path, share: float) -> None:
    content = stored.read_bytes()
    stored.write_bytes(content[: int(share * len(content))])
    assert "damaged" in refusal(stored)


def test_scribbled_bytes_are_refused(stored: Path) -> None:
    content, chance = stored.read_bytes(), np.random.default_rng(1)
    for _ in range(30):
        scribbled = bytearray(content)
        start = int(chance.integers(len(content)))
        scribbled[start : start + 500] = chance.bytes(len(scribbled[start : start + 500]))
        stored.write_bytes(scribbled)
        assert refusal(stored).endswith("damaged, or not as interphase-sim wrote it")


def test_a_flipped_bit_passed_for_a_number(stored: Path) -> None:
    """HDF5 notices no damage of numbers; the seal does."""
    whole, content = results.read(stored), stored.read_bytes()
    number = np.float64(whole.discharge_capacity.values[3]).tobytes()
    at = content.index(number)
    stored.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert refusal(stored).endswith("damaged, or not as interphase-sim wrote it")


def test_hdf5_read_a_damaged_heap_for_ever(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hundred bytes in the place of names and attributes kept h5py busy without end."""
    monkeypatch.setattr(xr, "load_dataset", lambda *_, **__: pytest.fail("HDF5 met a file that is damaged"))
    content = stored.read_bytes()
    stored.write_bytes(content[:2000] + bytes(400) + content[2400:])
    assert "damaged" in refusal(stored)


def test_other_tools_read_a_sealed_file(stored: Path) -> None:
    with h5py.File(stored) as file:
        assert file["discharge_capacity"].shape == (6,)
    read = xr.load_dataset(stored, engine="h5netcdf").set_xindex("depth")
    xr.testing.assert_identical(read.drop_attrs(deep=False), results.read(stored).drop_attrs(deep=False))


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (1, "result format 1 is older than 2, the one this version reads; run it again"),
        (3, "result format 3 is newer than 2, the one this version reads; update interphase-sim"),
        ("3.0", "result format 3.0 is newer than 2, the one this version reads; update interphase-sim"),
        ("latest", "a netCDF file, but not a result of interphase-sim (it has no schema_version)"),
        (None, "a netCDF file, but not a result of interphase-sim (it has no schema_version)"),
    ],
)
def test_other_formats_are_refused(stored: Path, version: int | str | None, message: str) -> None:
    change_attribute(stored, "schema_version", version)
    assert refusal(stored).endswith(message)


def test_an_incomplete_result_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    synthetic.result().drop_vars(["amount", "channel"]).to_netcdf(path, engine="h5netcdf")
    results.seal(path)
    assert refusal(path).endswith("incomplete result, it lacks amount, channel")


def test_a_unit_cell_travels_whole_or_not_at_all(tmp_path: Path) -> None:
    ds, path = synthetic.result(resolved=True), tmp_path / "result.nc"
    results.write(ds, path)
    xr.testing.assert_identical(results.read(path), ds)
    assert not set(results.UNIT_CELL) & set(synthetic.result().variables)
    ds.drop_vars("row_height").to_netcdf(path, engine="h5netcdf")
    results.seal(path)
    assert refusal(path).endswith("incomplete result, it lacks row_height")


def test_other_units_or_labels_are_refused_by_name(tmp_path: Path) -> None:
    ds = synthetic.result().assign_coords(curve=["discharge", "charge"])
    ds["layer_thickness"].attrs["units"] = "nm"
    ds.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    results.seal(tmp_path / "result.nc")
    message = "not as the result format has it: layer_thickness, curve"
    assert refusal(tmp_path / "result.nc").endswith(message)


def test_the_cycles_table_holds_every_variable_by_cycle_with_its_unit() -> None:
    ds = synthetic.result(cycles=2)
    header, *rows = (line.split(",") for line in results.cycles_table(ds).splitlines())
    by_cycle = [name for name, row in results.VARIABLES.items() if row.dims == ("cycle",)]
    assert header[: 1 + len(by_cycle)] == [
        "cycle",
        *(f"{name} [{results.VARIABLES[name].units}]" for name in by_cycle),
    ]
    assert len(header) == 1 + len(by_cycle) + len(results.SPECIES) * len(results.INTERFACES)
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert rows[0][header.index("discharge_capacity [mAh g-1]")] == ""
    sulfur = float(rows[2][header.index("amount_oxidised_sulfur_carbon [mol g-1]")])
    expected = ds["amount"].sel(species="oxidised_sulfur", interface="carbon", cycle=2)
    assert sulfur == pytest.approx(float(expected), rel=1e-8)  # nine digits are written


def test_the_measured_capacities_are_the_papers() -> None:
    rows = {(r.cell, r.quantity, r.cycle): (r.value, r.unit) for r in capacities()}
    assert rows["bare", "discharge_capacity", 200] == (22.0, "mAh g-1")
    assert rows["coated", "charge_capacity", 1] == (200.0, "mAh g-1")
    assert rows["both", "coulombic_efficiency", 38] == (99.5, "%")
    assert len([r for r in capacities() if r.unit == "mAh g-1"]) == 8
    assert all(r.paper_location for r in capacities())
    assert "2021" in SOURCE


# Files that xarray has written, and formats of later versions


def plain(ds: xr.Dataset, path: Path) -> xr.Dataset:
    """A result that xarray itself has written, as it is loaded; with the warning that it has no digest."""
    ds.to_netcdf(path, engine="h5netcdf")
    with pytest.warns(ResultWarning, match="has no digest, so damage to it cannot be noticed") as told:
        loaded = results.load_result(path)
    (warning,) = told
    assert str(warning.message).startswith(str(path))
    assert "\n" not in str(warning.message)
    assert warning.filename == __file__
    return loaded


@pytest.mark.parametrize("resolved", [False, True])
def test_a_result_that_xarray_wrote_passed_for_damaged(tmp_path: Path, resolved: bool) -> None:
    ds = synthetic.result(
        resolved=resolved, statistics={"jump_error": 0.1, "µ": "ü"}, wall_s=np.float64(2.5), scenario=""
    )
    loaded = plain(ds, tmp_path / "result.nc")
    xr.testing.assert_identical(loaded, ds)
    assert {name: type(value) for name, value in loaded.attrs.items()} == {n: type(v) for n, v in ds.attrs.items()}
    xr.testing.assert_identical(plain(loaded, tmp_path / "again.nc"), ds)
    results.save_result(loaded, tmp_path / "result.nc")
    xr.testing.assert_identical(results.load_result(tmp_path), ds)


def test_a_truncated_file_without_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    synthetic.result().to_netcdf(path, engine="h5netcdf")
    whole = path.read_bytes()
    for share in (0.001, 0.1, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        assert refusal(path).endswith("damaged, or not as interphase-sim wrote it")
    path.write_bytes(whole + b"more")
    assert "damaged" in refusal(path)


def test_half_a_digest_is_a_wrong_one(stored: Path) -> None:
    content = stored.read_bytes()
    at = content.index(results.SEAL)
    for changed in (content[: at + 1], content[:-1], content[:at] + b"x" + content[at + 1 :], content + b"\n"):
        stored.write_bytes(changed)
        assert refusal(stored).endswith("damaged, or not as interphase-sim wrote it")


def test_the_length_of_every_hdf5_layout_is_known(tmp_path: Path) -> None:
    for k, libver in enumerate(("earliest", "v108", "v110", "latest")):
        path = tmp_path / f"{k}.nc"
        with h5py.File(path, "w", libver=(libver, "latest")) as file:
            file["x"] = np.arange(1000)
        assert results._hdf5_length(path.read_bytes()) == path.stat().st_size


def test_a_new_variable_made_stored_results_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later minor version adds variables and labels: results of both versions load with both."""
    older = synthetic.result()
    results.save_result(older, tmp_path / "older.nc")
    newer = older.assign(heat=("cycle", np.arange(201.0), {"units": "J"}), fleet=("ship", np.arange(3)))
    newer = newer.reindex(channel=[*results.CHANNELS, "rust"], fill_value=0.0)
    newer.attrs["schema_version"] = "2.17"
    results.save_result(newer, tmp_path / "newer.nc")
    loaded = results.load_result(tmp_path / "newer.nc")
    xr.testing.assert_identical(loaded, newer)
    assert results.cycle_rows(loaded)[2]["heat"] == 2.0
    assert "heat [J]" in results.cycles_table(loaded).splitlines()[0]
    plot.losses(loaded)

    monkeypatch.setitem(results.VARIABLES, "heat", results.Variable(("cycle",), "J", "heat", required=False))
    monkeypatch.setattr(results, "CHANNELS", (*results.CHANNELS, "rust"))
    rust = results.Labels(results.CHANNELS, "loss channel", optional=("rust",))
    monkeypatch.setitem(results._LABELLED, "channel", rust)
    loaded = results.load_result(tmp_path / "older.nc")
    xr.testing.assert_identical(loaded, older)
    assert "heat" not in results.cycle_rows(loaded)[1]


def test_an_optional_variable_is_checked_where_it_is(tmp_path: Path) -> None:
    ds = synthetic.result(resolved=True)
    ds["ring_centre"].attrs["units"] = "nm"
    with pytest.raises(InputError, match="not as the result format has it: ring_centre"):
        results.save_result(ds, tmp_path / "result.nc")
    assert "ring_centre" in results.UNIT_CELL
    without = ds.drop_vars("ring_centre")
    results.save_result(without, tmp_path / "result.nc")
    assert "ring_centre" in results.load_result(tmp_path).coords


def test_what_is_no_result_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    for wrong, why in (
        (xr.Dataset(), "it has no schema_version"),
        (synthetic.result().drop_vars("amount"), "it lacks amount"),
        (None, "a value of type NoneType"),
    ):
        with pytest.raises(InputError, match=f"not written, because load_result would refuse it: .*{why}"):
            results.save_result(wrong, path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be written as netCDF"):
        results.save_result(synthetic.result().assign_attrs(note={"a": 1}), path)
    assert not path.exists()


def test_profiles_and_maps_are_selected_and_drawn_by_lengths() -> None:
    ds = synthetic.result(resolved=True)
    near = ds["profile"].sel(depth=5e-9, method="nearest")
    index = int(np.abs(ds["depth"].values - 5e-9).argmin())
    np.testing.assert_array_equal(near, ds["profile"].isel(depth_cell=index))
    assert ds["profile"].sel(depth=slice(0, 5e-9)).sizes["depth_cell"] < ds.sizes["depth_cell"]
    axes = Figure().add_subplot()
    (line,) = xr.plot.line(
        ds["profile"].sel(species="phosphate", interface="ncm", output_cycle=200), x="depth", ax=axes
    )
    np.testing.assert_array_equal(line.get_xdata(), ds["depth"])
    layer = ds["unit_cell"].sel(ring_centre=0.0, row_centre=20e-9, method="nearest")
    assert layer.dims == ("species", "output_cycle")
    assert {"ring_radius", "row_height"} <= set(ds.xindexes)


def test_cycle_rows_are_the_table_as_numbers() -> None:
    ds = synthetic.result(cycles=2)
    rows = results.cycle_rows(ds)
    header, *lines = (line.split(",") for line in results.cycles_table(ds).splitlines())
    assert [*rows[0]] == [name.split(" [")[0] for name in header]
    assert [row["cycle"] for row in rows] == [0, 1, 2]
    assert np.isnan(rows[0]["discharge_capacity"])
    assert rows[2]["discharge_capacity"] == float(ds["discharge_capacity"].sel(cycle=2))
    for row, line in zip(rows, lines, strict=True):
        for number, text in zip(row.values(), line, strict=True):
            assert np.isnan(number) if text == "" else number == pytest.approx(float(text), rel=1e-8)  # nine digits
