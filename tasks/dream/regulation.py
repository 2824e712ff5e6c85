"""Simulated yeast promoters: their sequences, and the mean expression that a sequence causes.

A promoter is a row of base codes, A C G T = 0 1 2 3, whose last base is next to the gene.
A transcription factor binds short motifs: Reb1 binds TTACCCG and tolerates one mismatch, on either
strand (the reverse complement of TTACCCG is CGGGTAA). Bound activators raise expression and
repressors lower it, by an amount that depends on strand and on distance to the gene (de Boer et al.
2020, doi:10.1038/s41587-019-0315-8), and some factors need a partner. The consensus motifs are
taken from the literature; effects, gradients and partnerships are invented.

Legend: B promoters, L bases, W = L - 7 windows, F factors with a partner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]

WINDOW = 8  # length of the longest consensus (nt); its 65,536 words fit into two bytes
CHUNK = 2**15  # promoters at a time; bounds memory
REACH = 110  # distance from the gene (nt) up to which sites have an effect
LOWEST_BIN, BIN_SPAN = 6.0, 10.0  # mean bin of a silent promoter; bins from it to a saturated one
BASAL, GAIN = 2.1, 0.31  # activity of a half-saturated promoter; logits per unit of activity

IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
    "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip


def encode(letters: str) -> Codes:
    """Return the base codes of a sequence, (L,); an ambiguous letter becomes its first base."""
    return np.array(["ACGT".index(IUPAC[letter][0]) for letter in letters], np.uint8)


# 74 bases of the plasmid (de Boer et al. 2020) before the 80 random ones; the files contain 17.
UPSTREAM = encode("AACCATCACCCTAATCAAGTGCTAGCAGGAATGATGCAAAAGGTTCCCGATTCGAACTGCATTTTTTTCACATC")
LEFT, RIGHT = UPSTREAM[-17:], encode("GGTTACGGCTGTT")
INSERT = 80
# Shares of the random part's lengths, as in a sample of 7,369 real training rows.
LENGTHS = np.arange(57, 106)
LENGTH_SHARES = np.where(LENGTHS < INSERT, 3e-4, 6e-5)
LENGTH_SHARES[np.searchsorted(LENGTHS, range(74, 82))] = (
    *(0.0016, 0.0024, 0.0046, 0.0073, 0.0243, 0.1255), 0, 0.0048
)  # fmt: skip
LENGTH_SHARES[LENGTHS == INSERT] = 1 - LENGTH_SHARES.sum()


@dataclass(frozen=True, slots=True)
class Factor:
    """A transcription factor and the effect of one bound copy."""

    name: str
    consensus: str
    """IUPAC motif of at most 8 letters, on the strand of the gene."""
    effect: float
    """Change of activity by one perfect site; negative for a repressor."""
    reverse: float
    """Share of the effect for a site on the other strand."""
    gradient: float
    """Change of the effect with distance: factor 1 + gradient next to the gene, 1 - gradient at 110
    nt from it."""


# Consensus motifs: Harbison et al. 2004 (doi:10.1038/nature02800), YeTFaSCo (de Boer and Hughes
# 2012, doi:10.1093/nar/gkr993) and JASPAR CORE fungi; others are named at their line.
FACTORS = (
    Factor("Reb1", "TTACCCG", 3.0, 0.9, -0.5),
    Factor("Rap1", "CACCCA", 1.2, 0.6, -0.7),
    Factor("Gcr1", "CTTCC", 0.5, 0.6, 0.5),
    Factor("Gcn4", "TGASTCA", 2.2, 1.0, 0.7),
    Factor("Cbf1", "CACGTG", 1.2, 1.0, 0.5),
    Factor("Hap2/3/4", "CCAAT", 0.5, 0.4, 0.8),
    Factor("Mbp1", "ACGCGT", 1.1, 1.0, 0.7),
    Factor("Swi4", "CRCGAAA", 2.2, 0.7, 0.7),
    Factor("Rsc3", "CGCGC", 0.5, 1.0, 0.8),  # Badis et al. 2008, doi:10.1016/j.molcel.2008.11.020
    Factor("Msn2", "AGGGG", 0.5, 0.8, 0.8),
    Factor("Hsf1", "TTCNNGAA", 2.0, 1.0, 0.5),
    Factor("TBP", "TATAWAW", 2.2, 0.5, 0.9),  # Basehoar, Zanton and Pugh 2004
    Factor("poly(dA:dT)", "AAAAAAA", 1.2, 0.7, 0.8),  # keeps nucleosomes off: Iyer and Struhl 1995
    Factor("Ume6", "GCCGCC", -1.6, 0.9, 0.8),
    Factor("Mig1", "SYGGGG", -0.8, 0.8, -0.8),
    Factor("Rox1", "ATTGTT", -1.5, 0.8, 0.5),
    Factor("Yox1", "TAATTA", -1.5, 1.0, 0.5),  # Pramila et al. 2002
    Factor("Nrg1", "GGACCCT", -3.0, 0.7, 0.5),
    Factor("Mot3", "HAGGYA", -0.6, 0.6, 0.7),
    Factor("Xbp1", "CTCGA", -0.6, 0.9, 0.8),  # Mai and Breeden 1997
)
# Activity that two factors add when both are bound, in addition to their own effects.
PARTNERS = (
    ("Rap1", "Gcr1", 3.0),
    ("Reb1", "Rsc3", 4.0),
    ("Cbf1", "Gcn4", 4.0),
    ("Hap2/3/4", "TBP", 3.0),
    ("Ume6", "Mig1", -3.0),
    ("Msn2", "Rox1", -3.0),
)
_PAIRED = sorted({name for first, second, _ in PARTNERS for name in (first, second)})


@dataclass(frozen=True, slots=True)
class Activity:
    """Activity of a batch of promoters."""

    mean: Numbers
    """Mean sorting bin of each promoter's cells, (B,)."""
    additive: Numbers
    """Part of the activity that is a sum over sites, independent of their places, (B,)."""
    context: Numbers
    """Part of the activity that depends on places of sites and on partners, (B,)."""


