"""A made-up result that looks like a run, so that files and figures are tested without simulating."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from interphase_sim import results
from interphase_sim.status import classified

POINTS, DEPTH_CELLS = 60, 40
ROWS_RINGS = (30, 8)
FADES = {"bare": (161.0, 22.0, 0.50, 1.0), "coated": (180.0, 82.0, 0.62, 0.55)}


def result(
    name: str = "coated",
    cycles: int = 200,
    output_cycles: tuple[int, ...] = (1, 50, 200),
    *,
    resolved: bool = False,
    **attrs: Any,
) -> xr.Dataset:
    """A result of `cycles` cycles that fades like the named cell; `attrs` override the attributes."""
    outputs = np.array([n for n in output_cycles if n <= cycles], int)
    values = results.empty(cycles + 1, len(outputs), POINTS, DEPTH_CELLS, *(ROWS_RINGS if resolved else ()))
    cycle = np.arange(cycles + 1)
    _fill_cycles(values, cycle, *FADES.get(name, FADES["coated"]))
    _fill_curves(values, outputs)
    _fill_depth(values, outputs)
    _fill_losses(values, outputs)
    if resolved:
        _fill_unit_cell(values, outputs)
    texts: dict[str, Any] = {
        "name": name,
        "scenario": f'schema_version = 1\nname = "{name}"\n',
        "scenario_digest": "0" * 64,
        "status": "completed",
        "versions": {"interphase_sim": "0.1.0"},
        "statistics": {"wall_s": 1.5},
        "warnings": [],
    }
    texts |= attrs
    outcome = classified(texts["status"]).attributes()
    return results.build(values, {"cycle": cycle, "output_cycle": outputs}, outcome | texts)


def _fill_cycles(
    values: dict[str, NDArray[np.float64]],
    cycle: NDArray[Any],
    first: float,
    last: float,
    power: float,
    film: float,
) -> None:
    done = cycle[1:]
    progress = ((done - 1) / 199) ** power
    discharge = first + (last - first) * progress
    efficiency = 99.5 - 0.5 * (first < 170) - (11.5 if first < 170 else 9.0) * np.exp(-(done - 1) / 2.0)
    values["discharge_capacity"][1:] = discharge
    values["coulombic_efficiency"][1:] = efficiency
    values["charge_capacity"][1:] = 100 * discharge / efficiency
    values["mean_charge_voltage"][1:] = 2.30 + 0.5 * film * progress
    values["mean_discharge_voltage"][1:] = 2.15 - 0.4 * film * progress
    grown = np.sqrt(cycle / 200)
    values["film_resistance"][:] = 0.1 + 0.6 * film * grown
    values["film_resistance_geometric"][:] = 40 * values["film_resistance"]
    values["layer_thickness"][:] = 2e-9 + 12e-9 * film * grown
    values["exposed_fraction"][:] = 1.0 if film == 1.0 else 0.12
    values["isolated_fraction"][:] = 0.05 * grown
    values["rock_salt_fraction"][:] = 0.01 * film * grown
    values["connected_fraction"][:] = 1 - values["isolated_fraction"] - values["rock_salt_fraction"]
    values["working_contact_fraction"][:] = 1 - 0.4 * film * grown
    values["isolated_lithium_content"][:] = 0.5
    values["regime"][:] = 0.3 * grown
    values["ledger_residual"][:] = 1e-9
    values["elapsed_time"][:] = 3.2e4 * cycle
    values["amount"][:] = 0.0
    species = list(results.SPECIES)
    for name, scale in (("phosphate", 1.1e-5), ("sulfate", 0.7e-5), ("oxidised_sulfur", 2.1e-5)):
        values["amount"][species.index(name), 0] = scale * film * (0.1 + 0.9 * grown)
    sulfur = values["amount"][species.index("oxidised_sulfur")]
    sulfur[1] = 2.6e-5 * (1 - np.exp(-cycle / 3))
    sulfur[2] = 0.04e-5 * (1 - np.exp(-cycle / 3))


def _fill_curves(values: dict[str, NDArray[np.float64]], outputs: NDArray[Any]) -> None:
    grid = np.linspace(0, 1, POINTS - 5)
    for k, n in enumerate(outputs):
        gap = 0.04 + 0.25 * (n / 200) ** 0.5
        for j, (name, sign) in enumerate((("charge", 1), ("discharge", -1))):
            capacity = values[f"{name}_capacity"][n]
            state = grid if sign == 1 else 1 - grid
            voltage = 2.05 + 0.75 * state + 0.1 * state**6 + sign * gap - 0.5 * np.exp(-18 * state)
            values["curve_capacity"][k, j, : grid.size] = capacity * grid
            values["curve_voltage"][k, j, : grid.size] = np.clip(voltage, 1.35, 2.85)
            values["curve_voltage"][k, j, grid.size - 1] = 2.85 if sign == 1 else 1.35


def _fill_depth(values: dict[str, NDArray[np.float64]], outputs: NDArray[Any]) -> None:
    depth = 0.2e-9 * np.cumsum(1.2 ** np.arange(DEPTH_CELLS))
    values["depth"][:] = depth
    values["profile"][:] = 0.0
    thickness = values["layer_thickness"][outputs]
    for name, top in (("phosphate", 6930.0), ("sulfate", 5200.0), ("oxidised_sulfur", 26000.0)):
        front = 0.5 * (1 - np.tanh((depth - thickness[:, None]) / (0.4 * thickness[:, None])))
        values["profile"][results.SPECIES.index(name), 0] = top * front


def _fill_losses(values: dict[str, NDArray[np.float64]], outputs: NDArray[Any]) -> None:
    shares = np.array([0.42, 0.38, 0.08, 0.03, 0.04, 0.05])
    lost = values["discharge_capacity"][:2][-1] - values["discharge_capacity"][outputs]
    values["capacity_loss"][:] = shares[:, None] * lost


def _fill_unit_cell(values: dict[str, NDArray[np.float64]], outputs: NDArray[Any]) -> None:
    """A gap of 3 rings in a coating of 15 nm, a front that leaves it; not a number in the coating."""
    rows, rings = ROWS_RINGS
    values["ring_radius"][:] = np.linspace(0, 8e-9, rings + 1)
    values["row_height"][:] = np.linspace(0, 60e-9, rows + 1)
    height = 60e-9 * (np.arange(rows) + 0.5) / rows
    front = 0.5 * (1 - np.tanh((height - 30e-9 * np.sqrt(outputs / 200)[:, None]) / 2e-9))[:, :, None] * np.ones(rings)
    front[:, height < 15e-9, 3:] = np.nan
    for name, top in (("phosphate", 6930.0), ("sulfate", 5200.0), ("oxidised_sulfur", 26000.0)):
        values["unit_cell"][results.SPECIES.index(name)] = top * front
    values["unit_cell_conductivity"][:] = 0.4 * 10 ** (-6 * front)
