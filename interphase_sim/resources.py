"""Find the files that ship with the package, from a wheel and from a checkout alike."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(relative: str) -> Path:
    """Path of a shipped file or folder such as `scenarios/coated.toml`.

    A wheel carries them under `interphase_sim/_shipped`, a checkout at the top of the repository. The path is
    returned whether or not it exists; the reader says what is missing.
    """
    packaged = _PACKAGE / "_shipped" / relative
    return packaged if packaged.exists() else _PACKAGE.parent / relative
