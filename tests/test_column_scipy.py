"""The column against the same equations written out anew in plain NumPy and solved by SciPy.

Nothing of the kernels' equations is imported: reactions, flux, exchange, phase rules and effective medium are
written from the model's own statement of them.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from closeness import near
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from interphase_sim.interphase import column
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.interphase.kernels import Rates
from interphase_sim.scenario.sections import Numerics

Array = NDArray[np.float64]
C0 = 6930.0  # mol m-3 of Li6PS5Cl
HOUR = 3600.0
NM = 1e-9
CONDUCTIVITIES = (0.4, 0.02, 1e-7)  # S m-1: Li6PS5Cl, Li3PS4, everything else


@dataclass(frozen=True)
class Case:
    """A contact in the model's words, SI; rock salt as s m-1 per mol m-2."""

    k1: float = 1e-6
    k2: float = 3e-7
    k4: float = 5e-7
    k3: float = 1e-4
    k3b: float = 4e-5
    diffusivity: float = 2e-20
    converted: float = 0.5  # D of wholly converted electrolyte over that of fresh one
    exchange: float = 3e-11
    covered_exchange: float = 0.0
    exposed: float = 1.0
    gap: float = 0.0
    rock_salt: float = 1e12  # of the oxygen through exposed oxide
    equilibrium: float = 1000.0
    reach: float = 3 * NM
    cells: int = 50
    depth: float = 100 * NM

    def rates(self) -> Rates:
        return Rates(
            self.k1, self.k2, self.k4, self.k3, self.k3b, self.diffusivity, float(np.log(self.converted)), C0,
            self.equilibrium, self.exchange, self.covered_exchange, self.exposed, self.gap,
            self.rock_salt / self.exposed,
        )  # fmt: skip


CASES = {
    "bare": Case(),
    "coated": Case(covered_exchange=2e-13, exposed=0.15, gap=2e8),
    "oxygen only": Case(k3=0.0, k3b=0.0, k4=0.0, converted=1.0),
    "electrons only": Case(exchange=0.0),
}

# two half-cycles: oxygen activity, switch of R3, switch of R3b
TIME = np.array([0.0, 2.0, 5.0, 5.5, 9.0]) * HOUR
ACTIVITY = np.array([0.1, 0.3, 1.0, 0.6, 0.1])
SULFIDE = np.array([0.3, 1.0, 1.0, 1.0, 0.5])
THIOPHOSPHATE = np.array([0.0, 0.5, 1.0, 0.9, 0.0])


# The state: cell after cell of O, T, F, S, P, Q, R and the exposed T and F, then the oxygen through gaps
# and through the coating and the electrons of R3, R3b and R4.
SPECIES = 9


def derivatives(case: Case, width: Array, t: float, x: Array) -> Array:
    o, thio, sulfide, sulfur, _, _, _, thio_exposed, sulfide_exposed = x[:-3].reshape(-1, SPECIES).T
    f, g, b = (np.interp(t, TIME, values) for values in (ACTIVITY, SULFIDE, THIOPHOSPHATE))
    z = np.cumsum(width) - 0.5 * width
    near = np.clip(1 - z / case.reach, 0, None)
    r1, r2, r4 = case.k1 * o * thio, case.k2 * o * sulfide, case.k4 * o * sulfur
    r3, r3b = case.k3 * g * near * sulfide_exposed, case.k3b * b * near * thio_exposed
    d = case.diffusivity * case.converted ** (1 - thio / C0)
    inside = 0.5 * (d[1:] + d[:-1]) * (o[:-1] - o[1:]) / (0.5 * (width[1:] + width[:-1]))
    # exchange in series with rock salt and gap; both ways in share half a cell of electrolyte
    through = np.zeros(2)
    if case.exchange > 0:
        barrier = 1 / (case.exchange * f) + case.gap + case.rock_salt * x[-3] / case.exposed
        through = np.array([case.exposed / barrier, case.covered_exchange * f])
    wall = (case.equilibrium - o[0]) / (1 + through.sum() * 0.5 * width[0] / d[0])
    flux = np.concatenate(([through.sum() * wall], inside, [0.0]))
    change = [
        -np.diff(flux) / width - 4 * (r1 + r2 + r4), -r1 - r3b, -r2 - r3, 4 * r1 + r3 + 1.5 * r3b - r4, r1,
        r2 + r4, r3b, -case.k1 * o * thio_exposed - r3b, -case.k2 * o * sulfide_exposed - r3,
    ]  # fmt: skip
    electrons = float((2 * r3 + 3 * r3b - 2 * r4) @ width)
    return np.concatenate((np.array(change).T.ravel(), through * wall, [electrons]))


