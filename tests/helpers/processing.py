"""What both lineages do to sound and frames, said a second time: by librosa, Pillow, torch and plain loops.

The differences between them that are fields of the configuration are switched by the same fields here.
"""

import librosa
import numpy as np
import scipy.signal
import torch
from PIL import Image

from minitvlt.config import Config


def make_picture(waveform: np.ndarray, config: Config) -> np.ndarray:
    """The log-mel picture (S, F) of a waveform at the model's rate, by librosa in double precision."""
    sound = waveform.astype(np.float64)
    if config.remove_waveform_mean:
        sound = sound - sound.mean()
    power = librosa.feature.melspectrogram(
        y=sound,
        sr=config.sample_rate,
        n_fft=config.window_length,
        hop_length=config.hop_length,
        n_mels=config.frequency_length,
        pad_mode=config.stft_padding,
    )
    picture = np.clip((librosa.power_to_db(power).T - 20) / 40, -2, 0) + 1
    return (picture[:-1] if config.drop_last_step else picture)[: config.spectrogram_length]


def pad_pictures(pictures: list[np.ndarray], config: Config) -> np.ndarray:
    """A batch (B, 1, S, F) of a whole number of patches along time."""
    p = config.audio_patch_size[0]
    S = max(-(-len(picture) // p) * p for picture in pictures)
    value = config.audio_padding_value
    padded = [np.pad(p, ((0, S - len(p)), (0, 0)), constant_values=value) for p in pictures]
    return np.stack(padded)[:, None]


def resample_by_sinc(waveform: np.ndarray, rate: int, to_rate: int = 44100) -> np.ndarray:
    """Sample by sample: the sum of the samples around it, weighed by a sinc in a Hann window of six zeros."""
    zeros = 0.99 * min(rate, to_rate)  # of the sinc, in a second
    made = np.zeros(-(-len(waveform) * to_rate // rate))
    for j in range(len(made)):
        reach, centre = 6 / zeros * rate, j * rate / to_rate
        n = np.arange(max(0, int(np.ceil(centre - reach))), min(len(waveform), int(centre + reach) + 1))
        t = (n - centre) / rate * zeros
        made[j] = (waveform[n] * np.sinc(t) * np.cos(np.pi * t / 12) ** 2).sum() * zeros / rate
    return made


def resample_plainly(waveform: np.ndarray, rate: int, config: Config) -> np.ndarray:
    """At the model's 44.1 kHz, by the filter of the configuration."""
    if config.resampling_window == "hann":
        return resample_by_sinc(waveform, rate) if rate != 44100 else waveform
    return scipy.signal.resample_poly(waveform.astype(np.float64), 44100, rate)


def choose_by_number(frames: np.ndarray, config: Config) -> np.ndarray:
    """Choose from frames that follow each other evenly."""
    n, T = len(frames), config.num_frames
    if config.frame_choice == "first":
        return frames[np.floor(np.linspace(0, n, T, endpoint=False)).astype(int)]
    return frames if n <= T else frames[[int((k + 0.5) * n / T) for k in range(T)]]


def cut_borders(frames: np.ndarray, config: Config) -> np.ndarray:
    """Take rows and columns off as long as all in them is black, unless all is black."""
    level = frames.min(axis=(0, 3)) if config.frame_crop == "bright-part" else frames.max(axis=(0, 3))
    if level.max() <= 30:
        return frames
    while level[0].max() <= 30:
        frames, level = frames[:, 1:], level[1:]
    while level[-1].max() <= 30:
        frames, level = frames[:, :-1], level[:-1]
    while level[:, 0].max() <= 30:
        frames, level = frames[:, :, 1:], level[:, 1:]
    while level[:, -1].max() <= 30:
        frames, level = frames[:, :, :-1], level[:, :-1]
    return frames


def resize_frame(frame: np.ndarray, size: tuple[int, int], config: Config) -> np.ndarray:
    """Resize a frame (H, W, 3) to (height, width), by Pillow or by torch."""
    kind = config.frame_interpolation
    if config.frame_antialias:
        return np.asarray(Image.fromarray(frame).resize(size[::-1], getattr(Image.Resampling, kind.upper())))
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
    made = torch.nn.functional.interpolate(pixels, size, mode=kind, align_corners=False)
    return made.clamp(0, 255).round()[0].permute(1, 2, 0).numpy()


def make_frames_of_model(frames: np.ndarray, config: Config) -> np.ndarray:
    """Square frames (T, 3, side, side) in [-1, 1], of those that are chosen."""
    (side, _), made = config.image_shape, []
    frames = choose_by_number(frames, config)
    for frame in frames if config.frame_crop == "after-resizing" else cut_borders(frames, config):
        H, W = frame.shape[:2]
        short = min(H, W)
        if config.frame_crop == "after-resizing":
            whole = resize_frame(frame, (side * H // short, side * W // short), config)
            top, left = ((length - side) // 2 for length in whole.shape[:2])
            pixels = whole[top : top + side, left : left + side]
        else:
            top, left = -(-(H - short) // 2), -(-(W - short) // 2)
            pixels = resize_frame(frame[top : top + short, left : left + short], (side, side), config)
        made.append(pixels.transpose(2, 0, 1))
    return np.stack(made) / 127.5 - 1


def find_real_patches(clip: np.ndarray, patch: tuple[int, int]) -> np.ndarray:
    """Guess by the rule of the released code: a patch is padding if all of its values are -1; (B, tokens)."""
    B, (H, W), (p, q) = len(clip), clip.shape[-2:], patch
    cut = clip.reshape(B, -1, clip.shape[-3], H // p, p, W // q, q)
    return (cut != -1).any(axis=(2, 4, 6)).reshape(B, -1)


def make_sound(samples: int, rate: int = 44100, seed: int = 0) -> np.ndarray:
    """A rising tone in noise, loud at both ends."""
    t = np.arange(samples) / rate
    noise = 0.02 * np.random.default_rng(seed).standard_normal(samples)
    return (0.4 * scipy.signal.chirp(t, 200, 1.0, 5000) + noise).astype(np.float32)


def make_film(T: int, H: int, W: int, seed: int = 0) -> np.ndarray:
    """Waves and coarse noise (T, H, W, 3), of which no row or column is black throughout."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    waves = 120 + 60 * np.sin(x / 3) + 60 * np.cos(y / 4)
    noise = rng.integers(0, 256, (T, -(-H // 3), -(-W // 3), 2)).repeat(3, axis=1).repeat(3, axis=2)
    frames = np.concatenate([np.broadcast_to(waves[..., None], (T, H, W, 1)), noise[:, :H, :W]], axis=-1)
    return frames.astype(np.uint8)
