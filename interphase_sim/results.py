"""The one table of result variables, and how a result is built, saved, loaded and tabulated.

A run hands back one `xarray.Dataset` whose variables are those of `VARIABLES`, with `UNIT_CELL` and `JUMPED` where
they apply: same names, dimensions, units and long names in memory, in the netCDF file and in the CSV table.
Not-a-number means "not available" (no half-cycle before cycle 1, padding of a shorter curve).

The format has a version MAJOR.MINOR. What is added after 2.0 raises MINOR and is optional, so that stored results stay
readable: a variable with `required=False`, a label named in `optional`. Results of any MINOR load; what a newer one
holds besides stays in the Dataset. Whatever else changes raises MAJOR.
"""

import csv
import functools
import hashlib
import io
import json
import operator
import re
import warnings
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from interphase_sim import ageing, chemistry, unfinished
from interphase_sim.errors import InputError, ResultWarning
from interphase_sim.files import as_path, written_whole
from interphase_sim.status import outcome_of

MAJOR, MINOR = 2, 1
SCHEMA_VERSION = f"{MAJOR}.{MINOR}"  # 2.0 was written as the number 2
FILE_NAME = "result.nc"
SEAL = b"\ninterphase-sim, SHA-256 of all before: "  # behind the netCDF content, where HDF5 minds nothing
_HDF5 = b"\x89HDF\r\n\x1a\n"

INTERFACES = ("ncm", "carbon", "collector")
SPECIES = chemistry.LABELS
CHANNELS = (*ageing.CHANNELS, "interaction")
CURVES = ("charge", "discharge")

ATTRIBUTES = ("name", "scenario", "scenario_digest", "status", "versions", "statistics", "warnings")


Arrays = Mapping[str, NDArray[Any]]


class Variable(NamedTuple):
    """One row of the variable table: dimensions, unit in the file, and what the number means.

    required: whether a result without it is refused. coordinate: whether values of other variables are selected by it.
    """

    dims: tuple[str, ...]
    units: str
    long_name: str
    required: bool = True
    coordinate: bool = False

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
    "depth": Variable(
        ("depth_cell",), "m", "distance of the cell centre from what the electrolyte touches", coordinate=True
    ),
    "profile": Variable(_PROFILE, "mol m-3", "concentration in the electrolyte, end of the cycle"),
    "capacity_loss": Variable(_LOSS, "mAh g-1", "discharge capacity lost since the reference cycle, per g NCM622"),
}

