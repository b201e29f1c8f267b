"""Look for the videos that fit a sound best, or the sounds that fit a video; or see how well a model does it.

With --sound or --video, all videos or sounds of a folder are ranked. With neither, the sound of each clip is
used to look for its own pictures among those of all clips, and the pictures for their sound; in a label file
(CSV or JSON lines) that has labels, whatever has the same label counts as right. Of what is longer than the
model's spectrogram, the middle is read.
"""

import argparse
import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure

from minitvlt.backends import to_backend
from minitvlt.checkpoints.detect import load_any
from minitvlt.commands.collection import list_clips, list_clips_of_sense, read_clips, read_query, take_real
from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.model.parameters import Params
from minitvlt.signals.prepare import Examples
from minitvlt.training.evaluation import score_retrieval
from minitvlt.training.metrics import compute_ranks
from minitvlt.training.retrieval import find_head, score_all_pairs
from minitvlt.training.runs import check_unused
from minitvlt.views.plotting import plot_matching, save_figure
from minitvlt.views.report import Measure
from minitvlt.views.results import print_measures
from minitvlt.views.task_plotting import plot_found, shorten

EXAMPLE = """examples:
  minitvlt retrieve my_videos --sound bark.wav --checkpoint run/model.safetensors --out found
  minitvlt retrieve my_sounds --video film.mp4 --checkpoint run/model.safetensors --out found
  minitvlt retrieve my_videos --checkpoint run/model.safetensors --out recall"""
