"""Properties of contacts, scenarios and coupled runs, searched for counterexamples that are shrunk."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from interphase_sim import results, units
from interphase_sim.scenario import Scenario, with_units
from interphase_sim.simulation import simulate
from validation.verification import histories, runs
from validation.verification.search import Check, finding, found, search
from validation.verification.strategies import (
    COLUMNS,
    UNIT_CELLS,
    Changes,
    drawn,
    scenarios,
    told,
)
from validation.verification.strategies import (
    histories as random_histories,
)
from validation.verification.study import Finding, Run, Study

CHUNK = 100
EXAMPLES = 2000
RUNS, PER_CELL = 200, 10
LONG_RUNS, LONG = 20, 1000
PAIRS, PAIR_CYCLES = 100, 12
NOTICED = 0.2  # mAh g-1, from which on a coupled run against the order is listed
SAME = 10.0  # solver tolerances
NOTHING = 1e-15  # mol g-1, round-off of what all electrolyte holds
EVEN: Changes = {"kinetics.oxygen.converted_diffusivity_ratio": 1.0}
HARMLESS: Changes = {
    "kinetics.losses.electrolyte_oxidation": False,
    "kinetics.losses.film": False,
    "kinetics.contact.duration": "0 s",
}
CLOSED: Changes = {
    "coating.filler": "residue",
    "coating.filler_coverage": 1.0,
    "coating.filler_conductivity": "1e-6 S/m",
    "coating.covered_rate": 0.0,
    "coating.filler_diffusivity": None,
    "coating.filler_activation_energy": None,
    "coating.coverage_loss": 0.0,
}
NARROWING = (
    "with one diffusivity: where converted electrolyte conducts oxygen worse, a faster reaction closes its own way "
    "and may take up less"
)


def _of_contacts(
    name: str, check: Check, cases: Callable[[tuple[str, ...], bool], Any], words: str
) -> dict[str, Study]:
    """A property of columns and of unit cells."""

    def study(kinds: tuple[str, ...], bare: bool) -> Study:
        def look(run: Run) -> Finding:
            def chunk(first: int, last: int) -> dict[str, Any]:
                return search(cases(kinds, bare), check, last - first, run.seed + first)

            result = found(run, f"{name}-{kinds[0]}", EXAMPLES, chunk, CHUNK)
            what, figure, bound, note = words.split("|")
            return finding(f"{what}, {'columns' if bare else 'unit cells'}", result, figure, bound, note)

        return look

    return {f"{name}-columns": study(COLUMNS, True), f"{name}-cells": study(UNIT_CELLS, False)}


def _plain(kinds: tuple[str, ...], bare: bool) -> Any:
    return random_histories(kinds, bare)


def _paired(kinds: tuple[str, ...], bare: bool) -> Any:
    return st.tuples(random_histories(kinds, bare, EVEN), st.integers(0, 6))


def written(run: Run) -> Finding:
    """Scenarios survive write and read."""

    def check(scenario: Scenario) -> float:
        again = Scenario.from_dict(tomllib.loads(scenario.to_toml()))
        assert again == scenario
        assert again.digest() == scenario.digest()
        assert again.to_toml() == scenario.to_toml()
        return 0.0

    def chunk(first: int, last: int) -> dict[str, Any]:
        return search(scenarios(1000), check, last - first, run.seed + first)

    result = found(run, "written", EXAMPLES, chunk, CHUNK)
    return finding("scenarios survive write and read", result, "equal", "equal, text too")


def other_units(run: Run) -> Finding:
    """Units never change a result: the same scenario in other units has the same digest."""

    def check(case: tuple[Scenario, int]) -> float:
        scenario, number = case
        changed = _rewritten(scenario.to_dict(), np.random.default_rng(number))
        assert Scenario.from_dict(changed).digest() == scenario.digest()
        return 0.0

    def chunk(first: int, last: int) -> dict[str, Any]:
        return search(st.tuples(scenarios(1000), st.integers(0, 99)), check, last - first, run.seed + first)

    result = found(run, "units", EXAMPLES, chunk, CHUNK)
    return finding("units never change a scenario", result, "same digest", "same digest")


def _rewritten(node: Any, chance: np.random.Generator) -> Any:
    """The table with every quantity in a unit drawn from those that say it exactly."""
    if isinstance(node, dict):
        return {key: _rewritten(value, chance) for key, value in node.items()}
    if isinstance(node, list):
        return [_rewritten(value, chance) for value in node]
    number, _, unit = node.partition(" ") if isinstance(node, str) else ("", "", "")
    for dimension in units.DIMENSIONS.values():
        if unit in dimension.factors:
            return _in_other_unit(number, unit, dimension.factors, chance)
    return node


def _in_other_unit(number: str, unit: str, factors: Any, chance: np.random.Generator) -> str:
    other = str(chance.choice(sorted(factors)))
    shift = {"degC": Decimal("273.15")}
    si = Decimal(number) * Decimal(factors[unit]) + shift.get(unit, 0)
    value = (si - shift.get(other, 0)) / Decimal(factors[other])
    exact = value * Decimal(factors[other]) + shift.get(other, 0) == si
    return f"{value} {other}" if exact else f"{number} {unit}"


def coupled(run: Run) -> Finding:
    """Runs of up to 30 cycles: sound, repeatable, resumable, and the same after write and read."""

    def check(case: tuple[Scenario, int]) -> float:
        scenario, cycle = case
        first = simulate(scenario)
        told = runs.breaches(first, scenario)
        assert not told, "; ".join(told)
        runs.same(simulate(scenario), first)
        with tempfile.TemporaryDirectory(dir=run.folder) as name:
            folder = Path(name)
            runs.same(runs.stopped(scenario, folder, cycle), first)
            results.write(first, folder / results.FILE_NAME)
            runs.same(results.read(folder), first)
        return float(np.abs(first.ledger_residual).max())

    def chunk(first: int, last: int) -> dict[str, Any]:
        cell = runs.a_cell(("SPM",), run.seed + first)
        cases = st.tuples(scenarios(30, cell), st.integers(1, 30))
        return search(cases, check, last - first, run.seed + first)

    run.folder.mkdir(parents=True, exist_ok=True)
    result = found(run, "coupled", RUNS, chunk, PER_CELL)
    note = (
        "amounts, shares, ledger; equal bits when repeated, resumed, written and read; counted is a case of four runs"
    )
    return finding("coupled runs up to 30 cycles, SPM", result, "ledger off by {:.1e}", "1e-6", note)


def long(run: Run) -> Finding:
    """Runs of 1000 cycles are sound."""

    def check(scenario: Scenario) -> float:
        ds = simulate(scenario)
        told = runs.breaches(ds, scenario)
        assert not told, "; ".join(told)
        return float(np.abs(ds.ledger_residual).max())

    cycles = 20 if run.quick else LONG
    fixed = {"protocol.cycles": cycles, "numerics.output_cycles": [1, cycles]}

    def chunk(first: int, last: int) -> dict[str, Any]:
        cell = runs.a_cell(("SPM",), run.seed + first)
        return search(scenarios(1, cell, fixed=fixed), check, last - first, run.seed + 1000 + first)

    result = found(run, "long", LONG_RUNS, chunk, 4)
    return finding("coupled runs of 1000 cycles, SPM", result, "ledger off by {:.1e}", "1e-6")


def growth(run: Run) -> Finding:
    """Coupled runs with a faster exchange of oxygen: those that keep more capacity are listed, and why."""

    def chunk(first: int, last: int) -> dict[str, Any]:
        fixed = EVEN | {"numerics.jump": False, "numerics.end_of_life_capacity": "0 mAh/g", "protocol.first": []}
        cases = scenarios(PAIR_CYCLES, runs.a_cell(("SPM",), run.seed + first), fixed=fixed)
        against = [_against(case) for case in drawn(cases, last - first, run.seed + first)]
        return {"cases": last - first, "worst": max(by for by, _ in against), "failures": [], "told": against}

    total = 2 if run.quick else PAIRS
    parts = run.chunks("growth", total, PER_CELL, chunk)
    listed = [text for part in parts for by, text in part["told"] if by > NOTICED]
    worst = max(part["worst"] for part in parts)
    figure = f"{len(listed)} gain more than {NOTICED} mAh/g, at most {worst:.2f}"
    return Finding(
        "twice the exchange of oxygen costs capacity, coupled", total, 0, figure, "listed", "; ".join(listed)
    )


def _against(scenario: Scenario) -> tuple[float, str]:
    """By how much twice the exchange raises the last capacity [mAh g-1], and what happened meanwhile."""
    faster = scenario.replace(with_units({"kinetics.oxygen.exchange": 2 * scenario.kinetics.oxygen.exchange.si}))
    slow, fast = simulate(scenario), simulate(faster)
    last = min(ds.sizes["cycle"] for ds in (slow, fast)) - 1
    if last < 1:
        return 0.0, ""
    by = runs.last_capacity(fast, last) - runs.last_capacity(slow, last)
    why = _why(slow, fast, last) if by > NOTICED else ""
    return by, f"{by:+.2f} mAh/g in cycle {last} ({why}): {told(scenario)[:300]}" if why else ""


def _why(slow: Any, fast: Any, last: int) -> str:
    """How charge, film and oxygen of two runs compare."""
    names = ("charge_capacity", "film_resistance", "layer_thickness", "rock_salt_fraction", "working_contact_fraction")
    pairs = [f"{name} {float(slow[name][last]):.4g} -> {float(fast[name][last]):.4g}" for name in names]
    return ", ".join(pairs)


def inert(run: Run) -> Finding:
    """A closed coating that lets nothing pass leaves plain cycling, but for the charge of round-off in its amounts."""

    def check(scenario: Scenario) -> float:
        closed = scenario.replace(HARMLESS | CLOSED)
        plain = scenario.replace(HARMLESS | {"coating": None, "kinetics.oxygen.exchange": "0 m/s"})
        one, other = simulate(closed), simulate(plain)
        assert one.attrs["status"] == other.attrs["status"], (one.attrs["status"], other.attrs["status"])
        names = ("charge_capacity", "discharge_capacity", "mean_discharge_voltage")
        apart = max(float(np.nanmax(np.abs(one[name] / other[name] - 1), initial=0.0)) for name in names)
        apart /= scenario.numerics.solver_tolerance
        assert apart <= SAME, f"{apart:.1e} solver tolerances"
        assert float(np.abs(one.amount).max()) < NOTHING
        assert np.ptp(one.film_resistance.values) == 0
        return apart

    def chunk(first: int, last: int) -> dict[str, Any]:
        cell = runs.a_cell(("SPM",), run.seed + first)
        return search(scenarios(10, cell, UNIT_CELLS, bare=False), check, last - first, run.seed + first)

    result = found(run, "inert", RUNS // 2, chunk, PER_CELL)
    return finding("an inert closed coating leaves plain cycling", result, "{:.1e} solver tolerances", f"{SAME:g}")


STUDIES: dict[str, Study] = {
    **_of_contacts(
        "invariants", histories.invariants, _plain,
        "conserved, positive, rising, repeatable|{:.1e} of what is conserved|1e-10, oxygen 1e-9|concentrations and "
        "amounts within 100 tolerances of zero and of rising",
    ),
    **_of_contacts(
        "resistance", histories.resists_more, _plain,
        "resistance never falls with the dose|{:.1e}, relative|100 tolerances|beyond 1e-5 ohm m2",
    ),
    **_of_contacts(
        "splits", histories.splits, _plain,
        "cut at a step: equal bits; elsewhere: equal amounts|{:.0f} tolerances|100 tolerances|",
    ),
    **_of_contacts(
        "growth", histories.grows_more, _paired,
        f"uptake rises with exposure, rates and heat|falls by {{:.1e}}, relative|100 tolerances|{NARROWING}",
    ),
    "written": written,
    "units": other_units,
    "coupled": coupled,
    "long": long,
    "coupled-growth": growth,
    "inert": inert,
}  # fmt: skip
