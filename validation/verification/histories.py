"""What must hold of a contact on a history of potentials that is given, whatever kinetics, coating and grid.

Slacks follow from the tolerance of a step in time, taken in each of some hundred steps: a hundred tolerances.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from interphase_sim.interphase import column, kernels
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.scenario import Scenario, with_units
from validation.verification import balances
from validation.verification.strategies import History, setting_of

T0 = column.ELECTROLYTE_CONCENTRATION
ROUND_OFF = 1e-10
ROUND_OFF_OXYGEN = 1e-9  # a solve at diffusion numbers of 1e8 and more leaves so much
NO_FILM = 1e-5  # ohm m2, next to nothing beside 1e-2 and more that a charge feels
STEPS = 100.0  # tolerances that add up along a history
COOLER = 10.0  # K
LESS = 0.5
# What never falls, and as how many times the electrolyte: all oxygen that PS4 and five S can take, all electrons.
RISING = balances.rising() | {"oxygen": 24.0, "released": 13.0}


def courses(history: History) -> list[Contacts]:
    """The contacts before, after the contact dose and after every half-cycle."""
    s = history.setting
    found = [ct.pristine(s)]
    found.append(ct.contact_dose(s, found[0]))
    for drive in history.drives:
        found.append(ct.advance(s, found[-1], drive))
    return found


def columns(contacts: Contacts) -> tuple[Column, ...]:
    """The columns of all interfaces."""
    return contacts.columns


def conserved(history: History) -> float:
    """Every element and charge: what is off, relative, at most round-off."""
    worst = 0.0
    for col in columns(courses(history)[-1]):
        kept = balances.elements(col) | {"charge": balances.electrons(col)}
        taken = balances.exchanged(col)
        for name, off in (kept | taken).items():
            assert off <= (ROUND_OFF_OXYGEN if name in taken else ROUND_OFF), f"{name} {off:.2e}"
            worst = max(worst, off)
    return worst


def positive_and_rising(history: History) -> float:
    """No concentration is negative, and what nothing consumes never falls; the largest breach [tolerances]."""
    found = courses(history)
    worst = 0.0
    for before, after in itertools.pairwise(found):
        for old, new in zip(columns(before), columns(after), strict=True):
            worst = max(worst, _fall(old, new))
    worst /= history.tolerance
    assert worst <= STEPS, f"{worst:.3g} tolerances"
    return worst


def _fall(old: Column, new: Column) -> float:
    """Largest negative concentration and largest fall of an amount, over all that there is [1]."""
    scale = np.full(kernels.N_SPECIES, T0)
    scale[kernels.OX] = new.rates.c_eq
    negative = float((-new.y / scale[:, None]).max())
    first, second = column.amounts(old), column.amounts(new)
    falls = [(first[name] - second[name]) / scale for name, scale in _scales(new).items()]
    return max(0.0, negative, *falls)


def _touched(col: Column) -> float:
    """Depth of the cells where anything reacted, one at least [m]."""
    touched = np.abs(col.y[kernels.PS4] - T0) + np.abs(col.y[kernels.S2] - T0) > ROUND_OFF * T0
    return float(col.grid.width[touched].sum()) + float(col.grid.width[0])


def _scales(col: Column) -> dict[str, float]:
    """What differences of amounts are measured by [mol m-2]: of oxygen also what dissolves where it came, of which a
    step in time leaves ten times the tolerance."""
    came = float(col.grid.width[col.y[kernels.OX] > ROUND_OFF * col.rates.c_eq].sum())
    scales = {name: times * T0 * _touched(col) for name, times in RISING.items()}
    return scales | {"oxygen": scales["oxygen"] + 10 * col.rates.c_eq * came}


def resists_more(history: History) -> float:
    """The resistance of a contact is positive and never falls while it reacts; largest fall, relative [1]."""
    found = [ct.film_resistance(history.setting, contacts) for contacts in courses(history)]
    assert min(found) > -NO_FILM, found
    assert all(math.isfinite(value) for value in found), found
    falls = [before - after - NO_FILM for before, after in itertools.pairwise(found)]
    worst = max(0.0, *falls) / max(*found, NO_FILM)
    assert worst <= STEPS * history.tolerance, f"{worst:.3g} of {found}"
    return worst


def repeats(history: History) -> float:
    """The same history twice gives the same bits."""
    for one, other in zip(columns(courses(history)[-1]), columns(courses(history)[-1]), strict=True):
        assert np.array_equal(one.y, other.y)
        assert np.array_equal(one.u, other.u)
    return 0.0


def splits_at_steps(history: History) -> float:
    """A history cut where a step of the integrator ends goes on with the same bits."""
    for col in columns(courses(history)[1]):
        start = replace(col, step=1.0, steps=0)
        first = column.advance(start, _steady(0.0, 1.0), history.tolerance)
        if first.steps != 1 or first.step <= 1.0:  # the first step was refused, or the next is shorter
            continue
        whole = column.advance(start, _steady(0.0, 7200.0), history.tolerance)
        second = column.advance(first, _steady(1.0, 7200.0), history.tolerance)
        assert second.steps == whole.steps, (second.steps, whole.steps)
        assert np.array_equal(second.y, whole.y)
        assert np.array_equal(second.u, whole.u)
    return 0.0


def _steady(start: float, end: float) -> Drive:
    return Drive(np.array([start, end]), np.ones(2), np.ones(2), np.ones(2))


def splits_anywhere(history: History) -> float:
    """A history cut elsewhere gives the same amounts; largest difference [tolerances]."""
    s, start, drive = history.setting, courses(history)[1], history.drives[0]
    whole = ct.advance(s, start, drive)
    parted = ct.advance(s, ct.advance(s, start, _part(drive, 0, 0.37)), _part(drive, 0.37, 1))
    worst = 0.0
    for one, other in zip(columns(whole), columns(parted), strict=True):
        first, second = column.amounts(one), column.amounts(other)
        worst = max(worst, *(abs(first[name] - second[name]) / scale for name, scale in _scales(one).items()))
    worst /= history.tolerance
    assert worst <= STEPS, f"{worst:.3g} tolerances"
    return worst


def _part(drive: Drive, low: float, high: float) -> Drive:
    """A drive between two shares of its time."""
    a, b = (drive.time[0] + share * (drive.time[-1] - drive.time[0]) for share in (low, high))
    inside = drive.time[(drive.time > a) & (drive.time < b)]
    time = np.concatenate(([a], inside, [b]))
    return Drive(time, *(np.interp(time, drive.time, series) for series in drive.arrays()[1:]))


def grows_more(case: tuple[History, int]) -> float:
    """More exposed oxide, faster rates and more heat never take up less oxygen; largest fall, relative [1]."""
    history, which = case
    slower = _slower(history)
    less, most = (_uptake(s, history) for s in (setting_of(slower[which % len(slower)]), history.setting))
    worst = max(0.0, (less - most) / (most + 1e-15))
    assert worst <= STEPS * history.tolerance + 1e-9, f"{worst:.3g} with variant {which % len(slower)}"
    return worst


def _uptake(s: Setting, history: History) -> float:
    contacts = ct.contact_dose(s, ct.pristine(s))
    for drive in history.drives:
        contacts = ct.advance(s, contacts, drive)
    return ct.amounts(contacts)["ncm"]["oxygen"]


def _slower(history: History) -> list[Scenario]:
    """The same contact with one of its rates halved, cooler, or with less of its oxide exposed.

    Less exposed only where covered oxide releases nothing: it knows no gap and no rock salt, and may release more.
    """
    chosen = history.scenario
    oxygen, reactions = chosen.kinetics.oxygen, chosen.kinetics.reactions
    changes = [{f"kinetics.oxygen.{key}": LESS * getattr(oxygen, key).si} for key in ("exchange", "diffusivity")]
    changes += [
        {f"kinetics.reactions.{key}": LESS * getattr(reactions, key).si}
        for key in ("phosphate", "sulfate", "polysulfide_sulfate")
    ]
    changes.append({"cell.temperature": chosen.cell.temperature.si - COOLER})
    coat = chosen.coating
    if coat and coat.contact == "mixed" and coat.covered_rate and coat.covered_rate.si == 0:
        changes.append({"coating.coverage": 0.5 * (1 + coat.coverage.si)})
    return [chosen.replace(with_units(change)) for change in changes]


def invariants(history: History) -> float:
    """What is conserved, positive, rising and repeated; the largest breach of the first, relative [1]."""
    positive_and_rising(history)
    repeats(history)
    return conserved(history)


def splits(history: History) -> float:
    """Cut at a step of the integrator, and elsewhere; largest difference of the second [tolerances]."""
    splits_at_steps(history)
    return splits_anywhere(history)
