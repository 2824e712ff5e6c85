"""A user's own table as a task: columns, split, notes and messages."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from bench.data.dataset import Dataset, Split
from bench.data.sequences import decode
from bench.errors import BenchError
from bench.registry import get_task
from bench.sources.user_table import TableOptions
from tests.runner.test_run import bench, elsewhere, fails, only_run

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder

HEADER = "sequence\ttarget\tsplit\n"
ROWS = "ACGT\t1.5\ttrain\nGGC\t-2\ttrain\nTTTTT\t0.25\tvalid\nacgtn\t3\tTEST\n"


def read(path: str = "t.tsv", **options: float) -> Dataset:
    task = get_task(path)
    return task(TableOptions(**options)).read(Path(), Path())  # type: ignore[arg-type]


def spelt(split: Split) -> list[tuple[str, float]]:
    letters = decode(split.sequences.tokens)
    rows = zip(letters, split.sequences.lengths, split.target, strict=True)
    return [(text[:length], target) for text, length, target in rows]


def test_rows_go_where_the_table_says() -> None:
    Path("t.tsv").write_text(HEADER + ROWS)
    dataset = read()
    assert spelt(dataset.train) == [("ACGT", 1.5), ("GGC", -2)]
    assert spelt(dataset.validation) == [("TTTTT", 0.25)]
    assert spelt(dataset.test) == [("ACGTN", 3)]
    assert (dataset.name, dataset.usual_length, dataset.flanks) == ("t", 5, (0, 0))
    assert dataset.notes["lengths"] == "3 to 5, median 4.5"


@pytest.mark.parametrize("form", ["gzip", "windows", "order", "other columns"])
def test_the_form_of_the_table_does_not_matter(form: str) -> None:
    Path("t.tsv").write_text(HEADER + ROWS)
    plain, path = read().fingerprint, Path("u.tsv.gz" if form == "gzip" else "u.tsv")
    text = HEADER + ROWS
    if form == "windows":
        text = text.replace("\n", "\r\n")
    elif form == "order":
        cells = [line.split("\t") for line in text.splitlines()]
        text = "".join(f"{c[2]}\t{c[0]}\t{c[1]}\n" for c in cells)
    elif form == "other columns":
        text = "".join(f"x\t{line}\ty z\n" for line in text.splitlines())
        text = text.replace("x\tsequence", "id\tsequence", 1).replace(
            "split\ty z", "split\tnote", 1
        )
    path.write_bytes(gzip.compress(text.encode()) if form == "gzip" else text.encode())
    assert read(str(path)).fingerprint == plain


def random_table(rows: int) -> list[str]:
    letters = np.random.default_rng(0).choice(list("ACGT"), (rows, 12))
    return ["".join(row) for row in letters]


def test_without_a_split_repeats_of_a_sequence_stay_together() -> None:
    texts = random_table(400)
    lines = [f"{text}\t{row}\n" for row, text in enumerate([*texts, *texts])]
    Path("t.tsv").write_text("sequence\ttarget\n" + "".join(lines))
    dataset = read()
    parts = [
        {text for text, _ in spelt(s)} for s in (dataset.train, dataset.validation, dataset.test)
    ]
    assert sum(map(len, parts)) == 400
    assert 0.12 * 800 < len(dataset.test) < 0.28 * 800
    assert 0 < len(dataset.validation) < 0.1 * 800
    assert dataset.notes["repeated sequences"] == 400
    assert dataset.notes["repeated sequences with different targets"] == 400
    assert dataset.notes["repeated in training: test rows"] == 0
    assert read().fingerprint == dataset.fingerprint
    assert read(split_seed=1).fingerprint != dataset.fingerprint


def test_what_a_split_of_the_table_leaks_is_counted() -> None:
    lines = "ACGT\t1\ttrain\nACGT\t2\ttest\nGG\t3\ttest\nGG\t3\tvalidation\nCC\t4\ttrain\n"
    Path("t.tsv").write_text(HEADER + lines)
    notes = read().notes
    assert notes["repeated in training: test rows"] == 1
    assert notes["repeated in training: validation rows"] == 0
    assert notes["repeated sequences with different targets"] == 1


def test_validation_is_drawn_from_training_where_the_table_has_none() -> None:
    texts = random_table(300)
    lines = [f"{t}\t{i}\t{'test' if i % 3 == 0 else 'train'}\n" for i, t in enumerate(texts)]
    Path("t.tsv").write_text(HEADER + "".join(lines))
    dataset = read()
    assert len(dataset.test) == 100
    assert len(dataset.train) + len(dataset.validation) == 200
    assert 0 < len(dataset.validation) < 30


@pytest.mark.parametrize("name", ["validation", "val", "valid", "dev", "VALIDATION", "Dev"])
def test_validation_has_four_names_in_any_case(name: str) -> None:
    Path("t.tsv").write_text(f"{HEADER}AC\t1\tTrain\nGG\t2\t{name}\nTT\t3\tTest\n")
    dataset = read()
    assert spelt(dataset.train) == [("AC", 1)]
    assert spelt(dataset.validation) == [("GG", 2)]
    assert spelt(dataset.test) == [("TT", 3)]


@pytest.mark.parametrize("options", [{"test": 0.0}, {"test": 1.0}, {"validation": 0.0}])
def test_no_split_may_be_asked_to_be_empty(options: dict[str, float]) -> None:
    with pytest.raises(BenchError, match=r"task\.test is between 0 and 1"):
        TableOptions(**options)  # type: ignore[arg-type]


def test_shares_are_of_the_sequences_and_of_those_not_tested_on() -> None:
    lines = [f"{text}\t{row}\n" for row, text in enumerate(random_table(2000))]
    Path("t.tsv").write_text("sequence\ttarget\n" + "".join(lines))
    dataset = read(test=0.6, validation=0.5)
    assert len(dataset.test) == pytest.approx(1200, abs=110)  # five std
    assert len(dataset.validation) == pytest.approx(400, abs=90)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 2000


def test_the_split_seed_draws_validation_from_a_tables_training_rows() -> None:
    texts = random_table(300)
    lines = [f"{t}\t{i}\t{'test' if i % 3 == 0 else 'train'}\n" for i, t in enumerate(texts)]
    Path("t.tsv").write_text(HEADER + "".join(lines))
    one, other = read(), read(split_seed=1)
    assert one.test.fingerprint == other.test.fingerprint
    assert one.validation.fingerprint != other.validation.fingerprint


def test_spaces_around_a_target_do_not_matter_and_four_words_are_none() -> None:
    none = "".join(f"AC\t{word}\ttrain\n" for word in ("", " ", "NA", "na", "NaN", "null", " NA "))
    Path("t.tsv").write_text(HEADER + ROWS + none + "GG\t 2.5 \ttrain\n")
    dataset = read()
    assert spelt(dataset.train)[-1] == ("GG", 2.5)
    assert dataset.notes["rows without a target, left out"] == 7


def test_sequences_repeated_with_one_target_do_not_differ() -> None:
    lines = "AC\t2\ttrain\nAC\t2\ttrain\nGG\t-3\ttrain\nTT\t1\tval\nTT\t1\ttest\nCC\t1\ttest\n"
    Path("t.tsv").write_text(HEADER + lines)
    notes = read().notes
    assert notes["repeated sequences"] == 2
    assert notes["repeated sequences with different targets"] == 0
    assert notes["repeated in training: test rows"] == 0  # TT is in validation alone
    assert notes["split"] == "the table's"


def test_a_table_lies_beside_its_toml_file_and_results_have_its_name() -> None:
    Path("deep").mkdir()
    Path("deep/u.tsv.gz").write_bytes(gzip.compress((HEADER + ROWS).encode()))
    Path("deep/t.toml").write_text('table = "u.tsv.gz"\n')
    assert read("deep/t.toml").name == "u"


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    Path("t.tsv").write_text(HEADER + ROWS + "AA\t\ttrain\nCC\tNA\ttrain\nXX\tnan\ttest\n")
    dataset = read()
    assert len(dataset.train) == 2
    assert dataset.notes["rows without a target, left out"] == 3


def test_a_toml_file_names_columns_and_flanks() -> None:
    Path("t.tsv").write_text("seq\texpression\tfold\n" + ROWS)
    Path("t.toml").write_text(
        'table = "t.tsv"\nsequence = "seq"\ntarget = "expression"\nsplit = "fold"\n'
        'summary = "a test"\nunit = "log2"\nflanks = [1, 1]\n'
    )
    dataset = read("t.toml")
    assert spelt(dataset.train)[0] == ("ACGT", 1.5)
    assert dataset.flanks == (1, 1)
    assert dataset.notes["rows with other flanks than the first"] == 3
    card = get_task("t.toml").card
    assert (card.summary, card.target, card.primary) == ("a test", "log2", "all/pearson")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (HEADER, "t.tsv: no row has a target."),
        ("", "t.tsv, row 1 is empty."),
        ("\n" + HEADER + ROWS, "t.tsv, row 1 is empty."),
        (HEADER + "\n" + ROWS, "row 2 is empty. Correct or remove the line."),
        (HEADER + ROWS[:15] + "\n" + ROWS, "row 3 is empty. Correct or remove the line."),
        (HEADER + ROWS + "A\tC\t1\ttrain\n", "row 6: 4 columns, the header has 3."),
        ("# mine\n" + HEADER + ROWS, "no column 'sequence'. The header has: # mine (tabs separate"),
        (HEADER.replace("\t", ","), "The header has: sequence,target,split (tabs separate"),
        ("Sequence\ttarget\n", "has: Sequence, target. Did you mean 'Sequence'?"),
        (HEADER.replace("split", "Split") + ROWS, "no column 'split'. The header has: sequence, t"),
        (HEADER.replace("split", "split ") + ROWS, "Did you mean 'split '?"),
        (HEADER.replace("split", "target") + ROWS, "t.tsv: 2 columns 'target'. Rename them."),
        ((HEADER + ROWS).replace("\n", "\r"), "row 1 is not UTF-8 text with a line feed"),
        (HEADER + "A\x1bC\t1\ttrain\n", "letter '\\x1b' is not one of ACGTN: 'A\\x1bC'"),
        ("seq\ttarget\nA\t1\n", "no column 'sequence'. The header has: seq, target."),
        (HEADER + "AC\thigh\ttrain\n", "row 2: target 'high' is not a finite number."),
        (HEADER + ROWS + "AC\tinf\ttrain\n", "row 6: target 'inf' is not a finite number."),
        (HEADER + ROWS + "AC\t1\tfold3\n", "row 6: split 'fold3' is not one of train, validation"),
        (HEADER + ROWS + "AC\t1\t\n", "row 6: split '' is not one of"),
        (HEADER + ROWS + "AXC\t1\ttrain\n", "row 6: letter 'X' is not one of ACGTN: 'AXC'"),
        (HEADER + ROWS + "\t1\ttrain\n", "row 6: no sequence: ''"),
        (HEADER + ROWS + "AC\t-1e39\ttrain\n", "row 6: target '-1e39' is not a finite number."),
        (
            HEADER + "AC\t" + "x" * 99 + "\ttrain\n",
            f"row 2: target '{'x' * 37}...' is not a finite",
        ),
        (HEADER + "AC\t1\t" + "x" * 99 + "\n", f"row 2: split '{'x' * 37}...' is not one of"),
        (
            HEADER + "X" * 99 + "\t1\ttrain\n",
            f"row 2: letter 'X' is not one of ACGTN: '{'X' * 37}...'",
        ),
        (HEADER + '"AC"\t1\ttrain\n', "row 2: letter '\"' is not one of"),
        (HEADER + 'AC\t"1"\ttrain\n', "row 2: target '\"1\"' is not a finite number."),
        (HEADER + "A\tNA\ttrain\nAU\t1\ttrain\n", "row 3: letter 'U'"),
        (HEADER + "AC\t1\ttrain\nAG\t2\tvalid\n", "no test rows. Mark the rows to score"),
        ("sequence\ttarget\nACGT\t1\n", "no validation rows. Mark some rows"),
        (HEADER + "AC\t1\ttest\nAG\t2\tvalid\n", "no train rows."),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(
    content: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.tsv").write_bytes(content.encode())  # keeps CR characters
    run = ("run", "--model", "kmer-ridge", "--task", "t.tsv")
    assert expected in fails(capsys, *run)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ((HEADER + ROWS).encode("utf-16"), "t.tsv, row 1: not UTF-8 text."),
        ((HEADER + ROWS).encode("utf-16-le"), "t.tsv, row 1 is not UTF-8 text"),
        ((HEADER + ROWS + "A\xe9\t1\ttrain\n").encode("latin-1"), "t.tsv, row 6: not UTF-8 text."),
        (
            gzip.compress((HEADER + ROWS).encode(), mtime=0)[:-4],
            "t.tsv is cut short or damaged after row 5.",
        ),
        (b"\x1f\x8bno", "t.tsv is cut short or damaged after row 0."),
    ],
)
def test_a_table_that_is_no_text_is_one_line(content: bytes, expected: str) -> None:
    Path("t.tsv").write_bytes(content)
    with pytest.raises(BenchError) as raised:
        read()
    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize("name", ["t*.tsv", "t[uv].tsv", "t?.tsv"])
def test_a_name_is_no_pattern(name: str) -> None:
    Path("tu.tsv").write_text(HEADER + ROWS + ROWS)
    Path(name).write_text(HEADER + ROWS)
    assert len(read(name).train) == 2


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\t\t\n"])
def test_blank_lines_at_the_end_are_no_rows(end: str) -> None:
    Path("t.tsv").write_bytes((HEADER + ROWS + end).encode())
    dataset = read()
    assert dataset.notes["rows without a target, left out"] == 0
    assert len(dataset.train) == 2


@pytest.mark.parametrize("column", ["row", "", "0", "target_duplicated_0"])
def test_a_column_may_have_any_name(column: str) -> None:
    text = "".join(f"{line}\t7\n" for line in ROWS.splitlines())
    Path("t.tsv").write_text(f"sequence\ttarget\tsplit\t{column}\n{text}")
    assert spelt(read().train) == [("ACGT", 1.5), ("GGC", -2)]


def test_a_column_of_the_toml_file_may_be_called_row() -> None:
    Path("t.tsv").write_text("sequence\trow\tsplit\n" + ROWS)
    Path("t.toml").write_text('\ufefftable = "t.tsv"\ntarget = "row"\n', encoding="utf-8")
    assert spelt(read("t.toml").test) == [("ACGTN", 3)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flanks = [2, 1]", "t.tsv, row 3: nothing between flanks of 3 nt: 'GGC'"),
        ("flanks = [99999999999999999999, 0]", "t.tsv, row 2: nothing between flanks"),
        ('split = "fold"', "t.tsv: no column 'fold'. The header has: sequence, target, split."),
    ],
)
def test_a_toml_file_that_does_not_fit_its_table_is_one_line(line: str, expected: str) -> None:
    Path("t.tsv").write_text(HEADER + ROWS)
    Path("t.toml").write_text(f'table = "t.tsv"\n{line}\n')
    with pytest.raises(BenchError) as raised:
        read("t.toml")
    assert str(raised.value).startswith(expected)


def test_rows_whose_flanks_are_not_constant_are_counted() -> None:
    lines = "ACTT\t1\ttrain\nAGGTT\t2\ttrain\nAGGTA\t3\tval\nCGTT\t4\ttest\n"
    Path("t.tsv").write_text(HEADER + lines)
    Path("t.toml").write_text('table = "t.tsv"\nflanks = [1, 2]\n')
    assert read("t.toml").notes["rows with other flanks than the first"] == 2
    assert read().notes["rows with other flanks than the first"] == 0


@pytest.mark.parametrize("name", ["dream.tsv", "dream-simulated.tsv.gz", ".tsv"])
def test_results_of_a_table_are_not_filed_under_another_tasks_name(name: str) -> None:
    Path(name).write_text(HEADER + ROWS)
    with pytest.raises(BenchError, match=r"Rename the file\.$"):
        get_task(name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("table = t.tsv", "t.toml: "),
        ("", 'table = "FILE.tsv" is missing'),
        (
            'table = "t.tsv"\ncolumn = "x"',
            "'column' is unknown. It takes: columns, flanks",
        ),
        ('table = "gone.tsv"', "no such table: gone.tsv"),
        ('table = "t.tsv"\nflanks = 3', "flanks are two numbers"),
        ('table = "t.tsv"\nflanks = [1.5, 2]', "flanks are two numbers"),
        ('table = "t.tsv"\nflanks = [-1, 2]', "flanks are two numbers"),
        ('table = "t.tsv"\nflanks = [true, false]', "flanks are two numbers"),
        ('table = "t.tsv"\nflanks = [1, 2, 3]', "flanks are two numbers"),
        ('table = "t.tsv"\ntarget = "split"', "are three columns, not 'sequence', 'split' and"),
        ("table = " + "[" * 3000, "t.toml: maximum recursion depth"),
        ('table = "t.tsv"\ntarget = 3', "target is a text in quotes"),
    ],
)
def test_what_is_wrong_with_a_toml_file_is_one_line(content: str, expected: str) -> None:
    Path("t.tsv").write_text(HEADER + ROWS)
    Path("t.toml").write_text(content)
    with pytest.raises(BenchError) as raised:
        get_task("t.toml")
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_toml_file_that_is_no_text_is_one_line() -> None:
    Path("t.toml").write_bytes(b'table = "\xff.tsv"\n')
    with pytest.raises(BenchError, match=r"^t\.toml: "):
        get_task("t.toml")


def test_a_table_trains_scores_and_scores_again(capsys: pytest.CaptureFixture[str]) -> None:
    texts = random_table(900)
    lines = [f"{text}\t{text.count('G') + text.count('C')}\n" for text in texts]
    Path("gc.tsv").write_text("sequence\ttarget\n" + "".join(lines))
    run_on = ("run", "--task", "gc.tsv", "--no-tracking", "--model")
    bench(*run_on, "kmer-ridge", "--set", "task.test=0.3", "--set", "model.k=1")
    run, manifest = only_run()
    assert manifest["metrics"]["test/all/pearson"] > 0.95
    assert manifest["data"]["name"] == "gc"
    capsys.readouterr()
    bench("score", "--run", str(run), "--json")
    again = json.loads(capsys.readouterr().out)
    assert again["subsets"]["all"]["pearson"] == manifest["metrics"]["test/all/pearson"]
    small = ["--set", "model.dim=16", "--set", "model.blocks=1", "--set", "recipe.batch_size=64"]
    bench(*run_on, "proformer", *small, "--max-steps", "3")


def test_the_measured_windows_are_a_task(real_data: Path) -> None:
    """With a split by chromosomes, a ridge scores much lower than with a random split."""
    text = gzip.decompress((real_data / "gm12878" / "windows.tsv.gz").read_bytes()).decode()
    Path("w.tsv").write_text(text.replace("\tvalid\n", "\ttest\n"))
    Path("w.toml").write_text('table = "w.tsv"\ntarget = "gm12878"\n')
    bench("run", "--model", "kmer-ridge", "--task", "w.toml", "--no-tracking")
    metrics = only_run()[1]["metrics"]
    assert 0.38 < metrics["test/all/pearson"] < 0.5
    assert metrics["validation/pearson"] > metrics["test/all/pearson"] + 0.1


def test_an_encoded_table_stands_for_the_table_and_no_other_folder_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [f"{text}\t{text.count('G')}\n" for text in random_table(300)]
    Path("t.tsv").write_text("sequence\ttarget\n" + "".join(lines))
    command = ["run", "--task", "t.tsv", "--model", "kmer-ridge", "--no-tracking"]
    bench(*command, "--home", "raw")
    bench("data", "encode", "t.tsv", "--out", "encoded")
    bench(*command, "--home", "encoded-too", "--data", "encoded")
    raw, encoded = (only_run(Path(home))[1]["metrics"] for home in ("raw", "encoded-too"))
    assert raw == encoded
    Path("other").mkdir()
    assert "Leave out --data." in fails(capsys, *command, "--data", "other")


MORE = "sequence\ttarget\tsplit\tdose\tcell\nACGT\t1\ttrain\t0.5\tK562\nGGC\t2\ttrain\t 3\t\n"
MORE += "TTT\t3\tval\t-1e2\tHepG2\nAAA\t\ttest\t9\tlost\nCCC\t4\ttest\t7\tHepG2\n"


def test_further_columns_are_carried_as_numbers_or_text() -> None:
    Path("t.tsv").write_text(MORE)
    Path("t.toml").write_text('table = "t.tsv"\ncolumns = ["dose", "cell"]\n')
    dataset = read("t.toml")
    assert dataset.train.columns["dose"].tolist() == [0.5, 3]
    assert dataset.train.columns["dose"].dtype == np.float64
    assert dataset.train.columns["cell"].tolist() == ["K562", ""]
    assert dataset.validation.columns["dose"].tolist() == [-100]
    assert dataset.test.columns["cell"].tolist() == ["HepG2"]  # one row has no target
    assert read().test.columns == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("columns = 'dose'", 't.toml: columns are names in quotes, such as ["strand", "cell"].'),
        ("columns = [3]", 't.toml: columns are names in quotes, such as ["strand", "cell"].'),
        (
            "columns = ['target']",
            "t.toml: columns lists a name twice, or the column of sequence, target or split.",
        ),
        ("columns = ['dose', 'dose']", "t.toml: columns lists a name twice, or"),
        ("columns = ['Cell']", "t.tsv: no column 'Cell'. The header has: "),
    ],
)
def test_further_columns_that_cannot_be_carried_are_one_line(line: str, expected: str) -> None:
    Path("t.tsv").write_text(MORE)
    Path("t.toml").write_text(f'table = "t.tsv"\n{line}\n')
    with pytest.raises(BenchError) as raised:
        read("t.toml")
    assert str(raised.value).startswith(expected)
