"""``bench score`` and ``bench predict`` as a user types them."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli.program import cli
from bench.data.sequence_stream import chunks, open_sequences, records
from bench.data.sequences import decode, encode
from bench.errors import BenchError
from bench.registry import TASKS
from bench.sources.locate import write_simulation
from tests.runner.test_run import bench, elsewhere, fails, only_run

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder

TEST = "filtered_test_data_with_MAUDE_expression.txt"


@pytest.fixture(scope="module")
def assay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "assay"
    write_simulation(TASKS.get("dream"), folder, rows=1500, seed=1)
    return folder


@pytest.fixture(scope="module")
def ridge(assay: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; its folder."""
    home = tmp_path_factory.mktemp("home")
    arguments = ["run", "--model", "kmer-ridge", "--task", "dream", "--data", str(assay)]
    cli.main([*arguments, "--no-tracking", "--home", str(home)], standalone_mode=False)
    return only_run(home)[0]


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    bench(*arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_run_and_its_predictions_in_every_form_score_alike(
    assay: Path, ridge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = report(capsys, "score", "--run", str(ridge))
    logged = json.loads((ridge / "manifest.json").read_text())["metrics"]
    assert again["pearson_score"] == logged["test/pearson_score"]
    for name, found in again["subsets"].items():
        assert found["pearson"] == logged[f"test/{name}/pearson"]
        assert found["spearman"] == logged[f"test/{name}/spearman"]

    predict = ["predict", "--run", str(ridge), "--sequences", str(assay / TEST)]
    bench(*predict, "--out", "p.tsv")
    bench(*predict, "--out", "p.json", "--submission")
    values = [line.split("\t")[1] for line in Path("p.tsv").read_text().splitlines()]
    Path("p.txt").write_text("\n".join(values))
    for file in (ridge / "predictions.npy", "p.tsv", "p.json", "p.txt"):
        arguments = ["score", "--task", "dream", "--data", str(assay), "--predictions", str(file)]
        assert report(capsys, *arguments) == again


def test_the_json_report_has_the_agreed_keys(
    ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(capsys, "score", "--run", str(ridge))
    assert set(found) >= {"pearson_score", "spearman_score", "rows", "n", "subsets"}
    assert found["rows"] == "private"
    assert list(found["subsets"]) == [
        *("all", "high", "low", "yeast", "random", "challenging"),
        *("SNVs", "motif_perturbation", "motif_tiling"),
    ]
    assert set(found["subsets"]["SNVs"]) == {"n", "pearson", "spearman"}
    parts = [report(capsys, "score", "--run", str(ridge), "--rows", r) for r in ("all", "public")]
    assert found["n"] + parts[1]["n"] == parts[0]["n"]


def test_a_run_is_found_by_the_beginning_of_its_name(
    ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(ridge.parent)]
    assert report(capsys, "score", "--run", "kmer-ridge", *home)["rows"] == "private"
    shutil.copytree(ridge, ridge.parent / "kmer-ridge-second")
    try:
        message = fails(capsys, "score", "--run", "kmer-ridge", *home)
    finally:
        shutil.rmtree(ridge.parent / "kmer-ridge-second")
    assert message == (
        f"--run kmer-ridge: the names of 2 runs in {ridge.parent} begin so. "
        "`bench runs` lists them."
    )
    assert "no such run" in fails(capsys, "score", "--run", "nobody", *home)


def test_a_run_is_never_scored_on_other_rows(
    assay: Path, ridge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    write_simulation(TASKS.get("dream"), other, rows=1500, seed=2)
    message = fails(capsys, "score", "--run", str(ridge), "--data", str(other))
    assert "was scored on other test rows than those in" in message


def test_a_subset_that_comes_later_completes_the_score(
    assay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(assay, tmp_path / "partial")
    snvs = folder / "test_subset_ids" / "all_SNVs_seqs.csv"
    snvs.rename(tmp_path / "mine.csv")
    bench(
        *("run", "--model", "kmer-ridge", "--task", "dream", "--data", str(folder)),
        "--no-tracking",
    )
    output = capsys.readouterr()
    assert "missing: test_subset_ids/all_SNVs_seqs.csv" in output.err
    assert "test_subset_ids/all_SNVs_seqs.csv is missing: no metrics for SNVs" in output.out
    run, manifest = only_run()
    assert manifest["metrics"]["test/pearson_score"] is None
    partial = report(capsys, "score", "--run", str(run))
    assert partial["spearman_score"] is None
    assert partial["subsets"]["SNVs"] == {"n": None, "pearson": None, "spearman": None}
    mine = tmp_path / "mine.csv"
    whole = report(capsys, "score", "--run", str(run), "--subset-file", f"SNVs={mine}")
    bench("score", "--run", str(run), "--snvs", str(mine), "--json")  # as it was called before
    output = capsys.readouterr()
    assert json.loads(output.out) == whole
    assert output.err == f"--snvs {mine} is called --subset-file SNVs={mine} now.\n"
    assert whole["pearson_score"] > 0
    shutil.copy(tmp_path / "mine.csv", snvs)
    assert report(capsys, "score", "--run", str(run)) == whole


def test_an_external_result_is_recorded_unverified(
    assay: Path, ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    file = str(ridge / "predictions.npy")
    score = ["score", "--task", "dream", "--data", str(assay), "--predictions", file]
    address = "github.com/autosome-ru/dream2022 at f3adc0a"
    bench(*score, "--log", "--name", "LegNet, their own", "--source", address)
    folder, manifest = only_run()
    assert manifest["verified"] is False
    assert manifest["model"]["name"] == "LegNet, their own"
    assert manifest["model"]["source"] == address
    assert manifest["metrics"]["test/pearson_score"] > 0
    assert manifest["task"] == {"name": "dream", "version": TASKS.get("dream").card.version}
    assert manifest["data"]["rows"] == {"test": len(np.load(file))}
    run_of_ridge = json.loads((ridge / "manifest.json").read_text())
    assert manifest["scored"] == run_of_ridge["scored"]
    np.testing.assert_array_equal(np.load(folder / "predictions.npy"), np.load(file))
    client = mlflow.MlflowClient(f"sqlite:///{Path('runs').absolute() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dream-simulated")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["verified"] == "false"
    assert run.data.tags["model"] == "LegNet, their own"
    assert run.data.tags["source"] == address
    assert len([name for name in run.data.metrics if name.startswith("test/")]) == 20
    capsys.readouterr()
    bench("runs")
    assert "unverified" in capsys.readouterr().out
    again = report(capsys, "score", "--run", str(folder), "--data", str(assay))
    assert again["pearson_score"] == manifest["metrics"]["test/pearson_score"]
    assert "no model.safetensors" in fails(
        capsys, "predict", "--run", str(folder), "--sequences", str(assay / TEST)
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "give --run RUN, or --task TASK with --predictions FILE."),
        (("--task", "dream"), "give --run RUN, or --task TASK with --predictions FILE."),
        (("--predictions", "p.npy"), "give --run RUN, or --task TASK with --predictions FILE."),
        (("--run", "x", "--task", "dream"), "give --run RUN, or"),
        (("--run", "x"), "no such run"),
        (("--task", "drem", "--predictions", "p.npy"), "Did you mean 'dream'?"),
        (("--task", "dream", "--predictions", "gone.npy"), "gone.npy: no such file."),
        (("--task", "dream", "--predictions", "p.npy", "--log"), "--log and --name NAME go"),
        (("--task", "dream", "--predictions", "p.npy", "--name", "a"), "--log and --name NAME go"),
        (("--task", "dream", "--predictions", "p.npy", "--rows", "publik"), "private, public, all"),
        (("--task", "dream", "--predictions", "p.npy", "--snvs", "x"), "x: no such file."),
        (
            ("--task", "dream", "--predictions", "p.npy", "--subset-file", "high"),
            "--subset-file high: give NAME=FILE",
        ),
        (
            ("--task", "dream", "--predictions", "p.npy", "--subset-file", "x=p.npy"),
            "dream has no subset 'x'",
        ),
        (("--run", "x", "--source", "a"), "--source is recorded with the result: add --log"),
        (
            ("--task", "dream", "--predictions", "p.npy", "--log", "--name", "a", "--source", "\n"),
            "--source takes at most 200 printable characters.",
        ),
        (("--run", "x", "--name", "a"), "--log and --name NAME go together"),
        (("--task", "dream", "--predictions", "p.npy", "--log", "--name", "a\nb"), "printable"),
        (("--task", "dream", "--predictions", "p.npy", "--log", "--name", " "), "printable"),
        (("--task", "dream", "--predictions", "p.npy", "--log", "--name", "\ud800"), "printable"),
        (
            ("--task", "dream", "--predictions", "p.npy", "--log", "--name", "a", "--rows", "all"),
            "leave out --rows",
        ),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...],
    expected: str,
    assay: Path,
    ridge: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(ridge / "predictions.npy", "p.npy")
    folder = ["--data", str(assay)] if "--predictions" in arguments else []
    assert expected in fails(capsys, "score", *arguments, *folder)
    assert [path.name for path in Path().iterdir()] == ["p.npy"]


def test_stored_predictions_are_checked_like_any_others(
    assay: Path, ridge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(ridge, tmp_path / "run")
    values = np.load(run / "predictions.npy")
    for wrong, expected in [
        (np.append(values, 1), "predictions for"),
        (values.astype(complex), "needs one vector of numbers"),
        (np.where(values > 0, np.nan, values), "is not a finite number"),
    ]:
        np.save(run / "predictions.npy", wrong)
        assert expected in fails(capsys, "score", "--run", str(run))
    (run / "predictions.npy").write_bytes(b"")
    assert "not a NumPy array file" in fails(capsys, "score", "--run", str(run))
    (run / "predictions.npy").unlink()
    assert "predictions.npy: no such file." in fails(capsys, "score", "--run", str(run))
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["scored"]
    (run / "manifest.json").write_text(json.dumps({**manifest, "status": "failed"}))
    assert "is failed: it has no predictions to score." in fails(capsys, "score", "--run", str(run))
    predict = ("predict", "--run", str(run), "--sequences", str(assay / TEST))
    assert "is failed: only a finished run predicts" in fails(capsys, *predict)
    for text in ("[]", "{}", "\udcff", "[" * 100_000):
        (run / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
        assert "is not a run" in fails(capsys, "score", "--run", str(run))


def test_a_server_that_is_away_costs_an_external_result_nothing(
    assay: Path,
    ridge: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    file = str(ridge / "predictions.npy")
    bench(
        "score",
        "--task",
        "dream",
        "--data",
        str(assay),
        "--predictions",
        file,
        "--log",
        "--name",
        "x",
    )
    output = capsys.readouterr()
    assert "Pearson Score" in output.out
    assert "`bench sync` sends it later" in output.err


def test_encoded_data_of_another_task_is_not_scored(
    assay: Path, ridge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench("data", "encode", "dream", "--data", str(assay), "--out", "encoded")
    score = ["score", "--task", "dream", "--data", "encoded", "--predictions"]
    found = report(capsys, *score, str(ridge / "predictions.npy"))
    assert found == report(capsys, "score", "--run", str(ridge))
    header = json.loads(Path("encoded/dataset.json").read_text())
    changes: list[tuple[dict[str, Any], str]] = [
        ({"name": "other"}, "holds data of 'other', not of 'dream'"),
        ({"version": 1}, "was encoded for version 1 of the task"),
        ({"test": {**header["test"], "missing": {"public.low": "x"}}}, "content has changed"),
    ]
    for change, expected in changes:
        Path("encoded/dataset.json").write_text(json.dumps({**header, **change}))
        assert expected in fails(capsys, *score, str(ridge / "predictions.npy"))


def stored(ridge: Path) -> list[float]:
    values: list[float] = np.load(ridge / "predictions.npy").astype(float).tolist()
    return values


def sequences(assay: Path, count: int) -> list[str]:
    return [line.split("\t")[0] for line in (assay / TEST).read_text().splitlines()[:count]]


def predicted(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    capsys.readouterr()
    bench("predict", *arguments, "--out", "out.tsv")
    return [line.split("\t") for line in Path("out.tsv").read_text().splitlines()]


@pytest.mark.parametrize("form", ["lines", "tsv", "windows", "lower", "fasta", "wrapped", "gzip"])
def test_every_form_of_sequences_gets_the_values_of_the_run(
    form: str, assay: Path, ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = sequences(assay, 7)
    names = [f"promoter{row}" for row in range(7)]
    lines = "".join(f"{text}\n" for text in texts)
    fasta = "".join(f">{n} of yeast\n{t}\n" for n, t in zip(names, texts, strict=True))
    wrapped = "".join(f">{n}\n{t[:60]}\n{t[60:]}\n" for n, t in zip(names, texts, strict=True))
    content = {
        "lines": lines.encode(),
        "tsv": "".join(f"{text}\t3\tx\n" for text in texts).encode(),
        "windows": lines.replace("\n", "\r\n").encode(),
        "lower": lines.lower().rstrip().encode(),
        "fasta": fasta.encode(),
        "wrapped": wrapped.encode(),
        "gzip": gzip.compress(lines.encode()),
    }[form]
    Path("sequences").write_bytes(content)
    rows = predicted(capsys, "--run", str(ridge), "--sequences", "sequences")
    called = names if form in ("fasta", "wrapped") else texts
    assert [row[0] for row in rows] == [n.lower() if form == "lower" else n for n in called]
    # Sums in another order: a chunk of seven is not a chunk of a thousand.
    assert [float(row[1]) for row in rows] == pytest.approx(stored(ridge)[:7], rel=1e-5)
    assert capsys.readouterr().err == ""


def test_what_the_model_cannot_take_is_told_by_row_and_keeps_its_place(
    assay: Path, ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sequences(assay, 2)
    Path("s").write_text("\n".join([good[0], "A" * 300, "ACGU", "", "ACXG", good[1], ""]))
    rows = predicted(capsys, "--run", str(ridge), "--sequences", "s")
    assert [bool(row[1]) for row in rows] == [True, False, False, False, False, True]
    assert capsys.readouterr().err.splitlines() == [
        "bench: row 2: 300 nt, the model takes 110 at most",
        "bench: row 3: letter 'U' is not one of ACGTN",
        "bench: row 4: no sequence",
        "bench: row 5: letter 'X' is not one of ACGTN",
    ]
    bench("predict", "--run", str(ridge), "--sequences", "s", "--submission", "--out", "p.json")
    submission = json.loads(Path("p.json").read_text())
    assert list(submission) == [str(row) for row in range(6)]
    assert [submission[str(row)] for row in (1, 2, 3, 4)] == [None] * 4
    assert submission["5"] == pytest.approx(stored(ridge)[1], rel=1e-5)


def test_empty_records_and_empty_files_lose_nothing(
    ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s.fa").write_text(">\n>b\n>\nACGT\n>d\n")
    rows = predicted(capsys, "--run", str(ridge), "--sequences", "s.fa")
    assert [row[0] for row in rows] == ["", "b", "", "d"]
    assert [bool(row[1]) for row in rows] == [False, False, True, False]
    Path("empty").write_text("")
    assert predicted(capsys, "--run", str(ridge), "--sequences", "empty") == []


def test_many_bad_rows_are_counted_not_listed(
    ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s").write_text("X\n" * 50)
    rows = predicted(capsys, "--run", str(ridge), "--sequences", "s")
    assert rows == [["X", ""]] * 50
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "bench: 30 more rows got no value"


def test_a_pipe_in_and_a_pipe_out(assay: Path, ridge: Path) -> None:
    text = "".join(f"{text}\n" for text in sequences(assay, 5))
    command = [sys.executable, "-m", "bench", "predict", "--run", str(ridge), "--sequences", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    values = [float(line.split("\t")[1]) for line in done.stdout.splitlines()]
    assert values == pytest.approx(stored(ridge)[:5], rel=1e-5)
    zipped = subprocess.run(
        command, input=gzip.compress(text.encode()), capture_output=True, check=True
    )
    assert zipped.stdout.decode() == done.stdout


def test_a_reader_that_stops_early_is_no_fault(assay: Path, ridge: Path) -> None:
    command = (
        f"{sys.executable} -m bench predict --run {ridge} --sequences {assay / TEST} | head -1"
    )
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_rows_are_numbered_through_all_chunks(
    assay: Path,
    ridge: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bench.runner.predictor._CHUNK", 2)
    good = sequences(assay, 5)
    Path("s").write_text("\n".join([*good[:3], "X", good[3], "", good[4]]))
    rows = predicted(capsys, "--run", str(ridge), "--sequences", "s")
    assert [bool(row[1]) for row in rows] == [True, True, True, False, True, False, True]
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in told] == [" row 4", " row 6"]
    bench("predict", "--run", str(ridge), "--sequences", "s", "--submission", "--out", "p.json")
    submission = json.loads(Path("p.json").read_text())
    assert list(submission) == [str(row) for row in range(7)]
    assert [row for row, value in submission.items() if value is None] == ["3", "5"]


def test_twenty_bad_rows_are_told_and_no_more_is_said(
    ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s").write_text("X\n" * 20)
    predicted(capsys, "--run", str(ridge), "--sequences", "s")
    assert len(capsys.readouterr().err.splitlines()) == 20


def test_a_prediction_that_is_no_number_is_told_and_left_out(
    ridge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(ridge, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["target"]["deviation"] = 1e39  # beyond float32: predictions overflow
    (run / "manifest.json").write_text(json.dumps(manifest))
    Path("s").write_text("ACGT\n")
    assert predicted(capsys, "--run", str(run), "--sequences", "s") == [["ACGT", ""]]
    assert "row 1: the model's prediction is not a finite number" in capsys.readouterr().err


def test_a_few_very_long_sequences_are_a_chunk_of_their_own() -> None:
    records = ((b"name", b"A" * 40_000_000) for _ in range(5))
    assert [len(chunk) for chunk in chunks(records, 16_384)] == [2, 2, 1]


@pytest.mark.parametrize("content", [b"A" * 101, b">a\n" + b"ACGTACGT\n" * 13, b">" + b"a" * 150])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_sequence_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, zipped: bool
) -> None:
    monkeypatch.setattr("bench.data.sequence_stream._LONGEST", 100)
    file = tmp_path / "s"
    file.write_bytes(gzip.compress(content) if zipped else content)
    with open_sequences(str(file)) as source, pytest.raises(BenchError, match="more than 100 lett"):
        list(records(source))
    file.write_bytes(content[: len(content) // 2] + b"\n")
    with open_sequences(str(file)) as source:
        assert len(list(records(source))) == 1


def test_blank_lines_before_fasta_are_no_records(
    ridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s").write_text("\n\n>a\nACGT\n")
    assert [r[0] for r in predicted(capsys, "--run", str(ridge), "--sequences", "s")] == ["a"]
    Path("s").write_text("\n\nACGT\n")
    rows = predicted(capsys, "--run", str(ridge), "--sequences", "s")
    assert [row[0] for row in rows] == ["", "", "ACGT"]


def test_what_out_names_is_written_and_not_replaced(assay: Path, ridge: Path) -> None:
    Path("s").write_text("ACGT\n")
    Path("private").write_text("")
    Path("private").chmod(0o600)
    Path("link").symlink_to("private")
    predict = ["predict", "--run", str(ridge), "--sequences", "s", "--out"]
    bench(*predict, "link")
    assert Path("link").is_symlink()
    assert Path("private").read_text().startswith("ACGT\t")
    assert Path("private").stat().st_mode & 0o777 == 0o600
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE) as reader:
        bench(*predict, "pipe")
        assert reader.communicate()[0].startswith(b"ACGT\t")
    assert Path("pipe").is_fifo()
    assert sorted(path.name for path in Path().iterdir()) == ["link", "pipe", "private", "s"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--sequences", "s", "--out", "."), "--out . is a folder."),
        (("--sequences", "s" * 300), "File name too long"),
        (("--sequences", "gone"), "--sequences gone: no such file."),
        (("--sequences", "cut.gz"), "--sequences cut.gz: cut short or damaged"),
        (("--sequences", "s", "--out", "no/where"), "No such file or directory"),
        (("--sequences", "s", "--device", "tpu9"), "Try auto, cpu, cuda or cuda:1."),
    ],
)
def test_a_mistake_in_predict_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...],
    expected: str,
    ridge: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("s").write_text("ACGT\n")
    Path("cut.gz").write_bytes(gzip.compress(b"ACGT\n" * 9999)[:-20])
    out = () if "--out" in arguments else ("--out", "out.tsv")
    assert expected in fails(capsys, "predict", "--run", str(ridge), *arguments, *out)
    assert sorted(path.name for path in Path().iterdir()) == ["cut.gz", "s"]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux' own account")
def test_memory_does_not_grow_with_the_sequences(ridge: Path) -> None:
    """400,000 sequences, 44 MB, are predicted in little more memory than 40,000."""
    letters = np.random.default_rng(0).integers(0, 4, (40_000, 110), dtype=np.uint8)
    block = "".join(f"{text}\n" for text in decode(letters))
    peaks = []
    for repeats in (1, 10):
        Path("s").write_text(block * repeats)
        code = (
            "from pathlib import Path; from bench.runner.predictor import predict_file;"
            "from bench.console import Console\n"
            f"predict_file([Path({str(ridge)!r})], 's', Path('o'), Console(), as_json=False,"
            " device='cpu')\n"
            "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] * 1.15
    assert len(Path("o").read_text().splitlines()) == 400_000


def test_a_network_predicts_with_the_preprocessing_of_its_run(
    assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flanks trimmed, both strands, standardized targets: all from the run's own record."""
    small = ["--set", "model.dim=16", "--set", "model.blocks=1", "--set", "recipe.batch_size=64"]
    arguments = ["run", "--model", "proformer", "--task", "dream", "--data", str(assay)]
    bench(*arguments, *small, "--max-steps", "4", "--no-tracking")
    run, manifest = only_run()
    Path("s").write_text("\n".join(sequences(assay, 40)))
    rows = predicted(capsys, "--run", str(run), "--sequences", "s")
    assert [float(row[1]) for row in rows] == pytest.approx(stored(run)[:40], rel=1e-4)
    assert abs(manifest["target"]["mean"]) > 1  # else the unit would not show
    assert encode(sequences(assay, 1)).lengths[0] == 110


def test_the_measured_rows_score_alike_by_run_and_by_file(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = real_data / "dream"
    data = ["--data", str(folder), "--snvs", str(folder / "all_SNVs_seqs.derived.csv")]
    bench("run", "--model", "kmer-ridge", "--task", "dream", *data[:2], "--no-tracking")
    run, _ = only_run()
    by_run = report(capsys, "score", "--run", str(run), *data)
    by_file = report(
        capsys,
        *("score", "--task", "dream", "--predictions", str(run / "predictions.npy"), *data),
    )
    assert by_run == by_file
    assert by_run["n"] == 62_058
    assert by_run["subsets"]["random"]["pearson"] > 0.7
    assert all(found["pearson"] is not None for found in by_run["subsets"].values())
