"""The released code's checkpoints: every tensor lands where it belongs, and the numbers are the same."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minitvlt.backends import flatten, to_backend
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.names import give_arrays
from minitvlt.checkpoints.native import load, save, save_arrays
from minitvlt.checkpoints.released import from_original, list_untold, make_layout, to_original
from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_ranking, init, outline
from minitvlt.model.pretraining import score_matches
from minitvlt.model.tasks import classify, rank_videos
from minitvlt.model.tvlt import forward
from tests.helpers.backends import assert_trees_close
from tests.helpers.models import draw_clips, draw_mask
from tests.helpers.released import (
    HEADS,
    SIZES,
    draw_tensors,
    list_released,
    run_head,
    run_released,
)

# A row: the name there, the name here, the name in transformers. {i} counts layers, {b} is weight and bias.
ROWS = [
    ("cls_token", "encoder.cls", "tvlt.cls_embedding"),
    (
        "patch_embed_v.proj.{b}",
        "encoder.video_patches.{b}",
        "tvlt.pixel_embeddings.patch_embeddings.projection.{b}",
    ),
    ("pos_embed_v", "encoder.video_positions.space", "tvlt.pixel_embeddings.pos_embed_v"),
    ("temporal_embed", "encoder.video_positions.time", "tvlt.pixel_embeddings.temporal_embed"),
    ("type_embed_v", "encoder.video_positions.modality", "tvlt.pixel_embeddings.type_embed_v"),
    (
        "patch_embed_a.proj.{b}",
        "encoder.audio_patches.{b}",
        "tvlt.audio_embeddings.patch_embeddings.projection.{b}",
    ),
    ("pos_embed_a", "encoder.audio_positions.time", "tvlt.audio_embeddings.pos_embed_a"),
    ("freq_embed", "encoder.audio_positions.frequency", "tvlt.audio_embeddings.freq_embed"),
    ("type_embed_a", "encoder.audio_positions.modality", "tvlt.audio_embeddings.type_embed_a"),
    (
        "blocks.{i}.norm1.{b}",
        "encoder.blocks.{i}.attention_norm.{b}",
        "tvlt.encoder.layer.{i}.layernorm_before.{b}",
    ),
    (
        "blocks.{i}.attn.qkv.{b}",
        "encoder.blocks.{i}.attention.qkv.{b}",
        "tvlt.encoder.layer.{i}.attention.attention.{qkv}.{b}",
    ),
    (
        "blocks.{i}.attn.proj.{b}",
        "encoder.blocks.{i}.attention.output.{b}",
        "tvlt.encoder.layer.{i}.attention.output.dense.{b}",
    ),
    (
        "blocks.{i}.norm2.{b}",
        "encoder.blocks.{i}.mlp_norm.{b}",
        "tvlt.encoder.layer.{i}.layernorm_after.{b}",
    ),
    (
        "blocks.{i}.mlp.fc1.{b}",
        "encoder.blocks.{i}.mlp.expand.{b}",
        "tvlt.encoder.layer.{i}.intermediate.dense.{b}",
    ),
    (
        "blocks.{i}.mlp.fc2.{b}",
        "encoder.blocks.{i}.mlp.contract.{b}",
        "tvlt.encoder.layer.{i}.output.dense.{b}",
    ),
    ("norm.{b}", "encoder.norm.{b}", "tvlt.layernorm.{b}"),
    ("decoder_embed.{b}", "decoder.entry.{b}", "encoder_to_decoder.{b}"),
    ("mask_token_v", "decoder.video_mask_token", "pixel_mask_token"),
    ("mask_token_a", "decoder.audio_mask_token", "audio_mask_token"),
    ("decoder_pos_embed_v", "decoder.video_positions.space", "decoder_pixel_pos_embed"),
    ("decoder_temporal_embed", "decoder.video_positions.time", "decoder_temporal_embed"),
    ("decoder_type_embed_v", "decoder.video_positions.modality", "decoder_pixel_type_embed"),
    ("decoder_pos_embed_a", "decoder.audio_positions.time", "decoder_audio_pos_embed"),
    ("decoder_freq_embed", "decoder.audio_positions.frequency", "decoder_freq_embed"),
    ("decoder_type_embed_a", "decoder.audio_positions.modality", "decoder_audio_type_embed"),
    (
        "decoder_blocks.{i}.norm1.{b}",
        "decoder.blocks.{i}.attention_norm.{b}",
        "decoder.decoder_layers.{i}.layernorm_before.{b}",
    ),
    (
        "decoder_blocks.{i}.attn.qkv.{b}",
        "decoder.blocks.{i}.attention.qkv.{b}",
        "decoder.decoder_layers.{i}.attention.attention.{qkv}.{b}",
    ),
    (
        "decoder_blocks.{i}.attn.proj.{b}",
        "decoder.blocks.{i}.attention.output.{b}",
        "decoder.decoder_layers.{i}.attention.output.dense.{b}",
    ),
    (
        "decoder_blocks.{i}.norm2.{b}",
        "decoder.blocks.{i}.mlp_norm.{b}",
        "decoder.decoder_layers.{i}.layernorm_after.{b}",
    ),
    (
        "decoder_blocks.{i}.mlp.fc1.{b}",
        "decoder.blocks.{i}.mlp.expand.{b}",
        "decoder.decoder_layers.{i}.intermediate.dense.{b}",
    ),
    (
        "decoder_blocks.{i}.mlp.fc2.{b}",
        "decoder.blocks.{i}.mlp.contract.{b}",
        "decoder.decoder_layers.{i}.output.dense.{b}",
    ),
    ("decoder_norm.{b}", "decoder.norm.{b}", "decoder.layernorm.{b}"),
    ("mae_score_video.decoder.{b}", "decoder.video_head.{b}", "pixel_mae_head.decoder.{b}"),
    ("mae_score_audio.decoder.{b}", "decoder.audio_head.{b}", "audio_mae_head.decoder.{b}"),
    ("matching_score.pooler.dense.{b}", "matching.pooler.{b}", "matching_head.pooler.dense.{b}"),
    ("matching_score.fc.{b}", "matching.score.{b}", "matching_head.fc.{b}"),
    ("rank_output.pooler.dense.{b}", "ranking.pooler.{b}", None),
    ("rank_output.fc.{b}", "ranking.score.{b}", None),
    ("classifier.0.dense.{b}", "classifier.pooler.{b}", None),
    ("classifier.1.{b}", "classifier.expand.{b}", None),
    ("classifier.2.{b}", "classifier.norm.{b}", None),
    ("classifier.4.{b}", "classifier.output.{b}", None),
]
LAYERS = {"decoder_blocks": SIZES["decoder_layers"], "blocks": SIZES["layers"]}


def fill_in(row: tuple[str, str, str | None]) -> list[tuple[str, str, str | None]]:
    """Write out a row for each layer, and for weight and bias."""
    layers = LAYERS[row[0].partition(".")[0]] if "{i}" in row[0] else 1
    kinds = ("weight", "bias") if "{b}" in row[0] else ("",)
    return [
        tuple(each and each.replace("{i}", str(i)).replace("{b}", kind) for each in row)
        for i in range(layers)
        for kind in kinds
    ]


TABLE = {theirs: (ours, port) for row in ROWS for theirs, ours, port in fill_in(row)}
PRETRAINING = ("decoder", "matching_score")


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return draw_tensors(list_released())


def write(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    torch.save(tensors, path)
    return path


def read(tensors: dict[str, torch.Tensor], folder: Path, **settings: Any) -> Params:
    return from_original(write(tensors, folder / "model.ckpt"), **HEADS | settings)


def lay_out_by_loops(tensor: torch.Tensor) -> np.ndarray:
    """Bring one of their tensors to the axes of ours, number by number where it is a convolution."""
    array = tensor.numpy()
    if array.ndim == 3:
        return array[0, 0] if array.shape[1] == 1 else array[0]
    if array.ndim < 4:
        return array
    D, C, p, q = array.shape
    rows = np.empty((D, p * q * C), array.dtype)
    for d, c, y, x in np.ndindex(D, C, p, q):
        rows[d, (y * q + x) * C + c] = array[d, c, y, x]
    return rows


# ----------------------------------------------------------------------------------------- the table of names


def test_the_table_has_every_name():
    assert set(TABLE) == set(list_released())


@pytest.mark.parametrize("name", TABLE)
def test_a_tensor_lands_where_it_belongs(name, tensors, tmp_path):
    ours = flatten(read(tensors, tmp_path))[TABLE[name][0]]
    expected = lay_out_by_loops(tensors[name])
    np.testing.assert_array_equal(ours, expected.reshape(ours.shape))
    assert ours.dtype == np.float32 and ours.ndim <= expected.ndim


def test_nothing_is_left_over(tensors, tmp_path):
    """No warning, and no array of ours that is not in the table."""
    assert set(flatten(read(tensors, tmp_path))) == {ours for ours, _ in TABLE.values()}


# Of the published base model, as its code makes it; the last is the classifier for sentiment.
BASE = {
    "cls_token": (1, 1, 768),
    "patch_embed_v.proj.weight": (768, 3, 16, 16),
    "patch_embed_a.proj.weight": (768, 1, 16, 16),
    "pos_embed_v": (1, 196, 768),
    "temporal_embed": (1, 64, 768),
    "pos_embed_a": (1, 1020, 768),
    "freq_embed": (1, 8, 768),
    "blocks.11.attn.qkv.weight": (2304, 768),
    "blocks.11.mlp.fc1.weight": (3072, 768),
    "decoder_embed.weight": (512, 768),
    "mask_token_a": (1, 1, 512),
    "decoder_pos_embed_v": (1, 196, 512),
    "decoder_temporal_embed": (1, 64, 512),
    "decoder_pos_embed_a": (1, 1020, 512),
    "decoder_blocks.7.attn.qkv.weight": (1536, 512),
    "decoder_blocks.7.mlp.fc2.weight": (512, 2048),
    "mae_score_video.decoder.weight": (768, 512),
    "mae_score_audio.decoder.weight": (256, 512),
    "matching_score.pooler.dense.weight": (768, 768),
    "matching_score.fc.weight": (1, 768),
    "classifier.0.dense.weight": (768, 768),
    "classifier.1.weight": (1536, 768),
    "classifier.2.weight": (1536,),
    "classifier.4.weight": (1, 1536),
}


def test_the_base_model_has_the_published_names_and_shapes():
    config = Config.original(num_frames=64, spectrogram_length=1020 * 16, num_labels=1)
    blank = outline(config, ["decoder", "matching", "classifier"])
    shapes = {name: array.shape for name, array in give_arrays(make_layout("classifier"), blank).items()}
    assert {name: shapes[name] for name in BASE} == BASE
    base = {"width": 768, "layers": 12, "mlp": 3072, "decoder_width": 512, "decoder_layers": 8, "labels": 1}
    base |= {"decoder_mlp": 2048, "patch": (16, 16), "audio_patch": (16, 16), "grid": (14, 14)}
    base |= {"frames": 64, "steps": 1020, "bins": 8}
    assert shapes == list_released((*PRETRAINING, "classifier"), **base)


# --------------------------------------------------------------------------------------------------- wrappers

WRAPPERS = {
    "bare": lambda tensors: tensors,
    "state_dict": lambda tensors: {"state_dict": tensors, "epoch": 3, "hyper_parameters": {"lr": 1e-5}},
    "model": lambda tensors: {"model": tensors, "optimizer": {"state": {}}},
}


@pytest.mark.parametrize("prefix", ["", "transformer.", "module.transformer."])
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_and_prefixes_are_taken_off(wrap, prefix, tensors, tmp_path):
    torch.save(wrap({prefix + name: tensor for name, tensor in tensors.items()}), tmp_path / "wrapped.ckpt")
    wrapped = from_original(tmp_path / "wrapped.ckpt", **HEADS)
    assert_trees_close(wrapped, read(tensors, tmp_path), rtol=0, atol=0)


def test_safetensors_hold_the_same(tensors, tmp_path):
    path = tmp_path / "model.safetensors"
    save_arrays({name: tensor.numpy() for name, tensor in tensors.items()}, path)
    assert_trees_close(from_original(path, **HEADS), read(tensors, tmp_path), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: {f"ema.{name}": tensor for name, tensor in tensors.items()} | tensors,
            r"2 of them, behind \['ema.', ''\]",
        ),
        (
            lambda tensors: (
                {f"net.{name}": tensor for name, tensor in tensors.items()}
                | {"cls_token": tensors["cls_token"]}
            ),
            "holds cls_token twice, with and without net.",
        ),
        (lambda tensors: {"norm.bias": tensors["norm.bias"]}, "expected one patch_embed_v.proj.weight"),
    ],
    ids=["two models", "one tensor twice", "no model"],
)
def test_a_prefix_that_is_not_clear_is_refused(change, message, tensors, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(change(tensors), tmp_path)


def test_what_has_no_place_is_named_in_one_warning(tensors, tmp_path):
    text = {"text_embeddings.position_embeddings.weight": torch.ones(40, 10), "mlm_score.bias": torch.ones(9)}
    with pytest.warns(UserWarning) as caught:
        ours = read(tensors | text, tmp_path)
    assert [str(each.message) for each in caught] == [
        f"{tmp_path / 'model.ckpt'} holds more than is read: mlm_score.bias, "
        "text_embeddings.position_embeddings.weight."
    ]
    assert_trees_close(ours, read(tensors, tmp_path), rtol=0, atol=0)


# ------------------------------------------------------------------------------------- what is made of shapes


def test_shapes_say_the_configuration(tensors, tmp_path):
    config = read(tensors, tmp_path).config
    assert config == Config.original(
        image_size=6,
        image_patch_size=(2, 2),
        audio_patch_size=(2, 3),
        frequency_length=12,
        spectrogram_length=14,
        hidden_size=10,
        num_hidden_layers=2,
        intermediate_size=7,
        decoder_hidden_size=8,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=5,
        num_labels=3,
        **HEADS,
    )


def test_heads_are_as_wide_as_in_the_published_model(tmp_path):
    wide = draw_tensors(list_released(width=128, decoder_width=96))
    config = from_original(write(wide, tmp_path / "model.ckpt")).config
    assert (config.num_attention_heads, config.decoder_num_attention_heads) == (2, 3)


@pytest.mark.parametrize(
    ("heads", "option"),
    [("num_attention_heads", r"\(--heads\)"), ("decoder_num_attention_heads", r"\(--decoder-heads\)")],
)
def test_heads_that_cannot_be_guessed_must_be_given(heads, option, tensors, tmp_path):
    given = {name: number for name, number in HEADS.items() if name != heads}
    with pytest.raises(ValueError, match=f"{heads} cannot be guessed for the width .*{option}"):
        from_original(write(tensors, tmp_path / "model.ckpt"), **given)


def test_long_tables_are_kept_and_clips_are_as_long_as_in_the_code(tmp_path):
    """64 frames and 1020 times have a place; a clip has 8 frames, and 1024 steps of 16."""
    ours = read(draw_tensors(list_released(frames=64, steps=1020, audio_patch=(16, 3))), tmp_path)
    for part in (ours.encoder, ours.decoder):
        assert len(part.video_positions.time) == 64 and len(part.audio_positions.time) == 1020
    assert (ours.config.num_frames, ours.config.spectrogram_length) == (8, 1024)
    again = load(save(ours, tmp_path / "ours.safetensors"))
    assert again.config == ours.config
    assert_trees_close(again, ours, rtol=0, atol=0)


def test_what_shapes_cannot_say_can_be_given(tmp_path):
    tensors = draw_tensors(list_released(grid=(2, 3)))
    with pytest.raises(ValueError, match=r"6 rows, which is no square: give image_size"):
        read(tensors, tmp_path)
    config = read(
        tensors, tmp_path, image_size=(4, 6), num_frames=2, spectrogram_length=6, loss_type="labels"
    ).config
    assert (config.image_size, config.num_frames, config.spectrogram_length) == ((4, 6), 2, 6)
    assert config.loss_type == "labels"


def test_oblong_patches_give_oblong_frames(tmp_path):
    config = read(draw_tensors(list_released(patch=(2, 3))), tmp_path).config
    assert (config.image_size, config.image_patch_size) == ((6, 9), (2, 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 20}, "hidden_size=20 contradicts its arrays, which say 10"),
        ({"image_patch_size": [4, 4]}, r"image_patch_size=\(4, 4\) contradicts its arrays"),
        ({"num_labels": 6}, "num_labels=6 contradicts its arrays, which say 3"),
        ({"num_attention_heads": 3}, "hidden_size 10 is not a multiple of num_attention_heads 3"),
        ({"image_size": 8}, r"pos_embed_v has the shape \(1, 9, 10\), .* \(1, 16, 10\)"),
        ({"hiden_size": 10}, "did you mean 'hidden_size'"),
    ],
    ids=str,
)
def test_settings_that_contradict_the_arrays_are_refused(settings, message, tensors, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        read(tensors, tmp_path, **settings)
    assert str(tmp_path / "model.ckpt") in str(caught.value)


AXES = {
    "no axes": ("cls_token", (), r"cls_token has the shape \(\): expected 3 axes"),
    "a table without rows": (
        "pos_embed_a",
        (1, 0, 10),
        r"pos_embed_a has the shape \(1, 0, 10\): expected 3",
    ),
    "a linear projection": ("patch_embed_v.proj.weight", (10, 12), r"\(10, 12\): expected 4 axes"),
    "no first block": ("blocks.0.mlp.fc1.weight", None, r"lacks blocks\.0\.mlp\.fc1\.weight"),
    "text instead of sound": ("patch_embed_a.proj.weight", None, r"lacks patch_embed_a\.proj\.weight"),
}


@pytest.mark.parametrize(("name", "shape", "message"), AXES.values(), ids=AXES)
def test_shapes_that_say_nothing_are_refused(name, shape, message, tensors, tmp_path):
    del tensors[name]
    if shape is not None:
        tensors[name] = torch.ones(shape)
    with pytest.raises(ValueError, match=message):
        read(tensors, tmp_path)


@pytest.mark.parametrize(
    ("parts", "labels", "expected"),
    [
        (("decoder", "matching_score"), 1, (True, True, "classification")),
        (("decoder",), 1, (True, False, "classification")),
        (("matching_score",), 1, (False, True, "classification")),
        (("matching_score", "rank_output"), 1, (False, True, "ranking")),
        (("classifier",), 1, (True, True, "regression")),
        (("classifier",), 6, (True, True, "labels")),
        (("classifier",), 3, (True, True, "classification")),
        (("vqa_classifier",), 3, (True, True, "soft-labels")),
        ((), 1, (True, True, "classification")),
    ],
    ids=str,
)
def test_the_parts_say_the_task(parts, labels, expected, tmp_path):
    ours = read(draw_tensors(list_released(parts, labels=labels)), tmp_path)
    there = {"decoder": "decoder", "matching": "matching_score", "ranking": "rank_output"}
    for part, name in there.items():
        assert (getattr(ours, part) is not None) == (name in parts)
    assert (ours.classifier is not None) == any("classifier" in part for part in parts)
    config = ours.config
    assert (config.task_mae, config.task_matching, config.loss_type) == expected


def test_of_two_classifiers_one_is_chosen(tmp_path):
    both = draw_tensors(list_released(("classifier", "vqa_classifier")))
    with pytest.raises(ValueError, match=r"holds two classifiers, .* classifier='vqa_classifier'"):
        read(both, tmp_path)
    for name in ("classifier", "vqa_classifier"):
        with pytest.warns(UserWarning, match="holds more than is read"):
            ours = read(both, tmp_path, classifier=name)
        np.testing.assert_array_equal(ours.classifier.expand.weight, both[f"{name}.1.weight"].numpy())


@pytest.mark.parametrize(
    ("parts", "message"),
    [(PRETRAINING, "no classifier 'vqa_classifier': it has none"), (("classifier",), "it has classifier")],
    ids=str,
)
def test_a_classifier_that_is_not_there_is_refused(parts, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(draw_tensors(list_released(parts)), tmp_path, classifier="vqa_classifier")


# ---------------------------------------------------------------------------------------------- what it gives


def draw_inputs(params: Params, T: int, s: int) -> tuple[np.ndarray, np.ndarray]:
    video, audio = draw_clips(params.config, np.random.default_rng(5), 3, T, s)
    return video.astype(np.float32), audio.astype(np.float32)


def compute_theirs(tensors: dict[str, torch.Tensor], video: np.ndarray, audio: np.ndarray) -> torch.Tensor:
    return run_released(tensors, torch.from_numpy(video), torch.from_numpy(audio), heads=2)


def test_all_tokens_are_theirs(tensors, tmp_path):
    ours = read(tensors, tmp_path)
    video, audio = draw_inputs(ours, 4, 5)
    expected = compute_theirs(tensors, video, audio)
    np.testing.assert_allclose(forward(ours, video, audio).sequence, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", ["matching_score", "rank_output", "classifier", "vqa_classifier"])
def test_every_head_gives_their_numbers(head, tmp_path):
    tensors = draw_tensors(list_released((head,)))
    ours = read(tensors, tmp_path)
    video, audio = draw_inputs(ours, 3, 7)
    expected = run_head(tensors, head, compute_theirs(tensors, video, audio))
    if head == "matching_score":
        found = score_matches(ours, video, audio)
    elif head == "rank_output":
        found = rank_videos(ours, video[:, None], audio)[:, 0]
    else:
        found = classify(ours, video, audio)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def convert_by_table(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give tensors the names of transformers, by the table above alone."""
    converted = {}
    for name, tensor in tensors.items():
        port = TABLE[name][1]
        kinds = ["query", "key", "value"] if "{qkv}" in port else [""]
        for kind, part in zip(kinds, tensor.chunk(len(kinds)), strict=True):
            converted[port.replace("{qkv}", kind)] = part
    return converted


