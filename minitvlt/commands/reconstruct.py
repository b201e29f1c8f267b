"""Hide parts of a clip and let a model fill them in: a picture, the sound as WAV and the clip as mp4.

The picture shows frames and spectrogram: the original, what the encoder sees, and the reconstruction.
"""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from minitvlt.checkpoints.native import load
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.signals.frames import choose_frames_in_time
from minitvlt.signals.media import Clip, write_clip
from minitvlt.signals.prepare import Examples, prepare_audio, prepare_video
from minitvlt.signals.waveforms import resample, write_wav
from minitvlt.training.batches import make_batch
from minitvlt.training.runs import check_unused
from minitvlt.views.plotting import save_figure
from minitvlt.views.results import complete, count_real_steps, draw_reconstruction, make_audible
from minitvlt.worlds.folder import decode
from minitvlt.worlds.labels import MediaClip

EXAMPLE = (
    "example:\n  minitvlt reconstruct film.mp4 --checkpoint run/model.safetensors --out film_reconstructed"
)
SMALLEST_FILM = (
    128  # pixels: smaller films are enlarged, each pixel a square, because players blur or refuse them
)
FILM_RATE = 44100  # Hz: the sound of films has one of a dozen rates, models have any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("clip", type=Path, help="a media file with pictures and sound")
    add(
        "--checkpoint",
        type=Path,
        default=Path("run/model.safetensors"),
        help="default: run/model.safetensors",
    )
    add("--start", type=float, default=0.0, help="where in the file to begin, in seconds (default: 0)")
    add("--seed", type=int, default=0, help="which patches are hidden (default: 0)")
    add("--out", type=Path, default=Path("reconstruction"), help="folder to write (default: reconstruction)")


def run(arguments: argparse.Namespace) -> None:
    """Read, hide, fill in, write."""
    folder = arguments.out
    check_unused(folder)
    params = load_complete_model(arguments.checkpoint)
    config = params.config
    batch = make_batch(
        read_example(arguments.clip, arguments.start, config), config, make_rng(arguments.seed)
    )
    video, audio = complete(params, batch)
    figure = draw_reconstruction(config, batch, (video, audio))
    waveform = make_audible(config, audio[0, 0, : count_real_steps(config, batch)])
    film = make_film(config, video[0], waveform)
    write_clip(folder / "reconstruction.mp4", film)
    write_wav(folder / "reconstruction.wav", waveform, config.sample_rate)
    save_figure(figure, folder / "reconstruction.png")
    print(f"Wrote reconstruction.png, reconstruction.wav and reconstruction.mp4 into {folder}.")


def load_complete_model(path: Path) -> Params:
    """Load a checkpoint that can fill in patches."""
    params = load(path)
    if params.decoder is None:
        raise ValueError(f"{path} holds no decoder: it was not trained to fill in patches.")
    return params


def make_rng(seed: int) -> np.random.Generator:
    """Make the generator that decides what is hidden."""
    if seed < 0:
        raise ValueError(f"--seed must be at least 0, not {seed}.")
    return np.random.default_rng(seed)


def read_example(path: Path, start: float, config: Config) -> Examples:
    """Read a span of a media file as training does: as long as a full spectrogram, or as long as there is."""
    recording = decode(MediaClip(file=path, start=start, stop=start + config.clip_seconds), config)
    seconds = len(recording.waveform) / config.sample_rate
    chosen = choose_frames_in_time(recording.times, 0.0, seconds, config.num_frames)
    video, video_mask = prepare_video([recording.frames[chosen]], config)
    audio, audio_mask = prepare_audio([recording.waveform], config.sample_rate, config)
    return Examples(video, audio, video_mask, audio_mask)


def make_film(
    config: Config, video: Float[np.ndarray, "T 3 H W"], waveform: Float[np.ndarray, " samples"]
) -> Clip:
    """Put completed frames and their sound into a clip; small frames are enlarged by a whole factor."""
    pixels = np.rint((video + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
    factor = max(1, -(-SMALLEST_FILM // min(pixels.shape[1:3])))
    frames: UInt8[np.ndarray, "T H2 W2 3"] = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    frame_rate = len(frames) * config.sample_rate / len(waveform)
    return Clip(frames, frame_rate, resample(waveform, config.sample_rate, FILM_RATE), FILM_RATE)
