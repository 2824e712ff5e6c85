"""Simulated genome, ATAC-seq signal and peaks, in the formats of measured files."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.atomic import write_json
from bench.data.sequences import N, Tokens, decode
from bench.genomics.bigwig import Floats, write_signal
from bench.genomics.input_files import MARK
from bench.genomics.intervals import Integers

SIMULATED = {"signal": "signal.bw", "peaks": "peaks.narrowPeak", "genome": "genome.fa.gz"}
"""Files that :func:`simulate_genome` writes."""

# Chromosomes and their shares of the peaks: names as in the usual split of human ones.
_SHARES = {"chr1": 0.3, "chr2": 0.25, "chr3": 0.2, "chr10": 0.1, "chr8": 0.08, "chr9": 0.07}
_SPACING, _JITTER, _TELOMERE = 2_400, 400, 2_000  # bp between peaks, their jitter, N at both ends
_READ, _BASE = 50, 0.3  # length of a read (bp); mean coverage of closed chromatin
_REACH, _CLUSTER = 40.0, 80.0  # std of one site's effect, and of sites around a summit (bp)
_NOISE = 0.3  # std of the noise that the sequence does not explain, in logs of coverage
# Core motifs of factors that open or close chromatin in lymphoblastoid cells, after JASPAR CORE
# (doi:10.1093/nar/gkad1059); the effects, in logs of coverage, are invented.
_MOTIFS = {
    "CTCF": ("AGRKGGCR", 1.5),
    "PU.1": ("AGAGGAAG", 1.3),
    "AP-1": ("NTGASTCA", 1.2),
    "NF-kB": ("GGGAMTTT", 1.0),
    "IRF": ("GAAACTGA", 1.0),
    "RUNX": ("NTGTGGTT", 0.9),
    "EBF": ("CCCNNGGG", 0.6),
    "SP1": ("NGGGGCGG", 0.8),
    "GFI1": ("AAATCASW", -1.0),
}
_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "N": "ACGT",
}  # fmt: skip
_WORD = 8


def simulate_genome(directory: Path, *, rows: int, seed: int) -> dict[str, Any]:
    """Write a small simulated genome, its signal and its peaks, in the formats of real files.

    Binding sites are planted in clusters. All sites of the sequence, planted or by chance, set the
    expected number of reads nearby; the number of reads is Poisson distributed.

    Args:
        directory: Existing folder.
        rows: Number of windows that the genome is made for; there are 15 per peak.
        seed: Seed of the simulation; one seed gives one genome.

    Returns:
        Facts about the simulation. ``ceiling`` is the correlation between the logs of expected and
        measured coverage around summits, which no model can exceed.
    """
    random = np.random.default_rng(seed)
    peaks = max(60, rows // 15)
    table, sizes, texts, spans, logs = _word_effects(), {}, [], [], []
    signal: dict[str, Integers] = {}
    for name, share in _SHARES.items():
        letters, centers = _made_up_letters(random, max(5, round(peaks * share)))
        expected, signal[name] = _made_up_reads(random, letters, table)
        sizes[name] = len(letters)
        texts.append(_fasta_text(name, letters))
        summits = _summits(signal[name], centers)
        spans += [_peak_line(name, int(at), int(signal[name][at])) for at in summits]
        near = random.choice(summits, 500) + random.integers(-400, 400, 500)
        logs.append(np.log1p(np.stack([expected[near], signal[name][near]])))
    (directory / SIMULATED["genome"]).write_bytes(gzip.compress(b"".join(texts), 1, mtime=0))
    (directory / SIMULATED["peaks"]).write_text("".join(spans), encoding="ascii")
    write_signal(directory / SIMULATED["signal"], sizes, _covered(signal))
    facts = {
        "generator": "genome-simulated",
        "version": 1,
        "rows": rows,
        "seed": seed,
        "letters": sum(sizes.values()),
        "peaks": len(spans),
        "ceiling": float(np.corrcoef(np.concatenate(logs, axis=1))[0, 1]),
    }
    write_json(directory / MARK, facts)
    return facts


def _word_effects() -> Floats:
    """Return the effect of each 8-mer on the log of coverage, on either strand, ``(4**8,)``."""
    digits = np.arange(4**_WORD)[:, None] >> (2 * np.arange(_WORD)[::-1]) & 3  # (65536, 8)
    effects = np.zeros(4**_WORD)
    for motif, effect in _MOTIFS.values():
        allowed = np.array([[base in _IUPAC[letter] for base in "ACGT"] for letter in motif])
        for strand in (digits, 3 - digits[:, ::-1]):
            effects[allowed[np.arange(_WORD), strand].all(axis=1)] += effect
    return effects


def _made_up_letters(random: np.random.Generator, peaks: int) -> tuple[Tokens, Integers]:
    """Return tokens of a chromosome ``(L,)`` and the centers of its clusters of sites."""
    centers = _TELOMERE + _SPACING * (np.arange(peaks) + 1)
    centers += random.integers(-_JITTER, _JITTER + 1, peaks)
    letters = random.integers(0, 4, 2 * _TELOMERE + _SPACING * (peaks + 1), dtype=np.uint8)
    words = [motif for motif, _ in _MOTIFS.values()]
    sites = np.repeat(centers, 1 + random.poisson(2.5, peaks))
    at = sites + np.rint(random.normal(0, _CLUSTER, len(sites))).astype(np.int64)
    picks = random.integers(0, len(words), len(sites))
    # For each position of a site, draw one of the bases that the motif allows there.
    options = np.array([[(_IUPAC[x] * 12)[:12] for x in word] for word in words])  # 12: 1, 2, 3, 4
    codes = np.array([["ACGT".index(b) for b in cell] for row in options for cell in row])
    codes = codes.reshape(len(words), _WORD, 12)
    drawn = codes[picks[:, None], np.arange(_WORD), random.integers(0, 12, (len(sites), _WORD))]
    flipped = random.random(len(sites)) < 0.5
    drawn[flipped] = 3 - drawn[flipped, ::-1]
    letters[at[:, None] + np.arange(_WORD)] = drawn
    letters[:_TELOMERE] = letters[-_TELOMERE:] = N
    return letters, centers


def _made_up_reads(
    random: np.random.Generator, letters: Tokens, table: Floats
) -> tuple[Floats, Integers]:
    """Return the expected and the simulated coverage of every base, ``(L,)`` each."""
    from scipy.ndimage import gaussian_filter1d, uniform_filter1d

    length = len(letters)
    known = letters < N
    words = np.zeros(length - _WORD + 1, dtype=np.int64)
    for place in range(_WORD):
        words = words * 4 + (letters[place : length - _WORD + 1 + place] & 3)
    effects = np.zeros(length)
    effects[_WORD // 2 : _WORD // 2 + len(words)] = table[words]
    effects[~known] = 0
    activity = gaussian_filter1d(effects, _REACH) * (_REACH * np.sqrt(2 * np.pi))
    expected = _BASE * np.exp(np.clip(activity, -2, 5)) * known
    noise = np.repeat(random.normal(0, _NOISE, length // 200 + 1), 200)[:length]
    starts = random.poisson(expected * np.exp(noise) / _READ)
    total = np.concatenate([np.zeros(_READ, dtype=np.int64), np.cumsum(starts)])
    return uniform_filter1d(expected, _READ), np.roll(total[_READ:] - total[:-_READ], -_READ // 2)


def _summits(coverage: Integers, centers: Integers) -> Integers:
    """Return the place of highest coverage near every center, like a peak caller."""
    from scipy.ndimage import uniform_filter1d

    places = centers[:, None] + np.arange(-150, 151)
    smooth = uniform_filter1d(coverage.astype(np.float64), _READ)
    return np.take_along_axis(places, smooth[places].argmax(axis=1)[:, None], axis=1)[:, 0]


def _peak_line(name: str, summit: int, height: int) -> str:
    """Return a narrowPeak row without p and q values; the summit is 150 bp from the start."""
    return f"{name}\t{summit - 150}\t{summit + 150}\t.\t{height}\t.\t{height}\t-1\t-1\t150\n"


def _fasta_text(name: str, letters: Tokens) -> bytes:
    text = decode(letters[None])[0].encode()
    lines = [text[at : at + 60] for at in range(0, len(text), 60)]
    return b">" + name.encode() + b"\n" + b"\n".join(lines) + b"\n"


def _covered(signal: Mapping[str, Integers]) -> Iterator[tuple[str, int, int, float]]:
    """Yield intervals of equal coverage above 0, sorted by name and place."""
    for name in sorted(signal):
        edges = np.flatnonzero(np.diff(signal[name], prepend=-1, append=-1))
        heights = signal[name][edges[:-1]]
        runs = zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True)
        yield from ((name, start, end, float(height)) for start, end, height in runs if height)
