"""The calibrated cell of Walther et al. (2021) from the shipped files of cell and kinetics.

Read without the scenario schema, so that the PyBaMM parameter set needs nothing else of this package; a test keeps
it equal to what the schema reads.
"""

import tomllib
from functools import cache
from typing import Any

from interphase_sim import units
from interphase_sim.cell.design import CellDesign
from interphase_sim.resources import shipped

CELL, KINETICS = "scenarios/cell_walther2021.toml", "scenarios/kinetics.toml"
_OF_LITHIUM = "lithium_"  # before the keys of the kinetics' table "lithium", but for those of its hindrance


@cache
def walther_2021() -> CellDesign:
    """The shipped cell with the lithium transport of the shipped kinetics, in SI."""
    cell = _table(CELL)
    lithium = {_name(key): value for key, value in _table(KINETICS)["lithium"].items()}
    known = CellDesign.__dataclass_fields__
    found: dict[str, Any] = {name: _si(value) for name, value in (cell | lithium).items() if name in known}
    for electrode in ("cathode", "anode"):
        found[f"{electrode}_mass_fractions"] = _fractions(cell[f"{electrode}_mass_ratio"])
    return CellDesign(**found)


def _name(key: str) -> str:
    return key if key.startswith("hindrance") else f"{_OF_LITHIUM}{key}"


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(shipped(name).read_text(encoding="utf-8"))


def _value(raw: Any) -> Any:
    return raw["value"] if isinstance(raw, dict) else raw


def _si(raw: Any) -> float:
    """SI value of a quantity; the units of the shipped files are among those with exact factors."""
    number, _, unit = str(_value(raw)).partition(" ")
    return units.to_si(number, unit)[0]


def _fractions(raw: Any) -> tuple[float, float, float]:
    first, second, third = _value(raw)
    total = first + second + third
    return first / total, second / total, third / total
