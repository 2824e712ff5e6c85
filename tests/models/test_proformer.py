"""Parts of Proformer without golden files: pooled head, gates, masks, full-size counts."""

from typing import Any

import pytest
import torch

from bench.config import override, split_assignments
from bench.data.layout import lay_out
from bench.data.sequences import encode
from bench.errors import BenchError
from bench.model import Batch
from bench.registry import MODELS

Proformer = MODELS.get("proformer")


def small(**changes: Any) -> Any:
    torch.manual_seed(0)
    values = {"dim": 16, "blocks": 1, "attention_heads": 2, "expression_heads": 4, "k": 4}
    return Proformer(Proformer.Config(**{**values, **changes}), 200)


def test_the_report_size_has_the_reports_parameters() -> None:
    with torch.device("meta"):
        model = Proformer(Proformer.Config(), 200)
    assert sum(p.numel() for p in model.parameters()) == 47_425_543


def test_the_pooled_head_lacks_the_expression_token_and_nothing_else() -> None:
    multi, pool = small(), small(head="pool")
    names = {n for n, _ in multi.named_parameters()} ^ {n for n, _ in pool.named_parameters()}
    assert names == {"expression_embedding.weight", "expression_embedding.bias"}


def test_the_pooled_head_reads_the_mean_over_positions() -> None:
    model = small(head="pool").eval()
    tokens = torch.randint(5, (3, 200), dtype=torch.uint8)
    features: list[torch.Tensor] = []
    model.blocks.register_forward_hook(lambda module, args, out: features.append(out))
    predictions = model(tokens)
    head = model.expression_head
    expected = features[0].sum(dim=1) / 200 @ head.weight[0] + head.bias
    torch.testing.assert_close(predictions, expected)


@pytest.mark.parametrize("head", ["multi", "pool"])
@torch.no_grad()
def test_as_many_predictions_differ_in_bfloat16_as_in_float32(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks, which are slow in bfloat16 on a CPU, are left out."""
    model = small(head=head).eval()
    features = torch.randn(1000, 204, 16)
    monkeypatch.setattr(model, "_encode", lambda tokens: features)
    tokens = torch.zeros(1000, 200, dtype=torch.uint8)
    different = model(tokens).unique().numel()
    with torch.autocast("cpu", torch.bfloat16):
        predictions = model(tokens)
    assert predictions.dtype == torch.float32
    assert predictions.unique().numel() == different > 990


@pytest.mark.parametrize(
    ("ffn", "gate"), [("swiglu", lambda z: z * torch.sigmoid(z)), ("glu", torch.sigmoid)]
)
def test_the_gate_is_the_second_half(ffn: str, gate: Any) -> None:
    layer = small(ffn=ffn, dropout=0.0).blocks[0].first
    x = torch.randn(2, 5, 16)
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    wide = normed @ layer.widen.weight.T
    expected = (wide[..., :32] * gate(wide[..., 32:])) @ layer.narrow.weight.T
    torch.testing.assert_close(layer(x), expected)


def test_hidden_letters_are_never_n_and_as_many_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(mask_ratio=0.2, dropout=0.0)
    tokens = torch.randint(5, (400, 200), dtype=torch.uint8)
    seen: list[torch.Tensor] = []

    def encode_nothing(given: torch.Tensor) -> torch.Tensor:
        seen.append(given)
        return torch.zeros(len(given), 204, 16)

    monkeypatch.setattr(model, "_encode", encode_nothing)
    model.loss(Batch(tokens, torch.zeros(400), {}))
    hidden = seen[0] == 5
    assert torch.equal(seen[0][~hidden], tokens[~hidden])
    assert not (tokens[hidden] == 4).any()
    letters = int((tokens != 4).sum())
    assert int(hidden.sum()) / letters == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("head", ["multi", "pool"])
def test_without_masking_the_loss_is_the_squared_error(head: str) -> None:
    model = small(head=head, mask_ratio=0.0, dropout=0.0).train()
    tokens, target = torch.randint(5, (4, 200), dtype=torch.uint8), torch.randn(4)
    expected = ((model(tokens) - target) ** 2).sum() / 4
    loss = model.loss(Batch(tokens, target, {}))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    used = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    idle = {n for n, _ in model.named_parameters()} - used
    # A zero is embedded, and a constant added to all keys leaves the softmax as it is.
    assert idle <= {"expression_embedding.weight", "blocks.0.attention.key.bias"}


def test_without_masking_only_the_nucleotide_head_is_gone_and_no_chance_is_needed() -> None:
    with_it, without = small(), small(mask_ratio=0.0, dropout=0.0)
    names = {n for n, _ in with_it.named_parameters()} ^ {n for n, _ in without.named_parameters()}
    assert names == {"nucleotide_head.weight", "nucleotide_head.bias"}
    before = torch.get_rng_state()
    tokens = torch.full((1, 200), 2, dtype=torch.uint8)
    without.train().loss(Batch(tokens, torch.zeros(1), {}))
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(BenchError, match=r"mask_ratio=0 there are no nucleotide logits"):
        without.expression_and_nucleotides(torch.zeros(1, 200, dtype=torch.uint8))


def test_with_masking_a_seeds_draws_are_those_of_earlier_versions() -> None:
    """The loss was recorded before mask filling became optional; other noise changes it by .01."""
    model = small(dropout=0.1).train()
    tokens, target = torch.randint(5, (4, 200), dtype=torch.uint8), torch.randn(4)
    assert model.loss(Batch(tokens, target, {})).item() == pytest.approx(
        4.343728065490723, rel=1e-6
    )


@pytest.mark.parametrize("variant", [setting for setting, _ in Proformer.card.variants])
def test_every_variant_on_the_card_can_be_typed(variant: str) -> None:
    given = split_assignments(variant.split())
    assert not given["task"]
    assert not given["recipe"]
    config = override(Proformer.Config(), given["model"], section="model")
    with torch.device("meta"):
        Proformer(config, 200)


def test_an_insert_is_centred_and_longer_training_rows_are_left_out() -> None:
    layout = Proformer.layout(Proformer.Config(length=10))
    insert = "ACGTACG"
    sequences = encode(["A" * 17 + insert + "C" * 13])
    assert "".join("ACGTN"[t] for t in lay_out(sequences, layout, 10, (17, 13))[0]) == "NACGTACGNN"
    assert layout.drop_longer
    assert layout.positions(110, (17, 13)) == 20


def test_an_even_kernel_is_refused_with_the_number_to_type() -> None:
    with pytest.raises(BenchError, match=r"must be odd; got 14\. Try 15\."):
        Proformer.Config(kernel=14)


def test_the_paper_rate_is_vaswanis_for_this_width() -> None:
    recipe = Proformer.paper_recipe(Proformer.Config())
    assert recipe.lr == pytest.approx(512**-0.5 * 12_500**-0.5)
