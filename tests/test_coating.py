"""A coating's laws against numbers worked out by hand, their limits, and what is refused by name."""

import math
import re
from dataclasses import astuple
from typing import Any

import pytest
from closeness import near
from pinned import scenario

from interphase_sim import coating
from interphase_sim.arrhenius import arrhenius
from interphase_sim.coating import Patch, Shield
from interphase_sim.errors import InputError
from interphase_sim.scenario import Coating, Kinetics

ROOM, WARM = 298.15, 318.15
EXACT = 1e-12  # relative: the same products in another order
BY_HAND = 1e-4  # relative: worked out to five digits


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


# Geometry


def test_gaps_stand_87_nanometres_apart() -> None:
    radius = coating.cell_radius(7.5e-9, 1 - 0.97)
    assert 2 * radius == near(86.6e-9, rel=1e-3)  # one missing particle of 15 nm; three digits
    assert math.pi * 7.5e-9**2 / (math.pi * radius**2) == near(0.03, rel=EXACT)


def test_constriction_vanishes_bare_and_is_whole_for_far_gaps() -> None:
    assert coating.constriction(0.0) == 0.0
    assert coating.constriction(0.84) == near(0.6**1.5, rel=EXACT)  # sqrt(0.16) = 0.4
    assert coating.constriction(1 - 1e-12) == near(1.0, rel=2e-6)  # sqrt(1e-12) times 1.5


def test_arrhenius_by_hand() -> None:
    half_volt = 0.5 * 1.602176634e-19
    assert arrhenius(half_volt, WARM, WARM) == 1.0
    # 0.5 eV/k = 5802.26 K; 1/298.15 - 1/318.15 = 2.10850e-4; exp(-1.22341)
    assert arrhenius(half_volt, ROOM, WARM) == near(0.29422, rel=BY_HAND)


def test_coverage_falls_by_a_share_per_swing() -> None:
    assert coating.coverage_at(None, 50.0) == 0.0
    assert coating.coverage_at(with_(coverage_loss=0.001), 0.0) == 0.9
    assert coating.coverage_at(with_(coverage_loss=0.001), 100.0) == near(0.9 * 0.999**100, rel=EXACT)


# Chemistry


NO_SHELL = {"shell": None, "shell_thickness": None, "shell_conductivity": None, "shell_activation_energy": None}
BY_TABLE = {"covered_rate": None}


def test_the_covered_rate_is_what_the_scenario_gives() -> None:
    assert coating.covered_rate_factor(with_(covered_rate=0.2)) == 0.2
    assert coating.covered_rate_factor(with_(covered_rate=0.0, rate_slope=0.0)) == 0.0


def test_the_covered_rate_follows_the_reaction_energies() -> None:
    """Amorphous LiNbO3: -123 meV/atom with the electrolyte, 0 with NCM; bare contact -471."""
    expected = math.exp(-5.0 * (1 - 123 / 471))
    assert coating.covered_rate_factor(with_(**NO_SHELL, **BY_TABLE)) == near(expected, rel=EXACT)
    assert coating.covered_rate_factor(with_(**NO_SHELL, **BY_TABLE, rate_slope=0.0)) == 1.0


