"""The kernels against the same equations solved by others: SciPy's BDF and PyBaMM's IDAKLU.

The history is made up and smooth: ``performance.problem``'s charge and discharge of five hours, an open-circuit
potential from 3.6 to 4.4 V and back, restarted at every half-cycle, after the contact dose. Everyone gets it as cubic
spline, the kernel as 4097 nodes. The kernel's tolerance is tight, so that equations are compared; what its default
gives stands beside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pybamm

from benchmarks import problem, pybamm_column, scipy_column
from benchmarks.problem import Problem
from interphase_sim.interphase import column, unitcell
from interphase_sim.interphase import contacts as ct
from interphase_sim.interphase.column import Column, Drive
from interphase_sim.interphase.contact_models.unit_cell import UnitCell
from interphase_sim.interphase.kernels import Array
from interphase_sim.interphase.unitcell import Fineness, Geometry
from validation.verification import plain
from validation.verification.plain import Case, Gap
from validation.verification.study import Finding, Run, Study

CYCLES = 20
TIGHT = 1e-7
BOUND = 1e-4  # of the largest
CELLS = 100
ORDER = [0, 1, 2, 3, 4, 5, 6, 9, 8]  # the kernels' species in the order of ``plain``
CONDUCTIVITIES = (0.47, 0.02, 1e-7)  # S m-1: Li6PS5Cl, Li3PS4, everything else
NAMES = ("oxidised_sulfur", "phosphate", "sulfate", "P2S5", "thiophosphate", "oxygen", "film")

Series = Iterator[Array]  # after every half-cycle: the quantities of NAMES


def _quantities(fields: Array, uptake: float, width: Array, film: float) -> Array:
    """Amounts [mol m-2] from fields (7, n), and the film [ohm m2]."""
    lost = float((plain.C0 - fields[1]) @ width)
    return np.array([*(float(fields[k] @ width) for k in (3, 4, 5, 6)), lost, uptake, film])


def _film(contact: Column) -> float:
    return column.layer_resistance(contact, plain.MOLAR_VOLUMES, CONDUCTIVITIES)


def by_kernel(
    start: Column, drives: tuple[Drive, ...], tolerance: float, film: Callable[[Column], float] = _film
) -> Series:
    """The kernel."""
    contact = start
    for drive in drives:
        contact = column.advance(replace(contact, step=0.0), drive, tolerance)
        yield _quantities(contact.y[:7], float(contact.u.sum()), contact.grid.width, film(contact))


def case_of(start: Column, reach: float) -> Case:
    """The kernel's constants in the words of the plain equations."""
    p = start.rates
    return Case(
        p.k1, p.k2, p.k4, p.k3, p.k3b, p.d0, float(np.exp(p.beta)), p.kappa_0, p.kappa_cov, p.exposed, p.r_gap,
        p.v * p.exposed, p.c_eq, reach,
    )  # fmt: skip


def by_bdf(given: Problem) -> Series:
    """SciPy's BDF on the plain column."""
    width, case = given.start.grid.width, case_of(given.start, pybamm_column.Built.reach(given))
    n = width.size
    size = np.concatenate((np.full(plain.SPECIES * n, plain.C0), np.full(3, plain.C0 * plain.NM)))
    x = np.concatenate((given.start.y[ORDER].T.ravel(), given.start.u, [0.0]))
    for drive in given.histories:
        side = plain.column_side(case, width, scipy_column.spline(drive))
        x = plain.solved(side, (drive.time[0], drive.time[-1]), x, size, plain.column_pattern(n), TIGHT)
        fields = x[:-3].reshape(n, plain.SPECIES).T
        ohms = plain.resistance(width, fields, CONDUCTIVITIES)
        yield _quantities(fields, float(x[-3:-1].sum()), width, ohms)


def by_idaklu(given: Problem) -> Series:
    """PyBaMM's model of the column by IDAKLU; phosphate and sulfate follow from what is conserved."""
    built, solver = pybamm_column.built_for(given), pybamm_column.solver_for(given, TIGHT, compiled=False)
    state, width = built.packed(given), given.start.grid.width
    for half, drive in enumerate(given.histories):
        inputs = {"half": float(half % 2)}
        old = pybamm.Solution(np.zeros(1), state, built.model, inputs, termination="final time")
        done = solver.step(old, built.model, float(drive.time[-1]), inputs=inputs, save=False)
        state = done.all_ys[-1][:, -1:].copy()
        found = built.unpacked(state)
        o, t, f, s, r, e = (found[name] for name in "OTFSRE")
        phosphate = plain.C0 - t - r
        sulfate = plain.C0 - f - e + 4 * phosphate + e + 1.5 * r - s
        fields = np.array([o, t, f, s, phosphate, sulfate, r])
        uptake = float(found["U_cov"][0] + found["U_gap"][0])
        yield _quantities(fields, uptake, width, plain.resistance(width, fields, CONDUCTIVITIES))


