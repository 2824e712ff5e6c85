"""The organisers' score: known answers, a second implementation, and hand-worked cases."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import Dataset, TestSet
from bench.data.sequences import encode
from bench.errors import BenchError
from bench.registry import TASKS
from bench.scoring.scorer import Scores, score
from bench.sources.locate import load_test, with_subset, write_simulation
from bench.task import Task
from bench.tasks.dream import scoring
from tests import reference

Dream = TASKS.get("dream")
# Metrics of a winning submission on the private rows, and the organisers' two scores for it.
KNOWN_R = {
    "all": 0.957144539749361,
    "high": 0.6200899915391505,
    "low": 0.6211738513565918,
    "yeast": 0.8382821111688279,
    "random": 0.9677444394489736,
    "challenging": 0.9354983554787447,
    "SNVs": 0.8227819183935022,
    "motif_perturbation": 0.9671482009080143,
    "motif_tiling": 0.9449999831802987,
}
KNOWN_RHO = {
    "all": 0.961451653086994,
    "high": 0.5754373259429003,
    "low": 0.596033541641311,
    "yeast": 0.839060331461191,
    "random": 0.970287191964816,
    "challenging": 0.9289802083256298,
    "SNVs": 0.6775184531537061,
    "motif_perturbation": 0.9611406141596464,
    "motif_tiling": 0.9273541130425778,
}


def dream() -> Task:
    return Dream(Dream.Options())


def known() -> dict[str, float]:
    figures = {f"{name}/pearson": value for name, value in KNOWN_R.items()}
    return figures | {f"{name}/spearman": value for name, value in KNOWN_RHO.items()}


def test_the_weighted_scores_are_the_published_ones() -> None:
    scores = scoring.overall(known())
    assert scores["pearson_score"] == pytest.approx(0.7657255844881551, abs=1e-12)
    assert scores["spearman_score"] == pytest.approx(0.8228750904214907, abs=1e-12)


@pytest.mark.parametrize("figure", sorted(known()))
def test_without_one_figure_its_score_does_not_exist(figure: str) -> None:
    figures = known()
    del figures[figure]
    scores = scoring.overall(figures)
    kind = figure.rpartition("/")[2]
    assert math.isnan(scores[f"{kind}_score"])
    assert sum(map(math.isnan, scores.values())) == 1


@pytest.fixture(scope="module")
def assay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assay") / "files"
    write_simulation(Dream, folder, rows=1000, seed=5)
    return folder


def guesses(test: TestSet) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Imperfect predictions; a third of them are rounded, so that many are tied."""
    noise = np.random.default_rng(0).normal(size=len(test))
    guess = test.target + noise / 2
    guess[::3] = np.round(guess[::3], 1)
    return guess.astype(np.float32)


def agree(scores: Scores, wanted: tuple[float, float, reference.Figures]) -> None:
    pearson, spearman, figures = wanted
    assert scores.overall["pearson_score"] == pytest.approx(pearson, abs=1e-12)
    assert scores.overall["spearman_score"] == pytest.approx(spearman, abs=1e-12)
    assert set(scores.subsets) == set(figures)
    for name, (n, r, rho) in figures.items():
        found = scores.subsets[name]
        assert found is not None
        assert found.n == n
        assert found.values["pearson"] == pytest.approx(r, abs=1e-12)
        assert found.values["spearman"] == pytest.approx(rho, abs=1e-12)


def test_every_figure_agrees_with_lists_and_scipy(assay: Path) -> None:
    test = load_test(dream(), "dream", assay)
    guess = guesses(test)
    units, public = reference.read_units(assay), reference.read_public(assay)
    wanted = reference.score_private(
        reference.read_truth(assay), guess.astype(float).tolist(), units, public
    )
    agree(score(dream(), test, guess), wanted)


def measured(real_data: Path) -> TestSet:
    folder = real_data / "dream"
    test = load_test(dream(), "dream", folder)
    return with_subset(dream(), test, "SNVs", folder / "all_SNVs_seqs.derived.csv")


