"""The pellet cell: its numbers, its PyBaMM parameter set, and its steps against plain PyBaMM."""

import math
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pybamm
import pytest
from closeness import near
from numpy.typing import NDArray
from pinned import scenario

from interphase_sim import materials
from interphase_sim.cell import parameters
from interphase_sim.cell.default import walther_2021
from interphase_sim.cell.integrator import Direct, Integrator, Trajectory, same
from interphase_sim.cell.runner import MESHES, OBSERVED, Cell, Degradation, History, build
from interphase_sim.constants import FARADAY
from interphase_sim.errors import SolverFailure
from interphase_sim.interphase import contacts
from interphase_sim.scenario import load_scenario
from interphase_sim.simulation import loop, simulate

Array = NDArray[np.float64]
# Numbers of a calibration that is none of these tests' business: they hold for any.
DESIGN = replace(
    walther_2021(),
    utilisation=0.9649,
    lithium_diffusivity=1e-14,
    hindrance_stoichiometry=0.84,
    hindrance_width=0.05,
    hindrance_factor=1000.0,
)
TOLERANCE = 1e-6  # of the solver, as shipped
C_5 = DESIGN.current(0.2)
NCM_AREA = DESIGN.contact_areas["ncm"] * DESIGN.ncm_mass
CHARGED = 2.85
LONG = 20 * 3600.0
NOTHING = Degradation(connected=DESIGN.utilisation)


def design_values() -> Any:
    """The parameter set of the design."""
    return pybamm.ParameterValues(parameters.parameter_values(DESIGN))


def spm() -> Cell:
    return Cell(DESIGN, "SPM", particle_cells=20, tolerance=TOLERANCE)


def charge(cell: Cell, effect: Degradation = NOTHING, state: Array | None = None) -> History:
    start = cell.start() if state is None else state
    return cell.constant_current(start, effect, -C_5, CHARGED, LONG)


@cache
def charged() -> History:
    return charge(spm())


def per_gram(charge: float) -> float:
    """mAh per gram of NCM622."""
    return charge / DESIGN.ncm_mass / 3600


# Numbers


def test_the_default_cell_is_the_shipped_one() -> None:
    assert walther_2021() == loop.design_of(load_scenario("bare"))


@pytest.mark.parametrize("electrode", ["cathode", "anode"])
def test_volume_fractions_sum_to_one_and_give_the_masses_back(electrode: str) -> None:
    fractions = DESIGN.volume_fractions(electrode)
    assert sum(fractions.values()) == near(1.0, rel=1e-14)  # a sum of four
    assert min(fractions.values()) > 0
    cathode = electrode == "cathode"
    density = DESIGN.ncm_density if cathode else DESIGN.lto_density
    mass = 7 / 10.1 * 11e-6 if cathode else 0.3 * 65e-6
    found = fractions["active"] * density * DESIGN.thickness(electrode) * DESIGN.area
    assert found == near(mass, rel=1e-12)  # the same products in another order


def test_the_cell_has_the_dimensions_its_masses_demand() -> None:
    assert DESIGN.thickness("anode") == near(0.44e-3, rel=0.01)  # dense 0.38 mm over 0.87
    assert DESIGN.volume_fractions("anode")["active"] == pytest.approx(0.16, abs=0.01)  # two digits stated
    assert 2 * DESIGN.sauter_radius == near(2.47e-6, rel=1e-3)  # three digits stated
    assert DESIGN.ncm_specific_area == near(520, rel=0.01)  # "about 0.5 m2/g" is 6/(4.65 2.47)
    areas = DESIGN.contact_areas
    assert areas["ncm"] == near(0.6 * 6 / (4650 * 2.469e-6), rel=1e-3)  # four digits of d32
    assert areas["carbon"] == near(0.1 / 7 * 62e3 * 0.6, rel=1e-12)  # by hand
    assert areas["collector"] == near(math.pi * 25e-6 / (11e-6 * 7 / 10.1), rel=1e-12)  # by hand


