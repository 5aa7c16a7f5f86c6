"""What a contact's state conserves, element by element and electron by electron, by the tables of species."""

from __future__ import annotations

import numpy as np

from interphase_sim import chemistry
from interphase_sim.chemistry import ELEMENTS, LABELLED, SPECIES, Species
from interphase_sim.interphase import column
from interphase_sim.interphase.column import PRISTINE, Column

EXCHANGED = tuple(element for element in ELEMENTS if any(s.mobile and element in s.elements for s in SPECIES))
KEPT = tuple(element for element in ELEMENTS if element not in EXCHANGED)
SMALL = 1e-3  # of all electrolyte: below that, what came from the oxide is measured by it


def elements(col: Column) -> dict[str, float]:
    """By element that no oxide gives: largest difference in a cell from fresh electrolyte, over its concentration."""
    return {element: _largest(col, chemistry.content(element)) for element in KEPT}


def _largest(col: Column, atoms: list[float]) -> float:
    start = float(np.dot(atoms, PRISTINE)) * col.rates.t0
    # rows that are parts or extents hold no atoms, so that nothing is counted twice
    return float(np.abs(np.tensordot(atoms, col.y, 1) - start).max()) / col.rates.t0


def exchanged(col: Column) -> dict[str, float]:
    """By element that comes from the oxide: how far what the cells hold is from what was taken up, relative."""
    width, taken = col.grid.width, float(col.u.sum())
    scale = taken + SMALL * col.rates.t0 * float(width.sum())
    held = {element: float(np.tensordot(chemistry.content(element), col.y, 1) @ width) for element in EXCHANGED}
    return {element: abs(atoms - taken) / scale for element, atoms in held.items()}


def electrons(col: Column) -> float:
    """How far the electrons that are counted are from the charge of all species, over two per sulfur."""
    width, start = col.grid.width, col.rates.t0 * PRISTINE[:, None]
    released = float(np.tensordot(chemistry.charges(), col.y - start, 1) @ width)
    scale = 2 * float(np.dot(chemistry.content("S"), PRISTINE)) * col.rates.t0 * float(width.sum())
    return abs(column.amounts(col)["electrons"] - released) / scale


def rising() -> dict[str, float]:
    """By label of every product or reactant that no reaction takes back: formula units that one of electrolyte can
    become."""
    return {
        label: _most(species)
        for label, species in LABELLED.items()
        if chemistry.never_falls(species) and not species.mobile
    }


def _most(species: Species) -> float:
    return min(float(np.dot(chemistry.content(e), PRISTINE)) / n for e, n in species.elements.items() if e in KEPT)
