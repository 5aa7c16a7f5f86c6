"""Sweeps as they run: one store, the same data by every way of computing them, nothing recorded is lost."""

import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result
from sweeping import GRID, here, written  # noqa: F401

import interphase_sim as isim
from interphase_sim import sweeps
from interphase_sim.cli import cli
from interphase_sim.errors import InputError
from interphase_sim.scenario import load_scenario
from interphase_sim.sweeps import engine, store, worker
from interphase_sim.sweeps.plan import load
from interphase_sim.sweeps.schema import EndOfLife
from interphase_sim.sweeps.worker import LOST, Job, Outcome, Task

in_process = pytest.mark.usefixtures("here")
LARGER = GRID.replace("[0.5, 0.7, 0.9]", "[0, 0.5, 0.6, 0.7, 0.8, 0.9]")


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    """Bit-equal but for the time that runs took."""
    plain = [ds.drop_attrs(deep=False).drop_vars("seconds") for ds in (a, b)]
    xr.testing.assert_identical(*plain)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """LARGER, computed in this process; loaded."""
    folder = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "crew", lambda job, workers, scheduler: _here(job))
        return isim.sweep(written(folder, LARGER), folder / "reference.zarr").load()


def _here(job: Job) -> Any:
    from sweeping import Here

    return Here(job)


# What is in the store


def test_a_run_of_a_sweep_is_the_simulation_of_its_scenario(reference: xr.Dataset, tmp_path: Path) -> None:
    plan = load(written(tmp_path, LARGER))
    scenario = plan.base.replace({"coating.coverage": 0.7, "coating.thickness": "15 nm"})
    alone, found = isim.simulate(scenario), reference.sel(coverage=0.7, thickness=15.0)
    for name in ("discharge_capacity", "film_resistance_geometric", "layer_thickness"):
        np.testing.assert_array_equal(found[name], alone[name])
        assert found[name].attrs == alone[name].attrs
    assert str(found["digest"].values) == scenario.digest()[:16]
    assert int(found["cycles"]) == 2


def test_equal_runs_are_computed_once(reference: xr.Dataset) -> None:
    bare = reference.sel(coverage=0)
    assert len(np.unique(reference["digest"])) == 11
    assert (reference["seconds"].values == 0).sum() == 1
    np.testing.assert_array_equal(bare["discharge_capacity"][0], bare["discharge_capacity"][1])


def test_the_store_tells_what_it_is_of(reference: xr.Dataset, tmp_path: Path) -> None:
    attrs = reference.attrs
    assert attrs["sweep_file"] == written(tmp_path, LARGER).read_text()
    assert load_scenario("coated").kinetics == _scenario(tmp_path, attrs["base_scenario"]).kinetics
    assert json.loads(attrs["versions"])["interphase-sim"] == isim.__version__
    assert reference["status"].attrs["flag_meanings"].split()[1] == "completed"
    assert reference["thickness"].attrs["units"] == "nm"


def _scenario(folder: Path, text: str) -> Any:
    (folder / "base.toml").write_text(text)
    return load_scenario(folder / "base.toml")


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ((5,), (1,)),
        ((640,), (10,)),
        ((10**6,), (256,)),
        ((11, 9, 8), (1, 1, 8)),
        ((4, 4, 4), (1, 1, 1)),
        ((3, 5, 100), (1, 1, 23)),
    ],
)
def test_a_chunk_holds_runs_that_follow_one_another(shape: tuple[int, ...], chunk: tuple[int, ...]) -> None:
    assert store.grouped(shape) == chunk
    partly = [k for k, (c, n) in enumerate(zip(chunk, shape, strict=True)) if 1 < c < n]
    assert len(partly) <= 1


