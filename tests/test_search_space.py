"""Search spaces: parsing, and messages for wrong spaces."""

from pathlib import Path

import pytest

from bench.config import NoSettings
from bench.errors import BenchError
from bench.recipe import Recipe
from bench.registry import MODELS, TASKS
from bench.results.options import Request
from bench.search_space import Choice, Range, Space, Spaces, checked, parsed
from bench.sources.locate import simulated
from bench.tuning.definition import Search, declared
from bench.tuning.feasibility import Probe, check, read
from tests.tuning.helpers import SEARCH, bench, fails

TYPES = {"recipe": Recipe}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("recipe.lr=log:1e-4..1e-2", Range(1e-4, 1e-2, log=True)),
        ("recipe.lr=0.001..1", Range(0.001, 1.0)),
        ("recipe.epochs=1..6", Range(1, 6)),
        ("recipe.epochs=8, 16,4", Choice((8, 16, 4))),
        ("recipe.standardize=true,false", Choice((True, False))),
        ("recipe.optimizer=adam,rmsprop", Choice(("adam", "rmsprop"))),
        ("recipe.l2=0.5", Choice((0.5,))),
    ],
)
def test_a_space_is_read_with_its_fields_type_and_written_as_it_is_read(
    text: str, wanted: Space
) -> None:
    (found,) = parsed([text], TYPES).values()
    assert found == wanted
    assert [type(end) for end in found.ends()] == [type(end) for end in wanted.ends()]
    name = text.partition("=")[0]
    assert parsed([f"{name}={found}"], TYPES) == {name: wanted}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("model.z=1,2", "model has no setting 'z'. It has: x, y, size, fault."),
        ("recipe.lrr=1,2", "recipe has no setting 'lrr'. Did you mean 'lr'?"),
        ("task.fraction=0.1,1", "--space takes model.FIELD=SPACE or recipe.FIELD=SPACE"),
        ("model.x", "--space takes model.FIELD=SPACE"),
        ("model.y=", "--space model.y=: a value is missing."),
        ("model.y=1,,2", "--space model.y=1,,2: a value is missing."),
        ("model.y=..4", "--space model.y=..4: a value is missing."),
        ("model.x=3..1", "starts at 3.0, above its end, 1.0. Try --space model.x=1.0..3.0."),
        ("model.y=1.5..3", "model.y is a whole number; got '1.5'."),
        ("model.y=one,2", "model.y is a whole number; got 'one'."),
        ("model.fault=none,bugs", "model.fault is one of none, bug, memory, constant"),
        ("model.fault=bug..none", "model.fault is not a number"),
        ("model.x=-11..1", "model.x must be between -10 and 10; got -11.0."),
        ("model.x=log:-1..1", "a logarithmic space starts above 0; model.x starts at -1.0."),
        ("model.x=log:1", "a logarithmic space is log:LOW..HIGH"),
        ("model.x=nan..1", "model.x must be a finite number; got nan."),
        ("model.y=1,1", "lists a value twice: 1,1."),
        ("model.y=4,5", "the space of model.y holds 5, which is refused: model.y cannot be 5."),
        ("model.y=1..5", "the space of model.y holds 5, which is refused: model.y cannot be 5."),
    ],
)
def test_a_wrong_space_is_one_line_before_anything_is_written(
    given: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, *SEARCH, "--trials", "1", "--space", given)
    assert message in line
    assert not Path("runs").exists()


def test_several_numbers_at_once_are_no_space(capsys: pytest.CaptureFixture[str]) -> None:
    madlab = ("search", "--model", "madlab", "--task", "dream", "--simulate", "--trials", "1")
    message = "model.widths is a list of numbers, which a search cannot vary. Fix it by --set."
    for given in ("15,20", "15", "15..30"):
        assert fails(capsys, *madlab, "--space", f"model.widths={given}") == message
    widths: Spaces = {"widths": Choice(((7, 8), (9,)))}  # type: ignore[arg-type]
    with pytest.raises(BenchError) as raised:
        checked({"model": widths}, {"model": MODELS.get("madlab").Config})
    assert str(raised.value) == message.replace("--set", "settings")


def test_a_field_is_fixed_or_varied_and_something_has_to_vary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = ("--set", "model.x=1", "--space", "model.x=1..2")
    assert "--set and --space both name model.x" in fails(capsys, *SEARCH, *both)
    fixed = ("--set", "model.x=1", "--space", "model.y=4")
    assert "no setting varies" in fails(capsys, *SEARCH, *fixed)
    twice = ("--space", "model.x=1..2", "--space", "model.x=1..3")
    assert "names model.x twice" in fails(capsys, *SEARCH, *twice)


def test_a_value_that_only_some_company_allows_is_no_mistake() -> None:
    """MadLab's width must be a multiple of 6 x heads: 24 goes with 4 heads, its default 96 not."""
    folder = simulated(TASKS.get("dream"), "dream", rows=2000, seed=0)
    probe = Probe(read(Request(model="madlab", task="dream", data=folder)))
    request = Request(model="madlab", task="dream")
    heads = {"model.attention_heads": Choice((1, 3)), "model.hidden": Choice((36, 96))}
    check(Search(request=request, space=heads), probe)
    with pytest.raises(BenchError, match=r"attention_heads holds 5, which is refused: model\.hid"):
        check(Search(request=request, space={"model.attention_heads": Choice((1, 5))}), probe)


@pytest.mark.parametrize("name", list(MODELS.places()))
def test_what_models_declare_fits_their_settings(name: str) -> None:
    model = MODELS.get(name)
    assert declared(model) or model.Config is NoSettings


def test_an_author_who_declares_a_field_that_is_not_there_is_told() -> None:
    with pytest.raises(BenchError, match="model has no setting 'depth'"):
        checked({"model": {"depth": Range(1, 2)}}, {"model": Recipe})
    with pytest.raises(BenchError, match=r"a whole number; got '0\.5'"):
        checked({"recipe": {"epochs": Range(0.5, 2)}}, TYPES)


def test_models_prints_a_space(capsys: pytest.CaptureFixture[str]) -> None:
    bench("models", "kmer-ridge", "--space")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["model.alpha", "log:1.0..100000.0", "100.0"] in [line[:3] for line in lines]
