"""From raw clips to logits as each lineage does it: 3.2 s beside 1.4 s of 48 kHz, 5 frames beside 2.

Transformers runs itself. The released code is written a second time, in librosa, Pillow and plain torch, with
the names of its checkpoints; it guesses from the values what is padding.
"""

from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

from minitvlt.checkpoints.released import from_original
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.tasks import classify
from minitvlt.signals.media import Clip
from minitvlt.signals.prepare import Examples, prepare
from tests.helpers.peers import make_pair, transformers
from tests.helpers.processing import (
    find_real_patches,
    make_film,
    make_frames_of_model,
    make_picture,
    make_sound,
    pad_pictures,
)
from tests.helpers.released import draw_tensors, list_released, run_head, run_released

ROUNDING = 1e-3  # of each pixel to a whole grey level, by Pillow: so far it moves the logits
PROCESSING = [
    "remove_waveform_mean",
    "stft_padding",
    "drop_last_step",
    "audio_padding_value",
    "frame_crop",
    "frame_interpolation",
]


def make_clips() -> list[Clip]:
    """Two films of odd sizes in black borders; sound with a direct current."""
    clips = []
    for seed, (seconds, T, (H, W)) in enumerate([(3.21, 5, (45, 61)), (1.4, 2, (57, 39))]):
        sound = make_sound(round(seconds * 48000), 48000, seed) + np.float32(0.05)
        frames = np.pad(make_film(T, H, W, seed), ((0, 0), (0, 0), (0, 11), (0, 0)))
        clips.append(Clip(frames, T / seconds, sound, 48000))
    return clips


def resample_to_model(clip: Clip) -> np.ndarray:
    return scipy.signal.resample_poly(clip.waveform, 147, 160)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))


def classify_examples(params: Params, made: Examples) -> np.ndarray:
    return classify(params, made.video, made.audio, made.video_mask, made.audio_mask)


def assert_lineage(params: Params, clips: list[Clip], expected: np.ndarray) -> None:
    """Our logits are these, and would not be if any part of the processing were the other lineage's."""
    assert np.ptp(expected) > 0.3
    made = prepare(clips, params.config)
    assert not made.video_mask.all() and not made.audio_mask.all()
    np.testing.assert_allclose(classify_examples(params, made), expected, atol=ROUNDING)
    other = Config.original() if params.config.drop_last_step else Config.huggingface()
    for field in PROCESSING:
        switched = prepare(clips, params.config.replace(**{field: getattr(other, field)}))
        assert np.abs(classify_examples(params, switched) - expected).max() > 2 * ROUNDING, field


# ---- transformers

SIZES = {
    "image_size": 32,
    "spectrogram_length": 320,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 37,
    "num_labels": 3,
}


def test_from_raw_clips_to_logits_as_transformers_does():
    """Their processors cannot put videos of different length together: that is done here, by their masks."""
    clips = make_clips()
    theirs, ours = make_pair("TvltForAudioVisualClassification", SIZES, seed=0)
    square = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor = transformers.TvltProcessor(
        transformers.TvltImageProcessor(**square), transformers.TvltFeatureExtractor(spectrogram_length=320)
    )
    made = processor(
        [list(clip.frames) for clip in clips],
        [resample_to_model(clip) for clip in clips],
        sampling_rate=44100,
    )
    video = np.zeros((2, 5, 3, 32, 32))
    for row, frames in zip(video, made["pixel_values"], strict=True):
        row[: len(frames)] = np.stack(frames)
    arguments = video, made["audio_values"], made["pixel_mask"], made["audio_mask"]
    with torch.no_grad():
        expected = theirs.double().eval()(*map(tensor, arguments)).logits.numpy()
    assert_lineage(ours, clips, expected)


# ---- the released code

HEADS = 3
RELEASED_SIZES = {"width": 24, "layers": 2, "mlp": 96, "labels": 3, "patch": (16, 16), "grid": (2, 2)}
RELEASED_SIZES |= {"frames": 64, "audio_patch": (16, 16), "steps": 1020, "bins": 8}


def process_as_released(clips: list[Clip], config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Every video is filled up to 8 frames with black, every sound to the longest with silence."""
    video = np.full((len(clips), 8, 3, 32, 32), -1.0)
    for row, clip in zip(video, clips, strict=True):
        row[: len(clip.frames)] = make_frames_of_model(clip.frames, config)
    return video, pad_pictures([make_picture(resample_to_model(clip), config) for clip in clips], config)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> tuple[dict[str, torch.Tensor], Params]:
    """Its tensors, and our model from the file of a training program: in a wrapper, with a prefix."""
    tensors = draw_tensors(list_released(("classifier",), **RELEASED_SIZES), seed=1)
    tensors["classifier.2.weight"] += 1  # of a LayerNorm
    path = tmp_path_factory.mktemp("released") / "TVLT.ckpt"
    torch.save({"state_dict": {f"transformer.{name}": values for name, values in tensors.items()}}, path)
    return tensors, from_original(path, num_attention_heads=HEADS)


def guess_masks(video: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return find_real_patches(video, (16, 16)), find_real_patches(audio, (16, 16))


def classify_as_released(
    tensors: Any, video: np.ndarray, audio: np.ndarray, *masks: np.ndarray
) -> np.ndarray:
    """Run its model; cls counts as real if the first patch of the audio does."""
    mask = torch.from_numpy(np.concatenate([masks[1][:, :1], masks[1], masks[0]], axis=1))
    x = run_released(tensors, torch.from_numpy(video).float(), torch.from_numpy(audio).float(), HEADS, mask)
    return run_head(tensors, "classifier", x).numpy()


def test_from_raw_clips_to_logits_as_the_released_code_does(released: Any):
    tensors, ours = released
    clips = make_clips()
    video, audio = process_as_released(clips, ours.config)
    guessed = guess_masks(video, audio)
    made = prepare(clips, ours.config)
    np.testing.assert_array_equal(guessed[0][:, : made.video_mask.shape[1]], made.video_mask)
    np.testing.assert_array_equal(guessed[1], made.audio_mask)
    assert_lineage(ours, clips, classify_as_released(tensors, video, audio, *guessed))
