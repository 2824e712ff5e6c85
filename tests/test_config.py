"""Values that `--set` reads from text, case by case, and messages for wrong text."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any, Literal, Optional

import pytest

from bench.config import (
    as_dict,
    describe,
    override,
    setting,
    settings,
    spell,
    split_assignments,
    type_name,
)
from bench.errors import BenchError
from bench.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Knobs:
    dim: int = setting(256, "channels", low=1, high=512)
    lr: float = setting(1e-3, "peak rate", low=0)
    decay: float = setting(0.5, "a share", high=1)
    shift: float = setting(0.0, "any number")
    frozen: bool = setting(False, "whether it learns")
    rule: Literal["adam", "rmsprop"] = setting("adam", "update rule")
    strands: Literal[1, 2] = setting(1, "how many")
    length: int | None = setting(None, "positions", low=1)
    ratio: Optional[float] = setting(None, "a share or none")  # noqa: UP045
    pad: Literal["left", "right"] | None = setting(None, "a side or none")
    label: str = setting("x", "free text")
    widths: tuple[int, ...] = setting((3, 5), "several numbers", low=1, high=99)
    names: tuple[str, ...] = setting(("a",), "several words")

    def __post_init__(self) -> None:
        if self.frozen and self.lr:
            raise BenchError("model.frozen needs model.lr=0.")


def value_of(field: str, text: object) -> Any:
    return getattr(override(Knobs(), {field: text}, section="model"), field)


def message(field: str, text: object) -> str:
    with pytest.raises(BenchError) as raised:
        override(Knobs(), {field: text}, section="model")
    return str(raised.value)


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("dim", "1", 1),
        ("dim", "512", 512),
        ("dim", "+64", 64),
        ("lr", "0", 0.0),
        ("lr", "2e-4", 0.0002),
        ("lr", "3", 3.0),
        ("decay", "-7.5", -7.5),
        ("shift", "-1e9", -1e9),
        ("frozen", "false", False),
        ("frozen", "False", False),
        ("rule", "rmsprop", "rmsprop"),
        ("strands", "2", 2),
        ("length", "80", 80),
        ("length", "none", None),
        ("length", "None", None),
        ("ratio", "0.25", 0.25),
        ("ratio", "none", None),
        ("label", "two words", "two words"),
        ("label", "none", "none"),
        ("label", "12", "12"),
        ("widths", "15,20,25,30", (15, 20, 25, 30)),
        ("widths", " 7, 8 ", (7, 8)),
        ("widths", "99", (99,)),
        ("widths", [15, 20], (15, 20)),
        ("widths", (1, 1), (1, 1)),
    ],
)
def test_text_becomes_the_fields_type(field: str, text: object, expected: object) -> None:
    value = value_of(field, text)
    assert value == expected
    assert type(value) is type(expected)


def test_true_is_true_and_fields_are_set_together() -> None:
    knobs = override(Knobs(), {"lr": "0", "frozen": "TRUE", "dim": 8}, section="model")
    assert knobs == Knobs(lr=0.0, frozen=True, dim=8)


def test_the_settings_given_stay_as_they_were() -> None:
    knobs = Knobs()
    assert override(knobs, {"dim": "8"}, section="model") != knobs
    assert override(knobs, {}, section="model") == knobs == Knobs()


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("dim", "0", "model.dim must be between 1 and 512; got 0."),
        ("dim", "513", "model.dim must be between 1 and 512; got 513."),
        ("dim", 513, "model.dim must be between 1 and 512; got 513."),
        ("lr", "-1e-9", "model.lr must be at least 0; got -1e-09."),
        ("lr", "nan", "model.lr must be a finite number; got nan."),
        ("lr", math.nan, "model.lr must be a finite number; got nan."),
        ("decay", "1.5", "model.decay must be at most 1; got 1.5."),
        ("decay", "NaN", "model.decay must be a finite number; got nan."),
        ("length", "0", "model.length must be at least 1; got 0."),
        ("dim", "8.0", "model.dim is a whole number; got '8.0'."),
        ("dim", "1e2", "model.dim is a whole number; got '1e2'."),
        ("dim", "", "model.dim is a whole number; got ''."),
        ("dim", "none", "model.dim is a whole number; got 'none'."),
        ("lr", "fast", "model.lr is a number; got 'fast'."),
        ("lr", "1,5", "model.lr is a number; got '1,5'."),
        ("length", "long", "model.length is a whole number; got 'long'."),
        ("ratio", "half", "model.ratio is a number; got 'half'."),
        ("frozen", "yes", "model.frozen is true or false; got 'yes'."),
        ("frozen", "1", "model.frozen is true or false; got '1'."),
        (
            "rule",
            "rmsprob",
            "model.rule is one of adam, rmsprop; got 'rmsprob'. Did you mean 'rmsprop'?",
        ),
        ("rule", "sgd", "model.rule is one of adam, rmsprop; got 'sgd'."),
        ("strands", "3", "model.strands is one of 1, 2; got '3'."),
        ("widths", "15,0", "model.widths must be between 1 and 99; got 0."),
        ("widths", [100, 15], "model.widths must be between 1 and 99; got 100."),
    ],
)
def test_a_wrong_value_is_told_what_is_allowed(field: str, text: object, expected: str) -> None:
    assert message(field, text) == expected


@pytest.mark.parametrize(
    "given",
    ["", " ", "15,,20", "15,20,", "15 20", "(15,20)", "1.5", "15,wide", [], (), [1.5], ["x"], 15],
)
def test_several_numbers_are_whole_and_at_least_one(given: object) -> None:
    allowed = "is one or more whole numbers with commas between them"
    assert message("widths", given) == f"model.widths {allowed}; got '{given}'."


def test_several_numbers_survive_json_and_are_spelt_as_they_are_read() -> None:
    knobs = Knobs(widths=(15, 20, 25))
    kept = json.loads(json.dumps(as_dict(knobs)))
    assert kept == as_dict(knobs)  # a tuple would differ from the list in the JSON file
    assert kept["widths"] == [15, 20, 25]
    assert override(Knobs(), {"widths": kept["widths"]}, section="model") == knobs
    assert spell((15, 20, 25)) == "15,20,25"
    assert value_of("widths", spell((15, 20, 25))) == (15, 20, 25)
    row = next(row for row in describe(Knobs) if row["name"] == "widths")
    assert (row["type"], row["default"]) == ("int,…", "3,5")


FIELDS = "dim, lr, decay, shift, frozen, rule, strands, length, ratio, pad, label, widths, names"


@pytest.mark.parametrize(
    ("field", "hint"),
    [("lenght", " Did you mean 'length'?"), ("Dim", " Did you mean 'dim'?"), ("momentum", "")],
)
def test_a_wrong_field_is_told_the_nearest_and_all(field: str, hint: str) -> None:
    assert message(field, "1") == f"model has no setting '{field}'.{hint} It has: {FIELDS}."


def test_settings_without_fields_say_so() -> None:
    @dataclasses.dataclass(frozen=True)
    class Nothing:
        pass

    with pytest.raises(BenchError, match=r"^task has no setting 'a'\. It has: none\.$"):
        override(Nothing(), {"a": "1"}, section="task")


def test_a_number_without_bounds_is_still_a_number() -> None:
    assert "None" not in message("shift", "nan")


@pytest.mark.parametrize(("text", "expected"), [("left", "left"), ("none", None)])
def test_a_choice_may_be_none(text: str, expected: str | None) -> None:
    assert value_of("pad", text) == expected


def test_a_field_that_text_cannot_fill_is_refused_not_spelt_out() -> None:
    assert message("names", "b,c").startswith("model.names ")


def test_an_error_between_fields_passes_through() -> None:
    assert message("frozen", "true") == "model.frozen needs model.lr=0."


def test_assignments_are_sorted_by_section() -> None:
    given = ["model.dim=64", " recipe.lr = 1e-3 ", "model.rule=adam", "task.name=a=b", "model.x="]
    assert split_assignments(given) == {
        "model": {"dim": "64", "rule": "adam", "x": ""},
        "task": {"name": "a=b"},
        "recipe": {"lr": "1e-3"},
    }
    assert split_assignments([]) == {"model": {}, "task": {}, "recipe": {}}


@pytest.mark.parametrize("text", ["", "dim", "model.dim", "dim=3", "model=3", "model.=3", "=3"])
def test_an_assignment_has_a_section_a_field_and_a_value(text: str) -> None:
    with pytest.raises(BenchError) as raised:
        split_assignments([text])
    assert str(raised.value) == f"settings takes section.field=value, got '{text}'."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("modle.dim=3", "no section 'modle'. Did you mean 'model'? "),
        ("recipes.lr=1", "no section 'recipes'. Did you mean 'recipe'? "),
        ("optimizer.lr=1", "no section 'optimizer'. "),
        (".dim=3", "no section ''. "),
    ],
)
def test_there_are_three_sections(text: str, expected: str) -> None:
    with pytest.raises(BenchError) as raised:
        split_assignments([text])
    sections = "Sections are model, task and recipe."
    assert str(raised.value) == f"settings {text}: {expected}{sections}"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, "int"),
        (float, "float"),
        (bool, "bool"),
        (str, "str"),
        (Literal["adam", "rmsprop"], "adam | rmsprop"),
        (Literal[1, 2], "1 | 2"),
        (int | None, "int | none"),
        (Optional[float], "float | none"),  # noqa: UP045
        (Literal["left", "right"] | None, "left | right | none"),
        (tuple[int, ...], "int,…"),
    ],
)
def test_types_are_spelt_as_a_user_would(hint: object, expected: str) -> None:
    assert type_name(hint) == expected


def test_a_table_of_settings_has_a_row_for_each() -> None:
    rows = describe(Knobs)
    assert [row["name"] for row in rows] == FIELDS.split(", ")
    table = {row["name"]: (row["type"], row["default"], row["meaning"]) for row in rows}
    assert table["dim"] == ("int", "256", "channels")
    assert table["lr"] == ("float", "0.001", "peak rate")
    assert table["rule"] == ("adam | rmsprop", "adam", "update rule")
    assert table["length"] == ("int | none", "None", "positions")


def test_settings_become_plain_values() -> None:
    @dataclasses.dataclass(frozen=True)
    class Two:
        a: int = setting(1, "one")
        b: float | None = None

    assert as_dict(Two(b=0.5)) == {"a": 1, "b": 0.5}
    assert describe(Two)[1] == {
        "name": "b",
        "type": "float | none",
        "default": "None",
        "meaning": "",
    }


@settings
class Made:
    """The fields of Knobs as settings, and one that must be even."""

    dim: int = setting(256, "channels", low=1, high=512)
    lr: float = setting(1e-3, "peak rate", low=0)
    frozen: bool = setting(False, "whether it learns")
    rule: Literal["adam", "rmsprop"] = setting("adam", "update rule")
    strands: Literal[1, 2] = setting(1, "how many")
    length: int | None = setting(None, "positions", low=1)
    label: str = setting("x", "free text")
    widths: tuple[int, ...] = setting((3, 5), "several numbers", low=1)

    def __post_init__(self) -> None:
        if self.dim % 2:
            raise BenchError(f"model.dim must be even; got {self.dim}.")


def refusal(made: Callable[..., object], **values: Any) -> str:
    with pytest.raises(BenchError) as raised:
        made(**values)
    return str(raised.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"dim": 0}, "Made.dim must be between 1 and 512; got 0."),
        ({"dim": 2.0}, "Made.dim is a whole number; got 2.0."),
        ({"dim": True}, "Made.dim is a whole number; got True."),
        ({"dim": "8"}, "Made.dim is a whole number; got '8'."),
        ({"dim": None}, "Made.dim is a whole number; got None."),
        ({"dim": 3}, "model.dim must be even; got 3."),
        ({"dim": "3"}, "Made.dim is a whole number; got '3'."),
        ({"lr": "fast"}, "Made.lr is a number; got 'fast'."),
        ({"lr": True}, "Made.lr is a number; got True."),
        ({"lr": -1}, "Made.lr must be at least 0; got -1."),
        ({"lr": math.inf}, "Made.lr must be a finite number; got inf."),
        ({"frozen": 1}, "Made.frozen is true or false; got 1."),
        ({"frozen": "true"}, "Made.frozen is true or false; got 'true'."),
        ({"rule": "sgd"}, "Made.rule is one of adam, rmsprop; got 'sgd'."),
        (
            {"rule": "Adam"},
            "Made.rule is one of adam, rmsprop; got 'Adam'. Did you mean 'adam'?",
        ),
        ({"strands": True}, "Made.strands is one of 1, 2; got True."),
        ({"strands": "1"}, "Made.strands is one of 1, 2; got '1'."),
        ({"length": 0}, "Made.length must be at least 1; got 0."),
        ({"length": "none"}, "Made.length is a whole number; got 'none'."),
        ({"label": 3}, "Made.label is text; got 3."),
        ({"widths": (3, 0)}, "Made.widths must be at least 1; got 0."),
        *(
            (
                {"widths": wrong},
                "Made.widths is one or more whole numbers with commas between them; "
                f"got '{wrong}'.",
            )
            for wrong in [(), (3, True), (1.5,), "3,5", 3]
        ),
    ],
)
def test_settings_are_checked_when_they_are_made(values: dict[str, Any], expected: str) -> None:
    assert refusal(Made, **values) == expected
    assert refusal(lambda: dataclasses.replace(Made(), **values)) == expected


def test_settings_that_are_right_are_made_as_they_are_given() -> None:
    made = Made(dim=2, lr=3, frozen=True, strands=2, length=None, label="")
    assert as_dict(made) == {
        "dim": 2,
        "lr": 3,
        "frozen": True,
        "rule": "adam",
        "strands": 2,
        "length": None,
        "label": "",
        "widths": [3, 5],
    }
    assert type(made.lr) is int  # a manifest has the given value
    assert Made(widths=[7, 8]).widths == (7, 8)  # type: ignore[arg-type]  # as JSON keeps it
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.dim = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        Made(4)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"lr": -1, "optimizer": "sgd"},
            "Recipe.optimizer is one of adam, adamw, lion, rmsprop; got 'sgd'.",
        ),
        ({"lr": -1}, "Recipe.lr must be at least 0; got -1."),
        ({"epochs": 2.5}, "Recipe.epochs is a whole number; got 2.5."),
        ({"standardize": 1}, "Recipe.standardize is true or false; got 1."),
    ],
)
def test_a_wrong_recipe_cannot_be_made(values: dict[str, Any], expected: str) -> None:
    assert refusal(Recipe, **values) == expected


def test_settings_derived_from_others_check_all_fields_and_compare_by_both_classes() -> None:
    @settings
    class Wider(Made):
        height: int = setting(1, "rows", low=1)

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.height > self.dim:
                raise BenchError("model.height is at most model.dim.")

    assert as_dict(Wider(dim=4, height=4))["height"] == 4
    assert refusal(Wider, height=0) == "Wider.height must be at least 1; got 0."
    assert refusal(Wider, dim=3) == "model.dim must be even; got 3."
    assert refusal(Wider, dim=2, height=3) == "model.height is at most model.dim."
    assert refusal(Wider, dim=600) == "Wider.dim must be between 1 and 512; got 600."


def test_a_section_names_a_wrong_field_of_settings_too() -> None:
    def changed(**values: object) -> object:
        return override(Made(), values, section="model")

    assert refusal(changed, dim="0") == "model.dim must be between 1 and 512; got 0."
    assert refusal(changed, dim=2.5) == "model.dim is a whole number; got 2.5."
    assert refusal(changed, dim="3") == "model.dim must be even; got 3."
    assert changed(dim="8", length="none") == Made(dim=8)
