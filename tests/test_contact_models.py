"""The models of the NCM's contact: how they are registered, what each takes from the coating, where each holds."""

import math
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, get_args

import numpy as np
import pytest
from closeness import near
from pinned import NOTHING, scenario

from interphase_sim import coating
from interphase_sim.coating import Patch, Shield
from interphase_sim.interphase import contact_models, contacts
from interphase_sim.interphase.column import Drive
from interphase_sim.interphase.contact_models import Contact, ContactModel, interface, layer, patches
from interphase_sim.interphase.contact_models.interface import CoatedModel, contact_model
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.scenario import Coating, Kinetics

EXACT = 1e-12  # relative: the same products in another order
AREAS = {"ncm": 300.0, "carbon": 500.0, "collector": 10.0}


def setting(changes: Mapping[str, Any] = NOTHING, name: str = "coated") -> Setting:
    return contacts.setting(scenario(name, changes), AREAS, 0.4)


def model_of(changes: Mapping[str, Any]) -> ContactModel:
    return setting(changes).model


def with_(**changes: Any) -> Coating:
    """Coverage 0.9, 15 nm, gap radius 1.2 nm, amorphous LiNbO3 with 1 nm of carbonate; and changes."""
    found = scenario("coated", {f"coating.{key}": value for key, value in changes.items()}).coating
    assert found is not None
    return found


def kinetics(**changes: float) -> Kinetics:
    """Round numbers: kappa 1e-10 m/s, D 1e-20, D_gap 1e-12 and D_rs 1e-16 m2/s."""
    oxygen = {
        "exchange": 1e-10,
        "diffusivity": 1e-20,
        "gap_diffusivity": 1e-12,
        "rocksalt_diffusivity": 1e-16,
    }
    return scenario("bare", {f"kinetics.oxygen.{k}": v for k, v in (oxygen | changes).items()}).kinetics


# Registered by name


def test_a_scenario_may_name_every_registered_model_and_no_other() -> None:
    """A further model is one more file in contact_models and its name here."""
    assert set(get_args(Coating.model_fields["contact"].annotation)) == set(contact_models.MODELS)


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two contact models are named mixed"):
        contact_model("mixed")(layer.Layer)


