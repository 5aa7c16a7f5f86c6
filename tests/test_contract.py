"""The import contract of pyproject.toml refuses what it is there to refuse."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT = Path(sys.executable).parent / "lint-imports"
VIOLATIONS = {
    "a lower room imports a higher one": ("units.py", "import interphase_sim.scenario"),
    "siblings import each other": ("sweeps/plan.py", "import interphase_sim.calibration"),
    "siblings at the bottom import each other": ("chemistry.py", "import interphase_sim.errors"),
    "the cell knows chemistry": ("cell/design.py", "import interphase_sim.interphase"),
    "PyBaMM outside the cell": ("simulation/loop.py", "import pybamm"),
    "Numba outside the kernels": ("interphase/contacts.py", "import numba"),
    "an import inside a function": ("fields.py", "def late():\n    import interphase_sim.simulation"),
}


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    """The contract, checked on the copy of the package in a folder."""
    return subprocess.run([LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package and its contract."""
    shutil.copytree(ROOT / "interphase_sim", tmp_path / "interphase_sim", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_package_keeps_its_contract(copy: Path) -> None:
    done = checked(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_breaks_the_contract(copy: Path, violation: str) -> None:
    name, line = VIOLATIONS[violation]
    path = copy / "interphase_sim" / name
    path.write_text(path.read_text(encoding="utf-8") + "\n\n" + line + "\n", encoding="utf-8")
    done = checked(copy)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout


def test_a_room_without_a_place_breaks_the_contract(copy: Path) -> None:
    (copy / "interphase_sim" / "attic.py").write_text("", encoding="utf-8")
    assert checked(copy).returncode != 0


def test_the_architecture_page_lists_the_rooms_in_the_order_of_the_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    rows = [set(layer.split(" | ")) for layer in contract["layers"] if layer != "__main__"]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Rooms")[1].split("## ")[0]
    listed: list[set[str]] = []
    for line in page.splitlines():
        if line.startswith("| ") and "`" in line:
            number, rooms = line.split("|")[1:3]
            listed += [set()] if number.strip() else []
            listed[-1] |= {room.strip(" `") for room in rooms.split(",")}
    assert listed == rows
