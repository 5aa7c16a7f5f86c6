"""The laws of capacity loss against numbers worked out by hand, their limits and their switches."""

import math
from dataclasses import replace
from typing import Any

import pytest
from closeness import near
from hypothesis import given
from hypothesis import strategies as st
from pinned import scenario

from interphase_sim import ageing
from interphase_sim.ageing import Exposure, Ncm
from interphase_sim.ageing.contact_loss import contact_decay
from interphase_sim.ageing.isolation import isolated_fraction
from interphase_sim.ageing.slow_lithiation import slow_lithiation

EXACT = 1e-12  # relative: the same products in another order


def chosen(**changes: Any) -> Any:
    """Every channel on; L_c 10 nm, k_mech 0.005, n 2, shift 0.3, threshold 0.2, spread 0.3."""
    on = {
        "film": True, "slow_lithiation": True, "isolation": True, "rock_salt": True,
        "electrolyte_oxidation": True, "contact_length": 10e-9, "mechanical_loss": 0.005,
        "lithiation_law": "length", "diffusion_exponent": 2.0, "hindrance_shift": 0.3,
        "percolation_threshold": 0.2, "percolation_spread": 0.3,
    }  # fmt: skip
    return scenario(changes={f"kinetics.losses.{k}": v for k, v in (on | changes).items()}).kinetics.losses


ALL = chosen()


def test_contact_is_lost_to_growth_and_to_breathing() -> None:
    """2 nm of 10 nm, and 0.7 of a swing at 0.5 %: -0.2 - 0.0035."""
    assert contact_decay(ALL, 2e-9, 0.7) == near(-0.2035, rel=EXACT)
    assert contact_decay(ALL, 0.0, 0.0) == 0.0
    assert contact_decay(chosen(mechanical_loss=0.0), 0.0, 1.0) == 0.0


def test_contact_decays_alike_in_one_step_or_many() -> None:
    parts = sum(contact_decay(ALL, 0.25e-9, 0.1) for _ in range(8))
    assert parts == near(contact_decay(ALL, 2e-9, 0.8), rel=EXACT)


def test_a_longer_way_slows_diffusion_with_the_square_of_contact() -> None:
    log_factor, shift = slow_lithiation(ALL, math.log(0.5))
    assert math.exp(log_factor) == near(0.25, rel=EXACT)
    assert shift == 0.0
    assert slow_lithiation(chosen(diffusion_exponent=0.0), -1.0) == (0.0, 0.0)


def test_crowded_entries_choke_at_a_lower_lithiation() -> None:
    """x_D falls by 0.3 ln 2 = 0.20794 when half the contact is left."""
    log_factor, shift = slow_lithiation(chosen(lithiation_law="shift"), math.log(0.5))
    assert log_factor == 0.0
    assert shift == near(-0.20794, rel=3e-5)  # five digits by hand


@pytest.mark.parametrize("law", ["length", "shift"])
def test_slow_lithiation_is_linear_in_the_logarithm_of_contact(law: str) -> None:
    """The loop takes it at a state and at a rate of change, so it must be."""
    given_law = chosen(lithiation_law=law)
    one, two = (sum(slow_lithiation(given_law, x)) for x in (-0.4, -0.8))
    assert two == near(2 * one, rel=EXACT)
    assert slow_lithiation(given_law, 0.0) == (0.0, 0.0)


def test_half_the_particles_are_cut_off_at_the_threshold() -> None:
    """(1/2) erfc(0), less the (1/2) erfc(ln 5/(0.3 sqrt 2)) = 4.04e-8 that would be so at the start."""
    at_threshold = isolated_fraction(ALL, math.log(0.2))
    assert at_threshold == near(0.5 - 4.04e-8, rel=1e-9)  # three digits of 4e-8
    one_spread = isolated_fraction(ALL, math.log(0.2) - 0.3)
    assert one_spread == near(0.841345, rel=1e-6)  # the normal distribution at one sigma, six digits


def test_nothing_is_isolated_while_contact_is_whole() -> None:
    assert isolated_fraction(ALL, 0.0) == 0.0
    assert isolated_fraction(chosen(percolation_threshold=0.0), -5.0) == 0.0


