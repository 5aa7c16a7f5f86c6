"""Files written whole or not at all, one writer for a folder, and paths as callers give them."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interphase_sim import files
from interphase_sim.errors import InputError
from interphase_sim.files import LOCK_NAME, as_path, exclusive_folder, write_text, written_whole

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


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_takes_its_place_when_it_is_complete(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with written_whole(path, sync=sync) as part:
        part.write_text("new")
        assert (path.read_text(), part.parent) == ("old", path.parent)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def _write_half(path: Path, end: type[BaseException], *, folder: bool = False) -> None:
    with written_whole(path) as part:
        if folder:
            part.mkdir()
        (part / "three" if folder else part).write_text("half")
        raise end


@pytest.mark.parametrize("end", [KeyboardInterrupt, ZeroDivisionError])
def test_what_is_interrupted_leaves_the_old_content_and_nothing_else(tmp_path: Path, end: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(end):
        _write_half(path, end)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "store"
    for name in ("one", "two"):
        with written_whole(path) as part:
            part.mkdir()
            (part / name).write_text("")
    assert [file.name for file in path.iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError):
        _write_half(path, ZeroDivisionError, folder=True)
    assert [file.name for file in tmp_path.rglob("*")] == ["store", "two"]


def test_what_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/a\.txt: cannot be written \("):
        write_text(tmp_path / "file" / "a.txt", "text")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        write_text(tmp_path / "a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_threads_write_at_once_without_meeting(tmp_path: Path) -> None:
    """The part of one was taken for that of another: its name was that of the process alone."""
    together = threading.Barrier(4)

    def work(number: int) -> Path:
        path = tmp_path / ("same.txt" if number % 2 else f"{number}.txt")
        for turn in range(50):
            with written_whole(path) as part:
                together.wait()
                part.write_text(f"{number} {turn} " * 1000)
                together.wait()
        return path

    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(work, range(4)))
    assert {*tmp_path.iterdir()} == paths
    for path in paths:
        assert len(set(path.read_text().split(" ")[:-1:2])) == 1  # of one writer only
