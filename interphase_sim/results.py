"""The one table of result variables, and how a result is built, written, read and tabulated.

A run hands back one `xarray.Dataset` whose variables are exactly `VARIABLES`: same names, dimensions, units
and long names in memory, in the netCDF file and in the CSV table. Not-a-number means "not available" (no
half-cycle before cycle 1, padding of a shorter curve).
"""

import csv
import functools
import hashlib
import io
import json
import operator
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from interphase_sim import unfinished
from interphase_sim.errors import InputError
from interphase_sim.files import as_path, written_whole

SCHEMA_VERSION = 2
FILE_NAME = "result.nc"
SEAL = b"\ninterphase-sim, SHA-256 of all before: "  # behind the netCDF content, where HDF5 minds nothing

INTERFACES = ("ncm", "carbon", "collector")
SPECIES = ("oxygen", "thiophosphate", "phosphate", "sulfate", "oxidised_sulfur", "P2S5")
CHANNELS = ("film", "slow_lithiation", "isolation", "rock_salt", "electrolyte_oxidation", "interaction")
CURVES = ("charge", "discharge")

ATTRIBUTES = ("name", "scenario", "scenario_digest", "status", "versions", "statistics", "warnings")


Arrays = Mapping[str, NDArray[Any]]


class Variable(NamedTuple):
    """One row of the variable table: dimensions, unit in the file, and what the number means."""

    dims: tuple[str, ...]
    units: str
    long_name: str

    @property
    def attrs(self) -> dict[str, str]:
        """What travels with the numbers in the Dataset and the file."""
        return {"units": self.units, "long_name": self.long_name}


_CYCLE = ("cycle",)
_AMOUNT = ("species", "interface", "cycle")
_CURVE = ("output_cycle", "curve", "point")
_PROFILE = ("species", "interface", "output_cycle", "depth_cell")
_LOSS = ("channel", "output_cycle")
_RINGS = ("output_cycle", "row", "ring")

VARIABLES: dict[str, Variable] = {
    "charge_capacity": Variable(_CYCLE, "mAh g-1", "specific charge capacity, per g NCM622"),
    "discharge_capacity": Variable(_CYCLE, "mAh g-1", "specific discharge capacity, per g NCM622"),
    "coulombic_efficiency": Variable(_CYCLE, "%", "discharge over charge capacity of the cycle"),
    "mean_charge_voltage": Variable(_CYCLE, "V", "mean charge voltage vs LTO, averaged over charge"),
    "mean_discharge_voltage": Variable(_CYCLE, "V", "mean discharge voltage vs LTO, averaged over charge"),
    "film_resistance": Variable(_CYCLE, "ohm m2", "film resistance per NCM area in contact"),
    "film_resistance_geometric": Variable(_CYCLE, "ohm cm2", "film resistance per cell area"),
    "layer_thickness": Variable(_CYCLE, "m", "interphase thickness at the NCM, mean over its contact area"),
    "exposed_fraction": Variable(_CYCLE, "1", "share of the NCM contact area not covered by coating"),
    "connected_fraction": Variable(_CYCLE, "1", "share of NCM that still cycles: 1 - isolated - rock salt"),
    "isolated_fraction": Variable(_CYCLE, "1", "share of NCM that is disconnected"),
    "rock_salt_fraction": Variable(_CYCLE, "1", "share of NCM converted to rock salt"),
    "working_contact_fraction": Variable(_CYCLE, "1", "working contact fraction chi"),
    "isolated_lithium_content": Variable(_CYCLE, "1", "mean lithium stoichiometry of the isolated NCM"),
    "regime": Variable(_CYCLE, "1", "layer thickness over the unit-cell diameter, L / (2 r_c)"),
    "ledger_residual": Variable(_CYCLE, "1", "lithium ledger residual, relative"),
    "elapsed_time": Variable(_CYCLE, "s", "time at the end of the cycle, contact dose excluded"),
    "amount": Variable(_AMOUNT, "mol g-1", "amount per g NCM622 at the end of the cycle"),
    "curve_capacity": Variable(_CURVE, "mAh g-1", "charge passed since the half-cycle began, per g NCM622"),
    "curve_voltage": Variable(_CURVE, "V", "cell voltage vs LTO"),
    "depth": Variable(("depth_cell",), "m", "distance of the cell centre from what the electrolyte touches"),
    "profile": Variable(_PROFILE, "mol m-3", "concentration in the electrolyte, end of the cycle"),
    "capacity_loss": Variable(_LOSS, "mAh g-1", "discharge capacity lost since the reference cycle, per g NCM622"),
}

# Only in the result of a contact around a gap, closure or resolved; faces are one more than rings and rows.
UNIT_CELL: dict[str, Variable] = {
    "ring_radius": Variable(("ring_face",), "m", "distance of the faces between rings from the axis of the gap"),
    "row_height": Variable(("row_face",), "m", "distance of the faces between rows from the NCM surface"),
    "unit_cell": Variable(
        ("species", *_RINGS), "mol m-3", "concentration around a gap of the coating, end of the cycle"
    ),
    "unit_cell_conductivity": Variable(_RINGS, "S m-1", "ionic conductivity around a gap, end of the cycle"),
}

