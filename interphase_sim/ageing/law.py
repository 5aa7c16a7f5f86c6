"""What a law of capacity loss is: the state of the NCM that it moves, what moves it, and how it acts on the cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from interphase_sim.fields import Section

LARGEST_LOSS = 0.999  # of the connected NCM, in a single change: some is always left


@dataclass(frozen=True)
class Ncm:
    """What has become of the NCM: ln of the working contact fraction chi, the fractions isolated and turned to
    rock salt, the lithium (per formula unit of all NCM) that sits in isolated particles, and by name the variables
    that further laws keep."""

    log_contact: float = 0.0
    isolated: float = 0.0
    isolated_lithium: float = 0.0
    rock_salt: float = 0.0
    further: Mapping[str, float] = field(default_factory=dict)

    @property
    def connected(self) -> float:
        """Share of the NCM that takes part, 1 - isolated - rock salt."""
        return 1.0 - self.isolated - self.rock_salt

    def variable(self, name: str) -> float:
        """A variable by its name; zero for one of a further law that has not moved it."""
        return float(getattr(self, name)) if name in OWN else self.further.get(name, 0.0)

    def moved(self, changes: Mapping[str, float]) -> Ncm:
        """The NCM with something added to some of its variables."""
        own = {name: getattr(self, name) + by for name, by in changes.items() if name in OWN}
        others = {name: self.variable(name) + by for name, by in changes.items() if name not in OWN}
        return replace(self, **own, further={**self.further, **others}) if changes else self


OWN = tuple(each.name for each in fields(Ncm) if each.name != "further")


@dataclass(frozen=True)
class Exposure:
    """What moves the NCM over a step, a part of one or a half-cycle that is not solved: layer grown, averaged over the
    NCM's contact area [m], share of all NCM that lost its oxygen [1], delithiation over the full one [1], time [s] and
    temperature [K]."""

    growth: float = 0.0
    reduced: float = 0.0
    swing: float = 0.0
    time: float = 0.0
    temperature: float = 318.15


@dataclass(frozen=True)
class Effect:
    """How the NCM's state acts on the diffusion of lithium: ln of the factor on its diffusivity and a shift of the
    hindrance stoichiometry, both zero for pristine NCM [1]. Isolated NCM and rock salt take no part besides."""

    log_diffusion: float = 0.0
    hindrance_shift: float = 0.0


class LossLaw:
    """A law of capacity loss; a law overrides what it is about.

    channel: its name in results, and that of its switch in ``[losses]``; None for a law whose effect other laws have.
    order: its place among the channels. colour: in figures. source, validity: where it comes from and holds.
    parameters: the keys that it adds to ``[losses]``; those of a new law need defaults, so that old files stay valid.
    variables: those of the NCM that it alone moves, which are put back where the loss of its channel is asked for.
    """

    channel: ClassVar[str | None] = None
    order: ClassVar[int] = 100
    colour: ClassVar[str] = "#999999"
    source: ClassVar[str]
    validity: ClassVar[str]
    parameters: ClassVar[type[Section]] = Section
    variables: ClassVar[tuple[str, ...]] = ()

    def changes(self, losses: Any, ncm: Ncm, exposure: Exposure) -> Mapping[str, float]:
        """What an exposure adds to variables of the NCM, by name; nothing by default.

        The same is asked for a part of a step, a step or a half-cycle that is not solved.
        """
        return {}

    def charged(self, losses: Any, ncm: Ncm, content: float, never: float) -> Mapping[str, float]:
        """What the end of a charge, when the NCM is at its smallest, adds to variables; nothing by default.

        content: mean lithium stoichiometry of the connected NCM [1]; never: share without contact from the start [1].
        """
        return {}

    def effect(self, losses: Any, ncm: Ncm) -> Effect:
        """How the state of the NCM acts on diffusion, linear in ln chi; not at all by default."""
        return Effect()
