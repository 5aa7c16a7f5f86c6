"""``python -m validation.particulate``: run what is missing, then write the table and the figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from validation.particulate import evaluate, points, store, study, table

HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study. Returns 0, 1 if a run failed or a point is incomplete, 130 if interrupted."""
    asked = _parser().parse_args(arguments)
    base, chosen = study.base(), list(points.chosen(points.every(), asked.points))
    if not chosen:
        print(f"no point is named like {' '.join(asked.points)}; one is {points.every()[0].name}", file=sys.stderr)
        return 2
    status = 0
    if not asked.draw:
        try:
            _run(study.tasks(chosen, asked.cycles), asked)
            _run(study.doubtful(chosen, asked.cycles, base, asked.folder), asked)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on", file=sys.stderr)
            return 130
        except RuntimeError as failure:
            print(failure, file=sys.stderr)
            status = 1
    return max(status, _report(chosen, asked))


def _run(wanted: list[study.Task], asked: argparse.Namespace) -> None:
    """Run those of the tasks that have no valid record."""
    base = study.base()
    lacking, stale = study.missing(wanted, base, asked.folder)
    if stale:
        print(f"{stale} stored runs are damaged, or of another scenario or code: computed again")
    study.run(lacking, base, asked.folder, asked.workers, _say)


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m validation.particulate", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="runs side by side (default 2)")
    parser.add_argument("--points", nargs="+", default=[], metavar="NAME", help="only these, as c0.90_d15_*_film")
    parser.add_argument("--cycles", type=int, default=study.CYCLES, metavar="N", help="for a trial (default 200)")
    parser.add_argument("--draw", action="store_true", help="run nothing: table and figures of what is stored")
    parser.add_argument("--folder", type=Path, default=store.FOLDER, help="where the runs are stored")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="for table and figures (default: here if all 200 cycles are asked)",
    )
    return parser


def _report(chosen: list[points.Point], asked: argparse.Namespace) -> int:
    """Table and figures; only the whole study replaces those that ship."""
    base, rows, runs = study.base(), [], {}
    for point in chosen:
        found = study.records(point, asked.cycles, base, asked.folder) if point.exists else None
        if found is not None:
            runs[point] = found
            rows.append(evaluate.row(point, found))
        elif not point.exists:
            rows.append(evaluate.described(point) | {"status": table.ABSENT})
    lacking = len(chosen) - len(rows)
    if lacking:
        print(f"{lacking} of {len(chosen)} points are incomplete, or out of date", file=sys.stderr)
    if not runs:
        return 1
    whole = not lacking and not asked.points and asked.cycles == study.CYCLES
    output = asked.output or (HERE if whole else asked.folder)
    output.mkdir(parents=True, exist_ok=True)
    table.write(rows, output / "table.csv")

    from validation.particulate import figures

    figures.save(rows, runs, output)
    print("\n".join(table.summary(rows)))
    print(f"table and figures: {output}")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