def make_port(tensors: dict[str, torch.Tensor], **settings: Any) -> Any:
    """Make the pre-training model of transformers with these tensors, all of them and no other."""
    transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")
    port = transformers.TvltForPreTraining(transformers.TvltConfig(**settings))
    port.load_state_dict(convert_by_table(tensors), strict=True)
    return port.eval()


PORT_SETTINGS = {
    "image_size": 6,
    "image_patch_size": (2, 2),
    "num_frames": 5,
    "audio_patch_size": (2, 3),
    "spectrogram_length": 14,
    "frequency_length": 12,
    "hidden_size": 10,
    "num_hidden_layers": 2,
    "intermediate_size": 7,
    "decoder_hidden_size": 8,
    "decoder_num_hidden_layers": 1,
    "decoder_intermediate_size": 5,
    **HEADS,
}


def test_the_matching_pass_is_that_of_transformers_with_the_converted_weights(tmp_path):
    tensors = draw_tensors(list_released(PRETRAINING))
    ours, port = read(tensors, tmp_path), make_port(tensors, **PORT_SETTINGS)
    video, audio = draw_inputs(ours, 5, 7)
    rng = np.random.default_rng(6)
    masks = draw_mask(rng, 3, 5, 9), draw_mask(rng, 3, 7, 4)
    for video_mask, audio_mask in (masks, (None, None)):
        inputs = [None if each is None else torch.tensor(each) for each in (video_mask, audio_mask)]
        with torch.no_grad():
            expected = port.matching_head(port.tvlt(torch.tensor(video), torch.tensor(audio), *inputs)[0])
        found = score_matches(ours, video, audio, video_mask, audio_mask)
        np.testing.assert_allclose(found, expected[:, 0], rtol=1e-5, atol=1e-5)


