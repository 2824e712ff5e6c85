"""The simulated assay, read back with csv, json and string methods only."""

import csv
import json
from functools import cache
from itertools import pairwise
from math import exp
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge

from bench.tasks.dream import regulation
from bench.tasks.dream.simulate import Simulation, measure, simulate

LEFT, RIGHT = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT"
TRAIN, TEST = "train_sequences.txt", "filtered_test_data_with_MAUDE_expression.txt"
SINGLES = {
    "random": "all_random_seqs",
    "challenging": "challenging_seqs",
    "high": "high_exp_seqs",
    "low": "low_exp_seqs",
    "yeast": "yeast_seqs",
}
PAIRS = {
    "motif_perturbation": "motif_perturbation_seqs",
    "motif_tiling": "motif_tiling_seqs",
    "SNVs": "all_SNVs_seqs",
}
# First lines of the real files.
SINGLE_HEADER = ["", "tag", "sequence", "pos", "exp"]
PAIR_HEADER = ["", "alt_tag", "ref_tag", "alt_sequence", "ref_sequence"]
PAIR_HEADER += ["alt_pos", "ref_pos", "alt_exp", "ref_exp"]
PAIR_POSITIONS = ["alt_pos", "ref_pos"]
NUMBERED_TWICE = {"random", "motif_perturbation", "SNVs"}

