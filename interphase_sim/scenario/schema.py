"""The scenario as a whole: one frozen, validated table that everything else starts from."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ValidationError, ValidationInfo, field_validator

from interphase_sim import units
from interphase_sim.errors import InputError
from interphase_sim.fields import Parameter, Quantity, Section
from interphase_sim.scenario import files, overrides, potential, summary, writer
from interphase_sim.scenario.problems import Location, Problem, dotted, problems_of
from interphase_sim.scenario.sections import (
    Cell,
    Coating,
    ConstantCurrent,
    ConstantVoltage,
    Kinetics,
    Numerics,
    Protocol,
    Step,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)


def checked_name(name: str) -> str:
    """A name that is also safe as the name of a folder, since results go to `results/NAME`."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{units.shown(name)} must be a name of letters, digits, '.', '_' and '-'")
    return name


class Scenario(Section):
    """Cell, kinetics, coating (none = bare), protocol and numerics of one run, in SI."""

    schema_version: Literal[1]
    name: Annotated[str, AfterValidator(checked_name)]
    description: str = ""
    cell: Cell
    kinetics: Kinetics
    coating: Coating | None = None
    protocol: Protocol
    numerics: Numerics = Numerics()

    @field_validator("protocol")
    @classmethod
    def _inside_window(cls, protocol: Protocol, info: ValidationInfo) -> Protocol:
        steps = [*protocol.steps, *(step for block in protocol.first for step in block.steps)]
        if "cell" in info.data:
            _inside_potential_table(protocol, info.data["cell"])
        if "cell" in info.data and any(_leaves(step, info.data["cell"]) for step in steps):
            raise InputError("a step ends outside the cell's window from lower_voltage to upper_voltage")
        return protocol

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], where: str = "scenario", folder: Path | None = None) -> Self:
        """Build from a table as read from TOML.

        where: what stands before each error. folder: where files named by `cell` and `kinetics` lie.
        Raises InputError with one line per error of the scenario and of the files it names.
        """
        if not isinstance(table, Mapping):
            raise InputError(f"{where}: expected a table of keys and values, and got {type(table).__name__}")
        inlined, homes, problems = _inline(table, folder)
        try:
            scenario = cls.model_validate(inlined)
        except ValidationError as error:
            unread = {path for path, _ in problems}
            problems += [(path, text) for path, text in problems_of(error, cls) if path not in unread]
        if problems:
            raise InputError("\n".join(_line(where, homes, path, text) for path, text in problems))
        return scenario

    def to_dict(self) -> dict[str, Any]:
        """The table that `from_dict` reads back as an equal scenario."""
        return writer.as_table(self)

    def to_toml(self) -> str:
        """The resolved scenario: nothing referenced, nothing left to a default."""
        return writer.to_toml(self)

    def replace(self, changes: Mapping[str, Any], where: str = "replace", by: str = "in Python") -> Self:
        """The scenario with other values, validated anew.

        changes: keys such as "coating.coverage" or "protocol.steps[0].rate" to values as in a file: a quantity with
        its unit, a table with value, kind and source, a `Parameter`. None removes an optional key. A bare number is
        for what has no unit. A number that is put in counts as assumed, without a range, unless it states more; its
        source tells what replaced it and what it was.
        where: what stands before each error. by: what replaces, as the source tells it.
        """
        if not isinstance(changes, Mapping) or not all(isinstance(key, str) for key in changes):
            raise InputError(f'{where}: expected changes such as {{"protocol.cycles": 20}}, and got {changes!r:.60}')
        table = self.to_dict()
        overrides.put(table, changes, type(self), where, by)
        return self.from_dict(table, where=where)

    def __repr__(self) -> str:
        return summary.of(self)

    __str__ = __repr__

    def unreached(self) -> list[str]:
        """What the scenario states and its cycles cannot reach, one sentence each."""
        found, protocol = self.protocol.unreached(), self.protocol
        if self.numerics.end_of_life_fraction.si > 0 and protocol.reference_cycle == protocol.cycles:
            found.append("numerics.end_of_life_fraction has no effect: protocol.reference_cycle is the last cycle")
        return found

    def digest(self) -> str:
        """SHA-256 of the values that decide the answer: no names, sources, ranges, validity or checkpoint interval."""
        table = writer.numbers(self)
        del table["name"], table["description"], table["numerics"]["checkpoint_every"]
        del table["cell"]["validity"], table["kinetics"]["validity"]
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def load_scenario(path_or_name: str | Path) -> Scenario:
    """Load a scenario file, or a shipped scenario by its name ("bare", "coated").

    Raises InputError with one line per error in the file and in the files it names.
    """
    path = files.find(path_or_name)
    return Scenario.from_dict(files.read_toml(path), where=str(path), folder=path.parent)


