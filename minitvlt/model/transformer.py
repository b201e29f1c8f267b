"""The transformer: pre-LN blocks of attention and an MLP (Vaswani et al. 2017; TVLT, section 3)."""

from dataclasses import dataclass
from functools import partial

from jaxtyping import Bool, Float

from minitvlt.backends import Array, namespace, recompute
from minitvlt.model.parameters import MLP, Attention, Block, LayerNorm, Linear


@dataclass(frozen=True)
class BlocksOutput:
    """What comes out of a stack of blocks"""

    x: Float[Array, "B N D"]
    hidden: tuple[Float[Array, "B N D"], ...] | None  # the input of every block, and the output of the last
    attention: tuple[Float[Array, "B heads N N"], ...] | None  # one map a block; rows are queries


def run_blocks(
    x: Float[Array, "B N D"],
    blocks: tuple[Block, ...],
    heads: int,
    eps: float,
    is_real: Bool[Array, "B N"] | None = None,
    return_hidden: bool = False,
    return_attention: bool = False,
    saves_memory: bool = False,
) -> BlocksOutput:
    """Run tokens through blocks, one after the other.

    Args:
        x: the tokens.
        blocks: their parameters.
        heads: number of attention heads; it divides D.
        eps: added to the variance in every LayerNorm.
        is_real: False for padding, which no token attends to; None where all tokens are real.
        return_hidden: keep the tokens between the blocks.
        return_attention: keep the attention maps, at the price of the memory that fused attention saves.
        saves_memory: for gradients, compute each block again instead of keeping what happened inside
            (gradient checkpointing); the numbers are the same.
    """
    run = partial(recompute, run_block) if saves_memory else run_block
    hidden, maps = [x], []
    for block in blocks:
        if return_attention:
            normalised = run_norm(x, block.attention_norm, eps)
            query, key, _ = split_heads(normalised, block.attention, heads)
            maps.append(attention_weights(query, key, is_real))
        x = run(x, block, heads, eps, is_real)
        hidden.append(x)
    return BlocksOutput(
        x, tuple(hidden) if return_hidden else None, tuple(maps) if return_attention else None
    )


def run_block(
    x: Float[Array, "B N D"], block: Block, heads: int, eps: float, is_real: Bool[Array, "B N"] | None = None
) -> Float[Array, "B N D"]:
    """Let every token gather from the others, then think for itself; each time added to what it was."""
    x = x + run_attention(run_norm(x, block.attention_norm, eps), block.attention, heads, is_real)
    return x + run_mlp(run_norm(x, block.mlp_norm, eps), block.mlp)


def run_attention(
    x: Float[Array, "B N D"], attention: Attention, heads: int, is_real: Bool[Array, "B N"] | None = None
) -> Float[Array, "B N D"]:
    """Multi-head self-attention: each token takes a weighted mean of real tokens' values, head by head."""
    query, key, value = split_heads(x, attention, heads)
    return join_heads(namespace(query).attention(query, key, value, is_real), attention)


def split_heads(
    x: Float[Array, "B N D"], attention: Attention, heads: int
) -> tuple[
    Float[Array, "B {heads} N D//{heads}"],
    Float[Array, "B {heads} N D//{heads}"],
    Float[Array, "B {heads} N D//{heads}"],
]:
    """Make queries, keys and values of all heads with one linear map."""
    xp = namespace(x, attention.qkv.weight)
    B, N, D = x.shape
    qkv = run_linear(x, attention.qkv)  # (B, N, 3*D)
    qkv = xp.reshape(qkv, (B, N, 3, heads, D // heads))  # (B, N, 3, heads, D//heads)
    qkv = xp.permute_dims(qkv, (2, 0, 3, 1, 4))  # (3, B, heads, N, D//heads)
    return qkv[0, ...], qkv[1, ...], qkv[2, ...]


def join_heads(answer: Float[Array, "B heads N d"], attention: Attention) -> Float[Array, "B N heads*d"]:
    """Lay the answers of all heads side by side, and mix them with one linear map."""
    xp = namespace(answer, attention.output.weight)
    B, heads, N, d = answer.shape
    answer = xp.permute_dims(answer, (0, 2, 1, 3))  # (B, N, heads, d)
    return run_linear(xp.reshape(answer, (B, N, heads * d)), attention.output)  # (B, N, heads*d)


def attention_weights(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N M"]:
    """softmax(query keyᵀ / √d), 0 for padding: the map that `xp.attention` applies without keeping it."""
    xp = namespace(query)
    d = query.shape[-1]
    scores = xp.matmul(query * d**-0.5, xp.permute_dims(key, (0, 1, 3, 2)))
    if is_real is None:
        return xp.softmax(scores)
    is_real = is_real[:, None, None, :]
    return xp.where(is_real, xp.softmax(xp.where(is_real, scores, -1e30)), 0.0)


def run_mlp(x: Float[Array, "B N D"], mlp: MLP) -> Float[Array, "B N D"]:
    """Widen, bend (GELU), narrow; each token alone."""
    xp = namespace(x, mlp.expand.weight)
    return run_linear(xp.gelu(run_linear(x, mlp.expand)), mlp.contract)


def run_norm(x: Float[Array, "*batch D"], norm: LayerNorm, eps: float) -> Float[Array, "*batch D"]:
    """Normalise every token (pre-LN: before attention and MLP, not after)."""
    return namespace(x, norm.weight).layer_norm(x, norm.weight, norm.bias, eps)


def run_linear(x: Float[Array, "*batch in"], linear: Linear) -> Float[Array, "*batch out"]:
    """Apply a linear map to the last axis."""
    return namespace(x, linear.weight).linear(x, linear.weight, linear.bias)


def run_head(x: Float[Array, "*batch in"], linear: Linear) -> Float[Array, "*batch out"]:
    """Apply the last linear map before a loss, whose sums are never of rounded numbers.

    Where PyTorch was told to round products to bfloat16, the answer has the parameters' precision again.
    """
    xp = namespace(x, linear.weight)
    return xp.astype(run_linear(x, linear), linear.weight.dtype)