# Only in the result of a contact around a gap, closure or resolved; faces are one more than rings and rows.
UNIT_CELL: dict[str, Variable] = {
    "ring_radius": Variable(
        ("ring_face",), "m", "distance of the faces between rings from the axis of the gap", coordinate=True
    ),
    "row_height": Variable(
        ("row_face",), "m", "distance of the faces between rows from the NCM surface", coordinate=True
    ),
    "ring_centre": Variable(
        ("ring",), "m", "distance of the middle of the ring from the axis of the gap", required=False, coordinate=True
    ),
    "row_centre": Variable(
        ("row",), "m", "distance of the middle of the row from the NCM surface", required=False, coordinate=True
    ),
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
_CENTRES = {"ring_centre": "ring_radius", "row_centre": "row_height"}  # of what lies between which faces


class Labels(NamedTuple):
    """The labels of a dimension and what they are; those that were added after format 2.0 are optional."""

    names: tuple[str, ...]
    long_name: str
    optional: tuple[str, ...] = ()


_LABELLED: dict[str, Labels] = {
    "interface": Labels(INTERFACES, "what the electrolyte touches"),
    "species": Labels(SPECIES, "species; thiophosphate counts what was consumed"),
    "channel": Labels(CHANNELS, "loss channel; interaction is what no single channel explains"),
    "curve": Labels(CURVES, "half-cycle"),
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

    Only what a result must have: those of a unit cell with rows and rings, those of cycle jumping if ``jumped``.
    """
    sizes = _sizes(cycle=cycles, output_cycle=output_cycles, point=points, depth_cell=depth_cells)
    sizes |= {"row": rows, "ring": rings, "row_face": rows + 1, "ring_face": rings + 1}
    table = VARIABLES | (UNIT_CELL if rows else {}) | (JUMPED if jumped else {})
    return {name: np.full([sizes[d] for d in row.dims], np.nan) for name, row in table.items() if row.required}


def _table(names: Container[Any]) -> dict[str, Variable]:
    """The variables that a result may have; those of a unit cell and of cycle jumping where it has any of them."""
    extra = (table for table in (UNIT_CELL, JUMPED) if any(name in names for name in table))
    return functools.reduce(operator.or_, extra, VARIABLES)


def _sizes(**lengths: int) -> dict[str, int]:
    return {name: len(labels.names) for name, labels in _LABELLED.items()} | lengths


def build(values: Arrays, coords: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset:
    """The Dataset of one run, checked against the variable table.

    values : every required variable, float64, in the table's units and order of dimensions
    coords : `cycle` and `output_cycle`, rising whole numbers; the labelled dimensions are filled in here
    attrs : `ATTRIBUTES`, those of a `RunOutcome` and any more; text or numbers, dicts and lists become JSON text

    Raises ValueError naming every mismatch at once: a wrong call is a mistake of the caller, not of the user.
    """
    problems = [*_coordinate_problems(coords)]
    if not problems:
        problems = [*_value_problems(values, coords), *_attribute_problems(attrs)]
    if problems:
        raise ValueError("\n".join(problems))
    table = {name: row for name, row in _table(values).items() if name in values}
    variables = {name: (row.dims, values[name], row.attrs) for name, row in table.items()}
    ds = xr.Dataset(
        {name: variables[name] for name, row in table.items() if not row.coordinate},
        coords={name: variables[name] for name, row in table.items() if row.coordinate} | _coordinates(coords),
        attrs={"schema_version": SCHEMA_VERSION} | {n: _attribute(value) for n, value in attrs.items()},
    )
    return _with_positions(ds)


def _with_positions(ds: xr.Dataset) -> xr.Dataset:
    """The same result with its lengths as coordinates, by which profiles and maps are selected and drawn."""
    for name, faces in _CENTRES.items():
        if faces in ds.variables and name not in ds.variables:
            edges, row = ds[faces].values, UNIT_CELL[name]
            ds = ds.assign({name: (row.dims, (edges[1:] + edges[:-1]) / 2, row.attrs)})
    positions = [name for name, row in _table(ds.variables).items() if row.coordinate and name in ds.variables]
    ds = ds.set_coords(positions)
    for name in positions:
        ds = ds if name in ds.xindexes else ds.set_xindex(name)
    return ds


def _coordinates(coords: Mapping[str, Any]) -> dict[str, tuple[str, NDArray[Any], dict[str, str]]]:
    numbered = {
        name: (name, np.asarray(coords[name], np.int64), {"units": "1", "long_name": text})
        for name, text in _NUMBERED.items()
    }
    labelled = {name: (name, np.array(row.names), {"long_name": row.long_name}) for name, row in _LABELLED.items()}
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
            if row.required:
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


def save_result(ds: xr.Dataset, path: str | Path) -> None:
    """Write a result as netCDF with a digest of its content; a reader finds the old file or the new one, never a part.

    Raises InputError for what `load_result` would refuse to read back, and for a path that cannot be written.
    """
    path = as_path(path, "result")
    problem = _problem(ds) if isinstance(ds, xr.Dataset) else f"a value of type {type(ds).__name__}"
    if problem:
        raise InputError(f"{path}: not written, because load_result would refuse it: {problem}")
    try:
        with written_whole(path) as part:
            ds.to_netcdf(part, engine="h5netcdf")
            seal(part)
    except (NotImplementedError, TypeError, ValueError) as error:  # of attributes that netCDF has no type for
        raise InputError(f"{path}: cannot be written as netCDF ({str(error).splitlines()[0]})") from error


write = save_result  # within the package


def seal(path: Path) -> None:
    """Append the digest of a file's content to it."""
    with path.open("r+b") as file:
        file.write(SEAL + hashlib.sha256(file.read()).hexdigest().encode())


def _has_digest(path: Path) -> bool:
    """Whether a file ends with the digest of all before; HDF5 may read a damaged one for ever.

    Raises InputError where the digest is wrong or destroyed: then the file is not as long as its HDF5 content.
    """
    content = path.read_bytes()
    body, mark, digest = content.rpartition(SEAL)
    if mark:
        whole = digest == hashlib.sha256(body).hexdigest().encode()
    elif content.startswith(_HDF5):
        whole = len(content) == _hdf5_length(content)
    else:
        raise InputError(f"{path}: not a netCDF-4 file, so no result")
    if not whole:
        raise InputError(f"{path}: damaged, or not as interphase-sim wrote it")
    return bool(mark)


def _hdf5_length(content: bytes) -> int:
    """The length that an HDF5 file states in its superblock, whose layout depends on its version."""
    at = {0: 40, 1: 44}.get(content[8] if len(content) > 8 else 0, 28)
    return int.from_bytes(content[at : at + 8], "little")


def load_result(path: str | Path) -> xr.Dataset:
    """Read a stored result into memory, from its file or from the folder that a run wrote.

    Results of earlier versions get what has become part of the format since, where it follows from what they hold.
    Files written by xarray itself load too, with a `ResultWarning`: damage to them cannot be noticed.
    Raises InputError with one sentence for anything else, and for a file that has changed since it was saved.
    """
    path = _result_file(as_path(path, "result"))
    try:
        sealed = _has_digest(path)
        ds = xr.load_dataset(path, engine="h5netcdf")
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except Exception as error:  # a file that others have sealed can raise anything
        raise InputError(f"{path}: not a netCDF result file") from error
    ds.attrs = {name: _attribute(value) for name, value in ds.attrs.items()}
    problem = _problem(ds)
    if problem:
        raise InputError(f"{path}: {problem}")
    if not sealed:
        text = "has no digest, so damage to it cannot be noticed; interphase_sim.save_result writes one"
        warnings.warn(f"{path}: {text}", ResultWarning, stacklevel=2)
    return _as_of_today(ds)


read = load_result  # within the package


def _as_of_today(ds: xr.Dataset) -> xr.Dataset:
    """A loaded result in the form that this version writes; what a later version has added stays."""
    ds = _with_positions(ds)
    if "status_code" not in ds.attrs:
        ds.attrs |= outcome_of(ds.attrs).attributes()
    if (_version(ds) or (MAJOR, MINOR)) < (MAJOR, MINOR):
        ds.attrs["schema_version"] = SCHEMA_VERSION
    return ds


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


def _problem(ds: xr.Dataset) -> str | None:
    """Why a Dataset is no result that this version reads, or None."""
    return _format_problem(ds) or _content_problem(ds)


def _version(ds: xr.Dataset) -> tuple[int, int] | None:
    """Major and minor version of a result's format; None for what is no result."""
    found = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,9}))?", str(ds.attrs.get("schema_version")), re.ASCII)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _format_problem(ds: xr.Dataset) -> str | None:
    version = _version(ds)
    if version is None:
        return "a netCDF file, but not a result of interphase-sim (it has no schema_version)"
    if version[0] == MAJOR:
        return None
    age, advice = ("older", "run it again") if version[0] < MAJOR else ("newer", "update interphase-sim")
    text = f"result format {ds.attrs['schema_version']} is {age} than {MAJOR}, the one this version reads"
    return f"{text}; {advice}"


