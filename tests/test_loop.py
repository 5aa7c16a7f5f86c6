"""Single functions of the cycling loop, by hand."""

from dataclasses import astuple

import pytest
from closeness import near
from pinned import scenario

from interphase_sim import ageing
from interphase_sim.ageing import Exposure, Ncm
from interphase_sim.simulation import loop
from interphase_sim.simulation.loop import Rates


def bench() -> loop.Bench:
    return loop.prepare(scenario("bare", {}))


def test_the_first_guess_is_that_nothing_moves() -> None:
    assert astuple(Rates()) == (0.0,) * 6


@pytest.mark.parametrize("isolated", [0.0, 0.5])
def test_not_more_turns_to_rock_salt_than_is_connected(isolated: float) -> None:
    losses = bench().scenario.kinetics.losses
    found = ageing.changes(losses, Ncm(isolated=isolated), Exposure(reduced=5.0))
    assert found["rock_salt"] == near(0.999 * (1 - isolated), rel=1e-12)
