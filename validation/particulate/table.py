"""The table of the study as CSV, a line for each point, and its summary in a few sentences."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from interphase_sim.files import written_whole
from validation.particulate import evaluate

Row = dict[str, Any]
ABSENT = "gap narrower than an ion"


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the table; cells of points that do not exist stay empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with written_whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([written(row.get(name, "")) for name in columns] for row in rows)


def written(value: Any) -> str:
    """A cell: four digits, `never` for what does not happen within the run, empty for what does not exist."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if math.isnan(value) else "never" if math.isinf(value) else f"{value:.4g}"
    return str(value)


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """What the table says, counted over the points that exist."""
    there = [row for row in rows if row["status"] != ABSENT]
    if not there:
        yield "no point is complete"
        return
    yield f"{len(there)} points, {len(rows) - len(there)} whose gap is {ABSENT.removeprefix('gap ')}"
    for name in ("both", "mixed", "separate", "neither"):
        yield f"regime {name}: {sum(row['regime'] == name for row in there)}"
    for key, limit, what, unit in LIMITS:
        values = [row[key] for row in there]
        beyond = sum(not value <= limit for value in values)
        yield f"closure, {what}: at most {max(values):.3g}{unit}, {beyond} points above {limit:g}{unit}"
    broken = [row for row in there if not row["bounds_hold"]]
    largest = max(row["uptake_excess"] for row in there)
    yield f"uptake outside its bounds: {len(broken)} of {len(there)} points (at most 5 % may be)"
    yield f"  largest excess {100 * largest:.2g} %; up to {100 * evaluate.SLACK:g} % is the tolerance of the steps"
    yield from (f"  {_exception(row)}" for row in broken)
    late = [row for row in there if row["late_onset"] > evaluate.LATE and math.isfinite(row["late_onset"])]
    yield f"late onset (fade after the knee above {evaluate.LATE:g} times the fade before): {len(late)}"


LIMITS = (
    ("closure_amounts", evaluate.AMOUNT, "amounts", ""),
    ("closure_traces", evaluate.AMOUNT, "amounts below 1 % of the largest", ""),
    ("closure_resistance_outside_event", evaluate.RESISTANCE, "resistance outside percolation", ""),
    ("closure_resistance_at_event", evaluate.RESISTANCE, "resistance at percolation", ""),
    ("closure_capacity", evaluate.CAPACITY, "capacity", " mAh/g"),
)


def _exception(row: Row) -> str:
    excess = row["uptake_excess"]
    verdict = "an exception" if excess > 2 * row["grid_error"] else "within twice its discretisation error: none"
    return f"{row['point']}: by {100 * excess:.2g} %, discretisation error {100 * row['grid_error']:.2g} %, {verdict}"
