"""From measurements to the table: figures with must, goal and verdict, and what they are made of."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.store import Record
from benchmarks.tasks import CASE

Found = Mapping[str, Sequence[Record]]
NOT = math.nan


@dataclass(frozen=True)
class Figure:
    """One line of the acceptance table; ``more`` when a larger value is better."""

    text: str
    must: float
    goal: float
    reached: float
    unit: str = "x"
    more: bool = True
    median: float = NOT
    times: int = 0

    @property
    def verdict(self) -> str:
        """goal, must, missed or not measured."""
        if math.isnan(self.reached):
            return "not measured"
        sign = 1.0 if self.more else -1.0
        if sign * self.reached >= sign * self.goal:
            return "goal"
        return "must" if sign * self.reached >= sign * self.must else "**missed**"


def figures(found: Found, cycles: int, kernel_cycles: int) -> list[Figure]:
    """The acceptance table."""
    case = f"{CASE} {kernel_cycles}"
    kernel = f"solve kernel {case}"
    rows = [
        _ratio(found, "coupled SPMe, as fast as PyBaMM's default Experiment with SEI", 1.5, 2.5,
               "Experiment SPMe default, SEI", "coupled SPMe"),
        _ratio(found, "coupled SPMe, as fast as the tuned Experiment with SEI", 1.0, 1.5,
               "Experiment SPMe tuned, SEI", "coupled SPMe"),
        _ratio(found, "the same against default, contact as one column", 1.5, 2.5,
               "Experiment SPMe default, SEI", "column SPMe"),
        _ratio(found, "the same against tuned, contact as one column", 1.0, 1.5,
               "Experiment SPMe tuned, SEI", "column SPMe"),
        _ratio(found, "coupled DFN, as fast as the default Experiment with SEI", 1.5, 2.5,
               "Experiment DFN default, SEI", "coupled DFN"),
        _memory(found, "coupled DFN, peak memory", 600.0, 600.0, "coupled DFN"),
        _ratio(found, "jumps SPMe, as fast as every cycle solved", 5.0, 10.0, "coated SPMe", "coated SPMe jump"),
        _ratio(found, "jumps DFN, as fast as every cycle solved", 6.0, 10.0, "coated DFN", "coated DFN jump"),
        Figure("jumps, largest error of a capacity, bare and coated", 0.5, 0.5, jump_error(found), "mAh/g", False),
        _ratio(found, "kernel, as fast as SciPy LSODA banded, Numba", 8.0, 15.0, f"solve LSODA-numba {case}", kernel),
        _ratio(found, "kernel, as fast as SciPy LSODA banded, NumPy", 16.0, 40.0, f"solve LSODA-numpy {case}", kernel),
        _ratio(found, "kernel, as fast as SciPy BDF with sparsity, NumPy", 50.0, 100.0, f"solve BDF-numpy {case}",
               kernel),
        _ratio(found, "kernel, as fast as PyBaMM + IDAKLU", 12.0, 25.0, f"solve pybamm {case}", kernel),
        _share(found, "contacts' share of a coupled SPM run", "share SPM"),
        _share(found, "the same, contact as one column", "share SPM, column"),
        _overhead(found),
        _seconds(found, "`interphase-sim --help`", 0.4, 0.25, "command --help"),
        _seconds(found, "`interphase-sim info`", 0.6, 0.4, "command info"),
        _memory(found, f"peak memory, {cycles} cycles", 500.0, 400.0, "memory SPMe"),
        Figure("growth of peak memory to ten times the cycles", 5.0, 1.0, _growth(found), "%", False),
    ]  # fmt: skip
    return rows


def least(found: Found, name: str, key: str = "seconds") -> float:
    """The least of a task's measurements."""
    return min((float(record[key]) for record in found.get(name, ())), default=NOT)


def middle(found: Found, name: str, key: str = "seconds") -> float:
    """Their median."""
    values = [float(record[key]) for record in found.get(name, ())]
    return statistics.median(values) if values else NOT


def _times(found: Found, *names: str) -> int:
    return min(len(found.get(name, ())) for name in names)


def _ratio(found: Found, text: str, must: float, goal: float, peer: str, ours: str) -> Figure:
    return Figure(
        text, must, goal, least(found, peer) / least(found, ours),
        median=middle(found, peer) / middle(found, ours), times=_times(found, peer, ours),
    )  # fmt: skip


def _memory(found: Found, text: str, must: float, goal: float, name: str) -> Figure:
    values = [float(record["memory"]) for record in found.get(name, ())]
    worst = max(values, default=NOT)  # of memory the most counts
    return Figure(text, must, goal, worst, "MB", False, middle(found, name, "memory"), len(values))


def _seconds(found: Found, text: str, must: float, goal: float, name: str) -> Figure:
    return Figure(text, must, goal, least(found, name), "s", False, middle(found, name), _times(found, name))


def _share(found: Found, text: str, name: str) -> Figure:
    values = [100 * float(record["facts"]["share"]) for record in found.get(name, ())]
    low, mid = (min(values), statistics.median(values)) if values else (NOT, NOT)
    return Figure(text, 20.0, 10.0, low, "%", False, mid, len(values))


def _overhead(found: Found) -> Figure:
    text, alone = "second `interphase-sim run`, over import of pybamm and simulation alone", found.get("run alone", ())
    needed = [float(r["seconds"]) + float(r["facts"]["imports"]) for r in alone]
    low, mid = (min(needed), statistics.median(needed)) if needed else (NOT, NOT)
    n = _times(found, "run alone", "command run")
    return Figure(text, 1.4, 1.15, least(found, "command run") / low, "x", False, middle(found, "command run") / mid, n)


