"""The report as one table for reading: colours on a terminal, plain text in a pipe."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
Cells = tuple[Any, ...]

_PLAIN_WIDTH = 120  # columns of a pipe
_QUANTITIES = {
    "charge_capacity": "charge",
    "discharge_capacity": "discharge",
    "coulombic_efficiency": "efficiency",
}
_SHOWN = (  # columns of the variants, as far as there are any
    "free",
    "rms",
    "leave_one_out",
    "leave_one_out_discharges",
    "ce_bare",
    "ce_coated",
    "trends_failed",
    "bounds_hold",
)
_MISSED = "*"  # after a mark: the goal is missed


def print_table(report: Row) -> None:
    """Print the report on stdout: what was measured, what was simulated, and whether it is good enough."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    console.print(_table(report, framed=console.is_terminal))
    if report["variants"]:
        console.print(_variants(report["variants"], framed=console.is_terminal))
    for line in _notes(report):
        console.print(Text(line), soft_wrap=True)
    for verdict in _verdict(report):
        console.print(verdict, soft_wrap=True)


def _table(report: Row, *, framed: bool) -> Table:
    table = Table("", box=box.SIMPLE_HEAD if framed else None, pad_edge=False, padding=(0, 0, 0, 1))
    for title in ("measured", "simulated", "must", "goal"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("passes", no_wrap=True)
    table.add_column("gate", no_wrap=True)
    free = report["free_parameters"]
    sections = {
        "Measured and simulated": [_measured_cells(r) for r in report["rows"]],
        f"Criteria ({_MISSED} goal missed; gate: decides the exit code)": [
            _criterion_cells(r) for r in report["criteria"]
        ],
        "Trends": [_trend_cells(r) for r in report["trends"]],
        **_closure_section(report["closure"]),
        "Bounds of every fit": [_criterion_cells(r) for r in report["bounds"]],
        f"Free parameters: {len(free)} fitted": [_parameter_cells(p) for p in free],
        "External check, not judged": [_external_cells(report["external_check"])],
    }
    for title, rows in sections.items():
        table.add_row(Text(title, style="bold"))
        for first, *rest in rows:
            table.add_row(Padding(Text(first), (0, 0, 0, 2)), *rest)
        table.add_row()
    return table


def _gate(must: bool | None, gate: bool) -> str:
    """Whether a must decides the exit code; nothing where there is no must."""
    if gate:
        return "gate"
    return "" if must is None else "open"


def _closure_section(beside: Row | None) -> dict[str, list[Cells]]:
    """Simulated with the closure and, in the column of the goal, with the contact resolved."""
    if beside is None:
        return {}
    rows = [
        (
            f"coated, {_QUANTITIES[r['quantity']]} at cycle {r['cycle']} [mAh/g]",
            _digits(r["measured"]),
            _digits(r["closure"]),
            "resolved:",
            _digits(r["resolved"]),
            _mark(None),
        )
        for r in beside["rows"]
    ]
    return {"Closure beside the resolved contact": [*rows, *(_criterion_cells(r) for r in beside["criteria"])]}


def _measured_cells(row: Row) -> Cells:
    name = f"{row['cell']}, {_QUANTITIES[row['quantity']]} at cycle {row['cycle']}"
    must = "" if row["tolerance"] is None else f"+- {row['tolerance']:g}"
    interval = ""
    if row["predicted"]:
        name += ", predicted from bare"
        interval = f"{row['low']:.0f} to {row['high']:.0f}"
    name = _with_unit(name, row["unit"].replace(" g-1", "/g"))
    return (
        name,
        _digits(row["measured"]),
        _digits(row["simulated"]),
        must,
        interval,
        _mark(row["passes"]),
        _gate(row["passes"] if row["tolerance"] else None, row["gate"]),
    )


def _criterion_cells(row: Row) -> Cells:
    name, mark = _with_unit(row["meaning"], row["unit"]), _mark(row["passes"], row["passes_goal"])
    return (
        name,
        "",
        _digits(row["value"]),
        row["must"] or "",
        row["goal"] or "",
        mark,
        _gate(row["passes"], row["gate"]),
    )


def _trend_cells(row: Row) -> Cells:
    """One line for each condition, by name where there are several."""
    name, conditions = f"{row['id']} {row['meaning']}", row["conditions"]
    if not conditions:
        return name, "", "", "built in" if row["source"] == "built in" else "not judged", "", _mark(None)
    columns = (
        [_digits(c["value"]) for c in conditions],
        [c["must"] for c in conditions],
        [c["goal"] or "" for c in conditions],
    )
    return (
        name,
        "",
        *("\n".join(lines) for lines in columns),
        _mark(row["holds"], row["passes_goal"]),
        _gate(row["holds"], row["gate"]),
    )


def _parameter_cells(row: Row) -> Cells:
    spread = f"+- {row['uncertainty']:.2g}" if row["uncertainty"] is not None else ""
    return _with_unit(row["name"], row["unit"]), "", _digits(row["value"]), "", spread, ""


def _external_cells(row: Row) -> Cells:
    name = _with_unit(f"{row['cell']}, {row['quantity']} at cycle {row['cycle']}", row["unit"])
    return (
        f"{name}; {row['source']}",
        _digits(row["measured"]),
        _digits(row["simulated"]),
        "",
        "",
        _mark(None),
    )


def _with_unit(name: str, unit: str) -> str:
    return name if unit in ("", "1") else f"{name} [{unit}]"


def _digits(value: float | None) -> str:
    """Four digits; "-" for what is not available."""
    return "-" if value is None else f"{value:.4g}"


def _mark(must: bool | None, goal: bool | None = None) -> Text:
    """yes, NO or - in its colour, and whether the goal is missed where the must does not say so."""
    shown = (goal or None) if must is None else must
    text, style = {True: ("yes", "green"), False: ("NO", "bold red"), None: ("-", "")}[shown]
    return Text(text + _MISSED * (goal is False and must is not False), style=style)


def _variants(variants: Iterable[Row], *, framed: bool) -> Table:
    rows = [*variants]
    keys = ["variant", *(key for key in _SHOWN if any(key in row for row in rows))]
    table = Table(title="Variants of the loss channels", box=box.SIMPLE_HEAD if framed else None, title_justify="left")
    for key in keys:
        name = key == "variant"
        # In a pipe every row is one line with its whole name.
        longest = max(map(len, key.split("_")))  # of a head that wraps; a word cut short ends in a letter beyond ASCII
        table.add_column(
            key.replace("_", " "),
            justify="left" if name else "right",
            no_wrap=name and not framed,
            min_width=longest,
        )
    for row in rows:
        shipped = " (shipped)" if row.get("role") == "shipped" else ""
        first, *rest = (Text(_cell(row.get(key))) for key in keys)
        table.add_row(first + Text(shipped), *rest)
    return table


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _notes(report: Row) -> Iterator[str]:
    for cell, status in report["status"].items():
        yield f"{cell}: {status}{_lost(report['losses'][cell])}"
    for cell, same in report.get("shipped_scenario", {}).items():
        if not same:
            yield f"{cell}: stored result of another scenario than the one shipped as {cell}"
    for cell, warnings in report["warnings"].items():
        yield from (f"{cell}: warning, {text}" for text in warnings)
    prediction = report["prediction"]
    if prediction:
        rivals = ", ".join(f"{name} {rms:.1f}" for name, rms in prediction["rivals_mAh_g"].items()) or "none"
        yield (
            f"Prediction from the bare cell: {prediction['verdict']} (rms {prediction['rms_mAh_g']:.1f} "
            f"mAh/g, rivals: {rivals}; intervals up to {prediction['width_mAh_g']:.0f} mAh/g wide)"
        )
    wall = {name.replace("_", " "): seconds for name, seconds in report["wall_s"].items() if seconds is not None}
    if wall:
        yield "Wall time: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in wall.items())
    if "directory" in report:
        yield f"Report and figures: {report['directory']}"


def _lost(losses: Row) -> str:
    """Where the capacity went, at the last output cycle with a split."""
    known = {cycle: lost for cycle, lost in losses.items() if any(lost.values())}
    if not known:
        return ""
    cycle, lost = [*known.items()][-1]
    parts = sorted(((name, x) for name, x in lost.items() if x), key=lambda part: -abs(part[1]))
    total = sum(x for _, x in parts)
    shares = ", ".join(f"{name.replace('_', ' ')} {x:.1f}" for name, x in parts)
    return f"; {total:.1f} mAh/g lost from cycle 1 to {cycle}: {shares}"


def _verdict(report: Row) -> Iterator[Text]:
    """Every must that fails, and which of them are gated; the gated ones decide the exit code."""
    failing = report["failing"]
    if not failing:
        goal = "and every goal" if report["passes_goal"] else "but not every goal"
        yield Text(f"All criteria are met, {goal}.", style="green")
        return
    yield Text(f"Criteria not met: {_names(failing)}", style="bold red")
    for gate, words in ((True, "Gated, so the exit code is 1"), (False, "Not gated, failing with --all only")):
        named = [row for row in failing if row["gate"] is gate]
        if named:
            yield Text(f"{words}: {_names(named)}", style="bold red" if gate else "yellow")


def _names(failing: Iterable[Row]) -> str:
    names = [row["id"] for row in failing]
    for quantity, word in _QUANTITIES.items():
        names = [name.replace(f" {quantity} ", f" {word} ") for name in names]
    return ", ".join(names)
