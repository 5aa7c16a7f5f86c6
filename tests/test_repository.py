"""What holds the repository together: pinned versions, entry points, shipped files, a light import."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import synthetic
from click.testing import CliRunner

import interphase_sim
from interphase_sim import results
from interphase_sim.cli import cli
from interphase_sim.scenario import load_scenario

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {
    "h5netcdf",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "pint",
    "pybamm",
    "pydantic",
    "rich",
    "scipy",
    "xarray",
    "dask",
    "distributed",
    "zarr",
}


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _normal(requirement: str) -> str:
    """`Pint>=0.24` as `pint`: the name of a requirement, as installers compare names."""
    match = re.match(r"[\w.-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running the code."""
    script = f"import sys\n{code}\nprint(*(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_constraints_are_names_and_versions_only() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "@" not in text
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in text.splitlines())


def test_constraints_pin_every_direct_dependency_and_not_the_project() -> None:
    project = _project()
    pinned = {_normal(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    wanted += project["build-system"]["requires"]
    assert {_normal(requirement) for requirement in wanted} <= pinned
    assert "interphase-sim" not in pinned


def test_pybamm_finds_the_parameter_set_and_the_shell_the_command() -> None:
    (parameters,) = entry_points(group="pybamm_parameter_sets", name="Walther2021")
    assert parameters.value == "interphase_sim.cell.parameters:get_parameter_values"
    (command,) = entry_points(group="console_scripts", name="interphase-sim")
    assert callable(command.load())


def test_one_version_everywhere() -> None:
    versions = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    cited = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert next(name for name in versions if name != "Unreleased") == interphase_sim.__version__
    assert cited is not None
    assert cited[1] == interphase_sim.__version__


def test_the_wheel_ships_scenarios_criteria_and_measured_data_and_nothing_beside(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    data = [*ROOT.glob("scenarios/**/*.toml"), *(ROOT / "validation").glob("*.*")]
    assert len(data) >= 6  # four scenario files, two tables of measurements, and the criteria
    shipped = {f"interphase_sim/_shipped/{file.relative_to(ROOT)}" for file in data}
    assert {name for name in packed if "/_shipped/" in name} == shipped
    assert {name.split("/")[0] for name in packed} == {"interphase_sim"}
    assert "interphase_sim/materials/coatings.csv" in packed


def test_importing_the_package_loads_nothing_heavy_and_turns_telemetry_off() -> None:
    code = "import os\nos.environ.pop('PYBAMM_DISABLE_TELEMETRY', None)\nimport interphase_sim\n"
    code += "assert os.environ['PYBAMM_DISABLE_TELEMETRY'] == 'true'"
    assert not _modules_after(code) & HEAVY


def test_help_loads_nothing_heavy() -> None:
    code = "from interphase_sim.cli import cli\nfor c in ([], ['run'], ['validate'], ['info'], ['sweep'], ['merge']):\n"
    code += "    cli.make_context('x', [*c], resilient_parsing=True).get_help()"
    assert not _modules_after(code) & HEAVY


def _loaded_by(arguments: list[str], cwd: Path) -> set[str]:
    """Top-level modules that a command of the shell has loaded when it ends."""
    code = f"import sys\nfrom interphase_sim.cli import cli\ncli.main({arguments!r}, standalone_mode=False)\n"
    code += "print('', *(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)
    return set(done.stdout.splitlines()[-1].split())


def test_help_is_shown_without_anything_heavy(tmp_path: Path) -> None:
    assert not _loaded_by(["--help"], tmp_path) & HEAVY


def test_only_what_simulates_loads_the_cell_model(tmp_path: Path) -> None:
    for name in ("bare", "coated"):
        ds = synthetic.result(name=name, scenario=load_scenario(name).to_toml())
        results.write(ds, tmp_path / f"{name}.nc")
    simulating = {"pybamm", "casadi", "numba"}
    for told in (["info"], ["info", "coated"], ["info", "materials"]):
        assert _loaded_by(told, tmp_path) & HEAVY <= {"pydantic"}
    assert not _loaded_by(["info", "bare.nc"], tmp_path) & simulating
    assert not _loaded_by(["plot", "bare.nc", "-o", "fade.png"], tmp_path) & simulating
    assert not _loaded_by(["validate", "--from", "."], tmp_path) & simulating


@pytest.mark.parametrize("name", interphase_sim.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(interphase_sim, name) is not None
    assert name in dir(interphase_sim)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'simulte'"):
        _ = interphase_sim.simulte


def test_the_first_scenario_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As written there, but for two cycles."""
    monkeypatch.chdir(tmp_path)
    told = re.findall(r"^    interphase-sim (new|run) (mine.*?)(?: +#.*)?$", (ROOT / "README.md").read_text(), re.M)
    assert [command for command, _ in told] == ["new", "run"]
    for command, words in told:
        more = ["--set", "protocol.cycles=2"] if command == "run" else []
        done = CliRunner().invoke(cli, [command, *words.split(), *more])
        assert done.exit_code == 0, done.output
