"""Defects that were once in the coupled run, its cell, its coating and its checkpoints; each test names one."""

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closeness import near
from test_cell import DESIGN
from test_simulation import CC, REST, bare, killed_at, refused, short

from interphase_sim.errors import InputError
from interphase_sim.interphase import contacts
from interphase_sim.simulation import checkpoint, exchange, loop, simulate

HOLD = {"type": "cv", "voltage": "2.85 V", "until_current": "C/20"}
WITH_HOLD = [CC[0], HOLD, REST, CC[1]]
INERT: dict[str, Any] = {
    "oxygen__exchange": 0.0,
    "reactions__sulfide_oxidation": 0.0,
    "reactions__thiophosphate_oxidation": 0.0,
    "contact__duration": 0.0,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a checkpoint after two cycles."""
    folder = tmp_path_factory.mktemp("saved")
    simulate(short(cycles=2), directory=folder)
    return (folder / checkpoint.FILE_NAME).read_bytes()


# Charge that went missing


@pytest.mark.parametrize("changes", [{}, INERT], ids=["with kinetics", "without kinetics"])
def test_a_hold_at_constant_voltage_left_the_ledger_open(changes: dict[str, Any]) -> None:
    ds = simulate(short(cycles=3, protocol__steps=WITH_HOLD, **changes))
    assert ds.attrs["status"] == "completed"
    assert np.abs(ds.ledger_residual.values).max() < 1e-6  # mAh/g, the accuracy that is asked for


def test_the_dose_forgot_the_electrons_that_polysulfide_takes_from_the_ncm() -> None:
    bench = loop.prepare(short())
    state = loop.begin(bench)
    consumed = loop.parasitic_charge(bench, state.contacts)
    assert consumed < -0.1 * loop.MAH_PER_G
    assert state.owed == near(state.lost_to_rock_salt + consumed, rel=1e-9)


def test_oxidation_that_was_switched_off_still_had_a_share_of_the_loss() -> None:
    """R4 goes on drawing electrons from the NCM, but that is no oxidation of the electrolyte."""
    off = simulate(short(cycles=3, losses__electrolyte_oxidation=False))
    assert off.amount.sel(species="sulfate", interface="ncm").values[-1] > 0
    assert not off.capacity_loss.sel(channel="electrolyte_oxidation").values.any()
    on = bare().capacity_loss.sel(channel="electrolyte_oxidation", output_cycle=[3, 6]).values
    assert np.all(np.abs(on) > 1e-3)


# Ends that were taken for failures, and the other way round


@pytest.mark.parametrize("sigma", [3e-11, 5e-11, 7e-11, 1e-10, 1.2e-10, 1.5e-10, 2e-10])
def test_a_blocking_film_was_a_solver_failure_and_no_end_of_life(sigma: float) -> None:
    ds = simulate(short(layer__insulating_conductivity=sigma))
    assert ds.attrs["status"].startswith("end of life"), ds.attrs["status"][:80]


def test_fast_oxidation_of_sulfide_kept_the_charge_from_its_cut_off() -> None:
    ds = simulate(short(cycles=1, reactions__sulfide_oxidation=1e-2))
    assert ds.attrs["status"] == "completed"


def test_a_charge_cut_short_by_its_time_limit_passed_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the full charge, 138 mAh/g, which the discharge after it falls short of."""
    assert json.loads(bare().attrs["warnings"]) == []
    monkeypatch.setattr(exchange, "TIME_LIMIT", 5.0)
    chosen = short(cycles=3, protocol__steps=[CC[0], REST, CC[1], REST])
    ds = simulate(chosen, directory=tmp_path)
    np.testing.assert_allclose(ds.charge_capacity.values[1:], 0.5 * loop.FULL_CHARGE / loop.MAH_PER_G, rtol=1e-9)
    told, why = json.loads(ds.attrs["warnings"])
    assert why == "capacity_loss is missing in cycle 3: a step of the split between channels ended at its time limit"
    assert told.startswith("cycle 1: a charge step ended at its time limit instead of its cut-off")
    assert "in 3 cycles" in told
    assert np.isnan(ds.capacity_loss.sel(output_cycle=3, channel="film"))  # no capacity, so no share of it
    again = simulate(chosen, directory=tmp_path, resume=True)
    assert again.attrs["warnings"] == ds.attrs["warnings"]


# Coatings


def test_coverage_loss_of_separate_patches_was_silently_ignored() -> None:
    """Now it is refused by name."""
    with pytest.raises(InputError, match=r'coating\.coverage_loss must be 0 with contact = "separate"') as error:
        simulate(short("coated", 2, coating__contact="separate", coating__coverage_loss=0.05))
    assert "\n" not in str(error.value)


def test_a_shell_of_unknown_reaction_energy_silently_reacted_like_its_core() -> None:
    """Now it is refused by name, before a cycle is run."""
    with pytest.raises(InputError, match=r"^coating\.covered_rate is missing: .* Li2CO3") as error:
        simulate(short("coated", 1, coating__covered_rate=None))
    assert "\n" not in str(error.value)


def test_a_coating_that_covers_nothing_resisted_more_than_none() -> None:
    films = [
        simulate(chosen).film_resistance.values
        for chosen in (short(cycles=1), short("coated", 1, coating__coverage=1e-9))
    ]
    np.testing.assert_allclose(films[0], films[1], rtol=1e-3)


def test_a_filler_in_a_few_gaps_blocked_all_of_them() -> None:
    film = []
    for share in (0.0, 1e-6):
        filled: dict[str, Any] = {"filler": "residue", "filler_coverage": share, "filler_conductivity": 1e-12}
        found = {f"coating__{key}": value for key, value in filled.items()} if share else {}
        setting = loop.prepare(short("coated", 1, **found)).setting
        film.append(contacts.film_resistance(setting, contacts.pristine(setting)))
    assert film[1] == near(film[0], rel=1e-3)


# Checkpoints


def test_a_resumed_run_forgot_its_statistics(tmp_path: Path) -> None:
    killed_at(5, tmp_path, short())
    resumed = simulate(short(), directory=tmp_path, resume=True)
    assert resumed.attrs["statistics"] == bare().attrs["statistics"]


def test_a_cut_checkpoint_was_refused_but_stayed_open(tmp_path: Path, saved: bytes) -> None:
    (tmp_path / checkpoint.FILE_NAME).write_bytes(saved[: len(saved) // 2])
    refused(tmp_path, short(cycles=2))
    gc.collect()  # a file left open warns here, and warnings are errors


@pytest.mark.parametrize("part", ["state_cell", "meta"])
def test_a_checkpoint_with_a_missing_part_ended_in_a_traceback(tmp_path: Path, saved: bytes, part: str) -> None:
    path = tmp_path / checkpoint.FILE_NAME
    path.write_bytes(saved)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != part}
    np.savez(path, allow_pickle=False, **arrays)
    assert "damaged" in refused(tmp_path, short(cycles=2))


def test_a_folder_that_is_a_file_ended_in_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        simulate(short(cycles=1), directory=tmp_path / "file")


# Accuracy


def test_the_solver_s_own_steps_decided_how_much_oxygen_was_lost() -> None:
    """Histories were straight lines between steps up to 2000 s apart, so that a finer solver lost less."""
    coarse, fine = (simulate(short(cycles=1, numerics__solver_tolerance=tol)) for tol in (1e-5, 1e-7))
    for name in ("phosphate", "sulfate"):
        found, wanted = (float(ds.amount.sel(species=name, interface="ncm", cycle=1)) for ds in (coarse, fine))
        assert found == near(wanted, rel=1e-4), name


# Inputs and outputs


def test_mass_fractions_that_do_not_sum_to_one_passed_unseen() -> None:
    with pytest.raises(ValueError, match=r"mass fractions of the cathode sum to 1\.11, not to one"):
        replace(DESIGN, cathode_mass_fractions=(0.7, 0.4, 0.01)).volume_fractions("cathode")


def test_the_last_cycle_lost_its_curves() -> None:
    ds = simulate(short(cycles=2))  # outputs 1, 3 and 6
    assert ds.output_cycle.values.tolist() == [1, 2]
