"""What the runs of a point say: which picture of the contact holds, when layers merge and gaps close, how the fade
turns, how good the closure is, and whether the uptake keeps its bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from validation.particulate.points import Point

Array = npt.NDArray[np.float64]
Record = Mapping[str, Any]

RESISTANCE, CAPACITY, AMOUNT = 0.05, 1.0, 0.05  # what holds: relative, mAh/g, relative
CONVERTED, LEVEL = 0.5, 0.5  # of the electrolyte, and thinnest over thickest place, from which layers have merged
TRACE = 0.01  # of the largest amount: what stays below is a trace, told apart
EVENT = 0.02  # growth of the resistance in one cycle that belongs to percolation
LATE = 1.5  # fade after the knee over the fade before it, from which the onset is late
SPAN = 5  # cycles over which the steepest fade is taken
EARLIEST = 3  # cycles on either side of a knee at least
SLACK = 1e-3  # of an uptake: tolerance of the replays' steps, which alone can lift it over a bound


def arrays(record: Record, name: str) -> Array:
    """A series of a run, cycle 0 first."""
    return np.asarray(record[name], dtype=np.float64)


def crossing(values: Array, threshold: float) -> float:
    """Cycle from which on the values reach the threshold, interpolated; 0 from the start, infinity not at all."""
    below = np.flatnonzero(~(values >= threshold))
    if not below.size:
        return 0.0
    last = int(below[-1])
    if last == values.size - 1:
        return math.inf
    low, high = values[last], values[last + 1]
    return float(last + (threshold - low) / (high - low)) if np.isfinite(low) else float(last + 1)


def merged(run: Record) -> tuple[float, float]:
    """Cycles from which the layers above the coating are one, and from which they are level.

    One: everywhere right above the coating, at least half of the electrolyte is converted. Level: the layer above
    the coating is nowhere thinner than half of its greatest thickness.
    """
    shape = run["shape"]
    return crossing(arrays(shape, "least"), CONVERTED), crossing(arrays(shape, "levelness"), LEVEL)


def closed(run: Record, covered: float) -> float:
    """Cycle from which the current prefers the coating to the gap: the gap's resistance is above the coating's.

    covered: share of the contact under coating; both resistances per contact area, compared by their logarithms.
    """
    return _outgrown(arrays(run["shape"], "through_gap"), run["coating"] / covered)


def sealed(run: Record, covered: float) -> float:
    """Cycle from which the layer above the coating resists more than the coating: no conducting way leads through
    it beside the gaps any more, and the film resistance is that of a closed layer."""
    return _outgrown(arrays(run["shape"], "over_coating"), run["coating"] / covered)


def _outgrown(resistance: Array, coating: float) -> float:
    return crossing(np.log(np.maximum(resistance, 1e-9 * coating) / coating), 0.0)


class Deviation(NamedTuple):
    """Largest deviation of a run from the resolved one: film resistance outside and at the percolation event [1],
    delay of the event [cycles], amounts and those of traces [1], discharge capacity [mAh/g], and over all cycles the
    resistance [1]."""

    outside: float
    event: float
    delay: float
    amounts: float
    traces: float
    capacity: float
    resistance: float

    @property
    def holds(self) -> bool:
        """Whether resistance and capacity agree over all cycles."""
        return self.resistance <= RESISTANCE and self.capacity <= CAPACITY


def deviation(run: Record, resolved: Record) -> Deviation:
    """How far a run is from the resolved one over the cycles that either has; one that ends early is infinitely far."""
    own, true = (arrays(r, "film_resistance") for r in (run, resolved))
    if own.size != true.size:
        return Deviation(*[math.inf] * 7)
    found = np.abs(own / true - 1.0)
    at = percolating(true) | percolating(own)
    capacity = np.abs(arrays(run, "discharge_capacity") - arrays(resolved, "discharge_capacity"))[1:]
    return Deviation(
        float(found[~at].max(initial=0.0)),
        float(found[at].max(initial=0.0)),
        _delay(own, true, at),
        *_amounts(run, resolved),
        float(capacity.max(initial=0.0)),
        float(found.max()),
    )


def percolating(resistance: Array) -> npt.NDArray[np.bool_]:
    """Cycles in which, or right after or before which, the resistance grows faster than by ``EVENT``."""
    fast = np.concatenate(([False], np.diff(np.log(resistance)) > EVENT))
    wide = fast.copy()
    wide[:-1] |= fast[1:]
    wide[1:] |= fast[:-1]
    return wide


def _delay(own: Array, true: Array, at: npt.NDArray[np.bool_]) -> float:
    """Cycles by which one resistance passes the middle of the event after the other; 0 if it does not double there."""
    inside = np.flatnonzero(at)
    if not inside.size:
        return 0.0
    if true[inside[-1]] < 2 * true[inside[0]]:
        return 0.0
    middle = math.sqrt(float(true[inside[0]]) * float(true[inside[-1]]))
    return crossing(own, middle) - crossing(true, middle) if own.max() >= middle <= true.max() else math.inf


def _amounts(run: Record, resolved: Record) -> tuple[float, float]:
    """Largest relative deviation of the NCM's amounts over cycles: of what is more than a trace, and of traces."""
    series = {name: np.asarray(values, dtype=np.float64) for name, values in resolved["amounts"].items()}
    largest = max(float(values[-1]) for values in series.values())
    worst = {False: 0.0, True: 0.0}
    for name, true in series.items():
        there, trace = true > 0, float(true[-1]) < TRACE * largest
        off = np.abs(np.asarray(run["amounts"][name])[there] / true[there] - 1.0)
        worst[trace] = max(worst[trace], float(off.max(initial=0.0)))
    return worst[False], worst[True]


