"""What the console prints is inert on a terminal."""

import pytest

from bench.console import Console


def test_escape_sequences_are_shown_and_line_breaks_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console()
    console.say("a\x1b[2Jb\r\nsecond λ line")
    console.warn("run \x1b]0;title\x07\u202e")
    try:
        raise KeyError("\x9b31m")
    except KeyError as error:
        console.show(error)
    said = capsys.readouterr().err
    assert said.startswith("a\\x1b[2Jb\\r\nsecond λ line\nbench: run \\x1b]0;title\\x07\\u202e\n")
    assert "Traceback (most recent call last):\n  File " in said
    assert all(line.isprintable() for line in said.split("\n"))


def test_an_error_of_another_class_shows_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    class RudeError(Exception):
        def __str__(self) -> str:
            return "\x1b[31m"

    Console().show(RudeError())
    assert "\x1b" not in capsys.readouterr().err
