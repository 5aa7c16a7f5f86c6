"""The cell as the cycling loop sees it: built once, restarted from a state vector, one protocol step at a time."""

from __future__ import annotations

import functools
import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pybamm

from interphase_sim.caching import per_thread
from interphase_sim.cell import parameters
from interphase_sim.cell.design import CellDesign
from interphase_sim.cell.integrator import SETTING_UP, Integrator, Trajectory
from interphase_sim.cell.observer import Observer
from interphase_sim.errors import SolverFailure

log = logging.getLogger(__name__)
Array = npt.NDArray[np.float64]

FILM_REFERENCE = 1e-8  # m, the film's nominal thickness; only resistivity x thickness acts
# Shares of a step's time at which its history is observed: evenly, and closer where the voltage jumps at the start.
SHARES = np.concatenate(([0.0, 1e-4, 5e-4, 2e-3, 5e-3], np.linspace(0.0, 1.0, 61)[1:]))
NEVER = 50.0  # V, a cut-off that is out of reach
NEAR = 0.004  # V from an end of the tabulated open-circuit potential
OVER = "non-positive at initial conditions"  # PyBaMM's words for a step that is over before it begins
OBSERVED = (
    "Voltage [V]",
    "X-averaged positive electrode surface potential difference [V]",
    "X-averaged positive particle surface stoichiometry",
    "Average positive particle stoichiometry",
)
# A single-ion conductor keeps its concentration: in SPMe the electrolyte is there for its integrals alone.
MESHES = {"SPM": {}, "SPMe": {"x_n": 3, "x_s": 3, "x_p": 3}, "DFN": {"x_n": 10, "x_s": 5, "x_p": 16}}


@dataclass(frozen=True)
class Degradation:
    """How the contacts act on the cell during a step; linear in time within it.

    film [ohm m2] and its rate [ohm m2 s-1] per NCM area in contact, log_diffusion: ln of the factor on the
    lithium diffusivity and its rate [s-1], hindrance_shift: added to the hindrance stoichiometry, and its rate
    [s-1], connected: share of the NCM that takes part, parasitic [A]: current
    that lithiates the NCM besides the external one.
    """

    film: float = 0.0
    film_rate: float = 0.0
    log_diffusion: float = 0.0
    log_diffusion_rate: float = 0.0
    hindrance_shift: float = 0.0
    hindrance_shift_rate: float = 0.0
    connected: float = 1.0
    parasitic: float = 0.0


@dataclass(frozen=True, eq=False)
class History:
    """One protocol step as solved: time [s], terminal voltage [V vs LTO], potential of the NCM surface against
    the electrolyte and its open-circuit potential [V vs Li/Li+], surface and mean stoichiometry, external
    current [A, discharge positive] and charge [A s], all (n,); the final state vector;
    whether the step ended at its cut-off (False: at its time limit)."""

    time: Array
    voltage: Array
    potential: Array
    open_circuit: Array
    surface: Array
    mean: Array
    current: Array
    passed: Array
    state: Array
    reached: bool

    @property
    def charge(self) -> float:
        """External charge, discharge positive [A s]."""
        return float(self.passed[-1])

    @property
    def outside(self) -> bool:
        """Whether the surface is beyond an end of the tabulated open-circuit potential, fuller than full or empty, or
        polarised beyond it."""
        low, high = _stoichiometry_ends()
        full, empty = _ocp_ends()
        inside = low <= float(self.surface[-1]) <= high and full <= float(self.potential[-1]) <= empty
        return not inside

    @property
    def near_an_end(self) -> bool:
        """Whether the surface or its polarisation is within 4 mV of an end of the tabulated open-circuit potential."""
        full, empty = _ocp_ends()
        return not all(full + NEAR < float(each[-1]) < empty - NEAR for each in (self.open_circuit, self.potential))


def _inputs(design: CellDesign) -> dict[str, float]:
    return {
        "Lower voltage cut-off [V]": -NEVER,
        "Upper voltage cut-off [V]": NEVER,
        "Film resistance [Ohm.m2]": 0.0,
        "Film resistance rate [Ohm.m2.s-1]": 0.0,
        "Log diffusion factor": 0.0,
        "Log diffusion factor rate [s-1]": 0.0,
        "Connected fraction": design.utilisation,
        "Lithium diffusivity [m2.s-1]": design.lithium_diffusivity_at(design.temperature),
        "Hindrance stoichiometry": design.hindrance_stoichiometry,
        "Hindrance stoichiometry rate [s-1]": 0.0,
        "Hindrance width": design.hindrance_width,
        "Hindrance depth": math.log(design.hindrance_factor),
    }