def test_the_matching_pass_with_the_published_tables(tmp_path):
    """Frames of 224², tables of 64 frames and 1020 times, 8 frequencies: only the widths are small."""
    big = {"width": 64, "decoder_width": 32, "patch": (16, 16), "audio_patch": (16, 16), "grid": (14, 14)}
    big |= {"frames": 64, "steps": 1020, "bins": 8}
    tensors = draw_tensors(list_released(PRETRAINING, **big))
    ours = from_original(write(tensors, tmp_path / "model.ckpt"))
    port = make_port(
        tensors,
        num_frames=64,
        spectrogram_length=1020 * 16,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=7,
        decoder_hidden_size=32,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=1,
        decoder_intermediate_size=5,
    )
    video, audio = draw_inputs(ours, 2, 3)
    with torch.no_grad():
        expected = port.matching_head(port.tvlt(torch.tensor(video), torch.tensor(audio))[0])
    np.testing.assert_allclose(score_matches(ours, video, audio), expected[:, 0], rtol=1e-5, atol=1e-5)


def test_the_converted_folder_holds_what_the_table_says(tmp_path):
    """Every tensor of the folder for transformers, bit for bit."""
    tensors = draw_tensors(list_released(PRETRAINING))
    with pytest.warns(UserWarning, match="transformers will not do all"):
        folder = to_huggingface(read(tensors, tmp_path), tmp_path / "folder")
    make_port(tensors, **PORT_SETTINGS)  # the names are theirs
    from safetensors.torch import load_file

    found, expected = load_file(folder / "model.safetensors"), convert_by_table(tensors)
    assert set(found) == set(expected)
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


