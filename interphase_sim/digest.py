"""One digest of this package: what can change a number, with the words of its sources left out."""

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_DATA = (".csv", ".toml")
_SHIPPED = "_shipped"  # scenarios and measured data in a wheel: each run has the digest of its own scenario
_LENGTH = 16  # hexadecimal digits


def package() -> str:
    """Digest of all modules of this package, without comments, docstrings and layout, and of its data files.

    Computed once in a process. The versions of Python and of libraries are not in it.
    """
    return of_folder(_PACKAGE)


@functools.cache
def of_folder(folder: Path) -> str:
    """The same of any folder of modules and data files. Remembered by its path."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".py", *_DATA))
    inner = [path for path in paths if path.relative_to(folder).parts[0] != _SHIPPED]
    return combined(part for path in inner for part in (path.relative_to(folder).as_posix(), content(path)))


def content(path: Path) -> str:
    """What decides in a file: the syntax of a module, the text of any other."""
    text = path.read_text(encoding="utf-8")
    return without_words(text) if path.suffix == ".py" else text


def without_words(source: str) -> str:
    """The syntax of a module, its comments, docstrings and layout left out."""
    return ast.dump(_Silent().visit(ast.parse(source)))


class _Silent(ast.NodeTransformer):
    """Removes statements that are nothing but a text, docstrings first of all."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        silent = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if silent else node


def combined(parts: Iterable[str]) -> str:
    """One digest of several texts in their order."""
    found = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        found.update(f"{len(encoded)} ".encode() + encoded)
    return found.hexdigest()[:_LENGTH]