# Only in the result of a run that may leave cycles out.
JUMPED: dict[str, Variable] = {
    "solved": Variable(_CYCLE, "1", "1: the cycle was solved, 0: interpolated between those that were"),
}

_NUMBERED = {
    "cycle": "cycle number, 0 = after the contact dose",
    "output_cycle": "cycle with stored curves, profiles and losses",
}
_LABELLED: dict[str, tuple[tuple[str, ...], str]] = {
    "interface": (INTERFACES, "what the electrolyte touches"),
    "species": (SPECIES, "species; thiophosphate counts what was consumed"),
    "channel": (CHANNELS, "loss channel; interaction is what no single channel explains"),
    "curve": (CURVES, "half-cycle"),
}


def empty(
    cycles: int,
    output_cycles: int,
    points: int,
    depth_cells: int,
    rows: int = 0,
    rings: int = 0,
    *,
    jumped: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """Arrays of the right shape for `build`, all not-a-number; each argument is the length of a dimension.

    Those of a unit cell only with rows and rings, those of cycle jumping only if ``jumped``.
    """
    sizes = _sizes(cycle=cycles, output_cycle=output_cycles, point=points, depth_cell=depth_cells)
    sizes |= {"row": rows, "ring": rings, "row_face": rows + 1, "ring_face": rings + 1}
    table = VARIABLES | (UNIT_CELL if rows else {}) | (JUMPED if jumped else {})
    return {name: np.full([sizes[d] for d in row.dims], np.nan) for name, row in table.items()}


def _table(names: Container[Any]) -> dict[str, Variable]:
    """The variables that a result must have: those of a unit cell and of cycle jumping all or none."""
    extra = (table for table in (UNIT_CELL, JUMPED) if any(name in names for name in table))
    return functools.reduce(operator.or_, extra, VARIABLES)


def _sizes(**lengths: int) -> dict[str, int]:
    return {name: len(labels) for name, (labels, _) in _LABELLED.items()} | lengths


def build(values: Arrays, coords: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset:
    """The Dataset of one run, checked against the variable table.

    values : every variable of `VARIABLES`, float64, in the table's units and order of dimensions
    coords : `cycle` and `output_cycle`, rising whole numbers; the labelled dimensions are filled in here
    attrs : `ATTRIBUTES` and any more; text or numbers, while dicts and lists become JSON text

    Raises ValueError naming every mismatch at once: a wrong call is a mistake of the caller, not of the user.
    """
    problems = [*_coordinate_problems(coords)]
    if not problems:
        problems = [*_value_problems(values, coords), *_attribute_problems(attrs)]
    if problems:
        raise ValueError("\n".join(problems))
    return xr.Dataset(
        {name: (row.dims, values[name], row.attrs) for name, row in _table(values).items()},
        coords=_coordinates(coords),
        attrs={"schema_version": SCHEMA_VERSION} | {n: _attribute(value) for n, value in attrs.items()},
    )


def _coordinates(coords: Mapping[str, Any]) -> dict[str, tuple[str, NDArray[Any], dict[str, str]]]:
    numbered = {
        name: (name, np.asarray(coords[name], np.int64), {"units": "1", "long_name": text})
        for name, text in _NUMBERED.items()
    }
    labelled = {name: (name, np.array(labels), {"long_name": text}) for name, (labels, text) in _LABELLED.items()}
    return numbered | labelled


def _coordinate_problems(coords: Mapping[str, Any]) -> Iterator[str]:
    if set(coords) != set(_NUMBERED):
        yield f"coords: expected {sorted(_NUMBERED)}, got {sorted(coords)}"
        return
    for name in _NUMBERED:
        numbers = np.asarray(coords[name])
        whole = numbers.dtype.kind in "iu" or not numbers.size
        if numbers.ndim != 1 or not whole or np.any(np.diff(numbers) <= 0):
            yield f"{name}: expected rising whole numbers, got {coords[name]!r}"
            return
    if not np.isin(coords["output_cycle"], coords["cycle"]).all():
        yield "output_cycle: every output cycle must be among the cycles"


def _value_problems(values: Arrays, coords: Mapping[str, Any]) -> Iterator[str]:
    table = _table(values)
    for name in values.keys() - table.keys():
        yield f"{name}: not in the variable table"
    sizes = _sizes(**{name: len(coords[name]) for name in _NUMBERED})
    for name, row in table.items():
        if name not in values:
            yield f"{name}: missing"
            continue
        array = values[name]
        if array.dtype != np.float64:
            yield f"{name}: dtype {array.dtype}, expected float64"
        # The first variable along a free dimension (point, depth_cell) sets its size.
        for dim, size in zip(row.dims, array.shape, strict=False):
            sizes.setdefault(dim, size)
        if array.shape != tuple(sizes.get(d) for d in row.dims):
            expected = ", ".join(f"{d}: {sizes.get(d, 'any')}" for d in row.dims)
            yield f"{name}: shape {array.shape}, expected ({expected})"


def _attribute_problems(attrs: Mapping[str, Any]) -> Iterator[str]:
    for name in ATTRIBUTES:
        if name not in attrs:
            yield f"attribute {name}: missing"
    for name, value in attrs.items():
        if name == "schema_version":
            yield "attribute schema_version: set by build, not by the caller"
        elif isinstance(value, bool) or not isinstance(value, str | int | float | np.number | dict | list):
            yield f"attribute {name}: {type(value).__name__}, expected text, a number, a dict or a list"


def _attribute(value: Any) -> str | int | float:
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, allow_nan=False)
    return value.item() if isinstance(value, np.number) else value  # type: ignore[no-any-return]


def write(ds: xr.Dataset, path: str | Path) -> None:
    """Write a result as netCDF; a reader meanwhile finds the old file or the new one, never a part."""
    path = as_path(path, "result")
    with written_whole(path) as part:
        ds.to_netcdf(part, engine="h5netcdf")
        seal(part)


def seal(path: Path) -> None:
    """Append the digest of a file's content to it."""
    with path.open("r+b") as file:
        file.write(SEAL + hashlib.sha256(file.read()).hexdigest().encode())


def _check_seal(path: Path) -> None:
    """Raise InputError unless a file ends with the digest of all before; HDF5 may read a damaged one for ever."""
    content, _, digest = path.read_bytes().rpartition(SEAL)
    if digest != hashlib.sha256(content).hexdigest().encode():
        raise InputError(f"{path}: damaged, or not as interphase-sim wrote it")


def read(path: str | Path) -> xr.Dataset:
    """Read a stored result into memory, from its file or from the folder that a run wrote.

    Raises InputError with one sentence for anything but a result of this format that nothing has touched since.
    """
    path = _result_file(as_path(path, "result"))
    try:
        _check_seal(path)
        ds = xr.load_dataset(path, engine="h5netcdf")
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except Exception as error:  # a file that others have sealed can raise anything
        raise InputError(f"{path}: not a netCDF result file") from error
    ds.attrs = {name: _attribute(value) for name, value in ds.attrs.items()}
    problem = _format_problem(ds) or _content_problem(ds)
    if problem:
        raise InputError(f"{path}: {problem}")
    return ds


load_result = read


def _result_file(path: Path) -> Path:
    if path.is_dir() and not (path / FILE_NAME).is_file():
        raise InputError(f"{path}: {_without_result(path)}")
    if not path.exists():
        raise InputError(f"{path}: no such result file")
    return path / FILE_NAME if path.is_dir() else path


def _without_result(folder: Path) -> str:
    """What a folder without a result is."""
    if (folder / ".zgroup").is_file():
        return "is the store of a sweep, not the result of a run; interphase-sim plot and xarray.open_zarr read it"
    found, text = unfinished.read(folder), f"this folder holds no {FILE_NAME}"
    if found is not None:
        return f"{text}; it {found.sentence(folder)}"
    return f"{text}, and its {unfinished.CHECKPOINT} is damaged" if (folder / unfinished.CHECKPOINT).exists() else text


def _format_problem(ds: xr.Dataset) -> str | None:
    version = ds.attrs.get("schema_version")
    if not isinstance(version, int):
        return "a netCDF file, but not a result of interphase-sim (it has no schema_version)"
    if version == SCHEMA_VERSION:
        return None
    older = version < SCHEMA_VERSION
    age, advice = ("older", "run it again") if older else ("newer", "update interphase-sim")
    return f"result format {version} is {age} than {SCHEMA_VERSION}, the one this version reads; {advice}"


def _content_problem(ds: xr.Dataset) -> str | None:
    table = _table(ds.variables)
    missing = [n for n in (*table, *_NUMBERED, *_LABELLED) if n not in ds.variables]
    missing += [n for n in ATTRIBUTES if n not in ds.attrs]
    if missing:
        return f"incomplete result, it lacks {', '.join(missing)}"
    wrong = [n for n, row in table.items() if (ds[n].dims, ds[n].attrs.get("units")) != row[:2]]
    wrong += [n for n, (labels, _) in _LABELLED.items() if tuple(ds[n].values) != labels]
    return f"not as the result format has it: {', '.join(wrong)}" if wrong else None


def cycles_table(ds: xr.Dataset) -> str:
    """All by-cycle variables as CSV text: a row per cycle, units in the header, empty for no value."""
    columns = dict(_columns(ds))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["cycle", *columns])
    for i, cycle in enumerate(ds["cycle"].values):
        cells = ("" if np.isnan(c[i]) else f"{c[i]:.9g}" for c in columns.values())
        writer.writerow([int(cycle), *cells])
    return text.getvalue()


def _columns(ds: xr.Dataset) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for name, row in _table(ds.variables).items():
        if row.dims == _CYCLE:
            yield f"{name} [{row.units}]", ds[name].values
        elif row.dims == _AMOUNT:
            for species in SPECIES:
                for interface in INTERFACES:
                    selected = ds[name].sel(species=species, interface=interface)
                    yield f"{name}_{species}_{interface} [{row.units}]", selected.values
