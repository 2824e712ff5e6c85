"""Predictions averaged over strands and shifts, and their transform, against strings and SciPy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.config import as_dict
from bench.data.dataset import Dataset, Split, TestSet
from bench.data.layout import Layout
from bench.data.sequences import Sequences, encode
from bench.errors import BenchError
from bench.metrics import pearson, spearman
from bench.model import REVERSE_STRAND, Model
from bench.recipe import Recipe
from bench.training import predict as prediction
from bench.training.batches import Batches
from bench.training.distributed import ALONE, Ranks
from bench.training.loader import Loader, further_inputs
from bench.training.loop import validate
from bench.training.predict import predict
from bench.training.views import PLAIN, PredictionRule, View
from tests.conftest import golden_files
from tests.forked import on_ranks

GOLDEN = golden_files("dream_nets/legnet_[ab].npz")
LAYOUT = Layout(
    flanks="trim_left",
    context_left="GATTACA",
    length=9,
    pad="left",
    crop="left",
    reverse_complement=True,
)


def rule(**changes: Any) -> PredictionRule:
    return PredictionRule.of(as_dict(Recipe(**changes)))


class Remembering(Model):
    """The golden expectations of known rows on either strand; NaN for rows that it does not know.

    The rows are told apart by their tokens and by their flag.
    """

    columns = (REVERSE_STRAND,)

    def __init__(self, rows: Tensor, forward: Tensor, reverse: Tensor) -> None:
        super().__init__(None, rows.shape[1])
        complement = torch.tensor([3, 2, 1, 0, 4])
        self.known = torch.stack([rows, complement[rows.long()].flip(1).to(rows.dtype)])
        self.values = torch.stack([forward, reverse])
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor, reverse_strand: Tensor) -> Tensor:
        found = torch.full((len(tokens),), torch.nan)
        for at, (row, flag) in enumerate(zip(tokens, reverse_strand.long(), strict=True)):
            (place,) = torch.nonzero((self.known[flag] == row).all(dim=1)).flatten().tolist()
            found[at] = self.values[flag][place]
        return found


@pytest.mark.skipif(not GOLDEN, reason="golden outputs: set BENCH_GOLDEN")
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_prediction_is_that_of_the_submitted_program(path: Path) -> None:
    with np.load(path) as golden:
        arrays = {name: golden[name] for name in golden}
    tokens = arrays["tokens"]
    model = Remembering(
        torch.from_numpy(tokens),
        torch.from_numpy(arrays["expectation_forward"]),
        torch.from_numpy(arrays["expectation_reverse"]),
    )
    lengths = np.full(len(tokens), tokens.shape[1], dtype=np.int32)
    for strands, wanted in ((False, "expectation_forward"), (True, "prediction")):
        batches = Batches(
            Sequences(tokens, lengths),
            np.zeros(len(tokens), dtype=np.float32),
            lambda rows: rows.tokens,
            reverse_complement=False,
            device=torch.device("cpu"),
            columns={REVERSE_STRAND: np.zeros(len(tokens), dtype=bool)},
            rule=rule(average_strands=strands),
        )
        np.testing.assert_allclose(predict(model, batches), arrays[wanted], rtol=1e-6)


class Placed(Model):
    """A weight for every position and letter, one for the flag and one for the dose."""

    columns = ("dose", REVERSE_STRAND)

    def __init__(self) -> None:
        super().__init__(None, 18)
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.Parameter(torch.randn(18, 5, generator=generator))

    def forward(self, tokens: Tensor, dose: Tensor, reverse_strand: Tensor) -> Tensor:
        each = self.weights[torch.arange(18), tokens.long()].sum(dim=1)
        return (each + dose + 2 * reverse_strand) / 4


def turned(text: str) -> str:
    return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def texts(rows: int, seed: int) -> list[str]:
    """Return inserts of 1 to 12 bases between the flanks CC and A."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 13, rows)
    return [f"CC{''.join(generator.choice(list('ACGT'), n))}A" for n in lengths]


