"""Mutants of a module: one comparison, operator, constant, condition, returned value or statement changed."""

from __future__ import annotations

import ast
import collections
import copy
import dataclasses
from collections.abc import Iterator

OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE,),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE,),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Add,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
"""What each operator becomes."""

GUARDS = frozenset({"strict", "stacklevel"})
"""Keywords that only guard against mistakes of the code itself, as `assert` does: left alone."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: of the module, relative to the repository.
        index: which of the module's changes it is, for `apply`.
        where: the qualified name of the function or class it stands in; "" at the top of the module.
        line: of the change.
        span: first and last line of the statement, or of the header of an `if`, `for` or `while`.
        names: at import time, the names that the statement gives a value to; empty inside a function.
        statement: the statement, shortened.
        change: `before → after`.
        repeat: which of the equal changes of equal statements in one function it is.
    """

    path: str
    index: int
    where: str
    line: int
    span: tuple[int, int]
    names: frozenset[str]
    statement: str
    change: str
    repeat: int

    @property
    def id(self) -> str:
        """What names the mutant as long as its statement stays the same, wherever it moves in the file."""
        return f"{self.path}::{self.where}::{self.statement}::{self.change}#{self.repeat}"


@dataclasses.dataclass(frozen=True)
class _Site:
    """A node that can be replaced: `parent.field[position]`, or `parent.field` where position is None."""

    parent: ast.AST
    field: str
    position: int | None
    before: ast.AST
    after: ast.AST
    scope: tuple[ast.AST, ...]
    statement: ast.stmt


def mutants(source: str, path: str) -> tuple[Mutant, ...]:
    """Return every mutant of a module, in the order of the source."""
    seen: collections.Counter[tuple[str, str, str]] = collections.Counter()
    made = []
    for index, site in enumerate(_sites(ast.parse(source))):
        where = ".".join(getattr(node, "name", "") for node in site.scope)
        statement = _shown(_header(site.statement))
        change = f"{_shown(site.before)} → {_shown(site.after)}"
        seen[where, statement, change] += 1
        first, last = _span(site.statement)
        line = getattr(site.before, "lineno", first)
        made.append(
            Mutant(
                path=path,
                index=index,
                where=where,
                line=min(max(line, first), last),
                span=(first, last),
                names=_names(site),
                statement=statement,
                change=change,
                repeat=seen[where, statement, change],
            )
        )
    return tuple(made)


def apply(source: str, mutant: Mutant) -> str:
    """Return the module's source with the change; comments are lost."""
    tree = ast.parse(source)
    for index, site in enumerate(_sites(tree)):
        if index == mutant.index:
            if site.position is None:
                setattr(site.parent, site.field, site.after)
            else:
                getattr(site.parent, site.field)[site.position] = site.after
            return ast.unparse(ast.fix_missing_locations(tree))
    raise ValueError(f"{mutant.path} has no change number {mutant.index}")


def _sites(tree: ast.Module) -> Iterator[_Site]:
    for statement in tree.body:
        yield from _within(tree, statement, (), statement)


def _within(
    parent: ast.AST, node: ast.AST, scope: tuple[ast.AST, ...], statement: ast.stmt
) -> Iterator[_Site]:
    """Yield the sites in `node` and below it.

    Args:
        parent: whose field holds `node`.
        node: the node.
        scope: the functions and classes around it.
        statement: the innermost statement around it.
    """
    if _left_alone(node):
        return
    if isinstance(node, ast.stmt):
        statement = node
    for field, position in _places(parent, node):
        for after in _replacements(parent, field, node):
            yield _Site(parent, field, position, node, after, scope, statement)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = (*scope, node)
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "format_spec"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _within(node, child, scope, statement)


def _left_alone(node: ast.AST) -> bool:
    """Return whether nothing below the node is changed: guards of the code, and what type checkers read."""
    if isinstance(node, ast.keyword):
        return node.arg in GUARDS
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id == "Literal"
    return isinstance(node, ast.Assert | ast.Import | ast.ImportFrom)


def _places(parent: ast.AST, node: ast.AST) -> Iterator[tuple[str, int | None]]:
    """Yield the field of the parent that holds the node, with the position in a list."""
    for field, value in ast.iter_fields(parent):
        if value is node:
            yield field, None
        elif isinstance(value, list):
            yield from ((field, i) for i, each in enumerate(value) if each is node)


def _replacements(parent: ast.AST, field: str, node: ast.AST) -> Iterator[ast.AST]:
    """Yield what the node may become."""
    if type(node) in OPERATORS and not _joins_text(parent):
        yield from (operator() for operator in OPERATORS[type(node)])
    if isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in _other_values(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    if isinstance(node, ast.expr) and (
        field == "test" or (field == "ifs" and isinstance(parent, ast.comprehension))
    ):
        yield ast.UnaryOp(ast.Not(), copy.deepcopy(node))
    if isinstance(parent, ast.Return) and not (isinstance(node, ast.Constant) and node.value is None):
        yield ast.Constant(None)
    if isinstance(node, ast.stmt) and _deletable(node):
        yield ast.Pass()


def _joins_text(parent: ast.AST) -> bool:
    """Return whether the parent's operator joins or formats text: its mutants only raise TypeError."""
    sides: tuple[ast.expr, ...] = (parent.left, parent.right) if isinstance(parent, ast.BinOp) else ()
    sides += (parent.value,) if isinstance(parent, ast.AugAssign) else ()
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )


def _other_values(value: object) -> tuple[bool | int | float, ...]:
    """Return the constants tried in place of one: one more and less, twice and half, the other truth."""
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (value + 1, value - 1)
    if isinstance(value, float):
        return (value * 2, value / 2) if value else (1.0,)
    return ()


def _deletable(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.AugAssign | ast.Raise | ast.Continue | ast.Break)


def _names(site: _Site) -> frozenset[str]:
    """Return the names through which a statement run at import is used; empty inside a function."""
    function = next((n for n in site.scope if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)), None)
    if function is not None and function is not site.statement:
        return frozenset()
    # A method such as __init__ is run by the class's name.
    scopes = [name for node in site.scope if not (name := str(getattr(node, "name", ""))).startswith("__")]
    names = set(scopes[-1:])
    targets: list[ast.expr] = []
    if isinstance(site.statement, ast.Assign):
        targets = site.statement.targets
    elif isinstance(site.statement, ast.AnnAssign):
        targets = [site.statement.target]
    return frozenset(
        names | {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    )


def _span(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    if body:
        return statement.lineno, max(statement.lineno, body[0].lineno - 1)
    return statement.lineno, statement.end_lineno or statement.lineno


def _header(statement: ast.stmt) -> ast.AST:
    """Return the statement without what stands below it."""
    if not hasattr(statement, "body"):
        return statement
    bare = copy.copy(statement)
    for field in ("body", "orelse", "finalbody", "handlers", "decorator_list"):
        if hasattr(bare, field):
            setattr(bare, field, [ast.Pass()] if field == "body" else [])
    return bare if not isinstance(statement, ast.Try) else ast.Expr(ast.Name("try"))


def _shown(node: ast.AST) -> str:
    """Return a node's source on one line, shortened; an operator's by its name."""
    if isinstance(node, ast.operator | ast.cmpop | ast.boolop):
        return type(node).__name__
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 110 else f"{text[:107]}..."
