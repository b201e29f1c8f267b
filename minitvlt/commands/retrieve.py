"""`minitvlt retrieve`: rank clips by how well their sound and their frames fit together."""

import argparse
import csv
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import to_backend
from minitvlt.checkpoints.detect import load_any
from minitvlt.commands.shared import CHECKPOINT, add_command, write_json_lines
from minitvlt.config import Config
from minitvlt.files import check_new, write_atomically, write_json
from minitvlt.model.parameters import Params
from minitvlt.model.tasks import find_head
from minitvlt.signals.prepare import Examples
from minitvlt.training.evaluation import score_retrieval
from minitvlt.training.retrieval import score_all_pairs
from minitvlt.views.figures import plot_matching, plot_retrieval, save_figure, shorten
from minitvlt.views.report import print_results
from minitvlt.worlds.folder import AUDIO, IMAGES, FolderWorld, find_media_files
from minitvlt.worlds.labels import ROWS, MediaClip, read_clip_of_row, read_rows

EXAMPLES = """\
  minitvlt retrieve my_videos --sound bark.wav --checkpoint run/model.safetensors --out found
  minitvlt retrieve my_sounds --video film.mp4 --checkpoint run/model.safetensors --out found
  minitvlt retrieve my_videos --checkpoint run/model.safetensors --out recall"""
