"""Quantities with units: the listed factors against pint, offsets, and a sentence for every refusal."""

import contextlib
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interphase_sim import units
from interphase_sim.errors import InputError

LISTED = [(name, unit) for name, dimension in units.DIMENSIONS.items() for unit in dimension.factors]
PER_PARTICLE = {"J/mol", "kJ/mol", "meV/atom", "eV/atom"}  # pint keeps the mole and knows no atom


@pytest.mark.parametrize(("dimension", "unit"), [pair for pair in LISTED if pair[1] not in PER_PARTICLE])
def test_every_listed_factor_agrees_with_pint(dimension: str, unit: str) -> None:
    by_pint = units._by_pint(3.0, unit, dimension, False)
    assert units.parse(f"3 {unit}", dimension) == pytest.approx(by_pint, rel=1e-12)  # rounding of pint's floats


@pytest.mark.parametrize(
    ("text", "dimension", "si"),
    [
        ("15 nm", "length", 15e-9),
        ("15nm", "length", 15e-9),
        ("1.5e1 µm", "length", 15e-6),
        ("2 mS/cm", "conductivity", 0.2),
        ("45 degC", "temperature", 318.15),
        ("45 °C", "temperature", 318.15),
        ("300 K", "temperature", 300.0),
        ("4.65 g/cm³", "density", 4650.0),
        ("180 mA/g", "specific current", 180.0),
        ("0.05 mAh/g", "specific capacity", 180.0),
        ("-3 V", "voltage", -3.0),
        ("C/5", "rate", 0.2),
        ("0.2C", "rate", 0.2),
        ("1 C", "rate", 1.0),
    ],
)
def test_quantities_are_read_exactly(text: str, dimension: str, si: float) -> None:
    assert units.parse(text, dimension) == si


@pytest.mark.parametrize(
    ("text", "dimension", "si"),
    [
        ("1 inch", "length", 0.0254),
        ("77 degF", "temperature", 298.15),
        ("3 m3 mol-1 s-1", "second-order rate", 3.0),
        ("1 C/g", "specific capacity", 1000.0),
        ("1 mol / l", "concentration", 1000.0),
    ],
)
def test_units_that_are_not_listed_go_to_pint(text: str, dimension: str, si: float) -> None:
    assert units.parse(text, dimension) == pytest.approx(si, rel=1e-12)  # rounding of pint's floats


@pytest.mark.parametrize(("text", "kelvin"), [("5 degC", 5.0), ("5 K", 5.0), ("9 degF", 5.0)])
def test_a_temperature_difference_has_no_offset(text: str, kelvin: float) -> None:
    assert units.parse(text, "temperature", difference=True) == pytest.approx(kelvin, rel=1e-12)  # pint's floats


def test_energies_are_per_particle() -> None:
    assert units.parse("1 eV", "energy") == 1.602176634e-19
    assert units.parse("1000 meV/atom", "energy") == 1.602176634e-19
    assert units.parse("96.48533212331 kJ/mol", "energy") == pytest.approx(1.602176634e-19, rel=1e-12)  # digits given


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("15", "'15' has no unit, expected a length such as \"15 nm\""),
        (15, "'15' has no unit"),
        (15.5, "'15.5' has no unit"),
        ("15 kg", "'15 kg' is not a length"),
        ("15 lb", "'15 lb' is not a length"),
        ("15 nmm", "has the unknown unit 'nmm'"),
        ("nm", "does not start with a number"),
        ("nan nm", "does not start with a number"),
        ("1,5 nm", "has the unknown unit"),
        ("1e999 nm", "is too large"),
        ("9**9**9 m", "has the unknown unit"),
        ("1 m**99", "has the unknown unit"),
        ("1 __import__('os')", "has the unknown unit"),
        ("", "does not start with a number"),
        (True, "'true' is not a quantity"),
        (["15 nm"], "is not a quantity"),
        (None, "is not a quantity"),
        ("x" * 1000, "..."),
    ],
)
def test_refusals_say_what_was_expected(text: object, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        units.parse(text, "length")
    assert message in str(refusal.value)
    assert 'expected a length such as "15 nm"' in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("text", ["C5", "C/0", "0 C", "", "5", "-C/5", "C/", 0.2, None, ".C"])
def test_bad_rates_are_refused(text: object) -> None:
    with pytest.raises(InputError):
        units.parse(text, "rate")


@settings(deadline=None)  # pint is imported within
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(sorted(units.DIMENSIONS)))
def test_si_floats_survive_being_written_out(value: float, dimension: str) -> None:
    assert units.parse(f"{value!r} {units.si_unit(dimension)}", dimension) == value


@settings(deadline=None)  # pint is imported within
@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    with contextlib.suppress(InputError):
        assert math.isfinite(units.parse(text, "voltage"))


def test_the_nearest_name_begins_alike_or_looks_alike() -> None:
    names = ["Li2CO3", "LiNbO3 (amorphous)"]
    assert units.nearest("LiNbO3", names) == ", did you mean 'LiNbO3 (amorphous)'?"
    assert units.nearest("li2co4", names) == ", did you mean 'Li2CO3'?"
    assert units.nearest("zzz", names) == ""


def test_pint_is_not_imported_for_listed_units() -> None:
    code = "import sys; from interphase_sim import units; units.parse('2 mS/cm', 'conductivity')"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'pint' not in sys.modules"], check=True)