def _content_problem(ds: xr.Dataset) -> str | None:
    table = _table(ds.variables)
    required = [name for name, row in table.items() if row.required]
    missing = [name for name in (*required, *_NUMBERED, *_LABELLED) if name not in ds.variables]
    missing += [name for name in ATTRIBUTES if name not in ds.attrs]
    if missing:
        return f"incomplete result, it lacks {', '.join(missing)}"
    wrong = [n for n, row in table.items() if n in ds.variables and (ds[n].dims, ds[n].attrs.get("units")) != row[:2]]
    wrong += [name for name, labels in _LABELLED.items() if not _labelled(ds, name, labels)]
    return f"not as the result format has it: {', '.join(wrong)}" if wrong else None


def _labelled(ds: xr.Dataset, name: str, labels: Labels) -> bool:
    """Whether a dimension has all labels that it must have, in their order; it may have more."""
    required = [label for label in labels.names if label not in labels.optional]
    return ds[name].dims == (name,) and [label for label in ds[name].values if label in required] == required


class _Column(NamedTuple):
    """A number by cycle."""

    name: str
    units: str
    values: NDArray[Any]


def cycle_rows(ds: xr.Dataset) -> list[dict[str, float]]:
    """All by-cycle variables as a list of rows, one per cycle, ready for a loop or a `pandas.DataFrame`.

    Keys are "cycle" and the variables' names, for amounts such as "amount_phosphate_ncm"; units are those of the
    variables. Not-a-number where there is no value.
    """
    columns = {column.name: column.values.tolist() for column in _columns(ds)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def cycles_table(ds: xr.Dataset) -> str:
    """All by-cycle variables as CSV text: a row per cycle, units in the header, empty for no value."""
    cycle, *columns = _columns(ds)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cycle.name, *(f"{column.name} [{column.units}]" for column in columns)])
    for number, *row in zip(cycle.values, *(column.values for column in columns), strict=True):
        writer.writerow([int(number), *("" if np.isnan(value) else f"{value:.9g}" for value in row)])
    return text.getvalue()


def _columns(ds: xr.Dataset) -> Iterator[_Column]:
    """The cycle, then every number by cycle that the result has: those of the table first."""
    yield _Column("cycle", "1", ds["cycle"].values)
    known = [name for name in _table(ds.variables) if name in ds.variables]
    for name in (*known, *(str(n) for n in ds.data_vars if n not in known and ds[n].dtype.kind in "fiu")):
        variable = ds[name]
        units = str(variable.attrs.get("units", "1"))
        if variable.dims == _CYCLE:
            yield _Column(name, units, variable.values)
        elif variable.dims == _AMOUNT:
            for place in ((s, i) for s in variable["species"].values for i in variable["interface"].values):
                selected = variable.sel(species=place[0], interface=place[1])
                yield _Column("_".join((name, *map(str, place))), units, selected.values)
