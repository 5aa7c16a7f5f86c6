"""Results that earlier versions have stored: each loads, and gives the numbers that it gave when it was written."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from interphase_sim import load_result, plot, results, save_result
from interphase_sim.status import RunStatus, outcome_of

STORED = Path(__file__).parent / "data" / "stored"
FORMATS = ("2.0", "2.1")
DISCHARGE = {  # mAh g-1, as printed by the code that wrote the files
    ("2.0", "bare"): [164.43675990384378, 162.41713896079972],
    ("2.0", "coated"): [181.98181690331393, 181.62189860167544, 181.06172369865448],
    ("2.1", "bare"): [164.4451850639922, 162.42307431220817],
    ("2.1", "coated"): [181.9995609777189, 181.6391845747709, 181.07851838973667],
}
PROFILES = {"2.0": 346848.3216106853, "2.1": 346850.11630377313}  # sum of all concentrations of the coated cell


def unpacked(version: str, cell: str, folder: Path) -> Path:
    path = folder / f"{cell}.nc"
    path.write_bytes(gzip.decompress((STORED / f"format_{version}_{cell}.nc.gz").read_bytes()))
    return path


def stored(version: str, cell: str, folder: Path) -> xr.Dataset:
    return load_result(unpacked(version, cell, folder))


def test_every_format_has_its_files_and_the_newest_is_the_present_one() -> None:
    found = {path.name.split("_")[1] for path in STORED.glob("format_*")}
    assert found == set(FORMATS)
    assert FORMATS[-1] == results.SCHEMA_VERSION


@pytest.mark.parametrize(("version", "cell"), DISCHARGE)
def test_a_stored_result_gives_its_numbers(version: str, cell: str, tmp_path: Path) -> None:
    ds = stored(version, cell, tmp_path)
    assert ds["discharge_capacity"].values[1:].tolist() == DISCHARGE[version, cell]
    assert ds.attrs["name"] == cell
    assert ds.attrs["schema_version"] == results.SCHEMA_VERSION
    assert set(results.VARIABLES) <= set(ds.variables)
    assert results.cycle_rows(ds)[1]["discharge_capacity"] == DISCHARGE[version, cell][0]


@pytest.mark.parametrize("version", FORMATS)
def test_a_stored_result_says_how_its_run_ended(version: str, tmp_path: Path) -> None:
    bare = stored(version, "bare", tmp_path)
    assert bare.attrs["status"] == "end of life at cycle 2: capacity below numerics.end_of_life_capacity"
    assert outcome_of(bare.attrs).status is RunStatus.END_OF_LIFE
    assert (bare.attrs["status_code"], bare.attrs["status_cycle"]) == ("end_of_life", 2)
    coated = stored(version, "coated", tmp_path)
    assert (coated.attrs["status"], coated.attrs["status_code"]) == ("completed", "completed")
    assert "status_cycle" not in coated.attrs


@pytest.mark.parametrize("version", FORMATS)
def test_a_stored_result_has_depth_rings_and_rows_as_coordinates(version: str, tmp_path: Path) -> None:
    ds = stored(version, "coated", tmp_path)
    assert float(ds["profile"].sum()) == PROFILES[version]
    surface = ds["profile"].sel(depth=0.0, method="nearest")
    np.testing.assert_array_equal(surface, ds["profile"].isel(depth_cell=0))
    column = ds["unit_cell"].sel(ring_centre=0.0, method="nearest")
    np.testing.assert_array_equal(column, ds["unit_cell"].isel(ring=0))
    middle = (ds["row_height"].values[1:] + ds["row_height"].values[:-1]) / 2
    np.testing.assert_array_equal(ds["row_centre"], middle)
    assert ds["solved"].values.tolist() == [1.0] * 4


@pytest.mark.parametrize("version", FORMATS)
def test_a_stored_result_is_drawn_and_saved_again_unchanged(version: str, tmp_path: Path) -> None:
    pair = [stored(version, cell, tmp_path) for cell in ("bare", "coated")]
    assert len(plot.save_all(pair, tmp_path)) == 5
    for ds in pair:
        save_result(ds, tmp_path / "again.nc")
        xr.testing.assert_identical(load_result(tmp_path / "again.nc"), ds)
