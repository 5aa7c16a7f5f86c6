"""``python -m benchmarks``: measure what is missing, then write the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import store, study, table, tasks

TABLE = "table.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write. Returns 0, 1 if a measurement failed, 130 if interrupted; a missed figure is no failure."""
    asked = _parser().parse_args(arguments)
    sizes = tasks.QUICK if asked.quick else tasks.Sizes()
    folder: Path = asked.folder / "quick" if asked.quick else asked.folder
    failed: list[str] = []
    if not asked.draw:
        try:
            failed = study.run(asked.parts, sizes, asked.repeats, folder, _say)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on", file=sys.stderr)
            return 130
    found = store.load(folder, study.planned(tasks.PARTS, sizes, folder))
    text = "\n".join(table.lines(found, store.machine(), sizes.cycles, sizes.kernel, failed)) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(text, encoding="utf-8")
    print(text, end="")
    print(f"table: {folder / TABLE}", file=sys.stderr)
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    unknown = [part for part in parts if part not in tasks.PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(tasks.PARTS)}")
    return parts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--parts", type=_parts, default=list(tasks.PARTS), metavar="A,B", help=f"of {','.join(tasks.PARTS)}"
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="measurements of each figure (default 5)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, apart from the others: does it run at all")
    parser.add_argument("--draw", action="store_true", help="measure nothing: the table of what is stored")
    parser.add_argument("--folder", type=Path, default=store.FOLDER, help="where measurements are stored")
    return parser


if __name__ == "__main__":
    sys.exit(main())
