"""Expressions over the columns of a table: parsed by Python's ast, and refused where they are not arithmetic,
comparison or logic of columns, numbers and text.

    dataset == "c4" and not outlier        a condition, of --where and --hold-out
    6 * params * tokens                    a number, of --x, --y and the other options that name a column

There are no calls, attributes or indices, so that an expression can do nothing but compute from columns.
"""

from __future__ import annotations

import ast
import dataclasses
import keyword
import re
import warnings
from collections.abc import Iterable, Mapping

from isoflop.table import columns

LONGEST = 2000
"""Characters of an expression; a longer one is refused, before Python's parser nests too deep."""

DEEPEST = 100
"""Levels of a syntax tree: far below Python's limit of recursion."""
RESERVED = frozenset({"and", "or", "not", "in", "True", "False", "None"})
"""Words of the language, which name no column unless they stand in backticks."""

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
EQUALITY = (ast.Eq, ast.NotEq)
MEMBERSHIP = (ast.In, ast.NotIn)
_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.UAdd, ast.USub, ast.BinOp),
    *(ast.Compare, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple, ast.Set),
    *ARITHMETIC,
    *ORDER,
    *EQUALITY,
    *MEMBERSHIP,
)
_ADVICE: Mapping[type[ast.AST], str] = {
    ast.Call: "a call is not taken: the laws take logarithms themselves",
    ast.Attribute: "an attribute is not taken",
    ast.Subscript: "an index is not taken",
    ast.BitAnd: "write and for &",
    ast.BitOr: "write or for |",
    ast.BitXor: "write ** for a power",
    ast.Invert: "write not for ~",
    ast.Is: "write == for is",
    ast.IsNot: "write != for is not",
}
_WORD = re.compile(r"\s*(?P<word>[^\s<>=!()\[\],'\"`#]+)(?=\s*$|\s*\)|\s+(?:and|or)\s)")
_IDENTIFIER = re.compile(r"(?<![\w.])[^\W\d]\w*")
_COMPARING = "<>=!'\"`"


@dataclasses.dataclass(frozen=True)
class Expression:
    """An expression that holds allowed nodes only.

    Attributes:
        text: as the user wrote it.
        option: that takes it, for messages.
        body: the syntax tree, in which placeholders stand for text and for names that Python cannot read.
        texts: placeholder -> the text in quotes, or the bare word after == and !=.
        bare: the placeholders among `texts` that stand for a word without quotes.
        names: identifier or placeholder -> the column.
    """

    text: str
    option: str
    body: ast.expr
    texts: Mapping[str, str]
    bare: frozenset[str]
    names: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, in the order in which they stand."""
        nodes = sorted(
            (node for node in ast.walk(self.body) if isinstance(node, ast.Name)),
            key=lambda node: (node.lineno, node.col_offset),
        )
        return tuple(dict.fromkeys(self.names[node.id] for node in nodes if node.id in self.names))

    def shown(self, node: ast.AST) -> str:
        """Return a part of the expression as the user would write it."""
        text = ast.unparse(node)
        stands_for = dict(self.names)
        stands_for |= {key: value if key in self.bare else repr(value) for key, value in self.texts.items()}
        return re.sub(r"\w+", lambda match: stands_for.get(match[0], match[0]), text)

    def error(self, why: str) -> ValueError:
        """Return the error that says why the expression is refused, after the option and the expression."""
        return refusal(self.option, self.text, why)


def refusal(option: str, text: str, why: str) -> ValueError:
    """Return the error of an option's expression."""
    return ValueError(f"--{option} {text}: {why}")


