"""What `run` and `info` tell about a result, a scenario, the materials and the installation."""

import math
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from interphase_sim.resources import shipped
from interphase_sim.status import RunStatus, outcome_of

if TYPE_CHECKING:
    import xarray as xr

    from interphase_sim.scenario import Scenario
    from interphase_sim.unfinished import Unfinished

Row = dict[str, Any]

SCHEMA_VERSION = 1
SHOWN_CYCLES = (1, 50, 200)
_SHOWN = {  # variable of a result and the factor to the unit shown
    "charge_capacity_mAh_g": ("charge_capacity", 1.0),
    "discharge_capacity_mAh_g": ("discharge_capacity", 1.0),
    "coulombic_efficiency_percent": ("coulombic_efficiency", 1.0),
    "film_resistance_geometric_ohm_cm2": ("film_resistance_geometric", 1.0),
    "layer_thickness_nm": ("layer_thickness", 1e9),
}


def numbers(ds: "xr.Dataset") -> Row:
    """Status and main numbers of a result; what is not available is None."""
    done = int(ds["cycle"].values[-1])
    shown = sorted({n for n in SHOWN_CYCLES if n <= done} | {done})
    return {
        "schema_version": SCHEMA_VERSION,
        "name": ds.attrs["name"],
        "status": ds.attrs["status"],
        "status_code": outcome_of(ds.attrs).status.value,
        "cycles": done,
        "rows": [_cycle_row(ds, n) for n in shown],
    }


def unfinished_numbers(found: "Unfinished") -> Row:
    """What is stored of an interrupted run, with the keys of `numbers`; a cycle left out by a jump has no row."""
    kept = [n for n in sorted({*SHOWN_CYCLES, found.cycles}) if 1 <= n <= found.cycles and found.rows[n]]
    open_end, sentence = found.outcome.status is RunStatus.RUNNING, found.outcome.sentence
    status = "interrupted" if open_end else f"{sentence}, but its result was not written"
    return {
        "schema_version": SCHEMA_VERSION,
        "name": found.name,
        "status": status,
        "status_code": found.outcome.status.value,
        "cycles": found.cycles,
        "cycles_planned": found.planned,
        "rows": [
            {"cycle": n}
            | {shown: _number(scale * found.rows[n].get(name, math.nan)) for shown, (name, scale) in _SHOWN.items()}
            for n in kept
        ],
    }


def _cycle_row(ds: "xr.Dataset", cycle: int) -> Row:
    at = ds.sel(cycle=cycle)
    return {"cycle": cycle} | {shown: _number(scale * at[name]) for shown, (name, scale) in _SHOWN.items()}


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def parameters(scenario: "Scenario") -> list[Row]:
    """Every physical parameter of a scenario with its provenance, grouped by kind."""
    from interphase_sim.scenario import KINDS

    return sorted(_parameters(scenario, ""), key=lambda row: KINDS.index(row["kind"]))


def _parameters(node: Any, path: str) -> Iterator[Row]:
    """Walk the schema down to what carries a kind and a source; names, switches and counts do not."""
    if hasattr(node, "kind") and hasattr(node, "source"):
        yield {"parameter": path, **_provenance(node)}
    elif hasattr(type(node), "model_fields"):
        for name, value in node:
            yield from _parameters(value, f"{path}.{name}".removeprefix("."))
    elif isinstance(node, tuple | list):
        for i, value in enumerate(node):
            yield from _parameters(value, f"{path}[{i}]")


def _provenance(parameter: Any) -> Row:
    """Kind, SI value, range and source; a mixture shows its parts and has no range."""
    value = parameter.si if hasattr(parameter, "si") else ":".join(f"{part:g}" for part in parameter)
    shown = ("unit", "low", "high", "uncertainty")
    row = {name: getattr(parameter, name, None) for name in shown}
    return {"kind": parameter.kind, "value": value, **row, "source": parameter.source}


def materials() -> list[Row]:
    """The coatings table in SI: what is known of each coating, and from where."""
    from interphase_sim.materials import entries, names

    return [
        {"coating": name, "quantity": quantity} | asdict(entry)
        for name in names("coatings")
        for quantity, entry in entries("coatings", name).items()
    ]


def installation() -> Row:
    """Versions, and what ships with the package."""
    from interphase_sim import __version__
    from interphase_sim.materials import names
    from interphase_sim.scenario import scenario_names

    return {
        "schema_version": SCHEMA_VERSION,
        "interphase_sim": __version__,
        "pybamm": version("pybamm"),
        "python": platform.python_version(),
        "scenarios_in": str(shipped("scenarios")),
        "scenarios": scenario_names(),
        "coatings": names("coatings"),
    }


def text_table(rows: Iterable[Row]) -> str:
    """Rows as aligned columns; numbers with five digits, a dash for what is not available."""
    rows = list(rows)
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
