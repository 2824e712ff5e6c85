"""Descriptions of small data sets, counted by hand or in plain Python, and the parsed page."""

import json
import random
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.cli.tables import description_tables
from bench.data.dataset import Dataset, Split, TestSet
from bench.data.sequences import encode
from bench.describe.facts import Description, as_json, describe
from bench.describe.page import count, share, verdicts, write_page
from bench.registry import TASKS
from bench.task import Task

Rows = list[tuple[str, float]]
FLANKS = ("GG", "CCC")


@dataclass(frozen=True)
class ToyOptions:
    pass


class Toy(Task):
    Options = ToyOptions
    row_sets = ("private", "all")
    card = TaskCard(
        summary="a toy <b>assay</b>",
        version=3,
        row="one toy",
        target="loudness, dB",
        primary="all/pearson",
        source=Source(
            citation="Nobody, doi:10.1/toy", url="https://example.org/toy", license="MIT"
        ),
    )

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        raise NotImplementedError

    def read_test(self, directory: Path) -> TestSet:
        raise NotImplementedError

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        raise NotImplementedError

    def missing_file(self, test: TestSet, rows: str) -> str | None:
        return "public.json" if rows == "private" and "public" in test.missing else None

    def scoring_groups(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        every = super().scoring_groups(test, rows)
        return every if rows == "all" else {"all": every["all"][1:]}


def split(rows: Rows) -> Split:
    return Split(encode([text for text, _ in rows]), np.array([target for _, target in rows]))


def dataset(train: Rows, validation: Rows, test: Rows, name: str = "toy") -> Dataset:
    part = split(test)
    subsets = {"snv": np.array([[0, 1]]), "odd": np.array([0])}
    return Dataset(
        name=name,
        version=3,
        options={"fraction": 0.5},
        usual_length=9,
        flanks=(2, 3),
        train=split(train),
        validation=split(validation),
        test=TestSet(part.sequences, part.target, name, subsets, {"rare": "rare.csv"}),
        notes={"</script><b>": "&amp"},
    )


def dressed(insert: str) -> str:
    return FLANKS[0] + insert + FLANKS[1]


TRAIN: Rows = [
    (dressed("ACGT"), 1.0),
    (dressed("ACGT"), 2.0),
    (dressed("AANA"), 2.5),
    (dressed("GGGCA"), 4.0),
]
VALIDATION: Rows = [(dressed("TTTT"), -1.0)]
TEST: Rows = [(dressed("ACGT"), 0.5), (dressed("CATG"), 0.25)]


def described(data: Dataset) -> Description:
    return describe(data, Toy(ToyOptions()))


def dna(source: random.Random, letters: int) -> str:
    return "".join(source.choices("ACGT", weights=[3, 2, 2, 4], k=letters))


class Page(HTMLParser):
    """Parser that collects the texts of a page and checks that its elements close in order."""

    VOID = frozenset({"meta", "br", "link", "img", "hr"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def within(self, *tags: str) -> list[str]:
        return [text.strip() for tag, text in self.texts if tag in tags]

    def attributes(self, name: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(name)) is not None]


def page(description: Description, folder: Path) -> Page:
    write_page(description, folder / "page.html")
    return Page(folder / "page.html")


def test_rows_lengths_and_letters_are_counted_without_flanks() -> None:
    train = described(dataset(TRAIN, VALIDATION, TEST)).splits["train"]
    assert (train.rows, train.shortest, train.median_length, train.longest) == (4, 9, 9.0, 10)
    assert train.lengths == {"9": 3, "10": 1}
    # ACGT ACGT AANA GGGCA: 16 known letters, 6 A, 3 C, 5 G, 2 T.
    assert train.letters.bases == pytest.approx(
        {"A": 6 / 16, "C": 3 / 16, "G": 5 / 16, "T": 2 / 16}
    )
    assert train.letters.rows_with_n == 1
    assert train.letters.share_of_n == pytest.approx(1 / 17)
    assert train.letters.gc_mean == pytest.approx(statistics.mean([0.5, 0.5, 0, 0.8]))
    assert train.letters.gc_deviation == pytest.approx(statistics.pstdev([0.5, 0.5, 0, 0.8]))
    bins = {i: rows for i, rows in enumerate(train.letters.gc_histogram) if rows}
    assert bins == {0: 1, 20: 2, 32: 1}  # of 2.5% each
    holed = described(dataset([(dressed("GGNA"), 1.0)], VALIDATION, TEST)).splits["train"].letters
    assert [i for i, rows in enumerate(holed.gc_histogram) if rows] == [26]  # 2 of 3 letters
    # A A A G, C C A G, G G . G, T T A C: a usual row has four positions.
    expected = [[0.75, 0, 0.25, 0], [0.25, 0.5, 0.25, 0], [0, 0, 1, 0], [0.25, 0.25, 0, 0.5]]
    assert train.letters.by_position == pytest.approx(np.array(expected))


def test_targets_are_summed_up_as_by_the_standard_library() -> None:
    source = random.Random(0)
    values = [float(source.randrange(18)) for _ in range(40)]
    values += [source.uniform(0, 17) for _ in range(60)]
    rows = [(dressed(dna(source, 6)), value) for value in values]
    targets = described(dataset(rows, VALIDATION, TEST)).splits["train"].targets
    assert targets.minimum == min(values)
    assert targets.maximum == max(values)
    assert targets.median == pytest.approx(statistics.median(values))
    assert targets.mean == pytest.approx(statistics.fmean(values))
    assert targets.deviation == pytest.approx(statistics.pstdev(values))
    assert targets.share_whole == 0.4
    assert (sum(targets.rows), sum(targets.whole)) == (100, 40)
    assert (targets.edges[0], targets.edges[-1]) == (min(values), max(values))
    first = sum(targets.edges[0] <= value < targets.edges[1] for value in values)
    assert targets.rows[0] == first


def test_noise_between_repeats_bounds_the_correlation() -> None:
    source = random.Random(1)
    inserts = [dna(source, 40) for _ in range(400)]
    truth = [source.gauss(0, 1) for _ in inserts]
    rows = [
        (dressed(insert), value + source.gauss(0, 0.5))
        for insert, value in zip(inserts, truth, strict=True)
        for _ in range(3)
    ]
    facts = described(dataset(rows, VALIDATION, TEST)).splits["train"].replicates
    assert (facts.sequences, facts.rows, facts.differing) == (400, 1200, 400)
    assert facts.deviation == pytest.approx(0.5, rel=0.05)
    # The ceiling equals the correlation of the true values with single measurements.
    measured = [value for _, value in rows]
    best = np.corrcoef(np.repeat(truth, 3), measured)[0, 1]
    assert facts.ceiling == pytest.approx(best, abs=0.01)


def test_few_repeats_give_no_ceiling_and_none_no_deviation() -> None:
    splits = described(dataset(TRAIN, VALIDATION, TEST)).splits
    train, validation = splits["train"].replicates, splits["validation"].replicates
    assert (train.sequences, train.rows, train.differing) == (1, 2, 1)
    assert train.deviation == pytest.approx(np.sqrt(0.5))
    assert train.ceiling is None
    assert (validation.sequences, validation.deviation, validation.ceiling) == (0, None, None)
    for repeated, has_ceiling in [(29, False), (30, True)]:
        source = random.Random(2)
        texts = [dressed(dna(source, 30)) for _ in range(repeated)]
        rows = [(text, source.random()) for text in texts * 2]
        facts = described(dataset(rows, VALIDATION, TEST)).splits["train"].replicates
        assert (facts.sequences, facts.ceiling is not None) == (repeated, has_ceiling)


def leaky() -> Dataset:
    """Return 50 test rows; 1, 2, … 6 of them are 0, 1, … 5 substitutions from a training row."""
    source = random.Random(3)
    inserts = [dna(source, 80) for _ in range(50)]
    train = [(dressed(dna(source, 80)), source.random()) for _ in range(30)]
    chosen = iter(inserts)
    for distance in range(6):
        for _ in range(distance + 1):
            letters = list(next(chosen))
            for place in source.sample(range(80), distance):
                letters[place] = "ACGT"["ACGT".index(letters[place]) - 1]
            train.append((dressed("".join(letters)), source.random()))
    test = [(dressed(insert), source.random()) for insert in inserts]
    validation = [(dressed(dna(source, 80)), source.random()) for _ in range(5)]
    return dataset(train, validation, test)


def test_a_leak_is_counted_by_distance_and_put_into_words() -> None:
    description = described(leaky())
    found = {(overlap.of, overlap.among): overlap for overlap in description.overlaps}
    leak = found["test", "train"]
    assert leak.by_distance == [1, 2, 3, 4, 5, 6]
    assert (leak.near, leak.rows, leak.incomplete) == (21, 50, 0)
    assert found["test", "validation"].near == found["validation", "train"].near == 0
    assert verdicts(description) == [
        "21 test rows (42.0%) are within 5 substitutions of a training row, 1 of them at distance "
        "0: scores on these rows measure memory, not prediction.",
        "No test row is within 5 substitutions of a validation row.",
        "No validation row is within 5 substitutions of a training row.",
    ]


def test_a_verdict_says_where_the_search_cannot_promise() -> None:
    source = random.Random(4)
    test = [(dressed(dna(source, 80)), 1.0), (dressed(dna(source, 30)), 2.0)]
    rows = [(dressed(dna(source, 80)), 1.0), (dressed(dna(source, 80)), 2.0)]
    description = described(dataset(rows, rows, test))
    assert description.overlaps[0].incomplete == 1
    assert verdicts(description)[0] == (
        "No test row is within 5 substitutions of a training row. For 1 test rows (50.0%), short "
        "or repetitive, the search is complete only up to fewer substitutions."
    )
    found = described(dataset([*rows, test[1]], rows, test)).overlaps[0]
    assert (found.near, found.incomplete) == (1, 0)  # a near row that was found is certain
    assert verdicts(description)[2].startswith(
        "2 validation rows (100.0%) are within 5 substitutions of a training row, 2 of them"
    )


def test_subsets_have_sizes_and_missing_files_names() -> None:
    data = dataset(TRAIN, VALIDATION, TEST)
    whole = asdict(described(data))
    assert whole["units"] == {
        "private": {"all": {"kind": "rows", "size": 1}},
        "all": {
            "all": {"kind": "rows", "size": 2},
            "snv": {"kind": "pairs", "size": 1},
            "odd": {"kind": "rows", "size": 1},
        },
    }
    assert (whole["missing"], whole["lacking"]) == ({"rare": "rare.csv"}, {})
    test = replace(data.test, missing={"public": "public.json"})
    partial = described(replace(data, test=test))
    assert list(partial.units) == ["all"]
    assert partial.lacking == {"private": "public.json"}


def test_a_split_without_rows_is_left_out(tmp_path: Path) -> None:
    description = described(dataset(TRAIN, [], TEST))
    assert list(description.splits) == ["train", "test"]
    assert [(overlap.of, overlap.among) for overlap in description.overlaps] == [("test", "train")]
    assert "validation" not in " ".join(page(description, tmp_path).within("th", "span"))


@pytest.mark.parametrize("data", [dataset(TRAIN, VALIDATION, TEST), leaky()], ids=["tiny", "leaky"])
def test_the_page_is_whole_and_refers_to_nothing_outside(data: Dataset, tmp_path: Path) -> None:
    description = described(data)
    found = page(description, tmp_path)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"https://example.org/toy"}
    assert found.attributes("href") == ["https://example.org/toy"]
    assert found.attributes("src") == []
    assert "@import" not in text
    ids = found.attributes("id")
    assert len(ids) == len(set(ids)), [name for name, n in Counter(ids).items() if n > 1]
    targets = re.findall(r"url\(([^)]*)\)", text) + found.attributes("xlink:href")
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    # All colours of the plots are variables that the page defines.
    assert set(re.findall(r"var\((--\w+)\)", text)) <= set(re.findall(r"(--\w+):", text))
    assert "#0a0b" not in text
    figures = [attrs for tag, attrs in found.elements if tag == "figure"]
    assert len(figures) == (5 if description.overlaps[0].near else 4)
    assert all(len(attrs["aria-label"] or "") > 20 for attrs in figures)
    assert sum(tag == "svg" for tag, _ in found.elements) == len(figures)


def test_the_page_holds_the_whole_description_and_its_cells_the_figures(tmp_path: Path) -> None:
    description = described(leaky())
    found = page(description, tmp_path)
    (script,) = (text for tag, text in found.texts if tag == "script")
    assert json.loads(script) == asdict(description)
    cells = found.within("td", "b", "dd", "li", "code", "span")
    said = " ".join(cells)
    for facts in description.splits.values():
        targets = facts.targets
        for n in (facts.rows, facts.shortest, facts.longest, facts.replicates.sequences):
            assert f"{n:,}" in cells
        for part in (*facts.letters.bases.values(), targets.share_whole):
            assert f"{part * 100:.1f}%" in cells
        for x in (targets.minimum, targets.median, targets.mean, targets.maximum):
            assert f"{x:.3f}" in cells
    for overlap in description.overlaps:
        assert f"{overlap.near / overlap.rows * 100:.1f}%" in cells
    start = cells.index("test rows, in train")
    assert [cell for cell in cells[start:] if cell][1:7] == ["1", "2", "3", "4", "5", "6"]
    for text in (description.fingerprint, "rare.csv", "no replicates", *verdicts(description)):
        assert text in said


def test_markup_in_the_data_stays_text(tmp_path: Path) -> None:
    description = described(dataset(TRAIN, VALIDATION, TEST))
    found = page(description, tmp_path)
    assert "a toy <b>assay</b>" in found.within("p")
    assert "</script><b>" in found.within("dt")
    (script,) = (text for tag, text in found.texts if tag == "script")
    assert json.loads(script)["notes"] == {"</script><b>": "&amp"}


def test_simulated_data_are_called_so_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, aloud in [("toy", False), ("toy-simulated", True)]:
        description = described(dataset(TRAIN, VALIDATION, TEST, name))
        assert description.simulated == aloud
        found = page(description, tmp_path)
        assert any(text.startswith("SIMULATED") for text in found.within("p")) == aloud
        assert any(text.startswith("SIMULATED") for text in found.within("title")) == aloud
        description_tables(description)
        assert ("SIMULATED" in capsys.readouterr().out) == aloud


def test_a_description_comes_back_from_json() -> None:
    for data in (dataset(TRAIN, VALIDATION, TEST), leaky()):
        description = described(data)
        assert json.loads(as_json(description)) == asdict(description)


def test_the_terminal_shows_the_figures_and_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    description = described(leaky())
    description_tables(description)
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["rows", "51", "5", "50"] in lines
    assert ["test", "rows,", "in", "train", "1", "2", "3", "4", "5", "6", "21", "42.0%"] in lines
    assert ["odd", "(rows)", "-", "1"] in lines
    assert all(text in out for text in verdicts(description))


def test_numbers_are_written_for_people() -> None:
    assert [count(1234567), count(110.0), count(109.5)] == ["1,234,567", "110", "109.5"]
    shares = [share(x) for x in (0.0, 0.0004, 0.1234, 0.9996, 1.0)]
    assert shares == ["0.0%", "<0.1%", "12.3%", ">99.9%", "100.0%"]


def test_the_real_promoters_are_described_as_counted_line_by_line(
    real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "dream"
    dream = TASKS.get("dream")
    task = dream(dream.Options())
    description = describe(task.read(folder, folder), task)
    lines = (folder / "filtered_test_data_with_MAUDE_expression.txt").read_text().split("\n")
    texts = [line.split("\t")[0][17:-13] for line in lines if line]
    letters = Counter("".join(texts))
    test = description.splits["test"]
    assert test.rows == len(texts)
    assert test.letters.bases == pytest.approx(
        {base: letters[base] / (letters.total() - letters["N"]) for base in "ACGT"}
    )
    known = [len(text) - text.count("N") for text in texts]
    gc = [(text.count("G") + text.count("C")) / n for text, n in zip(texts, known, strict=True)]
    assert test.letters.gc_mean == pytest.approx(statistics.fmean(gc))
    assert description.splits["train"].targets.share_whole == pytest.approx(0.58, abs=0.01)
    assert verdicts(description)[0] == "No test row is within 5 substitutions of a training row."
    assert description.units["public"]["all"].size == 9045
    assert "71,103" in page(description, tmp_path).within("b")
