"""A ViT that learnt images becomes a start for frames and sound: what is given is used, the rest is drawn."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minitvlt.backends import flatten, unflatten
from minitvlt.checkpoints.mae import from_mae, read_mae
from minitvlt.checkpoints.native import load, save, save_arrays
from minitvlt.config import Config
from minitvlt.model.parameters import Params, init
from minitvlt.model.tvlt import forward
from tests.helpers.backends import assert_trees_close
from tests.helpers.released import HEADS, SIZES, draw_tensors, list_mae, run_mae

# A row: the name there and the name here. {i} counts layers, {b} is weight and bias.
ROWS = [
    ("cls_token", "encoder.cls"),
    ("patch_embed.proj.{b}", "encoder.video_patches.{b}"),
    ("pos_embed", "encoder.video_positions.space"),
    ("blocks.{i}.norm1.{b}", "encoder.blocks.{i}.attention_norm.{b}"),
    ("blocks.{i}.attn.qkv.{b}", "encoder.blocks.{i}.attention.qkv.{b}"),
    ("blocks.{i}.attn.proj.{b}", "encoder.blocks.{i}.attention.output.{b}"),
    ("blocks.{i}.norm2.{b}", "encoder.blocks.{i}.mlp_norm.{b}"),
    ("blocks.{i}.mlp.fc1.{b}", "encoder.blocks.{i}.mlp.expand.{b}"),
    ("blocks.{i}.mlp.fc2.{b}", "encoder.blocks.{i}.mlp.contract.{b}"),
    ("norm.{b}", "encoder.norm.{b}"),
    ("decoder_embed.{b}", "decoder.entry.{b}"),
    ("mask_token", "decoder.video_mask_token"),
    ("decoder_pos_embed", "decoder.video_positions.space"),
    ("decoder_blocks.{i}.norm1.{b}", "decoder.blocks.{i}.attention_norm.{b}"),
    ("decoder_blocks.{i}.attn.qkv.{b}", "decoder.blocks.{i}.attention.qkv.{b}"),
    ("decoder_blocks.{i}.attn.proj.{b}", "decoder.blocks.{i}.attention.output.{b}"),
    ("decoder_blocks.{i}.norm2.{b}", "decoder.blocks.{i}.mlp_norm.{b}"),
    ("decoder_blocks.{i}.mlp.fc1.{b}", "decoder.blocks.{i}.mlp.expand.{b}"),
    ("decoder_blocks.{i}.mlp.fc2.{b}", "decoder.blocks.{i}.mlp.contract.{b}"),
    ("decoder_norm.{b}", "decoder.norm.{b}"),
    ("decoder_pred.{b}", "decoder.video_head.{b}"),
]
LAYERS = {"decoder_blocks": SIZES["decoder_layers"], "blocks": SIZES["layers"]}
TABLE = {
    theirs.replace("{i}", str(i)).replace("{b}", kind): ours.replace("{i}", str(i)).replace("{b}", kind)
    for theirs, ours in ROWS
    for i in range(LAYERS[theirs.partition(".")[0]] if "{i}" in theirs else 1)
    for kind in (("weight", "bias") if "{b}" in theirs else ("",))
}
CHANGED = ("cls_token", "pos_embed", "decoder_pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias")


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return draw_tensors(list_mae())


def read(tensors: dict[str, torch.Tensor], folder: Path, *args: Any, **settings: Any) -> Params:
    torch.save({"model": tensors}, folder / "mae.pth")
    return from_mae(folder / "mae.pth", *args, **(settings if args else HEADS | settings))


# ---------------------------------------------------------------------------------------------- what is given


def test_the_table_has_every_name():
    assert set(TABLE) == set(list_mae())


@pytest.mark.parametrize("name", [name for name in TABLE if name not in CHANGED])
def test_a_tensor_lands_where_it_belongs(name, tensors, tmp_path):
    ours = flatten(read(tensors, tmp_path))[TABLE[name]]
    np.testing.assert_array_equal(ours, tensors[name].numpy().reshape(ours.shape))
    assert ours.dtype == np.float32


def test_the_first_position_is_that_of_cls(tensors, tmp_path):
    ours = read(tensors, tmp_path)
    expected = (tensors["cls_token"] + tensors["pos_embed"][:, :1])[0, 0]
    np.testing.assert_array_equal(ours.encoder.cls, expected)
    np.testing.assert_array_equal(ours.encoder.video_positions.space, tensors["pos_embed"][0, 1:])
    np.testing.assert_array_equal(ours.decoder.video_positions.space, tensors["decoder_pos_embed"][0, 1:])


@pytest.mark.parametrize("sizes", [{}, {"patch": (3, 2)}], ids=str)
def test_an_image_gives_the_tokens_that_it_gave_there(sizes, tmp_path):
    """An image of pixels in [-1, 1], here; of normalised ones, there. Time and modality have no say yet."""
    tensors = draw_tensors(list_mae(**sizes))
    ours = read(tensors, tmp_path)
    silent = ("encoder.video_positions.time", "encoder.video_positions.modality")
    ours = unflatten(ours, flatten(ours) | {name: flatten(ours)[name] * 0 for name in silent})
    image = np.random.default_rng(3).random((2, 3, *ours.config.image_shape), np.float32)
    expected = run_mae(tensors, torch.from_numpy(image), heads=2)
    found = forward(ours, 2 * image[:, None] - 1, None).sequence
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.model."])
def test_wrappers_and_prefixes_are_taken_off(prefix, tensors, tmp_path):
    named = {prefix + name: tensor for name, tensor in tensors.items()}
    training = {"model": named, "epoch": 7, "args": argparse.Namespace(lr=1e-3, resume="")}
    torch.save(training, tmp_path / "wrapped.pth")
    wrapped = from_mae(tmp_path / "wrapped.pth", **HEADS)
    assert_trees_close(wrapped, read(tensors, tmp_path), rtol=0, atol=0)


def test_safetensors_hold_the_same(tensors, tmp_path):
    path = save_arrays({name: each.numpy() for name, each in tensors.items()}, tmp_path / "mae.safetensors")
    assert_trees_close(from_mae(path, **HEADS), read(tensors, tmp_path), rtol=0, atol=0)


def test_what_has_no_place_is_named(tensors, tmp_path):
    with pytest.warns(UserWarning, match=r"mae\.pth holds more than is read: head\.bias, head\.weight\."):
        read(tensors | {"head.weight": torch.ones(5, 10), "head.bias": torch.ones(5)}, tmp_path)


# ---------------------------------------------------------------------------------------------- what is drawn

WIDE = {"width": 128, "decoder_width": 96}
DRAWN = {
    "encoder.video_positions.time",
    "encoder.video_positions.modality",
    "encoder.audio_patches.weight",
    "encoder.audio_patches.bias",
    "encoder.audio_positions.time",
    "encoder.audio_positions.frequency",
    "encoder.audio_positions.modality",
    "decoder.video_positions.time",
    "decoder.video_positions.modality",
    "decoder.audio_mask_token",
    "decoder.audio_positions.time",
    "decoder.audio_positions.frequency",
    "decoder.audio_positions.modality",
    "decoder.audio_head.weight",
    "decoder.audio_head.bias",
    "matching.pooler.weight",
    "matching.pooler.bias",
    "matching.score.weight",
    "matching.score.bias",
}


def test_all_that_is_drawn_is_named(tensors, tmp_path):
    torch.save(tensors, tmp_path / "mae.pth")
    params, drawn = read_mae(tmp_path / "mae.pth", **HEADS)
    assert set(drawn) == DRAWN == set(flatten(params)) - set(TABLE.values())


def test_sound_starts_as_in_the_papers_code(tmp_path):
    """Xavier for the projection, zeros for the table of times, deviation 0.02 for the rest."""
    ours = flatten(read(draw_tensors(list_mae(**WIDE)), tmp_path))
    weight, bias = ours["encoder.audio_patches.weight"], ours["encoder.audio_patches.bias"]
    limit = (6 / (128 + 256)) ** 0.5
    assert weight.shape == (128, 256) and limit * 0.999 < np.abs(weight).max() <= limit
    np.testing.assert_allclose(weight.std(), limit / 3**0.5, rtol=0.02)
    assert 0.9 / 16 < np.abs(bias).max() <= 1 / 16 and abs(bias.mean()) < 0.02
    for name in DRAWN - {"encoder.audio_patches.weight", "encoder.audio_patches.bias"}:
        if name.endswith(("audio_positions.time", "bias")):
            assert not ours[name].any(), name
        else:
            np.testing.assert_allclose(ours[name].std(), 0.02, rtol=0.3, err_msg=name)


def test_a_seed_decides_what_is_drawn(tensors, tmp_path):
    one, same, other = (read(tensors, tmp_path, seed=seed) for seed in (3, np.random.default_rng(3), 4))
    assert_trees_close(one, same, rtol=0, atol=0)
    for name, array in flatten(one).items():
        is_fixed = name not in DRAWN or not array.any()
        assert np.array_equal(array, flatten(other)[name]) == is_fixed, name


def test_an_encoder_alone_gets_a_new_decoder(tmp_path):
    torch.save(draw_tensors(list_mae(has_decoder=False)), tmp_path / "mae.pth")
    ours, drawn = read_mae(tmp_path / "mae.pth", num_attention_heads=2)
    assert ours.config.task_mae and ours.config.decoder_hidden_size == Config().decoder_hidden_size
    assert {name for name in flatten(ours) if name.startswith("decoder.")} <= set(drawn)
    np.testing.assert_allclose(ours.decoder.video_head.weight.std(), 0.02, rtol=0.1)


# --------------------------------------------------------------------------------------------- configurations


def test_shapes_say_the_configuration_and_the_rest_is_the_papers(tensors, tmp_path):
    assert read(tensors, tmp_path, num_frames=3).config == Config.paper(
        image_size=6,
        image_patch_size=(2, 2),
        num_frames=3,
        hidden_size=10,
        num_hidden_layers=2,
        intermediate_size=7,
        decoder_hidden_size=8,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=5,
        **HEADS,
    )


def test_the_base_model_needs_no_settings(tmp_path):
    """ViT-B: 12 heads of 64 in the encoder, 16 of 32 in the decoder; only its depth and MLP are cut here."""
    sizes = {"width": 768, "decoder_width": 512, "patch": (16, 16), "grid": (14, 14)}
    torch.save({"model": draw_tensors(list_mae(**sizes))}, tmp_path / "mae.pth")
    config = from_mae(tmp_path / "mae.pth").config
    assert (config.num_attention_heads, config.decoder_num_attention_heads) == (12, 16)
    assert (config.image_size, config.image_patch_size) == (224, (16, 16))


SAME = {
    "image_size": 6,
    "image_patch_size": (2, 2),
    "num_frames": 3,
    "spectrogram_length": 10,
    "frequency_length": 6,
    "audio_patch_size": (2, 3),
    "hidden_size": 10,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "intermediate_size": 7,
    "decoder_hidden_size": 8,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 5,
}


def test_a_configuration_that_agrees_is_taken(tensors, tmp_path):
    config = Config(**SAME)
    ours = read(tensors, tmp_path, config)
    assert ours.config == config
    assert {n: a.shape for n, a in flatten(ours).items()} == {
        n: a.shape for n, a in flatten(init(config)).items()
    }
    again = load(save(ours, tmp_path / "ours.safetensors"))
    assert_trees_close(again, ours, rtol=0, atol=0)


def test_a_model_that_does_not_reconstruct_takes_no_decoder(tensors, tmp_path):
    config = Config(**SAME | {"task_mae": False, "decoder_hidden_size": 22})
    with pytest.warns(UserWarning, match="holds more than is read: decoder_blocks"):
        ours = read(tensors, tmp_path, config)
    assert ours.decoder is None and ours.config == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 20}, "hidden_size=20 contradicts its arrays, which say 10"),
        ({"num_hidden_layers": 3}, "num_hidden_layers=3 contradicts its arrays, which say 2"),
        ({"decoder_intermediate_size": 6}, "decoder_intermediate_size=6 contradicts its arrays"),
        ({"qkv_bias": False}, "qkv_bias=False contradicts its arrays, which say True"),
        ({"final_norm": False}, "final_norm=False contradicts its arrays"),
        ({"image_patch_size": (3, 3)}, r"image_patch_size=\(3, 3\) contradicts its arrays"),
        ({"image_size": 8}, r"pos_embed has the shape \(1, 10, 10\), .* \(1, 17, 10\)"),
        ({"num_image_channels": 1}, "num_image_channels=1 contradicts its arrays, which say 3"),
    ],
    ids=str,
)
def test_a_configuration_that_contradicts_the_file_is_refused(changes, message, tensors, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        read(tensors, tmp_path, Config(**SAME | changes))
    assert str(tmp_path / "mae.pth") in str(caught.value)


def test_settings_beside_a_configuration_are_refused(tensors, tmp_path):
    with pytest.raises(ValueError, match=r"either a configuration or settings \(num_frames\), not both"):
        read(tensors, tmp_path, Config(**SAME), num_frames=4)


def test_other_channels_than_red_green_and_blue_are_refused(tensors, tmp_path):
    with pytest.raises(ValueError, match="is for 4 channels: expected red, green and blue"):
        read(tensors | {"patch_embed.proj.weight": torch.ones(10, 4, 2, 2)}, tmp_path)


def test_another_program_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected one patch_embed\.proj\.weight, .* only conv1\.weight"):
        read({"conv1.weight": torch.ones(3)}, tmp_path)