class Regulation:
    """Lookup tables of all factors over all 8-mers."""

    def __init__(self) -> None:
        bound = {f.name: _affinities(f.consensus) for f in FACTORS}  # (2, 4**8) each
        effects = [f.effect * (bound[f.name][0] + f.reverse * bound[f.name][1]) for f in FACTORS]
        self.effect = np.sum(effects, axis=0)  # (4**8,)
        gradients = [f.gradient * effect for f, effect in zip(FACTORS, effects, strict=True)]
        self.gradient = np.sum(gradients, axis=0).astype(np.float32)  # (4**8,)
        columns = [self.effect, *(bound[name].sum(0) for name in _PAIRED)]
        self.columns = np.stack(columns, axis=1).astype(np.float32)  # (4**8, 1 + F)

    def activity(self, codes: Codes) -> Activity:
        """Return the activity of promoters (B, L) with L >= 110."""
        parts = [self._activity(codes[i : i + CHUNK]) for i in range(0, len(codes), CHUNK)]
        additive, context = np.concatenate(parts, axis=1).astype(np.float64)  # 2 of (B,)
        silent = 1 + np.exp(-GAIN * (additive + context - BASAL))
        return Activity(LOWEST_BIN + BIN_SPAN / silent, additive, context)

    def strength(self, codes: Codes) -> Numbers:
        """Return the activity that depends on the sites around each base, (B, L)."""
        strongest = np.abs(self.effect)[window_words(codes)]  # (B, W)
        # A consensus of 6 nt occupies the first 6 of its window: centre it on the base.
        return np.pad(strongest, ((0, 0), (3, WINDOW - 4)))

    def _activity(self, codes: Codes) -> npt.NDArray[np.float32]:
        """Return the additive part of the activity and the other part, (2, B)."""
        from scipy import sparse

        words = window_words(codes[:, -REACH:])  # (B, W)
        rows, windows = words.shape
        starts = np.arange(0, rows * windows + 1, windows, dtype=np.int32)
        places = words.ravel().astype(np.int32)
        ramp = np.linspace(-1, 1, windows, dtype=np.float32)  # from far to near the gene
        # The product of a sparse count of words with the tables reads each table row once. It is
        # twice as fast as indexing column by column, and scipy releases the GIL.
        shape = (rows, 4**WINDOW)
        count = sparse.csr_array((np.ones(len(places), np.float32), places, starts), shape=shape)
        placed = sparse.csr_array((np.tile(ramp, rows), places, starts), shape=shape)
        sums = count @ self.columns  # (B, 1 + F)
        bound = -np.expm1(-sums[:, 1:])  # (B, F) probability that a factor is bound anywhere
        return np.stack([sums[:, 0], placed @ self.gradient + _partnership(bound)])


def window_words(codes: Codes) -> npt.NDArray[np.uint16]:
    """Return the numbers of the 8-mers of (B, L) codes, (B, L - 7); AAAAAAAA is 0."""
    pairs = codes[:, :-1] << 2 | codes[:, 1:]
    fours = pairs[:, :-2] << 4 | pairs[:, 2:]
    return fours[:, :-4] * np.uint16(256) + fours[:, 4:]


def planted(
    backgrounds: Codes, count: int, places: Sequence[int], wrong: int, rng: np.random.Generator
) -> tuple[Codes, Codes]:
    """Return backgrounds with a planted site with up to `wrong` mismatches, and without it."""
    words = [encode(factor.consensus) for factor in FACTORS]
    words += [3 - word[::-1] for word in words]
    grid = (len(backgrounds), len(words), len(places))
    picks = rng.choice(np.prod(grid), count, replace=False)
    background, which, place = np.unravel_index(picks, grid)
    refs = backgrounds[background]
    alts = refs.copy()
    start = len(LEFT) + np.asarray(places)[place]
    for index, word in enumerate(words):
        rows = np.flatnonzero(which == index)
        alts[rows[:, None], start[rows, None] + np.arange(len(word))] = word
    broken = rng.integers(0, wrong + 1, count)
    for number in range(1, wrong + 1):
        rows = np.flatnonzero(broken >= number)
        letters = start[rows] + rng.integers(0, 5, len(rows))  # every consensus has at least 5 nt
        alts[rows, letters] = (alts[rows, letters] + rng.integers(1, 4, len(rows))) % 4
    changed = (alts != refs).any(axis=1)  # a background may have the site already
    return alts[changed], refs[changed]


