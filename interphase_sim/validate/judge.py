"""Judge two results by the criteria: numbers in, one report out, nothing simulated and nothing fitted."""

import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from interphase_sim import measured
from interphase_sim.errors import InputError
from interphase_sim.measured import Measured
from interphase_sim.scenario import Scenario
from interphase_sim.validate import closure
from interphase_sim.validate import quantities as q
from interphase_sim.validate import study as study_of
from interphase_sim.validate.criteria import Criteria, Criterion, Limits, Trend, Verdict, worst
from interphase_sim.validate.study import NO_STUDY, Study

SCHEMA_VERSION = 1
CELLS = ("bare", "coated")
CAPACITIES = ("charge_capacity", "discharge_capacity")

Row = dict[str, Any]


def judge(
    bare: xr.Dataset,
    coated: xr.Dataset,
    criteria: Criteria,
    wall_s: Mapping[str, float | None],
    study: Study = NO_STUDY,
    resolved: xr.Dataset | None = None,
) -> Row:
    """The report on the results of both cells: ready for JSON, None for what is not available.

    wall_s : setup, bare and coated, and the resolved one if there is one [s]
    study : what to show beside it; the prediction and the errors of the variants count for the goal
    resolved : the coated cell with its contact resolved, for the closure to be held against

    Raises InputError if the scenario that a result carries cannot be read.
    """
    cells = {"bare": bare, "coated": coated}
    scenarios = {cell: scenario_of(ds) for cell, ds in cells.items()}
    rows = [*_rows(cells, criteria)]
    free = q.free_parameters(scenarios)
    prediction = study_of.verdict(study, criteria.criteria["prediction"].goal or Limits())
    values = _values(cells, rows, len(free), study) | _predicted(prediction)
    judged = [_judged(name, row, values[name]) for name, row in criteria.criteria.items()]
    found = q.trends(cells)
    trends = [_trend(name, row, found[name]) for name, row in criteria.trends.items()]
    known = q.bounds(cells, scenarios)
    bounds = [_judged(name, row, known[name]) for name, row in criteria.bounds.items()]
    beside = _closure(coated, resolved, criteria) if resolved is not None else None
    compared = beside["criteria"] if beside else []
    failing = [
        *_failing(rows, "passes"),
        *_failing((*judged, *compared, *bounds), "passes"),
        *_failing(trends, "holds"),
    ]
    goals = [r["passes_goal"] for r in (*judged, *compared, *trends)]
    passes = not failing
    return {
        "schema_version": SCHEMA_VERSION,
        "passes": passes,
        "gate_passes": not any(row["gate"] for row in failing),
        "failing": failing,
        "passes_goal": passes and all(passed is not False for passed in goals),
        "capacity_rms_mAh_g": number(values["capacity_rms"]),
        "capacity_max_abs_mAh_g": number(values["capacity_max_abs"]),
        "rows": [*rows, *study_of.rows(study)],
        "ce_mean_39_200": {cell: number(q.mean_efficiency(ds)) for cell, ds in cells.items()}
        | {"difference": number(values["ce_mean_difference"])},
        "criteria": judged,
        "trends": [*trends, *_built_in(criteria)],
        "bounds": bounds,
        "closure": beside,
        "coverage": _coverage(coated),
        "free_parameters": free,
        "losses": {cell: _losses(ds) for cell, ds in cells.items()},
        "external_check": _external_check(cells, criteria.external_check),
        "prediction": prediction,
        "variants": [*study.variants],
        "status": {cell: str(ds.attrs["status"]) for cell, ds in cells.items()},
        "wall_s": {name: number(seconds) for name, seconds in wall_s.items()},
        "warnings": {cell: json.loads(ds.attrs["warnings"]) for cell, ds in cells.items()},
    }


def _failing(rows: Iterable[Row], verdict: str) -> Iterator[Row]:
    """The rows whose must fails, by name, and whether they are gated."""
    for row in rows:
        if row[verdict] is False:
            name = row["id"] if "id" in row else f"{row['cell']} {row['quantity']} {row['cycle']}"
            yield {"id": name, "gate": row["gate"]}


def _closure(coated: xr.Dataset, resolved: xr.Dataset, criteria: Criteria) -> Row:
    """The closure beside the resolved contact: the measured capacities, and the largest differences judged."""
    found = closure.differences(coated, resolved)
    known = closure.rows(coated, resolved, measured.capacities())
    rows = [{key: number(value) if isinstance(value, float) else value for key, value in row.items()} for row in known]
    judged = [_judged(f"closure_{name}", row, found[name]) for name, row in criteria.closure.items()]
    return {"rows": rows, "criteria": judged}


def scenario_of(ds: xr.Dataset) -> Scenario:
    """The scenario that a result carries."""
    where = f"scenario stored with the result of {ds.attrs['name']}"
    try:
        table = tomllib.loads(str(ds.attrs["scenario"]))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not valid TOML: {error}") from None
    return Scenario.from_dict(table, where=where)


def number(value: float | None) -> float | None:
    """The value for JSON: None for what is not available."""
    return float(value) if value is not None and math.isfinite(value) else None


def _rows(cells: q.Cells, criteria: Criteria) -> Iterator[Row]:
    """Every measured number of one cell beside the simulated one."""
    for row in measured.capacities():
        for cell in CELLS if row.cell == "both" else (row.cell,):
            if cell in CELLS:
                yield _row(row, cell, cells[cell], _criterion_of(row, criteria))


def _criterion_of(row: Measured, criteria: Criteria) -> Criterion | None:
    """The criterion that states how far the simulated number may lie off; None where the number is shown alone."""
    if row.quantity in CAPACITIES:
        late = (row.cell, row.quantity, row.cycle) == ("bare", "discharge_capacity", q.LAST)
        return criteria.criteria["capacity_bare_200" if late else "capacity_max_abs"]
    return criteria.criteria["first_cycle_efficiency"] if row.cycle == 1 else None


