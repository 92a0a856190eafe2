"""The strings that stand below the attributes of a class, which Python itself does not keep (PEP 224)."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap


def attribute_texts(kind: type) -> dict[str, str]:
    """Return attribute -> the string below it in the class, on one line; read from the source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for attribute, below in itertools.pairwise(definition.body):
        if (
            isinstance(attribute, ast.AnnAssign)
            and isinstance(attribute.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            texts[attribute.target.id] = " ".join(below.value.value.split())
    return texts
