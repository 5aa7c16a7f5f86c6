"""Orders of accuracy of the column at sizes that take seconds; ``make verify-orders`` has all of them."""

import pytest

from validation.verification import manufactured
from validation.verification.manufactured import PLAIN, column_errors, five_cells, slopes, widths


@pytest.mark.parametrize(("grading", "cap"), [(1.0, 5e-7), (6.0, 1e-5)])
def test_second_order_in_space(grading: float, cap: float) -> None:
    """Uniform cells, and cells that widen `grading` times from the wall outwards on a smooth map."""
    sizes = [80, 160, 320]
    fields, uptakes = zip(*(column_errors(PLAIN, widths(n, grading)) for n in sizes), strict=True)
    assert slopes(sizes, fields) == pytest.approx(2.0, abs=0.1)  # the next order still shows: 1.93 to 1.99
    assert slopes(sizes, uptakes) == pytest.approx(2.0, abs=0.02)  # sums over time: 1.995 to 2.004
    assert fields[-1] < cap  # of fields near one, 1.5 times what is found
    assert uptakes[-1] < 1e-7  # of uptakes near 0.3, 1.5 times what is found


def test_third_order_in_time_with_everything_coupled() -> None:
    sizes = [40, 80, 160, 320]
    fields, uptakes = manufactured.coupled_errors(PLAIN, *five_cells(), sizes)
    assert slopes(sizes, fields) == pytest.approx(3.0, abs=0.1)  # the next order still shows: 3.04 to 3.02
    assert slopes(sizes, uptakes) == pytest.approx(3.0, abs=0.15)  # likewise: 3.13 to 3.07
    assert fields[-1] < 1e-7  # of fields near one, twice what is found
    assert uptakes[-1] < 1.5e-8  # of uptakes near one, twice what is found


def test_third_order_in_time_against_an_exact_solution() -> None:
    sizes = [20, 40, 80, 160]
    errors = manufactured.electron_errors(PLAIN, sizes)
    assert slopes(sizes, errors) == pytest.approx(3.0, abs=0.1)  # the next order still shows: 2.95 to 2.99
    assert errors[-1] < 1e-8  # of concentrations near one, twice what is found


def test_the_error_estimate_is_that_of_an_embedded_second_order_method() -> None:
    sizes = [200, 400, 800]
    estimates = manufactured.estimates(PLAIN, *five_cells(), sizes)
    assert slopes(sizes, estimates) == pytest.approx(3.0, abs=0.2)  # local error of order 2; next order: 2.86
