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
    """One measured number and its source, as figures and tables name it; empty where none is stated.

    `cell` is the name of a cell, "both" for the bare and the coated one, or "difference_A_minus_B"; `cycle` counts
    from 1.
    """

    cell: str
    quantity: str
    cycle: int
    value: float
    unit: str
    paper_location: str
    source: str = ""


def capacities() -> list[Measured]:
    """Capacities [mAh g-1 of NCM622] and coulombic efficiencies [%] of the shipped file, in its order."""
    with shipped("validation/walther2021_capacity.csv").open(newline="", encoding="utf-8") as file:
        return [
            Measured(
                row["cell"],
                row["quantity"],
                int(row["cycle"]),
                float(row["value"]),
                row["unit"],
                row["paper_location"],
                SOURCE,
            )
            for row in csv.DictReader(file)
        ]