SHOWN = 5  # results in the picture
DRAWN = 32  # clips in the picture of all scores
OTHER = {"audio": "video", "video": "audio"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("clips", type=Path, help="a folder of media files, or a label file that names them")
    looked_for = parser.add_mutually_exclusive_group()
    looked_for.add_argument("--sound", type=Path, help="rank the videos by how well they fit this sound")
    looked_for.add_argument("--video", type=Path, help="rank the sounds by how well they fit this video")
    add(
        "--checkpoint",
        default="run/model.safetensors",
        help="a model that matches or ranks, in any format that `minitvlt info` reads "
        "(default: run/model.safetensors)",
    )
    add("--backend", choices=("numpy", "torch"), default="numpy", help="what computes (default: numpy)")
    add("--device", help='where torch computes, for instance "cuda" (default: cpu)')
    add("--out", type=Path, default=Path("found"), help="folder to write, new or empty (default: found)")


def run(arguments: argparse.Namespace) -> None:
    """Read everything, score every pair, then write: whatever is wrong is found before that."""
    check_unused(arguments.out)
    params = load_any(arguments.checkpoint)
    find_head(params)
    params = to_backend(params, arguments.backend, arguments.device)
    if arguments.sound is not None:
        search(params, arguments.sound, "audio", arguments.clips, arguments.out)
    elif arguments.video is not None:
        search(params, arguments.video, "video", arguments.clips, arguments.out)
    else:
        measure(params, arguments.clips, arguments.out)


def search(params: Params, file: Path, sense: str, source: Path, folder: Path) -> None:
    """Rank all clips of the other sense by how well they fit a sound or a video; write list and picture."""
    query = read_query(file, sense, params.config)
    clips = list_clips_of_sense(source, OTHER[sense])
    numbers, items = read_clips(clips, params.config, OTHER[sense])
    if sense == "audio":
        scores = score_all_pairs(params, query, items)[0]
    else:
        scores = score_all_pairs(params, items, query)[:, 0]
    order = np.argsort(-scores, kind="stable")
    lines = [
        {"rank": rank, "score": float(f"{scores[i]:.6g}"), "file": clips[numbers[i]].name}
        for rank, i in enumerate(order, start=1)
    ]
    figure = draw_found(params.config, query, items, order[:SHOWN], file.name, lines)
    write_lines(folder / "ranking.jsonl", lines)
    save_figure(figure, folder / "found.png")
    for line in lines[:SHOWN]:
        print(f"{line['rank']:>3}  {line['score']:>9.3f}  {line['file']}")
    print(f"\nWrote the ranking of {len(lines)} and a picture of the first into {folder}.")


def measure(params: Params, source: Path, folder: Path) -> None:
    """Let the sound of each clip look for its pictures, and the pictures for their sound; write all of it."""
    clips, labels = list_clips(source)
    numbers, examples = read_clips(clips, params.config)
    names = [clips[i].name for i in numbers]
    scores = score_all_pairs(params, examples)
    is_right = np.eye(len(names), dtype=bool)
    if labels is not None:
        is_right = np.array([[labels[i] == labels[j] for j in numbers] for i in numbers])
    figures = {
        "sound to video": score_retrieval(scores, is_right),
        "video to sound": score_retrieval(scores.T, is_right.T),
    }
    write_scores(folder / "scores.csv", scores, names)
    write_lines(folder / "ranks.jsonl", describe_ranks(scores, is_right, names))
    values = {way: {name: metric.value for name, metric in found.items()} for way, found in figures.items()}
    write_text(folder / "recall.json", json.dumps(values, indent=2) + "\n")
    save_figure(draw_scores(scores, examples), folder / "matching.png")
    print(f"{len(names)} clips, {scores.size:,} pairs")
    print_measures(
        [
            Measure(f"{way}, {name}", *found)
            for way, metrics in figures.items()
            for name, found in metrics.items()
        ]
    )
    print(f"\nWrote all scores, the rank of each clip and a picture into {folder}.")


def draw_found(
    config: Config,
    query: Examples,
    items: Examples,
    order: Int[np.ndarray, " shown"],
    name: str,
    lines: list[dict[str, Any]],
) -> Figure:
    """Draw what was looked for, and what was found first."""
    sense = "audio" if query.video is None else "video"
    found = [take_real(items, OTHER[sense], int(i)) for i in order]
    if sense == "audio":
        found = [frames[len(frames) // 2] for frames in found]
    captions = [f"{line['rank']}. {shorten(line['file'], 22)}\nscore {line['score']:.2f}" for line in lines]
    rates = {"sample_rate": config.sample_rate, "hop_length": config.hop_length}
    return plot_found(take_real(query, sense, 0), found, captions[: len(found)], name, **rates)


def draw_scores(scores: Float[np.ndarray, "n n"], clips: Examples) -> Figure:
    """Draw the scores of the first clips, with a frame and a spectrogram of each."""
    n = min(DRAWN, len(scores))
    frames = [take_real(clips, "video", i) for i in range(n)]
    middle = np.stack([frame[len(frame) // 2] for frame in frames])
    return plot_matching(scores[:n, :n], frames=middle, spectrograms=clips.audio[:n, 0])


def describe_ranks(
    scores: Float[np.ndarray, "n n"], is_right: Bool[np.ndarray, "n n"], names: list[str]
) -> list[dict[str, Any]]:
    """Say for each clip on which place the right video and the right sound come, and which comes first."""
    places = compute_ranks(scores, is_right), compute_ranks(scores.T, is_right.T)
    best = scores.argmax(axis=1), scores.argmax(axis=0)
    return [
        {
            "clip": name,
            "rank of its video": int(places[0][i]),
            "best video": names[best[0][i]],
            "rank of its sound": int(places[1][i]),
            "best sound": names[best[1][i]],
        }
        for i, name in enumerate(names)
    ]


def write_scores(path: Path, scores: Float[np.ndarray, "n n"], names: list[str]) -> None:
    """Write the table of all scores: sounds in rows, videos in columns."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["sound / video", *names])
    table.writerows(
        [name, *(f"{score:.9g}" for score in row)] for name, row in zip(names, scores, strict=True)
    )
    write_text(path, text.getvalue())


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write JSON, a line for each entry."""
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
