"""The tree of parameters: what is in it, under which names, and its initial values."""

import numpy as np

from minitvlt.backends import flatten
from minitvlt.config import Config
from minitvlt.model.parameters import init, outline
from tests.helpers.models import SMALL


def list_shapes(params) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in flatten(params).items()}


def test_names_and_shapes_follow_the_configuration():
    shapes = list_shapes(init(SMALL))
    expected = {
        "encoder.video_patches.weight": (14, 30),
        "encoder.video_positions.space": (4, 14),
        "encoder.audio_positions.time": (5, 14),
        "encoder.blocks.1.attention.qkv.weight": (42, 14),
        "encoder.blocks.1.mlp.expand.weight": (11, 14),
        "decoder.blocks.0.attention.qkv.bias": (30,),
        "decoder.video_head.weight": (30, 10),
        "matching.pooler.weight": (14, 14),
    }
    assert expected.items() <= shapes.items()
    assert len(shapes) == 3 * 12 + 1 + 2 + 3 + 2 + 3 + 2 + 2 + 5 + 3 + 2 + 4 + 4


def test_parts_that_the_configuration_leaves_out_are_none():
    params = init(SMALL.replace(task_mae=False, final_norm=False, qkv_bias=False))
    assert params.decoder is None and params.encoder.norm is None
    assert params.encoder.blocks[0].attention.qkv.bias is None
    assert params.encoder.blocks[0].attention.output.bias is not None
    assert init(SMALL.replace(task_matching=False)).matching is None


def test_weights_are_normal_biases_zero_and_norms_the_identity():
    for name, array in flatten(init(SMALL.replace(initializer_range=0.5, hidden_size=68))).items():
        assert array.dtype == np.float32, name
        if "norm" in name and name.endswith("weight"):
            assert (array == 1).all(), name
        elif name.endswith("bias"):
            assert (array == 0).all(), name
        elif array.size > 1000:
            assert abs(array.std() - 0.5) < 0.05 and abs(array.mean()) < 0.05, name


def test_the_seed_alone_decides():
    one, same, other = (flatten(init(SMALL, seed)) for seed in (1, np.random.default_rng(1), 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name], err_msg=name)
    assert any((array != other[name]).any() for name, array in one.items())


def test_the_outline_has_the_same_names_and_shapes_in_next_to_no_memory():
    base = flatten(outline(Config())).values()
    assert sum(array.size for array in base) > 100_000_000  # with its decoder
    assert all(max(array.strides) == 0 for array in base if array.size > 10**5)
    assert list_shapes(init(SMALL)) == list_shapes(outline(SMALL))
    assert outline(SMALL, ["matching"]).decoder is None and outline(SMALL, ["decoder"]).matching is None
