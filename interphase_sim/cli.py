"""The command line: parse, call, print.

Everything heavy is imported inside the commands, so that `--help` is instant. Under `--json` stdout holds the
JSON object only; progress goes to stderr, and only to a terminal.
"""

import contextlib
import io
import json
import logging
import os
import re
import shlex
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from interphase_sim import __version__, terminal
from interphase_sim.errors import InputError, ResultWarning, SolverFailure
from interphase_sim.files import LOCK_NAME, exclusive_folder, write_text
from interphase_sim.status import outcome_of

if TYPE_CHECKING:
    from interphase_sim.scenario import Scenario
    from interphase_sim.unfinished import Unfinished

Progress = Callable[[int, int, str], None]

CHECKPOINT = "checkpoint.npz"
_CRITERIA_NOT_MET = 1
_INTERRUPTED = 130
_NOTHING = "none"  # as the value of --set
_HINT = f"{__name__}.hint"
_FILE_NAME = re.compile(r"\w[\w.-]*")


class _Commands(click.Group):
    """The one error boundary: every failure becomes its sentence on stderr and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _warnings_on_stderr():
                return super().invoke(ctx)
        except (InputError, SolverFailure) as error:
            for line in str(error).splitlines():
                click.echo(f"Error: {line}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            hint = ctx.meta.get(_HINT)
            click.echo(f"Interrupted. {hint() if hint else 'Nothing was stored.'}", err=True)
            ctx.exit(_INTERRUPTED)


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print what the reader of a stored result should know as one line; other warnings stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", ResultWarning)
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **options: Any) -> None:
            if issubclass(category, ResultWarning):
                click.echo(f"Warning: {message}", err=True)
            else:
                usual(message, category, *where, **options)

        warnings.showwarning = show
        yield


class _Output(io.FileIO):
    """A standard stream whose reader may go away: what is written from then on is dropped, and the command goes on."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if isinstance(error, BrokenPipeError) or self.fileno() == 2:
                return len(content)
            raise InputError(f"standard output cannot be written ({error.strerror})") from error


def _outlive_readers() -> None:
    """Let no closed pipe end a command; `cli` would exit with 1, and Python complain when it flushes at its end."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with contextlib.suppress(AttributeError, OSError):  # closed from the start, or not a file
            raw = io.BufferedWriter(_Output(stream.fileno(), "wb", closefd=False))
            like = {"encoding": stream.encoding, "errors": stream.errors, "line_buffering": stream.line_buffering}
            setattr(sys, name, io.TextIOWrapper(raw, **like))


def main() -> None:
    """Entry point of the command `interphase-sim`."""
    _outlive_readers()
    terminal.write_what_can_be_shown()
    cli(prog_name="interphase-sim")


_folder = click.Path(path_type=Path)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, nothing else.")
_experiment = click.option(
    "--experiment",
    type=_folder,
    metavar="DIR",
    help="Measured data and criteria of DIR; shipped ones if it lacks a file.",
)
_verbose = click.option("--verbose", is_flag=True, help="Say on stderr what is being done.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="interphase-sim")
def cli() -> None:
    """Simulate how the interphase makes a coated or bare NCM solid-state cell fade.

    \b
    Examples:
      interphase-sim run coated          one scenario, 200 cycles
      interphase-sim validate            both cells against the measured points
      interphase-sim new mine            a commented scenario to change
      interphase-sim sweep coverage_x_coating

    \b
    Exit codes: 0 success (end of life included), 1 a gated criterion not met,
    2 bad input, 3 solver failure, or no run of a sweep succeeded,
    4 some runs of a sweep failed, 130 interrupted. A closed pipe
    (as by `head`) changes none of them.
    """


@cli.command()
@click.argument("scenario")
@click.option("-o", "directory", type=_folder, metavar="DIR", help="Where to store  [results/<scenario name>].")
@click.option("--force", is_flag=True, help="Replace the result that DIR holds.")
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint in DIR.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value, as a file has it; `none` leaves an optional key out; repeatable.",
)
@click.option("--jump", is_flag=True, help="Leave out cycles that differ little, as numerics.jump does.")
@_json
@_verbose
@click.pass_context
def run(
    ctx: click.Context,
    scenario: str,
    directory: Path | None,
    force: bool,
    resume: bool,
    settings: tuple[str, ...],
    jump: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Simulate SCENARIO, a file or a shipped name.

    Writes result.nc, cycles.csv and scenario.toml (with every value resolved) to DIR.

    \b
    Examples:
      interphase-sim run coated
      interphase-sim run mine.toml -o results/thin --set "coating.thickness=5 nm"
      interphase-sim run bare --set protocol.cycles=20 --json
      interphase-sim run bare --jump
      interphase-sim run coated --resume
    """
    from interphase_sim.scenario import load_scenario

    _listen(verbose)
    if force and resume:
        raise InputError("--force starts again and --resume continues: give one of them")
    settings = (*settings, "numerics.jump=true") if jump else settings
    chosen = _changed(load_scenario(scenario), settings)
    folder = directory or Path("results") / _plain_name(chosen.name)
    _need_folder(folder)
    with exclusive_folder(folder), _only_json(as_json):
        _prepare(folder, force=force, resume=resume)
        ctx.meta[_HINT] = lambda: _how_to_go_on(scenario, folder, settings)
        with _progress() as progress:
            from interphase_sim import results
            from interphase_sim.simulation import simulate

            ds = simulate(chosen, directory=folder, resume=resume, progress=progress)
            results.save_result(ds, folder / results.FILE_NAME)
        write_text(folder / "cycles.csv", results.cycles_table(ds))
        write_text(folder / "scenario.toml", chosen.to_toml())
    _print_result(ds, folder, as_json)
    outcome = outcome_of(ds.attrs)
    if outcome.status.exit_code:
        click.echo(f"Error: {outcome.sentence} (the cycles before it are in {folder})", err=True)
        ctx.exit(outcome.status.exit_code)