def _apart(found: Array, expected: Array) -> float:
    """Largest deviation of a quantity at the end of any half-cycle, of its largest."""
    largest = np.abs(expected).max(axis=0)
    return float((np.abs(found - expected).max(axis=0)[largest > 0] / largest[largest > 0]).max())


def _finding(study: str, others: list[str], pairs: list[tuple[Array, Array, Array]]) -> Finding:
    tight = [_apart(ours, theirs) for ours, _, theirs in pairs]
    loose = max(_apart(default, theirs) for _, default, theirs in pairs)
    missed = [f"{name}: {error:.1e}" for name, error in zip(others, tight, strict=True) if not error <= BOUND]
    halves = len(pairs[0][0])
    note = f"at the shipped tolerance {loose:.1e}; {halves} half-cycles each" + "".join(f"; {m}" for m in missed)
    return Finding(study, len(pairs), len(missed), f"{max(tight):.1e} of the largest", f"<= {BOUND:g}", note)


def _column(study: str, solve: Callable[[Problem], Series], run: Run) -> Finding:
    names, pairs = ["coated"] if run.quick else ["bare", "coated"], []
    for name in names:
        cycles, cells = (1, 24) if run.quick else (CYCLES, CELLS)
        given = problem.problem(name, cycles, cells, problem.FINE_NODES)
        ours, default = (np.array(list(by_kernel(given.start, given.drives, t))) for t in (TIGHT, given.tolerance))
        pairs.append((ours, default, np.array(list(solve(given)))))
    return _finding(study, names, pairs)


# A unit cell


class Around:
    """The shipped coated cell's contact around one gap, from untouched electrolyte on, on few cells, D halved by the
    conversion; the film is that of the state by one and the same solver."""

    def __init__(self, cycles: int, rings: int, rows: int) -> None:
        scenario, design = problem.changed("coated")
        scenario = scenario.replace({"coating.contact": "closure"})
        setting = ct.setting(scenario, design.contact_areas, design.conductivity(design.temperature))
        assert isinstance(setting.model, UnitCell)
        shipped = setting.model.rings.geometry
        geometry = Geometry(shipped.gap, shipped.disc, shipped.thickness, 60 * plain.NM)
        cut = unitcell.rings(geometry, Fineness(rings, rows, 0.5 * plain.NM, fewest=2))
        # every ring a cell of its own, far from the gap's mouth too
        self.grid = unitcell.between(geometry, cut.radius, cut.height, cut.gap_rings, cut.gap_rows)
        self.gap = Gap(self.grid.radius, self.grid.height, self.grid.gap_rings, self.grid.gap_rows)
        self.block, self.reach = setting.model.block, scenario.kinetics.reactions.reach.si
        rates = ct.pristine(setting).ncm[0].rates._replace(beta=float(np.log(0.5)))
        self.start, self.default = unitcell.new_cell(self.grid, rates, self.reach), setting.ncm_tolerance
        self.drives = problem.half_cycles(scenario, problem.FINE_NODES) * cycles
        self.histories = problem.histories(scenario) * cycles

    def film(self, y: Array) -> float:
        """The film of a state [ohm m2]."""
        aged = replace(self.start, y=y)
        _, sigma = column.conductivity_profile(aged, plain.MOLAR_VOLUMES, CONDUCTIVITIES)
        return unitcell.ionic_resistance(self.grid, sigma, self.block, CONDUCTIVITIES[0])

    def by_bdf(self) -> Series:
        """SciPy's BDF on the plain unit cell."""
        start, m, width = self.start, self.grid.share.size, self.grid.width
        case, pattern = case_of(start, self.reach), plain.gap_pattern(self.gap)
        sizes = [np.full(plain.SPECIES * width.size, plain.C0), np.full(2 * m, plain.C0 * plain.NM / m)]
        x = np.concatenate((start.y[ORDER].T.ravel(), start.u))
        for drive in self.histories:
            side = plain.gap_side(case, self.gap, scipy_column.spline(drive))
            x = plain.solved(side, (drive.time[0], drive.time[-1]), x, np.concatenate(sizes), pattern, TIGHT)
            y = start.y.copy()
            y[ORDER] = x[: -2 * m].reshape(-1, plain.SPECIES).T
            yield _quantities(y[:7], float(x[-2 * m :].sum()), width, self.film(y))


def unit_cell(run: Run) -> Finding:
    """SciPy's BDF on rings around a gap, written out plainly."""
    around = Around(1, 6, 16) if run.quick else Around(CYCLES, 10, 30)
    ours, default = (
        np.array(list(by_kernel(around.start, around.drives, t, lambda contact: around.film(contact.y))))
        for t in (TIGHT, around.default)
    )
    pairs = [(ours, default, np.array(list(around.by_bdf())))]
    return _finding("unit cell against SciPy BDF", ["coated"], pairs)


STUDIES: dict[str, Study] = {
    "bdf": functools.partial(_column, "column against SciPy BDF", by_bdf),
    "idaklu": functools.partial(_column, "column against PyBaMM and IDAKLU", by_idaklu),
    "unit_cell": unit_cell,
}