def test_the_anode_holds_twice_the_cathode() -> None:
    values = pybamm.ParameterValues("Walther2021")
    volume = values["Negative electrode thickness [m]"] * DESIGN.area
    sites = values["Maximum concentration in negative electrode [mol.m-3]"] * volume
    charge = FARADAY * sites * values["Negative electrode active material volume fraction"]
    assert charge / (206 * 3.6 * DESIGN.ncm_mass * 1e3) == pytest.approx(2.2, abs=0.1)  # "about 2.2"


def test_conductivity_rises_with_temperature_by_arrhenius() -> None:
    ratio = math.exp(0.35 / 8.617333262e-5 * (1 / 298.15 - 1 / 318.15))
    assert DESIGN.conductivity(318.15) == near(0.2 * ratio, rel=1e-7)  # k in eV has ten digits
    assert DESIGN.conductivity(298.15) == 0.2


# The parameter set


def test_the_parameter_set_loads_anywhere_and_alone(tmp_path: Path) -> None:
    code = """
import sys, pybamm
values = pybamm.ParameterValues("Walther2021")
assert values["Positive electrode thickness [m]"] > 0
print(*(m for m in sys.modules if m.split(".")[0] in ("numba", "pint", "pydantic", "interphase_sim")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = set(done.stdout.split())
    assert "interphase_sim.cell.parameters" in loaded
    assert {m.split(".")[0] for m in loaded} == {"interphase_sim"}
    in_cell = {m for m in loaded if m.startswith("interphase_sim.cell")}
    plain = {f"interphase_sim.{name}" for name in ("arrhenius", "constants", "errors", "resources", "units")}
    assert loaded <= {"interphase_sim"} | plain | in_cell


def test_the_parameter_set_had_another_lithium_transport_than_the_calibrated_cell() -> None:
    """It charged 197 and discharged 174 mAh/g; the cell it is a set of charges 199 and discharges 190 mAh/g.

    The interphase, which a set of PyBaMM cannot hold, takes both down to 191 and 163 mAh/g (SPM). So the set is
    compared with the first cycle of the bare cell in which nothing reacts: no oxygen, no oxidation, no contact before.
    """
    still = {
        "cell.model": "SPM",
        "kinetics.oxygen.exchange": "0 m/s",
        "kinetics.losses.electrolyte_oxidation": False,
        "kinetics.contact.duration": "0 s",
    }
    short = {"protocol.cycles": 1, "numerics.output_cycles": []}
    simulated = simulate(load_scenario("bare").replace(still | short)).sel(cycle=1)
    values = pybamm.ParameterValues("Walther2021")
    points = {**pybamm.lithium_ion.SPM().default_var_pts, "r_p": 45}
    solution = pybamm.Simulation(
        pybamm.lithium_ion.SPM({"SEI": "none"}),
        experiment=pybamm.Experiment(["Charge at C/5 until 2.85 V", "Discharge at C/5 until 1.35 V"]),
        parameter_values=values,
        var_pts=points,
    ).solve()
    passed = [np.ptp(cycle["Discharge capacity [A.h]"].entries) / walther_2021().ncm_mass for cycle in solution.cycles]
    for name, capacity in zip(("charge_capacity", "discharge_capacity"), passed, strict=True):
        assert capacity == pytest.approx(float(simulated[name]), abs=1.0), name  # 0.1 found; what stands apart is 9


@cache
def potential() -> Any:
    """The open-circuit potential as PyBaMM evaluates it."""
    sto = pybamm.InputParameter("x")
    symbol = pybamm.ParameterValues({}).process_symbol(parameters.ncm622_ocp(sto))
    return lambda x: np.array([float(np.squeeze(symbol.evaluate(inputs={"x": v}))) for v in x])


def test_the_open_circuit_potential_follows_its_check_table() -> None:
    columns = materials.columns("ncm622_ocp_check")
    x, u = np.array(columns["x_li"]), np.array(columns["U_V_vs_Li"])
    inside = x <= 0.97
    assert inside.sum() >= 30
    error = potential()(x[inside]) - u[inside]
    assert math.sqrt(float(np.mean(error**2))) < 6e-3  # 5.4 mV found; the table spans 700 mV
    assert np.abs(error).max() < 20e-3  # where the digitised curve bends


def test_the_open_circuit_potential_falls_everywhere() -> None:
    x = np.linspace(0.02, 1.03, 3000)  # a solver oversteps both ends
    assert np.all(np.diff(potential()(x)) < 0)


def test_the_spline_follows_the_formula_it_tabulates() -> None:
    u = np.linspace(3.3, 4.6, 400)
    x = parameters.msmr_stoichiometry(u)
    keep = (x > 0.2) & (x < 0.985)
    np.testing.assert_allclose(potential()(x[keep]), u[keep], atol=0.2e-3)  # the assumed edge is below 0.2 mV


def test_the_window_holds_206_milliampere_hours() -> None:
    (x,) = parameters.msmr_stoichiometry(np.array([4.40]))
    held = per_gram((1 - x) * FARADAY * DESIGN.ncm_moles)
    assert held == pytest.approx(206, abs=0.5)  # three digits stated


def test_the_activity_of_oxygen_is_one_at_the_same_state_in_both_laws() -> None:
    (x,) = parameters.msmr_stoichiometry(np.array([contacts.FULL_ACTIVITY]))
    extracted = contacts.LITHIUM_EXTRACTED_AT_FULL_ACTIVITY
    assert extracted == pytest.approx(1 - x, abs=5e-4)  # three digits stated


def test_diffusivity_falls_a_thousandfold_at_full_lithiation() -> None:
    law = parameters.hindered_diffusivity(1e-14, math.log(1000.0), 0.84, 0.05)
    low, middle, high = (law(pybamm.Scalar(x), 0).evaluate() for x in (0.3, 0.84, 1.14))
    assert low == near(1e-14, rel=1e-3)  # 11 widths away: exp(-11) ln 1000
    assert middle == near(1e-14 / math.sqrt(1000), rel=1e-9)  # half of the fall, in logarithms
    assert high == near(1e-17, rel=0.02)  # 6 widths away: exp(-6) ln 1000


# Plain PyBaMM


def plain(model: Any, cycles: int = 1, values: Any = None, points: dict[str, int] | None = None) -> Any:
    """A PyBaMM Experiment with the parameter set; charge and discharge capacities per gram."""
    steps = ["Charge at C/5 until 2.85 V", "Discharge at C/5 until 1.35 V"]
    submeshes = {**model.default_submesh_types}
    if points:
        stretched = pybamm.MeshGenerator(pybamm.Exponential1DSubMesh, {"side": "right", "stretch": 1.5})
        submeshes["positive particle"] = stretched
    simulation = pybamm.Simulation(
        model,
        parameter_values=values or design_values(),
        experiment=pybamm.Experiment([step for _ in range(cycles) for step in steps]),
        solver=pybamm.IDAKLUSolver(rtol=TOLERANCE, atol=TOLERANCE),
        var_pts={**model.default_var_pts, **(points or {})},
        submesh_types=submeshes,
    )
    solution = simulation.solve()
    spans = [part["Time [s]"].entries for part in solution.cycles]
    return np.array([per_gram(C_5 * (t[-1] - t[0])) for t in spans]), solution


def test_the_three_models_run_and_agree() -> None:
    found = {m: plain(getattr(pybamm.lithium_ion, m)())[0] for m in ("SPM", "SPMe", "DFN")}
    for name, capacities in found.items():
        assert capacities == pytest.approx(found["DFN"], abs=3.0), name  # what the acceptance allows, of 200
        assert 170 < capacities[1] < capacities[0] - 15 < 200, name


def test_the_sauter_radius_stands_for_the_size_distribution() -> None:
    """A lognormal of the measured d50 and d90: its area-weighted mean is the Sauter diameter."""
    s = math.log(DESIGN.ncm_d90 / DESIGN.ncm_d50) / 1.2815515655446004
    values = pybamm.get_size_distribution_parameters(design_values(), sd_p=math.sqrt(math.expm1(s * s)), sd_n=0.1)
    density = values["Positive area-weighted particle-size distribution [m-1]"]
    r = np.linspace(1e-9, 2e-5, 20_000)
    volume = r * density(pybamm.Array(r)).evaluate().ravel()
    below = np.cumsum(volume) / volume.sum()
    assert np.interp(DESIGN.ncm_d50 / 2, r, below) == pytest.approx(0.5, abs=1e-3)  # steps of 1 nm in 1.5 um
    assert np.interp(DESIGN.ncm_d90 / 2, r, below) == pytest.approx(0.9, abs=1e-3)  # as before

    many, _ = plain(pybamm.lithium_ion.MPM(), values=values, points={"R_p": 10, "R_n": 3, "r_p": 12, "r_n": 6})
    one, _ = plain(pybamm.lithium_ion.SPM(), points={"r_p": 12, "r_n": 6})
    assert many[0] == pytest.approx(one[0], abs=1.0)  # of 200: small particles make up for large ones
    assert 0 < one[1] - many[1] < 5.0  # of 175: large particles take less back, 2.5 found


# The loop's cell against plain PyBaMM


def test_a_loop_without_kinetics_is_plain_cycling() -> None:
    none = {
        "kinetics.oxygen.exchange": 0.0,
        "kinetics.reactions.sulfide_oxidation": 0.0,
        "kinetics.reactions.thiophosphate_oxidation": 0.0,
        "kinetics.contact.duration": 0.0,
        "cell.utilisation": DESIGN.utilisation,
    }
    names = ("diffusivity", "hindrance_stoichiometry", "hindrance_width", "hindrance_factor")
    attributes = ("lithium_diffusivity", *names[1:])
    plain_lithium = {f"kinetics.lithium.{n}": getattr(DESIGN, a) for n, a in zip(names, attributes, strict=True)}
    bench = loop.prepare(scenario(changes=none | plain_lithium))
    state, found = loop.begin(bench), []
    for number in (1, 2):
        state, *halves = loop.cycle(bench, state, number)
        found += [half.charge / loop.MAH_PER_G for half in halves]
    expected, _ = plain(pybamm.lithium_ion.SPM(), cycles=2, points={"r_p": 20, "r_n": 6})
    assert found == pytest.approx(expected.tolist(), abs=2e-3)  # of 200: the solver restarts at 1e-6
    assert state.ncm.rock_salt == 0.0
    assert contacts.layer_thickness(state.contacts) == 0.0


def test_a_constant_film_is_pybamms_constant_film() -> None:
    ohms = 2.4
    model = pybamm.lithium_ion.SPM({"SEI": ("none", "constant"), "SEI film resistance": "average"})
    values = design_values()
    thickness = values["Initial SEI thickness [m]"]
    # PyBaMM's film lies on all of the particle's area
    values["SEI resistivity [Ohm.m]"] = ohms / DESIGN.contact_fraction / thickness
    expected, _ = plain(model, values=values, points={"r_p": 20, "r_n": 6})
    cell, film = spm(), replace(NOTHING, film=ohms)
    up = charge(cell, film)
    down = cell.constant_current(up.state, film, C_5, 1.35, LONG)
    found = [per_gram(-up.charge), per_gram(down.charge)]
    assert found == pytest.approx(expected.tolist(), abs=2e-3)  # of 160: as before
    assert found[0] < expected[0] + 0.02 < per_gram(-charged().charge) - 10


# One step at a time


def test_a_film_lowers_the_voltage_by_ohms_law() -> None:
    """I R(t)/A with a resistance that grows within the step; the lithium in the particles does not see it."""
    cell, hours = spm(), 2 * 3600.0
    bare = cell.constant_current(charged().state, NOTHING, C_5, None, hours)
    film = replace(NOTHING, film=3.0, film_rate=1e-3)
    filmed = cell.constant_current(charged().state, film, C_5, None, hours)
    drop = np.interp(filmed.time, bare.time, bare.voltage) - filmed.voltage
    expected = C_5 / NCM_AREA / DESIGN.utilisation * (3.0 + 1e-3 * filmed.time)
    at_nodes = [0, -1]  # where nothing is interpolated
    assert drop[at_nodes] == near(expected[at_nodes], rel=1e-4)  # 1e-6 V of 0.3 V, tenfold
    assert bare.surface[-1] == pytest.approx(filmed.surface[-1], abs=1e-5)  # solver tolerance


def test_lithium_follows_the_charge_and_the_connected_share() -> None:
    cell, span = spm(), 3600.0
    for connected in (DESIGN.utilisation, 0.5):
        found = cell.constant_current(charged().state, replace(NOTHING, connected=connected), C_5, None, span)
        gained = found.mean[-1] - found.mean[0]
        expected = C_5 * span / (FARADAY * DESIGN.ncm_moles * connected)
        assert gained == near(expected, rel=1e-6)  # finite volumes conserve to solver round-off
        assert found.charge == near(C_5 * span, rel=1e-12)  # constant current


def test_a_parasitic_current_lithiates_unseen_from_outside() -> None:
    cell, span = spm(), 3600.0
    leak = replace(NOTHING, parasitic=0.05 * C_5)
    rest = cell.constant_current(charged().state, leak, 0.0, None, span)
    assert rest.charge == 0.0
    expected = 0.05 * C_5 * span / (FARADAY * DESIGN.ncm_moles * DESIGN.utilisation)
    assert rest.mean[-1] - rest.mean[0] == near(expected, rel=1e-5)  # as before, of a small change
    slowed = charge(cell, replace(NOTHING, parasitic=0.05 * C_5))
    longer = per_gram(-charged().charge) / 0.95
    assert per_gram(-slowed.charge) == near(longer, rel=5e-3)  # and a little less overpotential


def test_a_diffusion_factor_is_another_diffusivity() -> None:
    faster = Cell(replace(DESIGN, lithium_diffusivity=3e-14), "SPM", particle_cells=20, tolerance=TOLERANCE)
    one = charge(faster)
    other = charge(spm(), replace(NOTHING, log_diffusion=math.log(3.0)))
    assert one.time[-1] == near(other.time[-1], rel=1e-9)  # the same numbers but for exp(log)


def test_a_step_may_be_cut_in_two() -> None:
    cell, span = spm(), 7200.0
    whole = cell.constant_current(charged().state, NOTHING, C_5, None, span)
    first = cell.constant_current(charged().state, NOTHING, C_5, None, span / 2)
    second = cell.constant_current(first.state, NOTHING, C_5, None, span / 2)
    assert second.voltage[-1] == pytest.approx(whole.voltage[-1], abs=2e-5)  # solver tolerance at a restart
    assert not whole.reached
    assert whole.time[-1] == span


def test_a_cell_keeps_no_memory_of_its_steps() -> None:
    cell = spm()
    first = charge(cell)
    cell.constant_current(first.state, replace(NOTHING, film=5.0), C_5, 1.35, LONG)
    again = charge(cell)
    for name in ("time", "voltage", "potential", "surface", "state"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name


def test_a_charge_ends_at_its_cut_off() -> None:
    found = charged()
    assert found.reached
    assert found.voltage[-1] == pytest.approx(CHARGED, abs=1e-5)  # the event is found to 1e-6 and better
    assert np.all(found.voltage < CHARGED + 1e-5)  # as before
    assert np.all(np.diff(found.time) > 0)
    lto = found.potential - found.voltage
    assert np.all((lto > 1.5) & (lto < 1.6))  # the flat anode, with its small overpotential
    assert np.array_equal(np.argsort(found.surface), np.argsort(-found.open_circuit))


def test_a_hold_keeps_the_voltage_until_the_current_has_fallen() -> None:
    cell = spm()
    held = cell.constant_voltage(charged().state, NOTHING, CHARGED, DESIGN.current(0.05), LONG)
    assert held.reached
    np.testing.assert_allclose(held.voltage, CHARGED, atol=1e-6)  # the solver's tolerance
    assert held.current[0] == near(-C_5, rel=1e-4)  # it begins where the charge ended, at 1e-6
    assert held.current[-1] == near(-DESIGN.current(0.05), rel=1e-6)  # the solver's tolerance
    lithium = (held.mean[-1] - held.mean[0]) * FARADAY * DESIGN.ncm_moles * DESIGN.utilisation
    assert held.charge == near(lithium, rel=1e-3)  # a trapezoid over 47 points


def test_a_hold_whose_current_has_fallen_before_it_begins_was_a_solver_failure() -> None:
    cell = spm()
    held = cell.constant_voltage(charged().state, NOTHING, CHARGED, 1.01 * C_5, LONG)
    assert held.reached
    assert (held.time.size, held.charge, cell.retries) == (1, 0.0, 0)
    assert CHARGED - 0.02 < held.voltage[0] < CHARGED  # at rest, without the drop of C/5
    assert np.array_equal(held.state, charged().state)
    assert (held.current[0], held.surface[0], held.mean[0]) == (0.0, charged().surface[-1], charged().mean[-1])


def test_a_charge_that_is_over_before_it_begins_was_a_solver_failure_of_the_dfn() -> None:
    """Potentials of the DFN settle at the new current only in the solver, which then found the cell past its end."""
    cell = Cell(DESIGN, "DFN", particle_cells=10, tolerance=TOLERANCE)
    start, current = cell.start(), -DESIGN.current(2.0)
    history = cell.constant_current(start, replace(NOTHING, film=10.0), current, CHARGED, LONG)
    assert history.reached
    assert (history.time.size, history.charge, cell.retries) == (1, 0.0, 0)
    assert (history.current[0], history.mean[0]) == (current, near(cell.mean_stoichiometry(start), rel=1e-12))
    assert np.array_equal(history.state, start)


def test_a_rest_relaxes_the_particle() -> None:
    rest = spm().constant_current(charged().state, NOTHING, 0.0, None, 3600.0)
    assert rest.charge == 0.0
    assert rest.mean[-1] == pytest.approx(rest.mean[0], abs=1e-7)  # nothing passes: round-off of the solver
    gap = np.abs(rest.surface - rest.mean)
    assert gap[-1] < 0.5 * gap[0]
    assert rest.voltage[-1] < rest.voltage[0]


# Ends and failures


def test_a_cell_past_its_cut_off_has_ended() -> None:
    cell = spm()
    spent = cell.constant_current(charged().state, replace(NOTHING, film=1e3), C_5, 1.35, LONG)
    assert spent.reached
    assert spent.time.tolist() == [0.0]
    assert np.array_equal(spent.state, charged().state)
    assert spent.charge == 0.0
    again = charge(cell, state=charged().state, effect=replace(NOTHING, film=1.0))
    assert again.reached
    assert again.charge == 0.0
    assert (cell.solves, cell.retries) == (0, 0)


def failing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[tuple[int, float]]:
    """Let the first solves fail; the list fills with rung and current of every attempt."""
    attempts: list[tuple[int, float]] = []
    solve = Cell._step

    def step(self: Cell, built: Any, state: Any, inputs: dict[str, float], limit: float, attempt: int) -> Any:
        attempts.append((attempt, inputs["Current function [A]"]))
        if len(attempts) <= times:
            raise pybamm.SolverError("corrector convergence failed")
        return solve(self, built, state, inputs, limit, attempt)

    monkeypatch.setattr(Cell, "_step", step)
    return attempts


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_failing_solver_is_retried_more_carefully(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    attempts = failing(monkeypatch, times)
    cell = spm()
    found = charge(cell)
    assert [rung for rung, _ in attempts] == [0, 1, 2, 2][: times + 1]
    assert (cell.solves, cell.retries) == (times + 1, times)
    if times == 3:
        assert attempts[-1][1] == near(attempts[0][1], rel=1e-8)  # nudged by 1e-9
        assert attempts[-1][1] != attempts[0][1]
    assert per_gram(-found.charge) == pytest.approx(per_gram(-charged().charge), abs=0.01)  # solver tolerance


def test_a_solver_that_never_succeeds_is_a_failure_and_no_end_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(monkeypatch, 100)
    cell = spm()
    with pytest.raises(SolverFailure, match="could not be solved: corrector convergence failed"):
        charge(cell)
    assert (cell.solves, cell.retries) == (4, 3)


# What the loop's cell asks of PyBaMM behind its public face


@pytest.mark.parametrize("model", ["SPM", "SPMe", "DFN"])
def test_the_direct_integration_is_the_public_step_bit_for_bit(model: str) -> None:
    cell = Cell(DESIGN, model, particle_cells=10, tolerance=TOLERANCE)
    built = cell._build()
    integrator = Integrator(built.model, TOLERANCE, {"compile": False})
    inputs = {**cell._given(NOTHING), "Current function [A]": -C_5, "Upper voltage cut-off [V]": CHARGED}
    first = integrator.step(cell.start(), inputs, LONG)
    assert first.event
    state = first.states[-1:].T
    back = {**cell._given(replace(NOTHING, film=1.0)), "Current function [A]": C_5, "Lower voltage cut-off [V]": 1.35}
    assert integrator._direct is not None
    assert same(integrator.step(state, back, LONG), integrator._publicly(state, back, LONG))


@pytest.mark.parametrize("broken", ["version", "name", "answer"])
def test_where_the_direct_integration_is_not_as_known_steps_go_the_public_way(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "version":
        monkeypatch.setattr(pybamm, "__version__", "26.11.0")
    elif broken == "name":
        monkeypatch.setattr(Direct, "__init__", lambda *_: vars(pybamm)["no such name"])
    else:
        monkeypatch.setattr(Direct, "__call__", lambda *_: Trajectory(np.zeros(2), np.zeros((2, 1)), np.zeros(2), True))
    cell = spm()
    integrator = Integrator(cell._build().model, TOLERANCE, {"compile": False})
    inputs = {**cell._given(NOTHING), "Current function [A]": -C_5, "Upper voltage cut-off [V]": CHARGED}
    for _ in range(2):
        assert integrator.step(cell.start(), inputs, LONG).event
        assert integrator._direct is None


def test_a_failed_integration_is_pybamms_error() -> None:
    cell = spm()
    integrator = Integrator(cell._build().model, TOLERANCE, {"compile": False})
    inputs = {**cell._given(NOTHING), "Current function [A]": -C_5, "Upper voltage cut-off [V]": CHARGED}
    integrator.step(cell.start(), inputs, LONG)
    with pytest.raises((pybamm.SolverError, RuntimeError)):
        integrator.step(np.full_like(cell.start(), np.nan), inputs, LONG)


@pytest.mark.parametrize("model", ["SPM", "SPMe", "DFN"])
def test_observed_variables_are_pybamms_own(model: str) -> None:
    cell = Cell(DESIGN, model, particle_cells=10, tolerance=TOLERANCE)
    built = cell._build()
    inputs = {**cell._given(replace(NOTHING, film=1.0, film_rate=1e-5)), "Current function [A]": -C_5}
    start = pybamm.Solution(np.zeros(1), cell.start(), built.model, inputs, termination="final time")
    solution = built.integrator(0)._solver.step(start, built.model, 3600.0, inputs=inputs, save=False)
    time, states = solution.t, solution.y.T
    found, again = (built.observe(time, states, inputs) for _ in range(2))
    assert np.array_equal(found, again)
    for name, row in zip(OBSERVED, found, strict=False):
        np.testing.assert_allclose(row, solution[name].entries, rtol=1e-12, err_msg=name)  # compiled differently


def test_the_electrolyte_of_spme_may_be_coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cells in (MESHES["SPMe"], {"x_n": 12, "x_s": 6, "x_p": 12}):
        monkeypatch.setitem(MESHES, "SPMe", cells)
        build.cache_clear()
        found.append(charge(Cell(DESIGN, "SPMe", particle_cells=20, tolerance=TOLERANCE)))
    build.cache_clear()
    assert per_gram(found[0].charge) == pytest.approx(per_gram(found[1].charge), abs=0.01)  # 0.006 found
