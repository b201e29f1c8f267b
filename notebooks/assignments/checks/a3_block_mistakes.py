"""Wrong transformer blocks, and what a tutor would say about each."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from minitvlt.backends import numpy_backend
from minitvlt.backends.numpy_backend import layer_norm
from minitvlt.model.parameters import Block, LayerNorm
from minitvlt.model.transformer import join_heads, run_linear, split_heads

from .a3_heads_mistakes import merge_heads
from .blanks import Mistake

Array = np.ndarray


def run_steps(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    norm: Any = lambda x, norm, eps: layer_norm(x, norm.weight, norm.bias, eps),
    gelu: Any = numpy_backend.gelu,
    order: Any = lambda x, attend, think: (y := x + attend(x)) + think(y),
    select: Any = lambda block: block,
    masks: bool = True,
    join: Any = join_heads,
    collect: Any = lambda maps, weights: maps.append(weights),
) -> Array:
    """`run_block` with one fault; `order` combines attention and MLP, both with their LayerNorm inside."""
    block = select(block)

    def attend(x: Array) -> Array:
        query, key, value = split_heads(norm(x, block.attention_norm, eps), block.attention, heads)
        weights = numpy_backend.attention_weights(query, key, is_real if masks else None)
        if maps is not None:
            collect(maps, weights)
        return join(weights @ value, block.attention)

    def think(x: Array) -> Array:
        return run_linear(
            gelu(run_linear(norm(x, block.mlp_norm, eps), block.mlp.expand)), block.mlp.contract
        )

    return order(x, attend, think)


def run_post_norm(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """The block of the first transformers."""
    plain = partial(run_steps, heads=heads, eps=eps, norm=lambda x, norm, eps: x)
    first, second = block.attention_norm, block.mlp_norm
    y = plain(x, block, is_real=is_real, maps=maps, order=lambda x, attend, think: x + attend(x))
    y = layer_norm(y, first.weight, first.bias, eps)
    y = plain(y, block, order=lambda x, attend, think: x + think(x))
    return layer_norm(y, second.weight, second.bias, eps)


def skip_norm(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    name: str,
) -> Array:
    """One of the two LayerNorms left out."""
    left_out = getattr(block, name)

    def norm(x: Array, norm: LayerNorm, eps: float) -> Array:
        return x if norm is left_out else layer_norm(x, norm.weight, norm.bias, eps)

    return run_steps(x, block, heads, eps, is_real, maps, norm=norm)


def normalise_residual(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """The normalised tokens, instead of the tokens, in both sums."""

    def order(x: Array, attend: Any, think: Any) -> Array:
        y = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps) + attend(x)
        return layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps) + think(y)

    return run_steps(x, block, heads, eps, is_real, maps, order=order)


def activate_last(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """GELU after the second linear map."""
    y = run_steps(x, block, heads, eps, is_real, maps, order=lambda x, attend, think: x + attend(x))
    hidden = run_linear(layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps), block.mlp.expand)
    return y + numpy_backend.gelu(run_linear(hidden, block.mlp.contract))


def activate_first(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """GELU before the first linear map."""
    y = run_steps(x, block, heads, eps, is_real, maps, order=lambda x, attend, think: x + attend(x))
    normed = layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps)
    return y + run_linear(run_linear(numpy_backend.gelu(normed), block.mlp.expand), block.mlp.contract)


def normalise_again(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """A last LayerNorm."""
    y = run_steps(x, block, heads, eps, is_real, maps)
    return layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps)


def zero_padding(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    name: str,
) -> Array:
    """Zeros for padding, before or after the block."""
    real = 1 if is_real is None else is_real[:, :, None]
    y = run_steps(x * real if name == "input" else x, block, heads, eps, is_real, maps)
    return y * real if name == "output" else y


def fix_heads(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    fixed: int,
) -> Array:
    """Another number of heads."""
    return run_steps(x, block, fixed, eps, is_real, maps)


def collect_alone(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    what: str,
) -> Array:
    """Something else in maps."""
    if maps is not None:
        normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
        query, key, value = split_heads(x if what == "tokens" else normed, block.attention, heads)
        weights = numpy_backend.attention_weights(query, key, None if what == "unmasked" else is_real)
        scores = query @ np.swapaxes(key, -1, -2) * query.shape[-1] ** -0.5
        joined = join_heads(weights @ value, block.attention)
        maps.append({"output": joined, "scores": scores}.get(what, weights))
    return run_steps(x, block, heads, eps, is_real)


def residual_of_normed(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    first: bool,
) -> Array:
    """The normalised tokens in one of the two sums."""

    def order(x: Array, attend: Any, think: Any) -> Array:
        normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
        y = (normed if first else x) + attend(x)
        return (y if first else layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps)) + think(y)

    return run_steps(x, block, heads, eps, is_real, maps, order=order)


def normalise_twice(x: Array, norm: LayerNorm, eps: float) -> Array:
    """LayerNorm of LayerNorm."""
    return layer_norm(layer_norm(x, norm.weight, norm.bias, eps), norm.weight, norm.bias, eps)


def normalise_after(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    which: str,
) -> Array:
    """One of the two LayerNorms after its sum."""
    late = getattr(block, f"{which}_norm")

    def norm(x: Array, norm: LayerNorm, eps: float) -> Array:
        return x if norm is late else layer_norm(x, norm.weight, norm.bias, eps)

    def order(x: Array, attend: Any, think: Any) -> Array:
        y = x + attend(x)
        y = layer_norm(y, late.weight, late.bias, eps) if which == "attention" else y
        y = y + think(y)
        return layer_norm(y, late.weight, late.bias, eps) if which == "mlp" else y

    return run_steps(x, block, heads, eps, is_real, maps, norm=norm, order=order)


def mix_inputs(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    plain: int,
) -> Array:
    """Query, key or value of tokens that are not normalised."""
    normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
    parts = list(split_heads(normed, block.attention, heads))
    parts[plain] = split_heads(x, block.attention, heads)[plain]
    weights = numpy_backend.attention_weights(parts[0], parts[1], is_real)
    if maps is not None:
        maps.append(weights)
    y = x + join_heads(weights @ parts[2], block.attention)
    return run_steps(y, block, heads, eps, order=lambda y, attend, think: y + think(y))


BLOCK_MISTAKES = (
    Mistake(
        run_post_norm,
        "LayerNorm is applied after each sum (post-LN). TVLT applies it to the input of attention and of the "
        "MLP.",
    ),
    Mistake(
        normalise_residual,
        "The normalised tokens are added in the residual sums. The tokens themselves have to be added: x + "
        "Attention(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: x),
        "LayerNorm is missing: attention and MLP get the tokens as they are.",
    ),
    Mistake(
        partial(skip_norm, name="mlp_norm"),
        "The input of the MLP is not normalised: apply layer_norm with block.mlp_norm first.",
    ),
    Mistake(
        partial(skip_norm, name="attention_norm"),
        "The input of attention is not normalised: apply layer_norm with block.attention_norm first.",
    ),
    Mistake(
        partial(run_steps, select=lambda block: replace(block, mlp_norm=block.attention_norm)),
        "The MLP gets attention_norm. It has a LayerNorm of its own: block.mlp_norm.",
    ),
    Mistake(
        partial(
            run_steps,
            select=lambda b: replace(b, mlp_norm=b.attention_norm, attention_norm=b.mlp_norm),
        ),
        "The two LayerNorms are exchanged: attention_norm stands before attention, mlp_norm before the MLP.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := attend(x)) + think(y)),
        "The first residual sum is missing: x + Attention(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: think(x + attend(x))),
        "The second residual sum is missing: x + MLP(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: think(attend(x))),
        "Both residual sums are missing: x + Attention(LayerNorm(x)), then x + MLP(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + attend(x)),
        "The MLP is missing.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + think(x)),
        "Attention is missing.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + attend(x) + think(x)),
        "Attention and MLP both get x (they run in parallel). The MLP has to get the sum of x and attention.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + think(x + attend(x))),
        "The second residual sum adds the input of the block. It has to add the tokens after attention.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := x + think(x)) + attend(y)),
        "The MLP comes before attention. Attention comes first.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: np.maximum(x, 0)),
        "The MLP uses ReLU. It has to use gelu.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: x),
        "The non-linearity of the MLP is missing: gelu stands between its two linear maps.",
    ),
    Mistake(
        partial(run_steps, masks=False),
        "is_real is not handed on to attention, so that padding is attended to.",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: layer_norm(x, norm.weight, norm.bias, 1e-5)),
        "eps is always 1e-5. Hand the argument eps on to layer_norm.",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: None),
        "Nothing is appended to maps: append the weights of attention, (B, heads, N, N), if a list is given. "
        "The list is empty at first and counts as False: write `if maps is not None`.",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: maps.extend(weights)),
        "Each clip is appended to maps by itself (extend, or +=). Append one array for the block, (B, heads, "
        "N, N).",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: maps.append(weights.mean(axis=1))),
        "The mean over the heads is appended to maps. Append the weights of all heads, (B, heads, N, N).",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + (y := x + attend(x)) + think(y)),
        "The tokens are added twice: x + Attention(LayerNorm(x)) gives the tokens to which the MLP is added.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := x + attend(x)) + think(x) + 0 * y),
        "The MLP gets the tokens before attention. It has to get those after it.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: x / (1 + np.exp(-x))),
        "The MLP uses SiLU. It has to use gelu.",
    ),
    Mistake(
        partial(run_steps, gelu=np.tanh),
        "The MLP uses tanh. It has to use gelu.",
    ),
    Mistake(
        partial(
            run_steps, gelu=lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        ),
        "The MLP uses the approximation of GELU by tanh. It has to use gelu.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: numpy_backend.gelu(numpy_backend.gelu(x))),
        "gelu is applied twice.",
    ),
    Mistake(
        activate_last,
        "gelu is applied after the second linear map. It stands between the two: expand, gelu, contract.",
    ),
    Mistake(
        activate_first,
        "gelu is applied before the first linear map. It stands between the two: expand, gelu, contract.",
    ),
    Mistake(
        normalise_again,
        "The output is normalised once more. A pre-LN block ends with a sum.",
    ),
    Mistake(
        partial(zero_padding, name="output"),
        "The output of padding is set to 0. The mask acts in attention only; padding tokens go through the "
        "block too.",
    ),
    Mistake(
        partial(zero_padding, name="input"),
        "Padding tokens are set to 0 before the block. The mask acts in attention only.",
    ),
    Mistake(
        partial(fix_heads, fixed=1),
        "There is always one head. Hand the argument heads on to split_heads.",
    ),
    Mistake(
        partial(collect_alone, what="unmasked"),
        "The weights in maps ignore the padding: hand is_real on to attention_weights too.",
    ),
    Mistake(
        partial(collect_alone, what="output"),
        "The output of attention is appended to maps. Append its weights, (B, heads, N, N).",
    ),
    Mistake(
        partial(collect_alone, what="tokens"),
        "The weights in maps are those of the tokens before LayerNorm. They are those that attention uses.",
    ),
    Mistake(
        partial(collect_alone, what="scores"),
        "Scores are appended to maps. Append the weights, after the softmax.",
    ),
    Mistake(
        lambda x, block, heads, eps, is_real=None, maps=None: run_steps(
            x, block, heads, eps, None if is_real is None else ~is_real, maps
        ),
        "The mask is inverted on its way to attention: is_real is True for real tokens.",
    ),
    *(
        Mistake(
            partial(
                run_steps, norm=lambda x, norm, eps, fixed=fixed: layer_norm(x, norm.weight, norm.bias, fixed)
            ),
            "eps is a number of its own. Hand the argument eps on to layer_norm.",
        )
        for fixed in (1e-6, 1e-8, 1e-12, 0.0)
    ),
    Mistake(
        partial(residual_of_normed, first=True),
        "The normalised tokens are added in the first residual sum. The tokens themselves have to be added: "
        "x + Attention(LayerNorm(x)).",
    ),
    Mistake(
        partial(residual_of_normed, first=False),
        "The normalised tokens are added in the second residual sum. The tokens after attention have to be "
        "added.",
    ),
    Mistake(
        partial(run_steps, join=lambda x, attention: merge_heads(x)),
        "The output projection of attention is missing: call join_heads.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + (a := attend(x)) + think(a)),
        "The MLP gets the output of attention alone. It has to get the tokens after the first sum.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := x + attend(x)) + think(y) - x),
        "The change of the tokens alone is returned. The tokens themselves belong to the sum.",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: normalise_twice(x, norm, eps)),
        "LayerNorm is applied twice before each part.",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: maps.extend([weights, weights])),
        "The weights are appended to maps twice.",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: layer_norm(x, 1.0, 0.0, eps)),
        "weight and bias of the LayerNorms are not used.",
    ),
    Mistake(
        partial(normalise_after, which="mlp"),
        "LayerNorm is applied after the second sum. It has to be applied to the input of the MLP.",
    ),
    Mistake(
        partial(normalise_after, which="attention"),
        "LayerNorm is applied after the first sum. It has to be applied to the input of attention.",
    ),
    Mistake(
        partial(mix_inputs, plain=2),
        "The values come from tokens that are not normalised. Query, key and value all come from "
        "LayerNorm(x).",
    ),
    Mistake(
        partial(mix_inputs, plain=0),
        "The queries come from tokens that are not normalised. Query, key and value all come from "
        "LayerNorm(x).",
    ),
    Mistake(
        partial(run_steps, masks=False, gelu=lambda x: np.maximum(x, 0)),
        "Two things: is_real is not handed on to attention, and the MLP uses ReLU instead of gelu.",
    ),
    Mistake(
        partial(run_steps, masks=False, select=lambda block: replace(block, mlp_norm=block.attention_norm)),
        "Two things: is_real is not handed on to attention, and the MLP gets attention_norm.",
    ),
    Mistake(
        partial(run_steps, masks=False, collect=lambda maps, weights: None),
        "Two things: is_real is not handed on to attention, and nothing is appended to maps.",
    ),
)
