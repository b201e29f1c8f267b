"""What a finished run shows: pictures of training, reconstruction and matching, sounds, and a report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.patches import patchify_audio, patchify_video, unpatchify_audio, unpatchify_video
from minitvlt.model.pretraining import PretrainingBatch, autoencode, paste_visible
from minitvlt.signals.inversion import reconstruct_waveform
from minitvlt.signals.waveforms import write_wav
from minitvlt.training.batches import World, move_beside
from minitvlt.training.evaluation import GROUP, Scores, cut_groups, draw_evaluation_batch
from minitvlt.training.retrieval import score_all_pairs
from minitvlt.training.trainer import METRICS, read_metrics
from minitvlt.views.plotting import plot_curves, plot_matching, plot_reconstruction, save_figure, spread_mask
from minitvlt.views.report import Illustration, Measure, Sound, Summary, write_report

CLIPS_SHOWN = 3
INTRODUCTION = (
    "Frames and spectrograms were cut into patches; the model learnt to fill in hidden patches and to tell "
    "whether a sound belongs to a video. The figures were measured on {}."
)
CURVES_TEXT = (
    "Training",
    "Both objectives over the steps; thin lines are single steps, thick ones running means.",
    "Curves of the losses, the matching accuracy, the learning rate and the gradient norm over the steps.",
)
RECONSTRUCTION_TEXT = (
    "Reconstruction",
    "Clips, one below another: what happened, what the encoder was shown, and what the model made of it. "
    "Patches that were shown are pasted back.",
    "Frames and spectrograms of three clips: original, with hidden patches hatched, and reconstructed.",
)
MATCHING_TEXT = (
    "Matching",
    "The score of every sound with every video of a group. A dark diagonal means that each sound finds its "
    "own video.",
    "A square of scores, sounds against videos, darkest where sound and video belong together.",
)


def show_results(
    folder: Path, params: Params, world: World, measures: Sequence[Measure], measured_on: str, command: str
) -> Path:
    """Draw the pictures of a run into its folder, make a reconstruction audible, and write `report.html`.

    Args:
        folder: holds the run's `metrics.jsonl`.
        params: the trained model.
        world: where the clips come from that are shown.
        measures: the final figures.
        measured_on: says in words on which clips.
        command: what started the run.
    """
    metrics = read_metrics(folder / METRICS)
    illustrations, sounds = draw_illustrations(folder, params, world)
    save_figure(plot_curves(metrics), folder / "curves.png")
    summary = Summary(
        title="A TVLT, pre-trained from nothing",
        introduction=INTRODUCTION.format(measured_on),
        command=command,
        measures=measures,
        facts={"steps": f"{len(metrics):,}", "last loss": f"{metrics[-1]['loss']:.4f}"},
        config=params.config.to_dict(),
    )
    curves = Illustration(folder / "curves.png", *CURVES_TEXT)
    return write_report(folder, summary, [curves, *illustrations], sounds)


def draw_illustrations(folder: Path, params: Params, world: World) -> tuple[list[Illustration], list[Sound]]:
    """Draw one picture for each task that the model has, and write the sounds that go with them."""
    config = params.config
    batch = draw_evaluation_batch(world, config, GROUP)
    illustrations, sounds = [], []
    if config.task_mae:
        shown = cut_groups(batch, CLIPS_SHOWN)[0]
        completed = complete(params, shown)
        path = save_figure(draw_reconstruction(config, shown, completed), folder / "reconstruction.png")
        illustrations.append(Illustration(path, *RECONSTRUCTION_TEXT))
        sounds = write_sounds(folder, config, shown, completed[1])
    if config.task_matching:
        path = save_figure(draw_matching(params, batch), folder / "matching.png")
        illustrations.append(Illustration(path, *MATCHING_TEXT))
    return illustrations, sounds


def list_measures(scores: Scores, has_goals: bool) -> list[Measure]:
    """Name the final figures, beside what guessing gives and the goals that the default run has."""
    listed = (
        ("matching accuracy", scores.match_accuracy, 0.5, 0.93),
        ("sound to video, recall@1 of 16", scores.recall_at_1, 1 / 16, 0.75),
        ("hidden video, error against the mean", scores.video_error, 1.0, 0.55),
        ("hidden sound, error against the mean", scores.audio_error, 1.0, 0.35),
    )
    return [
        Measure(name, value, chance, goal if has_goals else None)
        for name, value, chance, goal in listed
        if value is not None
    ]


def print_measures(measures: list[Measure]) -> None:
    """Print the final figures beside what guessing gives, and the goals where there are any."""
    print(f"\n{'':<38}{'this run':>10}{'chance':>10}{'goal':>10}")
    for measure in measures:
        goal = "–"
        if measure.goal is not None:
            goal = f"{'≥' if measure.goal > measure.chance else '≤'} {measure.goal:.2f}"
        print(f"{measure.name:<38}{measure.value:>10.3f}{measure.chance:>10.3f}{goal:>10}")


def complete(
    params: Params, batch: PretrainingBatch
) -> tuple[Float[np.ndarray, "B T C H W"], Float[np.ndarray, "B C2 S F"]]:
    """Fill in the hidden patches of both modalities; visible ones are those of the original."""
    config = params.config
    video_rows, audio_rows = to_backend(autoencode(params, move_beside(params, batch)), "numpy")
    patch, (T, _, H, W) = config.image_patch_size, batch.video.shape[1:]
    video = paste_visible(video_rows, patchify_video(batch.video, patch), batch.video_masking.is_hidden)
    video = np.clip(unpatchify_video(video, patch, (T, H, W)), -1, 1)
    patch, (S, F) = config.audio_patch_size, batch.audio.shape[2:]
    audio = paste_visible(audio_rows, patchify_audio(batch.audio, patch), batch.audio_masking.is_hidden)
    return video, np.clip(unpatchify_audio(audio, patch, (S, F)), -1, 1)


def draw_reconstruction(
    config: Config,
    batch: PretrainingBatch,
    completed: tuple[Float[np.ndarray, "B T C H W"], Float[np.ndarray, "B C2 S F"]],
) -> Figure:
    """Draw the clips of a batch, one below another: original, what the encoder sees, reconstruction."""
    video, audio = completed
    T, _, H, W = video.shape[1:]
    S, F = audio.shape[2:]
    return plot_reconstruction(
        batch.video,
        video,
        spread_mask(batch.video_masking.is_hidden, config.image_patch_size, (T, H, W)),
        batch.audio[:, 0],
        audio[:, 0],
        spread_mask(batch.audio_masking.is_hidden, config.audio_patch_size, (S, F)),
        sample_rate=config.sample_rate,
        hop_length=config.hop_length,
    )


def draw_matching(params: Params, batch: PretrainingBatch) -> Figure:
    """Draw the scores of all sounds with all videos of a batch, with a frame and a spectrogram of each."""
    middle = batch.video.shape[1] // 2
    scores = score_all_pairs(params, batch)
    return plot_matching(scores, frames=batch.video[:, middle], spectrograms=batch.audio[:, 0])


def write_sounds(
    folder: Path, config: Config, batch: PretrainingBatch, completed: Float[np.ndarray, "B C S F"]
) -> list[Sound]:
    """Make the first clip audible, before and after: both by way of the spectrogram, so that they compare."""
    sounds, steps = [], count_real_steps(config, batch)
    for name, audio, caption in (
        ("original.wav", batch.audio, "The sound of the first clip, as its spectrogram holds it"),
        ("reconstruction.wav", completed, "The same with its hidden patches filled in"),
    ):
        waveform = make_audible(config, audio[0, 0, :steps])
        sounds.append(Sound(write_wav(folder / name, waveform, config.sample_rate), caption))
    return sounds


def count_real_steps(config: Config, batch: PretrainingBatch) -> int:
    """Count the spectrogram steps of a batch's first clip, padding left out."""
    S = batch.audio.shape[2]
    if batch.audio_mask is None:
        return S
    return int(batch.audio_mask[0].sum()) // config.audio_grid[1] * config.audio_patch_size[0]


def make_audible(config: Config, picture: Float[np.ndarray, "S F"]) -> Float[np.ndarray, " samples"]:
    """Turn a spectrogram into a sound."""
    return reconstruct_waveform(picture, config.sample_rate, config.window_length, config.hop_length)
