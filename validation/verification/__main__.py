"""``python -m validation.verification``: compute what is missing, then write the table."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from validation.verification import sitting, store, table

TABLE = "table.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute and write. Returns 0, 1 if a case failed or a study has no finding, 130 if interrupted."""
    asked = _parser().parse_args(arguments)
    folder: Path = asked.folder / "quick" if asked.quick else asked.folder
    chosen = asked.parts or store.parts()
    names = [(part, name) for part in chosen for name in store.studies(part)]
    found = {name: store.load(folder, *name) for name in names}
    if not asked.table:
        try:
            for name, stored in sitting.outcomes(
                [n for n in names if not found[n]], asked.quick, folder, asked.workers
            ):
                found[name] = stored
                _say(f"{' '.join(name)}: {stored.finding.failures} failures, {stored.seconds:.0f} s")
        except KeyboardInterrupt:
            print("interrupted; the same command goes on", file=sys.stderr)
            return 130
    whole = not asked.quick and set(chosen) == set(store.PARTS) and all(found.values())
    return _report(found, store.HERE if whole and asked.folder == store.FOLDER else folder)


def _report(found: table.Found, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    console, text = Console(), table.markdown(found)
    (folder / TABLE).write_text(text, encoding="utf-8")
    console.print(table.drawn(found)) if console.is_terminal else print(text, end="")
    _say(f"table: {folder / TABLE}")
    return 1 if any(stored is None or stored.finding.failures for stored in found.values()) else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _part(text: str) -> str:
    if text in store.parts():
        return text
    near = difflib.get_close_matches(text, store.parts(), 1, 0.0)
    raise argparse.ArgumentTypeError(f"no part {text!r}, nearest is {near[0]!r}; there are {', '.join(store.parts())}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m validation.verification", description=__doc__)
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"of {', '.join(store.parts())}")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="studies side by side (default 2)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, stored apart: does it run at all")
    parser.add_argument("--table", action="store_true", help="compute nothing: the table of what is stored")
    parser.add_argument("--folder", type=Path, default=store.FOLDER, help="where findings are stored")
    return parser


if __name__ == "__main__":
    sys.exit(main())
