"""A coating's laws against numbers worked out by hand, their limits, and what is refused by name."""

import math
from typing import Any

import pytest
from closeness import near
from pinned import scenario

from interphase_sim import coating
from interphase_sim.arrhenius import arrhenius
from interphase_sim.errors import InputError
from interphase_sim.scenario import Coating

ROOM, WARM = 298.15, 318.15
EXACT = 1e-12  # relative: the same products in another order
BY_HAND = 1e-4  # relative: worked out to five digits


def with_(**changes: Any) -> Coating:
    """Coverage 0.9, 15 nm, gap radius 1.2 nm, amorphous LiNbO3 with 1 nm of carbonate; and changes."""
    found = scenario("coated", {f"coating.{key}": value for key, value in changes.items()}).coating
    assert found is not None
    return found


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


# Regime


def test_the_regime_is_the_layer_over_the_distance_of_gaps() -> None:
    """r_p 1.2 nm at 0.9: r_c = 1.2/sqrt(0.1) = 3.7947 nm; a layer of 15.179 nm is two distances thick."""
    assert coating.regime(with_(), 0.9, 15.179e-9) == near(2.0, rel=BY_HAND)
    assert math.isnan(coating.regime(None, 0.0, 1e-8))
    assert math.isnan(coating.regime(with_(), 0.0, 1e-8))
    half = with_(filler="residue", filler_coverage=0.5, filler_conductivity=1e-8)
    assert coating.regime(half, 0.9, 1e-9) == near(coating.regime(with_(), 0.95, 1e-9), rel=1e-12)


def test_gaps_filled_but_for_the_last_digit_were_divided_by_zero() -> None:
    changes = {
        "coating.filler": "carbonate",
        "coating.filler_coverage": 1 - 2**-53,
        "coating.filler_conductivity": 1e-8,
    }
    chosen = scenario("coated", changes).coating
    assert coating.gap_distance(chosen, 0.9) == near(2 * 1.2e-9 / math.sqrt((1 - 0.9) * 2**-53), rel=1e-12)