def _row(row: Measured, cell: str, ds: xr.Dataset, criterion: Criterion | None) -> Row:
    tolerance = criterion.must if criterion else None
    read = q.delivered if row.quantity in CAPACITIES else q.at
    simulated = read(ds, row.quantity, row.cycle)
    reached = row.cycle in ds["cycle"].values
    passes = None if tolerance is None else reached and tolerance.judge(abs(simulated - row.value)).holds
    return {
        "cell": cell,
        "quantity": row.quantity,
        "cycle": row.cycle,
        "measured": row.value,
        "simulated": number(simulated),
        "unit": row.unit,
        "passes": passes,
        "gate": criterion is not None and criterion.gate,
        "predicted": False,
        "tolerance": tolerance.at_most if tolerance else None,
    }


def _deviations(rows: Sequence[Row], *quantities: str, cycle: int | None = None) -> np.ndarray[Any, Any]:
    """Simulated less measured of the given quantities, not-a-number where nothing was simulated."""
    chosen = [r for r in rows if r["quantity"] in quantities and cycle in (None, r["cycle"])]
    return np.array([math.nan if r["simulated"] is None else r["simulated"] - r["measured"] for r in chosen])


def _values(cells: q.Cells, rows: Sequence[Row], fitted: int, study: Study) -> dict[str, float]:
    """The numbers of the criteria but the prediction's, by name."""
    off = _deviations(rows, *CAPACITIES)
    bare_200 = _deviations([r for r in rows if r["cell"] == "bare"], "discharge_capacity", cycle=q.LAST)
    first = _deviations(rows, "coulombic_efficiency", cycle=1)
    mean = {cell: q.mean_efficiency(ds) for cell, ds in cells.items()}
    own = study.variant("shipped", "leave_one_out")
    return {
        "capacity_rms": float(np.sqrt(np.mean(off**2))),
        "capacity_max_abs": float(np.abs(off).max()),
        "capacity_bare_200": float(np.abs(bare_200).max()),
        # The variants' table counts switches that were chosen too.
        "free_numbers": float(np.fmax(fitted, study.variant("shipped", "free"))),
        "leave_one_out": own,
        "empirical_law": q.ratio(
            *(study.variant(role, "leave_one_out_discharges") for role in ("shipped", "empirical"))
        ),
        "first_cycle_efficiency": float(np.abs(first).max()),
        "ce_mean_coated": mean["coated"],
        "ce_mean_difference": mean["coated"] - mean["bare"],
        "ce_smoothness": float(np.max([q.kink(ds) for ds in cells.values()])),
    }


def _predicted(prediction: Row | None) -> dict[str, float]:
    """Width of the predicted intervals [mAh/g], of worth only if they hold the measured values."""
    holds = prediction is not None and prediction["holds_measured"]
    return {"prediction": prediction["width_mAh_g"] if prediction and holds else math.nan}


def _judged(name: str, row: Criterion, value: float) -> Row:
    """A criterion with its verdicts: passes is None without a must, passes_goal without any limit."""
    must = row.must.judge(value).holds if row.must else None
    goal = row.goal.judge(value).holds if row.goal else must
    return {
        "id": name,
        "value": number(value),
        "unit": row.unit,
        "must": str(row.must) if row.must else None,
        "goal": str(row.goal) if row.goal else None,
        "passes": must,
        "gate": row.gate,
        "passes_goal": goal,
        "meaning": row.meaning,
        "source": row.source,
    }


def _trend(name: str, row: Trend, values: Mapping[str, Sequence[float]]) -> Row:
    """A trend by its worst condition: the one that fails, or comes closest to its limit."""
    conditions = {name: _condition(limits, values[name]) for name, limits in row.must.items()}
    must = worst(conditions.values())
    goals = [_condition(limits, values[name]).holds for name, limits in row.goal.items()]
    return {
        "id": name,
        "holds": must.holds,
        "gate": row.gate,
        "value": number(must.value),
        "threshold": must.threshold,
        "margin": number(must.margin),
        "conditions": [
            {"name": name, "value": number(verdict.value), "must": str(row.must[name])}
            | {"goal": str(row.goal[name]) if name in row.goal else None}
            for name, verdict in conditions.items()
        ],
        "passes_goal": must.holds and all(goals),
        "meaning": row.meaning,
        "source": row.source,
    }


def _condition(limits: Limits, values: Sequence[float]) -> Verdict:
    return worst(limits.judge(value) for value in values)


def _built_in(criteria: Criteria) -> Iterator[Row]:
    for name, meaning in criteria.built_in.items():
        empty = dict.fromkeys(("holds", "value", "threshold", "margin", "passes_goal"))
        yield {"id": name, **empty, "gate": False, "conditions": [], "meaning": meaning, "source": "built in"}


def _coverage(coated: xr.Dataset) -> Row:
    initial, last = q.coverage(coated, 0), q.coverage(coated, q.LAST)
    return {"initial": number(initial), "cycle_200": number(last), "kept": number(q.ratio(last, initial))}


def _losses(ds: xr.Dataset) -> Row:
    """Capacity lost since the reference cycle by output cycle and channel [mAh g-1]."""
    lost = ds["capacity_loss"]
    return {
        str(cycle): {str(c): number(float(lost.sel(output_cycle=cycle, channel=c))) for c in lost["channel"].values}
        for cycle in lost["output_cycle"].values
    }


def _external_check(cells: q.Cells, check: Mapping[str, Any]) -> Row:
    simulated = q.at(cells[check["cell"]], check["quantity"], check["cycle"])
    return {**check, "simulated": number(simulated), "passes": None}
