"""From raw clips to logits as each lineage does it: 3.2 s beside 1.4 s of 48 kHz, 5 frames beside 2.

Transformers runs itself. The released code is written a second time, in librosa, PyAV, plain NumPy and torch,
with the names of its checkpoints; it guesses from the values what is padding.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

from minitvlt.checkpoints.released import from_original
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.tasks import classify
from minitvlt.model.tvlt import forward
from minitvlt.signals.media import Clip, read_clip
from minitvlt.signals.prepare import prepare
from tests.helpers.media import needs_av, write_media
from tests.helpers.peers import make_pair, transformers
from tests.helpers.processing import (
    find_real_patches,
    make_film,
    make_frames_of_model,
    make_picture,
    make_sound,
    pad_pictures,
    resample_by_sinc,
)
from tests.helpers.released import draw_tensors, list_released, run_head, run_released

ROUNDING = 1e-3  # of each pixel to a whole grey level, by Pillow: so far it moves the logits


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
    made = prepare(clips, ours.config)
    assert not made.video_mask.all() and not made.audio_mask.all()
    found = classify(ours, made.video, made.audio, made.video_mask, made.audio_mask)
    np.testing.assert_allclose(found, expected, atol=ROUNDING)
    assert np.ptp(expected) > 0.3


# ---- the released code

HEADS = 3
RELEASED_SIZES = {"width": 24, "layers": 2, "mlp": 96, "labels": 3, "patch": (16, 16), "grid": (2, 2)}
RELEASED_SIZES |= {"frames": 64, "audio_patch": (16, 16), "steps": 1020, "bins": 8}


def decode_plainly(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """All frames (T, H, W, 3), all samples (channels, n) in [-1, 1], and their rate."""
    import av

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        blocks = list(container.decode(audio=0))
    channels = blocks[0].layout.nb_channels
    samples = np.concatenate([block.to_ndarray().reshape(-1, channels) for block in blocks])
    return np.stack(frames), samples.T / 32768, blocks[0].sample_rate


def process_as_released(
    frames: np.ndarray, samples: np.ndarray, rate: int, config: Config, is_file: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Of frames and samples (channels, n); FFmpeg makes two channels of a file's one, each 3 dB lower."""
    sound = samples.mean(axis=0) * (0.5**0.5 if is_file and len(samples) == 1 else 1)
    sound = sound if rate == 44100 else resample_by_sinc(sound, rate)
    picture = make_picture(sound, config)[:1024]
    return make_frames_of_model(frames, config)[None], pad_pictures([picture], config)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> tuple[dict[str, torch.Tensor], Params]:
    """Its tensors, and our model from the file of a training program: in a wrapper, with a prefix."""
    tensors = draw_tensors(list_released(("classifier",), **RELEASED_SIZES), seed=1)
    tensors["classifier.2.weight"] += 1  # of a LayerNorm
    path = tmp_path_factory.mktemp("released") / "TVLT.ckpt"
    torch.save({"state_dict": {f"transformer.{name}": values for name, values in tensors.items()}}, path)
    return tensors, from_original(path, num_attention_heads=HEADS)


def run_as_released(
    tensors: Any, video: np.ndarray, audio: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Cls, logits and masks by its model; cls counts as real if the first patch of the audio does."""
    masks = find_real_patches(video, (16, 16)), find_real_patches(audio, (16, 16))
    mask = torch.from_numpy(np.concatenate([masks[1][:, :1], masks[1], masks[0]], axis=1))
    x = run_released(tensors, torch.from_numpy(video).float(), torch.from_numpy(audio).float(), HEADS, mask)
    return x[:, 0].numpy(), run_head(tensors, "classifier", x).numpy(), masks


def make_raw(T: int, seconds: float, channels: int, rate: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A film in black borders, and sound (channels, n) with a direct current and silence inside."""
    frames = np.pad(make_film(T, 49, 61, seed), ((0, 0), (4, 0), (0, 11), (0, 0)))
    samples = np.stack([make_sound(round(seconds * rate), rate, seed + i) for i in range(channels)])
    samples = 0.2 * samples + np.float32(0.001)
    samples[:, samples.shape[1] // 4 : 3 * samples.shape[1] // 4] = 0
    return frames, samples


ARRAYS = {  # frames, frames a second, channels, sample rate
    "44.1 kHz, fewer frames than 8": (5, 5.0, 1, 44100),
    "48 kHz, two channels, 24 frames a second": (31, 24.0, 2, 48000),
    "16 kHz, a silent beginning and a black frame": (30, 25.0, 1, 16000),
}
FILES = {"mono": (1, 48000), "stereo": (2, 44100)}


def compare_with_released(released: Any, clip: Clip, video: np.ndarray, audio: np.ndarray) -> None:
    """Frames, spectrogram and masks are equal, cls and logits too, which would not be so without masks."""
    tensors, ours = released
    cls, logits, masks = run_as_released(tensors, video, audio)
    made = prepare(clip, ours.config)
    np.testing.assert_allclose(made.video, video, atol=1e-6)
    np.testing.assert_allclose(made.audio, audio, atol=2e-4)
    for found, expected in zip((made.video_mask, made.audio_mask), masks, strict=True):
        np.testing.assert_array_equal(expected if found is None else found, expected)
        assert found is not None or expected.all()
    arguments = made.video, made.audio, made.video_mask, made.audio_mask
    np.testing.assert_allclose(forward(ours, *arguments).cls, cls, atol=1e-4)
    np.testing.assert_allclose(classify(ours, *arguments), logits, atol=1e-4)
    assert np.abs(classify(ours, made.video, made.audio) - logits).max() > 2e-3


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_processed_as_the_released_code_does(released: Any, name: str):
    T, frame_rate, channels, rate = ARRAYS[name]
    frames, samples = make_raw(T, T / frame_rate, channels, rate, seed=T)
    if "silent beginning" in name:
        samples[:, : samples.shape[1] // 4], frames[int(3 * T / 8)] = 0, 0
    clip = Clip(frames, frame_rate, samples.mean(axis=0), rate)
    compare_with_released(released, clip, *process_as_released(frames, samples, rate, released[1].config))


@needs_av
@pytest.mark.parametrize("name", FILES)
def test_files_are_processed_as_the_released_code_does(released: Any, name: str, tmp_path: Path):
    channels, rate = FILES[name]
    frames, samples = make_raw(30, 1.2, channels, rate, seed=channels)
    frames = np.pad(frames, ((0, 0), (0, 1), (0, 0), (0, 0)))  # H.264 wants even sizes
    path = tmp_path / "film.mov"
    write_media(path, frames, sound=samples, rate=rate, layout=name, codecs=("libx264", "pcm_s16le"))
    raw = decode_plainly(path)
    compare_with_released(
        released, read_clip(path), *process_as_released(*raw, released[1].config, is_file=True)
    )
