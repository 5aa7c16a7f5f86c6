"""The measured capacities that ship with the package.

Facts and numbers of F. Walther, F. Strauss, X. Wu, B. Mogwitz, J. Hertle, J. Sann, M. Rohnke, T. Brezesinski
and J. Janek, "Working Principle of a Li2CO3/LiNbO3 Coating on NCM for Thiophosphate-based All-Solid-State
Batteries" (2021). All come from the text; the drawn curves were not read.
"""

import csv
from typing import NamedTuple

from interphase_sim.resources import shipped

SOURCE = "Walther et al. 2021"


class Measured(NamedTuple):
    """One measured number: `cell` is bare, coated, both or a difference; `cycle` counts from 1."""

    cell: str
    quantity: str
    cycle: int
    value: float
    unit: str
    paper_location: str


def capacities() -> list[Measured]:
    """Capacities [mAh g-1 of NCM622] and coulombic efficiencies [%], in the order of the file."""
    with shipped("validation/walther2021_capacity.csv").open(newline="", encoding="utf-8") as file:
        return [
            Measured(
                row["cell"],
                row["quantity"],
                int(row["cycle"]),
                float(row["value"]),
                row["unit"],
                row["paper_location"],
            )
            for row in csv.DictReader(file)
        ]
