"""Keys, tokens and passwords taken out of what is written down: command lines, reasons, tracebacks.

A secret is known by the name beside it (`--token X`, `WANDB_API_KEY=X`, `https://user:X@host`), by its form
(`hf_...`), or as the value of an environment variable with such a name. A long value counts wherever it
stands, so that an error message that quotes one does not carry it into a record.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence

REDACTED = "REDACTED"
LEAST_VALUE = 8
"""Shorter values of environment variables are not looked for: they could be any word."""

_SECRET_WORD = r"(?:api_?key|token|secret|passw(?:or)?d|passphrase|credentials?)"
# The last word of a name decides: `max_tokens` and `token_count` are not secrets, `HF_TOKEN` is.
_NAME = re.compile(rf".*{_SECRET_WORD}|(?:.*[^a-z])?(?:pat|(?:access|secret|private|auth)?key)", re.I)
_FORMS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|sk-[\w-]{20,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"
)
_USER_INFO = re.compile(r"(?<=://)([^\s/:@]*):[^\s/@]+(?=@)")
_HEADER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.I)
# Free text is mostly prose and code: a value is long, stands after `=` without spaces, or has a digit.
_BESIDE_NAME = re.compile(
    rf"(?P<name>(?<![\w-])(?:--)?[\w.-]*(?:{_SECRET_WORD}|[a-z]+[_-]key)[\"']?)"
    r"(?P<sign>=|[ \t]*[=:][ \t]*(?=\S*\d)|[ \t]+(?=\S*\d))(?P<quote>[\"']?)(?P<value>(?!/)[\w./+=~-]{8,})",
    re.I,
)


def is_secret_name(name: str) -> bool:
    """Return whether a variable, option or key of this name holds a secret."""
    return _NAME.fullmatch(name) is not None


def command_line(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the words of a command without the values of secret options and assignments.

    Args:
        words: the program and its arguments.
        environment: variables whose secret values are looked for.
    """
    shown, value_of_secret = [], False
    for word in words:
        name, equals, _ = word.partition("=")
        if value_of_secret and not word.startswith("--"):
            shown.append(REDACTED)
        elif equals and is_secret_name(name.lstrip("-+~")):
            shown.append(f"{name}={REDACTED}")
        else:
            shown.append(text(word, environment))
        value_of_secret = not equals and word.startswith("-") and is_secret_name(word.lstrip("-"))
    return tuple(shown)


def text(written: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return free text, such as an error message or a traceback, without secrets.

    Args:
        written: the text.
        environment: variables whose secret values are looked for.
    """
    for value in _values(environment):
        written = written.replace(value, REDACTED)
    written = _FORMS.sub(REDACTED, written)
    written = _USER_INFO.sub(rf"\1:{REDACTED}", written)
    written = _HEADER.sub(rf"\1 {REDACTED}", written)
    return _BESIDE_NAME.sub(_without_value, written)


def shell_line(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> str:
    """Return `command_line` quoted for a shell."""
    return shlex.join(command_line(words, environment))


def _without_value(match: re.Match[str]) -> str:
    # Only an option (`--token VALUE`) needs no sign between its name and its value.
    if match["sign"].isspace() and not match["name"].startswith("--"):
        return match[0]
    return f"{match['name']}{match['sign']}{match['quote']}{REDACTED}"


def _values(environment: Mapping[str, str]) -> list[str]:
    """Return the secret values of the environment, the longest first, since one may contain another."""
    values = {
        value
        for name, value in environment.items()
        # A variable such as SSL_KEY=/etc/key.pem names a file, which is no secret.
        if is_secret_name(name) and len(value) >= LEAST_VALUE and not value.startswith(("/", "~", "./"))
    }
    return sorted(values, key=len, reverse=True)