@given(st.floats(-4.0, 0.0), st.floats(-4.0, 0.0))
def test_isolation_grows_as_contact_falls(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= isolated_fraction(ALL, high) <= isolated_fraction(ALL, low) < 1.0


def test_particles_are_isolated_with_the_lithium_they_hold() -> None:
    before = Ncm(log_contact=math.log(0.2), rock_salt=0.1)
    after = ageing.charged(ALL, before, 0.3, 0.0)
    gone = isolated_fraction(ALL, math.log(0.2))
    assert after.isolated == near(gone, rel=EXACT)
    assert after.isolated_lithium == near(0.3 * gone, rel=EXACT)
    assert after.connected == near(0.9 - gone, rel=EXACT)
    assert ageing.charged(ALL, after, 0.9, 0.0) == after  # nothing more goes at the same contact


def test_what_never_had_contact_stays_at_its_share() -> None:
    """3 % idle from the start, full of lithium: only the rest can be isolated anew."""
    before = Ncm(log_contact=math.log(0.2), isolated=0.03, isolated_lithium=0.03)
    after = ageing.charged(ALL, before, 0.3, 0.03)
    expected = 0.03 + 0.97 * isolated_fraction(ALL, math.log(0.2))
    assert after.isolated == near(expected, rel=EXACT)
    assert after.isolated_lithium == near(0.03 + 0.3 * (expected - 0.03), rel=EXACT)
    assert ageing.charged(chosen(isolation=False), before, 0.3, 0.03) == before


def test_isolated_particles_do_not_come_back() -> None:
    before = Ncm(log_contact=math.log(0.5), isolated=0.4, isolated_lithium=0.1)
    assert ageing.charged(ALL, before, 0.3, 0.0) == before


def test_some_connected_material_is_always_left() -> None:
    after = ageing.charged(ALL, Ncm(log_contact=-30.0, rock_salt=0.5), 0.3, 0.0)
    assert after.connected == near(0.5e-3, rel=1e-9)  # a thousandth, by a difference of numbers near one
    assert after.isolated == near(0.4995, rel=EXACT)


def test_one_formula_unit_turns_to_rock_salt_per_oxygen() -> None:
    assert ageing.age(ALL, Ncm(), Exposure(reduced=2.9079e-4)).rock_salt == 2.9079e-4


@pytest.mark.parametrize(
    ("switch", "law"),
    [
        ("slow_lithiation", lambda k: slow_lithiation(k, -1.0)[0]),
        ("isolation", lambda k: isolated_fraction(k, -3.0)),
        ("rock_salt", lambda k: ageing.changes(k, Ncm(), Exposure(reduced=1e-5))["rock_salt"]),
    ],
)
def test_a_channel_that_is_off_costs_nothing(switch: str, law: Any) -> None:
    assert law(ALL) != 0.0
    assert law(chosen(**{switch: False})) == 0.0


def test_connected_is_what_is_neither_isolated_nor_rock_salt() -> None:
    assert Ncm().connected == 1.0
    assert replace(Ncm(), isolated=0.2, rock_salt=0.05).connected == near(0.75, rel=EXACT)


# All laws together


def test_every_law_says_where_it_comes_from_and_holds() -> None:
    for law in ageing.LAWS:
        assert law.source
        assert law.validity
        assert law.channel is None or law.channel in law.parameters.model_fields
    assert ageing.CHANNELS == ("film", "slow_lithiation", "isolation", "rock_salt", "electrolyte_oxidation")


def test_a_cycle_ages_as_its_halves_do() -> None:
    charge, discharge = Exposure(2e-9, 1e-4, 0.9), Exposure(1e-9, 2e-5)
    whole = ageing.age_cycle(ALL, Ncm(log_contact=-1.0), charge, 0.3, 0.03, discharge)
    before = ageing.age(ALL, Ncm(log_contact=-1.0), charge)
    after = ageing.age(ALL, ageing.charged(ALL, before, 0.3, 0.03), discharge)
    assert whole == after
    assert whole.isolated_lithium == near(0.3 * whole.isolated, rel=EXACT)
    assert whole.isolated == near(0.03 + 0.97 * isolated_fraction(ALL, before.log_contact), rel=EXACT)


def test_what_one_channel_did_is_undone_alone() -> None:
    now, before = Ncm(-1.0, 0.2, 0.1, 0.05), Ncm(-0.2, 0.03, 0.03, 0.01)
    effect, share = ageing.undone(ALL, "slow_lithiation", now, before)
    assert effect.log_diffusion == near(2.0 * 0.8, rel=EXACT)
    assert share == 0.0
    assert ageing.undone(ALL, "isolation", now, before) == (ageing.Effect(), near(0.17, rel=EXACT))
    assert ageing.undone(ALL, "rock_salt", now, before) == (ageing.Effect(), near(0.04, rel=EXACT))
    assert ageing.undone(ALL, "film", now, before) == (ageing.Effect(), 0.0)


def test_variables_of_further_laws_begin_at_zero_and_add_up() -> None:
    ncm = Ncm().moved({"strain": 0.2}).moved({"strain": 0.1, "log_contact": -0.5})
    assert ncm.variable("strain") == near(0.3, rel=EXACT)
    assert ncm.log_contact == -0.5
    assert Ncm().variable("strain") == 0.0
