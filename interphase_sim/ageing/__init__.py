"""How a grown interphase costs capacity: one law to a file, found here by its ``LAW``, and the one way to age the NCM.

Solved steps and cycles that are left out age the NCM by the same functions.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import create_model

from interphase_sim.ageing.law import Effect, Exposure, LossLaw, Ncm
from interphase_sim.fields import Section

__all__ = [
    "CHANNELS",
    "COLOURS",
    "LAWS",
    "Effect",
    "Exposure",
    "Losses",
    "Ncm",
    "age",
    "age_cycle",
    "changes",
    "charged",
    "drift",
    "effect",
    "undone",
]


def _laws() -> Iterator[LossLaw]:
    for module in pkgutil.iter_modules(__path__):
        law = getattr(importlib.import_module(f"{__name__}.{module.name}"), "LAW", None)
        if law is not None:
            yield law


LAWS: tuple[LossLaw, ...] = tuple(sorted(_laws(), key=lambda law: (law.order, type(law).__name__)))
CHANNELS: tuple[str, ...] = tuple(law.channel for law in LAWS if law.channel)
COLOURS: dict[str, str] = {law.channel: law.colour for law in LAWS if law.channel}


def _keys() -> dict[str, tuple[Any, Any]]:
    """Every key of ``[losses]`` with its annotation and default, in the order of the laws: switches come first."""
    found: dict[str, tuple[Any, Any]] = {}
    for law in LAWS:
        hints = get_type_hints(law.parameters, include_extras=True)
        for name, info in law.parameters.model_fields.items():
            if name in found:
                raise ValueError(f"two loss laws have a parameter {name!r}")
            found[name] = hints[name], (... if info.is_required() else info.default)
    return dict(sorted(found.items(), key=lambda item: item[0] not in CHANNELS))


if TYPE_CHECKING:
    Losses = Any
else:
    Losses = create_model(
        "Losses",
        __base__=Section,
        __module__=__name__,
        __doc__="Switches of the loss channels and the numbers of their laws.",
        **_keys(),
    )


def age(losses: Losses, ncm: Ncm, exposure: Exposure) -> Ncm:
    """The NCM after an exposure, by all laws one after the other."""
    return ncm.moved(changes(losses, ncm, exposure))


def changes(losses: Losses, ncm: Ncm, exposure: Exposure) -> dict[str, float]:
    """What an exposure adds to the variables of the NCM, by name, all laws together."""
    return _summed(law.changes(losses, ncm, exposure) for law in LAWS)


def charged(losses: Losses, ncm: Ncm, content: float, never: float) -> Ncm:
    """The NCM after the end of a charge. content, never: see ``LossLaw.charged``."""
    return ncm.moved(_summed(law.charged(losses, ncm, content, never) for law in LAWS))


def _summed(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in each:
        for name, by in one.items():
            total[name] = total[name] + by if name in total else by
    return total


def age_cycle(losses: Losses, ncm: Ncm, charge: Exposure, content: float, never: float, discharge: Exposure) -> Ncm:
    """The NCM after a cycle: charge, end of charge, discharge."""
    return age(losses, charged(losses, age(losses, ncm, charge), content, never), discharge)


def effect(losses: Losses, ncm: Ncm, laws: Sequence[LossLaw] = LAWS) -> Effect:
    """How the state of the NCM acts on diffusion, all laws together."""
    each = [law.effect(losses, ncm) for law in laws]
    return Effect(sum(one.log_diffusion for one in each), sum(one.hindrance_shift for one in each))


def drift(losses: Losses, ncm: Ncm, log_contact: float) -> Effect:
    """How fast the effect changes while ln chi does, which acts on it linearly [s-1]."""
    moving, still = (effect(losses, replace(ncm, log_contact=x)) for x in (log_contact, 0.0))
    return Effect(moving.log_diffusion - still.log_diffusion, moving.hindrance_shift - still.hindrance_shift)


def undone(losses: Losses, channel: str, now: Ncm, before: Ncm) -> tuple[Effect, float]:
    """What is to be added to effect and connected share of ``now`` so that one channel acts as it did ``before``."""
    laws = [law for law in LAWS if law.channel == channel]
    new, old = effect(losses, now, laws), effect(losses, before, laws)
    back = {name: before.variable(name) - now.variable(name) for law in laws for name in law.variables}
    shares = -sum(by for name, by in back.items() if name in ("isolated", "rock_salt"))
    return Effect(old.log_diffusion - new.log_diffusion, old.hindrance_shift - new.hindrance_shift), shares
