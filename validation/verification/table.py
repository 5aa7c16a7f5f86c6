"""Findings as one table, for a file and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table

from benchmarks.store import machine
from validation.verification.store import Stored

Found = Mapping[tuple[str, str], Stored | None]  # by part and study
COLUMNS = ("part", "property or study", "cases", "failures", "figure reached", "must be", "seconds")


def rows(found: Found) -> Iterator[tuple[str, ...]]:
    """The rows; a study without a finding has dashes."""
    for (part, name), stored in found.items():
        if stored is None:
            yield part, name, "-", "-", "not computed", "", "-"
            continue
        f = stored.finding
        yield part, f.study, str(f.cases), str(f.failures), f.figure, f.bound, f"{stored.seconds:.0f}"


def sums(found: Found) -> str:
    """Studies, cases, failures and seconds in all."""
    done = [stored for stored in found.values() if stored]
    cases, failures = sum(s.finding.cases for s in done), sum(s.finding.failures for s in done)
    spent = sum(s.seconds for s in done) / 60
    return f"{len(done)} of {len(found)} studies, {cases} cases, {failures} failures, {spent:.1f} min of one core"


def notes(found: Found) -> Iterator[str]:
    """What findings say beside their figures."""
    for (part, _), stored in found.items():
        if stored and stored.finding.note:
            yield f"{part}, {stored.finding.study}: {stored.finding.note}"


def markdown(found: Found) -> str:
    """The table with what it was computed with and the explanations."""
    lines = ["# Verification", "", "    make verify", "", sums(found), ""]
    lines += [_row(COLUMNS), _row(["---"] * len(COLUMNS)), *map(_row, rows(found))]
    lines += ["", "Computed with " + ", ".join(f"{name} {value}" for name, value in machine().items()) + "."]
    said = list(notes(found))
    if said:
        lines += ["", "## Notes", "", *(f"* {note}" for note in said)]
    return "\n".join(lines) + "\n"


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def drawn(found: Found) -> Table:
    """The table for a terminal."""
    table = Table(*COLUMNS, caption=sums(found))
    for row in rows(found):
        table.add_row(*row, style="red" if row[3] not in ("0", "-") else None)
    return table