@pytest.mark.parametrize(
    ("capacity", "status", "life"),
    [
        ([np.nan, 100.0, 90.0, 79.9, 70.0], worker.DONE, 3.0),
        ([np.nan, 100.0, 90.0], worker.DONE, np.nan),  # not reached
        ([np.nan, 100.0, 90.0], worker.ENDED, np.nan),  # ended by a limit of the base scenario's own
        ([np.nan, 100.0, 90.0], worker.NO_CAPACITY, 3.0),  # no charge passed in cycle 3, which has no row
        ([np.nan, 100.0, 90.0, np.nan], worker.NO_CAPACITY, 3.0),  # or one of its charge alone
        ([np.nan], worker.NO_CAPACITY, 1.0),
        ([np.nan, 100.0, 70.0], worker.FAILED, np.nan),
    ],
)
def test_cycle_life_is_the_first_worn_out_cycle(capacity: list[float], status: int, life: float) -> None:
    rule = EndOfLife.model_validate({"fraction": 0.8})
    protocol = load_scenario("bare").protocol
    np.testing.assert_equal(worker.cycle_life(np.array(capacity), rule, status, protocol), life)


@in_process
def test_kept_cycles_and_the_stop_rule_hold(tmp_path: Path, reference: xr.Dataset) -> None:
    head = 'cycles = 2\nkept_cycles = [1]\noutputs = ["discharge_capacity"]\nend_of_life = { capacity = "500 mAh/g" }'
    ds = isim.sweep(written(tmp_path, head=head), tmp_path / "s.zarr")
    assert ds["cycle"].values.tolist() == [1]
    assert "layer_thickness" not in ds
    assert (ds["status"] == worker.ENDED).all()
    assert (ds["cycle_life"] == 1).all()
    np.testing.assert_array_equal(
        ds["discharge_capacity"].sel(cycle=1), reference["discharge_capacity"].sel(cycle=1)[[1, 3, 5]]
    )


@in_process
@pytest.mark.parametrize(
    ("settings", "status", "life"),
    [
        ('numerics.end_of_life_capacity = "500 mAh/g"', worker.ENDED, np.nan),
        ('kinetics.layer.insulating_conductivity = "3e-13 S/cm"', worker.NO_CAPACITY, 1.0),
    ],
)
def test_a_run_that_a_limit_ended_counted_as_without_capacity(
    settings: str, status: int, life: float, tmp_path: Path
) -> None:
    """The limit is the base scenario's own: the cell is not worn out by the rule of the sweep."""
    base = load_scenario("coated").replace({"numerics.end_of_life_capacity": "0 mAh/g"})
    key, value = settings.replace('"', "").split(" = ")
    (tmp_path / "base.toml").write_text(base.replace({key: value}).to_toml())
    head = "cycles = 2\nend_of_life = { fraction = 0.5, stop = false }"
    file = written(tmp_path, '[[axes]]\nkey = "coating.coverage"\nvalues = [0.0]', head=head)
    file.write_text(file.read_text().replace("shipped:coated.toml", "base.toml"))
    ds = isim.sweep(file, tmp_path / "s.zarr")
    assert int(ds["status"][0]) == status
    np.testing.assert_equal(float(ds["cycle_life"][0]), life)


# Failures are results


POISON = """
[[axes]]
key = "coating.coverage"
values = [0.5, "half", 2]

[[axes]]
key = "coating.thickness"
values = ["15 nm", "16 nm", "1 nm"]
"""


