"""``python -m validation.sweeps [PART...]``: measure sweeps and judge them by figures fixed before."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from validation.sweeps import kill, measure
from validation.sweeps.measure import Row

FOLDER = Path(__file__).resolve().parents[2] / "validation" / "output" / "sweeps"
PARTS: dict[str, Callable[[Path, bool], list[Row]]] = {
    "throughput": measure.throughput,
    "cost": measure.cost,
    "memory": measure.memory,
    "many": measure.many,
    "kill": kill.killed,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure. Returns 0, 1 if a figure is missed, 2 for a wrong part, 130 if interrupted."""
    asked = _parser().parse_args(arguments)
    rows: list[Row] = []
    try:
        for part in asked.parts or PARTS:
            if part not in PARTS:
                print(f"no part is named {part!r}: {', '.join(PARTS)}", file=sys.stderr)
                return 2
            found = PARTS[part](asked.folder, asked.quick)
            print(_table(found), flush=True)
            rows += found
    except KeyboardInterrupt:
        return 130
    text = "| figure | must | reached | verdict |\n|---|---|---|---|\n" + _table(rows) + "\n"
    asked.folder.mkdir(parents=True, exist_ok=True)
    (asked.folder / "table.md").write_text(text, encoding="utf-8")
    (asked.folder / "table.json").write_text(
        json.dumps([row._asdict() for row in rows], indent=1, default=bool), encoding="utf-8"
    )
    print(f"table: {asked.folder / 'table.md'}")
    return 0 if all(row.met for row in rows) else 1


def _table(rows: Sequence[Row]) -> str:
    return "\n".join(
        f"| {row.figure} | {row.must} | {row.reached} | {'holds' if row.met else '**missed**'} |" for row in rows
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m validation.sweeps", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; all without")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all; says nothing about speed")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the stores go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
