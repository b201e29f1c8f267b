"""From raw clips to logits as each lineage does it: 3.2 s beside 1.4 s of 48 kHz, 5 frames beside 2.

Transformers runs itself. The released code is said a second time, in librosa, Pillow and plain torch, with
the names of its checkpoints and its habit to guess from the values what is padding.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from torch.nn import functional

from minitvlt.checkpoints.released import from_original
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.tasks import classify
from minitvlt.signals.media import Clip
from minitvlt.signals.prepare import Examples, prepare
from tests.helpers.models import draw_values
from tests.helpers.peers import make_pair, transformers
from tests.helpers.processing import (
    find_real_patches,
    make_film,
    make_frames_of_model,
    make_picture,
    make_sound,
    pad_pictures,
)

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

D, HEADS, LAYERS, LABELS = 24, 3, 2, 3
SHAPES: dict[str, tuple[int, ...]] = {
    "cls_token": (1, 1, D),
    "patch_embed_v.proj.weight": (D, 3, 16, 16),
    "patch_embed_v.proj.bias": (D,),
    "type_embed_v": (1, 1, D),
    "pos_embed_v": (1, 4, D),  # 2 × 2 patches in a frame
    "temporal_embed": (1, 64, D),
    "patch_embed_a.proj.weight": (D, 1, 16, 16),
    "patch_embed_a.proj.bias": (D,),
    "type_embed_a": (1, 1, D),
    "pos_embed_a": (1, 1020, D),
    "freq_embed": (1, 8, D),
    "norm.weight": (D,),
    "norm.bias": (D,),
    "classifier.0.dense.weight": (D, D),
    "classifier.0.dense.bias": (D,),
    "classifier.1.weight": (2 * D, D),
    "classifier.1.bias": (2 * D,),
    "classifier.2.weight": (2 * D,),
    "classifier.2.bias": (2 * D,),
    "classifier.4.weight": (LABELS, 2 * D),
    "classifier.4.bias": (LABELS,),
}
BLOCK: dict[str, tuple[int, ...]] = {
    "norm1.weight": (D,),
    "norm1.bias": (D,),
    "attn.qkv.weight": (3 * D, D),
    "attn.qkv.bias": (3 * D,),
    "attn.proj.weight": (D, D),
    "attn.proj.bias": (D,),
    "norm2.weight": (D,),
    "norm2.bias": (D,),
    "mlp.fc1.weight": (4 * D, D),
    "mlp.fc1.bias": (4 * D,),
    "mlp.fc2.weight": (D, 4 * D),
    "mlp.fc2.bias": (D,),
}
SHAPES |= {f"blocks.{i}.{name}": shape for i in range(LAYERS) for name, shape in BLOCK.items()}


class Released:
    """Its pass from clips to the answers of the classifier, by the names of its checkpoint."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        norms = {"classifier.2.weight": "classifier.norm.weight"}  # so that it is drawn around 1
        draws = {name: draw_values(norms.get(name, name), shape, rng) for name, shape in SHAPES.items()}
        self.state = {name: tensor(values.astype(np.float32)) for name, values in draws.items()}

    def save(self, path: Path) -> Path:
        """Write what a training program writes: everything in a wrapper, behind a prefix."""
        state = {f"transformer.{name}": values.float() for name, values in self.state.items()}
        torch.save({"state_dict": state}, path)
        return path

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def norm(self, x: torch.Tensor, name: str, eps: float) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)

    def cut(self, pictures: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.state[f"{name}.proj.weight"], self.state[f"{name}.proj.bias"]
        return functional.conv2d(pictures, weight, bias, stride=16).flatten(2).transpose(1, 2)

    def embed(self, video: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state, (B, T) = self.state, video.shape[:2]
        v = self.cut(video.flatten(0, 1), "patch_embed_v").reshape(B, T * 4, D) + state["type_embed_v"]
        v = v + state["pos_embed_v"].repeat(1, T, 1) + state["temporal_embed"][:, :T].repeat_interleave(4, 1)
        s = audio.shape[2] // 16
        a = self.cut(audio, "patch_embed_a") + state["type_embed_a"]
        a = a + state["freq_embed"].repeat(1, s, 1) + state["pos_embed_a"][:, :s].repeat_interleave(8, 1)
        return v, a

    def attend(self, x: torch.Tensor, i: int, mask: torch.Tensor) -> torch.Tensor:
        B, N, _ = x.shape
        qkv = self.linear(x, f"blocks.{i}.attn.qkv").reshape(B, N, 3, HEADS, D // HEADS)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) * (D // HEADS) ** -0.5
        scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        return self.linear(
            (scores.softmax(-1) @ value).transpose(1, 2).reshape(B, N, D), f"blocks.{i}.attn.proj"
        )

    def classify(self, video: np.ndarray, audio: np.ndarray, *masks: np.ndarray) -> np.ndarray:
        """Tokens stand as cls, sound, video; cls counts as real if the first patch of the sound does."""
        of_video, of_audio = (torch.from_numpy(mask) for mask in masks)
        v, a = self.embed(tensor(video), tensor(audio))
        x = torch.cat([self.state["cls_token"].repeat(len(v), 1, 1), a, v], dim=1)
        mask = torch.cat([of_audio[:, :1], of_audio, of_video], dim=1)
        for i in range(LAYERS):
            x = x + self.attend(self.norm(x, f"blocks.{i}.norm1", 1e-6), i, mask)
            wide = self.linear(self.norm(x, f"blocks.{i}.norm2", 1e-6), f"blocks.{i}.mlp.fc1")
            x = x + self.linear(functional.gelu(wide), f"blocks.{i}.mlp.fc2")
        cls = self.norm(x, "norm", 1e-6)[:, 0]
        x = self.linear(torch.tanh(self.linear(cls, "classifier.0.dense")), "classifier.1")
        x = functional.gelu(self.norm(x, "classifier.2", 1e-5))
        return self.linear(x, "classifier.4").numpy()


def process_as_released(clips: list[Clip], config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Every video is filled up to 8 frames with black, every sound to the longest with silence."""
    video = np.full((len(clips), 8, 3, 32, 32), -1.0)
    for row, clip in zip(video, clips, strict=True):
        row[: len(clip.frames)] = make_frames_of_model(clip.frames, config)
    return video, pad_pictures([make_picture(resample_to_model(clip), config) for clip in clips], config)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> tuple[Released, Params]:
    theirs = Released(seed=1)
    path = theirs.save(tmp_path_factory.mktemp("released") / "TVLT.ckpt")
    return theirs, from_original(path, num_attention_heads=HEADS)


def test_from_raw_clips_to_logits_as_the_released_code_does(released: Any):
    theirs, ours = released
    clips = make_clips()
    video, audio = process_as_released(clips, ours.config)
    guessed = find_real_patches(video, (16, 16)), find_real_patches(audio, (16, 16))
    made = prepare(clips, ours.config)
    np.testing.assert_array_equal(guessed[0][:, : made.video_mask.shape[1]], made.video_mask)
    np.testing.assert_array_equal(guessed[1], made.audio_mask)
    assert_lineage(ours, clips, theirs.classify(video, audio, *guessed))


def test_where_the_released_code_guesses_wrongly_its_masks_can_be_handed_in(released: Any):
    """A black frame and a silent second count as padding there, and as pictures and sound here."""
    theirs, ours = released
    film, other = make_clips()
    film.frames[2] = 0
    film.waveform[48000:96000] = 0.05  # nothing but the direct current
    film.waveform[:] *= 0.1  # where the loudest spot is louder, silence is 80 dB below it and not yet -1
    clips = [film, other]
    video, audio = process_as_released(clips, ours.config)
    guessed = find_real_patches(video, (16, 16)), find_real_patches(audio, (16, 16))
    expected = theirs.classify(video, audio, *guessed)
    made = prepare(clips, ours.config)
    of_video = guessed[0][:, : made.video_mask.shape[1]]
    assert (made.video_mask & ~of_video).any() and (made.audio_mask & ~guessed[1]).any()
    assert not (~made.video_mask & of_video).any() and not (~made.audio_mask & guessed[1]).any()
    logits = classify(ours, made.video, made.audio, of_video, guessed[1])
    np.testing.assert_allclose(logits, expected, atol=ROUNDING)
    assert np.abs(classify_examples(ours, made)[0] - expected[0]).max() > 10 * ROUNDING