@in_process
def test_a_sweep_with_poisoned_points_finishes_and_says_which_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Infeasible (1 nm has no room for its shells, coverage 2), of a wrong type, and a solver that fails."""
    from interphase_sim.cell.runner import Cell

    solve = Cell._step

    def failing(self: Cell, *rest: Any) -> Any:
        if _thickness.get("now") == "16 nm":
            raise RuntimeError("corrector convergence failed")
        return solve(self, *rest)

    _thickness: dict[str, Any] = {}
    simulated = worker._simulated

    def watched(task: Task, *rest: Any) -> Outcome:
        _thickness["now"] = task.changes["coating.thickness"]
        return simulated(task, *rest)

    monkeypatch.setattr(Cell, "_step", failing)
    monkeypatch.setattr(worker, "_simulated", watched)
    path = tmp_path / "p.zarr"
    ran = call("sweep", str(written(tmp_path, POISON)), "-o", str(path), "--json")
    assert ran.exit_code == 4
    told = json.loads(ran.stdout)
    assert told["status"] == {
        "pending": 0,
        "completed": 1,
        "end_of_life": 0,
        "solver_failure": 1,
        "refused": 7,
        "lost": 0,
        "no_capacity": 0,
    }
    ds = store.dataset(path)
    messages = ds["message"].values
    assert "'half' must be a bare number" in messages[1, 0]
    assert "must lie in [0, 1)" in messages[2, 1]
    assert "leave room for a core" in messages[0, 2]
    assert (
        messages[0, 1] == "solver failure at cycle 1: the cell model could not be solved: corrector convergence failed"
    )
    assert np.isfinite(ds["discharge_capacity"][0, 0, 1:]).all()
    assert np.isnan(ds["discharge_capacity"][1]).all()
    assert any(failure["first"] == {"coverage": "0.5", "thickness": 16.0} for failure in told["failures"])


@in_process
def test_a_sweep_without_any_success_exits_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Outcome:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(worker, "_simulated", fails)
    ran = call("sweep", str(written(tmp_path)), "-o", str(tmp_path / "s.zarr"))
    assert ran.exit_code == 3
    assert "6 failed, first at coverage = 0.5, thickness = 5.0: ZeroDivisionError: a defect" in ran.stdout


def test_rows_end_where_the_run_did() -> None:
    values = worker.kept(np.array([np.nan, 5.0]), (0, 1, 2, 3))
    np.testing.assert_array_equal(values, [np.nan, 5.0, np.nan, np.nan])


# Resuming


class Stops(Exception):
    """Ends a sweep from its progress."""


@in_process
def test_a_resumed_sweep_computes_only_what_is_missing(
    tmp_path: Path, reference: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, path = written(tmp_path, LARGER), tmp_path / "r.zarr"

    def stop(done: int, total: int, text: str) -> None:
        if done == 5:
            raise Stops

    with pytest.raises(Stops):
        isim.sweep(file, path, progress=stop)
    before = store.dataset(path).load()
    assert (before["status"] != 0).sum() >= 4
    ran: list[int] = []
    simulated = worker._simulated

    def noted(task: Task, *rest: Any) -> Outcome:
        ran.append(task.run)
        return simulated(task, *rest)

    monkeypatch.setattr(worker, "_simulated", noted)
    after = isim.sweep(file, path, resume=True)
    assert not set(ran) & set(np.flatnonzero(before["status"].values.ravel()))
    same(after, reference)
    ran.clear()
    isim.sweep(file, path, resume=True)
    assert not ran


@in_process
def test_another_content_or_code_is_refused_or_recomputed_never_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, path = str(written(tmp_path)), str(tmp_path / "s.zarr")
    assert call("sweep", file, "-o", path).exit_code == 0
    again = call("sweep", file, "-o", path)
    assert again.exit_code == 2
    assert "exists already; --resume computes what it lacks, --recompute starts again" in again.stderr
    written(tmp_path, GRID.replace("0.9", "0.8"))
    other = call("sweep", file, "-o", path, "--resume")
    assert other.exit_code == 2
    assert "its sweep file or base scenario has changed since; --recompute starts again" in other.stderr
    assert call("sweep", file, "-o", path, "--recompute").exit_code == 0
    assert store.dataset(Path(path))["coverage"].values.tolist() == [0.5, 0.7, 0.8]
    monkeypatch.setattr(sweeps, "code", lambda: "other code")
    newer = call("sweep", file, "-o", path, "--resume")
    assert newer.exit_code == 2
    assert "the code or a library has changed since" in newer.stderr


def test_a_store_has_one_writer(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "small.zarr"
    with store.exclusive(path), ThreadPoolExecutor(1) as other:
        refused = other.submit(lambda: store.exclusive(path).__enter__()).exception()
    assert str(refused).startswith(f"{path}: another run is writing to it")
    with store.exclusive(path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["nothing", "a folder", "another zarr", "torn"])
def test_what_is_no_store_is_a_sentence(damage: str, tmp_path: Path, reference: xr.Dataset) -> None:
    path = tmp_path / "x.zarr"
    if damage != "nothing":
        path.mkdir()
    if damage == "another zarr":
        xr.Dataset({"a": ("x", [1.0])}).to_zarr(path, mode="w", zarr_format=2)
    if damage == "torn":
        (path / ".zgroup").write_text("{")
    with pytest.raises(InputError, match=r"x\.zarr: "):
        store.open_store(path)


# Ways of computing


@in_process
def test_merged_shards_are_the_whole(tmp_path: Path, reference: xr.Dataset) -> None:
    file = str(written(tmp_path, LARGER))
    parts = [str(tmp_path / f"{i}.zarr") for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        assert call("sweep", file, "-o", part, "--shard", f"{i}/2").exit_code == 0
    recorded = [(store.dataset(Path(part))["status"] != 0).values for part in parts]
    assert (recorded[0] ^ recorded[1]).all()
    whole = tmp_path / "whole.zarr"
    assert call("merge", *parts, "-o", str(whole)).exit_code == 0
    same(store.dataset(whole), reference)
    assert store.dataset(whole).attrs["shard"] == ""
    refused = call("merge", *parts, "-o", str(whole))
    assert refused.exit_code == 2
    assert call("sweep", file, "-o", str(whole), "--resume").exit_code == 0  # nothing is missing


@in_process
def test_shards_of_different_sweeps_are_not_merged(tmp_path: Path) -> None:
    paths: list[Path] = []
    for varied in (GRID, GRID.replace("0.9", "0.8")):
        paths.append(tmp_path / f"{len(paths)}.zarr")
        isim.sweep(written(tmp_path, varied), paths[-1], shard=(1, 6))
    with pytest.raises(InputError, match="is of another sweep or scenario than"):
        sweeps.merge(paths, tmp_path / "whole.zarr")


def test_a_pool_gives_the_same_data_even_when_a_worker_is_killed(tmp_path: Path, reference: xr.Dataset) -> None:
    killed: list[int] = []

    def progress(done: int, total: int, text: str) -> None:
        if done == 3:
            process = multiprocessing.active_children()[0]
            process.kill()
            killed.append(process.pid or 0)

    found = isim.sweep(written(tmp_path, LARGER), tmp_path / "pool.zarr", workers=2, progress=progress)
    assert killed
    same(found, reference)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Address of a scheduler with two workers, on this machine only."""
    pytest.importorskip("distributed")
    address = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(address)]
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", *common, "--host", "127.0.0.1", "--port", "0"]
    scheduler += ["--no-dashboard"]
    one = [sys.executable, "-m", "distributed.cli.dask_worker", *common, "--host", "127.0.0.1", "--nthreads", "1"]
    one += ["--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path)]
    started = [subprocess.Popen(scheduler, stderr=subprocess.DEVNULL)]
    try:
        told = _when_written(address)
        started += [subprocess.Popen(one, stderr=subprocess.DEVNULL) for _ in range(2)]
        yield str(told["address"])
    finally:
        for process in reversed(started):
            process.kill()
            process.wait(20)


def _when_written(path: Path) -> Any:
    for _ in range(300):
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError):
            time.sleep(0.1)
    raise TimeoutError(path)


