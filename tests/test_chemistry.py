"""The tables of species, phases and reactions: balanced, counted, and what the compiled kernels compute."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interphase_sim import chemistry, materials, results
from interphase_sim.chemistry import BY_SYMBOL, ELEMENTS, PHASES, REACTIONS, SPECIES, Reaction, Species
from interphase_sim.interphase import kernels
from interphase_sim.interphase.kernels import Array, Rates
from interphase_sim.scenario import load_scenario

SAME = 1e-13  # relative: the same products in another order
CELLS = 7
TURNOVERS = st.tuples(*[st.floats(0.0, 1e3)] * len(REACTIONS))

REACTION = pytest.mark.parametrize("reaction", REACTIONS, ids=lambda reaction: reaction.name)


def contact(seed: int) -> tuple[Rates, Array, float, float, Array]:
    """Constants, electron reach, both switches and concentrations, drawn with a seed."""
    rng = np.random.default_rng(seed)
    p = Rates(*rng.uniform(0.1, 2.0, len(Rates._fields)))
    y = rng.uniform(0.0, 2.0, (kernels.N_SPECIES, CELLS))
    return p, rng.uniform(0.0, 1.0, CELLS), *rng.uniform(0.0, 1.0, 2), y


def speed(factors: Iterable[str], p: Rates, w: Array, g: float, b: float, y: Array) -> Any:
    """The product of a rate's factors [mol m-3 s-1]."""
    known = p._asdict() | {s.symbol: y[s.row] for s in SPECIES} | {"w": w, "g": g, "b": b}
    return math.prod(known[factor] for factor in factors)


def right_side(reactions: Iterable[Reaction], *at: Any) -> Array:
    """The rates of change of every row, by the table.

    A part is consumed with its whole: by the same rate, of which it is the reactant.
    """
    change = np.zeros((kernels.N_SPECIES, CELLS))
    for reaction in reactions:
        factors = reaction.rate.split()
        for species in SPECIES:
            if species.part_of is None:
                change[species.row] += chemistry.formed(reaction, species) * speed(factors, *at)
            else:
                of_part = [species.symbol if factor == species.part_of else factor for factor in factors]
                whole = chemistry.formed(reaction, BY_SYMBOL[species.part_of])
                change[species.row] += whole * speed(of_part, *at)
    return change


# The kernels


@pytest.mark.parametrize("seed", range(20))
def test_the_kernels_react_as_the_table_says(seed: int) -> None:
    p, w, g, b, y = contact(seed)
    found = np.full_like(y, math.nan)
    kernels.react(p, w, g, b, y, found)
    np.testing.assert_allclose(found, right_side(REACTIONS, p, w, g, b, y), rtol=SAME, atol=SAME)


@pytest.mark.parametrize("seed", range(5))
def test_the_kernels_follow_the_switches_as_the_table_says(seed: int) -> None:
    """Rates are linear in the switches, so that their slopes take the place of their values."""
    p, w, g, b, y = contact(seed)
    switched = [reaction for reaction in REACTIONS if {"g", "b"} & set(reaction.rate.split())]
    found = np.full_like(y, math.nan)
    kernels.react_in_time(p, w, -g, b, y, found)
    np.testing.assert_allclose(found, right_side(switched, p, w, -g, b, y), rtol=SAME, atol=SAME)


def test_the_comparison_notices_a_wrong_row() -> None:
    p, w, g, b, y = contact(0)
    wrong = [replace(r, species={**r.species, "S": 3.9}) if r.name == "R1" else r for r in REACTIONS]
    found = np.empty_like(y)
    kernels.react(p, w, g, b, y, found)
    apart = np.abs(found - right_side(wrong, p, w, g, b, y)).max(axis=1)
    assert np.flatnonzero(apart > 1e-3).tolist() == [kernels.S0]


def test_rows_are_those_of_the_kernels() -> None:
    assert [species.row for species in chemistry.by_row()] == list(range(kernels.N_SPECIES))
    assert {species.kernel: getattr(kernels, species.kernel) for species in SPECIES} == {
        species.kernel: species.row for species in SPECIES
    }


@REACTION
def test_every_rate_constant_is_a_field_of_the_kernels_and_a_key_of_the_scenario(reaction: Reaction) -> None:
    assert reaction.constant in Rates._fields
    assert getattr(load_scenario("bare").kinetics.reactions, reaction.parameter).si >= 0


@pytest.mark.parametrize("seed", range(5))
def test_the_kernels_know_the_phases_of_the_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, t0 = rng.uniform(0.0, 1.0, (kernels.N_SPECIES, CELLS)), 1.2
    volumes, sigmas = rng.uniform(0.5, 2.0, len(PHASES)), (0.4, 0.01, 1e-6)
    found, cells = np.empty(CELLS), np.arange(CELLS)
    kernels.layer_conductivity(y, cells, cells, np.zeros(CELLS), t0, volumes, sigmas, found)
    for k in range(CELLS):
        known = {s.symbol: float(y[s.row, k]) for s in SPECIES} | {"C": t0, "min": min, "max": max}
        shares = dict.fromkeys(chemistry.CONDUCTORS, 0.0)
        for phase, volume in zip(PHASES, volumes, strict=True):
            shares[phase.conducts] += volume * eval(phase.units, {"__builtins__": {}}, known)
        total = sum(shares.values())
        expected = kernels.effective_conductivity(tuple(share / total for share in shares.values()), sigmas)
        assert found[k] == pytest.approx(expected, rel=1e-12)  # bounds 1e-14 apart


