"""How long an update of the networks takes, beside the same networks written plainly.

    python -m tests.benchmarks.step [REPEATS]

Plain is what one writes first: one-hot k-mers by unfold and a product, softmax(QK)V, relative
positions by gather, an LSTM by a loop under autograd, an optimizer that goes tensor by tensor. Both
start from the same weights; losses of the first updates have to agree. Times are CPU seconds of one
thread, ours and plain in turn, the least of REPEATS (3); the share of a part is of the update, the
part timed alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.model import Batch, Model
from bench.recipe import Recipe
from bench.registry import MODELS
from bench.training.optimizer import clip_gradients, make_optimizer

Weights = dict[str, Tensor]
PARTS = ("FeedForward", "Depthwise", "Attention", "Branch", "RelativeAttention", "SwishBiLSTM")
SMOKE = {"dim": 48, "blocks": 1, "attention_heads": 2, "expression_heads": 8}
CASES: tuple[tuple[str, dict[str, Any], int, int], ...] = (
    ("proformer", SMOKE, 200, 128),
    ("proformer", SMOKE, 200, 512),
    ("proformer", {"dim": 128}, 200, 64),
    ("proformer", {"blocks": 1}, 200, 64),
    ("madlab", {"hidden": 24, "blocks": 1}, 110, 128),
    ("madlab", {}, 110, 64),
    ("madlab", {}, 110, 512),
)


def main() -> None:
    """Print every case's milliseconds, their ratio, and what ours are spent on."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    torch.set_num_threads(1)
    for name, sizes, positions, batch in CASES:
        compare(name, sizes, positions, batch, repeats)


def compare(name: str, sizes: dict[str, Any], positions: int, batch: int, repeats: int) -> None:
    """Make one network twice, update both in turn and print the least times."""
    model_class = MODELS.get(name)
    noise = {"dropout": 0.0} if name == "proformer" else {}
    torch.manual_seed(0)
    model = model_class(model_class.Config(**sizes, **noise), positions).train()
    weights = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    tokens = torch.randint(4, (batch, positions), dtype=torch.uint8)
    target = torch.randn(batch)
    ours = our_update(model, Batch(tokens, target, {}))
    plain = plain_update(name, weights, model, tokens, target)
    seconds: list[list[float]] = [[], []]
    for repeat in range(repeats + 1):  # the first warms up
        losses = []
        for update, spent in zip((ours, plain), seconds, strict=True):
            torch.manual_seed(repeat)  # hides the same letters from both
            started = time.process_time()
            losses.append(update())
            spent.append(time.process_time() - started)
        assert abs(losses[0] - losses[1]) < 1e-3 * abs(losses[1]), (name, sizes, repeat, losses)
    least, by_hand = (min(spent[1:]) for spent in seconds)
    print(
        f"{name} {sizes}, batch {batch}: ours {least * 1e3:.0f} ms, plain {by_hand * 1e3:.0f} ms, "
        f"{by_hand / least:.2f} times as long"
    )
    shares = parts(model, tokens)
    shares["optimizer"] = timed(lambda: optimize(model, Recipe()))
    print("    alone: " + ", ".join(f"{part} {s / least:.0%}" for part, s in shares.items()))


def our_update(model: Model, batch: Batch) -> Callable[[], float]:
    """Return what the loop does for a batch; it returns the loss."""
    recipe = Recipe()
    optimizer = make_optimizer(model, recipe)

    def update() -> float:
        loss = model.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(model, recipe)
        optimizer.step()
        return loss.item()

    return update