def test_a_further_model_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coating that is no more than a resistance in series runs through all that a run asks of contacts."""
    monkeypatch.setattr(interface, "REGISTERED", dict(interface.REGISTERED))
    monkeypatch.setattr(contact_models, "MODELS", interface.REGISTERED)

    @contact_model("mixed " + "twice")
    class Series(CoatedModel):
        def patches(self, coverage: float) -> tuple[Patch, ...]:
            return (coating.bare_patch(self.conditions.kinetics),)

        def film_resistance(self, contact: Contact) -> float:
            return self.cover.covered

    chosen = scenario("coated")
    assert chosen.coating is not None
    named = chosen.model_copy(update={"coating": chosen.coating.model_copy(update={"contact": "mixed twice"})})
    s = contacts.setting(named, AREAS, 0.4)
    assert isinstance(s.model, Series)
    fresh = contacts.pristine(s)
    old = contacts.advance(s, contacts.contact_dose(s, fresh), charge())
    assert contacts.film_resistance(s, old) == s.model.cover.covered
    assert contacts.layer_thickness(old) > contacts.layer_thickness(fresh) == 0.0
    assert contacts.profiles(s, old)["ncm"].shape == (10, s.depth.size)
    assert contacts.fields(s, old) is None
    assert contacts.uncover(s, old, 3.0) is old


@pytest.mark.parametrize("contact", contact_models.MODELS)
def test_a_coating_that_covers_nothing_is_bare(contact: str) -> None:
    changes = {"coating.contact": contact, "coating.coverage": 0.0, "coating.gap_radius": None}
    assert type(model_of(changes)) is type(setting(name="bare").model)


# What follows from a state stays with it


@dataclass(frozen=True, eq=False)
class Counting(layer.Layer):
    """Counts how often it works out a film."""

    asked: list[Contact]

    def film_resistance(self, contact: Contact) -> float:
        self.asked.append(contact)
        return super().film_resistance(contact)


def counting() -> tuple[Setting, Counting]:
    s = setting()
    assert isinstance(s.model, layer.Layer)
    model = Counting(s.model.conditions, s.model.coat, s.model.cover, [])
    return replace(s, model=model), model


def charge(hours: float = 5.0) -> Drive:
    return Drive(np.array([0.0, 3600 * hours]), np.ones(2), np.ones(2), np.ones(2))


def test_a_film_is_worked_out_once_and_only_when_it_is_asked_for() -> None:
    """However many other states are asked in between, which a memory of four entries forgot."""
    s, model = counting()
    states = [contacts.pristine(s)]
    for _ in range(6):
        states.append(contacts.advance(s, states[-1], charge()))
    assert not model.asked
    first = [contacts.film_resistance(s, state) for state in states]
    assert [contacts.film_resistance(s, state) for state in states] == first
    assert model.asked == [state.contact for state in states]
    loose = replace(s, tolerance=10 * s.tolerance, ncm_tolerance=10 * s.ncm_tolerance)
    assert contacts.film_resistance(loose, states[-1]) == first[-1]
    assert len(model.asked) == len(states)


def test_a_film_is_not_taken_over_by_a_state_made_of_another() -> None:
    s, model = counting()
    fresh = contacts.pristine(s)
    films = [contacts.film_resistance(s, fresh)]
    films.append(contacts.film_resistance(s, contacts.advance(s, fresh, charge())))
    films.append(contacts.film_resistance(s, contacts.with_coverage(s, fresh, 0.5)))
    assert len(set(films)) == len(model.asked) == 3


def test_another_temperature_resists_differently_and_leaves_the_state_as_it_was() -> None:
    s, warm = setting(), setting({"cell.temperature": 333.15})
    old: Contacts = contacts.advance(s, contacts.pristine(s), charge())
    cold_film = contacts.film_resistance(s, old)
    assert contacts.film_resistance(warm, old) < 0.8 * cold_film
    assert contacts.film_resistance(s, old) == cold_film


def test_amounts_of_a_state_are_worked_out_once() -> None:
    s = setting()
    old = contacts.advance(s, contacts.pristine(s), charge())
    assert contacts.amounts(old) is contacts.amounts(old)
    assert contacts.amounts(old)["ncm"] is old.contact.amounts


# Ionic side


def test_current_reaches_a_mixed_contact_by_gaps_and_coating_side_by_side() -> None:
    """theta 0.84, 15 nm, r_p 4 nm/pi, sigma 0.5: 3e-8 (1/0.16 - 1) + (1e-9/0.5) 0.6^1.5/0.16; the coating 1e-6/0.84.

    The layer's 0.25 already counts the electrolyte over the whole area, so a gap adds only what it narrows.
    """
    cover = Shield(1e-6, 15e-9, 4e-9 / math.pi, None)
    gaps = 3e-8 * 5.25 + 2e-9 * 0.6**1.5 / 0.16
    expected = 0.25 + 1 / (1 / gaps + 0.84 / 1e-6)
    found = layer.resistance(0.16, 0.25, 0.5, cover, 0.84)
    assert found - 0.25 == near(expected - 0.25, rel=1e-8)  # a difference of numbers near 0.25
    assert found == near(expected, rel=EXACT)


def test_filled_gaps_conduct_beside_the_open_ones() -> None:
    """theta 0.84, half the gaps filled with 1e-3 S/m: 0.08 open, 0.08/1.5e-5 through filler; the coating 0.5/0.84."""
    cover = Shield(0.5, 15e-9, 4e-9 / math.pi, 1e-3)
    gaps = 3e-5 * 11.5 + 2e-6 * 0.6**1.5 / 0.08  # sigma 5e-4: h/sigma 3e-5, r_p pi/(4 sigma) 2e-6
    expected = 1 / (1 / gaps + 0.08 / 1.5e-5 + 0.84 / 0.5)
    assert layer.resistance(0.08, 0.0, 5e-4, cover, 0.84) == near(expected, rel=EXACT)


def test_a_mixed_contact_fully_open_adds_nothing_to_its_layer() -> None:
    cover = Shield(0.5, 15e-9, 1e-9, None)
    assert layer.resistance(1.0, 1.7, 0.4, cover, 0.0) == 1.7


def test_separate_patches_conduct_in_parallel_each_with_its_layer() -> None:
    """An open patch has its layer alone."""
    cover = Shield(0.5, 10e-9, 1e-9, None)
    expected = 1 / (0.2 / 3.0 + 0.8 / (0.1 + 0.5))
    found = patches.resistance(0.2, 3.0, 0.1, cover, 0.8)
    assert found == near(expected, rel=EXACT)


def test_the_covered_patch_conducts_through_coating_and_filled_gaps() -> None:
    """theta 0.8, half the gaps filled with 1e-8 S/m: 0.1/1 and 0.8/0.5 S/m2 side by side over an area of 0.9."""
    cover = Shield(0.5, 10e-9, 1e-9, 1e-8)
    expected = 1 / (0.1 / 3.0 + 0.9 / (0.1 + 0.9 / 1.7))
    found = patches.resistance(0.1, 3.0, 0.1, cover, 0.8)
    assert found == near(expected, rel=EXACT)


def test_a_conducting_coating_carries_the_current_of_separate_patches() -> None:
    """The model's own remark: film fade vanishes then."""
    cover = Shield(1e-6, 10e-9, 1e-9, None)
    thick, thin = (patches.resistance(0.2, ohms, 0.0, cover, 0.8) for ohms in (1e3, 1.0))
    assert thick == near(1e-6 / 0.8, rel=1e-6)  # a thousand ohms beside a millionth
    assert thick - thin < 1e-9


# Oxygen side


