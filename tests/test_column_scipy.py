"""The column against the same equations written out anew in plain NumPy and solved by SciPy.

The plain equations are ``validation.verification.plain``; ``make verify-crosscheck`` has longer histories.
"""

import itertools

import numpy as np
import pytest
from closeness import near
from numpy.typing import NDArray

from interphase_sim.interphase import column
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.interphase.kernels import Rates
from interphase_sim.scenario.sections import Numerics
from validation.verification import plain
from validation.verification.plain import C0, MOLAR_VOLUMES, NM, SPECIES, Case

Array = NDArray[np.float64]
HOUR = 3600.0
CONDUCTIVITIES = (0.4, 0.02, 1e-7)  # S m-1: Li6PS5Cl, Li3PS4, everything else


def rates(case: Case) -> Rates:
    return Rates(
        case.k1, case.k2, case.k4, case.k3, case.k3b, case.diffusivity, float(np.log(case.converted)), C0,
        case.equilibrium, case.exchange, case.covered_exchange, case.exposed, case.gap, case.rock_salt / case.exposed,
    )  # fmt: skip


CASES = {
    "bare": Case(),
    "coated": Case(covered_exchange=2e-13, exposed=0.15, gap=2e8),
    "oxygen only": Case(k3=0.0, k3b=0.0, k4=0.0, converted=1.0),
    "electrons only": Case(exchange=0.0),
}
CELLS, DEPTH = 50, 100 * NM

# two half-cycles: oxygen activity, switch of R3, switch of R3b
TIME = np.array([0.0, 2.0, 5.0, 5.5, 9.0]) * HOUR
ACTIVITY = np.array([0.1, 0.3, 1.0, 0.6, 0.1])
SULFIDE = np.array([0.3, 1.0, 1.0, 1.0, 0.5])
THIOPHOSPHATE = np.array([0.0, 0.5, 1.0, 0.9, 0.0])


def solved(case: Case, width: Array) -> Array:
    """The state after the two half-cycles, by BDF; leg by leg, for the drive has kinks."""
    n = width.size
    fresh = np.zeros((n, SPECIES))
    fresh[:, 1:3] = C0
    fresh[:, 7:] = C0 * case.exposed
    x = np.concatenate((fresh.ravel(), np.zeros(3)))
    size = np.concatenate((np.full(n * SPECIES, C0), np.full(3, C0 * NM)))
    side = plain.column_side(
        case, width, lambda t: [float(np.interp(t, TIME, values)) for values in (ACTIVITY, SULFIDE, THIOPHOSPHATE)]
    )
    for leg in itertools.pairwise(TIME):
        x = plain.solved(side, leg, x, size, plain.column_pattern(n), 1e-7)
    return x


@pytest.fixture(scope="module", params=sorted(CASES))
def pair(request: pytest.FixtureRequest) -> tuple[Case, Column, Array, Array]:
    """A case, its column after two half-cycles, and SciPy's fields (9, n) and integrals (3,)."""
    case = CASES[request.param]
    grid = column.graded_grid(CELLS, 0.5 * NM, DEPTH)
    found = column.new_column(grid, rates(case), case.reach, case.exposed)
    for part in (slice(0, 3), slice(2, 5)):
        drive = Drive(TIME[part], ACTIVITY[part], SULFIDE[part], THIOPHOSPHATE[part])
        found = column.advance(found, drive, 1e-7)
    x = solved(case, grid.width)
    return case, found, x[:-3].reshape(-1, SPECIES).T, x[-3:]


AGREEMENT = 1e-5  # both at 1e-7 in each of some thousand steps; found 3e-7


def test_amounts_agree(pair: tuple[Case, Column, Array, Array]) -> None:
    _, found, fields, (gaps, coating, electrons) = pair
    amounts, width = column.amounts(found), found.grid.width
    species = ("oxidised_sulfur", "phosphate", "sulfate", "P2S5")
    expected = {name: float(fields[k] @ width) for k, name in enumerate(species, 3)}
    expected |= {"oxygen": gaps + coating, "electrons": electrons}
    expected |= {"thiophosphate": float((C0 - fields[1]) @ width)}
    turned = max(expected["oxygen"], abs(electrons))
    assert turned > C0 * NM  # enough happened to be compared
    for name, amount in expected.items():
        small = 1e-7 * turned  # of an amount that is zero
        assert amounts[name] == pytest.approx(amount, rel=AGREEMENT, abs=small), name
    assert found.u == pytest.approx(np.array([gaps, coating]), rel=AGREEMENT, abs=1e-7 * turned)  # as above


def test_profiles_agree(pair: tuple[Case, Column, Array, Array]) -> None:
    _, found, fields, _ = pair
    np.testing.assert_allclose(found.y[[0, 1, 2, 3, 4, 5, 6, 9, 8]], fields, atol=AGREEMENT * C0)


def test_layer_thickness_and_resistance_agree(pair: tuple[Case, Column, Array, Array]) -> None:
    _, found, fields, _ = pair
    thickness = float((1 - fields[1] / C0) @ found.grid.width)
    assert column.layer_thickness(found) == near(thickness, rel=AGREEMENT)
    ohms = column.layer_resistance(found, MOLAR_VOLUMES, CONDUCTIVITIES)
    assert ohms == near(plain.resistance(found.grid.width, fields, CONDUCTIVITIES), rel=AGREEMENT)


def test_the_default_tolerance_costs_little(pair: tuple[Case, Column, Array, Array]) -> None:
    case, found, _, _ = pair
    fresh = column.new_column(found.grid, rates(case), case.reach, case.exposed)
    drive = Drive(TIME, ACTIVITY, SULFIDE, THIOPHOSPHATE)
    coarse = column.advance(fresh, drive, Numerics().column_tolerance)
    ohms = [column.layer_resistance(c, MOLAR_VOLUMES, CONDUCTIVITIES) for c in (coarse, found)]
    assert ohms[0] == near(ohms[1], rel=1e-3)  # 3e-4 in each of some dozen steps
    fine, small = column.amounts(found), 1e-6 * found.u.sum() + 1e-16
    for name, amount in column.amounts(coarse).items():
        assert amount == pytest.approx(fine[name], rel=3e-4, abs=small), name  # as above
