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


@pytest.mark.parametrize(("length", "found"), [(7, False), (8, True)])
def test_a_value_of_eight_letters_is_looked_for(length, found):
    value = "x" * length
    assert (redact.text(f"a {value} b", {"MY_TOKEN": value}) == "a REDACTED b") is found


def test_of_two_values_the_longer_is_taken_out_first():
    environment = {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefgh-and-more"}
    assert redact.text("abcdefgh-and-more abcdefgh", environment) == "REDACTED REDACTED"


@pytest.mark.parametrize("value", ["/etc/ssl/key.pem", "~/.ssh/id_rsa", "./folder/key"])
def test_a_path_is_no_secret(value):
    assert redact.text(f"read {value}", {"SSL_KEY": value}) == f"read {value}"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--token", "--width", "8"), ("--token", "--width", "8")),  # it has no value
        (("--token", "a", "b"), ("--token", "REDACTED", "b")),
        (("token", "a"), ("token", "a")),  # no option
        (("--token=", "a"), ("--token=REDACTED", "a")),
        (("~tracker.api_key=1",), ("~tracker.api_key=REDACTED",)),
        (("-token", "a"), ("-token", "REDACTED")),
    ],
)
def test_the_value_of_a_secret_option_is_the_word_behind_it(words, shown):
    assert redact.command_line(words, {}) == shown


def test_a_line_for_a_shell_is_quoted():
    assert redact.shell_line(["run", "--token", "a", "name=two words"], {}) == (
        "run --token REDACTED 'name=two words'"
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("api_key: abcdefgh1", "api_key: REDACTED"),
        ("api_key: abcdefghi", "api_key: abcdefghi"),  # prose
        ("api_key=abcdefghi", "api_key=REDACTED"),
        ("--token abcdefgh1", "--token REDACTED"),
        ("token abcdefgh1", "token abcdefgh1"),
        ("password = 'abcdefg1'", "password = 'REDACTED'"),
        ("api_key=abcdefg", "api_key=abcdefg"),
    ],
)
def test_beside_a_name_a_long_value_is_a_secret(written, shown):
    assert redact.text(written, {}) == shown
