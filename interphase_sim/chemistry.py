"""The chemistry of a contact as tables: species, the phases that they make up, and reactions.

Everything that counts species is generated from here: amounts, the labels of results, the columns of figures, the
volumes of phases, the constants of the kernels, and the checks that elements and charge are conserved. The compiled
right-hand side in ``interphase.kernels`` is written by hand and compared with these tables by the tests.

A further reaction between these species is one row of `REACTIONS`, its rate in ``interphase.kernels`` and its rate
constant in the scenario's `[kinetics.reactions]`. Electrons are counted reaction by reaction: one whose turnover the
other species do not tell needs a row of the state that counts it, as E counts R3; `extents` says so.

Concentrations are per volume of original electrolyte, of which there are `start` formula units of a species per formula
unit of Li6PS5Cl. An amount counts what was formed, of a species that was there from the start what was consumed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Species:
    """One row of the state of a cell.

    symbol: as in the equations; row: in the kernels' state, and kernel: its name there; elements: atoms in a formula
    unit; charge: of a formula unit [e]; start: formula units per formula unit of fresh electrolyte; label: its name in
    results, None where it is not recorded; title: of the column that figures draw, None where they draw none; probe:
    what a spectrometer sees of it.
    part_of: the symbol of a species of which this row is the part over exposed oxide or carbon, where electrons can be
    taken up; extent_of: the reaction whose extent this row counts. Such rows are no matter of their own.
    mobile: it diffuses and comes from the oxide, so that only what was taken up is known of it.
    """

    symbol: str
    row: int
    kernel: str
    formula: str
    elements: Mapping[str, float] = field(default_factory=dict)
    charge: int = 0
    start: int = 0
    label: str | None = None
    title: str | None = None
    probe: str | None = None
    part_of: str | None = None
    extent_of: str | None = None
    mobile: bool = False


# In the order of results.
SPECIES = (
    Species("O", 0, "OX", "O", {"O": 1}, label="oxygen", mobile=True),
    Species("T", 1, "PS4", "PS4(3-)", {"P": 1, "S": 4}, -3, start=1, label="thiophosphate"),
    Species(
        "P", 4, "PO4", "PO4(3-)", {"P": 1, "O": 4}, -3,
        label="phosphate", title="Phosphate", probe="ToF-SIMS phosphate; XPS P 2p at 133.0 eV",
    ),
    Species(
        "Q", 5, "SO4", "SO4(2-), with sulfite", {"S": 1, "O": 4}, -2,
        label="sulfate", title="Sulfate and sulfite", probe="ToF-SIMS sulfate and sulfite",
    ),
    Species(
        "S", 3, "S0", "S(0), polysulfide", {"S": 1},
        label="oxidised_sulfur", title="Oxidised sulfur", probe="XPS S 2p, S(ox) shoulder",
    ),
    Species("R", 6, "PS25", "PS2.5, half of P2S5", {"P": 1, "S": 2.5}, label="P2S5"),
    Species("F", 2, "S2", "S(2-)", {"S": 1}, -2, start=1),
    Species("E", 7, "OXIDISED", "S(2-) oxidised by R3", extent_of="R3"),
    Species("X", 8, "S2_EXPOSED", "S(2-) over exposed oxide", part_of="F"),
    Species("Y", 9, "PS4_EXPOSED", "PS4(3-) over exposed oxide", part_of="T"),
)  # fmt: skip


@dataclass(frozen=True)
class Phase:
    """A phase of the layer: its row in the table of products, which has its molar volume, how many formula units of it
    there are (symbols, and C for the electrolyte's concentration), and which of three conductivities it has."""

    product: str
    units: str
    conducts: str


# In the order of the kernels' volumes.
PHASES = (
    Phase("Li6PS5Cl", "min(T, F)", "electrolyte"),
    Phase("Li3PS4", "T - min(T, F)", "thiophosphate"),
    Phase("Li2S", "F - min(T, F)", "insulating"),
    Phase("LiCl", "max(C - min(T, F), 0)", "insulating"),
    Phase("Li3PO4", "P", "insulating"),
    Phase("Li2SO4", "Q", "insulating"),
    Phase("S", "S", "insulating"),
    Phase("P2S5/2", "R", "insulating"),
)


@dataclass(frozen=True)
class Reaction:
    """One reaction per formula unit of turnover.

    species: formula units formed, negative for those consumed; electrons: released, negative for those taken from the
    oxide; lithium: Li+ that leave with them; rate: the product of its factors, symbols of the kernels' equations, of
    which the first is the rate constant; parameter: of the scenario's ``[kinetics.reactions]``, its value; counted_by:
    the species whose change tells the reaction's extent, once the extents of the others that change it are known.
    """

    name: str
    species: Mapping[str, float]
    electrons: int
    lithium: int
    rate: str
    parameter: str
    counted_by: str

    @property
    def constant(self) -> str:
        """The name of its rate constant in the kernels."""
        return self.rate.split()[0]


REACTIONS = (
    Reaction("R1", {"T": -1, "O": -4, "P": 1, "S": 4}, 0, 0, "k1 O T", "phosphate", "P"),
    Reaction("R2", {"F": -1, "O": -4, "Q": 1}, 0, 0, "k2 O F", "sulfate", "F"),
    Reaction("R3", {"F": -1, "S": 1}, 2, 2, "k3 g w X", "sulfide_oxidation", "E"),
    Reaction("R3b", {"T": -1, "R": 1, "S": 1.5}, 3, 3, "k3b b w Y", "thiophosphate_oxidation", "R"),
    Reaction("R4", {"S": -1, "O": -4, "Q": 1}, -2, -2, "k4 O S", "polysulfide_sulfate", "Q"),
)

BY_SYMBOL = {species.symbol: species for species in SPECIES}
LABELLED = {species.label: species for species in SPECIES if species.label}
LABELS = tuple(LABELLED)
ROWS = {label: species.row for label, species in LABELLED.items()}
TITLES = {label: species.title for label, species in LABELLED.items() if species.title}
ELEMENTS = tuple(dict.fromkeys(element for species in SPECIES for element in species.elements))
CONDUCTORS = ("electrolyte", "thiophosphate", "insulating")


def by_row() -> list[Species]:
    """The species in the order of the kernels' state."""
    return sorted(SPECIES, key=lambda species: species.row)


def fresh() -> list[int]:
    """Formula units of every row of the state in fresh electrolyte whose oxide is all exposed."""
    return [BY_SYMBOL[species.part_of or species.symbol].start for species in by_row()]


def content(element: str) -> list[float]:
    """Atoms of an element in a formula unit of every row of the state."""
    return [species.elements.get(element, 0.0) for species in by_row()]


def charges() -> list[int]:
    """Charge of a formula unit of every row of the state [e]."""
    return [species.charge for species in by_row()]


def formed(reaction: Reaction, species: Species) -> float:
    """Formula units of a species formed by a turnover of a reaction; one of a row that counts the turnover."""
    return float(species.extent_of == reaction.name) or reaction.species.get(species.symbol, 0.0)


def never_falls(species: Species) -> bool:
    """Whether no reaction takes back what an amount of a species counts."""
    taken_up = species.mobile  # of which an amount counts what came from the oxide
    return taken_up or all(_sign(species) * formed(reaction, species) >= 0 for reaction in REACTIONS)


def amounts(total: Sequence[float], electrolyte: float, taken_up: float) -> dict[str, float]:
    """Amounts by label, and electrons, in the unit of the arguments.

    total (10,): what a contact holds of every row; electrolyte: formula units that it held at the start; taken_up:
    oxygen from the oxide. "released" counts the electrons of reactions that release some, "electrons" those less what
    others took.
    """
    found = {
        label: taken_up if species.mobile else _counted(species, total, electrolyte)
        for label, species in LABELLED.items()
    }
    turnover = extents(total, electrolyte)
    released = sum(r.electrons * turnover[r.name] for r in REACTIONS if r.electrons > 0)
    taken = sum(-r.electrons * turnover[r.name] for r in REACTIONS if r.electrons < 0)
    return found | {"released": released, "electrons": released - taken}


def extents(total: Sequence[float], electrolyte: float) -> dict[str, float]:
    """Turnover of every reaction from what a contact holds of every row and held of electrolyte at the start."""
    found: dict[str, float] = {}
    for name, counter, per_turnover, others in _counters():
        gain = _counted(counter, total, electrolyte)
        for other, number in others:
            gain -= number * found[other]
        found[name] = gain / per_turnover
    return found


_Counter = tuple[str, Species, float, tuple[tuple[str, float], ...]]


@functools.cache
def _counters() -> tuple[_Counter, ...]:
    """Reactions in an order in which their extents follow one from the other: name, the species that counts it, what
    one turnover adds to its amount, and what each reaction that comes before adds.

    Raises ValueError where the species that count reactions do not tell them apart.
    """
    found: dict[str, _Counter] = {}
    while len(found) < len(REACTIONS):
        waiting = [reaction for reaction in REACTIONS if reaction.name not in found]
        for reaction in waiting:
            counter = BY_SYMBOL[reaction.counted_by]
            adds = {r.name: _sign(counter) * formed(r, counter) for r in REACTIONS if formed(r, counter)}
            own = adds.pop(reaction.name, 0.0)
            if own and adds.keys() <= found.keys():
                found[reaction.name] = reaction.name, counter, own, tuple(adds.items())
                break
        else:
            raise ValueError(f"nothing tells the extents of {', '.join(r.name for r in waiting)} apart")
    return tuple(found.values())


def _sign(species: Species) -> float:
    return -1.0 if species.start else 1.0


def _counted(species: Species, total: Sequence[float], electrolyte: float) -> float:
    """What was formed of a species, or consumed if it was there from the start."""
    held = float(total[species.row])
    return species.start * electrolyte - held if species.start else held
