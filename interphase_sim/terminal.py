"""Output for terminals that cannot show every letter: others are written in ASCII, none ends a command."""

import codecs
import sys
import unicodedata
from typing import Any, TextIO

ERRORS = "interphase_sim.plain"
_ASCII = "interphase_sim_ascii"
_PLAIN = {
    "°": "deg",
    "µ": "u",
    "μ": "u",
    "Ω": "Ohm",
    "×": "x",
    "·": "*",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "←": "<-",
    "→": "->",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}


def write_what_can_be_shown() -> None:
    """Let standard output and error replace what their encoding lacks, instead of raising UnicodeEncodeError."""
    codecs.register_error(ERRORS, _replaced)
    codecs.register(_ascii_by_another_name)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=_encoding(stream), errors=ERRORS)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The nearest ASCII text, a question mark where there is none."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(letter: str) -> str:
    if letter in _PLAIN:
        return _PLAIN[letter]
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"


def _encoding(stream: TextIO) -> str:
    """The encoding of a stream; ASCII by another name, for click writes UTF-8 to what is called ASCII."""
    try:
        name = codecs.lookup(stream.encoding).name
    except (LookupError, TypeError):
        return "utf-8"
    return _ASCII if name == "ascii" else stream.encoding


def _ascii_by_another_name(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    plain: Any = codecs.lookup("ascii")
    return codecs.CodecInfo(
        plain.encode,
        plain.decode,
        streamreader=plain.streamreader,
        streamwriter=plain.streamwriter,
        incrementalencoder=plain.incrementalencoder,
        incrementaldecoder=plain.incrementaldecoder,
        name=_ASCII,
    )
