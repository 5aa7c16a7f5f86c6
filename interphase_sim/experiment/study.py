"""What a calibration leaves to show beside the judged table: a prediction test and its variants compared."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interphase_sim.experiment import observations
from interphase_sim.experiment.criteria import Limits
from interphase_sim.experiment.folder import data_file

Row = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """The tables of a calibration; nothing of them decides whether a must holds.

    prediction : rows (cell, quantity, cycle, measured, simulated = median, low, high) of the prediction from
        the bare cell alone
    rivals : rms deviation of simpler predictions of the same rows, by name [mAh/g]
    variants : rows (variant, free, rms, leave_one_out, leave_one_out_discharges, ce_bare, ce_coated, trends_failed,
        bounds_hold); one may have the role "shipped", one the role "empirical"
    """

    prediction: Sequence[Mapping[str, Any]] = ()
    rivals: Mapping[str, float] = field(default_factory=dict)
    variants: Sequence[Row] = ()

    def variant(self, role: str, key: str) -> float:
        """A number of the variant with a role; not-a-number without one."""
        values = (row.get(key) for row in self.variants if row.get("role") == role)
        return next((float(value) for value in values if value is not None), math.nan)


NO_STUDY = Study()


def load() -> Study:
    """The prediction and the variants that ship with the package, as far as there are any.

    The prediction is a list of rows, or an object with `rows` and `rivals`.
    """
    prediction, variants = _json("prediction"), _json("variants")
    table = prediction if isinstance(prediction, dict) else {"rows": prediction}
    return Study(table["rows"] or (), table.get("rivals", {}), variants or ())


def _json(name: str) -> Any:
    path = data_file(f"{name}.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def rows(study: Study) -> list[Row]:
    """The predicted rows of the report; `passes` tells whether the interval holds the measured value.

    The measured value is that of the data; the one that the prediction recorded where the data have none.
    """
    known = observations.capacities()
    return [_predicted(row, known.get((row["cell"], row["quantity"], row["cycle"]))) for row in study.prediction]


def _predicted(row: Mapping[str, Any], datum: observations.Observation | None) -> Row:
    measured = datum.value if datum else row["measured"]
    return {
        **{key: row[key] for key in ("cell", "quantity", "cycle")},
        "measured": measured,
        "simulated": row["simulated"],
        "unit": "mAh g-1",
        "passes": row["low"] <= measured <= row["high"],
        "predicted": True,
        "gate": False,
        "tolerance": None,
        "low": row["low"],
        "high": row["high"],
    }


def verdict(study: Study, width: Limits) -> Row | None:
    """The verdict on the prediction; None when there is none.

    "supported" only if the intervals of the later discharges hold the measured values and are as narrow as
    `width` asks [mAh/g], and the medians come closer than every rival.
    """
    late = [r for r in rows(study) if r["quantity"] == "discharge_capacity" and r["cycle"] > 1]
    if not late:
        return None
    widest = max(r["high"] - r["low"] for r in late)
    rms = float(np.sqrt(np.mean([(r["simulated"] - r["measured"]) ** 2 for r in rows(study)])))
    holds = all(r["passes"] for r in late)
    beats = bool(study.rivals) and all(rms < rival for rival in study.rivals.values())
    supported = holds and beats and width.judge(widest).holds
    return {
        "verdict": "supported" if supported else "not supported",
        "holds_measured": holds,
        "width_mAh_g": widest,
        "rms_mAh_g": rms,
        "rivals_mAh_g": dict(study.rivals),
        "beats_rivals": beats,
    }
