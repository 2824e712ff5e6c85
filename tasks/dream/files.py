"""Published files of the challenge.

Sequences and expression are in Zenodo record 10633252. Subsets and public lists are in the
organisers' repository, pinned to a commit. Only the training file's hash is published; for the
other files the hash of the first download is recorded, and later downloads must have equal hashes.
"""

from bench.cards import RemoteFile
from bench.tasks.dream.scoring import FILES, PUBLIC

TRAIN, TEST = "train_sequences.txt", "filtered_test_data_with_MAUDE_expression.txt"
OWN_TRAIN, OWN_VALIDATION = "train.txt", "val.txt"
"""The organisers' own split of the training file."""

_RECORD = "https://zenodo.org/records/10633252/files"
_REPOSITORY = (
    "https://raw.githubusercontent.com/de-Boer-Lab/random-promoter-dream-challenge-2022/"
    "1b40970e8dcddf31d07ccc4604a82afac8f49095/data"
)
_SUBSETS = [f"test_subset_ids/{file}" for file in FILES.values()]
_LISTS = [f"public_leaderboard_ids/{file}" for file in PUBLIC.values()]

REMOTE = (
    RemoteFile(
        name=TRAIN,
        url=f"{_RECORD}/{TRAIN}?download=1",
        size=805_369_640,
        sha256="dfd548e99d9d64fae963c029a8f7446688f6f064ae414e54c2f4880f25256661",
    ),
    *(
        RemoteFile(name=name, url=f"{_RECORD}/{name}?download=1")
        for name in (OWN_TRAIN, OWN_VALIDATION, TEST)
    ),
    *(RemoteFile(name=name, url=f"{_REPOSITORY}/{name}") for name in (*_SUBSETS, *_LISTS)),
)
