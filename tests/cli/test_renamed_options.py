"""Options that had other names in the last release: still taken, with a notice."""

import pytest

from bench.cli.program import cli


@pytest.mark.parametrize(
    ("command", "before", "now", "wanted"),
    [
        ("leaderboard", ["--track", "paper"], "--protocol", {"protocol": "paper"}),
        ("leaderboard", ["--track=paper"], "--protocol", {"protocol": "paper"}),
        ("leaderboard", ["--figure", "all/mse"], "--score", {"score": "all/mse"}),
        ("search", ["--beat", "3"], "--heartbeat", {"beat": 3.0}),
        ("predict", ["--submission"], "--format json", {"form": "json"}),
    ],
)
def test_an_earlier_name_is_taken_with_a_notice(
    command: str,
    before: list[str],
    now: str,
    wanted: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    needed = {
        "leaderboard": ["--task", "t"],
        "search": [],
        "predict": ["--run", "r", "--sequences", "s"],
    }
    given = cli.commands[command].make_context(command, [*needed[command], *before]).params
    assert wanted.items() <= given.items()
    name = before[0].partition("=")[0]
    assert capsys.readouterr().err == f"bench: {name} is called {now} now.\n"


def test_todays_names_are_taken_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--task", "t", "--protocol", "paper", "--score", "all/mse"]
    given = cli.commands["leaderboard"].make_context("leaderboard", arguments).params
    assert (given["protocol"], given["score"]) == ("paper", "all/mse")
    assert capsys.readouterr().err == ""
