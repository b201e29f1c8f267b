"""The transformer: attention as plain loops over single numbers, and the properties that it has."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.model.parameters import Block
from minitvlt.model.transformer import (
    attention_weights,
    run_attention,
    run_block,
    run_blocks,
    run_norm,
    split_heads,
)
from tests.helpers.backends import on_every_backend
from tests.helpers.models import SMALL, draw_params
from tests.helpers.oracles import attend_by_loops
from tests.helpers.sources import Source

EPS = 1e-6


def make_blocks(rng: np.random.Generator, D: int, **changes: int) -> tuple[Block, ...]:
    config = SMALL.replace(hidden_size=D, num_attention_heads=1, intermediate_size=D + 3, **changes)
    return draw_params(config, rng).encoder.blocks


def draw_case(data) -> tuple[np.ndarray, Block, int, np.ndarray | None]:
    s = Source(data.draw)
    heads = s.size(1, 3)
    D, B, N = heads * s.size(1, 4), s.size(1, 3), s.size(1, 5)
    is_real = s.choose(None, s.rng.random((B, N)) < 0.7)  # any pattern, also rows without a real token
    return s.array(B, N, D), make_blocks(s.rng, D)[0], heads, is_real


@given(data=st.data())
def test_attention_is_that_of_plain_loops(data):
    x, block, heads, is_real = draw_case(data)
    answer = attend_by_loops(*split_heads(x, block.attention, heads), is_real)  # (B, heads, N, d)
    output = block.attention.output
    expected = answer.swapaxes(1, 2).reshape(x.shape) @ output.weight.T + output.bias
    np.testing.assert_allclose(run_attention(x, block.attention, heads, is_real), expected, atol=1e-9)


@given(data=st.data())
def test_a_block_knows_neither_the_order_of_its_tokens_nor_what_padding_holds(data):
    x, block, heads, is_real = draw_case(data)
    is_real = np.ones(x.shape[:2], bool) if is_real is None else is_real
    order = np.random.default_rng(0).permutation(x.shape[1])
    other = np.where(is_real[:, :, None], x, 100.0)
    expected = run_block(x, block, heads, EPS, is_real)[:, order]
    found = run_block(other[:, order], block, heads, EPS, is_real[:, order])
    np.testing.assert_allclose(found[is_real[:, order]], expected[is_real[:, order]], atol=1e-9)


@on_every_backend
def test_hidden_states_and_attention_maps_are_those_that_were_used(backend):
    """Each block is applied by hand to the state before it, with the fused kernel."""
    rng = np.random.default_rng(0)
    x, blocks = rng.standard_normal((2, 3, 10)), make_blocks(rng, 10, num_hidden_layers=3)
    is_real = np.array([[True, True, False], [True, False, False]])
    hidden, maps = [], []
    out = run_blocks(*backend.move((x, blocks)), 2, EPS, backend.move(is_real), hidden, maps)
    for block, after, weights in zip(blocks, hidden, maps, strict=True):
        query, key, _ = split_heads(run_norm(x, block.attention_norm, EPS), block.attention, 2)
        backend.assert_close(weights, attention_weights(query, key, is_real))
        x = run_block(x, block, 2, EPS, is_real)
        backend.assert_close(after, x)
    backend.assert_close(out, x)
