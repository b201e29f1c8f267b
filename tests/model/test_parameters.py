"""The tree of parameters: what is in it, under which names, and how it begins."""

import numpy as np
import pytest

from minitvlt.backends import flatten
from minitvlt.config import Config
from minitvlt.model.parameters import count_patch_values, init, outline

SMALL = Config(
    image_size=(6, 10),
    image_patch_size=(3, 5),
    num_frames=7,
    num_image_channels=3,
    spectrogram_length=22,
    frequency_length=13,
    audio_patch_size=(2, 13),
    hidden_size=34,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=37,
    decoder_hidden_size=19,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=1,
    decoder_intermediate_size=23,
)


def test_names_and_shapes_follow_the_configuration():
    shapes = {name: array.shape for name, array in flatten(init(SMALL)).items()}
    expected = {
        "encoder.cls": (34,),
        "encoder.video_patches.weight": (34, 45),
        "encoder.video_positions.space": (4, 34),
        "encoder.video_positions.time": (7, 34),
        "encoder.audio_patches.weight": (34, 26),
        "encoder.audio_positions.time": (11, 34),
        "encoder.audio_positions.frequency": (1, 34),
        "encoder.blocks.1.attention.qkv.weight": (102, 34),
        "encoder.blocks.1.mlp.expand.weight": (37, 34),
        "encoder.blocks.1.mlp.contract.bias": (34,),
        "encoder.norm.weight": (34,),
        "decoder.entry.weight": (19, 34),
        "decoder.blocks.0.attention.qkv.bias": (57,),
        "decoder.video_head.weight": (45, 19),
        "decoder.audio_head.bias": (26,),
        "matching.pooler.weight": (34, 34),
        "matching.score.weight": (1, 34),
    }
    assert expected.items() <= shapes.items()
    assert len(shapes) == 3 * 12 + 1 + 2 + 3 + 2 + 3 + 2 + 2 + 5 + 3 + 2 + 4 + 4


def test_parts_that_the_configuration_leaves_out_are_none():
    assert init(SMALL.replace(task_mae=False)).decoder is None
    assert init(SMALL.replace(task_matching=False)).matching is None
    assert init(SMALL.replace(final_norm=False)).encoder.norm is None
    block = init(SMALL.replace(qkv_bias=False)).encoder.blocks[0]
    assert block.attention.qkv.bias is None
    assert block.attention.output.bias is not None


def test_weights_begin_normal_biases_at_zero_and_norms_as_the_identity():
    for name, array in flatten(init(SMALL.replace(initializer_range=0.5, hidden_size=68))).items():
        assert array.dtype == np.float32, name
        if "norm" in name and name.endswith("weight"):
            assert (array == 1).all(), name
        elif name.endswith("bias"):
            assert (array == 0).all(), name
        elif array.size > 1000:
            assert abs(array.std() - 0.5) < 0.05, name
            assert abs(array.mean()) < 0.05, name
        else:
            assert np.unique(array).size == array.size, name


def test_the_seed_alone_decides():
    one, same, other = (flatten(init(SMALL, seed)) for seed in (1, np.random.default_rng(1), 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name], err_msg=name)
    assert any((array != other[name]).any() for name, array in one.items())


def test_the_outline_has_the_same_names_and_shapes_in_next_to_no_memory():
    blank = flatten(outline(Config()))
    assert sum(array.size for array in blank.values()) > 100_000_000  # the base model with its decoder
    assert all(
        array.base is not None and max(array.strides) == 0 for array in blank.values() if array.size > 10**5
    )
    drawn, blank = flatten(init(SMALL)), flatten(outline(SMALL))
    assert {name: x.shape for name, x in drawn.items()} == {name: x.shape for name, x in blank.items()}
    assert outline(SMALL, ["matching"]).decoder is None
    assert outline(SMALL, ["decoder"]).matching is None


@pytest.mark.parametrize(("config", "expected"), [(SMALL, (45, 26)), (Config(), (768, 256))])
def test_values_in_a_patch(config, expected):
    assert count_patch_values(config) == expected