def test_the_measured_private_rows_are_as_many_as_the_organisers(real_data: Path) -> None:
    units = dict(dream().scoring_groups(measured(real_data), "private"))
    del units["SNVs"]  # derived here; the official list differs
    assert {name: len(rows) for name, rows in units.items()} == {
        "all": 62_058,
        "high": 872,
        "low": 898,
        "yeast": 370,
        "random": 5_616,
        "challenging": 1_758,
        "motif_perturbation": 2_959,
        "motif_tiling": 2_361,
    }


def test_the_measured_public_rows_are_those_of_the_lists(real_data: Path) -> None:
    test = measured(real_data)
    public, everything = dream().scoring_groups(test, "public"), dream().scoring_groups(test, "all")
    ground = json.loads((real_data / "dream" / "public_leaderboard_ids/ground.json").read_text())
    assert public["all"].tolist() == sorted(int(key) for key in ground)
    assert {name: len(rows) for name, rows in public.items()} == {
        "all": 9_045,
        "high": 96,
        "low": 99,
        "yeast": 208,
        "random": 733,
        "challenging": 195,
        "SNVs": 4_670,
        "motif_perturbation": 328,
        "motif_tiling": 263,
    }
    truth = test.target[public["all"]]
    assert truth == pytest.approx([ground[str(row)] for row in public["all"]], abs=1e-12)
    sizes = {name: len(rows) for name, rows in everything.items()}
    assert (sizes["all"], sizes["high"], sizes["motif_tiling"]) == (71_103, 968, 2_624)


def toy(subsets: dict[str, list[Any]], missing: dict[str, str] | None = None) -> TestSet:
    """Eight rows; every subset a list of rows or pairs."""
    arrays = {name: np.array(rows, dtype=np.int64) for name, rows in subsets.items()}
    sequences = encode(["ACGT"] * 8)
    return TestSet(sequences, np.arange(8.0) ** 2, "dream", arrays, missing or {})


