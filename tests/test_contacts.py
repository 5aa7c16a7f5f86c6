"""The three contacts: what drives them, what the contact dose does, what a coating changes."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from closeness import near
from pinned import NOTHING, scenario

from interphase_sim import materials
from interphase_sim.arrhenius import arrhenius
from interphase_sim.cell.parameters import ocp_table
from interphase_sim.errors import InputError
from interphase_sim.interphase import column, contacts, kernels
from interphase_sim.interphase.contact_models.bare import Bare
from interphase_sim.interphase.contact_models.interface import rates
from interphase_sim.interphase.contact_models.unit_cell import UnitCell
from interphase_sim.interphase.contacts import Contacts, Setting
from interphase_sim.scenario import load_scenario, with_units

HOUR = 3600.0
AREAS = {"ncm": 300.0, "carbon": 500.0, "collector": 10.0}
EXACT = 1e-12  # relative: the same products in another order


def setting(name: str = "bare", changes: Mapping[str, Any] = NOTHING) -> Setting:
    return contacts.setting(scenario(name, changes), AREAS, 0.4)


def unit_cell(changes: Mapping[str, Any]) -> tuple[Setting, UnitCell]:
    """A coated contact around a gap, and its model."""
    s = setting("coated", changes)
    assert isinstance(s.model, UnitCell)
    return s, s.model


def charge(s: Setting, hours: float = 5.0) -> column.Drive:
    """A charge from 3.6 to 4.4 V vs Li/Li+ in equilibrium."""
    potential = np.linspace(3.6, 4.4, 50)
    surface = np.interp(potential, *(values[::-1] for values in reversed(ocp_table())))
    return contacts.drive(s.kinetics, np.linspace(0.0, hours * HOUR, 50), potential, potential, surface)


def aged(s: Setting) -> Contacts:
    return contacts.advance(s, contacts.contact_dose(s, contacts.pristine(s)), charge(s))


# What drives them


def test_oxygen_activity_rises_by_e_per_efold() -> None:
    kinetics = scenario(changes={"kinetics.oxygen.efold": 0.2}).kinetics
    found = contacts.oxygen_activity(kinetics, np.array([4.0, 4.2, 4.4]), np.zeros(3))
    np.testing.assert_allclose(found, [math.exp(-1), 1.0, math.e], rtol=EXACT)


def test_oxygen_activity_with_an_onset_is_one_at_the_same_state() -> None:
    changes = {"kinetics.oxygen.potential_law": "onset", "kinetics.oxygen.onset_lithium_extracted": 0.72}
    kinetics = scenario(changes=changes).kinetics
    extracted = np.array([0.3, contacts.LITHIUM_EXTRACTED_AT_FULL_ACTIVITY, 0.69, 0.72, 0.746])
    found = contacts.oxygen_activity(kinetics, np.full(5, 4.0), 1 - extracted)
    assert found[1] == near(1.0, rel=1e-9)  # x to 1 - x and back
    assert found[3] == near(0.5 * (1 + math.exp(4 * (0.72 - extracted[1]) / 0.03)), rel=1e-9)  # as above
    assert np.all(np.diff(found) > 0)
    assert found[0] < 1e-10 * found[1]


@pytest.mark.parametrize(("above", "share"), [(-0.5, 0.0), (-0.025, 0.119203), (0.0, 0.5), (0.025, 0.880797)])
def test_switches_rise_from_12_to_88_percent_over_their_width(above: float, share: float) -> None:
    """Onsets 2.4 and 2.7 V, width 50 mV; 1/(1 + e^2) is 0.119203."""
    kinetics, time, flat = scenario().kinetics, np.array([0.0, 1.0]), np.ones(2)
    driven = contacts.drive(kinetics, time, (2.4 + above) * flat, 4.2 * flat, 0.3 * flat)
    np.testing.assert_allclose(driven.sulfide, share, atol=1e-6)  # six digits by hand
    assert np.all(driven.thiophosphate < 1e-6)  # 0.275 V below, 5.5 widths: e^-22
    driven = contacts.drive(kinetics, time, (2.7 + above) * flat, 4.2 * flat, 0.3 * flat)
    np.testing.assert_allclose(driven.thiophosphate, share, atol=1e-6)  # six digits by hand
    np.testing.assert_allclose(driven.oxygen, 1.0, rtol=EXACT)


def test_a_narrow_switch_far_below_its_onset_warned_of_an_overflow() -> None:
    kinetics = scenario(changes={"kinetics.reactions.onset_width": 1e-3}).kinetics
    found = contacts.drive(kinetics, np.array([0.0, 1.0]), np.zeros(2), np.full(2, 3.0), np.full(2, 0.9))
    assert not found.sulfide.any()


# The fresh contacts and their constants


def test_a_fresh_contact_is_untouched_everywhere() -> None:
    fresh = contacts.pristine(setting())
    assert contacts.layer_thickness(fresh) == 0.0
    assert contacts.film_resistance(setting(), fresh) == 0.0
    for found in contacts.amounts(fresh).values():
        assert set(found.values()) == {0.0}


def test_every_rate_follows_the_same_arrhenius_factor() -> None:
    s = setting("coated")
    patch = contacts.pristine(s).patches[0]
    hot, ref = (rates(s.kinetics, patch, t) for t in (338.15, 318.15))
    factor = arrhenius(s.kinetics.oxygen.activation_energy.si, 338.15, 318.15)
    assert factor > 2.5
    for name in ("k1", "k2", "k4", "k3", "k3b", "d0", "kappa_0", "kappa_cov"):
        assert getattr(hot, name) == near(factor * getattr(ref, name), rel=EXACT), name
    for name in ("r_gap", "v"):
        assert getattr(hot, name) == near(getattr(ref, name) / factor, rel=EXACT), name
    for name in ("beta", "t0", "c_eq", "exposed"):
        assert getattr(hot, name) == getattr(ref, name), name


def test_carbon_and_collector_see_no_oxygen() -> None:
    found = contacts.amounts(aged(setting()))
    assert found["ncm"]["oxygen"] > 0
    for name in ("carbon", "collector"):
        assert found[name]["oxygen"] == found[name]["phosphate"] == found[name]["sulfate"] == 0.0
        assert found[name]["oxidised_sulfur"] > 0
        electrons = 2 * found[name]["oxidised_sulfur"]
        assert found[name]["electrons"] == near(electrons, rel=1e-9)  # S(0) from R3 and R3b alone; round-off


def test_between_the_onsets_carbon_takes_electrons_from_sulfide_alone() -> None:
    s = setting()
    time, flat = np.array([0.0, 5 * HOUR]), np.ones(2)
    driven = contacts.drive(s.kinetics, time, 2.52 * flat, 3.7 * flat, 0.9 * flat)  # onsets 2.4 and 2.7 V
    found = contacts.amounts(contacts.advance(s, contacts.pristine(s), driven))["carbon"]
    assert found["oxidised_sulfur"] > 0
    assert found["P2S5"] < 1e-4 * found["oxidised_sulfur"]


def test_electrolyte_oxidation_can_be_switched_off() -> None:
    off = aged(setting(changes={"kinetics.losses.electrolyte_oxidation": False}))
    assert contacts.amounts(off)["carbon"]["electrons"] == 0.0
    assert not off.ncm[0].y[kernels.OXIDISED].any()


# The contact dose


def test_a_dose_is_worth_its_hours_at_the_reference_temperature() -> None:
    """All rates share one activation energy, so 24 h at 25 degC are fewer hours at 45 degC."""
    cold = setting(changes={"kinetics.contact.duration": 24 * HOUR, "kinetics.contact.temperature": 298.15})
    factor = arrhenius(cold.kinetics.oxygen.activation_energy.si, 298.15, 318.15)
    assert 0.2 < factor < 0.4
    changes = {"kinetics.contact.duration": 24 * HOUR * factor, "kinetics.contact.temperature": 318.15}
    warm = setting(changes=changes)
    layers = [contacts.layer_thickness(contacts.contact_dose(s, contacts.pristine(s))) for s in (cold, warm)]
    assert layers[0] == near(layers[1], rel=1e-9)  # the same numbers with time rescaled
    assert layers[0] > 1e-10


def test_a_dose_oxidises_nothing_by_electron_transfer() -> None:
    s = setting()
    dosed = contacts.contact_dose(s, contacts.pristine(s))
    assert not dosed.ncm[0].y[kernels.OXIDISED].any()
    assert contacts.amounts(dosed)["carbon"]["electrons"] == 0.0
    # R1 alone leaves sulfur before the first charge
    assert contacts.amounts(dosed)["ncm"]["oxidised_sulfur"] > 0
    assert dosed.ncm[0].rates == contacts.pristine(s).ncm[0].rates


def test_no_dose_leaves_the_contacts_as_they_are() -> None:
    s = setting(changes={"kinetics.contact.duration": 0.0})
    fresh = contacts.pristine(s)
    assert contacts.contact_dose(s, fresh) is fresh


# A coating


def test_a_coating_changes_the_ncm_contact_only() -> None:
    bare, coated = (contacts.amounts(aged(setting(name))) for name in ("bare", "coated"))
    assert coated["carbon"] == bare["carbon"]
    assert coated["collector"] == bare["collector"]
    for name in ("oxygen", "phosphate"):
        assert 0 < coated["ncm"][name] < 0.5 * bare["ncm"][name], name


def test_electrons_leave_through_exposed_oxide_only() -> None:
    """Without oxygen R3 goes to its end over the exposed tenth."""
    no_oxygen = {"kinetics.oxygen.exchange": 0.0, "kinetics.reactions.thiophosphate_oxidation": 0.0}
    bare, coated = (setting(name, no_oxygen) for name in ("bare", "coated"))
    bare_electrons, coated_electrons = (
        contacts.amounts(contacts.advance(s, contacts.pristine(s), charge(s)))["ncm"]["electrons"]
        for s in (bare, coated)
    )
    assert coated_electrons == near(0.1 * bare_electrons, rel=1e-3)  # steps of other sizes at 1e-4


def test_separate_patches_are_averaged_by_area() -> None:
    s = setting("coated", {"coating.contact": "separate"})
    old = aged(s)
    assert [p.area for p in old.patches] == [near(0.1, rel=EXACT), near(0.9, rel=EXACT)]
    each = [column.amounts(c) for c in old.ncm]
    assert each[0]["phosphate"] > 5 * each[1]["phosphate"] > 0
    for name, amount in contacts.amounts(old)["ncm"].items():
        assert amount == near(0.1 * each[0][name] + 0.9 * each[1][name], rel=EXACT), name
    layers = [column.layer_thickness(c) for c in old.ncm]
    assert contacts.layer_thickness(old) == near(0.1 * layers[0] + 0.9 * layers[1], rel=EXACT)
    np.testing.assert_allclose(contacts.profiles(s, old)["ncm"], 0.1 * old.ncm[0].y + 0.9 * old.ncm[1].y, rtol=EXACT)


def test_lost_coverage_opens_untouched_electrolyte_to_electrons() -> None:
    s = setting("coated")
    fresh = contacts.pristine(s)
    opened = contacts.with_coverage(s, fresh, 0.8)
    t0 = column.ELECTROLYTE_CONCENTRATION
    assert (opened.coverage, opened.patches[0].exposed) == (0.8, near(0.2, rel=EXACT))
    np.testing.assert_allclose(opened.ncm[0].y[kernels.S2_EXPOSED], 0.2 * t0, rtol=EXACT)
    np.testing.assert_allclose(opened.ncm[0].y[kernels.PS4_EXPOSED], 0.2 * t0, rtol=EXACT)
    assert opened.ncm[0].rates.exposed == near(0.2, rel=EXACT)
    assert np.array_equal(fresh.ncm[0].y[kernels.S2_EXPOSED], np.full(40, fresh.patches[0].exposed * t0))


def test_all_coverage_lost_is_bare() -> None:
    s = setting("coated")
    opened = contacts.with_coverage(s, contacts.pristine(s), 0.0)
    bare = contacts.pristine(setting())
    assert opened.patches == bare.patches
    assert opened.ncm[0].rates == bare.ncm[0].rates
    np.testing.assert_allclose(opened.ncm[0].y, bare.ncm[0].y, rtol=EXACT)


def test_lost_coverage_forgets_nothing_that_has_reacted() -> None:
    s = setting("coated")
    old = aged(s)
    opened = contacts.with_coverage(s, old, 0.5)
    assert np.array_equal(opened.ncm[0].y[: kernels.S2_EXPOSED], old.ncm[0].y[: kernels.S2_EXPOSED])
    exposed, whole = opened.ncm[0].y[kernels.S2_EXPOSED], opened.ncm[0].y[kernels.S2]
    before = old.ncm[0].y[kernels.S2_EXPOSED]
    # covered electrolyte holds whole - before over 0.9; 4/9 of that is exposed now
    np.testing.assert_allclose(exposed, before + 4 / 9 * (whole - before), rtol=1e-9)


def test_coverage_is_lost_by_the_swing() -> None:
    s = setting("coated", {"coating.coverage_loss": 0.01})
    assert contacts.uncover(s, contacts.pristine(s), 10.0).coverage == near(0.9 * 0.99**10, rel=EXACT)
    bare = contacts.pristine(setting())
    assert contacts.uncover(setting(), bare, 10.0) is bare


# A resolved contact

RESOLVED = {"coating.contact": "resolved"}


def test_a_resolved_contact_lies_around_one_open_gap() -> None:
    s, model = unit_cell(RESOLVED)
    assert model.rings.geometry.gap == near(1.2e-9, rel=EXACT)
    assert model.rings.geometry.covered == near(0.9, rel=EXACT)
    assert model.rings.width.sum() == near(0.7e-6, rel=EXACT)  # the column's electrolyte
    fresh = contacts.pristine(s)
    assert contacts.layer_thickness(fresh) == 0.0
    assert all(abs(amount) < 1e-16 for amount in contacts.amounts(fresh)["ncm"].values())  # differences of sums
    # untouched, the gap of 15 nm is in parallel with the coating; 0.47 S/m against 1e-7 S/m leave the gap
    through = 15e-9 / 0.4 / 0.1
    assert through < contacts.film_resistance(s, fresh) < 1.5 * through


def test_filled_gaps_are_coating_to_a_resolved_contact() -> None:
    filler: dict[str, Any] = {
        "coating.filler": "residue",
        "coating.filler_coverage": 0.5,
        "coating.filler_conductivity": 1e-8,
    }
    filler["numerics.unit_cell_rings"] = 20
    _, model = unit_cell(RESOLVED | filler)
    assert model.rings.geometry.covered == near(0.95, rel=EXACT)
    across = 2 * model.block.skin + 15e-9 / model.block.vertical
    conductance = 0.9 / model.cover.covered + 0.05 * 1e-8 / 15e-9
    assert across == near(0.95 / conductance, rel=1e-9)  # differences of resistances


FILLED: dict[str, Any] = {"coating.filler": "residue", "coating.filler_coverage": 1.0}


@pytest.mark.parametrize("contact", ["resolved", "closure"])
def test_filled_gaps_that_are_like_the_coating_make_it_a_closed_one(contact: str) -> None:
    """One exchange and one resistance across everywhere: a column on the same rows, and a resistance in series."""
    changes = FILLED | {"coating.contact": contact, "coating.covered_rate": 0.025, "coating.filler_conductivity": 1e-8}
    s, model = unit_cell(changes)
    assert model.rings.geometry.height == near(0.7e-6 + 15e-9, rel=EXACT)
    plain = replace(model.block, skin=0.0, filler=model.block.vertical)
    alike = replace(s, model=replace(model, block=plain))
    fresh, across = contacts.pristine(alike), 15e-9 / model.block.vertical
    assert contacts.film_resistance(alike, fresh) == near(across, rel=1e-6)  # beside 0.7 um of electrolyte
    old = aged(s)
    per_ring = old.ncm[0].u.reshape(2, -1).sum(axis=0) / model.rings.share
    np.testing.assert_allclose(per_ring, per_ring[0], rtol=2e-4)  # rock salt forms under the gap alone
    assert contacts.amounts(old)["ncm"]["electrons"] < 0  # no electron leaves through a solid


def test_oxygen_passes_a_filler_by_diffusion() -> None:
    slow = FILLED | {"coating.filler_conductivity": 1e-8, "coating.filler_diffusivity": 1e-19}
    s = setting("coated", RESOLVED | slow)
    (patch,) = contacts.pristine(s).patches
    exchange = s.kinetics.oxygen.exchange.si
    assert patch.kappa_0 == near(1 / (1 / exchange + 15e-9 / 1e-19), rel=EXACT)
    assert patch.exposed == near(0.1, rel=EXACT)
    assert contacts.amounts(aged(s))["ncm"]["P2S5"] == 0.0


@pytest.mark.parametrize("contact", ["mixed", "separate"])
def test_without_an_open_gap_patches_are_refused(contact: str) -> None:
    s = setting("coated", FILLED | {"coating.contact": contact, "coating.filler_conductivity": 1e-8})
    with pytest.raises(InputError, match=r'filler_coverage must lie below 1 .* contact = "closure" or "resolved"'):
        contacts.pristine(s)


def test_the_coating_is_its_core_between_its_shells() -> None:
    _, model = unit_cell(RESOLVED)
    assert 2 * model.block.skin + 15e-9 / model.block.vertical == near(model.cover.covered, rel=EXACT)
    assert model.block.skin == near(1e-9 / (1e-7 * arrhenius(0.7 * 1.602176634e-19, 318.15, 298.15)), rel=1e-9)


def test_a_resolved_contact_ages_between_the_closures_without_their_assumptions() -> None:
    resolved, separate, mixed = (
        aged(setting("coated", {"coating.contact": kind})) for kind in ("resolved", "separate", "mixed")
    )
    uptake = [contacts.amounts(c)["ncm"]["oxygen"] for c in (separate, resolved, mixed)]
    assert 0.97 * uptake[0] < uptake[1] < 1.03 * uptake[2]  # coarse grids
    assert contacts.amounts(resolved)["carbon"] == contacts.amounts(mixed)["carbon"]
    s = setting("coated", RESOLVED)
    film = contacts.film_resistance(s, resolved)
    assert film > 2 * contacts.film_resistance(s, contacts.pristine(s)) > 0
    assert contacts.film_resistance(s, resolved) == film


def test_fields_and_profile_of_a_resolved_contact_agree() -> None:
    s, model = unit_cell(RESOLVED)
    old = aged(s)
    fields = contacts.fields(s, old)
    assert fields is not None
    found, sigma = fields
    phosphate = np.nan_to_num(found[kernels.PO4]) @ model.rings.share
    np.testing.assert_allclose(contacts.profiles(s, old)["ncm"][kernels.PO4], phosphate, rtol=EXACT)
    assert s.depth.size == phosphate.size
    assert np.array_equal(np.isnan(sigma), ~model.rings.electrolyte)
    assert np.nanmin(sigma) >= s.sigmas[2] * (1 - 1e-9)  # a mean of three conductivities
    total = float(phosphate @ np.diff(model.rings.height))
    assert contacts.amounts(old)["ncm"]["phosphate"] == near(total, rel=1e-9)  # the same sum in another order


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"coating.coverage_loss": 0.01}, r'coverage_loss must be 0 with contact = "resolved": its gap keeps its size'),
        (
            {"coating.coverage": 0.95},
            r"particles cover at most 0\.907, not 0\.95; set coating\.coverage to 0\.907 or less",
        ),
        ({"numerics.unit_cell_rings": 10}, r"unit_cell_rings: 10 leave 3 .* smallest number that does is 12"),
    ],
)
def test_what_a_resolved_contact_cannot_be_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as refusal:
        setting("coated", RESOLVED | changes)
    assert "\n" not in str(refusal.value)


CARBONATE = {
    "coating.filler": "carbonate",
    "coating.filler_conductivity": 1e-8,
    "coating.filler_activation_energy": 1e-19,
}


@pytest.mark.parametrize("change", [{"coating.coverage": 0.907}, CARBONATE])
@pytest.mark.parametrize("contact", ["resolved", "closure"])
def test_coverage_beyond_close_packing_is_refused_with_advice_that_helps(contact: str, change: dict[str, Any]) -> None:
    """On the shipped grids."""
    shipped = load_scenario("coated").replace({"coating.contact": contact, "coating.coverage": 0.94})
    with pytest.raises(InputError, match=r"0\.907 or less, or coating\.filler to .* carbonate or residue"):
        contacts.setting(shipped, AREAS, 0.47)
    assert isinstance(contacts.setting(shipped.replace(with_units(change)), AREAS, 0.47).model, UnitCell)


def test_covered_oxide_of_a_resolved_contact_exchanges_as_the_scenario_says() -> None:
    """Per covered area, while a mixed contact counts it per whole area."""
    for given, factor in ((0.025, 0.025), (0.2, 0.2)):
        s = setting("coated", RESOLVED | {"coating.covered_rate": given})
        rates = contacts.pristine(s).ncm[0].rates
        assert rates.kappa_cov == near(factor * rates.kappa_0, rel=EXACT)
        mixed = contacts.pristine(setting("coated", {"coating.covered_rate": given})).ncm[0].rates
        assert mixed.kappa_cov == near(0.9 * rates.kappa_cov, rel=EXACT)


def test_the_closure_ages_like_the_resolved_contact() -> None:
    """On the shipped grids, a contact dose and ten days of a charged cell at 4.3 V."""
    hot = column.Drive(np.array([0.0, 10 * 86400.0]), np.full(2, 1.5), np.ones(2), np.ones(2))
    shipped = load_scenario("coated")
    found = []
    for contact in ("resolved", "closure"):
        s = contacts.setting(shipped.replace({"coating.contact": contact}), AREAS, 0.47)
        old = contacts.advance(s, contacts.contact_dose(s, contacts.pristine(s)), hot)
        found.append((contacts.amounts(old)["ncm"], contacts.film_resistance(s, old)))
    (amounts, film), (coarse, coarse_film) = found
    assert coarse_film == near(film, rel=0.05)
    for species, amount in amounts.items():
        assert coarse[species] == near(amount, rel=0.05), species


def test_a_resolved_contact_without_coverage_is_bare() -> None:
    s = setting("coated", RESOLVED | {"coating.coverage": 0.0, "coating.gap_radius": None})
    bare = setting()
    assert isinstance(s.model, Bare)
    assert contacts.amounts(aged(s)) == contacts.amounts(aged(bare))
    assert contacts.film_resistance(s, aged(s)) == contacts.film_resistance(bare, aged(bare))


# Resistance


def test_a_bare_contact_resists_like_its_layer() -> None:
    s = setting()
    old = aged(s)
    layer = column.layer_resistance(old.ncm[0], s.volumes, s.sigmas)
    assert contacts.film_resistance(s, old) == near(layer, rel=EXACT)
    assert layer > 1e-4


def test_conductivities_and_volumes_come_from_scenario_and_table() -> None:
    s = setting()
    layer = s.kinetics.layer
    insulating, thiophosphate = layer.insulating_conductivity.si, layer.thiophosphate_conductivity.si
    assert s.sigmas == (0.4, thiophosphate, insulating)
    stated = [144.3, 96.3, 27.7, 20.5, 46.7, 49.5, 15.5, 53.2]  # of the model page
    np.testing.assert_allclose(s.volumes, np.array(stated) * 1e-6, rtol=EXACT)
    concentration = column.ELECTROLYTE_CONCENTRATION
    assert concentration == near(1 / 144.3e-6, rel=1e-4)  # rounded to 6930
    assert materials.lookup("products", "Li6PS5Cl", "molar_volume").value == s.volumes[0]


def test_an_unknown_coating_value_is_refused_before_anything_runs() -> None:
    chosen = scenario("coated", {"coating.shell_conductivity": None})
    with pytest.raises(InputError, match="shell_conductivity is missing"):
        contacts.setting(chosen, AREAS, 0.4)
