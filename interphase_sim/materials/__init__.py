"""Tables of materials with provenance: one quantity per row with low, high, unit, kind and source.

`coatings` and `products` are read by `lookup`, in SI (energies in J per particle or atom). The two
tables of the NCM622 potential have columns of their own and are read by `columns`: `ncm622_ocp_msmr`
(Verbrugge 2017 J. Electrochem. Soc. 164, E3243; U0 against Li/Li+ at 298.15 K) and `ncm622_ocp_check`
(digitised by Hanyang University, an independent check).
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TypeVar

from interphase_sim import units
from interphase_sim.errors import InputError

TABLES = ("coatings", "products")
_COLUMNS = ("name", "quantity", "value", "low", "high", "unit", "kind", "source")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Entry:
    """One quantity of one material in SI; `value`, `low` and `high` are None where nothing is known."""

    value: float | None
    low: float | None
    high: float | None
    unit: str
    kind: str
    source: str


def lookup(table: str, name: str, quantity: str) -> Entry:
    """The entry of a material; all None and kind "unknown" when the table has no row for it.

    Raises InputError with the nearest valid word when the table, name or quantity is misspelt.
    """
    rows = _rows(table)
    entries = _chosen(rows, name, f"{table} table: no material")
    if quantity not in entries:
        known = {word: entry for row in rows.values() for word, entry in row.items()}
        unit = _chosen(known, quantity, f"{table} table: no quantity").unit
        return Entry(None, None, None, unit, "unknown", "no value known")
    return entries[quantity]


def entries(table: str, name: str) -> dict[str, Entry]:
    """All entries of a material by quantity."""
    found: dict[str, Entry] = _chosen(_rows(table), name, f"{table} table: no material")
    return dict(found)


def names(table: str) -> list[str]:
    """The materials of a table in its order."""
    return list(_rows(table))


def columns(table: str) -> dict[str, tuple[float, ...]]:
    """The columns of a plain table of numbers, with units as named in its header."""
    rows = list(_read(table))
    return {name: tuple(float(row[name]) for row in rows) for name in rows[0]}


@lru_cache(maxsize=len(TABLES))
def _rows(table: str) -> dict[str, dict[str, Entry]]:
    if table not in TABLES:
        raise InputError(f"no table is named {units.shown(table)}{units.nearest(table, TABLES)}")
    return parsed(resources.files(__name__).joinpath(f"{table}.csv").read_text(encoding="utf-8"), table)


def parsed(text: str, where: str) -> dict[str, dict[str, Entry]]:
    """The entries of a table's text by name and quantity.

    Raises InputError naming ``where``, the line and what is wrong with it.
    """
    rows: dict[str, dict[str, Entry]] = {}
    reader = csv.DictReader(text.splitlines())
    try:
        for row in reader:
            if any(not isinstance(row.get(column), str) for column in _COLUMNS):
                raise InputError(f"a row needs {', '.join(_COLUMNS)}")
            rows.setdefault(row["name"], {})[row["quantity"]] = _entry(row)
    except (InputError, ValueError, csv.Error) as error:
        raise InputError(f"{where}: line {reader.line_num}: {error}") from None
    return rows


def _entry(row: dict[str, str]) -> Entry:
    value, low, high = (_si(row[key], row["unit"]) for key in ("value", "low", "high"))
    return Entry(value, low, high, units.to_si("1", row["unit"])[1], row["kind"], row["source"])


def _si(number: str, unit: str) -> float | None:
    return units.to_si(number, unit)[0] if number else None


def _read(table: str) -> Iterable[dict[str, str]]:
    file = resources.files(__name__).joinpath(f"{table}.csv")
    return csv.DictReader(file.read_text(encoding="utf-8").splitlines())


def _chosen(known: Mapping[str, _T], word: str, complaint: str) -> _T:
    if word not in known:
        raise InputError(f"{complaint} {units.shown(word)}{units.nearest(word, known)}")
    return known[word]