# -------------------------------------------------------------------------------------------- what is written


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize(
    "parts", [PRETRAINING, ("matching_score", "rank_output"), ("classifier",), ("vqa_classifier",)], ids=str
)
def test_what_is_written_comes_back(suffix, parts, tmp_path):
    ours = read(draw_tensors(list_released(parts)), tmp_path)
    path = to_original(to_backend(ours, "torch"), tmp_path / f"again{suffix}")
    untold = list_untold(ours)
    assert untold == (HEADS if "decoder" in parts else {"num_attention_heads": 2})
    again = from_original(path, **untold)
    assert again.config == ours.config.replace(
        decoder_num_attention_heads=again.config.decoder_num_attention_heads
    )
    assert_trees_close(again, ours, rtol=0, atol=0)


def test_the_bytes_of_every_tensor_come_back(tensors, tmp_path):
    path = to_original(read(tensors, tmp_path), tmp_path / "again.ckpt")
    again = torch.load(path, weights_only=True)
    assert again.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert again[name].dtype == torch.float32 and torch.equal(again[name], tensor), name


def test_what_a_reader_must_be_told():
    oblong = Config.tiny(image_size=(24, 36), num_attention_heads=1, decoder_num_attention_heads=2)
    assert list_untold(init(oblong)) == {"image_size": (24, 36)}


