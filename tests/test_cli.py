"""The command line: exit codes, sentences on stderr, JSON alone on stdout, nothing overwritten.

No test here simulates: a stand-in for `simulate` hands back a small Dataset at once.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

import interphase_sim
from interphase_sim import results
from interphase_sim.cli import _progress, cli
from interphase_sim.errors import InputError, SolverFailure
from interphase_sim.files import LOCK_NAME, exclusive_folder
from interphase_sim.scenario import load_scenario
from interphase_sim.status import classified


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def dataset(status: str = "completed") -> xr.Dataset:
    """Two cycles; cycle 0 has no half-cycles, so its capacities are not available."""
    values = results.empty(cycles=3, output_cycles=1, points=2, depth_cells=2)
    values["discharge_capacity"][1:] = 179.0, 178.5
    attrs: dict[str, Any] = {"name": "coated", "scenario": "", "scenario_digest": ""}
    attrs |= classified(status).attributes()
    attrs |= {"versions": {}, "statistics": {}, "warnings": ["regime is in between"]}
    return results.build(values, {"cycle": np.arange(3), "output_cycle": np.array([1])}, attrs)


class StandIn:
    """Replaces a heavy module; remembers what it was called with, and does as told."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act
        self.calls: list[dict[str, Any]] = []

    def __call__(self, *positional: Any, **named: Any) -> Any:
        self.calls.append({"positional": positional, **named})
        return self.act()