def protocol_of(text: str) -> Protocol | None:
    """The protocol in the TOML text of a resolved scenario, as a result carries it; None where it has none."""
    try:
        return Protocol.model_validate(tomllib.loads(text)["protocol"])
    except (tomllib.TOMLDecodeError, KeyError, ValidationError):
        return None


def quantity_of(key: str) -> Quantity | None:
    """How the value of a key such as "coating.thickness" is read; None where it is no physical number.

    Raises InputError with the nearest valid key for a key that no scenario has, or that names a whole table.
    """
    place = overrides.place_of(key, Scenario)
    if place.tables and not place.is_list:  # a list of tables is one value
        raise InputError(f"{units.shown(key)} is a table, expected the key of a value in it")
    return place.reader if isinstance(place.reader, Quantity) else None


def is_optional(key: str) -> bool:
    """Whether a scenario may go without this key. Raises InputError for a key that no scenario has."""
    return overrides.place_of(key, Scenario).optional


def with_units(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes whose numbers are in SI, as `Scenario.replace` reads them: with units. All that is no number stays."""
    return {key: _with_unit(key, value) for key, value in changes.items()}


def _with_unit(key: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    quantity = quantity_of(key)
    return value if quantity is None else quantity.written(value)


def _inline(table: Mapping[str, Any], folder: Path | None) -> tuple[dict[str, Any], dict[str, Path], list[Problem]]:
    """The table with named files put in place, the files by key, and what was wrong with them."""
    inlined, homes = dict(table), dict[str, Path]()
    problems: list[Problem] = []
    for key in files.SHARED:
        if not isinstance(table.get(key), str):
            continue
        try:
            homes[key], inlined[key] = files.follow(table[key], folder)
        except InputError as error:
            del inlined[key]
            problems.append(((key,), str(error)))
    return inlined, homes, problems


def _line(where: str, homes: dict[str, Path], path: Location, text: str) -> str:
    if path and path[0] in homes and len(path) > 1:
        return f"{homes[str(path[0])]}: {dotted(path[1:])}: {text}"
    return f"{where}: {dotted(path)}: {text}" if path else f"{where}: {text}"


def _end(step: Step) -> tuple[str, Parameter | None]:
    """The key and the voltage at which a step ends or holds; None where the step states none."""
    if isinstance(step, ConstantCurrent):
        return "until", step.until
    return "voltage", step.voltage if isinstance(step, ConstantVoltage) else None


def _inside_potential_table(protocol: Protocol, cell: Cell) -> None:
    """Raise InputError for the first step that ends or holds beyond the potential table of NCM622."""
    blocks = {f"first[{i}].steps": block.steps for i, block in enumerate(protocol.first)}
    for name, steps in ({"steps": protocol.steps} | blocks).items():
        for i, step in enumerate(steps):
            key, end = _end(step)
            if end is not None:
                written = f"{name}[{i}].{key} {dict(end.given)['value']!r}"
                potential.refuse_beyond(written, end.si, cell.lto_plateau.si)


def _leaves(step: Step, cell: Cell) -> bool:
    _, end = _end(step)
    return end is not None and not cell.lower_voltage.si <= end.si <= cell.upper_voltage.si
