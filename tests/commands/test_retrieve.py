"""`minitvlt retrieve`: every clip is ranked, and recall is what the table of all scores says."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from minitvlt.__main__ import main
from minitvlt.checkpoints.native import load, save
from minitvlt.config import Config
from minitvlt.model.parameters import add_ranking, init
from minitvlt.model.pretraining import score_matches
from minitvlt.signals.media import Clip, read_clip, write_clip
from minitvlt.signals.prepare import prepare_audio, prepare_video
from minitvlt.signals.waveforms import write_wav
from tests.helpers.media import make_frames, make_sweep, needs_av

pytestmark = needs_av

CONFIG = Config.tiny(
    image_size=8,
    image_patch_size=(4, 4),
    num_frames=2,
    window_length=128,
    hop_length=64,
    spectrogram_length=12,
    frequency_length=6,
    audio_patch_size=(4, 3),
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    initializer_range=0.5,
    task_mae=False,
)
SECONDS = CONFIG.clip_seconds


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    """A folder to work in, with a model in `model.safetensors`."""
    monkeypatch.chdir(tmp_path)
    save(init(CONFIG, seed=1), "model.safetensors")


def write_film(path: str, number: int, seconds: float = SECONDS) -> None:
    """A film of the model's size, whose colours and pitch belong to its number."""
    rng = np.random.default_rng(number)
    frames = np.broadcast_to(rng.integers(0, 256, (1, 2, 2, 3)), (2, 2, 2, 3)).repeat(4, 1).repeat(4, 2)
    t = np.arange(round(seconds * 8000)) / 8000
    waveform = rng.uniform(0.05, 0.9) * np.sin(2 * np.pi * rng.uniform(200, 3500) * t)
    write_clip(path, Clip(frames.astype(np.uint8), 2 / seconds, waveform.astype(np.float32), 8000))


def write_films(count: int, folder: str = "clips") -> list[str]:
    names = [f"{number:02}.mp4" for number in range(count)]
    for number, name in enumerate(names):
        write_film(f"{folder}/{name}", number)
    return names


def retrieve(*words: str) -> int:
    return main(["retrieve", *words, "--checkpoint", "model.safetensors"])


def read_scores(path: str = "found/scores.csv") -> tuple[list[str], np.ndarray]:
    header, *rows = csv.reader(Path(path).read_text().splitlines())
    assert [row[0] for row in rows] == header[1:]
    return header[1:], np.array([[float(cell) for cell in row[1:]] for row in rows])


