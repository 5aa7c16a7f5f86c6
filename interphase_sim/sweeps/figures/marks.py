"""Which measured cells are cells of a sweep, and where on its axes they lie; only those are marked.

The measured cells are those of the shipped scenarios bare and coated. One of them belongs to a sweep if the base
scenario, with what `[set]` changes for all runs, equals the shipped one in every value that decides the answer, except
for the keys that the sweep varies. Names, sources, kinds and ranges do not count. Neither do the numerics, the models
of the cell and of the contact, and the number of cycles: they decide how well and for how long a cell is simulated, not
which cell it is. The properties of a filler do not count where it fills nothing.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import xarray as xr

from interphase_sim.errors import InputError
from interphase_sim.scenario import Scenario, load_scenario, writer
from interphase_sim.sweeps import analysis
from interphase_sim.sweeps.coatings import OF_A_MATERIAL
from interphase_sim.sweeps.figures.shared import close, coating_dim

Values = dict[str, Any]

SHIPPED = ("coated", "bare")
NOT_THE_CELL = (
    "schema_version",
    "name",
    "description",
    "numerics",
    "protocol.cycles",
    "protocol.reference_cycle",
    "cell.model",
)
CONTACT_MODEL = ("coating.contact",)
_FILLED, _FILLER = "coating.filler_coverage", "coating.filler"
_SAME = 1e-9  # relative difference of one value written in two units


def measured_cells(ds: xr.Dataset) -> dict[str, Values]:
    """By measured cell of this sweep, its value on every axis or input; an axis on which it has none is left out."""
    try:
        base = Scenario.from_dict(tomllib.loads(ds.attrs["base_scenario"]))
    except (InputError, tomllib.TOMLDecodeError):  # of another version
        return {}
    varied = varied_keys(ds)
    return {
        cell: _places(ds, cell) for cell in SHIPPED if _is_cell(base, cell, varied) and not _set_otherwise(ds, cell)
    }


def marked(ds: xr.Dataset, fixed: Mapping[str, int]) -> dict[str, Values]:
    """The measured cells of a figure in which some axes are held at a place, where their values must be the cell's;
    on all others the cell must lie between the ends."""
    return {
        cell: at
        for cell, at in measured_cells(ds).items()
        if all(_shown(ds, name, value, fixed.get(name)) for name, value in at.items())
    }


def references(ds: xr.Dataset, fixed: Mapping[str, int]) -> list[str]:
    """Measured cells to compare coatings with: those of `marked`, and the bare cell wherever coatings are held."""
    found = ["coated"] if "coated" in marked(ds, fixed) else []
    bare = measured_cells(ds).get("bare", {})
    uncoated = {name for name in bare if analysis.key_of(ds, name).startswith("coating.")}
    covered = [name for name in uncoated if analysis.key_of(ds, name) == "coating.coverage"]
    if any(0.0 in ds[name].values for name in covered) and all(
        _shown(ds, name, value, fixed.get(name)) for name, value in bare.items() if name not in uncoated
    ):
        found.append("bare")
    return found


def _shown(ds: xr.Dataset, name: str, value: Any, place: int | None) -> bool:
    values = ds[name].values
    if place is not None:
        return close(value, values[place])
    if isinstance(value, str):
        return value in values.tolist()
    return bool(values.min() <= value <= values.max())


def varied_keys(ds: xr.Dataset) -> set[str]:
    """Keys of the scenario that runs change; an axis of coatings changes all that is of a material."""
    names = analysis.inputs(ds) or analysis.dims(ds)
    keys = {analysis.key_of(ds, name) for name in names if name != "case"}
    if coating_dim(ds):
        keys |= {f"coating.{key}" for key in OF_A_MATERIAL}
    axes = tomllib.loads(ds.attrs["sweep_file"]).get("axes", ())
    return keys | {key for axis in axes for key in axis.get("also", ())}


def _set_otherwise(ds: xr.Dataset, cell: str) -> bool:
    """Whether the sweep file states other numbers of the shipped coating than those of a material."""
    coating = load_scenario(cell).coating
    own = tomllib.loads(ds.attrs["sweep_file"]).get("coatings", {}).get(coating.core, {}) if coating else {}
    return bool(set(own) - set(OF_A_MATERIAL))


def _is_cell(base: Scenario, cell: str, varied: set[str]) -> bool:
    """Whether runs of a sweep are of a shipped cell but for what is varied; coverage 0 is the bare cell."""
    measured = load_scenario(cell)
    if cell == "bare" and "coating.coverage" in varied:
        base = base.replace({"coating": None})
    ours, theirs = (dict(_flat(writer.numbers(each))) for each in (base, measured))
    left_out = varied | set(CONTACT_MODEL)
    filled = [values.get(_FILLED, [0.0])[0] for values in ((theirs,) if _FILLED in varied else (ours, theirs))]
    if not any(filled):
        left_out |= {key for key in (*ours, *theirs) if key.startswith(_FILLER)}
    keys = (set(ours) | set(theirs)) - left_out
    return all(_equal(ours.get(key), theirs.get(key)) for key in keys if not _is_any(key, NOT_THE_CELL))


def _is_any(key: str, tables: tuple[str, ...]) -> bool:
    return any(key == table or key.startswith(f"{table}.") for table in tables)


def _flat(values: Values, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; absent keys are left out."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=_SAME)
    return bool(one == other)


def _places(ds: xr.Dataset, cell: str) -> Values:
    """The values of a shipped cell; those of the coated one on the axes of a coating that the bare one has not."""
    coated = load_scenario("coated").to_dict()
    own = load_scenario(cell).to_dict()
    names = [name for name in analysis.inputs(ds) or analysis.dims(ds) if name != "case"]
    found = {name: analysis.value_on_axis(ds, name, {**own, "coating": coated["coating"]}) for name in names}
    if cell == "bare":
        bare = {name: 0.0 for name in names if analysis.key_of(ds, name) == "coating.coverage"}
        found |= bare
    return {name: value for name, value in found.items() if value is not None}
