"""Checkpoints of the released code and of ViT MAE: every tensor in its place, and the same outputs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minitvlt.backends import flatten, to_backend, unflatten
from minitvlt.checkpoints.detect import guess_format, load_any, read_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.names import RELEASED, give_arrays
from minitvlt.checkpoints.native import load, read_tensors, save, save_arrays
from minitvlt.checkpoints.released import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    from_mae,
    from_original,
    lost_settings,
    read_mae,
    to_original,
)
from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_ranking, init, outline
from minitvlt.model.pretraining import score_matches
from minitvlt.model.tasks import classify, rank_videos
from minitvlt.model.tvlt import forward
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close
from tests.helpers.models import draw_clips
from tests.helpers.released import (
    CONFIG,
    HEADS,
    draw_tensors,
    list_changes,
    list_mae,
    list_released,
    make_vit_mae,
    run_head,
    run_mae,
    run_released,
)

PRETRAINING = ("decoder", "matching_score")
PATCHES = "patch_embed_v.proj.weight"
PROCESSING = list_changes(Config.original(spectrogram_length=Config.spectrogram_length))


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return draw_tensors(list_released())


@pytest.fixture
def images() -> dict[str, torch.Tensor]:
    return draw_tensors(list_mae())


def write(tensors: Any, folder: Path) -> Path:
    torch.save(tensors, folder / "model.ckpt")
    return folder / "model.ckpt"


def read(tensors: dict[str, torch.Tensor], folder: Path, **settings: Any) -> Params:
    return from_original(write(tensors, folder), **HEADS | settings)


def draw_inputs(T: int, s: int) -> tuple[np.ndarray, np.ndarray]:
    video, audio = draw_clips(CONFIG, np.random.default_rng(5), 3, T, s)
    return video.astype(np.float32), audio.astype(np.float32)


# ----------------------------------------------------------------------------------------- the released code


@pytest.mark.parametrize("head", ["matching_score", "rank_output", "classifier", "vqa_classifier"])
def test_tokens_and_every_head_are_those_of_the_released_code(head, tmp_path):
    tensors = draw_tensors(list_released((head,)))
    ours, (video, audio) = read(tensors, tmp_path), draw_inputs(3, 7)
    tokens = run_released(tensors, torch.from_numpy(video), torch.from_numpy(audio), heads=2)
    np.testing.assert_allclose(forward(ours, video, audio).sequence, tokens, rtol=1e-5, atol=1e-5)
    if head == "matching_score":
        found = score_matches(ours, video, audio)
    elif head == "rank_output":
        found = rank_videos(ours, video[:, None], audio)[:, 0]
    else:
        found = classify(ours, video, audio)
    np.testing.assert_allclose(found, run_head(tensors, head, tokens), rtol=1e-5, atol=1e-5)


# Of the decoder, which no function above runs: equal shapes that could be mistaken for each other.
DECODER = {
    "decoder_type_embed_v": "video_positions.modality",
    "decoder_type_embed_a": "audio_positions.modality",
    "mask_token_v": "video_mask_token",
    "mask_token_a": "audio_mask_token",
    "decoder_temporal_embed": "video_positions.time",
    "decoder_norm.bias": "norm.bias",
    "decoder_embed.bias": "entry.bias",
    "mae_score_video.decoder.weight": "video_head.weight",
    "decoder_blocks.0.norm1.bias": "blocks.0.attention_norm.bias",
    "decoder_blocks.0.attn.qkv.weight": "blocks.0.attention.qkv.weight",
}


def test_the_decoder_has_its_tensors(tensors, tmp_path):
    ours = flatten(read(tensors, tmp_path).decoder)
    for theirs, name in DECODER.items():
        np.testing.assert_array_equal(ours[name], tensors[theirs].numpy().reshape(ours[name].shape))


def test_shapes_say_the_configuration(tensors, tmp_path):
    assert read(tensors, tmp_path).config == CONFIG.replace(num_frames=8, num_labels=3, **PROCESSING)


def test_the_base_model_has_the_published_names_and_shapes_and_needs_no_settings():
    config = Config.original(num_frames=64, spectrogram_length=1020 * 16, num_labels=1)
    blank = outline(config, ["decoder", "matching", "classifier"])
    base = {"width": 768, "layers": 12, "mlp": 3072, "decoder_width": 512, "decoder_layers": 8, "labels": 1}
    base |= {"decoder_mlp": 2048, "patch": (16, 16), "audio_patch": (16, 16), "grid": (14, 14)}
    expected = list_released((*PRETRAINING, "classifier"), **base, frames=64, steps=1020, bins=8)
    assert {name: each.shape for name, each in give_arrays(RELEASED, blank).items()} == expected
    assert lost_settings(blank) == {}


def test_long_tables_are_kept_and_clips_are_as_long_as_in_the_released_code(tmp_path):
    ours = read(draw_tensors(list_released(frames=64, steps=1020, audio_patch=(16, 3))), tmp_path)
    for part in (ours.encoder, ours.decoder):
        assert len(part.video_positions.time) == 64 and len(part.audio_positions.time) == 1020
    assert (ours.config.num_frames, ours.config.spectrogram_length) == (8, 1024)


TASKS = {
    PRETRAINING: (3, {}),
    ("decoder",): (3, {"task_matching": False}),
    ("matching_score", "rank_output"): (3, {"task_mae": False, "loss_type": "ranking"}),
    ("classifier",): (1, {"num_labels": 1, "loss_type": "regression", "task_mae": False}),
    ("classifier", "matching_score"): (6, {"num_labels": 6, "loss_type": "labels", "task_mae": False}),
    ("vqa_classifier",): (3, {"num_labels": 3, "loss_type": "soft-labels"}),
    (): (3, {"task_mae": False, "task_matching": True}),  # a configuration has at least one of them
}


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize(("parts", "task"), TASKS.items(), ids=map(str, TASKS))
def test_parts_say_the_task_and_every_tensor_comes_back(parts, task, suffix, tmp_path):
    tensors = draw_tensors(list_released(parts, labels=task[0]))
    ours = read(tensors, tmp_path)
    assert {name: getattr(ours.config, name) for name in task[1]} == task[1]
    path = to_original(to_backend(ours, "torch"), tmp_path / f"again{suffix}")
    needed = lost_settings(ours)
    assert needed == (HEADS if "decoder" in parts else {"num_attention_heads": 2})
    again = from_original(path, **needed)
    heads = {"decoder_num_attention_heads": again.config.decoder_num_attention_heads}  # None without decoder
    assert again.config == ours.config.replace(**heads)
    assert_trees_close(again, ours, rtol=0, atol=0)
    if suffix == ".ckpt":
        written = torch.load(path, weights_only=True)
        assert written.keys() == tensors.keys()
        assert all(torch.equal(written[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("modality", ["video", "audio"])
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_decoder_for_one_modality_is_read_and_written(modality, suffix, tensors, tmp_path):
    """Of files trained with `mae_video` or `mae_audio` alone, by way of a file of ours."""
    other = {"video": "audio", "audio": "video"}[modality]
    alone = {name: each for name, each in tensors.items() if not name.startswith(f"mae_score_{other}")}
    ours = load(save(read(alone, tmp_path), tmp_path / "ours.safetensors"))
    assert getattr(ours.decoder, f"{other}_head") is None and ours.config.task_mae
    np.testing.assert_array_equal(
        getattr(ours.decoder, f"{modality}_head").weight, tensors[f"mae_score_{modality}.decoder.weight"]
    )
    written = read_tensors(to_original(ours, tmp_path / f"again{suffix}"))
    assert written.keys() == alone.keys()
    assert all(np.array_equal(written[name], tensor) for name, tensor in alone.items())
    with pytest.raises(ValueError, match=f"transformers, the model lacks decoder.{other}_head.weight"):
        to_huggingface(replace(ours, classifier=None, ranking=None, config=CONFIG), tmp_path / "folder")


@pytest.mark.parametrize("missing", [("weight",), ("weight", "bias")])
def test_a_decoder_without_any_head_or_with_half_of_one_is_refused(missing, tensors, tmp_path):
    heads = [f"mae_score_{modality}.decoder.{part}" for modality in ("video", "audio") for part in missing]
    left = {name: tensor for name, tensor in tensors.items() if name not in heads}
    with pytest.raises(ValueError, match=r"lacks mae_score_video\.decoder\.weight, .*mae_score_audio"):
        read(left, tmp_path)


@pytest.mark.parametrize("prefix", ["", "module.transformer."])
def test_a_text_model_is_called_one(prefix, tensors, tmp_path):
    text = {name: each for name, each in tensors.items() if not name.startswith("patch_embed_a")}
    text["text_embeddings.word_embeddings.weight"] = torch.ones(20, 10)
    path = write({prefix + name: each for name, each in text.items()}, tmp_path)
    for reader in (from_original, load_any):
        with pytest.raises(ValueError, match=r"model.ckpt is a text model of the released code"):
            reader(path, **HEADS)
    with pytest.warns(UserWarning, match="holds more than is read: text_embeddings"):  # one that has both
        assert read(tensors | text, tmp_path).ranking is not None


@pytest.mark.parametrize("prefix", ["", "module.transformer."])
def test_wrappers_and_prefixes_are_removed(prefix, tensors, images, tmp_path):
    for plain, reader in ((tensors, from_original), (images, from_mae)):
        wrapped = {"state_dict": {prefix + name: tensor for name, tensor in plain.items()}}
        path = save_arrays({name: each.numpy() for name, each in plain.items()}, tmp_path / "x.safetensors")
        ours = reader(write(wrapped, tmp_path), **HEADS)
        assert_trees_close(ours, reader(path, **HEADS), rtol=0, atol=0)


def test_what_shapes_do_not_say_can_be_given(tmp_path):
    oblong = draw_tensors(list_released(grid=(2, 3)))
    with pytest.raises(ValueError, match=r"model.ckpt: image_size cannot be guessed .* as arguments"):
        read(oblong, tmp_path)
    given = {"image_size": (4, 6), "num_frames": 2, "spectrogram_length": 6, "loss_type": "labels"}
    ours = read(oblong, tmp_path, **given)
    assert {name: getattr(ours.config, name) for name in given} == given
    assert lost_settings(ours) == {"image_size": (4, 6), **HEADS}
    config = read(draw_tensors(list_released(patch=(2, 3))), tmp_path).config
    assert (config.image_size, config.image_patch_size) == ((6, 9), (2, 3))
    wide = draw_tensors(list_released(width=128, decoder_width=96))
    config = from_original(write(wide, tmp_path)).config
    assert (config.num_attention_heads, config.decoder_num_attention_heads) == (2, 3)


def test_of_two_classifiers_one_is_chosen(tmp_path):
    both = draw_tensors(list_released(("classifier", "vqa_classifier")))
    for chosen in (None, "other"):
        with pytest.raises(ValueError, match=rf"one of \['classifier', 'vqa_classifier'\], got .?{chosen}"):
            read(both, tmp_path, classifier=chosen)
    for name in ("classifier", "vqa_classifier"):
        with pytest.warns(UserWarning, match="holds more than is read"):
            ours = read(both, tmp_path, classifier=name)
        np.testing.assert_array_equal(ours.classifier.expand.weight, both[f"{name}.1.weight"].numpy())


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "two models": ({f"ema.{PATCHES}": (10, 3, 2, 2)}, {}, r"got \['', 'ema\.'\]"),
    "one name twice": ({PATCHES: None, f"x.{PATCHES}": (10, 3, 2, 2), "x.norm.bias": (10,)}, {}, "without x"),
    "no model": ({PATCHES: None}, {}, "expected one patch_embed_v.proj.weight"),
    "no axes": ({"cls_token": ()}, {}, r"cls_token has the shape \(\): expected 3 axes"),
    "no rows": ({"pos_embed_a": (1, 0, 10)}, {}, r"pos_embed_a has the shape \(1, 0, 10\)"),
    "linear patches": ({PATCHES: (10, 12)}, {}, r"\(10, 12\): expected 4 axes"),
    "no first block": ({"blocks.0.mlp.fc1.weight": None}, {}, r"lacks blocks\.0\.mlp\.fc1\.weight"),
    "a width": ({}, {"hidden_size": 20}, "hidden_size=20 contradicts its arrays, which say 10"),
    "patches": ({}, {"image_patch_size": (1, 1)}, r"image_patch_size=\(1, 1\) contradicts its arrays"),
    "heads": ({}, {"num_attention_heads": 3}, "hidden_size 10 is not a multiple of num_attention_heads 3"),
    "frames": ({}, {"image_size": 8}, r"pos_embed_v has the shape \(1, 9, 10\), .* \(1, 16, 10\)"),
    "a misspelling": ({}, {"hiden_size": 10}, "did you mean 'hidden_size'"),
}


@pytest.mark.parametrize(("shapes", "settings", "message"), REFUSED.values(), ids=REFUSED)
def test_tensors_and_settings_that_make_no_sense_are_refused(shapes, settings, message, tensors, tmp_path):
    tensors |= {name: torch.ones(shape) for name, shape in shapes.items() if shape is not None}
    kept = {name: tensor for name, tensor in tensors.items() if shapes.get(name, ()) is not None}
    with pytest.raises(ValueError, match=message) as caught:
        read(kept, tmp_path, **settings)
    assert str(tmp_path / "model.ckpt") in str(caught.value)


FOREIGN = {"qkv_bias": False, "joint_decoder": True, "layer_norm_eps": 1e-5, "pooling": "mean"}


@pytest.mark.parametrize(("name", "value"), FOREIGN.items(), ids=FOREIGN)
def test_what_the_released_code_cannot_compute_is_refused(name, value, tmp_path):
    params = outline(CONFIG.replace(**PROCESSING | {name: value}), ["decoder", "matching", "classifier"])
    with pytest.raises(
        ValueError, match=f"released code cannot compute this model: {name}=.* there, {value}|'"
    ):
        to_original(params, tmp_path / "model.ckpt")
    assert not list(tmp_path.iterdir())


def test_settings_of_missing_parts_do_not_matter(tmp_path):
    params = init(Config.tiny(classifier_pooler=False, pooling="mean"))
    path = to_original(add_ranking(params), tmp_path / "model.safetensors")
    assert_trees_close(from_original(path, **lost_settings(params)).encoder, params.encoder, rtol=0, atol=0)


# --------------------------------------------------------------------------------------- ViT MAE pre-training


@pytest.mark.parametrize("sizes", [{}, {"patch": (3, 2)}], ids=str)
def test_an_image_gives_the_tokens_of_the_mae(sizes, tmp_path):
    """Pixels in [-1, 1] here, normalised ones there; random embeddings of frame and modality set to zero."""
    tensors = draw_tensors(list_mae(**sizes))
    ours = from_mae(write(tensors, tmp_path), **HEADS)
    zero = ("encoder.video_positions.time", "encoder.video_positions.modality")
    ours = unflatten(ours, flatten(ours) | {name: flatten(ours)[name] * 0 for name in zero})
    image = np.random.default_rng(3).random((2, 3, *ours.config.image_shape), np.float32)
    expected = run_mae(tensors, torch.from_numpy(image), heads=2)
    found = forward(ours, 2 * image[:, None] - 1, None).sequence
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_decoder_of_the_mae_is_taken(images, tmp_path):
    params, drawn = read_mae(write(images, tmp_path), **HEADS)
    ours = flatten(params.decoder)
    taken = {name for name in ours if f"decoder.{name}" not in drawn}
    assert {"entry.weight", "video_head.bias", "norm.bias", "blocks.0.mlp.expand.weight"} < taken
    np.testing.assert_array_equal(ours["video_positions.space"], images["decoder_pos_embed"][0, 1:])
    np.testing.assert_array_equal(ours["video_mask_token"], images["mask_token"][0, 0])
    np.testing.assert_array_equal(ours["video_head.weight"], images["decoder_pred.weight"])
    np.testing.assert_array_equal(ours["norm.weight"], images["decoder_norm.weight"])


PUBLISHED = [(768, 512, 16, 12), (1024, 512, 16, 16), (1280, 512, 14, 16)]


@pytest.mark.parametrize(("width", "decoder_width", "patch", "heads"), PUBLISHED)
def test_the_heads_of_published_sizes_are_known(width, decoder_width, patch, heads, tmp_path):
    sizes = {"width": width, "decoder_width": decoder_width, "patch": (patch, patch), "layers": 1}
    arrays = {name: np.broadcast_to(np.float32(0.5), shape) for name, shape in list_mae(**sizes).items()}
    path = save_arrays(arrays, tmp_path / "mae.safetensors")
    config = from_mae(path).config
    assert (config.num_attention_heads, config.decoder_num_attention_heads) == (heads, 16)
    assert from_mae(path, num_attention_heads=8).config.num_attention_heads == 8


OTHER_SIZES = {"num_attention_heads": (640, 512), "decoder_num_attention_heads": (768, 256)}


@pytest.mark.parametrize(("name", "widths"), OTHER_SIZES.items(), ids=OTHER_SIZES)
def test_the_heads_of_other_sizes_must_be_told(name, widths, tmp_path):
    """Also where heads as wide as in the published sizes would fit."""
    sizes = dict(zip(("width", "decoder_width"), widths, strict=True))
    path = write(draw_tensors(list_mae(**sizes, layers=1)), tmp_path)
    with pytest.raises(ValueError, match=rf"model.ckpt: {name} cannot be guessed .*--heads"):
        from_mae(path)
    assert getattr(from_mae(path, **{name: 4}).config, name) == 4


def list_inputs(image: np.ndarray) -> dict[str, torch.Tensor]:
    """Return what the ViTMAE of transformers takes, with a noise that keeps the patches in order."""
    normalised = (image - IMAGENET_MEAN[:, None, None]) / IMAGENET_DEVIATION[:, None, None]
    noise = torch.arange(9.0).expand(len(image), 9)
    return {"pixel_values": torch.tensor(normalised, dtype=torch.float32), "noise": noise}


@pytest.mark.parametrize("has_decoder", [True, False], ids=["ViTMAEForPreTraining", "ViTMAEModel"])
def test_a_folder_of_transformers_gives_the_tokens_of_its_vit(has_decoder, tmp_path):
    """Heads and the eps of its norms come from `config.json`; embeddings that are drawn are set to 0."""
    theirs = make_vit_mae(tmp_path / "vit", has_decoder, layer_norm_eps=1e-3, mask_ratio=0.0)
    found = read_any(tmp_path / "vit")
    assert (guess_format(tmp_path / "vit"), found.format) == ("mae", "mae")
    assert_trees_close(from_mae(tmp_path / "vit"), found.params, rtol=0, atol=0)
    zero = ("encoder.video_positions.time", "encoder.video_positions.modality")
    ours = unflatten(found.params, flatten(found.params) | {n: flatten(found.params)[n] * 0 for n in zero})
    image = np.random.default_rng(3).random((2, 3, 6, 6), np.float32)
    with torch.no_grad():
        expected = (theirs.vit if has_decoder else theirs)(**list_inputs(image)).last_hidden_state
    tokens = forward(ours, 2 * image[:, None] - 1, None).sequence
    np.testing.assert_allclose(tokens, expected, rtol=1e-4, atol=1e-4)
    assert ours.config.num_attention_heads == 3 and ours.config.layer_norm_eps == 1e-3
    if has_decoder:
        tensors, decoder = theirs.decoder.state_dict(), flatten(ours.decoder)
        np.testing.assert_array_equal(decoder["video_mask_token"], tensors["mask_token"][0, 0])
        np.testing.assert_array_equal(decoder["video_positions.space"], tensors["decoder_pos_embed"][0, 1:])
        np.testing.assert_array_equal(decoder["video_head.weight"], tensors["decoder_pred.weight"])
        block = "decoder_layers.0.attention.attention"
        qkv = [tensors[f"{block}.{each}.bias"] for each in ("query", "key", "value")]
        np.testing.assert_array_equal(decoder["blocks.0.attention.qkv.bias"], torch.cat(qkv))
        assert ours.config.decoder_num_attention_heads == 2


def test_another_vit_or_activation_is_refused(tmp_path):
    make_vit_mae(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    for changes, message in (
        ({"model_type": "vit"}, 'expected the model_type "tvlt", got .vit.'),
        ({"hidden_act": "relu"}, "hidden_act must be gelu, not 'relu'"),
        ({"num_attention_heads": 5}, "12 is not a multiple of num_attention_heads 5"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(settings | changes))
        with annotations_unchecked(), pytest.raises(ValueError, match=message):
            load_any(tmp_path)


def test_the_rest_is_drawn_as_in_the_papers_code(tmp_path):
    """Xavier for the audio projection, zeros for time tables of audio, deviation 0.02 for the rest."""
    path = write(draw_tensors(list_mae(width=128, decoder_width=96)), tmp_path)
    params, drawn = read_mae(path, seed=3, **HEADS)
    ours, other = flatten(params), flatten(from_mae(path, seed=4, **HEADS))
    assert_trees_close(params, from_mae(path, seed=np.random.default_rng(3), **HEADS), rtol=0, atol=0)
    assert {name.partition(".")[0] for name in drawn} == {"encoder", "decoder", "matching"} and len(
        drawn
    ) == 19
    limit, inputs = (6 / (128 + 256)) ** 0.5, 256
    weight, bias = (ours.pop(f"encoder.audio_patches.{each}") for each in ("weight", "bias"))
    assert limit * 0.999 < np.abs(weight).max() <= limit
    np.testing.assert_allclose(weight.std(), limit / 3**0.5, rtol=0.02)
    assert 0.9 < np.abs(bias).max() * inputs**0.5 <= 1
    for name, array in ours.items():
        if name.endswith(("audio_positions.time", "bias")) and name in drawn:
            assert not array.any(), name
        elif name in drawn:
            np.testing.assert_allclose(array.std(), 0.02, rtol=0.3, err_msg=name)
        assert np.array_equal(array, other[name]) == (name not in drawn or not array.any()), name


def test_an_encoder_alone_gets_a_new_decoder_and_a_model_without_mae_none(images, tmp_path):
    alone = write(draw_tensors(list_mae(has_decoder=False)), tmp_path)
    ours, drawn = read_mae(alone, num_attention_heads=2)
    assert ours.config.decoder_hidden_size == Config().decoder_hidden_size
    assert {name for name in flatten(ours) if name.startswith("decoder.")} <= set(drawn)
    with pytest.warns(UserWarning, match="holds more than is read: decoder_blocks"):
        ours = from_mae(write(images, tmp_path), **CONFIG.replace(task_mae=False).to_dict())
    assert ours.decoder is None


def test_the_configuration_is_the_papers_with_the_sizes_of_the_mae(images, tmp_path):
    paper, base = Config.paper().to_dict(), Config().to_dict()
    shared = {name: value for name, value in CONFIG.to_dict().items() if "audio" not in name}
    del shared["spectrogram_length"], shared["frequency_length"]
    recipe = {name: value for name, value in paper.items() if value != base[name]}
    assert from_mae(write(images, tmp_path), num_frames=5, **HEADS).config == Config(**shared | recipe)
    assert from_mae(write(images, tmp_path), **CONFIG.to_dict()).config == CONFIG


def test_a_configuration_or_images_that_contradict_the_mae_are_refused(images, tmp_path):
    path = write(images, tmp_path)
    with pytest.raises(ValueError, match=r"pos_embed has the shape \(1, 10, 10\), .* \(1, 17, 10\)"):
        from_mae(path, **CONFIG.replace(image_size=8).to_dict())
    with pytest.raises(ValueError, match=r"model.ckpt: num_image_channels=1 contradicts its arrays"):
        from_mae(path, **CONFIG.replace(num_image_channels=1).to_dict())
    with pytest.raises(ValueError, match=r"patch_embed\.proj\.weight has the shape \(10, 4, 2, 2\)"):
        from_mae(write(images | {"patch_embed.proj.weight": torch.ones(10, 4, 2, 2)}, tmp_path), **HEADS)
