"""The transformer: attention as plain loops over single numbers, and the laws that it obeys."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import to_backend
from minitvlt.model.parameters import MLP, Attention, Block, LayerNorm, Linear
from minitvlt.model.transformer import (
    attention_weights,
    join_heads,
    run_attention,
    run_block,
    run_blocks,
    run_linear,
    run_mlp,
    run_norm,
    split_heads,
)
from tests.helpers.backends import on_every_backend
from tests.helpers.sources import Source

EPS = 1e-6


def make_linear(rng: np.random.Generator, inputs: int, outputs: int) -> Linear:
    return Linear(rng.standard_normal((outputs, inputs)) / inputs**0.5, rng.standard_normal(outputs))


def make_block(rng: np.random.Generator, D: int) -> Block:
    return Block(
        LayerNorm(rng.standard_normal(D), rng.standard_normal(D)),
        Attention(make_linear(rng, D, 3 * D), make_linear(rng, D, D)),
        LayerNorm(rng.standard_normal(D), rng.standard_normal(D)),
        MLP(make_linear(rng, D, D + 3), make_linear(rng, D + 3, D)),
    )


def attend_by_loops(
    x: np.ndarray, attention: Attention, heads: int, is_real: np.ndarray | None
) -> np.ndarray:
    """Every token asks every real one, in every head, number by number."""
    B, N, D = x.shape
    d = D // heads
    answer = np.zeros((B, N, D))
    for b in range(B):
        qkv = [attention.qkv.weight @ x[b, n] + attention.qkv.bias for n in range(N)]
        for head in range(heads):
            at = slice(head * d, (head + 1) * d)
            for n in range(N):
                weights = []
                for m in range(N):
                    score = sum(qkv[n][:D][at] * qkv[m][D : 2 * D][at]) / math.sqrt(d)
                    weights.append(math.exp(score) if is_real is None or is_real[b, m] else 0.0)
                for m in range(N):
                    if sum(weights) > 0:
                        answer[b, n, at] += weights[m] / sum(weights) * qkv[m][2 * D :][at]
    return answer @ attention.output.weight.T + attention.output.bias


def draw_case(data) -> tuple[np.ndarray, Block, int, np.ndarray | None]:
    s = Source(data.draw)
    heads = s.size(1, 3)
    D = heads * s.size(1, 4)
    B, N = s.size(1, 3), s.size(1, 5)
    is_real = s.choose(None, s.rng.random((B, N)) < 0.7)  # any pattern, also rows without a real token
    return s.array(B, N, D), make_block(s.rng, D), heads, is_real


@given(data=st.data())
def test_attention_is_that_of_plain_loops(data):
    x, block, heads, is_real = draw_case(data)
    expected = attend_by_loops(x, block.attention, heads, is_real)
    np.testing.assert_allclose(run_attention(x, block.attention, heads, is_real), expected, atol=1e-9)


@given(data=st.data())
def test_the_rows_of_an_attention_map_sum_to_1_over_the_real_keys(data):
    x, block, heads, is_real = draw_case(data)
    query, key, _ = split_heads(x, block.attention, heads)
    weights = attention_weights(query, key, is_real)
    is_real = np.ones(x.shape[:2], bool) if is_real is None else is_real
    has_any = is_real.any(axis=1)[:, None, None]
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), np.broadcast_to(has_any, weights.shape[:3]), atol=1e-12)
    assert (np.where(is_real[:, None, None, :], 0, weights) == 0).all()


@given(data=st.data())
def test_the_attention_map_is_the_one_that_attention_applies(data):
    x, block, heads, is_real = draw_case(data)
    query, key, value = split_heads(x, block.attention, heads)
    answer = (attention_weights(query, key, is_real) @ value).transpose(0, 2, 1, 3).reshape(x.shape)
    expected = run_linear(answer, block.attention.output)
    np.testing.assert_allclose(run_attention(x, block.attention, heads, is_real), expected, atol=1e-9)


@given(data=st.data())
def test_a_block_does_not_know_the_order_of_its_tokens(data):
    x, block, heads, is_real = draw_case(data)
    order = np.random.default_rng(0).permutation(x.shape[1])
    expected = run_block(x, block, heads, EPS, is_real)[:, order]
    shuffled = run_block(x[:, order], block, heads, EPS, None if is_real is None else is_real[:, order])
    np.testing.assert_allclose(shuffled, expected, atol=1e-9)


@given(data=st.data())
def test_what_padding_holds_does_not_matter_to_real_tokens(data):
    x, block, heads, is_real = draw_case(data)
    is_real = np.ones(x.shape[:2], bool) if is_real is None else is_real
    other = np.where(is_real[:, :, None], x, 100.0)
    ours, theirs = (run_block(one, block, heads, EPS, is_real) for one in (x, other))
    np.testing.assert_allclose(ours[is_real], theirs[is_real], atol=1e-9)


def test_queries_keys_and_values_are_cut_head_by_head():
    B, N, heads, d = 2, 3, 5, 7
    rng = np.random.default_rng(0)
    x, attention = rng.standard_normal((B, N, heads * d)), make_block(rng, heads * d).attention
    parts = split_heads(x, attention, heads)
    for kind in range(3):
        for b, n, head, i in np.ndindex(B, N, heads, d):
            row = kind * heads * d + head * d + i
            expected = attention.qkv.weight[row] @ x[b, n] + attention.qkv.bias[row]
            assert parts[kind][b, head, n, i] == pytest.approx(expected)


def test_a_block_normalises_before_it_computes_and_adds_what_it_finds():
    rng = np.random.default_rng(0)
    x, block = rng.standard_normal((2, 3, 10)), make_block(rng, 10)
    between = x + run_attention(run_norm(x, block.attention_norm, EPS), block.attention, 2)
    expected = between + run_mlp(run_norm(between, block.mlp_norm, EPS), block.mlp)
    np.testing.assert_allclose(run_block(x, block, 2, EPS), expected)


def test_the_mlp_looks_at_each_token_alone():
    rng = np.random.default_rng(0)
    x, mlp = rng.standard_normal((2, 3, 5)), make_block(rng, 5).mlp
    whole = run_mlp(x, mlp)
    for b in range(2):
        for n in range(3):
            wide = mlp.expand.weight @ x[b, n] + mlp.expand.bias
            bent = [z * 0.5 * (1 + math.erf(z / math.sqrt(2))) for z in wide]
            np.testing.assert_allclose(whole[b, n], mlp.contract.weight @ bent + mlp.contract.bias)


def test_hidden_states_and_attention_maps_are_those_that_were_used():
    rng = np.random.default_rng(0)
    x, blocks = rng.standard_normal((2, 3, 10)), tuple(make_block(rng, 10) for _ in range(3))
    is_real = np.array([[True, True, False], [True, False, False]])
    hidden, maps = [], []
    out = run_blocks(x, blocks, 2, EPS, is_real, hidden, maps)
    np.testing.assert_allclose(out, run_blocks(x, blocks, 2, EPS, is_real), rtol=1e-12)
    for block, weights, after in zip(blocks, maps, hidden, strict=True):
        query, key, value = split_heads(run_norm(x, block.attention_norm, EPS), block.attention, 2)
        np.testing.assert_array_equal(weights, attention_weights(query, key, is_real))
        between = x + join_heads(weights @ value, block.attention)
        x = between + run_mlp(run_norm(between, block.mlp_norm, EPS), block.mlp)
        np.testing.assert_array_equal(after, x)
    np.testing.assert_array_equal(out, x)


@on_every_backend
def test_outputs_with_attention_maps_are_those_of_fused_attention(backend):
    rng = np.random.default_rng(0)
    x, blocks = rng.standard_normal((2, 5, 12)), tuple(make_block(rng, 12) for _ in range(2))
    x, blocks, is_real = backend.move((x, blocks, np.arange(5) < np.array([[5], [3]])))
    fused, plain = (run_blocks(x, blocks, 3, EPS, is_real, maps=maps) for maps in (None, []))
    np.testing.assert_allclose(to_backend(plain, "numpy"), to_backend(fused, "numpy"), rtol=1e-6, atol=1e-6)