SHOWN = 5  # results in the figure
DRAWN = 32  # clips in the figure of all scores
OTHER = {"audio": "video", "video": "audio"}
WITHOUT = {"audio": IMAGES, "video": AUDIO}  # suffixes of files that lack a modality


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Declare the command and its arguments."""
    parser = add_command(commands, retrieve, EXAMPLES)
    add = parser.add_argument
    add("clips", type=Path, help="a folder of media files, or a label file that names them")
    query = parser.add_mutually_exclusive_group()
    query.add_argument("--sound", type=Path, help="rank the videos by how well they fit this sound")
    query.add_argument("--video", type=Path, help="rank the sounds by how well they fit this video")
    add("--checkpoint", default=CHECKPOINT, help=f"any that `minitvlt info` reads (default: {CHECKPOINT})")
    add("--backend", choices=("numpy", "torch"), default="numpy", help="array library (default: numpy)")
    add("--device", help='device of torch, for example "cuda" (default: cpu)')
    add("--out", type=Path, default=Path("found"), help="folder to write, new or empty (default: found)")


def retrieve(arguments: argparse.Namespace) -> None:
    """Find the videos that fit a sound best, or the sounds that fit a video; or measure recall.

    With --sound or --video, all videos or sounds of a folder are ranked. With neither, the sound of each clip
    is used to find its own video among those of all clips, and the other way round; in a label file with
    labels, every clip with the same label counts as right. Of a long sound the middle is used; in a search,
    frames are spread evenly over a whole video. The model needs a matching or a ranking head.
    """
    check_new(arguments.out)
    params = load_any(arguments.checkpoint)
    find_head(params)
    params = to_backend(params, arguments.backend, arguments.device)
    file = arguments.sound or arguments.video
    if file is None:
        measure(params, arguments.clips, arguments.out)
    else:
        search(params, file, "video" if arguments.video else "audio", arguments.clips, arguments.out)


def search(params: Params, file: Path, modality: str, source: Path, out: Path) -> None:
    """Rank all clips by how well their other modality fits a file; write the ranking and a figure."""
    config, other = params.config, OTHER[modality]
    query, _ = read_clips(select_modality([MediaClip(file=file, name=str(file))], modality, file), config)
    clips = select_modality(list_clips(source)[0], other, source)
    items, numbers = read_clips(clips, config)
    scores = score_all_pairs(params, *((query, items) if modality == "audio" else (items, query))).ravel()
    order = np.argsort(-scores, kind="stable").tolist()
    lines = [
        {"rank": rank, "score": float(f"{scores[i]:.6g}"), "clip": clips[numbers[i]].name}
        for rank, i in enumerate(order, start=1)
    ]
    found = [crop_padding(items, other, i) for i in order[:SHOWN]]
    captions = [f"{line['rank']}. {shorten(line['clip'], 22)}\nscore {line['score']:.2f}" for line in lines]
    if other == "video":
        found = [frames[len(frames) // 2][None] for frames in found]
    figure = plot_retrieval(config, crop_padding(query, modality, 0), found, captions[:SHOWN], file.name)
    for line in lines[:SHOWN]:
        print(f"{line['rank']:>3}  {line['score']:>9.3f}  {line['clip']}")
    write_json_lines(lines, out / "ranking.jsonl")
    save_figure(figure, out / "found.png")
    print(f"\nWrote the ranking of {len(lines)} clips and a figure of the first into {out}.")


def measure(params: Params, source: Path, out: Path) -> None:
    """Search with the sound and with the video of each clip; write all scores, recall and a figure."""
    clips, labels = list_clips(source)
    examples, numbers = read_clips(clips, params.config)
    names = [clips[i].name for i in numbers]
    scores = score_all_pairs(params, examples)
    is_same = np.array([[labels[i] == labels[j] for j in numbers] for i in numbers])
    is_right = None if labels[0] is None else is_same  # None: only the diagonal
    found = {
        "sound to video": score_retrieval(scores, is_right),
        "video to sound": score_retrieval(scores.T, is_right),
    }
    print(f"{len(names)} clips, {scores.size:,} pairs")
    for way, results in found.items():
        print_results({f"{way}, {name}": metric for name, metric in results.items()})
    recall = {way: {name: each.value for name, each in results.items()} for way, results in found.items()}
    write_atomically(out / "scores.csv", partial(write_scores, scores, names))
    write_atomically(out / "recall.json", partial(write_json, recall))
    n = min(DRAWN, len(scores))
    frames = [crop_padding(examples, "video", i) for i in range(n)]
    middle = np.stack([clip[len(clip) // 2] for clip in frames])
    figure = plot_matching(scores[:n, :n], frames=middle, spectrograms=examples.audio[:n, 0])
    save_figure(figure, out / "matching.png")
    print(f"\nWrote all scores, recall and a figure into {out}.")


def list_clips(source: Path) -> tuple[list[MediaClip], list[Any]]:
    """List the clips of a folder or of a label file, and their labels; None where there are none."""
    if source.suffix.lower() not in ROWS:
        clips = [MediaClip(file=file) for file in find_media_files(source)]
        labels = [None] * len(clips)
    else:
        rows = read_rows(source)
        clips = [read_clip_of_row(row) for row in rows]
        labels = [None if row.values.get("label") == "" else row.values.get("label") for row in rows]
        if labels.count(None) not in (0, len(labels)):
            rows[labels.index(None)].fail("label", "a label, as other rows have")
    folder = source if source.is_dir() else source.parent
    return [replace(clip, name=name_clip(clip, folder)) for clip in clips], labels


def name_clip(clip: MediaClip, folder: Path) -> str:
    """Name a clip by its files and where it starts in them."""
    files = [os.path.relpath(path, folder) for path in (clip.file, clip.video, clip.audio) if path]
    return " + ".join(files) + (f" from {clip.start:g} s" if clip.start else "")


def select_modality(clips: list[MediaClip], modality: str, source: Path) -> list[MediaClip]:
    """Reduce clips to their frames or their sound; those that have none, by their suffix, are left out."""
    files = [clip.file or getattr(clip, modality) for clip in clips]
    selected = [
        MediaClip(**{modality: file}, start=clip.start, stop=clip.stop, name=clip.name)
        for clip, file in zip(clips, files, strict=True)
        if file is not None and file.suffix.lower() not in WITHOUT[modality]
    ]
    if not selected:
        raise ValueError(f"Expected a {'video' if modality == 'video' else 'sound'}, but {source} has none.")
    return selected


def read_clips(clips: list[MediaClip], config: Config) -> tuple[Examples, list[int]]:
    """Decode all clips that can be decoded; return their positions in the list as well.

    Raises:
        ValueError: no clip can be decoded (with the reasons), or clips of different kinds.
    """
    numbers, examples = next(FolderWorld(clips, config).read(len(clips)))
    return examples, numbers.tolist()


def crop_padding(
    clips: Examples, modality: str, i: int
) -> Float[np.ndarray, "T C H W"] | Float[np.ndarray, "S F"]:
    """Return the frames or the spectrogram of one clip, up to the last token that is real."""
    is_video = modality == "video"
    array, mask = (clips.video[i], clips.video_mask) if is_video else (clips.audio[i, 0], clips.audio_mask)
    last = 0 if mask is None else max(np.flatnonzero(mask[i]), default=0)
    return array if mask is None else array[: -(-(last + 1) * len(array) // mask.shape[1])]


def write_scores(scores: Float[np.ndarray, "n n"], names: list[str], path: Path) -> None:
    """Write the table of all scores: sounds in rows, videos in columns."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["sound / video", *names])
        for name, row in zip(names, scores, strict=True):
            table.writerow([name, *(f"{score:.9g}" for score in row)])