def regime(mixed: Deviation, separate: Deviation) -> str:
    """Which simple picture agrees with the resolved contact over all cycles."""
    held = [name for name, found in (("mixed", mixed), ("separate", separate)) if found.holds]
    return "both" if len(held) == 2 else held[0] if held else "neither"


class Knee(NamedTuple):
    """Where a fade turns: cycle, and the loss per cycle before and after it [mAh/g]."""

    cycle: float
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """Fade after over before; above ``LATE`` the onset is late."""
        return self.after / self.before if self.before > 0 else math.inf


def knee(capacity: Array) -> Knee:
    """The two straight lines, joined at a cycle, that fit a capacity over cycles 1, 2, ... best."""
    n = np.arange(1.0, capacity.size + 1.0)
    best, found = math.inf, Knee(math.nan, math.nan, math.nan)
    for turn in n[EARLIEST - 1 : -EARLIEST + 1]:
        lines = np.column_stack((np.ones_like(n), np.minimum(n - turn, 0.0), np.maximum(n - turn, 0.0)))
        fit = np.linalg.lstsq(lines, capacity, rcond=None)[0]
        off = float(np.sum((lines @ fit - capacity) ** 2))
        if off < best:
            best, found = off, Knee(float(turn), -float(fit[1]), -float(fit[2]))
    return found


def steepest(capacity: Array) -> tuple[float, float]:
    """Largest mean loss per cycle over ``SPAN`` cycles after the first as many, and the cycle in their middle."""
    loss = (capacity[SPAN:-SPAN] - capacity[2 * SPAN :]) / SPAN
    if not loss.size:
        return math.nan, math.nan
    worst = int(loss.argmax())
    return float(loss[worst]), worst + 1 + 1.5 * SPAN


def fade_around(capacity: Array, cycle: float) -> tuple[float, float]:
    """Mean loss per cycle before and after a cycle [mAh/g], cycle 1 first; not-a-number where too few are left."""
    n = np.arange(1.0, capacity.size + 1.0)
    return tuple(_slope(n[side], capacity[side]) for side in (n <= cycle, n >= cycle))  # type: ignore[return-value]


def _slope(n: Array, capacity: Array) -> float:
    return float((capacity[0] - capacity[-1]) / (n[-1] - n[0])) if n.size >= EARLIEST else math.nan


class Bounds(NamedTuple):
    """Uptake over the lower and over the upper bound: the cycle-wise least and greatest ratio."""

    over_lower: float
    over_upper: float

    @property
    def excess(self) -> float:
        """By how much the uptake leaves its bounds, relative; negative inside."""
        return max(1.0 / self.over_lower, self.over_upper) - 1.0

    @property
    def hold(self) -> bool:
        """Whether the uptake keeps its bounds within the accuracy of its steps in time."""
        return self.excess <= SLACK


