"""Capacity fade of NCM | Li6PS5Cl | LTO solid-state cells from the interphase that causes it.

The names below are the public face, each imported when first used, so that importing the package is instant.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interphase_sim.errors import InputError
    from interphase_sim.results import load_result, save_result
    from interphase_sim.scenario import load_scenario
    from interphase_sim.simulation import simulate
    from interphase_sim.sweeps import sweep

    from . import plot as plot
    from . import results as results

__version__ = "0.1.0"
__all__ = [
    "InputError",
    "__version__",
    "load_result",
    "load_scenario",
    "plot",
    "results",
    "save_result",
    "simulate",
    "sweep",
]

# PyBaMM reads this when it is imported.
os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")

_ROOMS = ("plot", "results")
_HOMES = {
    "InputError": ("errors", "InputError"),
    "load_result": ("results", "load_result"),
    "load_scenario": ("scenario", "load_scenario"),
    "save_result": ("results", "save_result"),
    "simulate": ("simulation", "simulate"),
    "sweep": ("sweeps", "sweep"),
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name in _ROOMS:
        return importlib.import_module(f"interphase_sim.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'interphase_sim' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(f"interphase_sim.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
