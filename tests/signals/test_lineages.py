"""Two lineages, one model: what the released code and transformers do differently to sound and frames.

Both are said a second time, by librosa and Pillow, with every difference a parameter. One test for each field
of the configuration; then from raw clips to logits through each lineage's own processing.
"""

import dataclasses
import tempfile
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
from PIL import Image

from minitvlt.config import ORIGINAL, Config
from minitvlt.learning.huggingface import from_huggingface
from minitvlt.model.parameters import Params
from minitvlt.model.tasks import classify
from minitvlt.signals.clips import Clip
from minitvlt.signals.prepare import prepare, prepare_audio, prepare_video
from tests.helpers.models import draw_params, draw_values

transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")
port = pytest.importorskip("transformers.models.tvlt.modeling_tvlt", reason="this transformers holds no TVLT")

SIZES = {
    "image_size": 32,
    "spectrogram_length": 320,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 37,
    "num_labels": 3,
    "initializer_range": 0.1,
}
CONFIGS = {"transformers": Config.huggingface(**SIZES), "released code": Config.original(**SIZES)}
on_both_lineages = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


# ---- the oracles


def make_picture(waveform: np.ndarray, config: Config) -> np.ndarray:
    """The log-mel picture (S, 128) of a waveform at 44.1 kHz, by librosa in double precision."""
    sound = waveform.astype(np.float64)
    if config.remove_waveform_mean:
        sound = sound - sound.mean()
    power = librosa.feature.melspectrogram(
        y=sound, sr=44100, n_fft=2048, hop_length=512, n_mels=128, pad_mode=config.stft_padding
    )
    picture = np.clip((librosa.power_to_db(power).T - 20) / 40, -2, 0) + 1
    return picture[:-1] if config.drop_last_step else picture


