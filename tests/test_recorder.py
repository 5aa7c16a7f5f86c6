"""What is stored of a cycle: curves along the charge that passed, and concentrations."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from interphase_sim import chemistry
from interphase_sim.simulation import recorder
from interphase_sim.simulation.loop import Half

Array = NDArray[np.float64]


def curve(*parts: tuple[Any, Any]) -> tuple[Array, Array]:
    """The stored curve of a half-cycle whose steps have these capacities and voltages."""
    half = Half(
        capacity=[np.asarray(capacity, float) for capacity, _ in parts],
        voltage=[np.asarray(voltage, float) for _, voltage in parts],
    )
    found: tuple[Array, Array] = recorder._curve(half)
    return found


def test_a_curve_at_constant_current_is_even_in_capacity() -> None:
    """As it was before curves followed the way."""
    capacity = np.cumsum(np.random.default_rng(1).uniform(0, 4, 61))
    capacity -= capacity[0]
    voltage = 2.0 + 0.8 * np.sqrt(capacity / capacity[-1])
    found = curve((capacity, voltage))
    even = np.linspace(0.0, capacity[-1], recorder.CURVE_POINTS)
    np.testing.assert_allclose(found[0], even, rtol=1e-12, atol=1e-12)  # round-off of a sum
    np.testing.assert_allclose(found[1], np.interp(even, capacity, voltage), rtol=1e-12)


def test_a_half_cycle_that_goes_back_was_drawn_as_noise() -> None:
    """np.interp over a capacity that falls finds any of the branches."""
    there, back = np.linspace(0, 100, 50), np.linspace(100, 60, 30)
    again = np.linspace(60, 80, 10)
    capacity, voltage = curve((there, 2.0 + there / 100), (back, 1.0 + back / 100), (again, 1.5 + again / 100))
    way = np.linspace(0, 160, recorder.CURVE_POINTS)
    expected = np.where(way < 100, way, np.where(way < 140, 200 - way, way - 80))
    np.testing.assert_allclose(capacity, expected, rtol=1e-12, atol=1e-12)
    branch = np.where(way < 100, 2.0, np.where(way < 140, 1.0, 1.5))
    np.testing.assert_allclose(voltage, branch + expected / 100, rtol=1e-12)
    assert capacity[-1] == 80


def test_a_hold_whose_current_changes_sign_keeps_its_voltage() -> None:
    charge, hold = np.linspace(0, 150, 61), 150 + 5 * np.sin(np.linspace(0, np.pi, 61))
    capacity, voltage = curve((charge, 2.0 + 0.85 * charge / 150), (hold, np.full(61, 2.85)))
    assert capacity.max() == pytest.approx(155, abs=0.5)  # a point of the curve lies that close to the turn
    assert capacity[-1] == pytest.approx(150, abs=1e-9)
    assert (voltage[np.argmax(capacity) :] == 2.85).all()
    assert (np.diff(voltage) >= 0).all()


def test_a_rest_within_a_half_cycle_takes_no_place() -> None:
    charge = np.linspace(0, 100, 61)
    plain = curve((charge, 2 + charge / 100))
    rested = curve((charge, 2 + charge / 100), (np.full(61, 100.0), np.linspace(3, 2.9, 61)))
    np.testing.assert_array_equal(rested[0], plain[0])
    np.testing.assert_array_equal(rested[1][:-1], plain[1][:-1])
    assert rested[1][-1] == 2.9  # where the half-cycle ended


def test_a_half_cycle_of_rests_keeps_its_voltages() -> None:
    """All of its points were the last one."""
    capacity, voltage = curve((np.zeros(61), np.linspace(2.5, 2.3, 61)))
    assert not capacity.any()
    np.testing.assert_allclose(voltage, np.linspace(2.5, 2.3, recorder.CURVE_POINTS), rtol=1e-12)


def test_a_half_cycle_that_was_over_at_once_has_no_curve() -> None:
    assert np.isnan(curve(([0.0], [2.85]))).all()


def test_dissolved_oxygen_was_stored_below_zero() -> None:
    """The solver's tolerance of oxygen is scaled by ten times its equilibrium concentration."""
    state: Any = np.ones((10, 3))
    state[chemistry.ROWS["oxygen"]] = -2.0, 0.0, 3.0
    state[chemistry.ROWS["thiophosphate"]] = 6930.0 + 1e-9, 6930.0, 100.0
    state[chemistry.ROWS["phosphate"], 0] = np.nan  # in the coating
    stored = dict(zip(chemistry.LABELS, recorder._species(state, 6930.0), strict=True))
    np.testing.assert_array_equal(stored["oxygen"], [0.0, 0.0, 3.0])
    np.testing.assert_array_equal(stored["thiophosphate"], [0.0, 0.0, 6830.0])
    assert np.isnan(stored["phosphate"][0])
    assert state[chemistry.ROWS["oxygen"], 0] == -2.0  # the state goes on as it is: balances are exact
