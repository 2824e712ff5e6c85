"""Proformer's weights from a TensorFlow checkpoint, which is written here by the golden files."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.registry import MODELS
from bench.runner.imported import Imported
from tests.models.test_golden import Arrays, parametrize, proformer_weights, relative_error
from tests.weights.bundle import write_checkpoint

Proformer = MODELS.get("proformer")
NAMES = (  # golden names, and those of the notebook's objects as Keras 2.6 saves them
    (r"(pos|strand)_embedding", r"\1_embedding/embeddings"),
    (r"expression_embedding\.(.*)", r"expression_embedding/\1"),
    (r"kmer\.(.*)", r"kmer_dense/\1"),
    (r"(expression|nucleotide)_head\.(.*)", r"\1_dense/\2"),
    (r"(ff.)\.norm\.(.*)", r"\1/net/layer_with_weights-0/\2"),
    (r"(ff.)\.in\.(.*)", r"\1/net/layer_with_weights-1/\2"),
    (r"(ff.)\.out\.(.*)", r"\1/net/layer_with_weights-2/\2"),
    (r"conv\.norm\.(.*)", r"conv/layer_with_weights-0/\1"),
    (r"conv\.(depth|point)wise\.kernel", r"conv/layer_with_weights-1/\1wise_kernel"),
    (r"conv\.bias", r"conv/layer_with_weights-1/bias"),
    (r"norm\.(.*)", r"layernorm/\1"),
    (r"attn\.out\.(.*)", r"attn/_output_dense/\1"),
    (r"attn\.(query|key|value)\.(.*)", r"attn/_\1_dense/\2"),
)


def renamed(name: str) -> str:
    block = re.match(r"blocks\.(\d+)\.", name)
    rest = name[block.end() :] if block else name
    (found,) = [re.sub(old, new, rest) for old, new in NAMES if re.fullmatch(old, rest)]
    return f"blocks/layer_with_weights-{block[1]}/{found}" if block else found


def settings(z: Arrays) -> dict[str, int]:
    names = {"k": "kmer", "dim": "dim", "blocks": "blocks", "attention_heads": "heads"}
    names["expression_heads"] = "projectors"
    return {ours: int(z[f"config/{theirs}"]) for ours, theirs in names.items()}


def written(z: Arrays, index: Path) -> Path:
    """Write a checkpoint like the authors': its variables, and some of the optimizer's."""
    given = {renamed(n[7:]): z[n] for n in z if n.startswith("weight/")}
    given["optimizer/learning_rate"] = np.array(0.1)
    write_checkpoint(index, given)
    return index


@parametrize("proformer_*.npz")
@pytest.mark.parametrize("name", ["model.index", ".index"])
def test_a_checkpoint_gives_the_golden_outputs(path: Path, name: str, tmp_path: Path) -> None:
    """The authors saved to the folder "tf_ckpts/", where TensorFlow calls the index ".index"."""
    z = np.load(path)
    config = Proformer.Config(**settings(z))
    model = Proformer(config, z["tokens"].shape[1]).eval()
    imported = Imported.read(written(z, tmp_path / name), Proformer, config)
    imported.put_into(model)
    for key, values in proformer_weights(z).items():
        np.testing.assert_array_equal(model.state_dict()[key].numpy(), values, strict=True)
    assert relative_error(model(torch.from_numpy(z["tokens"])), z["expression"]) < 1e-5
    assert imported.weights.scale is None


@pytest.mark.parametrize(
    ("typed", "index"),
    [("m", "m.index"), ("m.data-00000-of-00001", "m.index"), ("folder", "folder/.index")],
)
def test_a_checkpoint_typed_without_its_ending_is_told_it(
    typed: str, index: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / index).touch()
    with pytest.raises(BenchError, match="named by its index") as caught:
        Imported.read(tmp_path / typed, Proformer, Proformer.Config())
    assert caught.value.hint == {"weights": tmp_path / index}


@parametrize("proformer_a.npz")
def test_a_checkpoint_of_other_sizes_is_refused(path: Path, tmp_path: Path) -> None:
    z = np.load(path)
    index = written(z, tmp_path / "m.index")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"blocks": 3}, "has no tensor blocks/layer_with_weights-2/ff1/net/"),
        ({"dim": 16}, r"position is \(200, 32\), and \(200, 16\) is needed"),
        ({"head": "pool"}, "its expression_embedding.bias is unknown"),
        ({"ffn": "glu", "k": 3}, r"kmer.weight is \(32, 30\)|kmer.weight is"),
    ]
    for changes, reason in cases:
        config = Proformer.Config(**{**settings(z), **changes})
        with pytest.raises(BenchError, match=f"weights .*{reason}"):
            Imported.read(index, Proformer, config).put_into(Proformer(config, 200))
