"""How a run stands or ended: an enumeration for programs, and the sentence for people that a result carries."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, Self

from interphase_sim.errors import SolverFailure


class RunStatus(Enum):
    """Whether a run goes on, or how it ended.

    value: the code that results and checkpoints store. A code of a later version is ``UNKNOWN``.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    NO_CAPACITY = "no_capacity"  # no charge passed in a half-cycle: later cycles deliver nothing
    END_OF_LIFE = "end_of_life"  # below a limit that the scenario states: later cycles are not known
    SOLVER_FAILURE = "solver_failure"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls.UNKNOWN

    @property
    def words(self) -> str:
        """How the sentence of a result begins, for both ends of life alike."""
        return "end of life" if self is RunStatus.NO_CAPACITY else self.value.replace("_", " ")

    @property
    def exit_code(self) -> int:
        """Of a command whose run ended so; a cell at its end of life is a result."""
        return SolverFailure.exit_code if self is RunStatus.SOLVER_FAILURE else 0

    def at(self, cycle: int, reason: str) -> "RunOutcome":
        """The outcome of a run that ended so in a cycle, for a reason."""
        return RunOutcome(self, cycle, f"{self.words} at cycle {cycle}: {reason}")


class RunOutcome(NamedTuple):
    """The status of a run, the cycle in which it ended (None unless it ended early), and the sentence that says so."""

    status: RunStatus
    cycle: int | None
    sentence: str

    @property
    def headline(self) -> str:
        """The sentence without its reason, such as "end of life at cycle 120"."""
        if self.status is RunStatus.UNKNOWN:
            return self.sentence.partition(":")[0]
        return self.status.words if self.cycle is None else f"{self.status.words} at cycle {self.cycle}"

    def attributes(self) -> dict[str, str | int]:
        """What a result and a checkpoint store of it; ``outcome_of`` reads it back."""
        cycle = {} if self.cycle is None else {"status_cycle": self.cycle}
        return {"status": self.sentence, "status_code": self.status.value, **cycle}


RUNNING = RunOutcome(RunStatus.RUNNING, None, RunStatus.RUNNING.words)
COMPLETED = RunOutcome(RunStatus.COMPLETED, None, RunStatus.COMPLETED.words)

_ENDED_EARLY = re.compile(
    r"(?P<words>end of life|solver failure) at cycle (?P<cycle>\d+)(?:: (?P<reason>.*))?", re.DOTALL
)
_LIMIT = "capacity below numerics."


def outcome_of(attributes: Mapping[str, Any]) -> RunOutcome:
    """How a run ended, from the attributes of its result or checkpoint, also of those without a code (0.1.0)."""
    sentence = str(attributes["status"])
    if "status_code" not in attributes:
        return classified(sentence)
    cycle = attributes.get("status_cycle")
    return RunOutcome(RunStatus(attributes["status_code"]), None if cycle is None else int(cycle), sentence)


def classified(sentence: str) -> RunOutcome:
    """The outcome that a sentence of version 0.1.0 tells; its results have no code.

    An end of life without a stated limit meant that no capacity was left.
    """
    found = _ENDED_EARLY.fullmatch(sentence)
    if not found:
        whole = {outcome.sentence: outcome for outcome in (RUNNING, COMPLETED)}
        return whole.get(sentence, RunOutcome(RunStatus.UNKNOWN, None, sentence))
    limit = (found["reason"] or "").startswith(_LIMIT)
    end_of_life = RunStatus.END_OF_LIFE if limit else RunStatus.NO_CAPACITY
    status = RunStatus.SOLVER_FAILURE if found["words"] == RunStatus.SOLVER_FAILURE.words else end_of_life
    return RunOutcome(status, int(found["cycle"]), sentence)