def _degrading(design: CellDesign, values: pybamm.ParameterValues) -> None:
    """Open the plain parameter set to the loop's inputs."""
    given = pybamm.InputParameter
    film = given("Film resistance [Ohm.m2]") + given("Film resistance rate [Ohm.m2.s-1]") * pybamm.t
    log_factor = given("Log diffusion factor") + given("Log diffusion factor rate [s-1]") * pybamm.t
    hindrance = parameters.hindered_diffusivity(
        given("Lithium diffusivity [m2.s-1]") * pybamm.exp(log_factor),
        given("Hindrance depth"),
        given("Hindrance stoichiometry") + given("Hindrance stoichiometry rate [s-1]") * pybamm.t,
        given("Hindrance width"),
    )
    active = design.volume_fractions("cathode")["active"]
    values.update(
        {
            "Lower voltage cut-off [V]": "[input]",
            "Upper voltage cut-off [V]": "[input]",
            "Initial SEI thickness [m]": FILM_REFERENCE,
            "SEI resistivity [Ohm.m]": film / (design.contact_fraction * FILM_REFERENCE),
            "Positive electrode active material volume fraction": active * given("Connected fraction"),
            "Positive particle diffusivity [m2.s-1]": hindrance,
        }
    )


def _observed(model: Any) -> dict[str, Any]:
    """The variables that are looked at; a model has hundreds, and to discretise them all takes longer than the model.

    PyBaMM wants a variable that it solves for to be there under its own name.
    """
    found = {name: model.variables[name] for name in (*OBSERVED, "Current [A]")}
    return found | {variable.name: variable for variable in found.values() if isinstance(variable, pybamm.Variable)}


def _compiles() -> bool:
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not found:
        log.warning("no C compiler found: the cell model runs interpreted, about 1.5 times slower")
    return bool(found)


compiles = functools.cache(_compiles)


@dataclass(frozen=True)
class Recipe:
    """What decides the discretised model; two cells with equal recipes share one build."""

    design: CellDesign
    model: str
    particle_cells: int
    tolerance: float
    hold: bool = False


@functools.cache
def _fine_ocp() -> tuple[Array, Array]:
    return parameters.ocp_table()


@functools.cache
def _stoichiometry_ends() -> tuple[float, float]:
    """Stoichiometries between which the open-circuit potential is tabulated: emptiest and full [1]."""
    return float(parameters.msmr_stoichiometry(np.array([parameters.HIGHEST_OCP]))[0]), 1.0


@functools.cache
def _ocp_ends() -> tuple[float, float]:
    """Open-circuit potential of full and of the emptiest NCM [V vs Li/Li+]."""
    empty, full = (float(u) for u in np.interp(_stoichiometry_ends(), *_fine_ocp()))
    return full, empty


def _ocp(stoichiometry: Array) -> Array:
    """Open-circuit potential at the surface stoichiometry [V vs Li/Li+], linear between table points and constant
    beyond the table's ends."""
    return np.interp(np.clip(stoichiometry, *_stoichiometry_ends()), *_fine_ocp())


def ocp_slope(stoichiometry: float) -> float:
    """-dU/dx of the open-circuit potential, by a difference over 0.002 within the table [V]."""
    low, high = _stoichiometry_ends()
    at = np.clip([stoichiometry - 1e-3, stoichiometry + 1e-3], low, high)
    return float(np.diff(_ocp(at))[0] / (at[0] - at[1])) if at[1] > at[0] else math.inf


def joined(parts: Sequence[History]) -> History:
    """One history of parts that follow one another."""
    if len(parts) == 1:
        return parts[0]
    begin = np.cumsum([0.0, *(part.time[-1] for part in parts)])
    passed = np.cumsum([0.0, *(part.passed[-1] for part in parts)])
    behind = [slice(None if k == 0 else 1, None) for k in range(len(parts))]  # a part begins where the last one ended

    def along(name: str, start: Array | None = None) -> Array:
        each = (getattr(part, name)[rows] + (0.0 if start is None else start[k])
                for k, (part, rows) in enumerate(zip(parts, behind, strict=True)))  # fmt: skip
        return np.concatenate(list(each))

    same = {name: along(name) for name in ("voltage", "potential", "open_circuit", "surface", "mean", "current")}
    last = parts[-1]
    return History(
        time=along("time", begin), passed=along("passed", passed), state=last.state, reached=last.reached, **same
    )


