"""Steps that leave out the cells beyond the front: what they lose, how they grow, how they resume."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from test_column import PHYSICAL, T0, constant, contact, half_cycle
from test_unitcell import RATES, cell

from interphase_sim.interphase import column, kernels
from interphase_sim.interphase.column import Column, Drive

SLOW = {"k1": 1e-5, "k2": 1e-5, "k4": 1e-5, "d0": 1e-21}
CONTACTS: dict[str, Callable[[], Column]] = {
    "column": lambda: contact(PHYSICAL._replace(**SLOW), 120),
    "cell": lambda: cell(RATES._replace(**SLOW), along=60),
    "cell with a faster layer": lambda: cell(RATES._replace(**SLOW, beta=1.0), along=60),
}


def whole(c: Column) -> Column:
    """The same contact with every cell at work: a trace of electron reach in the last one, too small to act."""
    reach = c.reach.copy()
    reach[-1] = 1e-300
    return replace(c, reach=reach)


def busy(c: Column) -> int:
    """Cells that the next step takes in at first."""
    idle = kernels.IDLE * c.rates.c_eq
    found = kernels.busy(c.grid.mesh, c.reach, idle, c.y[kernels.OX])
    return int(kernels.whole_rows(c.grid.mesh, found, kernels.MARGIN))


@pytest.fixture(params=sorted(CONTACTS))
def fresh(request: pytest.FixtureRequest) -> Column:
    return CONTACTS[request.param]()


def test_idle_cells_change_nothing_but_round_off(fresh: Column) -> None:
    part, full = fresh, whole(fresh)
    for drive in (constant(20.0), half_cycle(), half_cycle()):
        part, full = (column.advance(c, drive, 1e-3) for c in (part, full))
    assert part.steps == full.steps
    assert busy(part) < 0.9 * busy(full) == 0.9 * part.grid.width.size
    np.testing.assert_allclose(part.y, full.y, atol=1e-11 * T0)  # a few dozen steps at 1e-14 and round-off
    np.testing.assert_allclose(part.u, full.u, rtol=1e-11, atol=1e-11 * full.u.max())  # as above


def test_a_front_that_outruns_its_cells_takes_in_more_and_loses_nothing(fresh: Column) -> None:
    """From the pristine state, whose oxygen reaches nowhere, in steps that each cross many cells."""
    fast = replace(fresh, rates=fresh.rates._replace(d0=1e-19))
    after, full = (column.advance(c, constant(30.0), 1e-2) for c in (fast, whole(fast)))
    assert busy(after) > 1.5 * busy(fast)
    np.testing.assert_allclose(after.y, full.y, atol=1e-11 * T0)  # as above
    o, t, f, s, p, q, r = after.y[:7]
    oxygen = float((o + 4 * p + 4 * q) @ after.grid.width)
    assert oxygen == pytest.approx(after.u.sum(), rel=1e-12, abs=0.0)  # sums; an open end loses 1e-3 of it
    np.testing.assert_allclose(t + p + r, T0, rtol=1e-13)  # round-off
    np.testing.assert_allclose(4 * t + 2.5 * r + f + s + q, 5 * T0, rtol=1e-13)  # round-off


def test_cells_beyond_are_left_bit_for_bit(fresh: Column) -> None:
    after = column.advance(fresh, half_cycle(), 1e-3)
    beyond = after.y[kernels.OX] == 0.0
    assert beyond[-1]
    assert np.array_equal(after.y[:, beyond], fresh.y[:, beyond])


def test_oxygen_that_crosses_the_contact_engages_all_of_it(fresh: Column) -> None:
    """Nothing reacts and the last cell fills up, in the very first step."""
    still = dict.fromkeys(("k1", "k2", "k4", "k3", "k3b"), 0.0)
    inert = replace(fresh, rates=fresh.rates._replace(**still, d0=1e-15, beta=0.0, v=0.0))
    after = column.advance(inert, constant(1000.0), 1e-3)
    assert busy(after) == after.grid.width.size
    assert float(after.y[kernels.OX] @ after.grid.width) == pytest.approx(after.u.sum(), rel=1e-10)  # sums over steps


def test_a_history_cut_at_the_end_of_a_step_gives_the_same_bits(fresh: Column) -> None:
    """Which cells work follows from the state: neither a saved contact nor other scratch arrays change it."""
    start = replace(fresh, step=2.0)
    once = column.advance(start, constant(5.0), 1e-3)
    first = column.advance(start, constant(2.0 / 3600.0), 1e-3)
    assert first.steps == 1
    column.advance(whole(fresh), half_cycle(), 1e-3)  # leaves other numbers in the scratch arrays
    rest = Drive(np.array([2.0, 5 * 3600.0]), np.ones(2), np.ones(2), np.ones(2))
    second = column.advance(replace(first, y=first.y.copy()), rest, 1e-3)
    assert second.steps == once.steps > 5
    assert np.array_equal(second.y, once.y)
    assert np.array_equal(second.u, once.u)