REFUSED = {
    "qkv_bias": ({"qkv_bias": False}, "queries, keys and values have biases"),
    "final_norm": ({"final_norm": False}, "always has the last LayerNorm"),
    "decoder": ({"joint_decoder": True}, "its decoder runs on each modality alone"),
    "eps": ({"layer_norm_eps": 1e-5}, "eps 1e-06 .layer_norm_eps=1e-05"),
    "no pooler": ({"classifier_pooler": False}, "its classifier begins with a pooler"),
    "mean": ({"pooling": "mean"}, "its classifier reads cls"),
    "classifier eps": ({"classifier_norm_eps": 1e-6}, "eps 1e-05 .classifier_norm_eps=1e-06"),
}


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_released_code_cannot_compute_is_refused(settings, message, tmp_path):
    sizes = {
        name: value for name, value in Config.tiny().to_dict().items() if "size" in name or "length" in name
    }
    config = Config.original(
        **sizes | {"num_attention_heads": 4, "decoder_num_attention_heads": 4} | settings
    )
    params = outline(config, ["decoder", "matching", "classifier"])
    with pytest.raises(ValueError, match=f"released code cannot compute this model: .*{message}"):
        to_original(params, tmp_path / "model.ckpt")
    assert not list(tmp_path.iterdir())


def test_what_differs_where_there_is_no_such_part_is_no_matter(tmp_path):
    """A model of this project, which has no classifier and no joint decoder to be wrong about."""
    params = init(Config.tiny(classifier_pooler=False, pooling="mean"))
    to_original(add_ranking(params), tmp_path / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = from_original(tmp_path / "model.safetensors", **list_untold(params))
    assert_trees_close(again.encoder, params.encoder, rtol=0, atol=0)