def plain_update(
    name: str, weights: Weights, model: Model, tokens: Tensor, target: Tensor
) -> Callable[[], float]:
    """Return the same update of the plain network; it returns the loss."""
    recipe = Recipe()
    optimizer = torch.optim.Adam(weights.values(), lr=recipe.lr, eps=recipe.eps, foreach=False)
    loss_of = proformer_loss if name == "proformer" else madlab_loss

    def update() -> float:
        loss = loss_of(weights, model, tokens, target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [w.grad for w in weights.values() if w.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for gradient in gradients:
            gradient.mul_((recipe.clip_norm / (norm + 1e-6)).clamp(max=1))
        optimizer.step()
        return loss.item()

    return update


def optimize(model: Model, recipe: Recipe) -> None:
    """Clip and step once more, on the gradients that are there."""
    clip_gradients(model, recipe)
    make_optimizer(model, recipe).step()


def parts(model: Model, tokens: Tensor) -> dict[str, float]:
    """Time each part alone, forward and back, on what it is given inside the network."""
    given: list[tuple[torch.nn.Module, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, _: given.append((module, inputs[0])))
        for module in model.modules()
        if type(module).__name__ in PARTS
    ]
    model(tokens)
    for hook in hooks:
        hook.remove()
    seconds: dict[str, float] = {}
    for module, x in given:
        part, leaf = type(module).__name__, x.detach().requires_grad_(x.requires_grad)
        spent = timed(lambda module=module, leaf=leaf: module(leaf).sum().backward())  # type: ignore[misc]
        seconds[part] = seconds.get(part, 0.0) + spent
    return seconds


def timed(work: Callable[[], object]) -> float:
    """Return the least CPU seconds of three runs."""
    spent = []
    for _ in range(3):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def dense(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply the linear map of that name."""
    out = x @ w[f"{name}.weight"].T
    return out + w[f"{name}.bias"] if f"{name}.bias" in w else out


def norm(w: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    """Apply the layer norm of that name."""
    return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def heads(w: Weights, name: str, x: Tensor, count: int) -> list[Tensor]:
    """Return query, key and value, ``(B, heads, T, size)`` each."""
    projected = (dense(w, f"{name}.{part}", x) for part in ("query", "key", "value"))
    return [p.reshape(*x.shape[:2], count, -1).transpose(1, 2) for p in projected]


def proformer_loss(w: Weights, model: Model, tokens: Tensor, target: Tensor) -> Tensor:
    """Hide letters as the model does; squared error plus their cross-entropy."""
    config, half = model.config, tokens.shape[1] // 2
    hidden = (torch.rand(tokens.shape) < config.mask_ratio) & (tokens != 4)
    letters = functional.one_hot(torch.where(hidden, 5, tokens).long(), 6).float()
    letters = functional.pad(letters, (0, 0, (config.k - 1) // 2, config.k // 2))
    kmers = letters.unfold(1, config.k, 1).transpose(2, 3).flatten(2)  # (B, L, 6k)
    strand = torch.cat([w["strand"][:1].expand(half, -1), w["strand"][1:].expand(half, -1)])
    x = dense(w, "kmer", kmers) + w["position"] + strand
    token = dense(w, "expression_embedding", torch.zeros(len(x), config.expression_heads, 1))
    x = torch.cat([token, x], dim=1)
    for number in range(config.blocks):
        x = proformer_block(w, f"blocks.{number}", x, config.attention_heads)
    expression = dense(w, "expression_head", x[:, : config.expression_heads]).mean(dim=(1, 2))
    logits = dense(w, "nucleotide_head", x[:, config.expression_heads :])
    entropy = functional.cross_entropy(logits[hidden], tokens[hidden].long(), reduction="sum")
    return ((expression - target) ** 2).mean() + entropy / (hidden.sum() + 1)


def proformer_block(w: Weights, name: str, x: Tensor, count: int) -> Tensor:
    """Half a feed-forward, convolution, attention, half a feed-forward."""

    def feed_forward(part: str, x: Tensor) -> Tensor:
        value, gate = dense(w, f"{part}.widen", norm(w, f"{part}.norm", x, 1e-6)).chunk(2, -1)
        return dense(w, f"{part}.narrow", value * gate * torch.sigmoid(gate))

    x = x + 0.5 * feed_forward(f"{name}.first", x)
    local = norm(w, f"{name}.conv_norm", x, 1e-6).transpose(1, 2)
    filters = w[f"{name}.depthwise.weight"]
    local = functional.conv1d(local, filters, padding="same", groups=len(filters)).transpose(1, 2)
    x = norm(w, f"{name}.norm", x + dense(w, f"{name}.pointwise", local).relu(), 1e-6)
    q, k, v = heads(w, f"{name}.attention", x, count)
    mixed = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1) @ v
    x = x + dense(w, f"{name}.attention.out", mixed.transpose(1, 2).flatten(2))
    return x + 0.5 * feed_forward(f"{name}.second", x)


def madlab_loss(w: Weights, model: Model, tokens: Tensor, target: Tensor) -> Tensor:
    """Return the squared error, with the statistics of the batch."""
    letters = functional.one_hot(tokens.long(), 6)[..., :4].float().transpose(1, 2)
    x = torch.zeros(())
    for number in range(4):
        name = f"branches.{number}"
        width = w[f"{name}.scan.weight"].shape[-1]
        branch = functional.pad(letters, ((width - 1) // 2, width // 2))
        for part in ("scan", "reduce"):
            weight, bias = w[f"{name}.{part}.weight"], w[f"{name}.{part}.bias"]
            branch = functional.conv1d(branch, weight, bias)
            scale, shift = w[f"{name}.{part}_norm.weight"], w[f"{name}.{part}_norm.bias"]
            branch = functional.batch_norm(branch, None, None, scale, shift, True, 0.0, 1e-3)
            branch = branch * torch.sigmoid(branch)
        x = x + branch
    x = x.transpose(1, 2)
    for number in range(model.config.blocks):
        name = f"transformer.{number}"
        features = model.get_buffer(f"{name}.attention.features")
        normed = norm(w, f"{name}.attention_norm", x, 1e-3)
        x = x + relative_attention(
            w, f"{name}.attention", normed, features, model.config.attention_heads
        )
        wide = dense(w, f"{name}.widen", norm(w, f"{name}.ffn_norm", x, 1e-3))
        x = x + dense(w, f"{name}.narrow", wide * torch.sigmoid(wide))
    states = torch.cat([last_state(w, 0, x), last_state(w, 1, x.flip(1))], dim=1)
    return ((dense(w, "head", states)[:, 0] - target) ** 2).mean()


def relative_attention(w: Weights, name: str, x: Tensor, features: Tensor, count: int) -> Tensor:
    """Look the relative key of every pair's distance up."""
    length = x.shape[1]
    q, k, v = heads(w, name, x, count)
    q = q / q.shape[-1] ** 0.5
    r = dense(w, f"{name}.relative_key", features).reshape(2 * length - 1, count, -1)
    by_distance = (q + w[f"{name}.position_bias"]) @ r.permute(1, 2, 0)
    place = torch.arange(length)
    distance = (place[None] - place[:, None] + length - 1).expand(len(x), count, -1, -1)
    logits = (q + w[f"{name}.content_bias"]) @ k.transpose(2, 3) + by_distance.gather(3, distance)
    return dense(w, f"{name}.out", (logits.softmax(-1) @ v).transpose(1, 2).flatten(2))


def last_state(w: Weights, direction: int, x: Tensor) -> Tensor:
    """Run one direction of the LSTM and return its last state."""
    kernel, recurrent, bias = (w[f"lstm.{n}"][direction] for n in ("kernel", "recurrent", "bias"))
    h = c = torch.zeros(len(x), len(recurrent))
    for step in x.unbind(1):
        i, f, g, o = (step @ kernel + h @ recurrent + bias).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * g * torch.sigmoid(g)
        h = torch.sigmoid(o) * c * torch.sigmoid(c)
    return h


if __name__ == "__main__":
    main()
