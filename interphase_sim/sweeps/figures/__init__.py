"""Figures of a sweep: maps over two axes, families of fade curves, coatings ranked, what decides a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from interphase_sim.errors import InputError
from interphase_sim.plot import written
from interphase_sim.sweeps import analysis
from interphase_sim.sweeps.figures.bars import effects, ranking
from interphase_sim.sweeps.figures.fade import fade_families, sampled_fade
from interphase_sim.sweeps.figures.maps import maps
from interphase_sim.sweeps.figures.shared import Quantity, coating_dim, varied

_WORDS = {
    "charge_capacity": "Charge capacity (mAh g⁻¹ of NCM622)",
    "film_resistance": "Film resistance (Ω m²)",
    "layer_thickness": "Layer thickness (m)",
    "coulombic_efficiency": "Coulombic efficiency (%)",
}


def save_all(ds: xr.Dataset, folder: Path, cycle: int | None = None) -> list[Path]:
    """Draw all figures that the sweep has data for as PNG; returns the files.

    cycle: what maps, bars and indices show, the last one kept without. Raises InputError where no run succeeded.
    """
    chosen = quantities(ds, cycle)
    if not chosen:
        raise InputError("nothing to draw: no run has succeeded yet")
    drawn: dict[str, Figure] = {}
    if analysis.inputs(ds):
        drawn["effects.png"] = effects(ds, chosen)
    elif len(varied(ds)) > 1:
        drawn["map.png"] = maps(ds, chosen)
    if "discharge_capacity" in ds and ds.sizes["cycle"] > 1:
        drawn["fade.png"] = sampled_fade(ds) if analysis.inputs(ds) else fade_families(ds)
    if coating_dim(ds) and "discharge_capacity" in ds:
        drawn["ranking.png"] = ranking(ds, cycle)
    return written(drawn, folder)


def quantities(ds: xr.Dataset, cycle: int | None = None) -> list[Quantity]:
    """Capacity, cycle life and film resistance, as far as the sweep keeps them and any run has them."""
    number = int(ds["cycle"].values[-1]) if cycle is None else cycle
    found = []
    if "discharge_capacity" in ds:
        values = analysis.at_cycle(ds, "discharge_capacity", cycle)
        found.append(Quantity(f"Discharge capacity in cycle {number} (mAh g⁻¹)", values, "discharge_capacity"))
    life = ds["cycle_life"].load().where(ds["status"].load() != 0)
    if np.isfinite(life).any():
        found.append(Quantity("Cycle life (first worn-out cycle)", life, "cycle_life"))
    if "film_resistance_geometric" in ds:
        values = analysis.at_cycle(ds, "film_resistance_geometric", cycle)
        title = f"Film resistance in cycle {number} (Ω cm²)"
        found.append(Quantity(title, values, "film_resistance_geometric", logarithmic=True))
    if not found:
        name = analysis.outputs(ds)[0]
        found.append(Quantity(f"{_WORDS.get(name, name)}, cycle {number}", analysis.at_cycle(ds, name, cycle), name))
    return [each for each in found if np.isfinite(each.values).any()]