def test_a_dask_cluster_gives_the_same_data(tmp_path: Path, reference: xr.Dataset, cluster: str) -> None:
    assert cluster.startswith("tcp://127.0.0.1:")
    same(isim.sweep(written(tmp_path, LARGER), tmp_path / "dask.zarr", scheduler=cluster), reference)


def test_a_scheduler_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        isim.sweep(written(tmp_path), tmp_path / "x.zarr", scheduler="nonsense://127.0.0.1:1")


def test_a_killed_sweep_loses_nothing_that_was_recorded(tmp_path: Path, reference: xr.Dataset) -> None:
    """A small version of `python -m validation.sweeps kill`."""
    file, path = written(tmp_path, LARGER), tmp_path / "k.zarr"
    command = [
        sys.executable,
        "-m",
        "interphase_sim",
        "sweep",
        str(file),
        "-o",
        str(path),
        "--workers",
        "1",
        "--resume",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if path.exists() and (store.dataset(path)["status"].values != 0).sum() >= 2:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = store.dataset(path).load()
    recorded = before["status"].values != 0
    assert recorded.sum() >= 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "crew", lambda job, workers, scheduler: _here(job))
        after = isim.sweep(file, path, resume=True).load()
    same(after, reference)
    np.testing.assert_array_equal(after["seconds"].values[recorded], before["seconds"].values[recorded])


