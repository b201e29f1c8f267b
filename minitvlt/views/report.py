"""What a finished run shows: its figures and audio, and an HTML page with all of it and the results.

The page is a single file, which can be opened from disk and mailed: figures and audio are inside, and its
head forbids the browser to load anything else.
"""

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from jaxtyping import Bool, Float, Shaped

from minitvlt.backends import map_tree, to_backend
from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.model.parameters import Params
from minitvlt.model.patches import patchify_audio, patchify_video, unpatchify_audio, unpatchify_video
from minitvlt.model.pretraining import PretrainingBatch, autoencode, paste_visible
from minitvlt.signals.inversion import reconstruct_waveform
from minitvlt.signals.waveforms import write_wav
from minitvlt.training.batches import World, draw_batch, move_beside
from minitvlt.training.finetuning import Task
from minitvlt.training.retrieval import score_all_pairs
from minitvlt.training.trainer import METRICS, read_metrics
from minitvlt.views import figures

Results = Mapping[str, tuple[float, float]]  # the value of each metric, and its chance level

FILES = {  # of a run that the page shows or plays: heading and caption
    "curves.png": ("Training", "Thin lines are single steps, thick lines running means."),
    "reconstruction.png": ("Reconstruction", "Hidden patches are hatched; visible patches are kept."),
    "original.wav": ("Audio of the first clip", "The original, computed back from its spectrogram."),
    "reconstruction.wav": ("Reconstructed audio", "The same with its hidden patches filled in."),
    "matching.png": ("Matching", "Scores are darkest where an audio clip and a video belong together."),
    "predictions.png": ("Predictions", "The predictions for the test clips beside the truth or chance."),
}
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark }
body { max-width: 66rem; margin: 2rem auto; padding: 0 1rem; font: 17px/1.5 system-ui, sans-serif }
img { max-width: 100%; background: white; border-radius: 8px }
td { padding: .3rem 2rem .3rem 0; border-bottom: 1px solid #8886 }
pre { white-space: pre-wrap }
</style>
<h1>$title</h1>
<p>$introduction</p>
$results
$files
<h2>Command</h2>
<pre>$command</pre>
<details><summary>Configuration</summary>$config</details>
""")


def format_results(results: Results) -> list[tuple[str, str, str]]:
    """The rows of a table of results, the first of them its head."""
    rows = [(name, f"{value:.3f}", f"{chance:.3f}") for name, (value, chance) in results.items()]
    return [("", "this run", "chance"), *rows]


def print_results(results: Results) -> None:
    """Print metrics beside their chance levels."""
    for name, value, chance in format_results(results):
        print(f"{name:<38}{value:>10}{chance:>10}")


def write_report(
    folder: Path, title: str, introduction: str, results: Results, config: Config, command: str
) -> None:
    """Draw the curves of the run in a folder, write `report.html` with all its files, print the results."""
    figures.save_figure(figures.plot_curves(read_metrics(folder / METRICS)), folder / "curves.png")
    page = PAGE.substitute(
        title=escape(title),
        introduction=escape(introduction),
        results=format_table(format_results(results)),
        files="\n".join(format_file(folder / name) for name in FILES if (folder / name).exists()),
        command=escape(command),
        config=format_table(config.to_dict().items()),
    ).encode("utf-8", "backslashreplace")  # names of files may be no UTF-8
    path = write_atomically(folder / "report.html", lambda path: path.write_bytes(page))
    print_results(results)
    print(f"\nOpen {path} in a browser.")


def format_table(rows: Iterable[tuple[object, ...]]) -> str:
    """An HTML table; text is escaped."""
    cells = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    return "<table>\n" + "".join(f"<tr>{row}</tr>\n" for row in cells) + "</table>"


def format_file(path: Path) -> str:
    """The HTML of a figure or an audio player with the file inside, under heading and caption."""
    heading, caption = FILES[path.name]
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    if path.suffix == ".wav":
        shown = f'<audio controls aria-label="{heading}" src="data:audio/wav;base64,{data}"></audio>'
    else:
        shown = f'<img alt="{heading}" src="data:image/png;base64,{data}">'
    return f"<h2>{heading}</h2>\n<p>{caption}</p>\n{shown}"


def report_pretraining(
    folder: Path, params: Params, world: World, results: Results, measured_on: str, command: str
) -> None:
    """Write figures, audio and the report of a pre-training run, and print its results.

    Args:
        folder: of the run, with its metrics.
        params: the trained model.
        world: gives the clips that are shown.
        results: metrics on held-out clips.
        measured_on: these clips in words.
        command: the command that started the run.
    """
    config = params.config
    rng = np.random.default_rng([0, 0, 1])  # training draws from seeds of two numbers
    batch = draw_batch(world, config, rng, batch_size=16)
    if config.task_mae:
        first = map_tree(lambda array: array[:3], batch)
        video, audio = reconstruct(params, first)
        figure = figures.plot_reconstruction(config, first, video, audio)
        figures.save_figure(figure, folder / "reconstruction.png")
        mask = None if first.audio_mask is None else first.audio_mask[0]
        for name, spectrogram in (("original", first.audio[0, 0]), ("reconstruction", audio[0, 0])):
            waveform = invert_spectrogram(config, spectrogram, mask)
            write_wav(folder / f"{name}.wav", waveform, config.sample_rate)
    if config.task_matching:
        frames = batch.video[:, batch.video.shape[1] // 2]
        figure = figures.plot_matching(score_all_pairs(params, batch), frames, batch.audio[:, 0])
        figures.save_figure(figure, folder / "matching.png")
    introduction = f"Trained to reconstruct hidden patches and to match modalities; results on {measured_on}."
    write_report(folder, "Pre-training of TVLT", introduction, results, config, command)


def reconstruct(
    params: Params, batch: PretrainingBatch
) -> tuple[Float[np.ndarray, "B T C H W"], Float[np.ndarray, "B C2 S F"]]:
    """Predict the hidden patches of both modalities; visible patches are those of the batch."""
    config, (T, _, H, W), (S, F) = params.config, batch.video.shape[1:], batch.audio.shape[2:]
    video, audio = to_backend(autoencode(params, move_beside(params, batch)), "numpy")
    p, q = config.image_patch_size, config.audio_patch_size
    video = paste_visible(video, patchify_video(batch.video, p), batch.video_masking.is_hidden)
    audio = paste_visible(audio, patchify_audio(batch.audio, q), batch.audio_masking.is_hidden)
    video, audio = unpatchify_video(video, p, (T, H, W)), unpatchify_audio(audio, q, (S, F))
    return np.clip(video, -1, 1), np.clip(audio, -1, 1)


def invert_spectrogram(
    config: Config, spectrogram: Float[np.ndarray, "S F"], mask: Bool[np.ndarray, " Na"] | None = None
) -> Float[np.ndarray, " samples"]:
    """The waveform of one spectrogram by Griffin-Lim, up to the last token that is real, True in `mask`."""
    if mask is not None:
        last = max(np.flatnonzero(mask), default=0)
        spectrogram = spectrogram[: -(-(last + 1) * len(spectrogram) // len(mask))]
    return reconstruct_waveform(spectrogram, config.sample_rate, config.window_length, config.hop_length)


def report_finetuning(
    folder: Path,
    name: str,
    task: Task,
    outputs: Float[np.ndarray, "clips outputs"],
    labels: Shaped[np.ndarray, "clips *labels"] | None,
    results: Results,
    config: Config,
    command: str,
) -> None:
    """Write figures and the report of a fine-tuning run, and print its results.

    Args:
        folder: of the run, with its metrics.
        name: of the task.
        task: what the model was trained for.
        outputs: of the model for clips that it was not trained on; for ranking a matrix of scores.
        labels: of these clips; None for ranking.
        results: metrics on them.
        config: of the model.
        command: the command that started the run.
    """
    match task.loss_type:
        case "classification":
            figure = figures.plot_confusion(labels, outputs.argmax(axis=1), task.names)
        case "regression":
            figure = figures.plot_regression(labels.reshape(len(outputs)), outputs[:, 0])
        case "ranking":
            figure = figures.plot_matching(outputs[:32, :32])
        case _:
            figure = figures.plot_bars(results)
    figures.save_figure(figure, folder / "predictions.png")
    introduction = f"Measured on {len(outputs):,} held-out clips; chance is the best constant prediction."
    write_report(folder, f"Fine-tuning of TVLT: {name}", introduction, results, config, command)
