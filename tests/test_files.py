"""One writer for a folder: the lock that runs and sweeps share, and paths as callers give them."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interphase_sim import files
from interphase_sim.errors import InputError
from interphase_sim.files import LOCK_NAME, as_path, exclusive_folder

pytest.importorskip("fcntl")


def taken(folder: Path) -> str | None:
    """Why another thread may not write to the folder, if so."""

    def attempt() -> None:
        with exclusive_folder(folder):
            pass

    with ThreadPoolExecutor(1) as other:
        error = other.submit(attempt).exception()
    return None if error is None else str(error)


def test_two_runs_wrote_into_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    with exclusive_folder(folder):
        refusal = f"{folder}: another run is writing to it; wait for its end or choose another place"
        assert taken(folder) == refusal
        with exclusive_folder(folder):  # `simulate` within the command that holds the lock
            assert taken(folder) == refusal
        assert taken(folder) == refusal
        assert taken(folder.parent) is None
    assert taken(folder) is None
    assert list(folder.iterdir()) == []


def test_the_lock_of_a_failed_run_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive_folder(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert taken(tmp_path) is None


def test_the_lock_of_a_folder_holds_by_every_name_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path)
    with exclusive_folder(Path("out")), exclusive_folder(tmp_path / "link"):
        assert taken(Path("link"))


def test_the_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from interphase_sim.files import exclusive_folder\n"
    code += "with exclusive_folder(Path(sys.argv[1])):\n    print('locked', flush=True)\n    sys.stdin.read()\n"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert taken(tmp_path)
        process.kill()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]
    assert taken(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_removed_lock_is_never_held_twice(tmp_path: Path) -> None:
    """Each writer removes the file while others open it: one that locks a removed file has to try again."""
    inside, most, guard = [0], [0], threading.Lock()

    def work() -> None:
        for _ in range(300):
            try:
                with exclusive_folder(tmp_path):
                    with guard:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                    with guard:
                        inside[0] -= 1
            except InputError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1


def test_a_file_system_without_locks_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with exclusive_folder(tmp_path):
        assert taken(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in ("file", "file/in"):
        with pytest.raises(InputError, match="cannot be written"), exclusive_folder(tmp_path / place):
            pass


@pytest.mark.parametrize("value", [None, 3, b"out", {}, ["out"], "", "a\0b"])
def test_what_is_no_path_is_a_sentence(value: object) -> None:
    with pytest.raises(InputError, match=r"^directory: ") as error:
        as_path(value, "directory")
    assert "\n" not in str(error.value)


def test_paths_may_be_text(tmp_path: Path) -> None:
    assert as_path("out", "directory") == files.as_path(Path("out"), "directory") == Path("out")
