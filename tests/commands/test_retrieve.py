"""`minitvlt retrieve`: every clip is ranked, and recall is what the table of all scores says."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minitvlt.checkpoints.native import load, save
from minitvlt.commands.main import main
from minitvlt.model.parameters import add_ranking, init
from minitvlt.model.pretraining import score_matches
from minitvlt.signals.media import read_clip
from minitvlt.signals.prepare import prepare_audio, prepare_video
from tests.commands.small import CONFIG, read_everything, write_film, write_oddities
from tests.helpers.media import needs_av

pytestmark = [needs_av, pytest.mark.usefixtures("run")]
NAMES = [f"{number}.mp4" for number in range(6)]


def read_scores(path: str = "found/scores.csv") -> tuple[list[str], np.ndarray]:
    header, *rows = csv.reader(Path(path).read_text().splitlines())
    assert [row[0] for row in rows] == header[1:]
    return header[1:], np.array([[float(cell) for cell in row[1:]] for row in rows])


def find_ranks(scores: np.ndarray, labels: list) -> list[int]:
    """The place of the best right clip of each query, in plain loops; a tie counts against it."""
    places, n = [], len(scores)
    for i in range(n):
        best = max(scores[i, j] for j in range(n) if labels[j] == labels[i])
        places.append(1 + sum(scores[i, j] >= best for j in range(n) if labels[j] != labels[i]))
    return places


def score_by_hand(clips: Path, place: float) -> np.ndarray:
    """Score all pairs one by one, with the sound at a place from 0 (first) to 1 (last) of each film."""
    read = [read_clip(clips / name) for name in NAMES]
    video, _ = prepare_video([clip.frames for clip in read], CONFIG)
    samples = CONFIG.spectrogram_length * CONFIG.hop_length
    starts = [int((len(clip.waveform) - samples + 1) * place) for clip in read]
    sounds = [clip.waveform[start:][:samples] for clip, start in zip(read, starts, strict=True)]
    audio, _ = prepare_audio(sounds, 8000, CONFIG)
    return np.stack([score_matches(load("run/model.safetensors"), video, audio[[i] * 6]) for i in range(6)])


def test_recall_is_that_of_the_table_of_all_scores(clips: Path, capsys) -> None:
    assert main(["retrieve", "clips"]) == 0
    names, scores = read_scores()
    assert names == NAMES and set(read_everything("found")) == {"matching.png", "recall.json", "scores.csv"}
    np.testing.assert_allclose(scores, score_by_hand(clips, 0.0), atol=1e-4)
    recall = json.loads(Path("found/recall.json").read_text())
    for way, table in (("sound to video", scores), ("video to sound", scores.T)):
        ranks = np.array(find_ranks(table, NAMES))
        assert recall[way]["recall@1 of 6"] == np.mean(ranks == 1)
        assert recall[way]["median rank"] == np.median(ranks)
    out, err = capsys.readouterr()
    assert "6 clips, 36 pairs" in out and "chance" in out and err == ""


def test_in_a_label_file_whatever_has_the_same_label_is_right(undrawn, clips: Path) -> None:
    write_film(clips / "long.mp4", seed=9, seconds=4.0)
    labels = ["dog", "cat", "dog", "dog", "cat", "bird"]
    rows = [{"video": "long.mp4", "audio": "long.mp4", "start": n / 2, "label": labels[n]} for n in range(6)]
    (clips / "labels.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert main(["retrieve", "clips/labels.jsonl"]) == 0
    names, scores = read_scores()
    assert names[:2] == ["long.mp4 + long.mp4", "long.mp4 + long.mp4 from 0.5 s"]
    recall = json.loads(Path("found/recall.json").read_text())["sound to video"]
    assert recall["recall@1 of 6"] == np.mean(np.array(find_ranks(scores, labels)) == 1)


@pytest.mark.parametrize("modality", ["sound", "video"])
def test_a_search_ranks_by_score(undrawn, clips: Path, capsys, modality: str) -> None:
    write_oddities(clips)
    assert main(["retrieve", "clips", f"--{modality}", "clips/4.mp4"]) == 0
    lines = [json.loads(line) for line in Path("found/ranking.jsonl").read_text().splitlines()]
    found = {line["clip"]: line["score"] for line in lines}
    assert found.keys() - set(NAMES) == {"silent.mp4" if modality == "sound" else "tone.wav"}
    assert [line["rank"] for line in lines] == list(range(1, 8))
    assert list(found.values()) == sorted(found.values(), reverse=True)
    scores = score_by_hand(clips, 0.5)
    expected = scores[4] if modality == "sound" else scores[:, 4]
    np.testing.assert_allclose([found[name] for name in NAMES], expected, atol=1e-4)
    out, err = capsys.readouterr()
    assert "Skipped broken.mp4" in err and lines[0]["clip"] in out and out.count("\n") == 7
    assert set(read_everything("found")) == {"found.png", "ranking.jsonl"}


def test_torch_agrees_and_a_ranking_head_is_preferred(undrawn, clips) -> None:
    assert main(["retrieve", "clips"]) == 0
    assert main(["retrieve", "clips", "--backend", "torch", "--out", "torch"]) == 0
    np.testing.assert_allclose(read_scores("torch/scores.csv")[1], read_scores()[1], atol=1e-4)
    params = load("run/model.safetensors")
    other = init(CONFIG, seed=2)
    save(add_ranking(type(params)(CONFIG, params.encoder, matching=other.matching)), "ranking.safetensors")
    assert main(["retrieve", "clips", "--checkpoint", "ranking.safetensors", "--out", "ranked"]) == 0
    names, scores = read_scores("ranked/scores.csv")
    assert names == NAMES and not np.allclose(read_scores()[1], scores)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["clips", "--sound", "nothing.wav"], "no file nothing.wav"),
        (["clips", "--sound", "odd/broken.wav"], r"No file is left .*:\n  odd/broken.wav"),
        (["clips", "--video", "odd/tone.wav"], "Expected a video, but odd/tone.wav has none"),
        (["odd", "--out", "found"], r"No file is left .*:\n  broken.mp4"),
        (["clips", "--out", "clips"], "clips exists, and nothing is overwritten"),
        (["some.csv"], "line 3, column label: .* other rows have"),
        (["clips", "--checkpoint", "reconstructing.safetensors"], "have no .*head"),
    ],
)
def test_bad_requests_are_refused(clips: Path, refuse: Callable, words: list[str], expected: str) -> None:
    Path("odd").mkdir()
    write_oddities(Path("odd"))
    Path("some.csv").write_text("file,label\nclips/0.mp4,dog\nclips/1.mp4,\n")
    save(init(CONFIG.replace(task_matching=False)), "reconstructing.safetensors")
    assert re.search(expected, refuse("retrieve", *words))
