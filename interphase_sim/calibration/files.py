"""Fitted numbers written into copies of the shipped scenario files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interphase_sim.calibration.unknowns import Array, Free, parameter
from interphase_sim.experiment import observations
from interphase_sim.files import write_text
from interphase_sim.resources import shipped
from interphase_sim.scenario import Scenario, load_scenario

FILES = {"kinetics": "kinetics.toml", "cell": "cell_walther2021.toml", "coating": "coated.toml"}
WIDEST = 100.0  # search units; more is no knowledge at all
SOURCE = "interphase-sim calibrate, capacities and efficiencies of Walther 2021"


def write_scenarios(free: Sequence[Free], z: Array, spread: Array, directory: Path) -> None:
    """Kinetics, cell and coated scenario with the fitted lines replaced, ready to copy over the shipped ones."""
    texts = fitted_texts(free, z, spread, SOURCE)
    for root, name in FILES.items():
        write(directory / name, texts[root])


def fitted_texts(free: Sequence[Free], z: Array, spread: Array, source: str) -> dict[str, str]:
    """The shipped files' texts by root of the key (kinetics, cell, coating), with the fitted lines replaced."""
    scenario = load_scenario("coated")
    texts = {root: shipped(f"scenarios/{name}").read_text(encoding="utf-8") for root, name in FILES.items()}
    for f, value, s in zip(free, z, spread, strict=True):
        root, *path = f.key.split(".")
        section = f.key.rsplit(".", 1)[0] if root == "coating" else ".".join(path[:-1])
        table = fitted(f, float(value), float(s), scenario, source)
        texts[root] = replaced(texts[root], section, path[-1], table)
    return texts


def fitted(f: Free, z: float, s: float, scenario: Scenario, source: str = SOURCE) -> dict[str, Any]:
    """A fitted value as a scenario file writes it: SI number with unit, kind, source and uncertainty."""
    unit = parameter(scenario, f.key).unit
    value = f.from_search(z)
    width = abs(f.from_search(z + min(s, WIDEST)) - value)

    def number(x: float) -> str | float:
        return f"{x:.4g} {unit}" if unit not in ("", "1") else float(f"{x:.4g}")

    return {
        "value": number(value),
        "uncertainty": number(min(width, abs(value))),
        "kind": "fitted",
        "source": source,
    }


def replaced(text: str, section: str, name: str, table: Mapping[str, Any]) -> str:
    """A TOML text with the line of one key in one section written anew; all else, comments too, stays."""
    inline = ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    lines, here = text.splitlines(), ""
    for i, line in enumerate(lines):
        if line.startswith("["):
            here = line.strip("[] ")
        elif here == section and line.split("=")[0].strip() == name:
            lines[i] = f"{name} = {{ {inline} }}"
            return "\n".join(lines) + "\n"
    raise ValueError(f"no {name} in section {section!r}")


def write(path: Path, text: str) -> None:
    """Write a TOML text that was seen to parse."""
    tomllib.loads(text)
    write_text(path, text)


def named(problem: object) -> str:
    """A problem with the data that it is fitted to, as unfinished work is filed under."""
    return f"{problem}, data {observations.digest()}"


def keep(path: Path, content: Any) -> None:
    """Write JSON in one go, so that a stopped run leaves no half file."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def kept(path: Path, problem: str) -> dict[str, Any] | None:
    """What a stopped run has left, if it belongs to the same problem."""
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("problem") == problem else None
