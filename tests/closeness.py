"""Closeness without a hidden floor: beside any relative tolerance, pytest.approx lets 1e-12 absolute pass,
a thousandth of a nanometre and all of a diffusivity."""

from typing import Any

import pytest


def near(expected: Any, rel: float) -> Any:
    """Equal within a relative tolerance alone; a number or a sequence of numbers."""
    return pytest.approx(expected, rel=rel, abs=0.0)
