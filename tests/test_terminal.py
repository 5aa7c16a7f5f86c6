"""Commands under a terminal that knows ASCII only: every letter is replaced, none ends a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic

from interphase_sim import results
from interphase_sim.scenario import load_scenario

UNUSUAL = "25 °C … ≥ 3 Ω (Müller) 電"
PLAIN = "25 degC ... >= 3 Ohm (Muller) ?"


def run(*words: str, encoding: str = "ascii", folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "200"}
    command = [sys.executable, "-m", "interphase_sim", *words]
    return subprocess.run(command, capture_output=True, env=environment, cwd=folder, check=False)


def stored_pair(folder: Path) -> None:
    for name in ("bare", "coated"):
        scenario = load_scenario(name).to_toml()
        results.write(synthetic.result(name, scenario=scenario, warnings=[UNUSUAL]), folder / f"{name}.nc")


def test_validate_under_an_ascii_terminal_ended_in_a_traceback(tmp_path: Path) -> None:
    stored_pair(tmp_path)
    done = run("validate", "--from", str(tmp_path))
    told = done.stdout.decode("ascii")
    assert "Traceback" not in done.stderr.decode("ascii")
    assert f"bare: warning, {PLAIN}" in told
    assert "External check" in told
    assert done.returncode == 1  # the made-up pair misses gated criteria


def test_info_of_a_result_and_its_warnings_are_shown_in_ascii(tmp_path: Path) -> None:
    results.write(synthetic.result("coated", warnings=[UNUSUAL]), tmp_path / "result.nc")
    done = run("info", str(tmp_path))
    assert done.returncode == 0
    assert done.stderr.decode("ascii") == f"Warning: {PLAIN}\n"
    assert "coated: completed, 200 cycles" in done.stdout.decode("ascii")


def test_sources_of_parameters_and_errors_are_shown_in_ascii(tmp_path: Path) -> None:
    text = load_scenario("bare").to_toml().replace("Walther 2021", UNUSUAL)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    done = run("info", "mine.toml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert PLAIN in done.stdout.decode("ascii")
    refused = run("info", "Zürich.toml", folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.decode("ascii").startswith("Error: Zurich.toml: no such file")


@pytest.mark.parametrize(("encoding", "told"), [("utf-8", UNUSUAL), ("latin-1", "25 °C ... >= 3 Ohm (Müller) ?")])
def test_what_a_terminal_can_show_is_shown(encoding: str, told: str, tmp_path: Path) -> None:
    results.write(synthetic.result("coated", warnings=[UNUSUAL]), tmp_path / "result.nc")
    assert told in run("info", str(tmp_path), encoding=encoding).stderr.decode(encoding)
