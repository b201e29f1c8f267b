"""`minitvlt reconstruct`: hide patches of a clip and let a model predict them."""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float

from minitvlt.checkpoints.detect import load_any
from minitvlt.commands.shared import CHECKPOINT, add_command
from minitvlt.config import Config
from minitvlt.files import check_new
from minitvlt.signals.media import Clip, write_clip
from minitvlt.signals.prepare import Examples, prepare
from minitvlt.signals.waveforms import resample, write_wav
from minitvlt.training.batches import make_batch
from minitvlt.views import report
from minitvlt.views.figures import plot_reconstruction, save_figure
from minitvlt.worlds.folder import decode
from minitvlt.worlds.labels import MediaClip

EXAMPLES = """\
  minitvlt reconstruct film.mp4 --checkpoint run/model.safetensors --start 10 --out film_reconstructed"""
SMALLEST_FILM = 128  # pixels; smaller frames are enlarged by a whole factor, because players blur them
FILM_RATE = 44100  # Hz; AAC has a dozen sample rates, models have any


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Declare the command and its arguments."""
    parser = add_command(commands, reconstruct, EXAMPLES)
    add = parser.add_argument
    add("clip", type=Path, help="a media file with frames and sound")
    add("--checkpoint", default=CHECKPOINT, help=f"any that `minitvlt info` reads (default: {CHECKPOINT})")
    add("--start", type=float, default=0.0, help="where to start in the file, in seconds (default: 0)")
    add("--seed", type=int, default=0, help="decides which patches are hidden (default: 0)")
    add("--out", type=Path, default=Path("reconstruction"), help="folder to write (default: reconstruction)")


def reconstruct(arguments: argparse.Namespace) -> None:
    """Hide patches of a clip, let a model predict them, and write a figure, the sound and the clip.

    The figure shows frames and log-mel spectrogram: the original, what the encoder sees, and the
    reconstruction. Sound is written as WAV, and the clip as mp4.
    """
    folder, seed = arguments.out, arguments.seed
    check_new(folder)
    if seed < 0:
        raise ValueError(f"Expected --seed of at least 0, got {seed}.")
    params = load_any(arguments.checkpoint)
    config = params.config
    if params.decoder is None or None in (params.decoder.video_head, params.decoder.audio_head):
        raise ValueError(
            f"{arguments.checkpoint} has no decoder for both modalities: nothing can be predicted."
        )
    example = read_example(arguments.clip, arguments.start, config)
    batch = make_batch(example, config, np.random.default_rng(seed))
    video, audio = report.reconstruct(params, batch)
    mask = None if batch.audio_mask is None else batch.audio_mask[0]
    waveform = report.invert_spectrogram(config, audio[0, 0], mask)
    write_clip(folder / "reconstruction.mp4", make_film(config, video[0], waveform))
    write_wav(folder / "reconstruction.wav", waveform, config.sample_rate)
    save_figure(plot_reconstruction(config, batch, video, audio), folder / "reconstruction.png")
    print(f"Wrote reconstruction.png, reconstruction.wav and reconstruction.mp4 into {folder}.")


def read_example(path: Path, start: float, config: Config) -> Examples:
    """Read a span of a media file that fills the spectrogram, or what there is of it."""
    clip = decode(MediaClip(file=path, start=start, stop=start + config.clip_seconds), config)
    return prepare(clip, config.replace(frame_crop="after-resizing"))  # decode has cropped the frames


def make_film(
    config: Config, video: Float[np.ndarray, "T 3 H W"], waveform: Float[np.ndarray, " samples"]
) -> Clip:
    """Join predicted frames and sound in a clip of full length; small frames are enlarged."""
    pixels = np.rint((video + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
    factor = max(1, -(-SMALLEST_FILM // min(pixels.shape[1:3])))
    frames = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    frame_rate = len(frames) * config.sample_rate / len(waveform)
    return Clip(frames, frame_rate, resample(waveform, config.sample_rate, FILM_RATE), FILM_RATE)