def bounds(replay: Record) -> Bounds:
    """The uptake of a replay against no lateral flux and against lateral mixing without constriction."""
    lateral = replay["lateral"]
    as_is, low, high = (arrays(lateral[name], "uptake") for name in ("as it is", "none", "infinite"))
    return Bounds(float((as_is / low).min()), float((as_is / high).max()))


def discretisation(replay: Record, finer: Record) -> float:
    """Largest relative change of the uptake, of any of its bounds too, on a grid of half the widths."""
    return max(
        float(np.abs(arrays(coarse, "uptake") / arrays(finer["lateral"][name], "uptake") - 1.0).max())
        for name, coarse in replay["lateral"].items()
    )


def row(point: Point, runs: Mapping[str, Record]) -> dict[str, Any]:
    """A line of the table; runs by contact, with "replay" and, where the bounds fail, "finer"."""
    resolved, replay = runs["resolved"], runs["replay"]
    capacity, layer = arrays(resolved, "discharge_capacity")[1:], arrays(resolved, "layer_thickness")
    off = {name: deviation(runs[name], resolved) for name in ("closure", "mixed", "separate")}
    one, level = merged(resolved)
    turn, steep, kept = knee(capacity), steepest(capacity), bounds(replay)
    shut = sealed(resolved, point.coverage)
    around = [fade_around(capacity, cycle) for cycle in (one, shut)]
    lateral = replay["lateral"]
    return described(point) | {
        "status": resolved["status"],
        "regime": regime(off["mixed"], off["separate"]),
        "nearer": min(("mixed", "separate"), key=lambda name: off[name].capacity),
        **{f"layer_over_distance_{n}": at(layer, n) / (2 * point.disc) for n in (1, 50, 200)},
        "merged_cycle": one,
        "level_cycle": level,
        "gap_closed_cycle": closed(resolved, point.coverage),
        "layer_sealed_cycle": shut,
        "fade_before_merging": around[0][0],
        "fade_after_merging": around[0][1],
        "fade_before_sealing": around[1][0],
        "fade_after_sealing": around[1][1],
        "knee_cycle": turn.cycle,
        "fade_before_knee": turn.before,
        "fade_after_knee": turn.after,
        "late_onset": turn.ratio,
        "steepest_fade": steep[0],
        "steepest_cycle": steep[1],
        **{f"capacity_{n}": at(capacity, n - 1) for n in (1, 50, 100, 200)},
        **{f"resistance_{n}": at(arrays(resolved, "film_resistance"), n) for n in (1, 50, 200)},
        "closure_amounts": off["closure"].amounts,
        "closure_traces": off["closure"].traces,
        "closure_resistance_outside_event": off["closure"].outside,
        "closure_resistance_at_event": off["closure"].event,
        "closure_delay_of_event": off["closure"].delay,
        "closure_capacity": off["closure"].capacity,
        **{f"{name}_{key}": getattr(off[name], key) for name in ("mixed", "separate") for key in _SIMPLE},
        "uptake_over_lower": kept.over_lower,
        "uptake_over_upper": kept.over_upper,
        "uptake_excess": kept.excess,
        "bounds_hold": kept.hold,
        "grid_error": discretisation(replay, runs["finer"]) if "finer" in runs else math.nan,
        "resistance_over_no_lateral": _last(lateral, "none"),
        "resistance_over_mixing": _last(lateral, "infinite"),
    }


_SIMPLE = ("resistance", "amounts", "capacity")


def described(point: Point) -> dict[str, Any]:
    """The first columns of a line: the point itself, lengths in nm."""
    return {
        "point": point.name,
        "coverage": point.coverage,
        "size_nm": point.size * 1e9,
        "thickness_nm": point.thickness * 1e9,
        "film": point.film,
        "gap_radius_nm": point.gap * 1e9,
        "gap_distance_nm": 2 * point.disc * 1e9,
    }


def at(series: Array, cycle: int) -> float:
    """The value of a cycle, not-a-number past the end."""
    return float(series[cycle]) if cycle < series.size else math.nan


def _last(lateral: Mapping[str, Record], bound: str) -> float:
    as_is, other = (arrays(lateral[name], "resistance")[-1] for name in ("as it is", bound))
    return float(as_is / other)