def test_every_phase_has_a_molar_volume() -> None:
    for phase in PHASES:
        assert materials.lookup("products", phase.product, "molar_volume").value, phase.product


def test_every_product_is_in_a_phase() -> None:
    """Else the layer would shrink where it forms."""
    formed = {s.symbol for s in SPECIES if s.elements and not s.mobile and not s.start}
    assert formed <= {phase.units for phase in PHASES}


# Balances


@REACTION
@pytest.mark.parametrize("element", ELEMENTS)
def test_a_reaction_conserves_every_element(reaction: Reaction, element: str) -> None:
    assert sum(n * BY_SYMBOL[symbol].elements.get(element, 0) for symbol, n in reaction.species.items()) == 0


@REACTION
def test_a_reaction_conserves_charge(reaction: Reaction) -> None:
    """What it releases leaves positive charge behind, which as many Li+ carry away."""
    charge = sum(n * BY_SYMBOL[symbol].charge for symbol, n in reaction.species.items())
    assert charge == reaction.electrons == reaction.lithium


@REACTION
def test_reactants_decide_a_rate_and_no_product_does(reaction: Reaction) -> None:
    """A rate that a consumed species is missing from would take it below zero."""
    factors = {f: BY_SYMBOL[f] for f in reaction.rate.split() if f in BY_SYMBOL}
    reactants = {species.part_of or species.symbol for species in factors.values()}
    assert reactants == {symbol for symbol, n in reaction.species.items() if n < 0}


# Amounts


def held(turnovers: Mapping[str, float], electrolyte: float) -> list[float]:
    """What a contact holds of every row after so many turnovers of every reaction."""
    return [
        start * electrolyte + sum(turnovers[r.name] * chemistry.formed(r, species) for r in chemistry.REACTIONS)
        for start, species in zip(chemistry.fresh(), chemistry.by_row(), strict=True)
    ]


@given(TURNOVERS)
def test_extents_are_the_turnovers_that_made_what_is_there(turnovers: tuple[float, ...]) -> None:
    expected = {reaction.name: n for reaction, n in zip(REACTIONS, turnovers, strict=True)}
    found = chemistry.extents(held(expected, 2000.0), 2000.0)
    assert found == pytest.approx(expected, abs=1e-11)  # round-off of sums of some thousand


@given(TURNOVERS)
def test_amounts_count_products_consumed_electrolyte_and_electrons(turnovers: tuple[float, ...]) -> None:
    n = {reaction.name: turnover for reaction, turnover in zip(REACTIONS, turnovers, strict=True)}
    found = chemistry.amounts(held(n, 2000.0), 2000.0, taken_up=17.0)
    expected = {
        "oxygen": 17.0,
        "thiophosphate": n["R1"] + n["R3b"],
        "phosphate": n["R1"],
        "sulfate": n["R2"] + n["R4"],
        "oxidised_sulfur": 4 * n["R1"] + n["R3"] + 1.5 * n["R3b"] - n["R4"],
        "P2S5": n["R3b"],
        "released": 2 * n["R3"] + 3 * n["R3b"],
        "electrons": 2 * n["R3"] + 3 * n["R3b"] - 2 * n["R4"],
    }
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-10)  # as above


def test_species_that_do_not_tell_reactions_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = tuple(replace(r, counted_by="S") if r.name in ("R2", "R4") else r for r in REACTIONS)
    monkeypatch.setattr(chemistry, "REACTIONS", blind)
    chemistry._counters.cache_clear()
    with pytest.raises(ValueError, match="nothing tells the extents of R2 apart"):
        chemistry.extents([0.0] * len(SPECIES), 1.0)
    monkeypatch.undo()
    chemistry._counters.cache_clear()


BURNT = Reaction("R5", {"R": -1, "O": -4, "P": 1, "S": 2.5}, -3, -3, "k5 O R", "phosphate", "Z")
COUNTER = Species("Z", len(SPECIES), "BURNT", "PS2.5 oxidised by R5", extent_of="R5")


def test_a_further_reaction_is_counted_by_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """P2S5 that turns to phosphate: phosphorus no longer tells R1, R3b and R5 apart, the counter and the rest do."""
    monkeypatch.setattr(chemistry, "SPECIES", (*SPECIES, COUNTER))
    monkeypatch.setattr(chemistry, "BY_SYMBOL", BY_SYMBOL | {"Z": COUNTER})
    monkeypatch.setattr(chemistry, "REACTIONS", (*REACTIONS, BURNT))
    chemistry._counters.cache_clear()
    n = {"R1": 3.0, "R2": 2.0, "R3": 7.0, "R3b": 5.0, "R4": 1.0, "R5": 4.0}
    total = held(n, 100.0)
    assert chemistry.extents(total, 100.0) == n
    found = chemistry.amounts(total, 100.0, 0.0)
    assert (found["released"], found["electrons"]) == (2 * 7 + 3 * 5, 2 * 7 + 3 * 5 - 2 * 1 - 3 * 4)
    monkeypatch.undo()
    chemistry._counters.cache_clear()


# What is made of the tables


def test_labels_of_results_stay_as_they_are() -> None:
    assert results.SPECIES == ("oxygen", "thiophosphate", "phosphate", "sulfate", "oxidised_sulfur", "P2S5")


def test_figures_draw_the_products_that_have_a_title() -> None:
    assert chemistry.TITLES == {
        "phosphate": "Phosphate",
        "sulfate": "Sulfate and sulfite",
        "oxidised_sulfur": "Oxidised sulfur",
    }