def test_the_stronger_of_two_reactions_counts() -> None:
    """Li2ZrO3: -88 with the electrolyte, -15 with NCM. LiPO3: -52 and -35. LiNbO3, core or not: -123."""
    zirconate = math.exp(-5.0 * (1 - 88 / 471))
    assert coating.covered_rate_factor(with_(core="Li2ZrO3", **NO_SHELL, **BY_TABLE)) == near(zirconate, rel=EXACT)
    assert coating.covered_rate_factor(with_(shell="Li2ZrO3", **BY_TABLE)) == near(zirconate, rel=EXACT)
    phosphate = math.exp(-5.0 * (1 - 52 / 471))
    assert coating.covered_rate_factor(with_(shell="LiPO3 (glass)", **BY_TABLE)) == near(phosphate, rel=EXACT)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, "Li2CO3 with LPSCl"),  # the core's energies are known, but the shell is what reacts
        ({"core": "Li2CO3", **NO_SHELL}, "Li2CO3 with LPSCl"),
        ({"core": "Li2ZrCl6", **NO_SHELL}, "Li2ZrCl6 with NCM_half"),
    ],
)
def test_a_covered_rate_that_nobody_knows_is_refused_by_name(changes: dict[str, Any], missing: str) -> None:
    with pytest.raises(InputError) as refused:
        coating.covered_rate_factor(with_(**changes, **BY_TABLE))
    told = str(refused.value)
    assert told.startswith(f"coating.covered_rate is missing: the table has no reaction energy of {missing}")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"shell_conductivity": None}, "coating.shell_conductivity is missing.* sigma_ion_25C for Li2CO3"),
        ({"shell_activation_energy": None}, "coating.shell_activation_energy is missing.*Li2CO3"),
        ({"core": "LiTaO3 (amorphous)"}, "coating.core_conductivity is missing.*range 1e-05 to 0.0001 SI"),
        (
            {"core": "Li2ZrO3", "core_conductivity": "1e-9 S/cm"},
            "coating.core_activation_energy is missing.*Li2ZrO3",
        ),
        (
            {"filler": "carbonate", "filler_coverage": 0.5},
            "coating.filler_conductivity is missing.*sigma_ion_25C for Li2CO3",
        ),
        (
            {"filler": "residue", "filler_coverage": 0.5},
            "coating.filler_conductivity is missing: nothing is known",
        ),
        ({"core": "LiNb03"}, "no material .*LiNb03"),
    ],
)
def test_a_missing_value_that_decides_is_refused_by_name(changes: dict[str, Any], missing: str) -> None:
    with pytest.raises(InputError, match=missing) as refused:
        coating.shield(with_(**changes), WARM)
    assert "\n" not in str(refused.value)


def test_the_scenario_s_numbers_come_before_the_table_s() -> None:
    chosen = with_(core_conductivity=1e-6, core_activation_energy=0.0)
    shells = 2e-9 / (1e-7 * arrhenius(0.7 * 1.602176634e-19, WARM, ROOM))
    total = shells + 13e-9 / 1e-6
    assert coating.shield(chosen, WARM).covered == near(total, rel=1e-9)  # eV by pint


# Ionic side


def test_shells_and_core_conduct_in_series() -> None:
    """13 nm of LiNbO3 at 7e-5 S/m, 2 nm of carbonate at 1e-7 S/m, all at 25 degC: 1.857e-4 + 0.02 ohm m2."""
    found = coating.shield(with_(), ROOM)
    assert found.covered == near(0.0201857, rel=BY_HAND)
    assert (found.thickness, found.gap_radius) == near((15e-9, 1.2e-9), rel=EXACT)
    assert found.gap_conductivity is None


def test_a_warm_coating_conducts_better() -> None:
    plain = with_(**NO_SHELL)
    ratio = coating.shield(plain, WARM).covered / coating.shield(plain, ROOM).covered
    faster = arrhenius(0.45 * 1.602176634e-19, WARM, ROOM)
    assert ratio == near(1 / faster, rel=1e-9)  # eV by pint


def test_a_bare_contact_has_the_resistance_of_its_layer() -> None:
    bare = Patch(1.0, 1.0, 1e-10, 0.0, 0.0, 1e11)
    assert coating.contact_resistance((bare,), [1.7], [0.4], None, 0.0) == 1.7


def test_current_reaches_a_mixed_contact_by_gaps_and_coating_side_by_side() -> None:
    """theta 0.84, 15 nm, r_p 4 nm/pi, sigma 0.5: 3e-8 (1/0.16 - 1) + (1e-9/0.5) 0.6^1.5/0.16; the coating 1e-6/0.84.

    The layer's 0.25 already counts the electrolyte over the whole area, so a gap adds only what it narrows.
    """
    part = Patch(1.0, 0.16, 1e-10, 0.0, 0.0, 1e11)
    cover = Shield(1e-6, 15e-9, 4e-9 / math.pi, None)
    gaps = 3e-8 * 5.25 + 2e-9 * 0.6**1.5 / 0.16
    expected = 0.25 + 1 / (1 / gaps + 0.84 / 1e-6)
    found = coating.contact_resistance((part,), [0.25], [0.5], cover, 0.84)
    assert found - 0.25 == near(expected - 0.25, rel=1e-8)  # a difference of numbers near 0.25
    assert found == near(expected, rel=EXACT)