def _growth(found: Found) -> float:
    few = max((float(r["memory"]) for r in found.get("memory SPMe", ())), default=NOT)
    many = max((float(r["memory"]) for r in found.get("memory SPMe, long", ())), default=NOT)
    return 100 * (many / few - 1)


def jump_error(found: Found) -> float:
    """Largest difference of a discharge capacity between jumping and solving every cycle [mAh/g]."""
    worst = NOT
    for cell in ("bare", "coated"):
        full, jumped = found.get(f"{cell} SPMe", ()), found.get(f"{cell} SPMe jump", ())
        if not full or not jumped:
            return NOT
        pairs = zip(full[0]["facts"]["capacities"], jumped[0]["facts"]["capacities"], strict=True)
        error = max(abs(a - b) for a, b in pairs)
        worst = error if math.isnan(worst) else max(worst, error)
    return worst


def number(value: float, unit: str = "") -> str:
    """A value with three digits and its unit, a dash for what is not known."""
    if math.isnan(value):
        return "-"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text}{'' if unit in ('x', '%') else ' '}{unit}".strip()


def lines(
    found: Found, machine: Mapping[str, str], cycles: int, kernel_cycles: int, failed: Sequence[str]
) -> Iterator[str]:
    """The whole table in Markdown."""
    yield ", ".join(f"{name} {value}" for name, value in machine.items())
    loads = [float(record["load"]) for records in found.values() for record in records]
    if loads:
        yield ""
        yield f"Load of the machine while measuring: {min(loads):.1f} to {max(loads):.1f} (one process was ours)."
    yield from ("", "| figure | must | goal | reached | of medians | n | verdict |", "|---|---|---|---|---|---|---|")
    for row in figures(found, cycles, kernel_cycles):
        values = [number(value, row.unit) for value in (row.must, row.goal, row.reached, row.median)]
        yield f"| {row.text} | {' | '.join(values)} | {row.times or '-'} | {row.verdict} |"
    yield from _cells(found)
    yield from _kernels(found)
    yield from _scaling(found)
    if failed:
        yield from ("", f"Failed: {', '.join(failed)}.")


def _cells(found: Found) -> Iterator[str]:
    names = [name for name in found if _kind(found, name, "first")]
    if not names:
        return
    head = "| cell, cycles | min s | median s | cpu s | peak MB | n | first, last discharge mAh/g | ends at V |"
    yield from ("", head, "|---|---|---|---|---|---|---|---|")
    for name in names:
        facts, n = found[name][-1]["facts"], len(found[name])
        times = [number(v) for v in (least(found, name), middle(found, name), least(found, name, "cpu"))]
        status = "" if facts["status"] == "completed" else f" ({facts['status']})"
        peak = number(middle(found, name, "memory"))
        ends = ", ".join(f"{v:.3f}" for v in facts.get("voltages", ()))
        yield (
            f"| {name}, {facts['cycles']}{status} | {' | '.join(times)} | {peak} | {n} "
            f"| {facts['first']:.2f}, {facts['last']:.2f} | {ends or '-'} |"
        )


def _kind(found: Found, name: str, fact: str) -> bool:
    return bool(found[name]) and fact in found[name][-1]["facts"]


def _kernels(found: Found) -> Iterator[str]:
    names = [name for name in found if name.startswith("tune ") and found[name]]
    if not names:
        return
    head = "| solver, contact, cycles | tolerance | accuracy | asked | min s | median s | n | times the kernel |"
    yield from ("", head, "|---|---|---|---|---|---|---|---|")
    for name in names:
        facts, rest = found[name][-1]["facts"], name.removeprefix("tune ")
        _, scenario, cycles = rest.split()
        times = least(found, f"solve {rest}")
        ratio = times / least(found, f"solve kernel {scenario} {cycles}")
        numbers = [f"{facts[key]:.1e}" for key in ("tolerance", "error", "bound")]
        yield (
            f"| {rest} | {' | '.join(numbers)} | {number(times)} | {number(middle(found, f'solve {rest}'))} "
            f"| {len(found.get(f'solve {rest}', ()))} | {number(ratio, 'x')} |"
        )
    apart = [r["facts"]["references_apart"] for n in names for r in found[n] if "references_apart" in r["facts"]]
    if apart:
        yield from (
            "",
            f"Two references (LSODA on the spline, kernel on 4097 nodes, at 1e-9) differ by {max(apart):.1e} at most.",
        )
    if not any(name.startswith("tune fipy") for name in names):
        yield from ("", "FiPy: not installed.")
    yield from ("", "py-pde: no row; its grids are uniform, so that it cannot have the same mesh.")


def _scaling(found: Found) -> Iterator[str]:
    groups = ("cycles", "nodes", "contact", "unit cell")
    rows = [(group, name) for group in groups for name in found if name.startswith(f"{group} ") and found[name]]
    if not rows:
        return
    yield from ("", "| cost against | min s | median s | peak MB | n |", "|---|---|---|---|---|")
    for _, name in rows:
        values = [number(v) for v in (least(found, name), middle(found, name), middle(found, name, "memory"))]
        yield f"| {name} | {' | '.join(values)} | {len(found[name])} |"
