"""The column against solutions known in closed form: diffusion, a moving front, a growing barrier."""

import math

import numpy as np
import pytest
from closeness import near
from scipy.optimize import brentq
from scipy.special import erfc

from interphase_sim.interphase import column, kernels
from validation.verification.limits import INERT, after


def test_oxygen_alone_diffuses_like_an_error_function() -> None:
    """O = c_eq erfc(z/2 sqrt(D t)) and U = 2 c_eq sqrt(D t/pi) while the far wall is not felt."""
    found = after(INERT, duration=0.02, cells=200, depth=2.0)
    exact = erfc(found.grid.centre / (2 * math.sqrt(0.02)))
    np.testing.assert_allclose(found.y[kernels.OX], exact, atol=3e-4)  # (dz/2)^2/(D t) = 1e-3, in part
    assert found.u.sum() == near(2 * math.sqrt(0.02 / math.pi), rel=1e-3)  # as above
    assert not found.y[kernels.PO4].any()


@pytest.mark.parametrize("t0", [2.5, 25.0])
def test_a_fast_reaction_moves_a_stefan_front(t0: float) -> None:
    """L = 2 a sqrt(D t) with sqrt(pi) a exp(a^2) erf(a) = c_eq/(4 c_T)."""
    stefan = 1.0 / (4 * t0)
    a = brentq(lambda x: math.sqrt(math.pi) * x * math.exp(x * x) * math.erf(x) - stefan, 1e-6, 2.0)
    found = after(INERT._replace(k1=1e6, t0=t0), duration=0.5, cells=300, depth=0.6)
    thickness = 2 * a * math.sqrt(0.5)
    assert column.layer_thickness(found) == near(thickness, rel=5e-3)  # half a cell of 2 mm in 0.1
    assert found.y[kernels.S0][0] == near(4 * t0, rel=1e-6)  # R1 went to its end behind the front
    phosphate = t0 * column.layer_thickness(found)
    assert column.amounts(found)["phosphate"] == near(phosphate, rel=1e-9)  # phosphorus stays


def test_exchange_then_diffusion_follow_deal_and_grove() -> None:
    """L^2/(2 D) + L/kappa = c_eq t/(4 c_T): linear first, parabolic later; quasi-steady for c_eq << 4 c_T."""
    rates = INERT._replace(k1=1e6, t0=100.0, kappa_0=20.0)
    for time in (0.4, 4.0):
        drive = time / 400.0
        exact = -1 / 20.0 + math.sqrt(1 / 20.0**2 + 2 * drive)
        found = after(rates, duration=time, cells=300, depth=0.15)
        assert column.layer_thickness(found) == near(exact, rel=1e-2)  # front width and c_eq/(12 c_T)


def test_rock_salt_throttles_the_oxygen_that_makes_it() -> None:
    """With oxygen consumed at once, (1/(kappa f) + r) U + v U^2/2 = c_eq t; exposed share e divides by e."""
    f, time, rates = 0.5, 3.0, INERT._replace(k1=1e9, d0=1e6, kappa_0=4.0, r_gap=0.3, v=2.0, t0=1e3)
    series = 1 / (4.0 * f) + 0.3
    exact = (-series + math.sqrt(series**2 + 2 * 2.0 * time)) / 2.0
    assert after(rates, time, 10, 1.0, oxygen=f).u[0] == near(exact, rel=1e-5)  # O_1 near 1e-12
    shared = after(rates._replace(exposed=0.25, kappa_cov=0.1, v=8.0), time, 10, 1.0, oxygen=f).u
    assert shared[0] == near(0.25 * exact, rel=1e-5)  # as before, since v is per NCM area
    assert shared[1] == near(0.1 * f * time, rel=1e-5)  # the covered part is not throttled


def test_a_faster_product_layer_speeds_the_front_up() -> None:
    """D of converted electrolyte is exp(beta) times that of fresh one; the front lies behind the former."""
    plain = INERT._replace(k1=1e6, t0=25.0)
    slow, fast = (
        column.layer_thickness(after(plain._replace(beta=beta), 0.1, 200, 0.3)) for beta in (0.0, math.log(4.0))
    )
    assert fast / slow == near(2.0, rel=3e-2)  # sqrt(4), less half a cell of fresh D
