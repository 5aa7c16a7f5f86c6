"""Scenarios: what a run is made of, read strictly from TOML into frozen SI values."""

from interphase_sim.fields import KINDS, Parameter, Ratio, Span
from interphase_sim.scenario.files import scenario_names
from interphase_sim.scenario.overrides import location_of, value_at
from interphase_sim.scenario.schema import (
    Scenario,
    checked_name,
    is_optional,
    load_scenario,
    protocol_of,
    quantity_of,
    with_units,
)
from interphase_sim.scenario.sections import (
    Cell,
    Coating,
    ConstantCurrent,
    ConstantVoltage,
    Kinetics,
    Numerics,
    Protocol,
    Rest,
    Step,
    Validity,
    gap_share,
    halves,
)
from interphase_sim.scenario.template import template
from interphase_sim.scenario.writer import to_toml

__all__ = [
    "KINDS",
    "Cell",
    "Coating",
    "ConstantCurrent",
    "ConstantVoltage",
    "Kinetics",
    "Numerics",
    "Parameter",
    "Protocol",
    "Ratio",
    "Rest",
    "Scenario",
    "Span",
    "Step",
    "Validity",
    "checked_name",
    "gap_share",
    "halves",
    "is_optional",
    "load_scenario",
    "location_of",
    "protocol_of",
    "quantity_of",
    "scenario_names",
    "template",
    "to_toml",
    "value_at",
    "with_units",
]
