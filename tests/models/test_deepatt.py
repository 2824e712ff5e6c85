"""DeepAtt against a float64 computation in NumPy, and its published weights."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.cli.program import cli
from bench.data.layout import lay_out
from bench.data.sequences import encode
from bench.errors import BenchError
from bench.model import count_parameters
from bench.registry import MODELS
from bench.runner.imported import Imported

DeepAtt = MODELS.get("deepatt")
Floats = NDArray[np.float64]


def recompute(state: dict[str, Floats], tokens: NDArray[np.uint8], pool: int, heads: int) -> Floats:
    """Predictions from the description of the network, one row and one position at a time."""
    columns = np.vstack([np.eye(4), np.ones((1, 4))])  # N is four ones
    return np.array([_row(state, columns[row], pool, heads) for row in tokens])


def _row(state: dict[str, Floats], letters: Floats, pool: int, heads: int) -> float:
    filters = state["scan.weight"]  # (F, 4, width)
    width = filters.shape[2]
    scan = np.array(
        [
            np.tensordot(filters, letters[i : i + width].T, axes=2)
            for i in range(len(letters) - width + 1)
        ]
    )
    scan = np.maximum(scan + state["scan.bias"], 0)
    x = np.array([scan[i * pool : (i + 1) * pool].max(axis=0) for i in range(len(scan) // pool)])
    ahead = _lstm(state, 0, x)
    back = _lstm(state, 1, x[::-1])[::-1]
    x = np.hstack([ahead, back])
    q, k, v = (_relu(state, f"attention.{name}", x) for name in ("query", "key", "value"))
    size = x.shape[1] // heads
    mixed = np.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = np.exp(q[:, part] @ k[:, part].T / np.sqrt(size))
        mixed[:, part] = scores / scores.sum(axis=1, keepdims=True) @ v[:, part]
    flat = _relu(state, "attention.out", mixed).reshape(-1)  # position by position
    for name in ("first", "second"):
        flat = _relu(state, name, flat)
    return float((state["last.weight"] @ flat + state["last.bias"])[0])


def _relu(state: dict[str, Floats], name: str, x: Floats) -> Floats:
    return np.maximum(x @ state[f"{name}.weight"].T + state[f"{name}.bias"], 0)


def _lstm(state: dict[str, Floats], way: int, x: Floats) -> Floats:
    kernel, recurrent = state["lstm.kernel"][way], state["lstm.recurrent"][way]
    h = c = np.zeros(len(recurrent))
    states = []
    for row in x:
        i, f, cell, o = np.split(row @ kernel + h @ recurrent + state["lstm.bias"][way, 0], 4)
        i, f, o = (np.clip(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
        c = f * c + i * np.tanh(cell)
        h = o * np.tanh(c)
        states.append(h)
    return np.array(states)


SMALL = {"length": 41, "filters": 6, "kernel": 8, "pool": 4, "units": 6, "attention_heads": 3}


@pytest.mark.parametrize("sizes", [{}, SMALL], ids=["published", "small"])
def test_predictions_are_those_of_an_independent_computation(sizes: dict[str, int]) -> None:
    config = DeepAtt.Config(**sizes)
    torch.manual_seed(0)
    model = DeepAtt(config, config.length).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # nothing at its default; gates beyond both bounds
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    tokens = torch.randint(5, (7, config.length), dtype=torch.uint8)
    expected = recompute(state, tokens.numpy(), config.pool, config.attention_heads)
    found = model(tokens).detach().double().numpy()
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-5
    assert np.ptp(expected) > 0.01


def test_the_paper_size_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        assert count_parameters(DeepAtt(DeepAtt.Config(), 110)) == 84_273


def test_rows_are_aligned_on_the_right() -> None:
    layout = DeepAtt.layout(DeepAtt.Config())
    short, long = "ACGT" * 26 + "AC", "T" * 10 + "ACGTA" * 22
    rows = ["".join("ACGTN"[t] for t in row) for row in
            lay_out(encode([short, long]), layout, 110, (17, 13))]  # fmt: skip
    assert rows == ["NNNN" + short, "ACGTA" * 22]


def test_heads_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(BenchError, match=r"attention_heads \(5\) must divide 2 x model.units"):
        DeepAtt.Config(attention_heads=5)
    with pytest.raises(BenchError, match=r"model.length \(31\) must be at least 32"):
        DeepAtt.Config(length=31)


@pytest.fixture(scope="session")
def weights_file(published_results: Path) -> Path:
    pytest.importorskip("h5py", reason="the extra 'weights' is not installed")
    return published_results / "deepatt_weights.h5"


def test_published_weights_give_the_published_predictions(
    weights_file: Path, published_results: Path, real_data: Path
) -> None:
    """Every 61st test row; the slow test below has them all."""
    path = real_data / "dream" / "filtered_test_data_with_MAUDE_expression.txt"
    sequences = [line.split("\t")[0] for line in path.read_text().splitlines()][::61]
    config = DeepAtt.Config()
    model = DeepAtt(config, 110).eval()
    imported = Imported.read(weights_file, DeepAtt, config)
    imported.put_into(model)
    scale = imported.weights.scale
    assert scale is not None
    tokens = torch.from_numpy(lay_out(encode(sequences), DeepAtt.layout(config), 110, (17, 13)))
    with torch.no_grad():
        found = scale.raw(model(tokens).double()).numpy()
    published = np.load(published_results / "all_71103.npz")["deepatt_computed_here"][::61]
    np.testing.assert_allclose(found, published, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_run_of_published_weights_has_the_published_scores(
    weights_file: Path, published_results: Path, real_data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    data = _with_pairs(real_data / "dream", published_results, tmp_path / "data")
    arguments = ["--model", "deepatt", "--task", "dream", "--data", str(data), "--no-tracking"]
    cli.main(["run", *arguments, "--weights", str(weights_file)], "bench", standalone_mode=False)
    (path,) = tmp_path.glob("runs/*/manifest.json")
    manifest = json.loads(path.read_text())
    assert (manifest["target"]["mean"], manifest["target"]["deviation"]) == (9.35878428, 3.70407089)
    published = np.load(published_results / "all_71103.npz")["deepatt_computed_here"]
    predictions = np.load(path.with_name("predictions.npy"))
    np.testing.assert_allclose(predictions, published, rtol=0, atol=1e-5)
    capsys.readouterr()
    cli.main(
        ["score", "--run", path.parent.name, "--rows", "public", "--json"],
        "bench",
        standalone_mode=False,
    )
    public = json.loads(capsys.readouterr().out)
    with (published_results / "scores.csv").open() as file:
        rows = {r["rows"].split(",")[0]: r for r in csv.DictReader(file) if "deepatt" in r["name"]}
    _expect(rows["private"], {k.removeprefix("test/"): v for k, v in manifest["metrics"].items()})
    _expect(rows["public"], _flat(public))


def _with_pairs(data: Path, published: Path, folder: Path) -> Path:
    """Return a folder with the real data and the reconstructed pairs of the SNV subset."""
    ids = folder / "test_subset_ids"
    ids.mkdir(parents=True)
    for source in data.iterdir():
        if source.name != ids.name:
            (folder / source.name).symlink_to(source)
    for source in (data / ids.name).iterdir():
        (ids / source.name).symlink_to(source)
    lines = (published / "snv_pairs_reconstructed.csv").read_text().splitlines()
    pairs = [line.split(",") for line in lines]
    kept = [
        f"{alt},{ref}" for alt, ref, status in pairs if status in ("status", "private", "public")
    ]
    (ids / "all_SNVs_seqs.csv").write_text("\n".join([*kept, ""]))
    return folder


def _flat(report: dict[str, Any]) -> dict[str, float]:
    """Return the scores of a JSON report by the names that a manifest gives them."""
    subsets = {
        f"{s}/{k}": value for s, found in report["subsets"].items() for k, value in found.items()
    }
    return {**report, **subsets}


def _expect(row: dict[str, str], metrics: dict[str, float]) -> None:
    """Compare with published scores; ranks of nearly equal predictions may change places."""
    for name, kind, bound in (("r", "pearson", 1e-6), ("rho", "spearman", 3e-5)):
        columns = [key for key in row if key.endswith(f"_{name}")]
        assert len(columns) == 9
        for key in columns:
            assert metrics[f"{key.removesuffix(f'_{name}')}/{kind}"] == pytest.approx(
                float(row[key]), abs=bound
            ), key
        score = f"{kind}_score"
        assert metrics[score] == pytest.approx(float(row[score]), abs=bound)
