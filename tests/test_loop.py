"""Single functions of the cycling loop, by hand."""

from dataclasses import astuple, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from closeness import near
from pinned import scenario

from interphase_sim import losses
from interphase_sim.losses import Ncm
from interphase_sim.simulation import loop
from interphase_sim.simulation.loop import Rates


def bench() -> loop.Bench:
    return loop.prepare(scenario("bare", {}))


def test_the_first_guess_is_that_nothing_moves() -> None:
    assert astuple(Rates()) == (0.0,) * 6


def test_rates_are_compared_with_their_guesses() -> None:
    """Halfway there is half the mismatch, there is none."""
    made, found, half = bench(), Rates(2e-6, -4e-6, 6e-7, -8e-4), Rates(1e-6, -2e-6, 3e-7, -4e-4)
    history: Any = SimpleNamespace(time=np.array([0.0, 1000.0]), current=np.array([-2e-3]))
    begun = replace(loop.begin(made), owed=0.0)
    whole = loop._mismatch(made, begun, history, Rates(), found)
    assert whole > 0.1
    assert loop._mismatch(made, begun, history, half, found) == near(0.5 * whole, rel=1e-12)
    assert loop._mismatch(made, begun, history, found, found) == 0.0


@pytest.mark.parametrize("isolated", [0.0, 0.5])
def test_not_more_turns_to_rock_salt_than_is_connected(isolated: float, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bench()
    contacts = loop.begin(made).contacts
    monkeypatch.setattr(losses, "rock_salt_growth", lambda *_: 5.0)
    assert loop.rock_salt_share(made, Ncm(isolated=isolated), contacts, contacts) == near(
        0.999 * (1 - isolated), rel=1e-12
    )
