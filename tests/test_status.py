"""How a run ended: codes for programs, the same sentences for people as ever, and the words of version 0.1.0."""

import pytest

from interphase_sim.status import COMPLETED, RUNNING, RunStatus, classified, outcome_of

SENTENCES = {
    "running": (RunStatus.RUNNING, None, "running"),
    "completed": (RunStatus.COMPLETED, None, "completed"),
    "end of life at cycle 41: the charge cut-off is passed at the applied current": (
        RunStatus.NO_CAPACITY,
        41,
        "end of life at cycle 41",
    ),
    "end of life at cycle 121": (RunStatus.NO_CAPACITY, 121, "end of life at cycle 121"),
    "end of life at cycle 4: capacity below numerics.end_of_life_fraction": (
        RunStatus.END_OF_LIFE,
        4,
        "end of life at cycle 4",
    ),
    "solver failure at cycle 3: two lines:\nstep too small": (
        RunStatus.SOLVER_FAILURE,
        3,
        "solver failure at cycle 3",
    ),
    "ended by a comet: it was large": (RunStatus.UNKNOWN, None, "ended by a comet"),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_of_version_0_1_0_are_understood(sentence: str) -> None:
    status, cycle, headline = SENTENCES[sentence]
    found = classified(sentence)
    assert (found.status, found.cycle, found.headline, found.sentence) == (status, cycle, headline, sentence)
    assert outcome_of({"status": sentence}) == found
    assert outcome_of(found.attributes()) == found


def test_an_outcome_words_its_sentence() -> None:
    failed = RunStatus.SOLVER_FAILURE.at(7, "step too small")
    assert failed.sentence == "solver failure at cycle 7: step too small"
    assert failed == classified(failed.sentence)
    assert RunStatus.NO_CAPACITY.at(2, "why").sentence == "end of life at cycle 2: why"
    assert RunStatus.END_OF_LIFE.at(2, "why").sentence == "end of life at cycle 2: why"
    assert (RUNNING.sentence, COMPLETED.sentence) == ("running", "completed")


def test_the_code_decides_and_not_the_words() -> None:
    found = outcome_of({"status": "end of life at cycle 9: worn", "status_code": "end_of_life", "status_cycle": 9})
    assert (found.status, found.headline) == (RunStatus.END_OF_LIFE, "end of life at cycle 9")
    later = outcome_of({"status": "stopped by hand: at night", "status_code": "stopped"})
    assert (later.status, later.headline) == (RunStatus.UNKNOWN, "stopped by hand")


def test_only_a_failed_solver_is_an_error_of_a_command() -> None:
    assert {status for status in RunStatus if status.exit_code} == {RunStatus.SOLVER_FAILURE}
    assert RunStatus.SOLVER_FAILURE.exit_code == 3