def replace(monkeypatch: pytest.MonkeyPatch, module: str, **content: Any) -> None:
    stand_in = SimpleNamespace(**content)
    monkeypatch.setitem(sys.modules, f"interphase_sim.{module}", stand_in)
    monkeypatch.setattr(interphase_sim, module, stand_in, raising=False)


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(dataset)
    replace(monkeypatch, "simulation", simulate=stand_in)
    return stand_in


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_an_unknown_command_names_the_nearest() -> None:
    done = call("rnu", "coated")
    assert done.exit_code == 2
    assert "Did you mean 'run'?" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "caoted"], "coated"),
        (["run", "missing.toml"], "missing.toml"),
        (["run", "folder"], "folder"),
        (["run", "junk.toml"], "junk.toml"),
        (["run", "coated", "--set", "coating.coverage"], "expected KEY=VALUE"),
        (["run", "coated", "--set", "coating.thicknes=15 nm"], "did you mean 'thickness'?"),
        (["run", "coated", "--set", "coating.thickness=15"], "has no unit"),
        (["run", "coated", "--set", "coating.coverage=1.0"], "coating.coverage"),
        (["run", "coated", "--set", "name.first=x"], "name is not a table"),
        (["run", "coated", "-o", "junk.toml"], "junk.toml: is a file"),
        (["run", "coated", "-o", "junk.toml/in"], "junk.toml/in: is a file or lies in one"),
        (["run", "coated", "-o", "new", "--force", "--resume"], "give one of them"),
        (["validate", "--from", "missing"], "missing: no such folder"),
        (["validate", "-o", "junk.toml"], "junk.toml: is a file"),
        (["calibrate", "--data", "bare", "--check"], "--data bare, --check and --variants exclude each other"),
        (["plot", "folder"], "folder: this folder holds no result.nc"),
        (["plot", "junk.toml"], "junk.toml: not a netCDF-4 file"),
        (["info", "missing"], "missing"),
        (["info", "folder"], "folder: this folder holds no result.nc"),
        (["new", "../escape"], "cannot name a file"),
        (["new", "junk"], "junk.toml: exists already"),
    ],
)
def test_bad_input_is_a_sentence_with_exit_code_2(words: list[str], told: str, simulate: StandIn) -> None:
    Path("folder").mkdir()
    Path("folder/note.txt").write_text("mine")
    Path("junk.toml").write_bytes(b"\x00\xff\x89junk")
    done = call(*words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert all(line.startswith("Error: ") for line in done.stderr.splitlines())
    assert done.stdout == ""
    assert simulate.calls == []
    assert Path("junk.toml").read_bytes() == b"\x00\xff\x89junk"
    assert [file.name for file in Path("folder").iterdir()] == ["note.txt"]


def test_each_of_several_errors_gets_its_line(simulate: StandIn) -> None:
    simulate.act = raising(InputError("a.toml: x: wrong\na.toml: y: wrong"))
    assert call("run", "coated").stderr == "Error: a.toml: x: wrong\nError: a.toml: y: wrong\n"


def test_a_run_writes_result_table_and_resolved_scenario(simulate: StandIn) -> None:
    done = call("run", "coated", "--set", "protocol.cycles=2", "--set", "coating.thickness=5 nm")
    assert done.exit_code == 0
    folder = Path("results/coated")
    assert {file.name for file in folder.iterdir()} == {"result.nc", "cycles.csv", "scenario.toml"}
    xr.testing.assert_identical(results.load_result(folder), dataset())
    stored = load_scenario(folder / "scenario.toml")
    assert stored.protocol.cycles == 2
    assert stored.coating is not None
    assert float(stored.coating.thickness) == pytest.approx(5e-9, rel=1e-12)  # one decimal conversion
    assert "completed, 2 cycles" in done.stdout
    assert "Warning: regime is in between" in done.stderr
    (only,) = simulate.calls
    assert (only["directory"], only["resume"], only["progress"]) == (folder, False, None)


def test_json_is_alone_on_stdout_and_has_null_for_not_available(simulate: StandIn) -> None:
    def noisy() -> xr.Dataset:
        print("a library that talks")
        return dataset()

    simulate.act = noisy
    done = call("run", "coated", "-o", "out", "--json")
    told = json.loads(done.stdout)
    assert told["schema_version"] == 1
    assert told["directory"] == "out"
    assert [row["cycle"] for row in told["rows"]] == [1, 2]
    assert told["rows"][1]["discharge_capacity_mAh_g"] == 178.5
    assert told["rows"][1]["charge_capacity_mAh_g"] is None
    assert "a library that talks" in done.stderr


def test_an_existing_result_is_refused_and_untouched(simulate: StandIn) -> None:
    Path("out").mkdir()
    Path("out/result.nc").write_bytes(b"precious")
    done = call("run", "coated", "-o", "out")
    assert done.exit_code == 2
    assert "--force replaces" in done.stderr
    assert simulate.calls == []
    assert {file.name: file.read_bytes() for file in Path("out").iterdir()} == {"result.nc": b"precious"}


def test_force_replaces_an_existing_result(simulate: StandIn) -> None:
    Path("out").mkdir()
    Path("out/result.nc").write_bytes(b"old")
    assert call("run", "coated", "-o", "out", "--force").exit_code == 0
    xr.testing.assert_identical(results.load_result("out"), dataset())


def test_a_failing_forced_run_leaves_the_old_result(simulate: StandIn) -> None:
    Path("out").mkdir()
    Path("out/result.nc").write_bytes(b"old")
    simulate.act = raising(SolverFailure("cycle 3: the corrector did not converge"))
    assert call("run", "coated", "-o", "out", "--force").exit_code == 3
    assert Path("out/result.nc").read_bytes() == b"old"


def test_resume_needs_a_checkpoint_and_hands_it_over(simulate: StandIn) -> None:
    Path("out").mkdir()
    Path("out/result.nc").write_bytes(b"old")
    refused = call("run", "coated", "-o", "out", "--resume")
    assert refused.exit_code == 2
    assert "holds no checkpoint.npz" in refused.stderr
    Path("out/checkpoint.npz").write_bytes(b"state")
    assert call("run", "coated", "-o", "out", "--resume").exit_code == 0
    assert [only["resume"] for only in simulate.calls] == [True]


def test_an_interrupted_run_says_how_to_resume(simulate: StandIn) -> None:
    def interrupt() -> None:
        Path("results/coated/checkpoint.npz").write_bytes(b"state")
        raise KeyboardInterrupt

    simulate.act = interrupt
    done = call("run", "coated", "--set", "coating.thickness=5 nm")
    assert done.exit_code == 130
    command = "interphase-sim run coated -o results/coated --set 'coating.thickness=5 nm' --resume"
    assert done.stderr == f"Interrupted. Continue with: {command}\n"


def test_a_run_interrupted_before_its_first_checkpoint_was_told_to_resume(simulate: StandIn) -> None:
    """Which was refused, for there was nothing to resume from."""
    simulate.act = raising(KeyboardInterrupt())
    done = call("run", "coated")
    assert done.exit_code == 130
    told = (
        "Interrupted. Nothing was stored yet; start again with: interphase-sim run coated -o results/coated --force\n"
    )
    assert done.stderr == told


def test_a_recorded_solver_failure_is_stored_and_exits_3(simulate: StandIn) -> None:
    simulate.act = lambda: dataset("solver failure at cycle 3: step too small")
    done = call("run", "coated", "-o", "out")
    assert done.exit_code == 3
    assert "Error: solver failure at cycle 3: step too small" in done.stderr
    assert results.load_result("out").attrs["status"].startswith("solver failure")


def test_end_of_life_is_a_success(simulate: StandIn) -> None:
    simulate.act = lambda: dataset("end of life at cycle 2")
    done = call("run", "coated")
    assert done.exit_code == 0
    assert "end of life at cycle 2" in done.stdout


@pytest.mark.parametrize(
    ("passes", "gate_passes", "words", "code"),
    [
        (True, True, (), 0),
        (False, True, (), 0),
        (False, False, (), 1),
        (True, True, ("--all",), 0),
        (False, True, ("--all",), 1),
        (False, False, ("--all",), 1),
    ],
)
def test_validate_exits_by_its_gate_and_with_all_by_every_must(
    passes: bool, gate_passes: bool, words: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"schema_version": 1, "passes": passes, "gate_passes": gate_passes}
    judge = StandIn(lambda: told)
    replace(monkeypatch, "acceptance", run=judge)
    monkeypatch.setattr("interphase_sim.experiment.table.print_table", lambda report: print("the table"))
    table, report = call("validate", *words), call("validate", *words, "-o", "out", "--json")
    assert (table.exit_code, report.exit_code) == (code, code)
    assert table.stdout == "the table\n"
    assert json.loads(report.stdout) == told
    assert [only["positional"] for only in judge.calls] == [
        (Path("validation/output"), None, None, None),
        (Path("out"), None, None, None),
    ]


def test_calibrate_hands_its_options_over_and_returns_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = StandIn(lambda: 1)
    replace(monkeypatch, "calibration", main=fit)
    assert call("calibrate", "--data", "bare", "--check", "-o", "out", "--resume").exit_code == 1
    expected = {"data": "bare", "check": True, "variants": False, "resume": True, "directory": Path("out")}
    expected |= {"experiment": None}
    assert fit.calls == [{"positional": (), "progress": None, **expected}]


def test_plot_draws_all_figures_or_one_file(simulate: StandIn) -> None:
    assert call("run", "coated", "-o", "out").exit_code == 0
    everything = call("plot", "out")
    assert everything.exit_code == 0
    drawn = [Path(line) for line in everything.stdout.split()]
    assert drawn
    assert all(path.parent == Path("out") and path.stat().st_size > 0 for path in drawn)
    assert call("plot", "out", "-o", "fade.pdf").stdout == "fade.pdf\n"
    assert Path("fade.pdf").read_bytes().startswith(b"%PDF")
    refused = call("plot", "out", "-o", "fade.docx")
    assert refused.exit_code == 2
    assert "fade.docx: cannot be drawn" in refused.stderr


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("fade", "fade.png"),
        ("new/folder/fade.svg", "new/folder/fade.svg"),
        ("fade.PNG", "fade.PNG"),
        ("fade.", "fade.png"),
    ],
)
def test_plot_printed_the_path_of_a_file_that_does_not_exist(given: str, written: str, simulate: StandIn) -> None:
    call("run", "coated", "-o", "out")
    done = call("plot", "out", "-o", given)
    assert (done.exit_code, done.stdout) == (0, f"{written}\n")
    assert Path(written).stat().st_size > 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("fade.v2", "fade.v2: cannot be drawn as .v2, only as .png, .pdf, .svg,"),
        ("out", "out: is a folder, expected a file such as out/fade.png"),
        ("out/result.nc/fade.png", "out/result.nc/fade.png: cannot be written"),
    ],
)
def test_plot_refuses_a_path_in_one_sentence(given: str, told: str, simulate: StandIn) -> None:
    call("run", "coated", "-o", "out")
    done = call("plot", "out", "-o", given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def checkpoint(folder: str, **changes: Any) -> None:
    """The checkpoint of a run of 200 cycles that was interrupted after 3, the second left out by a jump."""
    row = {"charge_capacity": 198.0, "discharge_capacity": 179.0, "layer_thickness": 3e-9}
    meta = {"name": "coated", "planned": 200, "status": "running", "rows": [{"layer_thickness": 2e-9}, row, {}, row]}
    Path(folder).mkdir()
    content = np.frombuffer(json.dumps(meta | changes).encode(), dtype=np.uint8)
    np.savez(Path(folder) / "checkpoint.npz", meta=content)


COMMAND = "interphase-sim run coated -o out --resume"


def test_info_of_an_interrupted_run_said_that_it_holds_no_result() -> None:
    checkpoint("out")
    done = call("info", "out")
    assert done.exit_code == 0
    assert "coated: interrupted, 3 of 200 cycles done, stored in out" in done.stdout
    assert COMMAND in done.stdout
    told = json.loads(call("info", "out", "--json").stdout)
    assert (told["name"], told["status"], told["cycles"], told["cycles_planned"]) == ("coated", "interrupted", 3, 200)
    assert told["continue_with"] == COMMAND
    assert [(row["cycle"], row["discharge_capacity_mAh_g"]) for row in told["rows"]] == [(1, 179.0), (3, 179.0)]
    assert told["rows"][0]["layer_thickness_nm"] == pytest.approx(3.0, rel=1e-12)
    assert told["rows"][0]["coulombic_efficiency_percent"] is None


def test_plot_of_an_interrupted_run_says_what_it_is_and_how_to_continue() -> None:
    checkpoint("out")
    for words in (("out",), ("out", "-o", "fade.png")):
        done = call("plot", *words)
        assert done.exit_code == 2
        assert done.stderr == (
            "Error: out: this folder holds no result.nc; it holds the checkpoint of an interrupted run of coated with "
            "3 of 200 cycles done; to continue it, with the scenario and every --set that it was started with: "
            f"{COMMAND}\n"
        )


def test_a_checkpoint_of_an_earlier_version_has_no_name() -> None:
    checkpoint("out", name=None, planned=None, rows=[{}])
    done = call("info", "out")
    assert done.exit_code == 0
    assert "scenario not named: interrupted, 0 cycles done, stored in out" in done.stdout
    assert "interphase-sim run SCENARIO -o out --resume" in done.stdout


def test_a_finished_run_whose_result_was_not_written_is_no_interrupted_one() -> None:
    checkpoint("out", status="end of life at cycle 3")
    assert "coated: end of life at cycle 3, but its result was not written, 3 of 200" in call("info", "out").stdout


def test_a_result_without_digest_is_shown_with_a_warning() -> None:
    dataset().to_netcdf("plain.nc", engine="h5netcdf")
    for words in (["info", "plain.nc"], ["info", "plain.nc", "--json"], ["plot", "plain.nc", "-o", "fade.png"]):
        done = call(*words)
        assert done.exit_code == 0, done.stderr
        first, *rest = done.stderr.splitlines()
        assert first == (
            "Warning: plain.nc: has no digest, so damage to it cannot be noticed; interphase_sim.save_result writes one"
        )
        assert rest in ([], ["Warning: regime is in between"])
    assert json.loads(call("info", "plain.nc", "--json").stdout)["status_code"] == "completed"


def test_a_damaged_checkpoint_without_a_result_is_a_sentence() -> None:
    Path("out").mkdir()
    Path("out/checkpoint.npz").write_bytes(b"junk")
    for command in ("info", "plot"):
        done = call(command, "out")
        assert done.exit_code == 2
        assert done.stderr == "Error: out: this folder holds no result.nc, and its checkpoint.npz is damaged\n"


def test_new_writes_a_scenario_that_loads_and_is_not_overwritten() -> None:
    assert call("new", "mine").exit_code == 0
    scenario = load_scenario("mine.toml")
    assert scenario.name == "mine"
    assert scenario.coating is not None
    Path("mine.toml").write_text("changed")
    assert call("new", "mine").exit_code == 2
    assert Path("mine.toml").read_text() == "changed"


def test_info_lists_the_installation() -> None:
    told = json.loads(call("info", "--json").stdout)
    assert told["interphase_sim"] == interphase_sim.__version__
    assert {"bare", "coated"} <= set(told["scenarios"])
    assert "kinetics" not in told["scenarios"]
    assert "scenarios: " in call("info").stdout


def test_info_shows_every_parameter_by_kind() -> None:
    rows = json.loads(call("info", "coated", "--json").stdout)["rows"]
    assert {"kind", "value", "unit", "low", "high", "source"} < rows[0].keys()
    kinds = [row["kind"] for row in rows]
    assert kinds == sorted(kinds, key=kinds.index)
    named = {row["parameter"]: row for row in rows}
    assert named["cell.temperature"]["value"] == pytest.approx(318.15, rel=1e-12)  # one decimal conversion
    assert named["cell.cathode_mass_ratio"]["value"] == "7:3:0.1"
    assert "cell.temperature" in call("info", "coated").stdout


def test_info_shows_a_stored_result(simulate: StandIn) -> None:
    assert call("run", "coated", "-o", "out").exit_code == 0
    assert json.loads(call("info", "out", "--json").stdout)["status"] == "completed"
    assert "178.5" in call("info", "out").stdout


def test_info_shows_the_coatings_table() -> None:
    assert "LiNbO3" in call("info", "materials").stdout


def test_progress_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with _progress() as progress:
        assert progress is not None
        progress(1, 2, "cycle 1 of coated")
    assert "cycle 1 of coated" in screen.getvalue()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with _progress() as progress:
        assert progress is None


def test_jump_is_a_setting_and_part_of_the_hint_to_resume(simulate: StandIn) -> None:
    assert call("run", "bare", "-o", "plain").exit_code == 0
    assert call("run", "bare", "-o", "jumped", "--jump").exit_code == 0
    plain, jumped = (made["positional"][0].numerics.jump for made in simulate.calls)
    assert (plain, jumped) == (False, True)
    simulate.act = raising(KeyboardInterrupt())
    assert "--set numerics.jump=true" in call("run", "bare", "-o", "again", "--jump").stderr


@pytest.mark.parametrize("option", [(), ("--force",), ("--resume",)], ids=["run", "force", "resume"])
def test_two_runs_into_one_folder_both_reported_success(option: tuple[str, ...], simulate: StandIn) -> None:
    pytest.importorskip("fcntl")
    out = Path("out").absolute()
    out.mkdir()
    (out / "checkpoint.npz").write_bytes(b"state")
    with exclusive_folder(out), ThreadPoolExecutor(1) as other:
        done = other.submit(call, "run", "coated", "-o", "out", *option).result()
    assert done.exit_code == 2
    assert done.stderr == "Error: out: another run is writing to it; wait for its end or choose another place\n"
    assert simulate.calls == []
    assert {file.name: file.read_bytes() for file in out.iterdir()} == {"checkpoint.npz": b"state"}


def test_a_folder_is_locked_until_everything_is_written(simulate: StandIn) -> None:
    def look() -> xr.Dataset:
        assert (Path("out") / LOCK_NAME).exists()
        return dataset()

    simulate.act = look
    assert call("run", "coated", "-o", "out").exit_code == 0
    assert not (Path("out") / LOCK_NAME).exists()


def test_the_lock_of_a_killed_run_does_not_make_its_folder_occupied(simulate: StandIn) -> None:
    Path("out").mkdir()
    (Path("out") / LOCK_NAME).touch()
    assert call("run", "coated", "-o", "out").exit_code == 0
    assert {file.name for file in Path("out").iterdir()} == {"result.nc", "cycles.csv", "scenario.toml"}


@pytest.mark.parametrize("command", ["validate", "calibrate"])
def test_other_commands_wait_for_no_folder_either(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl")
    work = StandIn(lambda: {"passes": True})
    replace(monkeypatch, "acceptance", run=work)
    replace(monkeypatch, "calibration", main=work)
    with exclusive_folder(Path("out").absolute()), ThreadPoolExecutor(1) as other:
        done = other.submit(call, command, "-o", "out").result()
    assert (done.exit_code, work.calls) == (2, [])
    assert "another run is writing to it" in done.stderr


PIPED = """
import sys, xarray as xr
from types import SimpleNamespace
import interphase_sim
from interphase_sim.cli import main

def stand_in(name, **content):
    sys.modules[f"interphase_sim.{name}"] = SimpleNamespace(**content)
    setattr(interphase_sim, name, sys.modules[f"interphase_sim.{name}"])

stand_in("simulation", simulate=lambda *_, **__: xr.load_dataset("stored.nc", engine="h5netcdf"))
def table(report):
    from rich.console import Console
    for _ in range(2000): Console().print("the table")
stand_in("acceptance", run=lambda *_: {"passes": False, "gate_passes": False})
import interphase_sim.experiment.table
interphase_sim.experiment.table.print_table = table
sys.argv[0] = "interphase-sim"
main()
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["info", "coated"], 0),
        (["info", "coated", "--json"], 0),
        (["--help"], 0),
        (["new", "mine"], 0),
        (["run", "coated", "-o", "out", "--json"], 0),
        (["validate"], 1),
        (["info", "missing"], 2),
    ],
    ids=["info", "info json", "help", "new", "run", "validate", "bad input"],
)
@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_closed_pipe_ended_in_a_traceback(words: list[str], code: int, closed: str) -> None:
    """Now it changes nothing: what has to be written is written, and the exit code is that of the command."""
    results.write(dataset(), "stored.nc")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", PIPED, *words]
    errors = writer if closed == "both" else subprocess.PIPE
    done = subprocess.run(command, stdout=writer, stderr=errors, text=True, check=False)
    os.close(writer)
    assert done.returncode == code
    if closed == "stdout":
        assert done.stderr.startswith("Error: no scenario" if code == 2 else "")
        assert "Traceback" not in done.stderr
        assert "ignored" not in done.stderr
    if words[0] == "run":
        xr.testing.assert_identical(results.load_result("out"), dataset())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written_is_a_sentence() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "interphase_sim", "info", "coated"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: standard output cannot be written (No space left on device)\n"
