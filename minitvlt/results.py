"""What a finished run shows: pictures of training, reconstruction and matching, a sound, and the report about them."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.learning.batches import World, draw_batch
from minitvlt.learning.evaluation import GROUP, Scores, score_all_pairs
from minitvlt.learning.trainer import METRICS, read_metrics
from minitvlt.model.parameters import Params
from minitvlt.model.patches import patchify_audio, patchify_video, unpatchify_audio, unpatchify_video
from minitvlt.model.pretraining import PretrainingBatch, autoencode, paste_visible
from minitvlt.plotting import plot_curves, plot_matching, plot_reconstruction, save_figure, spread_mask
from minitvlt.report import Illustration, Measure, Sound, Summary, write_report
from minitvlt.signals.inversion import reconstruct_waveform
from minitvlt.signals.waveforms import write_wav

CLIPS_SHOWN = 3


def show_results(folder: Path, params: Params, world: World, scores: Scores, command: str) -> None:
    """Draw the pictures of a run into its folder, make a reconstruction audible, and write `report.html`."""
    config, metrics = params.config, read_metrics(folder / METRICS)
    batch = draw_batch(world, config, np.random.default_rng([0, 0]), GROUP)
    illustrations, sounds = [], []
    save_figure(plot_curves(metrics), folder / "curves.png")
    illustrations.append(Illustration(folder / "curves.png", *CURVES_TEXT))
    if config.task_mae:
        completed = complete(params, batch)
        save_figure(draw_reconstruction(config, batch, completed), folder / "reconstruction.png")
        illustrations.append(Illustration(folder / "reconstruction.png", *RECONSTRUCTION_TEXT))
        sounds = write_sounds(folder, config, batch, completed)
    if config.task_matching:
        save_figure(draw_matching(params, batch), folder / "matching.png")
        illustrations.append(Illustration(folder / "matching.png", *MATCHING_TEXT))
    write_report(
        folder,
        Summary(
            title="A TVLT, pre-trained from nothing",
            introduction="Frames and spectrograms were cut into patches; the model learnt to fill in hidden patches "
            f"and to tell whether a sound belongs to a video. The figures are those of {scores.clips} held-out clips.",
            command=command,
            measures=list_measures(scores),
            facts={"steps": f"{len(metrics):,}", "last loss": f"{metrics[-1]['loss']:.4f}"},
            config=config.to_dict(),
        ),
        illustrations,
        sounds,
    )


CURVES_TEXT = (
    "Training",
    "Both objectives over the steps; thin lines are single steps, thick ones running means.",
    "Curves of the losses, the matching accuracy, the learning rate and the gradient norm over the training steps.",
)
RECONSTRUCTION_TEXT = (
    "Reconstruction",
    "Held-out clips, one below another: what happened, what the encoder was shown, and what the model made of it. "
    "Patches that were shown are pasted back.",
    "Frames and spectrograms of three clips: original, with hidden patches hatched, and reconstructed.",
)
MATCHING_TEXT = (
    "Matching",
    "The score of every sound with every video of a held-out group. A dark diagonal means that each sound finds its "
    "own video.",
    "A square of scores, sounds against videos, darkest where sound and video belong together.",
)


def list_measures(scores: Scores) -> list[Measure]:
    """Name the final figures, beside what guessing gives and the goals of the embedded world."""
    listed = (
        ("matching accuracy", scores.match_accuracy, 0.5, 0.93),
        ("sound to video, recall@1 of 16", scores.recall_at_1, 1 / 16, 0.75),
        ("hidden video, error against the mean", scores.video_error, 1.0, 0.55),
        ("hidden sound, error against the mean", scores.audio_error, 1.0, 0.35),
    )
    return [Measure(name, value, chance, goal) for name, value, chance, goal in listed if value is not None]


def complete(
    params: Params, batch: PretrainingBatch
) -> tuple[Float[np.ndarray, "B T C H W"], Float[np.ndarray, "B C2 S F"]]:
    """Fill in the hidden patches of both modalities; visible ones are those of the original."""
    config = params.config
    video_rows, audio_rows = to_backend(autoencode(params, batch), "numpy")
    patch, size = config.image_patch_size, (batch.video.shape[1], *batch.video.shape[3:])
    video = paste_visible(video_rows, patchify_video(batch.video, patch), batch.video_masking.is_hidden)
    patch2, size2 = config.audio_patch_size, batch.audio.shape[2:]
    audio = paste_visible(audio_rows, patchify_audio(batch.audio, patch2), batch.audio_masking.is_hidden)
    return unpatchify_video(video, patch, size), unpatchify_audio(audio, patch2, size2)


def draw_reconstruction(
    config: Config,
    batch: PretrainingBatch,
    completed: tuple[Float[np.ndarray, "B T C H W"], Float[np.ndarray, "B C2 S F"]],
) -> Figure:
    """Draw the first clips of a batch: original, what the encoder sees, reconstruction."""
    n, (video, audio) = CLIPS_SHOWN, completed
    T, _, H, W = batch.video.shape[1:]
    S, F = batch.audio.shape[2:]
    video_hidden: Bool[np.ndarray, "n T H W"] = spread_mask(
        batch.video_masking.is_hidden[:n], config.image_patch_size, (T, H, W)
    )
    audio_hidden = spread_mask(batch.audio_masking.is_hidden[:n], config.audio_patch_size, (S, F))
    return plot_reconstruction(
        batch.video[:n],
        np.clip(video[:n], -1, 1),
        video_hidden,
        batch.audio[:n, 0],
        np.clip(audio[:n, 0], -1, 1),
        audio_hidden,
        sample_rate=config.sample_rate,
        hop_length=config.hop_length,
    )


def draw_matching(params: Params, batch: PretrainingBatch) -> Figure:
    """Draw the scores of all sounds with all videos of a batch, with a frame and a spectrogram of each."""
    scores = score_all_pairs(params, batch, 0, len(batch.audio))
    middle = batch.video.shape[1] // 2
    return plot_matching(scores, frames=batch.video[:, middle], spectrograms=batch.audio[:, 0])


def write_sounds(folder: Path, config: Config, batch: PretrainingBatch, completed: tuple) -> list[Sound]:
    """Make the first clip audible, before and after: both by way of the spectrogram, so that they compare."""
    sounds = []
    for name, audio, caption in (
        ("original.wav", batch.audio, "The sound of the first clip, as its spectrogram holds it"),
        ("reconstruction.wav", completed[1], "The same with its hidden patches filled in"),
    ):
        picture = np.clip(audio[0, 0], -1, 1)
        waveform = reconstruct_waveform(picture, config.sample_rate, config.window_length, config.hop_length)
        write_wav(folder / name, waveform, config.sample_rate)
        sounds.append(Sound(folder / name, caption))
    return sounds
