"""Attention is that of plain loops over single numbers; whole encoders are compared with transformers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.model.transformer import run_attention, split_heads
from tests.helpers.models import SMALL, draw_params
from tests.helpers.oracles import attend_by_loops
from tests.helpers.sources import Source


@given(data=st.data())
def test_attention_is_that_of_plain_loops(data):
    s = Source(data.draw)
    heads = s.size(1, 3)
    D, B, N = heads * s.size(1, 4), s.size(1, 3), s.size(1, 5)
    config = SMALL.replace(hidden_size=D, num_attention_heads=1)
    x, attention = s.array(B, N, D), draw_params(config, s.rng).encoder.blocks[0].attention
    is_real = s.choose(None, s.rng.random((B, N)) < 0.7)  # any pattern, also rows without a real token
    answer = attend_by_loops(*split_heads(x, attention, heads), is_real)  # (B, heads, N, d)
    expected = answer.swapaxes(1, 2).reshape(x.shape) @ attention.output.weight.T + attention.output.bias
    np.testing.assert_allclose(run_attention(x, attention, heads, is_real), expected, atol=1e-9)