def by_hand(model: Placed, rows: list[str], *, strands: bool, shifts: int) -> NDArray[np.float64]:
    """Return the mean over views of strings cut out of a sequence in its plasmid."""
    weights = model.weights.detach().double().numpy()
    found = []
    for number, text in enumerate(rows):
        plasmid = "N" * 50 + "GATTACA" + text[2:] + "N" * 50
        values = []
        for shift in range(-shifts, shifts + 1):
            end = len(plasmid) - 50 + shift
            strand = plasmid[end - 9 : end]
            for flag in (False, True)[: 1 + strands]:
                first = turned(strand) if flag else strand
                letters = ["ACGTN".index(letter) for letter in first + turned(first)]
                total = sum(weights[place, letter] for place, letter in enumerate(letters))
                values.append((total + number % 5 + 2 * flag) / 4)
        found.append(np.mean(values))
    return np.array(found)


def split(rows: int, seed: int) -> Split:
    sequences, dose = encode(texts(rows, seed)), np.arange(rows) % 5.0
    target = np.random.default_rng(seed).normal(3, 2, rows)
    return Split(sequences, target, columns={"dose": dose})


def loader(predicting: PredictionRule) -> Loader:
    """Return a loader of 40 training, 23 validation and 30 test rows."""
    test = split(30, 3)
    dataset = Dataset(
        name="toy",
        version=1,
        options={},
        usual_length=9,
        flanks=(2, 1),
        train=split(40, 1),
        validation=split(23, 2),
        test=TestSet(test.sequences, test.target, "toy", columns=test.columns),
    )
    return Loader(
        dataset,
        LAYOUT,
        standardize=True,
        device=torch.device("cpu"),
        input_columns=lambda rows: further_inputs(Placed, None, rows),
        rule=predicting,
    )


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("strands", [False, True])
@pytest.mark.parametrize("shifts", [0, 1, 3])
def test_the_views_of_a_row_are_averaged(
    strands: bool, shifts: int, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training.predict._BATCH", 7)
    if not resident:
        monkeypatch.setattr("bench.training.loader.room_for_rows", lambda device: 1)
    model, made = Placed(), loader(rule(average_strands=strands, average_shifts=shifts))
    assert made.resident is resident
    for batches, rows in ((made.test(), texts(30, 3)), (made.validation(), texts(23, 2))):
        wanted = by_hand(model, rows, strands=strands, shifts=shifts)
        np.testing.assert_allclose(predict(model, batches), wanted, rtol=1e-5, atol=1e-6)


def test_the_views_of_a_rule_are_all_pairs_of_shift_and_strand() -> None:
    assert PLAIN.views == (View(),)
    assert rule() == PLAIN
    assert set(rule(average_strands=True, average_shifts=1).views) == {
        View(reverse, shift) for reverse in (False, True) for shift in (-1, 0, 1)
    }
    assert len(rule(average_strands=True, average_shifts=2).views) == 10


def test_unshifted_views_use_the_rows_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(rows: Sequences, *, shift: int = 0) -> Any:
        asked.append(shift)
        return rows.tokens

    sequences = encode(["ACGTACGTA"] * 12)
    for changes in ({"average_strands": True}, {"average_strands": True, "average_shifts": 1}):
        batches = Batches(
            sequences,
            np.zeros(12, dtype=np.float32),
            noted,
            reverse_complement=False,
            device=torch.device("cpu"),
            rule=rule(**changes),
        )
        assert asked.pop() == 0
        assert not asked
        for view in batches.rule.views:
            list(batches.in_order(6, view=view))
        if "average_shifts" in changes:
            assert sorted(asked) == [-1] * 4 + [1] * 4


def on_a_rank(ranks: Ranks) -> tuple[NDArray[Any], dict[str, float]]:
    prediction._BATCH = 4
    made = loader(rule(average_strands=True, average_shifts=1, output="normal_cdf"))
    model = Placed()
    return predict(model, made.test(), ranks), validate(model, made.validation(), ranks)


def test_three_ranks_predict_as_one() -> None:
    values, metrics = on_a_rank(ALONE)
    assert metrics["validation/pearson"] == metrics["validation/pearson"]  # it is a number
    for theirs, told in on_ranks(3, on_a_rank):
        np.testing.assert_array_equal(theirs, values)
        assert told == metrics


@pytest.mark.parametrize("shift", [0.0, 0.062, -1.5])
def test_the_normal_distribution_function_is_scipys(shift: float) -> None:
    z = np.random.default_rng(0).normal(0, 1.5, 5000).astype(np.float32)
    found = rule(output="normal_cdf", output_shift=shift).transformed(z)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, scipy.stats.norm.cdf(z.astype(float) - shift), rtol=1e-13)
    assert PLAIN.transformed(z) is z