def parse(text: str, available: Iterable[object], option: str) -> Expression:
    """Parse an expression over the columns `available`.

    A name that Python can read stands for itself; any other may stand as it is written in the file, or in
    backticks. W&B's summary.NAME and config.NAME are found by NAME (columns.find). Text stands in quotes; a
    bare word after == or != that names no column is text too.

    Args:
        text: the expression.
        available: names of the table's columns.
        option: that takes it, without dashes.

    Raises:
        ValueError: one line: it does not parse, names a column that is not there, or holds a call, an
            attribute or anything else that is not allowed.
    """
    if not text.strip():
        raise refusal(option, text, "an empty expression: give a column, or arithmetic of columns")
    if len(text) > LONGEST:
        raise refusal(option, f"{text[:30]}...", f"longer than {LONGEST} characters")
    scanned = _Scanner(text.replace("\n", " "), tuple(map(str, available)), option).scan()
    expression = dataclasses.replace(scanned, body=_tree(scanned, text))
    if _depth(expression.body) > DEEPEST:
        raise refusal(option, f"{text[:30]}...", "too deeply nested")
    for node in ast.walk(expression.body):
        _check(expression, node)
    return _with_names(expression, tuple(map(str, available)))


def _tree(scanned: Expression, text: str) -> ast.expr:
    assert isinstance(scanned.body, ast.Constant)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of `1is x`
            return ast.parse(str(scanned.body.value).strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        if re.search(r"(?<![<>=!])=(?!=)", text):
            why = "compare by =="
        elif isinstance(error, MemoryError | RecursionError):
            text, why = f"{text[:30]}...", "too deeply nested"
        else:
            why = (
                "not an expression: write comparisons such as train_gflops > 1e6, joined by and, or, not; "
                "text in quotes, odd names in backticks"
            )
        raise refusal(scanned.option, text, why) from None


def _depth(body: ast.expr) -> int:
    """Return the levels of a syntax tree, without recursion."""
    level: list[ast.AST] = [body]
    depth = 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _check(expression: Expression, node: ast.AST) -> None:
    """Refuse a node that is not allowed."""
    if isinstance(node, ast.Attribute | ast.Call):
        name = ast.unparse(node.func if isinstance(node, ast.Call) else node)
        known = tuple(expression.names.values())
        where = f"{expression.shown(node)}: {_ADVICE[type(node)]}"
        raise expression.error(
            where if isinstance(node, ast.Call) or name in known else f"no column {name}; {where}"
        )
    if not isinstance(node, _ALLOWED):
        advice = _ADVICE.get(type(node), "only arithmetic, comparisons, and, or, not, and in with a list")
        raise expression.error(advice)
    if isinstance(node, ast.Constant) and isinstance(node.value, complex | bytes | None | type(...)):
        raise expression.error(
            f"{ast.unparse(node)} is no number or text: rows whose value is unknown are left out anyway"
        )


def _with_names(expression: Expression, available: tuple[str, ...]) -> Expression:
    """Return the expression with the column of each identifier.

    A name in a list that is no column is a bare word, as after ==.
    """
    names, texts, bare = dict(expression.names), dict(expression.texts), set(expression.bare)
    listed = {
        id(element)
        for node in ast.walk(expression.body)
        if isinstance(node, ast.List | ast.Tuple | ast.Set)
        for element in node.elts
    }
    for node in ast.walk(expression.body):
        if not isinstance(node, ast.Name) or node.id in names or node.id in texts:
            continue
        found = find(node.id, available, expression.option, expression.text)
        if found is not None:
            names[node.id] = found
        elif id(node) in listed:
            texts[node.id] = node.id
            bare.add(node.id)
        else:
            raise expression.error(f"no column {node.id}: {columns.nearest(node.id, available)}")
    return dataclasses.replace(expression, names=names, texts=texts, bare=frozenset(bare))


def find(name: str, available: Iterable[str], option: str, text: str) -> str | None:
    """Return the column called `name`, or W&B's of that tail, or None. ValueError where it is several."""
    matches = columns.matches(name, available)
    if len(matches) > 1:
        raise refusal(option, text, f"{name} is several columns: give one of {', '.join(matches)}")
    return matches[0] if matches else None


class _Scanner:
    """Replaces what Python cannot read, or would read otherwise, by placeholders: text and odd names."""

    def __init__(self, text: str, available: tuple[str, ...], option: str) -> None:
        self.text, self.available, self.option = text, available, option
        self.texts: dict[str, str] = {}
        self.bare: set[str] = set()
        self.names: dict[str, str] = {}
        odd = [name for name in available if _is_odd(name) and not set(_COMPARING) & set(name)]
        self.odd = sorted((name for name in odd if name[:1].isalpha() or name[:1] == "_"), key=len)[::-1]
        self.prefix = "c_"
        while any(self.prefix in known for known in (text, *available)):
            self.prefix += "_"

    def scan(self) -> Expression:
        """Return the expression with its text as Python can read it as the body."""
        parts: list[str] = []
        at = 0
        while at < len(self.text):
            part, at = self._next(at)
            parts.append(part)
        body = ast.Constant("".join(parts))
        return Expression(
            self.text.strip(), self.option, body, self.texts, frozenset(self.bare), dict(self.names)
        )

    def _next(self, at: int) -> tuple[str, int]:
        """Return the source of what stands at a position, and the position after it."""
        mark = self.text[at]
        if mark in "'\"`":
            end = self.text.find(mark, at + 1)
            if end < 0:
                raise refusal(self.option, self.text, f"{mark} is not closed")
            inside = self.text[at + 1 : end]
            return (self._quoted(inside) if mark == "`" else self._literal(inside)), end + 1
        if mark == "#":
            raise refusal(self.option, self.text, "# begins nothing here: put a name with # in backticks")
        if self.text[at : at + 2] in ("==", "!="):
            return self._after_equality(at)
        if at == 0 or not (self.text[at - 1].isalnum() or self.text[at - 1] in "_."):
            name = self._odd_name(at)
            if name is not None:
                return self._column(name), at + len(name)
        return mark, at + 1

    def _after_equality(self, at: int) -> tuple[str, int]:
        """Return == or != and, if a bare word follows that is no number and no column, its placeholder."""
        sign = self.text[at : at + 2]
        match = _WORD.match(self.text, at + 2)
        if match is None or self._odd_name(match.start("word")) is not None:
            return sign, at + 2
        word = match["word"]
        inside = _IDENTIFIER.findall(word)
        known = any(columns.matches(name, self.available) or name in RESERVED for name in inside)
        if not inside or known or columns.number(word) is not None:
            return sign, at + 2
        source = self._literal(word)
        self.bare.add(source.strip())
        return sign + source, match.end()

    def _odd_name(self, at: int) -> str | None:
        """Return the longest column whose name stands at a position as it is in the file, None without."""
        for name in self.odd:
            end = at + len(name)
            if self.text.startswith(name, at) and not (
                self.text[end : end + 1].isalnum() or self.text[end : end + 1] in ("_", "(")
            ):
                self._refuse_ambiguous(name)
                return name
        return None

    def _refuse_ambiguous(self, name: str) -> None:
        """Refuse a name such as a/b where a and b are columns too."""
        parts = [part for part in _IDENTIFIER.findall(name) if part not in RESERVED]
        if not re.search(r"[-+*/]|\band\b|\bor\b", name) or not set(parts) <= set(self.available):
            return
        raise refusal(
            self.option,
            self.text,
            f"{name} is a column, and may be an expression of {' and '.join(parts)}: write `{name}` for the "
            "column, or the expression with spaces around its operators",
        )

    def _quoted(self, name: str) -> str:
        found = find(name, self.available, self.option, self.text)
        if found is None:
            nearest = columns.nearest(name, self.available)
            raise refusal(self.option, self.text, f"no column {name}: {nearest}")
        return self._column(found)

    def _column(self, name: str) -> str:
        placeholder = f"{self.prefix}n{len(self.names)}"
        self.names[placeholder] = name
        return f" {placeholder} "

    def _literal(self, text: str) -> str:
        placeholder = f"{self.prefix}t{len(self.texts)}"
        self.texts[placeholder] = text
        return f" {placeholder} "


def _is_odd(name: str) -> bool:
    """Whether Python would not read a name as it is written: it normalises what is not ASCII."""
    if name in RESERVED:
        return False
    return not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name)