def pad_pictures(pictures: list[np.ndarray], value: float) -> np.ndarray:
    """A batch (B, 1, S, 128), S a multiple of 16."""
    S = max(-(-len(picture) // 16) * 16 for picture in pictures)
    padded = [np.pad(p, ((0, S - len(p)), (0, 0)), constant_values=value) for p in pictures]
    return np.stack(padded)[:, None]


def cut_borders(frames: np.ndarray) -> np.ndarray:
    """Take rows and columns off as long as all in them is black, in every frame."""
    while frames.shape[1] > 1 and frames[:, 0].max() <= 30:
        frames = frames[:, 1:]
    while frames.shape[1] > 1 and frames[:, -1].max() <= 30:
        frames = frames[:, :-1]
    while frames.shape[2] > 1 and frames[:, :, 0].max() <= 30:
        frames = frames[:, :, 1:]
    while frames.shape[2] > 1 and frames[:, :, -1].max() <= 30:
        frames = frames[:, :, :-1]
    return frames


def make_frames_of_model(frames: np.ndarray, config: Config) -> np.ndarray:
    """Frames (T, 3, 32, 32) in [-1, 1], by Pillow."""
    kind = getattr(Image.Resampling, config.frame_interpolation.upper())
    made = []
    for frame in cut_borders(frames) if config.frame_crop == "before-resizing" else frames:
        H, W = frame.shape[:2]
        if config.frame_crop == "before-resizing":
            side = min(H, W)
            top, left = -(-(H - side) // 2), -(-(W - side) // 2)
            square = Image.fromarray(frame[top : top + side, left : left + side])
            pixels = np.asarray(square.resize((32, 32), kind))
        else:
            h, w = 32 * H // min(H, W), 32 * W // min(H, W)
            whole = np.asarray(Image.fromarray(frame).resize((w, h), kind))
            pixels = whole[(h - 32) // 2 :, (w - 32) // 2 :][:32, :32]
        made.append(pixels.transpose(2, 0, 1))
    return np.stack(made) / 127.5 - 1


# ---- each difference


def make_sound(samples: int, seed: int = 0) -> np.ndarray:
    """A rising tone in noise, loud at both ends."""
    t = np.arange(samples) / 44100
    noise = 0.02 * np.random.default_rng(seed).standard_normal(samples)
    return (0.4 * scipy.signal.chirp(t, 200, 1.0, 5000) + noise).astype(np.float32)


SOUNDS = {
    "remove_waveform_mean": [make_sound(9000) + np.float32(0.2)],  # with a direct current
    "stft_padding": [make_sound(7000)],
    "drop_last_step": [make_sound(16 * 512 + 100)],  # one step more takes a patch of its own
    "audio_padding_value": [make_sound(9000), make_sound(30000)],
}


@on_both_lineages
@pytest.mark.parametrize("field", SOUNDS)
def test_each_difference_in_the_sound_is_switched_by_its_field(field, config):
    sounds, made = SOUNDS[field], []
    for value in (getattr(CONFIGS["transformers"], field), getattr(CONFIGS["released code"], field)):
        switched = config.replace(**{field: value})
        audio, mask = prepare_audio(sounds, 44100, switched)
        pictures = [make_picture(sound, switched) for sound in sounds]
        np.testing.assert_allclose(
            audio, pad_pictures(pictures, switched.audio_padding_value), atol=1e-4, err_msg=str(value)
        )
        np.testing.assert_array_equal(mask.sum(axis=1), [8 * -(-len(picture) // 16) for picture in pictures])
        made.append(audio)
    assert made[0].shape != made[1].shape or np.abs(made[0] - made[1]).max() > 0.1


def make_film(T: int, H: int, W: int, seed: int = 0) -> np.ndarray:
    """Waves and coarse noise (T, H, W, 3), of which no row or column is black throughout."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    waves = 120 + 60 * np.sin(x / 3) + 60 * np.cos(y / 4)
    noise = rng.integers(0, 256, (T, -(-H // 3), -(-W // 3), 2)).repeat(3, axis=1).repeat(3, axis=2)
    frames = np.concatenate([np.broadcast_to(waves[..., None], (T, H, W, 1)), noise[:, :H, :W]], axis=-1)
    return frames.astype(np.uint8)


FILMS = {
    "frame_crop": np.pad(make_film(3, 45, 61), ((0, 0), (7, 0), (0, 9), (0, 0))),  # in a black frame
    "frame_interpolation": 255 * (make_film(3, 45, 61) > 120).astype(np.uint8),  # hard edges
}


@on_both_lineages
@pytest.mark.parametrize("field", FILMS)
def test_each_difference_in_the_frames_is_switched_by_its_field(field, config):
    made = []
    for value in (getattr(CONFIGS["transformers"], field), getattr(CONFIGS["released code"], field)):
        switched = config.replace(**{field: value})
        video, _ = prepare_video([FILMS[field]], switched)
        expected = make_frames_of_model(FILMS[field], switched)
        levels = np.rint((video[0] + 1) * 127.5)
        np.testing.assert_allclose(levels, (expected + 1) * 127.5, atol=1 + 1e-6, err_msg=str(value))
        made.append(video)
    assert np.abs(made[0] - made[1]).max() > 0.2


def test_every_difference_of_processing_has_a_test_here():
    processing = {name for name in ORIGINAL if name.startswith(("frame_", "stft_", "drop_", "remove_"))}
    assert processing | {"audio_padding_value"} == {*SOUNDS, *FILMS}


# ---- from raw clips to logits


def make_clips() -> list[Clip]:
    """3.21 s of two channels at 48 kHz and 5 frames, then 1.4 s and 2 frames; all of odd sizes."""
    clips = []
    for seed, (seconds, T, (H, W)) in enumerate([(3.21, 5, (45, 61)), (1.4, 2, (57, 39))]):
        samples = round(seconds * 48000)
        stereo = np.stack([make_sound(samples, seed), make_sound(samples, seed + 7)])
        clips.append(Clip(make_film(T, H, W, seed), T / seconds, stereo.mean(axis=0), 48000))
    return clips


def resample_to_model(clip: Clip) -> np.ndarray:
    return scipy.signal.resample_poly(clip.waveform, 147, 160)


def make_encoder(rng: np.random.Generator, kind: str) -> tuple[Any, Params]:
    """A model of transformers with random parameters, and ours from the folder that it saves."""
    theirs = getattr(port, kind)(transformers.TvltConfig(**SIZES)).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.from_numpy(draw_values(name, tuple(parameter.shape), rng)))
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return theirs.double(), from_huggingface(folder)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))


def test_from_raw_clips_to_logits_as_transformers_does():
    """Their processors cannot put videos of different length together: that is done here, by their masks."""
    clips = make_clips()
    theirs, ours = make_encoder(np.random.default_rng(0), "TvltForAudioVisualClassification")
    square = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    frames = transformers.TvltImageProcessor(**square)([list(clip.frames) for clip in clips])
    extractor = transformers.TvltFeatureExtractor(spectrogram_length=320)
    sound = extractor([resample_to_model(clip) for clip in clips], sampling_rate=44100, return_tensors="np")
    video = np.zeros((2, 5, 3, 32, 32))
    for row, clip in zip(video, frames["pixel_values"], strict=True):
        row[: len(clip)] = np.stack(clip)
    arguments = video, sound["audio_values"], np.array(frames["pixel_mask"]), sound["audio_mask"]
    with torch.no_grad():
        expected = theirs(*map(tensor, arguments)).logits.numpy()

    made = prepare(clips, Config.huggingface(**SIZES))
    logits = classify(ours, made.video, made.audio, made.video_mask, made.audio_mask)
    assert made.video.shape == video.shape
    assert made.audio.shape == (2, 1, 288, 128)
    assert expected.std() > 0.1
    np.testing.assert_allclose(logits, expected, atol=5e-3)  # half a grey level for each pixel


def find_real_patches(clip: np.ndarray, p: int, q: int) -> np.ndarray:
    """The released rule: a patch is padding if all of its values are -1; (B, tokens)."""
    B, (H, W) = len(clip), clip.shape[-2:]
    cut = clip.reshape(B, -1, clip.shape[-3], H // p, p, W // q, q)
    return (cut != -1).any(axis=(2, 4, 6)).reshape(B, -1)


def test_from_raw_clips_to_logits_as_the_released_code_does():
    """Its processing and classifier written out, around the encoder of transformers, which is the same."""
    clips, rng = make_clips(), np.random.default_rng(1)
    config = Config.original(**SIZES)
    theirs, bare = make_encoder(rng, "TvltModel")
    head = draw_params(config, rng, "classifier").classifier
    ours = dataclasses.replace(bare, config=config, classifier=head)
    video = np.full((2, 8, 3, 32, 32), -1.0)
    for row, clip in zip(video, clips, strict=True):
        row[: len(clip.frames)] = make_frames_of_model(clip.frames, config)
    audio = pad_pictures([make_picture(resample_to_model(clip), config) for clip in clips], -1.0)
    masks = find_real_patches(video, 16, 16), find_real_patches(audio, 16, 16)
    with torch.no_grad():
        cls = theirs(*map(tensor, (video, audio, *masks))).last_hidden_state[:, 0]
        expected = classify_by_torch(head, cls).numpy()

    made = prepare(clips, config)
    logits = classify(ours, made.video, made.audio, made.video_mask, made.audio_mask)
    np.testing.assert_array_equal(made.video_mask, masks[0][:, : made.video_mask.shape[1]])
    np.testing.assert_array_equal(made.audio_mask, masks[1])
    assert not masks[0][:, made.video_mask.shape[1] :].any()
    assert expected.std() > 0.1
    np.testing.assert_allclose(logits, expected, atol=5e-3)


def classify_by_torch(head: Any, cls: torch.Tensor) -> torch.Tensor:
    def linear(x: torch.Tensor, layer: Any) -> torch.Tensor:
        return torch.nn.functional.linear(x, tensor(layer.weight), tensor(layer.bias))

    x = linear(torch.tanh(linear(cls, head.pooler)), head.expand)
    x = torch.nn.functional.layer_norm(
        x, x.shape[-1:], tensor(head.norm.weight), tensor(head.norm.bias), 1e-5
    )
    return linear(torch.nn.functional.gelu(x), head.output)
