"""What a run is compared by: numbers read from the result of a run at a cycle, each with its unit and meaning.

An observable is one function and one row of `OBSERVABLES`, which users may extend with `observable`. Amounts are
summed over the interfaces [mol per g NCM622]; cycle 0 is the uncycled cell after its contact dose. Not-a-number means
"not available".
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from interphase_sim.status import RunStatus, outcome_of

LAST = 200
SETTLED = (39, LAST)  # cycles over which the coulombic efficiency is averaged
LATE_EFFICIENCY = ("mean_coulombic_efficiency", SETTLED[0] - 1)  # name and cycle of the mean over them
PRODUCTS = ("phosphate", "sulfate", "oxidised_sulfur")


F = TypeVar("F", bound=Callable[[xr.Dataset, int], float])


class Observable(NamedTuple):
    """read(result, cycle) [unit].

    stays : whether a cell keeps it after its end of life; what it delivers in a cycle it does not
    """

    read: Callable[[xr.Dataset, int], float]
    unit: str
    meaning: str
    stays: bool = True


OBSERVABLES: dict[str, Observable] = {}


def observable(name: str, unit: str, meaning: str, *, stays: bool = True) -> Callable[[F], F]:
    """Register a function of a result and a cycle under a name that data files and criteria can use."""

    def register(read: F) -> F:
        if name in OBSERVABLES:
            raise ValueError(f"there is an observable {name!r} already")
        OBSERVABLES[name] = Observable(read, unit, meaning, stays)
        return read

    return register


def at(ds: xr.Dataset, variable: str, cycle: int) -> float:
    """A by-cycle variable after a cycle."""
    return float(ds[variable].sel(cycle=cycle)) if cycle in ds["cycle"].values else math.nan


def amount(ds: xr.Dataset, species: str, cycle: int, *, away_from_ncm: bool = False) -> float:
    """Amount of a product over all interfaces, or over all but the NCM [mol g-1]."""
    if cycle not in ds["cycle"].values:
        return math.nan
    found = ds["amount"].sel(species=species, cycle=cycle)
    return float((found.drop_sel(interface="ncm") if away_from_ncm else found).sum(skipna=False))


def ratio(above: float, below: float) -> float:
    """A quotient; there is none to a number that is not positive."""
    return above / below if below > 0 else math.nan


def ended(ds: xr.Dataset) -> bool:
    """Whether the run ended because the cell had no capacity left; not by a limit that its scenario states."""
    return outcome_of(ds.attrs).status is RunStatus.NO_CAPACITY


def delivered(ds: xr.Dataset, quantity: str, cycle: int) -> float:
    """Capacity of a cycle [mAh g-1]; a cell without capacity delivers nothing in later cycles."""
    return 0.0 if ended(ds) and cycle > int(ds["cycle"].values[-1]) else at(ds, quantity, cycle)


def _settled(ds: xr.Dataset, after: int = SETTLED[0] - 1) -> NDArray[np.float64]:
    """Coulombic efficiency of the cycles after one, to cycle 200 [%]; not-a-number where there is none."""
    cycles = np.arange(after + 1, LAST + 1)
    return np.asarray(ds["coulombic_efficiency"].reindex(cycle=cycles).values, np.float64)


@observable("mean_coulombic_efficiency", "%", "mean coulombic efficiency after a cycle, to cycle 200", stays=False)
def mean_efficiency(ds: xr.Dataset, after: int = SETTLED[0] - 1) -> float:
    """Mean coulombic efficiency of cycles 39 to 200 [%]; not available if the cell ended earlier."""
    settled = _settled(ds, after)
    return float(settled.mean()) if settled.size else math.nan


def kink(ds: xr.Dataset) -> float:
    """max |CE_n - (CE_(n-1) + CE_(n+1))/2| over n = 40..199 [points]."""
    efficiency = _settled(ds)
    return float(np.abs(efficiency[1:-1] - (efficiency[:-2] + efficiency[2:]) / 2).max())


@observable("coverage", "1", "share of the NCM contact area under the coating")
def coverage(ds: xr.Dataset, cycle: int) -> float:
    """Share of the NCM contact area under the coating."""
    return 1 - at(ds, "exposed_fraction", cycle)


@observable("charge_capacity", "mAh g-1", "charge capacity of a cycle", stays=False)
def _charge(ds: xr.Dataset, cycle: int) -> float:
    return delivered(ds, "charge_capacity", cycle)


@observable("discharge_capacity", "mAh g-1", "discharge capacity of a cycle", stays=False)
def _discharge(ds: xr.Dataset, cycle: int) -> float:
    return delivered(ds, "discharge_capacity", cycle)


@observable("coulombic_efficiency", "%", "discharge over charge capacity of a cycle", stays=False)
def _efficiency(ds: xr.Dataset, cycle: int) -> float:
    return at(ds, "coulombic_efficiency", cycle)


@observable("layer_thickness", "nm", "mean thickness of the layer on the NCM")
def _layer(ds: xr.Dataset, cycle: int) -> float:
    return 1e9 * at(ds, "layer_thickness", cycle)


@observable("isolated_fraction", "1", "share of the NCM without a path of ions; charged, as it is isolated on charge")
def _isolated(ds: xr.Dataset, cycle: int) -> float:
    return at(ds, "isolated_fraction", cycle)


@observable("phosphate", "mol g-1", "phosphate over all interfaces")
def _phosphate(ds: xr.Dataset, cycle: int) -> float:
    return amount(ds, "phosphate", cycle)


@observable("sulfate", "mol g-1", "sulfate with sulfite over all interfaces")
def _sulfate(ds: xr.Dataset, cycle: int) -> float:
    return amount(ds, "sulfate", cycle)


@observable("oxidised_sulfur", "mol g-1", "oxidised sulfur S(0) over all interfaces")
def _sulfur(ds: xr.Dataset, cycle: int) -> float:
    return amount(ds, "oxidised_sulfur", cycle)


@observable("oxidised_sulfur_away_from_ncm", "mol g-1", "oxidised sulfur S(0) at all interfaces but the NCM")
def _sulfur_elsewhere(ds: xr.Dataset, cycle: int) -> float:
    return amount(ds, "oxidised_sulfur", cycle, away_from_ncm=True)