def substituted(
    bases: Codes, count: int, strength: Numbers, rng: np.random.Generator
) -> tuple[Codes, Codes]:
    """Return `count` copies of reference promoters with one substitution, and their references.

    Half of the positions are drawn in proportion to squared `strength` (B, L), half uniformly.
    """
    inside = slice(len(LEFT), -len(RIGHT))
    pull = strength[:, inside] ** 2  # squared, to prefer positions near a site
    odds = 1 / INSERT + pull / pull.sum(axis=1, keepdims=True)
    # Sorting by log odds plus Gumbel noise samples without replacement, so no pair occurs twice.
    keys = np.log(odds) + rng.gumbel(size=odds.shape)
    places = np.argsort(-keys, axis=1).T.ravel()[:count] + len(LEFT)
    rows = np.arange(count) % len(bases)
    alts = bases[rows]
    alts[np.arange(count), places] = (
        alts[np.arange(count), places] + rng.integers(1, 4, count)
    ) % 4
    return alts, bases[rows]


def native_letters(rows: int, rng: np.random.Generator) -> Codes:
    """Return base codes (B, 80) like those of yeast promoters: 62% A or T, with tracts and TATA."""
    letters = rng.choice(4, (rows, INSERT), p=[0.3, 0.2, 0.2, 0.3]).astype(np.uint8)
    length = rng.integers(6, 12, rows) * (rng.random(rows) < 0.5)
    offset = np.arange(INSERT) - rng.integers(0, INSERT, rows)[:, None]
    tract = (offset >= 0) & (offset < length[:, None])
    letters = np.where(tract, 3 * rng.integers(0, 2, (rows, 1), dtype=np.uint8), letters)
    boxed = np.flatnonzero(rng.random(rows) < 0.3)
    start = rng.integers(30, INSERT - 7, len(boxed))
    letters[boxed[:, None], start[:, None] + np.arange(7)] = encode("TATAWAW")
    return letters


def framed(inserts: Codes) -> Codes:
    """Return the codes of promoters (B, 110): random parts (B, 80) between the flanks."""
    rows = len(inserts)
    return np.hstack([np.tile(LEFT, (rows, 1)), inserts, np.tile(RIGHT, (rows, 1))])


def random_promoters(rng: np.random.Generator, rows: int) -> tuple[Codes, Positions]:
    """Return promoters of many lengths (B, L), and their lengths in the files (nt).

    Rows are aligned at their last base, next to the gene; the plasmid fills the start of a row.
    """
    lengths = rng.choice(LENGTHS, rows, p=LENGTH_SHARES)
    width = LENGTHS[-1] + len(LEFT) + len(RIGHT)
    offset = np.arange(width) - (width - len(RIGHT) - lengths)[:, None]  # from the random part
    plasmid = UPSTREAM[offset % len(UPSTREAM)]  # offset -1 is its last base
    codes = np.where(offset < 0, plasmid, random_letters(rng, rows, width))
    codes[:, -len(RIGHT) :] = RIGHT
    return codes, lengths + len(LEFT) + len(RIGHT)


def random_letters(rng: np.random.Generator, rows: int, width: int) -> Codes:
    """Return random base codes (rows, width), all four equally likely."""
    return np.frombuffer(rng.bytes(rows * width), np.uint8).reshape(rows, width) % np.uint8(4)


def _affinities(consensus: str) -> Numbers:
    """Return the probability of binding at the start of each 8-mer, for both strands, (2, 4**8)."""
    allowed = np.array([[base in IUPAC[letter] for base in "ACGT"] for letter in consensus])
    words = np.arange(4**WINDOW)
    tables = []
    for strand in (allowed, allowed[::-1, ::-1]):  # A-T and C-G: complement = reversed order
        mismatches = sum(
            ~row[words >> 2 * (WINDOW - 1 - place) & 3] for place, row in enumerate(strand)
        )
        # The odds of binding fall 20-fold with each mismatch: probabilities .88, .27, .02.
        tables.append(1 / (1 + np.exp(3.0 * mismatches - 2.0)))
    return np.stack(tables)


def _partnership(bound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the activity added by partners (B,), from the probabilities of binding (B, F)."""
    total = np.zeros(len(bound), np.float32)
    for first, second, strength in PARTNERS:
        total += strength * bound[:, _PAIRED.index(first)] * bound[:, _PAIRED.index(second)]
    return total
