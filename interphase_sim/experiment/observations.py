"""What was measured: rows of data files, each with cell, quantity, cycle, value, unit and its place in a source.

Facts and numbers of F. Walther, F. Strauss, X. Wu, B. Mogwitz, J. Hertle, J. Sann, M. Rohnke, T. Brezesinski
and J. Janek, "Working Principle of a Li2CO3/LiNbO3 Coating on NCM for Thiophosphate-based All-Solid-State
Batteries" (2021). All come from the text; the drawn curves were not read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from interphase_sim.errors import InputError
from interphase_sim.experiment import comparisons, criteria, folder
from interphase_sim.experiment.comparisons import Read
from interphase_sim.experiment.observables import OBSERVABLES

SOURCE = "Walther et al. 2021"
CAPACITY_FILE, TREND_FILE = "walther2021_capacity.csv", "walther2021_trends.csv"
CAPACITIES = ("charge_capacity", "discharge_capacity")
EFFICIENCY = "coulombic_efficiency"
CELLS = ("bare", "coated")
BOTH, DIFFERENCE = "both", "difference_"
ANCHOR, HOLD_OUT = "anchor", "hold_out"
_NEEDED = ("cell", "quantity", "cycle", "value", "unit", "paper_location")

Key = tuple[str, str, int]  # cell, quantity, cycle


class Observation(NamedTuple):
    """One measured number and its source, as figures and tables name it; empty where none is stated.

    cell : the name of a cell, "both" for the bare and the coated one, or "difference_A_minus_B"
    cycle : counts from 1
    uncertainty : standard deviation that a fit assumes [unit]; a number without one is not fitted
    criterion : the criterion whose must is the tolerance of the number; shown and not judged without one
    use : "anchor" for the number of the coated cell that its prediction is given, "hold_out" for one that is judged
        and predicted but not fitted
    fitted_as : the observable that a fit compares it with, where that is not its quantity at its cycle
    """

    cell: str
    quantity: str
    cycle: int
    value: float
    unit: str
    paper_location: str
    source: str = ""
    uncertainty: float | None = None
    criterion: str = ""
    use: str = ""
    fitted_as: str = ""

    @property
    def key(self) -> Key:
        """Cell, quantity and cycle, of which there is one observation."""
        return self.cell, self.quantity, self.cycle

    @property
    def observable(self) -> str:
        """What a fit compares it with."""
        return self.fitted_as or self.quantity

    @property
    def sides(self) -> tuple[str, str]:
        """The cells A and B of a "difference_A_minus_B"."""
        upper, _, lower = self.cell.removeprefix(DIFFERENCE).partition("_minus_")
        return upper, lower


class Statement(NamedTuple):
    """A measured trend in the words of the source, how it was seen, and its place there."""

    statement: str
    method: str
    place: str


class Target(NamedTuple):
    """What a fit compares: an observable of a cell, or its distance to the one of another cell, with a value."""

    key: Key
    cell: str
    minus: str
    observable: str
    cycle: int
    value: float
    uncertainty: float

    def off(self, read: Read) -> float:
        """Simulated less measured."""
        found = read(self.cell, self.observable, self.cycle)
        return (found - read(self.minus, self.observable, self.cycle) if self.minus else found) - self.value

    def given_away_by(self, key: Key) -> bool:
        """Whether a fit that leaves a capacity out must not see this: the capacity itself, or an efficiency with it."""
        return self.key == key or (self.key[1] == EFFICIENCY and (self.key[0], self.key[2]) == (key[0], key[2]))


def load() -> list[Observation]:
    """Capacities [mAh g-1 of NCM622] and coulombic efficiencies [%] of the data file, in its order.

    Raises InputError naming the line that cannot be used.
    """
    paths = [folder.data_file(name) for name in (CAPACITY_FILE, criteria.FILE)]
    return list(_read(*paths, *(path.stat().st_mtime_ns for path in paths)))


@lru_cache(8)
def _read(path: Path, limits: Path, *changed: int) -> tuple[Observation, ...]:
    """The rows of a file and of its criteria, read again when one of them has changed."""
    known, found = criteria.load(), dict[Key, Observation]()
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in _NEEDED if name not in (reader.fieldnames or ())]:
            raise InputError(f"{path}: lacks the columns {', '.join(missing)}")
        for row in reader:
            where = f"{path}: line {reader.line_num}"
            try:
                each = _observation({name: (text or "").strip() for name, text in row.items() if name}, known)
            except ValueError as error:
                raise InputError(f"{where}: {error}") from None
            if each.key in found:
                raise InputError(f"{where}: a second {' '.join(map(str, each.key))}")
            found[each.key] = each
    return tuple(found.values())


def _observation(row: Mapping[str, str], known: criteria.Criteria) -> Observation:
    """A row with what holds for its quantity where it says nothing. Raises ValueError saying what is wrong with it."""
    usual = known.observations.get(row["quantity"], criteria.Defaults())
    named = row.get("uncertainty")
    found = Observation(
        row["cell"],
        row["quantity"],
        int(row["cycle"]),
        float(row["value"]),
        row["unit"],
        row["paper_location"],
        row.get("source") or SOURCE,
        float(named) if named else usual.uncertainty,
        row.get("criterion") or usual.criterion,
        row.get("use", ""),
        row.get("fitted_as", ""),
    )
    comparisons.check_name(found.quantity)
    comparisons.check_name(found.observable)
    unit = OBSERVABLES[found.quantity].unit
    if found.unit.split("(")[0].strip() != unit:
        raise ValueError(f"{found.quantity} is in {unit}, not {found.unit}")
    if found.cycle < 1:
        raise ValueError("cycles count from 1")
    if not math.isfinite(found.value):
        raise ValueError(f"{found.value} is no measured value")
    if found.uncertainty is not None and not 0 < found.uncertainty < math.inf:
        raise ValueError("an uncertainty is positive")
    if found.use not in ("", ANCHOR, HOLD_OUT):
        raise ValueError(f"use is {ANCHOR}, {HOLD_OUT} or empty, not {found.use!r}")
    if found.criterion and not (found.criterion in known.criteria and known.criteria[found.criterion].must):
        raise ValueError(f"there is no criterion {found.criterion!r} with a must")
    return found


def trends() -> dict[str, Statement]:
    """The measured trends by their number."""
    with folder.data_file(TREND_FILE).open(newline="", encoding="utf-8") as file:
        return {row["id"]: Statement(row["statement"], row["method"], row["where"]) for row in csv.DictReader(file)}


def digest() -> str:
    """A digest of all that a fit compares with; a fit to other data has another one."""
    return folder.digest(CAPACITY_FILE, criteria.FILE)


def capacities(cells: Collection[str] = CELLS) -> dict[Key, Observation]:
    """The measured capacities of cells, in the order of the data file."""
    return {row.key: row for row in load() if row.cell in cells and row.quantity in CAPACITIES}


def anchor() -> Observation:
    """The capacity of the coated cell that its prediction is given. Raises InputError unless there is one."""
    found = [row for row in capacities(("coated",)).values() if row.use == ANCHOR]
    if len(found) != 1 or found[0].quantity != "discharge_capacity":
        raise InputError(f"{CAPACITY_FILE}: one discharge capacity of the coated cell must have use = {ANCHOR}")
    return found[0]


def predicted() -> list[Key]:
    """The capacities of the coated cell that a fit of the bare cell and the anchor have to predict."""
    return [key for key, row in capacities(("coated",)).items() if row.use != ANCHOR]


def targets(cells: Collection[str]) -> list[Target]:
    """What a fit to these cells compares, in the order of the data file."""
    rows = [row for row in load() if row.uncertainty is not None and row.use != HOLD_OUT]
    return [target for row in rows for target in _targets(row, rows, cells)]


def _targets(row: Observation, rows: list[Observation], cells: Collection[str]) -> Iterator[Target]:
    """A number of one cell, of both, or of their difference.

    Where the difference of two cells is measured too, a number said of both is that of the upper one, and the lower
    one lies by the difference lower.
    """
    assert row.uncertainty is not None
    if row.cell.startswith(DIFFERENCE):
        upper, lower = row.sides
        if upper in cells and lower in cells:
            yield Target(row.key, upper, lower, row.observable, row.cycle, row.value, row.uncertainty)
    elif row.cell != BOTH:
        if row.cell in cells:
            yield Target(row.key, row.cell, "", row.observable, row.cycle, row.value, row.uncertainty)
    else:
        below = {each.sides: each.value for each in rows if _goes_with(each, row)}
        for cell in (name for name in CELLS if name in cells):
            uppers = {upper: value for (upper, lower), value in below.items() if lower == cell}
            if not any(upper in cells for upper in uppers):
                value = row.value - sum(uppers.values())
                yield Target(row.key, cell, "", row.observable, row.cycle, value, row.uncertainty)


def _goes_with(row: Observation, other: Observation) -> bool:
    """Whether a row is a difference of the same observable at the same cycle as another."""
    same = (row.observable, row.cycle) == (other.observable, other.cycle)
    return row.cell.startswith(DIFFERENCE) and same


def readings(cells: Collection[str] = CELLS) -> dict[str, tuple[tuple[str, int], ...]]:
    """By cell, every observable and cycle that fits, predictions and trends need of its run."""
    known = criteria.load()
    shared = {(row.quantity, row.cycle) for row in capacities().values()}
    shared |= {(row.observable, row.cycle) for row in load() if row.uncertainty is not None}
    compared = [each for trend in known.trends.values() for each in trend.compares.values()]
    listed = [reading for each in compared for one in each for reading in one.readings]
    rows = (*known.criteria.values(), *known.bounds.values())
    listed += [reading for row in rows if row.compares for reading in row.compares.readings]
    return {cell: tuple(sorted(shared | {(r.observable, r.cycle) for r in listed if r.cell == cell})) for cell in cells}