def test_filled_gaps_conduct_beside_the_open_ones() -> None:
    """theta 0.84, half the gaps filled with 1e-3 S/m: 0.08 open, 0.08/1.5e-5 through filler; the coating 0.5/0.84."""
    part = Patch(1.0, 0.08, 1e-10, 0.0, 0.0, 1e11)
    cover = Shield(0.5, 15e-9, 4e-9 / math.pi, 1e-3)
    gaps = 3e-5 * 11.5 + 2e-6 * 0.6**1.5 / 0.08  # sigma 5e-4: h/sigma 3e-5, r_p pi/(4 sigma) 2e-6
    expected = 1 / (1 / gaps + 0.08 / 1.5e-5 + 0.84 / 0.5)
    assert coating.contact_resistance((part,), [0.0], [5e-4], cover, 0.84) == near(expected, rel=EXACT)


def test_a_mixed_contact_fully_open_adds_nothing_to_its_layer() -> None:
    cover = Shield(0.5, 15e-9, 1e-9, None)
    part = Patch(1.0, 1.0, 1e-10, 0.0, 0.0, 1e11)
    assert coating.contact_resistance((part,), [1.7], [0.4], cover, 0.0) == 1.7


def test_separate_patches_conduct_in_parallel_each_with_its_layer() -> None:
    """An open patch has its layer alone."""
    parts = Patch(0.2, 1.0, 1e-10, 0.0, 0.0, 1e11), Patch(0.8, 0.0, 0.0, 1e-12, 0.0, 0.0)
    cover = Shield(0.5, 10e-9, 1e-9, None)
    expected = 1 / (0.2 / 3.0 + 0.8 / (0.1 + 0.5))
    found = coating.contact_resistance(parts, [3.0, 0.1], [1e-7, 0.4], cover, 0.8)
    assert found == near(expected, rel=EXACT)


def test_the_covered_patch_conducts_through_coating_and_filled_gaps() -> None:
    """theta 0.8, half the gaps filled with 1e-8 S/m: 0.1/1 and 0.8/0.5 S/m2 side by side over an area of 0.9."""
    parts = Patch(0.1, 1.0, 1e-10, 0.0, 0.0, 1e11), Patch(0.9, 0.0, 0.0, 1e-12, 0.0, 0.0)
    cover = Shield(0.5, 10e-9, 1e-9, 1e-8)
    expected = 1 / (0.1 / 3.0 + 0.9 / (0.1 + 0.9 / 1.7))
    found = coating.contact_resistance(parts, [3.0, 0.1], [1e-7, 0.4], cover, 0.8)
    assert found == near(expected, rel=EXACT)


def test_a_conducting_coating_carries_the_current_of_separate_patches() -> None:
    """The model's own remark: film fade vanishes then."""
    parts = Patch(0.2, 1.0, 1e-10, 0.0, 0.0, 1e11), Patch(0.8, 0.0, 0.0, 1e-12, 0.0, 0.0)
    cover = Shield(1e-6, 10e-9, 1e-9, None)
    thick, thin = (coating.contact_resistance(parts, [ohms, 0.0], [0.4, 0.4], cover, 0.8) for ohms in (1e3, 1.0))
    assert thick == near(1e-6 / 0.8, rel=1e-6)  # a thousand ohms beside a millionth
    assert thick - thin < 1e-9


# Oxygen side


def test_a_bare_contact_is_one_exposed_patch() -> None:
    """11.2 cm3/mol of rock salt through 1e-16 m2/s: 1.12e11 s/m per mol/m2 of oxygen."""
    (bare,) = coating.patches(None, 0.0, kinetics(), WARM)
    assert astuple(bare) == near((1.0, 1.0, 1e-10, 0.0, 0.0, 1.12e11), rel=EXACT)


def test_a_mixed_contact_by_hand() -> None:
    """theta 0.84: 15 nm/1e-12 = 15000 s/m; pi 1.2e-9/(4 1e-20) 0.6^1.5 = 4.3803e10 s/m, both per gap area."""
    (part,) = coating.patches(with_(coverage=0.84), 0.84, kinetics(), WARM)
    hidden = coating.covered_rate_factor(with_())
    expected = (1.0, 0.16, 1e-10, 0.84 * hidden * 1e-10, 15e3 + 4.38026e10, 1.12e11 / 0.16)
    assert astuple(part) == near(expected, rel=1e-5)  # six digits by hand