def read_lines(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def read_everything() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


def refuse(capsys, *words: str) -> str:
    """Run a command that must fail: status 2, an error, nothing written; return the error."""
    before = read_everything()
    assert retrieve(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    assert read_everything() == before
    return err


# Recall over a folder


def count_recall(scores: np.ndarray, k: int) -> float:
    """Share of rows whose own column is among the k highest, in plain loops; a tie counts against it."""
    found = 0
    for i in range(len(scores)):
        found += sum(scores[i, j] >= scores[i, i] for j in range(len(scores)) if j != i) < k
    return found / len(scores)


def find_median_place(scores: np.ndarray) -> float:
    places = sorted(
        1 + sum(scores[i, j] >= scores[i, i] for j in range(len(scores)) if j != i)
        for i in range(len(scores))
    )
    return (places[(len(places) - 1) // 2] + places[len(places) // 2]) / 2


def test_recall_over_64_clips_is_that_of_the_full_table_of_scores(undrawn, capsys):
    names = write_films(64)
    assert retrieve("clips") == 0
    found, scores = read_scores()
    assert found == names
    params = load("model.safetensors")
    clips = [read_clip(f"clips/{name}") for name in names]
    video, _ = prepare_video([clip.frames for clip in clips], CONFIG)
    samples = CONFIG.spectrogram_length * CONFIG.hop_length  # as long as the pictures run; AAC adds silence
    audio, _ = prepare_audio([clip.waveform[:samples] for clip in clips], 8000, CONFIG)
    expected = np.stack([score_matches(params, video, audio[[i] * 64]) for i in range(64)])
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    recall = json.loads(Path("found/recall.json").read_text())
    for way, table in (("sound to video", scores), ("video to sound", scores.T)):
        for k in (1, 5, 10):
            assert recall[way][f"recall@{k} of 64"] == count_recall(table, k)
        assert recall[way]["median rank"] == find_median_place(table)
    out, err = capsys.readouterr()
    assert "64 clips, 4,096 pairs" in out and "chance" in out and err == ""
    assert {path.name for path in Path("found").iterdir()} == {
        "matching.png", "ranks.jsonl", "recall.json", "scores.csv",
    }  # fmt: skip


def test_ranks_of_each_clip_are_written(undrawn):
    names = write_films(7)
    assert retrieve("clips") == 0
    _, scores = read_scores()
    for i, line in enumerate(read_lines("found/ranks.jsonl")):
        assert line["clip"] == names[i]
        assert line["rank of its video"] == 1 + np.sum(scores[i] > scores[i, i])
        assert line["best video"] == names[scores[i].argmax()]
        assert line["rank of its sound"] == 1 + np.sum(scores[:, i] > scores[i, i])
        assert line["best sound"] == names[scores[:, i].argmax()]


def test_in_a_label_file_whatever_has_the_same_label_is_right(undrawn):
    names = write_films(6)
    labels = ["dog", "cat", "dog", "dog", "cat", "bird"]
    lines = [json.dumps({"file": name, "label": label}) for name, label in zip(names, labels, strict=True)]
    Path("clips/labels.jsonl").write_text("\n".join(lines))
    assert retrieve("clips/labels.jsonl") == 0
    _, scores = read_scores()
    places = []
    for i in range(6):
        best = max(scores[i, j] for j in range(6) if labels[j] == labels[i])
        places.append(1 + sum(scores[i, j] >= best for j in range(6) if labels[j] != labels[i]))
    recall = json.loads(Path("found/recall.json").read_text())["sound to video"]
    assert recall["recall@1 of 6"] == sum(place == 1 for place in places) / 6
    assert recall["median rank"] == np.median(places)


def test_a_label_file_may_name_pictures_and_sound_apart_and_spans(undrawn):
    write_film("clips/long.mp4", 1, 4 * SECONDS)
    write_wav("clips/other.wav", make_sweep(SECONDS, 8000), 8000)
    Path("clips/pairs.csv").write_text(
        f"video,audio,start\nlong.mp4,long.mp4,\nlong.mp4,long.mp4,{2 * SECONDS}\nlong.mp4,other.wav,\n"
    )
    assert retrieve("clips/pairs.csv") == 0
    names, scores = read_scores()
    assert names[0] == "long.mp4 + long.mp4" and names[1].endswith(f" from {2 * SECONDS} s")
    assert scores.shape == (3, 3)


def test_what_cannot_be_used_is_named_and_the_rest_is_scored(undrawn, capsys):
    write_films(3)
    Path("clips/broken.mp4").write_bytes(b"this is no film")
    write_clip("clips/silent.mp4", Clip(make_frames(3, 8, 8), 25.0, None, 0))
    assert retrieve("clips") == 0
    err = capsys.readouterr().err
    assert "Skipped broken.mp4" in err and "Skipped silent.mp4" in err
    assert read_scores()[0] == ["00.mp4", "01.mp4", "02.mp4"]


def test_clips_of_unequal_length_are_scored_as_if_alone(undrawn):
    for number, share in enumerate((1.0, 0.4, 0.7)):
        write_film(f"clips/{number}.mp4", number, share * SECONDS)
    assert retrieve("clips") == 0
    _, together = read_scores()
    for number in range(3):
        Path("alone").mkdir(exist_ok=True)
        Path(f"clips/{number}.mp4").rename("alone/one.mp4")
        assert retrieve("alone", "--out", f"found{number}") == 0
        Path("alone/one.mp4").unlink()
        np.testing.assert_allclose(
            read_scores(f"found{number}/scores.csv")[1], together[number, number], atol=1e-4
        )


def test_a_model_that_ranks_does_it_by_that_head(undrawn):
    write_films(3)
    assert retrieve("clips") == 0
    params = init(CONFIG, seed=1)
    other = init(CONFIG, seed=2)
    save(add_ranking(type(params)(CONFIG, params.encoder, matching=other.matching)), "model.safetensors")
    assert retrieve("clips", "--out", "ranked") == 0
    assert not np.allclose(read_scores()[1], read_scores("ranked/scores.csv")[1])


def test_torch_finds_the_same(undrawn):
    pytest.importorskip("torch")
    write_films(3)
    assert retrieve("clips") == 0
    assert retrieve("clips", "--backend", "torch", "--device", "cpu", "--out", "theirs") == 0
    np.testing.assert_allclose(read_scores("theirs/scores.csv")[1], read_scores()[1], atol=1e-4)


# A sound, or a video, against a folder


def test_a_sound_finds_videos_in_the_order_of_their_scores(undrawn, capsys):
    names = write_films(7)
    assert retrieve("clips") == 0
    _, scores = read_scores()
    assert retrieve("clips", "--sound", "clips/04.mp4", "--out", "one") == 0
    lines = read_lines("one/ranking.jsonl")
    assert [line["rank"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(line["file"] for line in lines) == names
    found = {line["file"]: line["score"] for line in lines}
    np.testing.assert_allclose([found[name] for name in names], scores[4], atol=1e-4)
    assert [line["score"] for line in lines] == sorted(found.values(), reverse=True)
    assert {path.name for path in Path("one").iterdir()} == {"found.png", "ranking.jsonl"}
    out = capsys.readouterr().out
    assert (
        out.count(".mp4\n") == 5 and lines[0]["file"] in out and lines[6]["file"] not in out.split("\n\n")[-2]
    )


def test_a_video_finds_sounds_in_the_order_of_their_scores(undrawn):
    names = write_films(4)
    assert retrieve("clips") == 0
    _, scores = read_scores()
    assert retrieve("clips", "--video", "clips/02.mp4", "--out", "one") == 0
    found = {line["file"]: line["score"] for line in read_lines("one/ranking.jsonl")}
    np.testing.assert_allclose([found[name] for name in names], scores[:, 2], atol=1e-4)


def test_sounds_are_no_videos_and_pictures_no_sounds(undrawn, capsys):
    write_films(2)
    write_wav("clips/tone.wav", make_sweep(SECONDS, 8000), 8000)
    assert retrieve("clips", "--sound", "clips/tone.wav") == 0
    assert {line["file"] for line in read_lines("found/ranking.jsonl")} == {"00.mp4", "01.mp4"}
    assert retrieve("clips", "--video", "clips/00.mp4", "--out", "other") == 0
    assert {line["file"] for line in read_lines("other/ranking.jsonl")} == {"00.mp4", "01.mp4", "tone.wav"}
    assert capsys.readouterr().err == ""


def test_what_cannot_be_searched_is_named_and_the_rest_is_ranked(undrawn, capsys):
    write_films(2)
    Path("clips/broken.mp4").write_bytes(b"this is no film")
    assert retrieve("clips", "--sound", "clips/00.mp4") == 0
    assert {line["file"] for line in read_lines("found/ranking.jsonl")} == {"00.mp4", "01.mp4"}
    assert "Skipped broken.mp4" in capsys.readouterr().err


def test_two_searches_are_identical_file_by_file():
    write_films(3)
    for out in ("one", "two"):
        assert retrieve("clips", "--out", out) == 0
        assert retrieve("clips", "--sound", "clips/00.mp4", "--out", f"{out}s") == 0
    for name in ("matching.png", "scores.csv", "recall.json", "ranks.jsonl"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    for name in ("found.png", "ranking.jsonl"):
        assert Path("ones", name).read_bytes() == Path("twos", name).read_bytes()


# Requests that cannot be met


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["nowhere.csv"], "No such file"),
        (["empty"], "holds no media file"),
        (["clips", "--sound", "nothing.wav"], "There is no file nothing.wav"),
        (["clips", "--sound", "broken.wav"], r"No clip is left that can be used:\n  broken.wav"),
        (["clips", "--video", "broken.wav"], "broken.wav is no video, as its name says"),
        (["sounds", "--sound", "clips/00.mp4"], "sounds holds no videos to search"),
        (["clips", "--out", "clips"], "clips is not empty, and nothing is overwritten"),
        (["clips", "--device", "cuda"], "NumPy runs on the CPU"),
        (["some.csv"], "line 3, column label: expected a label, as other rows have"),
    ],
)
def test_bad_requests_are_refused(capsys, words, expected):
    write_films(2)
    Path("empty").mkdir()
    Path("broken.wav").write_bytes(b"this is no sound")
    Path("sounds").mkdir()
    write_wav("sounds/tone.wav", make_sweep(SECONDS, 8000), 8000)
    Path("some.csv").write_text("file,label\nclips/00.mp4,dog\nclips/01.mp4,\n")
    err = refuse(capsys, *words)
    assert re.search(expected, err) and err.startswith("minitvlt retrieve: ")


def test_a_model_without_a_head_for_pairs_is_refused(capsys):
    write_films(2)
    save(init(CONFIG.replace(task_mae=True, task_matching=False)), "model.safetensors")
    assert "no head for pairs" in refuse(capsys, "clips")


def test_a_folder_in_which_nothing_can_be_used_is_refused(capsys):
    Path("clips").mkdir()
    Path("clips/broken.mp4").write_bytes(b"this is no film")
    assert "No clip is left that can be used" in refuse(capsys, "clips")


def test_sound_and_video_are_not_looked_for_at_once(capsys):
    with pytest.raises(SystemExit, match="2"):
        retrieve("clips", "--sound", "a.wav", "--video", "b.mp4")
    assert "not allowed with" in capsys.readouterr().err
