"""The transformer: pre-LN blocks of attention and an MLP (Vaswani et al. 2017; TVLT, section 3)."""

from functools import partial

from jaxtyping import Bool, Float

from minitvlt.backends import Array, namespace, recompute
from minitvlt.model.parameters import MLP, Attention, Block, LayerNorm, Linear

# The padding mask: True for real tokens, which are attended to; None: all are
Mask = Bool[Array, "B N"] | None


def run_blocks(
    x: Float[Array, "B N D"],
    blocks: tuple[Block, ...],
    heads: int,
    eps: float,
    is_real: Mask = None,
    hidden: list | None = None,
    maps: list | None = None,
    saves_memory: bool = False,
) -> Float[Array, "B N D"]:
    """Run tokens through a stack of blocks.

    Args:
        x: the tokens.
        blocks: their parameters.
        heads: number of attention heads; it divides D.
        eps: added to the variance in every LayerNorm.
        is_real: the padding mask: False for padding, which no token attends to; None where all are real.
        hidden: a list to which the output of each block is appended.
        maps: a list to which the attention map of each block is appended, (B, heads, N, N), rows for queries;
            this needs the memory that fused attention saves.
        saves_memory: for gradients, compute each block again instead of keeping its intermediate results
            (gradient checkpointing); the numbers are the same. Without effect where maps are kept.
    """
    run = partial(recompute, run_block) if saves_memory and maps is None else run_block
    for block in blocks:
        x = run(x, block, heads, eps, is_real, maps)
        if hidden is not None:
            hidden.append(x)
    return x


def run_block(
    x: Float[Array, "B N D"],
    block: Block,
    heads: int,
    eps: float,
    is_real: Mask = None,
    maps: list | None = None,
) -> Float[Array, "B N D"]:
    """x + Attention(LayerNorm(x)), then x + MLP(LayerNorm(x))."""
    x = x + run_attention(run_norm(x, block.attention_norm, eps), block.attention, heads, is_real, maps)
    return x + run_mlp(run_norm(x, block.mlp_norm, eps), block.mlp)


def run_attention(
    x: Float[Array, "B N D"], attention: Attention, heads: int, is_real: Mask = None, maps: list | None = None
) -> Float[Array, "B N D"]:
    """Multi-head self-attention over the real tokens; the attention map is appended to `maps`, if given."""
    xp = namespace(x, attention.qkv.weight)
    query, key, value = split_heads(x, attention, heads)
    if maps is None:
        return join_heads(xp.attention(query, key, value, is_real), attention)
    maps.append(attention_weights(query, key, is_real))
    return join_heads(xp.matmul(maps[-1], value), attention)


def split_heads(
    x: Float[Array, "B N D"], attention: Attention, heads: int
) -> tuple[Float[Array, "B {heads} N D//{heads}"], ...]:
    """Project tokens to the queries, keys and values of all heads."""
    xp = namespace(x, attention.qkv.weight)
    B, N, D = x.shape
    qkv = run_linear(x, attention.qkv)  # (B, N, 3*D)
    qkv = xp.reshape(qkv, (B, N, 3, heads, D // heads))  # (B, N, 3, heads, D//heads)
    qkv = xp.permute_dims(qkv, (2, 0, 3, 1, 4))  # (3, B, heads, N, D//heads)
    return qkv[0, ...], qkv[1, ...], qkv[2, ...]


def join_heads(x: Float[Array, "B heads N d"], attention: Attention) -> Float[Array, "B N heads*d"]:
    """Concatenate the heads of every token, and apply the output projection."""
    xp = namespace(x)
    B, heads, N, d = x.shape
    x = xp.permute_dims(x, (0, 2, 1, 3))  # (B, N, heads, d)
    return run_linear(xp.reshape(x, (B, N, heads * d)), attention.output)  # (B, N, heads*d)


def attention_weights(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N M"]:
    """softmax(query keyᵀ / √d) over the real keys, 0 for padding; a row without a real key is 0."""
    xp = namespace(query, key)
    scale = query.shape[-1] ** -0.5
    scores = xp.matmul(query, xp.permute_dims(key, (0, 1, 3, 2))) * scale  # (*query.shape[:3], key.shape[2])
    if is_real is None:
        return xp.softmax(scores)
    is_real = is_real[:, None, None, :]  # (key.shape[0], 1, 1, key.shape[2])
    return xp.where(is_real, xp.softmax(xp.where(is_real, scores, -1e30)), 0.0)


def run_mlp(x: Float[Array, "B N D"], mlp: MLP) -> Float[Array, "B N D"]:
    """Position-wise MLP: linear, GELU, linear."""
    xp = namespace(x, mlp.expand.weight)
    return run_linear(xp.gelu(run_linear(x, mlp.expand)), mlp.contract)


def run_norm(x: Float[Array, "*batch D"], norm: LayerNorm, eps: float) -> Float[Array, "*batch D"]:
    """LayerNorm over the last axis."""
    return namespace(x, norm.weight).layer_norm(x, norm.weight, norm.bias, eps)


def run_linear(x: Float[Array, "*batch in"], linear: Linear) -> Float[Array, "*batch out"]:
    """x @ weight.T + bias, over the last axis."""
    return namespace(x, linear.weight).linear(x, linear.weight, linear.bias)