def test_separate_patches_by_hand() -> None:
    """Side by side there is no constriction."""
    open_part, closed = coating.patches(with_(contact="separate"), 0.9, kinetics(), WARM)
    hidden = coating.covered_rate_factor(with_())
    assert astuple(open_part) == near((0.1, 1.0, 1e-10, 0.0, 15e3, 1.12e11), rel=EXACT)
    assert astuple(closed) == near((0.9, 0.0, 0.0, hidden * 1e-10, 0.0, 0.0), rel=EXACT)


def test_both_closures_exchange_the_same_where_nothing_limits() -> None:
    """Without barriers, sum of area (exposed kappa_0 + kappa_cov) is (1 - theta) kappa + theta kappa_cov."""
    expected = 1e-10 * (0.1 + 0.9 * coating.covered_rate_factor(with_()))
    for contact in ("mixed", "separate"):
        parts = coating.patches(with_(contact=contact), 0.9, kinetics(), WARM)
        found = sum(p.area * (p.exposed * p.kappa_0 + p.kappa_cov) for p in parts)
        assert found == near(expected, rel=EXACT), contact
        assert sum(p.area for p in parts) == near(1.0, rel=EXACT)


def test_filler_counts_as_covered() -> None:
    filled = with_(filler="residue", filler_coverage=0.5, filler_conductivity=1e-8)
    (part,) = coating.patches(filled, 0.9, kinetics(), WARM)
    assert part.exposed == near(0.05, rel=EXACT)
    assert part.kappa_cov == near(0.95 * 1e-10 * coating.covered_rate_factor(filled), rel=EXACT)


def test_no_coverage_is_bare() -> None:
    assert coating.patches(with_(), 0.0, kinetics(), WARM) == coating.patches(None, 0.0, kinetics(), WARM)


def test_vanishing_coverage_tends_to_bare() -> None:
    (thin,) = coating.patches(with_(), 1e-9, kinetics(), WARM)
    (bare,) = coating.patches(None, 0.0, kinetics(), WARM)
    assert thin.exposed == pytest.approx(1.0, abs=2e-9)  # the coverage itself
    assert thin.kappa_cov < 1e-9 * bare.kappa_0
    assert thin.v == near(bare.v, rel=2e-9)  # the coverage itself
    # what stays is the way through the gap, h/D_gap, and that is nothing beside 1/kappa
    assert thin.r_gap * bare.kappa_0 < 2e-6


def test_more_coverage_always_exchanges_less() -> None:
    def exchange(theta: float) -> float:
        (p,) = coating.patches(with_(), theta, kinetics(), WARM)
        return p.exposed * p.kappa_0 / (1 + p.kappa_0 * p.r_gap) + p.kappa_cov

    found = [exchange(theta) for theta in (0.0, 0.2, 0.5, 0.8, 0.9, 0.97, 0.999)]
    assert found == sorted(found, reverse=True)
    assert found[-1] > 1e-10 * coating.covered_rate_factor(with_()) * 0.999  # the covered part stays


# Regime


def test_the_regime_is_the_layer_over_the_distance_of_gaps() -> None:
    """r_p 1.2 nm at 0.9: r_c = 1.2/sqrt(0.1) = 3.7947 nm; a layer of 15.179 nm is two distances thick."""
    assert coating.regime(with_(), 0.9, 15.179e-9) == near(2.0, rel=BY_HAND)
    assert math.isnan(coating.regime(None, 0.0, 1e-8))
    assert math.isnan(coating.regime(with_(), 0.0, 1e-8))
    half = with_(filler="residue", filler_coverage=0.5, filler_conductivity=1e-8)
    assert coating.regime(half, 0.9, 1e-9) == near(coating.regime(with_(), 0.95, 1e-9), rel=1e-12)


@pytest.mark.parametrize(
    ("contact", "radius", "layer", "told"),
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
def test_a_contact_outside_its_range_is_told(contact: str, radius: float, layer: float, told: str | None) -> None:
    found = coating.doubt(with_(contact=contact, gap_radius=radius), 0.9, layer)
    assert found is None if told is None else re.search(told, found or "")
    assert coating.doubt(None, 0.0, layer) is None


def test_gaps_filled_but_for_the_last_digit_were_divided_by_zero() -> None:
    changes = {
        "coating.filler": "carbonate",
        "coating.filler_coverage": 1 - 2**-53,
        "coating.filler_conductivity": 1e-8,
    }
    chosen = scenario("coated", changes).coating
    assert coating.gap_distance(chosen, 0.9) == near(2 * 1.2e-9 / math.sqrt((1 - 0.9) * 2**-53), rel=1e-12)