@cli.command()
@click.option(
    "-o", "directory", type=_folder, metavar="DIR", help="Where to store  [validation/output, or --from DIR]."
)
@click.option("--from", "stored", type=_folder, metavar="DIR", help="Judge the results in DIR, simulate nothing.")
@_experiment
@click.option("--all", "all_musts", is_flag=True, help="Exit with 1 if any must fails, gated or not.")
@_json
@_verbose
@click.pass_context
def validate(
    ctx: click.Context,
    directory: Path | None,
    stored: Path | None,
    experiment: Path | None,
    all_musts: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Judge both cells against the measured data.

    Simulates the shipped scenarios, prints one table, draws the figures and writes report.json to DIR.
    Replaces only files it wrote. Prints every criterion that is not met, and exits with 1 if one of them is gated.

    \b
    Examples:
      interphase-sim validate
      interphase-sim validate --all
      interphase-sim validate --from validation/output --json
    """
    _listen(verbose)
    if stored is not None and not stored.is_dir():
        raise InputError(f"{stored}: no such folder of stored results")
    folder = directory or stored or Path("validation/output")
    _need_folder(folder)
    with exclusive_folder(folder), _only_json(as_json), _progress() as progress:
        from interphase_sim import acceptance
        from interphase_sim.experiment.table import print_table

        report = acceptance.run(folder, stored, progress, experiment)
    if as_json:
        _print_json(report)
    else:
        print_table(report)
    ctx.exit(0 if report["passes" if all_musts else "gate_passes"] else _CRITERIA_NOT_MET)


@cli.command()
@click.option(
    "--data",
    type=click.Choice(["all", "bare"]),
    default="all",
    show_default=True,
    help="Measured data to fit: all, or those of the bare cell only.",
)
@click.option("--check", is_flag=True, help="Restart from random draws; the shipped cost must be reached.")
@click.option("--variants", is_flag=True, help="Compare the loss channels, and an empirical fade law.")
@_experiment
@click.option("-o", "directory", type=_folder, metavar="DIR", default=Path("results/calibration"), show_default=True)
@click.option("--resume", is_flag=True, help="Continue an interrupted calibration in DIR.")
@_verbose
@click.pass_context
def calibrate(
    ctx: click.Context,
    data: str,
    check: bool,
    variants: bool,
    experiment: Path | None,
    directory: Path,
    resume: bool,
    verbose: bool,
) -> None:
    """Fit the kinetics, as the shipped ones were.

    Takes up to 30 minutes on two cores.

    \b
    Examples:
      interphase-sim calibrate
      interphase-sim calibrate --data bare
      interphase-sim calibrate --check
      interphase-sim calibrate --variants --resume
    """
    _listen(verbose)
    _need_folder(directory)
    ctx.meta[_HINT] = lambda: "Run the same command with --resume to continue."
    with exclusive_folder(directory), _progress() as progress:
        from interphase_sim import calibration

        code = calibration.main(
            data=data,
            check=check,
            variants=variants,
            directory=directory,
            resume=resume,
            progress=progress,
            experiment=experiment,
        )
    ctx.exit(code)


class _Shard(click.ParamType[tuple[int, int]]):
    """The i-th of n parts, written i/n."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", str(value), re.ASCII)
        if not found:
            self.fail(f"{value!r} is not of the form i/n, such as 1/4", param, ctx)
        return int(found[1]), int(found[2])


