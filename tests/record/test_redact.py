"""Secrets in command lines and in free text."""

from __future__ import annotations

import pytest

from isoflop.record import redact

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("WANDB_API_KEY", True),
        ("HF_TOKEN", True),
        ("GITHUB_PAT", True),
        ("accessKey", True),
        ("hftoken", True),
        ("db-password", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("tokens", False),
        ("max_tokens", False),
        ("token_count", False),
        ("monkey", False),
        ("path", False),
        ("model.width", False),
    ],
)
def test_the_last_word_of_a_name_says_whether_it_holds_a_secret(name, secret):
    assert redact.is_secret_name(name) is secret


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("train.py", "--token", "abc"), ("train.py", "--token", "REDACTED")),
        (("train.py", "--api-key=a=b", "--lr", "1"), ("train.py", "--api-key=REDACTED", "--lr", "1")),
        (("env", f"WANDB_API_KEY={KEY}", "python"), ("env", "WANDB_API_KEY=REDACTED", "python")),
        (("x", "+tracker.api_key=1"), ("x", "+tracker.api_key=REDACTED")),
        (("x", "--use-token", "--width", "8"), ("x", "--use-token", "--width", "8")),
        (("git", "https://me:pw@host/x"), ("git", "https://me:REDACTED@host/x")),
        (("curl", "-H", "Authorization: Bearer abcdefgh1"), ("curl", "-H", "Authorization: Bearer REDACTED")),
        (("x", "hf_" + "a" * 30), ("x", "REDACTED")),
        (("isoflop", "run", "model.width=8,16"), ("isoflop", "run", "model.width=8,16")),
    ],
)
def test_a_command_line_keeps_all_but_the_values_of_secrets(words, shown):
    assert redact.command_line(words, {}) == shown


def test_a_secret_of_the_environment_is_found_wherever_it_stands():
    environment = {"MY_PASSWORD": "correct horse", "HOME": "/home/someone", "SSL_KEY": "/etc/ssl/key.pem"}
    words = ("x", "data=correct horse,/home/someone,/etc/ssl/key.pem")
    assert redact.command_line(words, environment)[1] == "data=REDACTED,/home/someone,/etc/ssl/key.pem"
    assert redact.text("login as me with correct horse failed", environment) == (
        "login as me with REDACTED failed"
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (f"WANDB_API_KEY={KEY} not accepted", "WANDB_API_KEY=REDACTED not accepted"),
        (f"{{'api_key': '{KEY}'}}", "{'api_key': 'REDACTED'}"),
        (f"ran: x --token {KEY} y", "ran: x --token REDACTED y"),
        ("SyntaxError: unexpected token: identifier", "SyntaxError: unexpected token: identifier"),
        ("sorted(rows, key=lambda row: row.x)", "sorted(rows, key=lambda row: row.x)"),
        ("--token requires something here", "--token requires something here"),
        ("ssl_key=/etc/ssl/key.pem", "ssl_key=/etc/ssl/key.pem"),
        ("KeyError: 'optim.batch_size'", "KeyError: 'optim.batch_size'"),
    ],
)
def test_free_text_loses_secrets_and_nothing_else(written, shown):
    assert redact.text(written, {}) == shown
