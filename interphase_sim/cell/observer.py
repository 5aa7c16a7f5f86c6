"""Variables of a model along a trajectory, by one compiled function and without allocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import casadi
import numpy as np
import numpy.typing as npt
import pybamm
from pybamm.codegen.compilation import aot_compile

Array = npt.NDArray[np.float64]


class _Slot(NamedTuple):
    """Arrays that hold arguments and results for a number of times, what evaluates them, and what that points to."""

    time: Array
    states: Array
    inputs: Array
    found: Array
    evaluate: Callable[[], None]
    kept: tuple[Any, ...]


class Observer:
    """Evaluates variables of a discretised model; ``inputs`` are the names of its inputs in their order."""

    def __init__(self, model: pybamm.BaseModel, variables: tuple[str, ...], inputs: list[str], compiled: bool) -> None:
        t, y, p = (casadi.MX.sym(name, n) for name, n in (("t", 1), ("y", model.len_rhs_and_alg), ("p", len(inputs))))
        given = {name: p[i] for i, name in enumerate(inputs)}
        symbols = [model.get_processed_variable_or_event(name) for name in variables]
        rows = casadi.vertcat(*(symbol.to_casadi(t, y, inputs=given) for symbol in symbols))
        function = casadi.Function("observe", [t, y, p], [rows])
        self._function: Any = aot_compile(function) if compiled else function
        self._inputs, self._slots = inputs, dict[int, _Slot]()

    def __call__(self, time: Array, states: Array, inputs: dict[str, float]) -> Array:
        """The variables (variables, n) at times (n,) with states (n, m)."""
        slot = self._slots.get(time.size) or self._slots.setdefault(time.size, self._slot(time.size))
        slot.time[:], slot.states[:] = time, states
        slot.inputs[:] = [inputs[name] for name in self._inputs]
        slot.evaluate()
        return slot.found.T.copy()

    def _slot(self, n: int) -> _Slot:
        mapped = self._function.map(n)
        arrays = [np.zeros((n, mapped.size1_in(i))) for i in range(3)]
        found = np.zeros((n, mapped.size1_out(0)))
        buffer, evaluate = mapped.buffer()
        for i, array in enumerate(arrays):
            buffer.set_arg(i, array.data)
        buffer.set_res(0, found.data)
        return _Slot(arrays[0][:, 0], arrays[1], arrays[2], found, evaluate, (mapped, buffer))