@cli.command()
@click.argument("file")
@click.option("-o", "store", type=_folder, metavar="STORE", help="Where to store  [results/<sweep name>.zarr].")
@click.option("--workers", type=int, default=2, show_default=True, metavar="N", help="Processes on this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the workers of a Dask scheduler, e.g. tcp://host:8786.")
@click.option("--shard", type=_Shard(), metavar="I/N", help="Only the I-th of N parts; `merge` puts them together.")
@click.option("--resume", is_flag=True, help="Compute what STORE lacks.")
@click.option("--recompute", is_flag=True, help="Replace STORE.")
@click.option("--dry-run", is_flag=True, help="Check the file and estimate runs, time and size; store nothing.")
@_json
@_verbose
@click.pass_context
def sweep(
    ctx: click.Context,
    file: str,
    store: Path | None,
    workers: int,
    scheduler: str | None,
    shard: tuple[int, int] | None,
    resume: bool,
    recompute: bool,
    dry_run: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Run a scenario over axes or a sampled design, as the sweep FILE (or shipped name) says.

    STORE is one zarr data set, readable with xarray while it fills. Runs that fail are recorded with their reason.
    Exits with 4 if some runs failed, 3 if none succeeded.

    \b
    Examples:
      interphase-sim sweep coverage_x_coating --dry-run
      interphase-sim sweep mine.toml --workers 8
      interphase-sim sweep mine.toml --resume
      interphase-sim sweep mine.toml --shard 1/4
      interphase-sim sweep mine.toml --scheduler tcp://node01:8786
    """
    from interphase_sim import sweeps

    _listen(verbose)
    if resume and recompute:
        raise InputError("--recompute starts again and --resume continues: give one of them")
    plan = sweeps.load(file)
    if dry_run:
        with _only_json(as_json):
            found = sweeps.estimate(plan, workers)
        _print_json(found) if as_json else click.echo(sweeps.estimate_text(found))
        return
    path = store or sweeps.default_store(plan, shard)
    again = _how_to_resume_sweep(file, path, workers, scheduler, shard)
    ctx.meta[_HINT] = lambda: again if path.exists() else "Nothing was stored."
    with _only_json(as_json), _progress() as progress:
        sweeps.run(plan, path, workers, scheduler, shard, resume=resume, recompute=recompute, progress=progress)
    _print_sweep(ctx, path, as_json)


@cli.command()
@click.argument("stores", nargs=-1, required=True, type=_folder, metavar="STORE...")
@click.option("-o", "output", type=_folder, required=True, metavar="STORE", help="The new store.")
@_json
@click.pass_context
def merge(ctx: click.Context, stores: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Put the shards of one sweep together in a new STORE.

    \b
    Example:
      interphase-sim merge results/mine.shard-*.zarr -o results/mine.zarr
    """
    from interphase_sim import sweeps

    sweeps.merge(stores, output)
    _print_sweep(ctx, output, as_json)


@cli.command()
@click.argument("stored", nargs=-1, required=True, type=_folder, metavar="DIR...|STORE")
@click.option(
    "-o",
    "output",
    type=_folder,
    metavar="PATH",
    help="Fade curves only, to this file (.png, .pdf, .svg; .png without); a folder for a STORE.",
)
@click.option("--cycle", type=int, metavar="N", help="The cycle that maps of a STORE show  [the last].")
def plot(stored: tuple[Path, ...], output: Path | None, cycle: int | None) -> None:
    """Draw the stored results of one or several runs, or the STORE of a sweep.

    Without -o all figures of runs are drawn into the first DIR, those of a sweep into a folder beside its STORE.

    \b
    Examples:
      interphase-sim plot results/coated
      interphase-sim plot results/bare results/coated -o fade.pdf
      interphase-sim plot results/coverage_x_coating.zarr --cycle 100
    """
    if (stored[0] / ".zgroup").exists():
        _plot_sweep(stored, output, cycle)
        return
    from interphase_sim import plot as figures
    from interphase_sim.results import load_result

    loaded = [load_result(path) for path in stored]
    if output is None:
        first = stored[0] if stored[0].is_dir() else stored[0].parent
        written = figures.save_all(loaded, first)
    else:
        written = [figures.save(figures.fade(loaded).figure, output)]
    for path in written:
        click.echo(path)


@cli.command()
@click.argument("subject", required=False, metavar="[SCENARIO|DIR|STORE|materials]")
@_json
def info(subject: str | None, as_json: bool) -> None:
    """Describe a scenario, a result, an interrupted run, a sweep or the installation.

    \b
    Examples:
      interphase-sim info                   versions, shipped scenarios and coatings
      interphase-sim info coated            its parameters by kind
      interphase-sim info results/coated    status and main numbers
      interphase-sim info results/mine.zarr what became of the runs of a sweep
      interphase-sim info materials         the coatings table
    """
    from interphase_sim import info as tell

    if subject is None:
        _print_facts(tell.installation(), as_json)
    elif subject == "materials":
        _print_rows({"rows": tell.materials()}, as_json)
    elif Path(subject).is_dir() or subject.endswith(".nc"):
        _print_stored(Path(subject), as_json)
    else:
        from interphase_sim.scenario import load_scenario

        chosen = load_scenario(subject)
        _print_rows({"name": chosen.name, "rows": tell.parameters(chosen)}, as_json)


@cli.command()
@click.argument("name")
def new(name: str) -> None:
    """Write NAME.toml, a commented scenario of your own.

    \b
    Example:
      interphase-sim new mine
      interphase-sim run mine.toml --set coating.coverage=0.8
    """
    from interphase_sim.scenario import template

    plain = _plain_name(name.removesuffix(".toml"))
    path = Path(f"{plain}.toml")
    _write_new(path, template(plain))
    click.echo(f"Wrote {path}. Try: interphase-sim run {path}")


def _plot_sweep(stored: tuple[Path, ...], output: Path | None, cycle: int | None) -> None:
    from interphase_sim import sweeps

    if len(stored) > 1:
        raise InputError(f"{stored[1]}: a sweep is drawn alone; merge puts shards together")
    (path,) = stored
    named = path if path.name else path.resolve()  # "." has no name
    for written in sweeps.draw(path, output or named.with_name(f"{named.stem}_figures"), cycle):
        click.echo(written)
    for name in sweeps.without_effect(path):
        click.echo(f"No effect: {name} changes no output of any run.")


def _how_to_resume_sweep(
    file: str, store: Path, workers: int, scheduler: str | None, shard: tuple[int, int] | None
) -> str:
    command = ["interphase-sim", "sweep", file, "-o", str(store), "--workers", str(workers)]
    command += ["--scheduler", scheduler] if scheduler else []
    command += ["--shard", f"{shard[0]}/{shard[1]}"] if shard else []
    return f"Continue with: {shlex.join([*command, '--resume'])}"


def _print_sweep(ctx: click.Context, path: Path, as_json: bool) -> None:
    """What became of the runs, and the exit code that follows."""
    from interphase_sim import sweeps

    ctx.exit(sweeps.exit_code(_print_summary(path, as_json)))


def _print_summary(store: Path, as_json: bool) -> dict[str, Any]:
    """What became of the runs of a sweep."""
    from interphase_sim import sweeps

    found = sweeps.summary(store)
    _print_json(found) if as_json else click.echo(sweeps.summary_text(found))
    return found


def _print_stored(path: Path, as_json: bool) -> None:
    """A result, the runs of a sweep, or what is stored of an interrupted run."""
    from interphase_sim import results, unfinished

    if (path / ".zgroup").is_file():
        _print_summary(path, as_json)
        return
    found = unfinished.read(path) if path.is_dir() and not (path / results.FILE_NAME).exists() else None
    if found is None:
        _print_result(results.load_result(path), path, as_json)
    else:
        _print_unfinished(found, path, as_json)


def _print_unfinished(found: "Unfinished", folder: Path, as_json: bool) -> None:
    from interphase_sim import info as tell

    command = found.command(folder)
    numbers = tell.unfinished_numbers(found) | {"directory": str(folder), "continue_with": command}
    if as_json:
        _print_json(numbers)
        return
    planned = f" of {found.planned}" if found.planned is not None else ""
    name = found.name or "scenario not named"
    click.echo(f"{name}: {numbers['status']}, {found.cycles}{planned} cycles done, stored in {folder}")
    if numbers["rows"]:
        click.echo(tell.text_table(numbers["rows"]))
    click.echo(f"To continue, give the scenario it was started with and every --set: {command}")


def _changed(scenario: "Scenario", settings: tuple[str, ...]) -> "Scenario":
    """The scenario with the values of --set, read and checked like those of a file."""
    if not settings:
        return scenario
    changes: dict[str, Any] = {}
    for text in settings:
        key, value = _setting(text)
        value = None if value == _NOTHING and _may_be_left_out(key) else value
        changes.pop(key, None)  # the last word on a key counts, and in its place
        changes[key] = value
    return scenario.replace(changes, where="--set", by="by --set")


def _may_be_left_out(key: str) -> bool:
    from interphase_sim.scenario import is_optional

    with contextlib.suppress(InputError):  # an unknown key is told with all other errors
        return is_optional(key)
    return False


def _setting(text: str) -> tuple[str, Any]:
    """`coating.coverage=0.8` as key and value; the value is TOML if it reads as TOML, else text."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not key or not equals or not value:
        raise InputError(f"--set {text!r}: expected KEY=VALUE such as coating.coverage=0.8")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _plain_name(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a file: letters, digits, '.', '-' and '_' only")
    return name


def _prepare(folder: Path, *, force: bool, resume: bool) -> None:
    """Make sure that a run may write to the folder; what is there stays untouched."""
    if force or all(path.name == LOCK_NAME for path in folder.iterdir()):
        return
    if not resume:
        raise InputError(f"{folder}: is not empty; --force replaces what it holds, --resume continues it")
    if not (folder / CHECKPOINT).exists():
        raise InputError(f"{folder}: holds no {CHECKPOINT} to resume from; --force starts again")


def _need_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder}: is a file or lies in one, expected a folder") from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be created ({error.strerror})") from error


def _write_new(path: Path, text: str) -> None:
    """Write a file that must not exist."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path}: exists already, choose another name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _how_to_go_on(scenario: str, folder: Path, settings: tuple[str, ...]) -> str:
    """The command that continues a run, or starts it again where nothing is stored yet."""
    stored = (folder / CHECKPOINT).exists()
    changes = [word for setting in settings for word in ("--set", setting)]
    command = ["interphase-sim", "run", scenario, "-o", str(folder), *changes, "--resume" if stored else "--force"]
    return f"{'Continue' if stored else 'Nothing was stored yet; start again'} with: {shlex.join(command)}"


def _listen(verbose: bool) -> None:
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)


@contextlib.contextmanager
def _progress() -> Iterator[Progress | None]:
    """A progress bar on stderr; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


@contextlib.contextmanager
def _only_json(as_json: bool) -> Iterator[None]:
    """Under --json, send to stderr what anybody else prints."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, indent=2, allow_nan=False))


def _print_facts(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def _print_rows(content: dict[str, Any], as_json: bool) -> None:
    from interphase_sim.info import SCHEMA_VERSION, text_table

    if as_json:
        _print_json({"schema_version": SCHEMA_VERSION} | content)
    else:
        click.echo(text_table(content["rows"]))


def _print_result(ds: Any, folder: Path, as_json: bool) -> None:
    from interphase_sim import info as tell

    warnings = json.loads(ds.attrs["warnings"])
    numbers = tell.numbers(ds) | {"directory": str(folder), "warnings": warnings}
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    if as_json:
        _print_json(numbers)
        return
    click.echo(f"{numbers['name']}: {numbers['status']}, {numbers['cycles']} cycles, stored in {folder}")
    click.echo(tell.text_table(numbers["rows"]))