def with_lists(subsets: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return subsets with an empty public list for every list that is not given."""
    empty: dict[str, Any] = {
        f"public.{name}": np.zeros((0, 2) if name in scoring.PAIRS else 0) for name in scoring.FILES
    }
    return empty | subsets


def test_a_row_is_public_when_any_list_names_it_but_a_pair_only_as_a_pair() -> None:
    test = toy(
        with_lists(
            {
                "public.high": [0],
                "public.SNVs": [[1, 2]],
                "yeast": [0, 1, 2, 3],
                "SNVs": [[0, 1], [1, 2], [2, 1], [3, 4]],
                "motif_tiling": [[1, 2], [5, 6]],
            }
        )
    )
    private = dream().scoring_groups(test, "private")
    assert private["all"].tolist() == [3, 4, 5, 6, 7]
    assert private["yeast"].tolist() == [3]
    # A pair with public members stays, and so does the same pair the other way round.
    assert private["SNVs"].tolist() == [[0, 1], [2, 1], [3, 4]]
    # Pairs of any public list leave every subset.
    assert private["motif_tiling"].tolist() == [[5, 6]]
    assert dream().scoring_groups(test, "public")["all"].tolist() == [0, 1, 2]


def test_pairs_are_correlated_by_their_differences() -> None:
    pairs = [[0, 1], [3, 2], [7, 4]]  # differences of the truth: -1, 5, 33
    test = toy({"SNVs": pairs})
    guess = np.array([0, 1, 10, 12, 0, 5, 6, 3], dtype=np.float32)  # -1, 2, 3
    found = score(dream(), test, guess, "all").subsets["SNVs"]
    assert found is not None
    mean_x, mean_y = 37 / 3, 4 / 3
    x, y = np.array([-1, 5, 33]) - mean_x, np.array([-1, 2, 3]) - mean_y
    assert found.values["pearson"] == pytest.approx(
        float((x * y).sum() / math.sqrt((x**2).sum() * (y**2).sum()))
    )
    assert found.values["spearman"] == pytest.approx(1)
    assert found.n == 3


def test_repeats_in_a_subset_file_count_once(tmp_path: Path) -> None:
    (tmp_path / "single.csv").write_text(",tag,pos,exp\n0,a,5,\n1,b,2,\n2,c,5,\n")
    (tmp_path / "pairs.csv").write_text("ref_pos,alt_pos\n1,2\n1,2\n2,1\n")
    assert scoring.read_subset("yeast", tmp_path / "single.csv", 8).tolist() == [2, 5]
    assert scoring.read_subset("SNVs", tmp_path / "pairs.csv", 8).tolist() == [[1, 2], [2, 1]]


def test_a_missing_file_takes_its_figures_and_the_scores_and_nothing_else(assay: Path) -> None:
    whole = load_test(dream(), "dream", assay)
    subsets = {name: rows for name, rows in whole.subsets.items() if name != "low"}
    test = TestSet(
        whole.sequences, whole.target, whole.name, subsets, {"low": "test_subset_ids/low.csv"}
    )
    complete, partial = score(dream(), whole, guesses(whole)), score(dream(), test, guesses(whole))
    report = partial.as_json()
    assert (report["pearson_score"], report["spearman_score"]) == (None, None)
    assert report["subsets"]["low"] == {"n": None, "pearson": None, "spearman": None}
    assert report["problems"] == [
        "test_subset_ids/low.csv is missing: no metrics for low, and no overall score"
    ]
    for name, found in complete.as_json()["subsets"].items():
        if name != "low":
            assert report["subsets"][name] == found


def test_constant_predictions_have_no_figures_and_say_so(assay: Path) -> None:
    test = load_test(dream(), "dream", assay)
    report = score(dream(), test, np.full(len(test), 3.5)).as_json()
    assert report["pearson_score"] is None
    assert report["subsets"]["all"]["pearson"] is None
    assert report["problems"][0] == "all: no correlation, predictions or truth are constant"
    assert "NaN" not in json.dumps(report)


def test_predictions_constant_in_one_subset_cost_both_scores(assay: Path) -> None:
    test = load_test(dream(), "dream", assay)
    guess = guesses(test)
    guess[test.subsets["yeast"]] = 1
    report = score(dream(), test, guess).as_json()
    assert report["subsets"]["yeast"] == {
        "n": report["subsets"]["yeast"]["n"],
        "pearson": None,
        "spearman": None,
    }
    assert report["subsets"]["all"]["pearson"] is not None
    assert (report["pearson_score"], report["spearman_score"]) == (None, None)


def test_without_public_lists_all_rows_are_scored_and_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "filtered_test_data_with_MAUDE_expression.txt").write_text(
        "".join(f"ACG{letter}\t{value}\n" for value, letter in enumerate("ACGT"))
    )
    test = load_test(dream(), "dream", tmp_path)
    scores = score(dream(), test, np.array([0.0, 1, 2, 4]))
    assert scores.rows == "all"
    lists = "public_leaderboard_ids/high_exp_indices.json is missing"
    assert scores.problems[0] == f"{lists}: scored on all rows, not private ones"
    with pytest.raises(BenchError, match=rf"^rows 'private': {lists}; there are: all\."):
        score(dream(), test, np.array([0.0, 1, 2, 4]), "private")


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("{}", 1),
        ("[", 1),
        ("[1, 2]", 1),
        ('{"1,2": 0}', 1),
        ('{"1": 0}', 2),
        ('{"99": 0}', 1),
        ('{"-1": 0}', 1),
        ('{"a": 0}', 1),
        ('{"1": 0, "2,3": 0}', 1),
        ("12", 1),
        ("null", 1),
        ('"12"', 1),
        ("[" * 100_000, 1),
    ],
)
def test_a_public_list_that_is_none_is_named(
    assay: Path, tmp_path: Path, text: str, members: int
) -> None:
    name = "yeast" if members == 1 else "SNVs"
    folder = tmp_path / "public_leaderboard_ids"
    folder.mkdir()
    (folder / f"{name}_exp_indices.json").write_text(text)
    with pytest.raises(BenchError, match=f"{name}_exp_indices.json: ") as raised:
        scoring.read_subsets(tmp_path, 8)
    assert "\n" not in str(raised.value)


def test_a_missing_list_is_named_and_not_a_missing_subset(assay: Path) -> None:
    whole = load_test(dream(), "dream", assay)
    missing = {"SNVs": "snvs.csv", "public.yeast": "yeast.json"}
    subsets = {name: rows for name, rows in whole.subsets.items() if name not in missing}
    test = TestSet(whole.sequences, whole.target, whole.name, subsets, missing)
    assert score(dream(), test, guesses(whole)).problems == (
        "yeast.json is missing: scored on all rows, not private ones",
        "snvs.csv is missing: no metrics for SNVs, and no overall score",
    )
    with pytest.raises(BenchError, match=r"'public': yeast\.json is missing; there are: all\."):
        score(dream(), test, guesses(whole), "public")
    with pytest.raises(BenchError, match=r"^rows 'publik': there are: all\.$"):
        score(dream(), test, guesses(whole), "publik")


def test_a_subset_of_one_pair_has_no_correlation_and_the_reason_is_given() -> None:
    scores = score(dream(), toy({"SNVs": [[0, 1]]}), np.arange(8.0), "all")
    assert "SNVs: no correlation, fewer than two of them" in scores.problems


def test_another_file_can_stand_in_for_a_subset_of_the_task_only(tmp_path: Path) -> None:
    test = toy({})
    (tmp_path / "mine.csv").write_text("alt_pos,ref_pos\n0,1\n")
    changed = with_subset(dream(), test, "SNVs", tmp_path / "mine.csv")
    assert changed.subsets["SNVs"].tolist() == [[0, 1]]
    assert changed.fingerprint == test.fingerprint
    assert changed.subsets_fingerprint != test.subsets_fingerprint
    with pytest.raises(BenchError, match="dream has no subset 'SNV'"):
        with_subset(dream(), test, "SNV", tmp_path / "mine.csv")
    with pytest.raises(BenchError, match=r"gone\.csv: no such file"):
        with_subset(dream(), test, "SNVs", tmp_path / "gone.csv")


RECONSTRUCTED = "ref_pos,alt_pos,status\n1,0,private\n2,1,public\n5,3,private_probable\n4,6, \n"


def test_a_reconstructed_list_of_pairs_is_named_and_its_guesses_are_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(RECONSTRUCTED)
    test = with_subset(dream(), toy({}), "SNVs", path)
    assert test.subsets["SNVs"].tolist() == [[0, 1], [1, 2]]
    scores = score(dream(), test, np.arange(8.0), "all")
    assert scores.problems[0] == "SNV list reconstructed: Pearson Score about -.0005"
    path.write_text("alt_pos,ref_pos\n0,1\n3,2\n")
    test = with_subset(dream(), test, "SNVs", path)
    problems = score(dream(), test, np.arange(8.0), "all").problems
    assert problems[0] == "SNV list of unknown origin: not comparable with published scores"
    path.write_text("alt_tag,ref_tag,alt_pos,ref_pos\na,b,0,1\nc,d,3,2\n")
    assert with_subset(dream(), test, "SNVs", path).remarks == {}


def test_the_organisers_pairs_win_over_the_reconstructed_ones(assay: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(assay, tmp_path / "files")) / "test_subset_ids"
    (folder / "snv_pairs_reconstructed.csv").write_text(RECONSTRUCTED)
    official = load_test(dream(), "dream", assay)
    both = load_test(dream(), "dream", folder.parent)
    assert both.subsets_fingerprint == official.subsets_fingerprint
    assert both.remarks == {}
    (folder / "all_SNVs_seqs.csv").unlink()
    other = load_test(dream(), "dream", folder.parent)
    assert other.subsets["SNVs"].tolist() == [[0, 1], [1, 2]]
    assert other.subsets_fingerprint != official.subsets_fingerprint  # so they never rank together
    assert other.missing == {}
    guess = guesses(official)
    told = score(dream(), other, guess)
    assert "SNV list reconstructed" in told.problems[0]
    assert told.outcome(other).scored.problems == told.problems
    assert score(dream(), other, guess, "public").problems == ()  # public pairs have own lists

    dataset = dream().read(folder.parent, folder.parent)
    dataset.save(tmp_path / "encoded")
    assert Dataset.open(tmp_path / "encoded").test.remarks == other.remarks
    header = json.loads((tmp_path / "encoded/dataset.json").read_text())
    header["test"]["remarks"] = {}
    (tmp_path / "encoded/dataset.json").write_text(json.dumps(header))
    with pytest.raises(BenchError, match="content has changed"):
        Dataset.open(tmp_path / "encoded")
