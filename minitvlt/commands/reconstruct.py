"""Hide parts of a clip and let a model fill them in: a picture, the sound as WAV and the clip as mp4.

The picture shows frames and spectrogram: the original, what the encoder sees, and the reconstruction.
"""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from minitvlt.config import Config
from minitvlt.learning.batches import make_batch
from minitvlt.learning.checkpoints import load
from minitvlt.plotting import save_figure
from minitvlt.results import complete, draw_reconstruction
from minitvlt.signals.clips import Clip, choose_frames_in_time, read_clip, write_clip
from minitvlt.signals.inversion import reconstruct_waveform
from minitvlt.signals.prepare import prepare_audio, prepare_video
from minitvlt.signals.waveforms import write_wav
from minitvlt.worlds import Examples

EXAMPLE = "example:\n  minitvlt reconstruct film.mp4 --checkpoint run/model.safetensors --out film_reconstructed"
SMALLEST_FILM = 128  # pixels: smaller films are enlarged, each pixel a square, because players blur or refuse them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("clip", type=Path, help="a media file with pictures and sound")
    add("--checkpoint", type=Path, default=Path("run/model.safetensors"), help="default: run/model.safetensors")
    add("--start", type=float, default=0.0, help="where in the file to begin, in seconds (default: 0)")
    add("--seed", type=int, default=0, help="which patches are hidden (default: 0)")
    add("--out", type=Path, default=Path("reconstruction"), help="folder to write (default: reconstruction)")


def run(arguments: argparse.Namespace) -> None:
    """Read, hide, fill in, write."""
    folder = arguments.out
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already, and nothing is overwritten: choose another --out.")
    params = load(arguments.checkpoint)
    config = params.config
    if params.decoder is None:
        raise ValueError(f"{arguments.checkpoint} holds no decoder: it was not trained to fill in patches.")
    clip = read_clip(arguments.clip, arguments.start, arguments.start + config.clip_seconds)
    batch = make_batch(prepare(clip, config), config, np.random.default_rng(arguments.seed))
    completed = complete(params, batch)
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(draw_reconstruction(config, batch, completed), folder / "reconstruction.png")
    picture = np.clip(completed[1][0, 0], -1, 1)
    waveform = reconstruct_waveform(picture, config.sample_rate, config.window_length, config.hop_length)
    write_wav(folder / "reconstruction.wav", waveform, config.sample_rate)
    frames = to_pixels(completed[0][0])
    rate = len(frames) / (len(waveform) / config.sample_rate)
    write_clip(folder / "reconstruction.mp4", Clip(frames, rate, waveform, config.sample_rate))
    print(f"Wrote reconstruction.png, reconstruction.wav and reconstruction.mp4 into {folder}.")


def prepare(clip: Clip, config: Config) -> Examples:
    """Bring one clip to the shape that the model takes: frames even in time, sound as a spectrogram."""
    if clip.frames is None or clip.waveform is None:
        missing = "pictures" if clip.frames is None else "sound"
        raise ValueError(f"{clip.path} has no {missing} in this span: reconstruction needs pictures and sound.")
    stop = max(clip.times[-1], clip.sound_start + len(clip.waveform) / clip.sample_rate)
    chosen = choose_frames_in_time(clip.times, 0.0, stop, config.num_frames)
    video, video_mask = prepare_video([clip.frames[chosen]], config)
    audio, audio_mask = prepare_audio([clip.waveform], clip.sample_rate, config)
    return Examples(video, audio, video_mask, audio_mask)


def to_pixels(video: Float[np.ndarray, "T 3 H W"]) -> UInt8[np.ndarray, "T H2 W2 3"]:
    """Turn frames in [-1, 1] into pixels, small ones enlarged by a whole factor."""
    pixels = np.rint((np.clip(video, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
    factor = max(1, -(-SMALLEST_FILM // min(pixels.shape[1:3])))
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)