Table = list[tuple[str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One release of 25,000 training and 4,000 test rows."""
    path = tmp_path_factory.mktemp("release") / "raw"
    simulate(path, rows=25_000, test_rows=4_000, seed=3)
    return path


def table(path: Path) -> Table:
    with path.open(encoding="ascii") as file:
        return [(sequence, value) for sequence, value in csv.reader(file, delimiter="\t")]


def subset(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "test_subset_ids" / f"{(SINGLES | PAIRS)[name]}.csv").open() as file:
        return list(csv.DictReader(file))


def public(folder: Path, name: str) -> dict[str, float | list[float]]:
    text = (folder / "public_leaderboard_ids" / f"{name}.json").read_text()
    content: dict[str, float | list[float]] = json.loads(text)
    return content


def framed(sequence: str) -> bool:
    return sequence.startswith(LEFT) and sequence.endswith(RIGHT)


def values(rows: Table) -> np.ndarray:
    return np.array([float(value) for _, value in rows])


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        simulate(tmp_path / name, rows=40_000, test_rows=1_000, seed=seed)  # two chunks
    first, second, other = (contents(tmp_path / name) for name in "abc")
    assert len(first) == 2 + 8 + 9 + 1
    assert first == second
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize(("rows", "test_rows"), [(99, 1_000), (100, 999)])
def test_too_small_is_refused(tmp_path: Path, rows: int, test_rows: int) -> None:
    with pytest.raises(ValueError, match="rows >= 100 and test_rows >= 1000"):
        simulate(tmp_path / "raw", rows=rows, test_rows=test_rows)
    assert not (tmp_path / "raw").exists()


def test_smallest_release_is_whole(tmp_path: Path) -> None:
    simulate(tmp_path, rows=100, test_rows=1_000)
    assert (len(table(tmp_path / TRAIN)), len(table(tmp_path / TEST))) == (100, 1_000)
    for name in SINGLES | PAIRS:
        assert len(subset(tmp_path, name)) - len(public(tmp_path, f"{name}_exp_indices")) >= 30


def test_training_file_looks_like_the_real_one(folder: Path) -> None:
    rows = table(folder / TRAIN)
    sequences = [sequence for sequence, _ in rows]
    assert len(rows) == 25_000
    assert all(framed(sequence) for sequence in sequences)
    assert set("".join(sequences)) == set("ACGTN")
    lengths = np.array([len(sequence) for sequence in sequences])
    # Shares measured on 7,369 real rows.
    assert np.mean(lengths == 110) == pytest.approx(0.821, abs=0.01)
    assert np.mean(lengths == 109) == pytest.approx(0.1255, abs=0.01)
    assert 87 <= lengths.min() < 105
    assert 115 < lengths.max() <= 135
    assert np.mean(["N" in sequence for sequence in sequences]) == pytest.approx(0.0042, abs=0.002)
    letters = "".join(s[17:-13] for s in sequences)
    assert all(letters.count(x) / len(letters) == pytest.approx(0.25, abs=0.003) for x in "ACGT")
    assert all("." not in v or len(v.replace(".", "")) in range(2, 16) for _, v in rows)
    assert not any(v.endswith(".0") for _, v in rows)
    measured = values(rows)
    assert np.mean(["." not in v for _, v in rows]) == pytest.approx(0.582, abs=0.02)
    assert measured.mean() == pytest.approx(11.1, abs=0.5)
    assert measured.std() == pytest.approx(2.34, abs=0.15)
    assert 0 <= measured.min() < measured.max() <= 17


def test_test_file_looks_like_the_real_one(folder: Path) -> None:
    rows = table(folder / TEST)
    sequences = [sequence for sequence, _ in rows]
    assert len(set(sequences)) == len(rows) == 4_000
    assert sequences == sorted(sequences)
    assert {len(sequence) for sequence in sequences} == {110}
    assert all(
        s.startswith(LEFT) and s.endswith(RIGHT) and set(s) <= set("ACGT") for s in sequences
    )
    assert values(rows).mean() == pytest.approx(0.158, abs=0.15)
    assert values(rows).std() == pytest.approx(0.755, abs=0.08)
    assert not {sequence for sequence, _ in table(folder / TRAIN)} & set(sequences)


@pytest.mark.parametrize("name", [*SINGLES, *PAIRS])
def test_subset_files_name_rows_of_the_test_file(folder: Path, name: str) -> None:
    sequences = [sequence for sequence, _ in table(folder / TEST)]
    rows = subset(folder, name)
    header = PAIR_HEADER if name in PAIRS else SINGLE_HEADER
    if name in NUMBERED_TWICE:
        header = [header[0], "Unnamed: 0", *header[1:]]
    assert list(rows[0]) == header
    assert [row[""] for row in rows] == [str(index) for index in range(len(rows))]
    for role in ("alt_", "ref_") if name in PAIRS else ("",):
        assert {row[f"{role}exp"] for row in rows} == {""}
        assert all(sequences[int(row[f"{role}pos"])] == row[f"{role}sequence"] for row in rows)


def test_subsets_cover_the_test_file_in_the_real_shares(folder: Path) -> None:
    sizes = {name: len(subset(folder, name)) / 4_000 for name in SINGLES | PAIRS}
    # Rows or pairs per test row of the real files.
    real = {
        "random": 0.089,
        "challenging": 0.028,
        "motif_perturbation": 0.05,
        "motif_tiling": 0.037,
    }
    assert {name: sizes[name] for name in real} == pytest.approx(real, abs=0.005)
    assert 0.5 < sizes["SNVs"] < 0.65
    seen = {row["pos"] for name in SINGLES for row in subset(folder, name)}
    seen |= {row[key] for name in PAIRS for row in subset(folder, name) for key in PAIR_POSITIONS}
    assert seen == {str(row) for row in range(4_000)}


def differing(row: dict[str, str]) -> list[int]:
    pairs = zip(row["alt_sequence"], row["ref_sequence"], strict=True)
    return [place for place, (alt, ref) in enumerate(pairs) if alt != ref]


def test_pairs_differ_as_their_subset_says(folder: Path) -> None:
    substitutions = subset(folder, "SNVs")
    assert all(len(differing(row)) == 1 for row in substitutions)
    assert len({(row["alt_pos"], row["ref_pos"]) for row in substitutions}) == len(substitutions)
    for name in ("motif_perturbation", "motif_tiling"):
        spans = [differing(row) for row in subset(folder, name)]
        assert all(0 <= span[-1] - span[0] < 8 for span in spans)  # one site
        assert all(span[0] >= 17 and span[-1] < 97 for span in spans)  # in the insert
    # A tiling moves one site along few backgrounds.
    assert len({row["ref_sequence"] for row in subset(folder, "motif_tiling")}) == 3
    assert len({differing(row)[0] for row in subset(folder, "motif_tiling")}) > 40


def test_extremes_and_natives_are_what_they_say(folder: Path) -> None:
    measured = values(table(folder / TEST))
    mean = {
        name: measured[[int(row["pos"]) for row in subset(folder, name)]].mean() for name in SINGLES
    }
    assert mean["high"] - mean["random"] == pytest.approx(1.33, abs=0.35)  # as in the real data
    assert mean["random"] - mean["low"] == pytest.approx(1.16, abs=0.35)
    inserts = "".join(row["sequence"][17:97] for row in subset(folder, "yeast"))
    assert (inserts.count("A") + inserts.count("T")) / len(inserts) == pytest.approx(0.63, abs=0.03)


def test_public_rows_are_an_eighth_of_the_test_rows(folder: Path) -> None:
    expression = [float(value) for _, value in table(folder / TEST)]
    ground = public(folder, "ground")
    assert 0.11 < len(ground) / 4_000 < 0.16
    assert all(expression[int(row)] == value for row, value in ground.items())
    for name in SINGLES | PAIRS:
        entries = public(folder, f"{name}_exp_indices")
        keys = ("alt_pos", "ref_pos") if name in PAIRS else ("pos",)
        assert entries.keys() <= {
            ",".join(row[key] for key in keys) for row in subset(folder, name)
        }
        for members, value in entries.items():
            found = [ground[member] for member in members.split(",")]
            assert value == (found if name in PAIRS else found[0])
        assert len(entries) > 0


def test_record_is_what_simulate_returns(tmp_path: Path) -> None:
    returned = simulate(tmp_path, rows=3_000, test_rows=1_000, seed=7)
    record = json.loads((tmp_path / "simulated.json").read_text())
    assert (record.pop("generator"), record.pop("version")) == ("dream-simulated", 1)
    assert Simulation(**record) == returned
    assert (returned.rows, returned.test_rows, returned.seed) == (3_000, 1_000, 7)
    whole = np.mean([value.isdigit() for _, value in table(tmp_path / TRAIN)])
    assert returned.singletons == pytest.approx(whole, abs=1e-12)


@cache
def slow_sites() -> list[tuple[int, regulation.Factor, list[str], float]]:
    """Return every factor's motif as sets of bases, on both strands, with its effect."""
    complement = str.maketrans("ACGT", "TGCA")
    sites = []
    for number, factor in enumerate(regulation.FACTORS):
        word = [regulation.IUPAC[letter] for letter in factor.consensus]
        reverse = [letters.translate(complement) for letters in reversed(word)]
        sites += [(number, factor, word, 1.0), (number, factor, reverse, factor.reverse)]
    return sites


def slow_activity(sequence: str) -> float:
    """Return the activity of a promoter of 110 nt by plain loops over sites."""
    total, load = 0.0, dict.fromkeys((factor.name for factor in regulation.FACTORS), 0.0)
    for place in range(110 - 7):
        for _, factor, word, weight in slow_sites():
            wrong = sum(
                letter not in letters
                for letter, letters in zip(sequence[place:], word, strict=False)
            )
            bound = 1 / (1 + exp(3 * wrong - 2))
            load[factor.name] += bound
            position = 1 + factor.gradient * (2 * place / 102 - 1)
            total += factor.effect * weight * bound * position
    for first, second, strength in regulation.PARTNERS:
        total += strength * (1 - exp(-load[first])) * (1 - exp(-load[second]))
    return total


def slow_mean(sequence: str) -> float:
    logit = regulation.GAIN * (slow_activity(sequence) - regulation.BASAL)
    return regulation.LOWEST_BIN + regulation.BIN_SPAN / (1 + exp(-logit))


def test_tables_agree_with_plain_loops() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (20, 110), dtype=np.uint8)
    found = regulation.Regulation().activity(codes)
    expected = [slow_mean("".join("ACGT"[code] for code in row)) for row in codes]
    assert found.mean == pytest.approx(expected, abs=1e-3)


def codes_of(sequences: list[str]) -> np.ndarray:
    return np.array([["ACGT".index(letter) for letter in s] for s in sequences], np.uint8)


def test_substitutions_prefer_sites_half_of_the_time(folder: Path) -> None:
    rows = subset(folder, "SNVs")
    alts, refs = (codes_of([row[f"{role}_sequence"] for row in rows]) for role in ("alt", "ref"))
    rng, order = np.random.default_rng(0), np.arange(len(rows))
    anywhere = refs.copy()
    anywhere[order, rng.integers(17, 97, len(rows))] ^= rng.integers(1, 4, len(rows), np.uint8)

    def activity(codes: np.ndarray) -> np.ndarray:
        found = regulation.Regulation().activity(codes)
        return found.additive + found.context

    moved, by_chance = (np.abs(activity(x) - activity(refs)).mean() for x in (alts, anywhere))
    # 1.83 if the places around the strongest sites are always taken.
    assert moved / by_chance == pytest.approx(1.35, abs=0.15)


def test_ceilings_are_honest(folder: Path) -> None:
    record = json.loads((folder / "simulated.json").read_text())
    assert record["train_ceiling"] == pytest.approx(0.75, abs=0.04)
    assert record["test_ceiling"] == pytest.approx(0.97, abs=0.015)
    assert record["singletons"] == pytest.approx(0.58, abs=0.03)
    # True means are computed from the files' sequences, with tables that the test above checks.
    # Excluded training rows (of other lengths or with N) change r by about .003.
    train = [(s, v) for s, v in table(folder / TRAIN) if len(s) == 110 and "N" not in s]
    test = table(folder / TEST)
    for rows, name, slack in ((train, "train_ceiling", 0.006), (test, "test_ceiling", 1e-9)):
        means = regulation.Regulation().activity(codes_of([s for s, _ in rows])).mean
        assert pearson(means, values(rows)) == pytest.approx(record[name], abs=slack)


def test_two_measurements_agree_by_the_square_of_the_ceiling() -> None:
    # Attenuation: r(first, second) = r(true, first) * r(true, second) for independent noise.
    rng = np.random.default_rng(0)
    true = rng.normal(11, 1.8, 100_000)
    for depth in (1, 9):
        first, second = (measure(true, rng, depth=depth) for _ in range(2))
        expected = pearson(true, first) * pearson(true, second)
        assert pearson(first, second) == pytest.approx(expected, abs=0.01)


def test_measured_bins_follow_the_rounded_normal() -> None:
    single = measure(np.full(200_000, 11.0), np.random.default_rng(0))
    singles = single[single == np.rint(single)]
    shares = [np.mean(singles == number) for number in range(8, 15)]
    spread = 1.88
    edges = norm.cdf(np.arange(7.5, 15), 11.0, spread)
    expected = np.array([high - low for low, high in pairwise(edges)])
    # A second read of the same bin favours the common bins a little.
    assert shares == pytest.approx(expected, abs=0.02)
    assert single.mean() == pytest.approx(11.0, abs=0.05)


def test_five_letter_words_learn_it(folder: Path) -> None:
    words = CountVectorizer(analyzer="char", ngram_range=(5, 5), lowercase=False)
    train, test = table(folder / TRAIN), table(folder / TEST)
    counts = words.fit_transform([sequence for sequence, _ in train])
    model = Ridge(alpha=100).fit(counts[:20_000], values(train)[:20_000])
    assert pearson(model.predict(counts[20_000:]), values(train)[20_000:]) > 0.5
    predicted = model.predict(words.transform([sequence for sequence, _ in test]))
    measured = values(test)
    assert 0.55 < pearson(predicted, measured) < 0.85
    rows = [int(row["pos"]) for row in subset(folder, "random")]
    # The real random promoters: .72 to .77.
    assert pearson(predicted[rows], measured[rows]) == pytest.approx(0.75, abs=0.08)
