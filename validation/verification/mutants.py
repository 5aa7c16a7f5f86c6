"""Small changes to a module's syntax, one at a time: what a test suite must notice.

Operators and comparisons are exchanged, numbers changed, signs flipped, conditions turned round, statements dropped
and neighbouring arguments swapped. Words, annotations and decorators are left alone.
"""

from __future__ import annotations

import ast
import collections
import functools
import hashlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from typing import Any

EXCHANGED: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.Pow: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
WORDS = ("annotation", "returns", "decorator_list")  # fields that are not mutated
Edit = Callable[[Any], None]


@dataclass(frozen=True)
class Mutant:
    """A change: in which function, from what to what, the how-manieth of its like there; and the module's text."""

    function: str
    before: str
    after: str
    like: int
    source: str = ""

    @property
    def change(self) -> str:
        """The change in words."""
        return f"{self.before} -> {self.after}" + (f" ({self.like + 1})" if self.like else "")


def every(source: str, wanted: Container[Mutant] = ()) -> Iterator[Mutant]:
    """Every mutant of a module; the wanted ones with their text."""
    tree = ast.parse(source)
    seen: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for function, statement, node in _nodes(tree):
        before, kind, fields = "", node.__class__, dict(vars(node))
        for edit in _edits(node):
            before = before or _line(statement)
            edit(node)
            key = function, before, _line(statement)
            mutant = Mutant(*key, seen[key])
            seen[key] += 1
            if key[1] != key[2]:
                yield replace(mutant, source=ast.unparse(tree) + "\n") if mutant in wanted else mutant
            node.__class__ = kind
            vars(node).clear()
            vars(node).update(fields)


def drawn(source: str, number: int, seed: int) -> list[Mutant]:
    """Mutants drawn with a seed; those of functions that are not edited stay the same when others are."""

    def lot(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant.function} {mutant.change}".encode()).digest()

    chosen = set(sorted(every(source), key=lot)[:number])
    return sorted((mutant for mutant in every(source, chosen) if mutant.source), key=lot)


def _nodes(tree: ast.Module) -> Iterator[tuple[str, ast.stmt, ast.AST]]:
    """Every node that may be changed, with its function and its statement, always in the same order."""

    def inside(node: ast.AST, function: str, statement: ast.stmt) -> Iterator[tuple[str, ast.stmt, ast.AST]]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}".lstrip(".")
        yield function, statement, node
        if _logged(node):
            return
        for name, value in ast.iter_fields(node):
            if name in WORDS:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from inside(child, function, child if isinstance(child, ast.stmt) else statement)

    for child in tree.body:
        yield from inside(child, "", child)


def _edits(node: ast.AST) -> Iterator[Edit]:
    """Changes to a node, each of which takes no list of its own apart."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        for other in EXCHANGED.get(type(node.op), ()):
            yield functools.partial(_set, "op", other())
    elif isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for other in EXCHANGED[type(op)]:
                yield functools.partial(_set, "ops", [*node.ops[:k], other(), *node.ops[k + 1 :]])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield functools.partial(_set, "op", ast.UAdd())
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        yield functools.partial(_set, "value", _other(node.value))
    elif isinstance(node, ast.Call):
        yield from _call_edits(node)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield functools.partial(_set, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Return | ast.Assign) and isinstance(node.value, ast.BinOp):
        yield functools.partial(_set, "value", ast.UnaryOp(ast.USub(), node.value))
    if _may_go(node):
        yield functools.partial(_set, "__class__", ast.Pass)


def _set(field: str, value: Any, node: ast.AST) -> None:
    setattr(node, field, value)


def _other(value: bool | int | float) -> bool | int | float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else 2.0 * value or 1.0


def _call_edits(call: ast.Call) -> Iterator[Edit]:
    """min for max, and neighbouring arguments swapped."""
    field = "id" if isinstance(call.func, ast.Name) else "attr"
    name = getattr(call.func, field, "")
    if name in NAMES:
        other = ast.Name(NAMES[name]) if field == "id" else ast.Attribute(call.func.value, NAMES[name])  # type: ignore[attr-defined]
        yield functools.partial(_set, "func", other)
        return
    given = call.args
    for k in range(len(given) - 1):
        if ast.dump(given[k]) != ast.dump(given[k + 1]):
            yield functools.partial(_set, "args", [*given[:k], given[k + 1], given[k], *given[k + 2 :]])


def _may_go(node: ast.AST) -> bool:
    """Whether a statement may be left out: without it, what follows still has its names."""
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Subscript | ast.Attribute)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call) and not _logged(node)
    return isinstance(node, ast.AugAssign | ast.Raise | ast.Break | ast.Continue)


def _logged(node: ast.AST) -> bool:
    """Whether a statement only says something."""
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("log.")


def _line(statement: ast.stmt) -> str:
    """The statement, of a compound one its head."""
    return ast.unparse(statement).strip().split("\n")[0]