def solved(case: Case, width: Array) -> Array:
    """The state after the two half-cycles, by BDF; leg by leg, for the drive has kinks."""
    n = width.size
    neighbours = sp.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(n, n))
    pattern = sp.block_diag([sp.kron(neighbours, np.ones((SPECIES, SPECIES))), np.ones((3, 3))]).tolil()
    pattern[-3:, :] = 1
    pattern[:SPECIES, -3:] = 1
    fresh = np.zeros((n, SPECIES))
    fresh[:, 1:3] = C0
    fresh[:, 7:] = C0 * case.exposed
    x = np.concatenate((fresh.ravel(), np.zeros(3)))
    size = np.concatenate((np.full(n * SPECIES, C0), np.full(3, C0 * NM)))
    for leg in itertools.pairwise(TIME):
        done = solve_ivp(
            lambda t, x: derivatives(case, width, t, x), leg, x, "BDF", rtol=1e-7, atol=1e-9 * size,
            jac_sparsity=pattern.tocsr(),
        )  # fmt: skip
        assert done.success, done.message
        x = done.y[:, -1]
    return np.asarray(x)


# Li6PS5Cl, Li3PS4, Li2S, LiCl, Li3PO4, Li2SO4, S, P2S5/2
MOLAR_VOLUMES = np.array([144.3, 96.3, 27.7, 20.5, 46.7, 49.5, 15.5, 53.2]) * 1e-6


def effective_medium(volumes: Array) -> float:
    """sum_i phi_i (s_i - s)/(s_i + 2 s) = 0 solved for s [S m-1]."""
    shares, parts = volumes / volumes.sum(), np.array(CONDUCTIVITIES)
    return float(brentq(lambda s: float(shares @ ((parts - s) / (parts + 2 * s))), 1e-9, 1.0, xtol=1e-18))


def resistance(width: Array, fields: Array) -> float:
    """integral of (1/sigma - 1/sigma_SE) dz [ohm m2], over thirds of cells between which concentrations are linear."""
    total = 0.0
    v = MOLAR_VOLUMES
    centre = np.cumsum(width) - 0.5 * width
    thirds = np.sort(np.concatenate([centre + share * width for share in (-1 / 3, 0, 1 / 3)]))
    between = np.array([np.interp(thirds, centre, field) for field in fields[:7]])
    for dz, (_, thio, sulfide, sulfur, phosphate, sulfate, p2s5) in zip(
        np.repeat(width / 3, 3), between.T, strict=True
    ):
        salt = min(thio, sulfide)
        products = v[4] * phosphate + v[5] * sulfate + v[6] * sulfur + v[7] * p2s5
        insulating = v[2] * (sulfide - salt) + v[3] * (C0 - salt) + products
        sigma = effective_medium(np.array([v[0] * salt, v[1] * (thio - salt), insulating]))
        total += dz * (1 / sigma - 1 / CONDUCTIVITIES[0])
    return total


@pytest.fixture(scope="module", params=sorted(CASES))
def pair(request: pytest.FixtureRequest) -> tuple[Case, Column, Array, Array]:
    """A case, its column after two half-cycles, and SciPy's fields (9, n) and integrals (3,)."""
    case = CASES[request.param]
    grid = column.graded_grid(case.cells, 0.5 * NM, case.depth)
    found = column.new_column(grid, case.rates(), case.reach, case.exposed)
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
    assert found.u == near(np.array([gaps, coating]), rel=AGREEMENT)


def test_profiles_agree(pair: tuple[Case, Column, Array, Array]) -> None:
    _, found, fields, _ = pair
    np.testing.assert_allclose(found.y[[0, 1, 2, 3, 4, 5, 6, 9, 8]], fields, atol=AGREEMENT * C0)


def test_layer_thickness_and_resistance_agree(pair: tuple[Case, Column, Array, Array]) -> None:
    _, found, fields, _ = pair
    thickness = float((1 - fields[1] / C0) @ found.grid.width)
    assert column.layer_thickness(found) == near(thickness, rel=AGREEMENT)
    ohms = column.layer_resistance(found, MOLAR_VOLUMES, CONDUCTIVITIES)
    assert ohms == near(resistance(found.grid.width, fields), rel=AGREEMENT)


def test_the_default_tolerance_costs_little(pair: tuple[Case, Column, Array, Array]) -> None:
    case, found, _, _ = pair
    fresh = column.new_column(found.grid, case.rates(), case.reach, case.exposed)
    drive = Drive(TIME, ACTIVITY, SULFIDE, THIOPHOSPHATE)
    coarse = column.advance(fresh, drive, Numerics().column_tolerance)
    ohms = [column.layer_resistance(c, MOLAR_VOLUMES, CONDUCTIVITIES) for c in (coarse, found)]
    assert ohms[0] == near(ohms[1], rel=1e-3)  # 3e-4 in each of some dozen steps
    fine, small = column.amounts(found), 1e-6 * found.u.sum() + 1e-16
    for name, amount in column.amounts(coarse).items():
        assert amount == pytest.approx(fine[name], rel=3e-4, abs=small), name  # as above
