"""Every how-to page does what it says: its files are added to a copy of the package, and its code runs there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (interphase_sim/\S+|[\w./-]+\.(?:py|toml|csv))\n")


def blocks(page: Path) -> Iterator[tuple[str | None, str]]:
    """The blocks of a page that are files, with their paths, and those that are code to run."""
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        named = FILE.match(text)
        if named:
            yield named[1], text
        elif language == "python":
            yield None, text


def overlay(folder: Path, added: dict[str, str]) -> None:
    """A package whose files are links to those of this one, but for what is added; compiled kernels are found again."""
    real = {parent for name in added for parent in Path(name).parents}

    def linked(source: Path, target: Path, name: Path) -> None:
        if name not in real:
            target.symlink_to(source)
            return
        target.mkdir()
        for child in source.iterdir():
            if child.name != "__pycache__":
                linked(child, target / child.name, name / child.name)

    for top in ("interphase_sim", "scenarios", "validation"):
        linked(ROOT / top, folder / top, Path(top))
    for name, text in added.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    parts = list(blocks(page))
    overlay(tmp_path, {name: text for name, text in parts if name})
    code = tmp_path / "page.py"
    code.write_text("\n".join(text for name, text in parts if not name), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(code)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_there_are_pages() -> None:
    assert "loss_law" in [page.stem for page in PAGES]
