"""Judge two results by the criteria: numbers in, one report out, nothing simulated and nothing fitted."""

import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from interphase_sim.errors import InputError
from interphase_sim.experiment import closure, observations, scenarios
from interphase_sim.experiment import observables as q
from interphase_sim.experiment import study as study_of
from interphase_sim.experiment.comparisons import Read
from interphase_sim.experiment.criteria import Criteria, Criterion, Limits, Trend, Verdict, worst
from interphase_sim.experiment.observations import BOTH, CAPACITIES, CELLS, Observation, Statement
from interphase_sim.experiment.study import NO_STUDY, Study
from interphase_sim.scenario import Scenario

SCHEMA_VERSION = 1
_COUNT = "{capacities}"

Cells = Mapping[str, xr.Dataset]
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
    own = {cell: scenario_of(ds) for cell, ds in cells.items()}
    statements = _statements(criteria)
    rows = [*_rows(cells, criteria)]
    read = _reader(cells)
    free = scenarios.free_parameters(own)
    prediction = study_of.verdict(study, criteria.criteria["prediction"].goal or Limits())
    values = _values(cells, rows, len(free), study) | _predicted(prediction) | scenarios.bounds(own)
    count = sum(row["quantity"] in CAPACITIES for row in rows)

    def judge_all(known: Mapping[str, Criterion]) -> list[Row]:
        return [_judged(name, row, values.get(name, row.value(read)), count) for name, row in known.items()]

    judged, bounds = judge_all(criteria.criteria), judge_all(criteria.bounds)
    trends = [_trend(name, row, row.values(read), statements[name]) for name, row in criteria.trends.items()]
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
        | {"difference": number(q.mean_efficiency(coated) - q.mean_efficiency(bare))},
        "criteria": judged,
        "trends": [*trends, *_not_judged(criteria, statements)],
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
    known = closure.rows(coated, resolved, observations.load())
    rows = [{key: number(value) if isinstance(value, float) else value for key, value in row.items()} for row in known]
    judged = [_judged(f"closure_{name}", row, found.get(name, math.nan)) for name, row in criteria.closure.items()]
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


def _reader(cells: Cells) -> Read:
    return lambda cell, name, cycle: q.OBSERVABLES[name].read(cells[cell], cycle)


def _statements(criteria: Criteria) -> dict[str, Statement]:
    """The measured trends. Raises InputError if one that is judged was not measured."""
    found = observations.trends()
    missing = [name for name in (*criteria.trends, *criteria.built_in) if name not in found]
    if missing:
        raise InputError(f"{observations.TREND_FILE}: no trend {', '.join(missing)}, which the criteria name")
    return found


def _rows(cells: Cells, criteria: Criteria) -> Iterator[Row]:
    """Every measured number of one cell beside the simulated one."""
    for row in observations.load():
        for cell in CELLS if row.cell == BOTH else (row.cell,):
            if cell in CELLS:
                yield _row(row, cell, cells[cell], criteria.criteria.get(row.criterion))


def _row(row: Observation, cell: str, ds: xr.Dataset, criterion: Criterion | None) -> Row:
    tolerance = criterion.must if criterion else None
    simulated = q.OBSERVABLES[row.quantity].read(ds, row.cycle)
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
        "criterion": row.criterion or None,
    }


def _deviations(rows: Iterable[Row]) -> np.ndarray[Any, Any]:
    """Simulated less measured, not-a-number where nothing was simulated."""
    return np.array([math.nan if r["simulated"] is None else r["simulated"] - r["measured"] for r in rows])


def _largest(deviations: np.ndarray[Any, Any]) -> float:
    return float(np.abs(deviations).max()) if deviations.size else math.nan


def _values(cells: Cells, rows: Sequence[Row], fitted: int, study: Study) -> dict[str, float]:
    """The numbers of the criteria that are no comparison of observables but the prediction's, by name."""
    off = _deviations(r for r in rows if r["quantity"] in CAPACITIES)
    own = study.variant("shipped", "leave_one_out")
    return {
        "capacity_rms": float(np.sqrt(np.mean(off**2))) if off.size else math.nan,
        "capacity_max_abs": _largest(off),
        **{
            name: _largest(_deviations(r for r in rows if r["criterion"] == name))
            for name in ("capacity_bare_200", "first_cycle_efficiency")
        },
        # The variants' table counts switches that were chosen too.
        "free_numbers": float(np.fmax(fitted, study.variant("shipped", "free"))),
        "leave_one_out": own,
        "empirical_law": q.ratio(
            *(study.variant(role, "leave_one_out_discharges") for role in ("shipped", "empirical"))
        ),
        "ce_smoothness": float(np.max([q.kink(ds) for ds in cells.values()])),
    }


def _predicted(prediction: Row | None) -> dict[str, float]:
    """Width of the predicted intervals [mAh/g], of worth only if they hold the measured values."""
    holds = prediction is not None and prediction["holds_measured"]
    return {"prediction": prediction["width_mAh_g"] if prediction and holds else math.nan}


def _judged(name: str, row: Criterion, value: float, capacities: int = 0) -> Row:
    """A criterion with its verdicts: passes is None without a must, passes_goal without any limit.

    capacities : how many were measured, for its words
    """
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
        "meaning": row.meaning.replace(_COUNT, str(capacities)),
        "source": row.source.replace(_COUNT, str(capacities)),
    }


def _trend(name: str, row: Trend, values: Mapping[str, Sequence[float]], seen: Statement) -> Row:
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
        "source": f"{seen.method}, {seen.place}",
        **seen._asdict(),
    }


def _condition(limits: Limits, values: Sequence[float]) -> Verdict:
    return worst(limits.judge(value) for value in values)


def _not_judged(criteria: Criteria, statements: Mapping[str, Statement]) -> Iterator[Row]:
    """Trends that the model has by construction, and those that no criterion is for."""
    empty = dict.fromkeys(("holds", "value", "threshold", "margin", "passes_goal"))
    for name, seen in statements.items():
        if name not in criteria.trends:
            meaning = criteria.built_in.get(name, seen.statement)
            source = "built in" if name in criteria.built_in else f"{seen.method}, {seen.place}"
            row: Row = {"id": name, **empty, "gate": False, "conditions": [], "meaning": meaning, "source": source}
            yield row | seen._asdict()


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


def _external_check(cells: Cells, check: Mapping[str, Any]) -> Row:
    simulated = q.at(cells[check["cell"]], check["quantity"], check["cycle"])
    return {**check, "simulated": number(simulated), "passes": None}