# The engine, without simulating


class Frail:
    """A crew whose executor breaks a moment after it is handed a deadly run, so often; other runs take a moment."""

    width = 4

    def __init__(self, deadly: dict[int, int]) -> None:
        self.deadly, self.renewed = deadly, 0
        self.executor: Any = self
        self._flying: list[Future[Outcome]] = []
        self._lock = threading.Lock()

    def submit(self, _: Any, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        self._flying.append(future)
        kills = self.deadly.get(task.run, 0) > 0
        self.deadly[task.run] = self.deadly.get(task.run, 0) - 1
        threading.Timer(0.02, self._break if kills else self._finish, () if kills else (future, task)).start()
        return future

    def _finish(self, future: Future[Outcome], task: Task) -> None:
        with self._lock:
            if not future.done():
                future.set_result(Outcome(task.run, worker.DONE, ""))

    def _break(self) -> None:
        with self._lock:
            for future in self._flying:
                if not future.done():
                    future.set_exception(BrokenProcessPool())

    def renew(self) -> None:
        self.renewed += 1

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


def _ran(crew: Frail, runs: int = 12) -> dict[int, Outcome]:
    found: dict[int, Outcome] = {}

    def keep(outcome: Outcome) -> None:
        assert outcome.run not in found
        found[outcome.run] = outcome

    engine.run((Task("job", run, {}) for run in range(runs)), crew, keep, lambda: None)
    return found


def test_a_run_that_kills_its_worker_twice_alone_is_lost_and_all_others_are_done() -> None:
    found = _ran(Frail({5: 99, 7: 99}))
    assert sorted(found) == list(range(12))
    assert [run for run in found if found[run].status == LOST] == [5, 7]
    assert "died 2 times while it ran alone" in found[5].message


def test_a_worker_that_dies_once_costs_no_run() -> None:
    crew = Frail({3: 1, 8: 2})
    assert {outcome.status for outcome in _ran(crew).values()} == {worker.DONE}
    assert crew.renewed >= 2


def test_no_more_tasks_are_drawn_than_are_in_flight() -> None:
    drawn: list[int] = []
    kept: list[int] = []

    def tasks() -> Iterator[Task]:
        for run in range(50):
            drawn.append(run)
            assert len(drawn) - len(kept) <= Frail.width
            yield Task("job", run, {})

    engine.run(tasks(), Frail({}), lambda outcome: kept.append(outcome.run), lambda: None)
    assert len(kept) == 50


# The command


def test_dry_run_estimates_and_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = call("sweep", str(written(tmp_path, LARGER)), "--dry-run", "--json")
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert (found["runs"], found["distinct_runs"], found["dimensions"]) == (12, 11, {"coverage": 6, "thickness": 2})
    assert found["seconds_in_all"] == pytest.approx(found["seconds_per_run"] * 11 / 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.toml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "no sweep is named 'nothing'"),
        (["nothing.toml"], "nothing.toml: no such file"),
        (["small.toml", "--shard", "5"], "'5' is not of the form i/n"),
        (["small.toml", "--shard", "3/2"], "--shard 3/2: expected i/n with 1 <= i <= n"),
        (["small.toml", "--workers", "0"], "--workers 0: at least one is needed"),
        (["small.toml", "--resume", "--recompute"], "give one of them"),
        (["small.toml", "-o", "small.toml", "--recompute"], "small.toml: is no store of a sweep, and is not replaced"),
    ],
)
def test_bad_input_is_exit_code_2(words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    ran = call("sweep", *words)
    assert ran.exit_code == 2
    assert told in ran.stderr
    assert "Traceback" not in ran.output


@in_process
def test_an_interrupted_sweep_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run", interrupted)
    ran = call("sweep", "small.toml", "--shard", "1/2")
    assert ran.exit_code == 130
    told = "interphase-sim sweep small.toml -o results/small.shard-1-of-2.zarr --workers 2 --shard 1/2 --resume"
    assert told in ran.stderr
    assert Path("results/small.shard-1-of-2.zarr").is_dir()
