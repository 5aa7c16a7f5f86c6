"""The tables of materials: complete, in SI, and honest about what is not known."""

import pytest

from interphase_sim import materials
from interphase_sim.errors import InputError
from interphase_sim.scenario import KINDS

ENTRIES = [
    (table, name, quantity)
    for table in materials.TABLES
    for name in materials.names(table)
    for quantity in materials.entries(table, name)
]
EV = 1.602176634e-19


@pytest.mark.parametrize(("table", "name", "quantity"), ENTRIES)
def test_every_entry_has_a_kind_a_source_and_a_consistent_range(table: str, name: str, quantity: str) -> None:
    entry = materials.lookup(table, name, quantity)
    known = [number for number in (entry.low, entry.value, entry.high) if number is not None]
    assert entry.kind in (*KINDS, "unknown")
    assert entry.source
    assert known == sorted(known)
    assert bool(known) == (entry.kind != "unknown")


def test_values_are_in_si() -> None:
    niobate = materials.lookup("coatings", "LiNbO3 (amorphous)", "sigma_ion_25C")
    assert (niobate.value, niobate.low, niobate.high, niobate.unit) == (7e-5, 1.3e-5, 8e-5, "S/m")
    energy = materials.lookup("coatings", "LiNbO3 (amorphous)", "activation_energy")
    assert energy.value == pytest.approx(0.45 * EV, rel=1e-15)  # one rounding
    assert materials.lookup("products", "Li3PO4", "molar_volume").value == 46.7e-6


def test_what_is_known_only_as_a_range_has_no_value() -> None:
    carbonate = materials.lookup("coatings", "Li2CO3", "sigma_ion_25C")
    assert (carbonate.value, carbonate.low, carbonate.high) == (None, 1e-10, 1e-6)


def test_a_row_that_is_not_there_is_unknown_not_zero() -> None:
    entry = materials.lookup("coatings", "LiAlO2 (from Al2O3)", "reaction_energy_with_LPSCl")
    assert (entry.value, entry.unit, entry.kind) == (None, "J", "unknown")


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("coatngs", "Li2CO3", "oxidation_limit"), "'coatings'"),
        (("coatings", "LiNbO3", "oxidation_limit"), "'LiNbO3 (amorphous)'"),
        (("coatings", "Li2CO3", "oxidation_limt"), "'oxidation_limit'"),
    ],
)
def test_misspelt_words_are_refused_with_the_nearest(words: tuple[str, str, str], nearest: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {nearest}".replace("(", r"\(").replace(")", r"\)")):
        materials.lookup(*words)


def test_the_potential_tables_are_plain_columns() -> None:
    msmr = materials.columns("ncm622_ocp_msmr")
    check = materials.columns("ncm622_ocp_check")
    assert sum(msmr["X"]) == pytest.approx(1, abs=1e-12)  # shares of the galleries, five digits each
    assert list(check["x_li"]) == sorted(check["x_li"])
    assert list(check["U_V_vs_Li"]) == sorted(check["U_V_vs_Li"], reverse=True)