def test_the_transform_moves_pearson_and_leaves_spearman() -> None:
    generator = np.random.default_rng(0)
    z = np.append(generator.normal(0, 1, 3000), np.linspace(3, 5, 2000)).astype(np.float32)
    target = (z + generator.normal(0, 0.5, 5000)).astype(np.float32)
    found = rule(output="normal_cdf", output_shift=0.062).transformed(z)
    assert len(np.unique(found)) == len(np.unique(z))  # in float32 hundreds would be equal
    assert spearman(found, target) == spearman(z, target)
    assert abs(pearson(found, target) - pearson(z, target)) > 0.01


def test_a_prediction_that_is_no_number_is_not_hidden_by_the_transform() -> None:
    z = np.array([0, np.inf, -np.inf, np.nan], dtype=np.float32)
    found = rule(output="normal_cdf").transformed(z)
    np.testing.assert_array_equal(found, [0.5, np.inf, -np.inf, np.nan])


def test_validation_scores_transformed_means() -> None:
    made = loader(rule(average_strands=True, output="normal_cdf", output_shift=0.5))
    model = Placed()
    mean = by_hand(model, texts(23, 2), strands=True, shifts=0)
    values = scipy.stats.norm.cdf(mean - 0.5)
    target = split(23, 2).target
    found = validate(model, made.validation())
    assert found["validation/pearson"] == pytest.approx(scipy.stats.pearsonr(values, target)[0])
    assert found["validation/spearman"] == pytest.approx(scipy.stats.spearmanr(mean, target)[0])
    train = split(40, 1).target
    standardized = (target - train.mean()) / train.std()
    assert found["validation/mse"] == pytest.approx(np.mean((values - standardized) ** 2), rel=1e-5)


def test_transformed_predictions_are_put_into_units() -> None:
    made = loader(rule(output="normal_cdf"))
    mean, std = split(40, 1).target.mean(), split(40, 1).target.std()
    values = predict(Placed(), made.test())
    z = by_hand(Placed(), texts(30, 3), strands=False, shifts=0)
    wanted = scipy.stats.norm.cdf(z) * std + mean
    np.testing.assert_allclose(made.transform.in_units(values), wanted, rtol=1e-5)


def test_a_rule_is_read_from_an_old_run_and_checked() -> None:
    assert PredictionRule.of({}) == PLAIN
    assert PredictionRule.of({"lr": 0.1, "gone": 3, "average_shifts": 2}).average_shifts == 2
    for wrong in ({"average_shifts": -1}, {"output": "exp"}, {"average_strands": "yes"}):
        with pytest.raises(BenchError, match=next(iter(wrong))):
            PredictionRule.of(wrong)


def test_a_window_is_not_moved_off_its_rows() -> None:
    assert len(loader(rule(average_shifts=8)).test()) == 30
    with pytest.raises(BenchError, match=r"recipe\.average_shifts is 9.*average_shifts=8"):
        loader(rule(average_shifts=9))