class Build:
    """A discretised PyBaMM model with its solvers and a compiled function for the observed variables."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        values = pybamm.ParameterValues(parameters.parameter_values(recipe.design))
        _degrading(recipe.design, values)
        drive = "Voltage function [V]" if recipe.hold else "Current function [A]"
        values.update({drive: "[input]"}, check_already_exists=False)
        self.model = self._discretised(values)
        self.inputs = sorted([*_inputs(recipe.design), drive] + (["Current cut-off [A]"] if recipe.hold else []))
        self.observe = Observer(self.model, (*OBSERVED, "Current [A]"), self.inputs, compiles())
        self._integrators: dict[int, Integrator] = {}

    def _discretised(self, values: pybamm.ParameterValues) -> Any:
        recipe = self.recipe
        options = {"SEI": ("none", "constant"), "SEI film resistance": "average", "calculate discharge energy": "false"}
        if recipe.model == "DFN":
            options["SEI film resistance"] = "distributed"
        if recipe.hold:
            options["operating mode"] = "voltage"
        model = getattr(pybamm.lithium_ion, recipe.model)(options)
        if recipe.hold:
            limit = pybamm.InputParameter("Current cut-off [A]")
            model.events.append(
                pybamm.Event("Current cut-off", pybamm.AbsoluteValue(model.variables["Current [A]"]) - limit)
            )
        geometry = model.default_geometry
        model.variables = _observed(model)
        values.process_model(model)
        values.process_geometry(geometry)
        points = {**model.default_var_pts, **MESHES[recipe.model], "r_p": recipe.particle_cells, "r_n": 6}
        submeshes = {**model.default_submesh_types}
        # lithium enters through a thin, poorly diffusing shell: cells are widest in the middle
        submeshes["positive particle"] = pybamm.MeshGenerator(
            pybamm.Exponential1DSubMesh, {"side": "right", "stretch": 1.5}
        )
        mesh = pybamm.Mesh(geometry, submeshes, points)
        pybamm.Discretisation(mesh, model.default_spatial_methods).process_model(model)
        return model

    def integrator(self, attempt: int) -> Integrator:
        """The integrator of a rung of the retry ladder: as asked, finer with a small first step, interpreted."""
        if attempt not in self._integrators:
            tight = self.recipe.tolerance * (0.1 if attempt else 1.0)
            options = {"compile": compiles() and attempt < 2, "dt_init": 1e-6 if attempt else 0.0}
            self._integrators[attempt] = Integrator(self.model, tight, options)
        return self._integrators[attempt]

    def initial_state(self, inputs: dict[str, float]) -> Array:
        """State vector (n, 1) of the pristine, fully lithiated cell."""
        y = self.model.concatenated_initial_conditions.evaluate(0, inputs=inputs)
        return np.asarray(y, dtype=float).reshape(-1, 1)


@per_thread(maxsize=8)
def build(recipe: Recipe) -> Build:
    """The build of a recipe, made once per thread: its solvers and buffers hold the state of a step."""
    with SETTING_UP:
        return Build(recipe)


def carried(state: Array, source: Build, target: Build) -> Array:
    """The same state in the layout of another build; a variable that only the target has starts at zero."""
    result = np.zeros((target.model.len_rhs_and_alg, 1))
    known = {variable.name: slices[0] for variable, slices in source.model.y_slices.items()}
    for variable, slices in target.model.y_slices.items():
        if variable.name in known:
            result[slices[0]] = state[known[variable.name]]
    return result


def _sampled(found: Trajectory) -> tuple[Array, Array]:
    """Times (n,) [s] and states (n, m) of a trajectory at `SHARES` of its duration.

    By cubic Hermite interpolation, as good as the integrator's own steps: those may lie 2000 s apart, and
    straight lines between them overrate an oxygen activity that is exponential in the potential.
    """
    time, y, slope, _ = found
    if time.size < 2:
        return time, y
    at = SHARES * time[-1]
    i = np.clip(np.searchsorted(time, at, side="right") - 1, 0, time.size - 2)
    h = (time[i + 1] - time[i])[:, None]
    s = (at - time[i])[:, None] / h
    start = (1 + 2 * s) * (1 - s) ** 2 * y[i] + s * (1 - s) ** 2 * h * slope[i]
    states = start + s**2 * (3 - 2 * s) * y[i + 1] - s**2 * (1 - s) * h * slope[i + 1]
    states[-1] = y[-1]
    return at, states


def _at_once(start: Array, current: float, state: Array) -> History:
    """A step that is at its cut-off before it begins, from the observed variables (5, 1)."""
    zero = np.zeros(1)
    return History(zero, start[0], start[1], _ocp(start[2]), start[2], start[3], np.full(1, current), zero, state, True)


class Cell:
    """A cell of one design. Holds no state: every step starts from the state vector it is given."""

    def __init__(self, design: CellDesign, model: str, particle_cells: int, tolerance: float) -> None:
        # lithium transport comes in as inputs, so cells that differ in it alone share a build
        common = replace(
            design,
            lithium_diffusivity=1e-14,
            lithium_activation_energy=0.0,
            lithium_reference_temperature=design.temperature,
            hindrance_stoichiometry=0.9,
            hindrance_width=0.1,
            hindrance_factor=10.0,
        )
        self.design = design
        self.recipe = Recipe(common, model, particle_cells, tolerance)
        self._inputs = _inputs(design)
        self.solves = self.retries = 0

    def _build(self, hold: bool = False) -> Build:
        return build(replace(self.recipe, hold=hold))

    def start(self) -> Array:
        """State of the pristine cell."""
        return self._build().initial_state({**self._inputs, "Current function [A]": 0.0})

    def mean_stoichiometry(self, state: Array) -> float:
        """Mean lithium content of the connected NCM in a state [1]."""
        inputs = self._inputs | {"Current function [A]": 0.0}
        return float(self._build().observe(np.zeros(1), state.T, inputs)[3, 0])

    def _given(self, effect: Degradation) -> dict[str, float]:
        return {
            **self._inputs,
            "Film resistance [Ohm.m2]": effect.film,
            "Film resistance rate [Ohm.m2.s-1]": effect.film_rate,
            "Log diffusion factor": effect.log_diffusion,
            "Log diffusion factor rate [s-1]": effect.log_diffusion_rate,
            "Hindrance stoichiometry": self.design.hindrance_stoichiometry + effect.hindrance_shift,
            "Hindrance stoichiometry rate [s-1]": effect.hindrance_shift_rate,
            "Connected fraction": effect.connected,
        }

    def constant_current(
        self, state: Array, effect: Degradation, current: float, cut_off: float | None, limit: float
    ) -> History:
        """Charge (current < 0), discharge or rest until the cut-off [V vs LTO] or the time limit [s].

        A cell that is past its cut-off at the very start returns a history of one point, ``reached`` True; with a model
        whose potentials are solved for, that may show only once they have settled at the new current.
        Raises SolverFailure when every rung of the retry ladder failed.
        """
        inputs = self._given(effect) | {"Current function [A]": current + effect.parasitic}
        if cut_off is not None:
            inputs["Upper voltage cut-off [V]" if current < 0 else "Lower voltage cut-off [V]"] = cut_off
        past = self._past(state, inputs, cut_off, current)
        if past is not None:
            return past
        try:
            return self._solve(self._build(), state, inputs, limit, external=current)
        except SolverFailure as failure:
            if OVER not in str(failure):
                raise
            return _at_once(self._build().observe(np.zeros(1), state.T, inputs), current, state)

    def _past(self, state: Array, inputs: dict[str, float], cut_off: float | None, current: float) -> History | None:
        if cut_off is None:
            return None
        start = self._build().observe(np.zeros(1), state.T, inputs)
        sign = -1.0 if current < 0 else 1.0
        return None if sign * (start[0, 0] - cut_off) > 0 else _at_once(start, current, state)

    def constant_voltage(
        self, state: Array, effect: Degradation, voltage: float, cut_off: float, limit: float
    ) -> History:
        """Hold at a voltage [V vs LTO] until the current has fallen to ``cut_off`` [A] or the time limit [s].

        A current that is below the cut-off from the start gives a history of one point, ``reached`` True.
        """
        inputs = self._given(effect) | {"Voltage function [V]": voltage, "Current cut-off [A]": cut_off}
        free, held = self._build(), self._build(hold=True)
        try:
            history = self._solve(held, carried(state, free, held), inputs, limit, external=None)
        except SolverFailure as failure:
            if OVER not in str(failure):
                raise
            start = free.observe(np.zeros(1), state.T, inputs | {"Current function [A]": 0.0})
            return _at_once(start, 0.0, state)
        return replace(history, state=carried(history.state, held, free))

    def _solve(
        self, built: Build, state: Array, inputs: dict[str, float], limit: float, external: float | None
    ) -> History:
        error: Exception | None = None
        for attempt in range(4):
            nudged = dict(inputs)
            if attempt == 3 and external is not None:
                nudged["Current function [A]"] *= 1 + 1e-9
            self.solves += 1
            self.retries += attempt > 0
            try:
                found = self._step(built, state, nudged, limit, min(attempt, 2))
            except (pybamm.SolverError, RuntimeError) as failure:
                error = failure
                log.info("solver attempt %d failed: %s", attempt + 1, failure)
                if OVER in str(failure):
                    break
                continue
            return self._history(built, found, inputs, external)
        raise SolverFailure(f"the cell model could not be solved: {error}")

    def _step(self, built: Build, state: Array, inputs: dict[str, float], limit: float, attempt: int) -> Trajectory:
        return built.integrator(attempt).step(state, inputs, limit)

    def _history(self, built: Build, found: Trajectory, inputs: dict[str, float], external: float | None) -> History:
        time, states = _sampled(found)
        seen = built.observe(time, states, inputs)
        # the integrator carries the discharged charge as its first state, in ampere hours
        current = seen[4] if external is None else np.full(time.size, external)
        passed = 3600 * (states[:, 0] - states[0, 0]) if external is None else external * time
        end = states[-1:].T.copy()
        return History(time, seen[0], seen[1], _ocp(seen[2]), seen[2], seen[3], current, passed, end, found.event)