def test_a_bare_contact_is_one_exposed_patch() -> None:
    """11.2 cm3/mol of rock salt through 1e-16 m2/s: 1.12e11 s/m per mol/m2 of oxygen."""
    bare = coating.bare_patch(kinetics())
    assert astuple(bare) == near((1.0, 1.0, 1e-10, 0.0, 0.0, 1.12e11), rel=EXACT)


def test_a_mixed_contact_by_hand() -> None:
    """theta 0.84: 15 nm/1e-12 = 15000 s/m; pi 1.2e-9/(4 1e-20) 0.6^1.5 = 4.3803e10 s/m, both per gap area."""
    part = layer.patch(with_(coverage=0.84), 0.84, kinetics())
    hidden = coating.covered_rate_factor(with_())
    expected = (1.0, 0.16, 1e-10, 0.84 * hidden * 1e-10, 15e3 + 4.38026e10, 1.12e11 / 0.16)
    assert astuple(part) == near(expected, rel=1e-5)  # six digits by hand


def test_separate_patches_by_hand() -> None:
    """Side by side there is no constriction."""
    open_part, closed = patches.pair(with_(), 0.9, kinetics())
    hidden = coating.covered_rate_factor(with_())
    assert astuple(open_part) == near((0.1, 1.0, 1e-10, 0.0, 15e3, 1.12e11), rel=EXACT)
    assert astuple(closed) == near((0.9, 0.0, 0.0, hidden * 1e-10, 0.0, 0.0), rel=EXACT)


def test_both_closures_exchange_the_same_where_nothing_limits() -> None:
    """Without barriers, sum of area (exposed kappa_0 + kappa_cov) is (1 - theta) kappa + theta kappa_cov."""
    expected = 1e-10 * (0.1 + 0.9 * coating.covered_rate_factor(with_()))
    for parts in ((layer.patch(with_(), 0.9, kinetics()),), patches.pair(with_(), 0.9, kinetics())):
        found = sum(p.area * (p.exposed * p.kappa_0 + p.kappa_cov) for p in parts)
        assert found == near(expected, rel=EXACT)
        assert sum(p.area for p in parts) == near(1.0, rel=EXACT)


def test_filler_counts_as_covered() -> None:
    filled = with_(filler="residue", filler_coverage=0.5, filler_conductivity=1e-8)
    part = layer.patch(filled, 0.9, kinetics())
    assert part.exposed == near(0.05, rel=EXACT)
    assert part.kappa_cov == near(0.95 * 1e-10 * coating.covered_rate_factor(filled), rel=EXACT)


def test_no_coverage_is_bare() -> None:
    assert layer.patch(with_(), 0.0, kinetics()) == coating.bare_patch(kinetics())


def test_vanishing_coverage_tends_to_bare() -> None:
    thin = layer.patch(with_(), 1e-9, kinetics())
    bare = coating.bare_patch(kinetics())
    assert thin.exposed == pytest.approx(1.0, abs=2e-9)  # the coverage itself
    assert thin.kappa_cov < 1e-9 * bare.kappa_0
    assert thin.v == near(bare.v, rel=2e-9)  # the coverage itself
    # what stays is the way through the gap, h/D_gap, and that is nothing beside 1/kappa
    assert thin.r_gap * bare.kappa_0 < 2e-6


def test_more_coverage_always_exchanges_less() -> None:
    def exchange(theta: float) -> float:
        p = layer.patch(with_(), theta, kinetics())
        return p.exposed * p.kappa_0 / (1 + p.kappa_0 * p.r_gap) + p.kappa_cov

    found = [exchange(theta) for theta in (0.0, 0.2, 0.5, 0.8, 0.9, 0.97, 0.999)]
    assert found == sorted(found, reverse=True)
    assert found[-1] > 1e-10 * coating.covered_rate_factor(with_()) * 0.999  # the covered part stays


# Where they hold


@pytest.mark.parametrize(
    ("contact", "radius", "thickness", "told"),
    [
        ("mixed", 2.4e-9, 16e-9, None),
        ("mixed", 2.4e-9, 10e-9, r'is 0.66; contact = "mixed" holds above 1, in between it decides'),
        ("separate", 2.4e-9, 1e-9, None),
        ("separate", 2.4e-9, 10e-9, r'is 0.66; contact = "separate" holds below 0.1, in between it decides'),
        ("closure", 2.4e-9, 10e-9, None),
        ("closure", 60e-9, 10e-9, r'gaps lie 379 nm apart; .* "closure" hold up to 25 nm, "resolved" holds beyond'),
        ("resolved", 60e-9, 10e-9, None),
    ],
)
def test_a_contact_outside_its_range_is_told(contact: str, radius: float, thickness: float, told: str | None) -> None:
    """And without coverage none is."""
    model = model_of({"coating.contact": contact, "coating.gap_radius": radius})
    found = model.validity_warning(0.9, thickness)
    assert found is None if told is None else re.search(told, found or "")
    assert model.validity_warning(0.0, thickness) is None
