"""Media files become clips: the right span of the right file with its own label, decided by the seed."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitvlt.config import ORIGINAL, Config
from minitvlt.signals.media import Clip, read_clip, write_clip
from minitvlt.signals.prepare import Examples, prepare, prepare_audio, prepare_video
from minitvlt.signals.waveforms import write_wav
from minitvlt.worlds import folder as module
from minitvlt.worlds.folder import FolderWorld, decode, find_media_files
from minitvlt.worlds.labels import MediaClip
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.media import make_frames, make_sweep, needs_av, write_media
from tests.helpers.processing import make_film
from tests.signals.test_media import change_length

CONFIG = Config.tiny()  # 3 frames of 24 × 24 in 0.768 s
RATE = CONFIG.sample_rate
pytestmark = needs_av


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def film(path: str, seconds: float, loudness: float = 1.0, has_audio: bool = True) -> Path:
    """A film whose brightness and pitch rise evenly in time."""
    T = round(25 * seconds)
    frames = np.repeat(np.linspace(0, 250, T).astype(np.uint8), 24 * 32 * 3).reshape(T, 24, 32, 3)
    audio = loudness * make_sweep(seconds, RATE) if has_audio else None
    return write_clip(path, Clip(frames, 25.0, audio, RATE if has_audio else 0))


@pytest.fixture
def films() -> str:
    """Three films of different length, one of them in a folder of its own."""
    film("films/b.mp4", 2.0)
    film("films/a.mp4", 3.1, 0.7)
    film("films/deep/ć.MP4", 1.3, 0.9)
    return "films"


def draw(world: FolderWorld, seed: int = 0, count: int = 7) -> Examples:
    return world.sample(np.random.default_rng(seed), count)


def read_all(world: FolderWorld, batch_size: int = 64) -> list[tuple[np.ndarray, Examples]]:
    return list(world.read(batch_size))


def find_brightness(video: np.ndarray) -> np.ndarray:
    return (video.mean(axis=(1, 2, 3)) + 1) * 127.5


# ---- a folder


def test_clips_are_ready_for_the_model_and_the_same_seed_gives_the_same_ones(films):
    world = FolderWorld(films, CONFIG)
    examples = draw(world)
    assert examples.video.shape == (7, 3, 3, 24, 24) and examples.audio.shape == (7, 1, 24, 16)
    assert examples.video.dtype == examples.audio.dtype == np.float32
    assert (examples.video_mask, examples.audio_mask, examples.labels) == (None, None, None)
    assert max(np.abs(examples.video).max(), np.abs(examples.audio).max()) <= 1 and examples.audio.std() > 0.1
    assert not np.array_equal(draw(world, 1).audio, examples.audio)
    for other in (world, FolderWorld(films, CONFIG), FolderWorld(films, CONFIG, memory=0)):
        np.testing.assert_array_equal(draw(other).audio, examples.audio)
        np.testing.assert_array_equal(draw(other).video, examples.video)


def test_frames_and_audio_are_of_the_same_time():
    """Brightness and pitch rise together: what the frames say about the time, the audio must say, too."""
    film("films/a.mp4", 4.0)
    world = FolderWorld("films", CONFIG)
    whole = world._find(0).waveform
    for where in np.linspace(0, 0.999, 7).tolist():
        _, span = world._cut(0, where)
        seen = span.frames.mean() / 250 * (100 - 1) / 25  # the middle of the chosen frames, in seconds
        begins = next(i for i in range(4 * RATE) if np.shares_memory(whole[i:][:1], span.waveform))
        assert len(span.waveform) == 24 * 256
        assert seen == pytest.approx(begins / RATE + CONFIG.clip_seconds / 2, abs=0.12)
    assert begins + 24 * 256 >= len(whole) - 40  # the last span ends with the audio


def test_borders_that_are_black_in_the_whole_file_are_cut_off_and_dark_scenes_are_not():
    """Only the left half of the frames is ever lit, and of that first the upper part, then the lower."""
    frames = np.zeros((50, 48, 64, 3), np.uint8)
    frames[:25, 8:24, :32] = 250
    frames[25:, 24:40, :32] = 250
    write_clip("films/a.mp4", Clip(frames, 25.0, make_sweep(2.0, 16000), 16000))
    config = CONFIG.replace(frame_crop="before-resizing", frame_interpolation="bicubic")
    decoded = FolderWorld("films", config)._find(0)
    assert (decoded.frames[0, :11] > 200).all()  # cut to 32 × 32, of which the upper half is lit
    assert (decoded.frames[0, 13:] < 50).all() and (decoded.frames[-1, :11] < 50).all()


def test_with_the_settings_of_the_released_code_a_short_file_gives_what_prepare_makes_of_it():
    """Frames in black borders that move in, of which one is black; mono sound that begins with silence."""
    frames = make_film(14, 33, 47)
    frames[:, :3], frames[7:, :, 40:], frames[4] = 0, 0, 0
    sound = np.concatenate([np.zeros(2000), make_sweep(0.45, RATE)]).astype(np.float32)
    path = write_clip("films/a.mp4", Clip(frames, 20.0, sound, RATE))
    changes = {
        name: ORIGINAL[name] for name in ORIGINAL if name not in ("spectrogram_length", "stft_padding")
    }
    config = CONFIG.replace(**changes)
    clip = read_clip(path)
    clip = replace(clip, waveform=clip.waveform[: round(0.7 * RATE)])  # where the frames end
    whole = prepare(clip, config)
    for world in (FolderWorld("films", config), FolderWorld([MediaClip(file=path)], config)):
        ((_, found),) = read_all(world)
        np.testing.assert_array_equal(found.video, whole.video)
        np.testing.assert_array_equal(found.video_mask, whole.video_mask)
        np.testing.assert_array_equal(found.audio_mask, whole.audio_mask)
        np.testing.assert_allclose(found.audio, whole.audio, atol=1e-6)


def test_long_files_are_decoded_by_stretches_of_their_real_length(monkeypatch):
    film("films/a.mp4", 13.0)
    whole = FolderWorld("films", CONFIG)._find(0)
    monkeypatch.setattr(module, "STRETCH_SECONDS", 4.0)
    world = FolderWorld("films", CONFIG)
    assert [(clip.start, clip.stop) for clip in world.clips] == [(0.0, 4.0), (4.0, 8.0), (8.0, None)]
    parts = [world._find(i).waveform for i in range(3)]
    assert len(parts[0]) == len(parts[1]) == 4 * RATE and sum(map(len, parts)) == len(whole.waveform)
    assert np.corrcoef(parts[1], whole.waveform[4 * RATE : 8 * RATE])[0, 1] > 0.99


def test_files_are_found_by_their_names_at_any_depth_and_in_linked_folders():
    for name in ("b.mp4", "a/z.mov", "a.mkv", "C.webm", ".hidden/a.mp4", ".b.mp4", "x.mp4/readme.txt"):
        Path("f", name).parent.mkdir(parents=True, exist_ok=True)
        Path("f", name).touch()
    Path("store").mkdir()
    Path("store/s.wav").touch()
    os.symlink("../store", "f/linked")
    os.symlink(".", "f/circle")
    os.symlink("../store", "f/linked/back")
    found = [path.relative_to("f").as_posix() for path in find_media_files(Path("f"))]
    assert found == ["C.webm", "a.mkv", "a/z.mov", "b.mp4", "linked/s.wav"]


@pytest.mark.parametrize(
    "name", ["a%03d.mp4", "$HOME.mp4", "file:a.mp4", "東京\n.mp4", "a|b .mp4", b"\xff\xfe.mp4"]
)
def test_names_are_taken_as_they_are(name):
    film("film.mp4", 1.0)
    os.makedirs(b"films")
    os.rename("film.mp4", os.path.join("films", os.fsdecode(name)))
    world = FolderWorld("films", CONFIG)
    assert np.ptp(draw(world).video) > 0.5 and not world.skipped


@pytest.mark.parametrize("claim", [36000.0, 1e12, 0.1])
def test_a_header_that_claims_a_false_length_cuts_a_film_into_nothing(claim):
    path = write_media(Path("a.mkv"), make_frames(50, 32, 34), sound=make_sweep(2.0, 44100))
    change_length(path, claim)
    Path("films").mkdir()
    path.rename("films/a.mkv")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        world = FolderWorld("films", CONFIG)
        draw(world)
    assert len(world.clips) == 1 and len(caught) == len(world.damaged) == (claim > 2)


def test_time_stamps_far_apart_do_not_make_a_short_film_long():
    times = np.r_[np.arange(50) / 25, 500_000.0]
    Path("films").mkdir()
    write_media(Path("films/a.mkv"), make_frames(51, 32, 34), times, make_sweep(2.0, 44100))
    world = FolderWorld("films", CONFIG)
    assert len(world.clips) < 10
    assert draw(world).video.shape == (7, 3, 3, 24, 24)


# ---- memory


def test_each_file_is_decoded_once_while_memory_lasts(films, monkeypatch):
    decoded: list[str] = []

    def count(clip: MediaClip, config: Config) -> Clip:
        decoded.append(clip.file.name)
        return decode(clip, config)

    monkeypatch.setattr(module, "decode", count)
    world = FolderWorld(films, CONFIG)
    for seed in range(3):
        draw(world, seed, 9)
    assert sorted(decoded) == ["a.mp4", "b.mp4", "ć.MP4"]
    sizes = [module.measure(world._find(i)) for i in range(3)]
    decoded.clear()
    world = FolderWorld(films, CONFIG, memory=sizes[0] + sizes[1])
    for number in (0, 1, 0, 2, 0, 1):  # 2 pushes 1 out, for 0 was used after it
        world._find(number)
        assert sum(map(module.measure, world._decoded.values())) <= world.memory
    assert decoded == ["a.mp4", "b.mp4", "ć.MP4", "b.mp4"]


# ---- labels, and clips of several files


def test_of_a_longer_clip_the_middle_is_read_with_its_label():
    film("a.mp4", 3.0), film("b.mp4", 1.0)
    rows = "file,label,split\na.mp4,7,train\nb.mp4,8,test\n"
    Path("labels.csv").write_text(rows)
    world = FolderWorld("labels.csv", CONFIG, task="regression")
    ((numbers, clips),) = read_all(world)
    assert numbers.tolist() == [0] and clips.labels["label"].tolist() == [7]
    np.testing.assert_allclose(find_brightness(clips.video[0]), [104, 125, 146], atol=8)
    assert np.ptp(draw(world).video.mean(axis=(1, 2, 3, 4))) > 0.2  # training draws spans at random


def test_a_span_that_is_named_is_all_that_is_read():
    clip = MediaClip(file=film("a.mp4", 3.0), start=2.0, stop=2.5)
    ((_, clips),) = read_all(FolderWorld([clip, MediaClip(file=clip.file)], CONFIG))
    brightness = find_brightness(clips.video[0])
    assert brightness.min() > 250 * 2.0 / 3 - 8 and brightness.max() < 250 * 2.5 / 3 + 8
    assert clips.audio_mask.sum(axis=1).tolist() == [4, 6]  # shorter clips are masked


def test_a_video_and_audio_apart_are_both_seen_and_heard_as_a_whole():
    write_wav("question.wav", make_sweep(0.5, 16000), 16000)
    pixels = make_frames(2, 24, 24)[1]
    Image.fromarray(pixels).save("cat.png")
    question = Path("question.wav")
    clips = [
        MediaClip(video=film("a.mp4", 3.0), audio=question),
        MediaClip(video=Path("cat.png"), audio=question, start=0.1),  # an image is there at every time
    ]
    ((_, found),) = read_all(FolderWorld(clips, CONFIG))
    np.testing.assert_allclose(find_brightness(found.video[0]), 250 * np.array([1, 3, 5]) / 6, atol=6)
    np.testing.assert_allclose(found.video[1, :1], prepare_video([pixels], CONFIG)[0][0], atol=1 / 127)
    assert found.video_mask[1].tolist() == [True] * 4 + [False] * 8 and found.video_mask[0].all()
    audio, _ = prepare_audio([read_clip("question.wav").waveform], 16000, CONFIG)
    np.testing.assert_allclose(found.audio[0], audio[0], atol=1e-3)


@pytest.fixture
def levels() -> str:
    """A label file of sounds, each louder than the one before; the label is the number."""
    for i in range(5):
        write_wav(f"{i}.wav", (0.04 + 0.2 * i) * make_sweep(0.8, RATE), RATE)
    rows = "".join(f"{i}.wav,{i},{'test' if i == 4 else 'train'}\n" for i in range(5))
    Path("labels.csv").write_text("audio,label,split\n" + rows)
    return "labels.csv"


def test_each_row_of_a_label_file_keeps_its_label_in_every_batch(levels):
    world = FolderWorld(levels, CONFIG, task="classification", split="train")
    assert world.names == ("0", "1", "2", "3", "4")
    batches = read_all(world, 3)
    assert [(n.tolist(), x.labels["label"].tolist()) for n, x in batches] == [([0, 1, 2],) * 2, ([3],) * 2]
    assert (np.diff(np.concatenate([x.audio.mean(axis=(1, 2, 3)) for _, x in batches])) > 0).all()
    assert set(draw(world, 0, 60).labels["label"].tolist()) == {0, 1, 2, 3}
    test = FolderWorld(levels, CONFIG, task="classification", split="test")
    assert read_all(test)[0][1].labels["label"].tolist() == [4]
    assert FolderWorld(levels, CONFIG).labels is None  # without a task
    with pytest.raises(ValueError, match='split must be "train" or "test", not \'held_out\''):
        FolderWorld(levels, CONFIG, task="classification", split="held_out")


# ---- what cannot be used, and what is damaged


def test_useless_files_are_named_once_with_the_reason_and_passed_over(films):
    Path("films/c text.mp4").write_text("this is no film")
    Path("films/d empty.mp4").touch()
    film("films/e mute.mp4", 0.5, has_audio=False)
    write_wav("films/f blind.wav", make_sweep(1.0, 8000), 8000)
    os.symlink("loop.mp4", "films/loop.mp4")
    os.mkfifo("films/pipe.mp4")
    os.symlink("/dev/zero", "films/zero.mp4")
    with pytest.warns(UserWarning, match="Skipped") as caught:
        world = FolderWorld(films, CONFIG)
    reasons = {Path(name).name: reason for name, reason in world.skipped.items()}
    expected = {"c text.mp4": "no media", "d empty.mp4": "is empty", "e mute.mp4": "no audio"}
    expected |= {"f blind.wav": "no frames"}
    expected |= dict.fromkeys(("loop.mp4", "pipe.mp4", "zero.mp4"), "there is no such file")
    assert list(reasons) == list(expected) and len(caught) == 7
    assert all(words in reasons[name] for name, words in expected.items())
    with warnings.catch_warnings(action="error"):
        draw(world)


def test_a_clip_that_cannot_be_decoded_is_passed_over_on_every_draw(levels):
    Path("1.wav").write_bytes(b"this is no audio")
    knowing, fresh = (FolderWorld(levels, CONFIG, task="regression") for _ in range(2))
    with pytest.warns(UserWarning, match="Skipped labels.csv, line 3: ") as caught:
        assert [numbers.tolist() for numbers, _ in read_all(knowing, 2)] == [[0, 2], [3]]
    assert len(caught) == 1 and list(knowing.skipped) == ["labels.csv, line 3"]
    with pytest.warns(UserWarning, match="Skipped"):
        expected = draw(fresh, 0, 30)
    np.testing.assert_array_equal(draw(knowing, 0, 30).audio, expected.audio)
    assert set(expected.labels["label"].tolist()) == {0, 2, 3}


@pytest.mark.filterwarnings("ignore:Skipped")
def test_a_world_without_one_usable_file_says_why():
    Path("films").mkdir()
    Path("films/a.mp4").write_text("text")
    write_wav("films/b.wav", make_sweep(1.0, 8000), 8000)
    with pytest.raises(ValueError, match=r"(?s)No file is left.*a\.mp4: cannot be decoded.*b\.wav: has no"):
        FolderWorld("films", CONFIG)
    world = FolderWorld([MediaClip(file=Path("films/b.wav"), name="b")], CONFIG)
    with pytest.raises(ValueError, match=r"(?s)No file is left.*b: .*holds no frames"):
        draw(world)
    with pytest.raises(ValueError, match=r"(?s)No file is left.*b: .*holds no frames"):
        read_all(world)


def test_a_file_that_changes_while_it_is_in_use_is_an_error(films):
    world = FolderWorld(films, CONFIG, memory=0)
    film("films/a.mp4", 1.0)
    with pytest.raises(ValueError, match=r"a\.mp4 has been changed"):
        draw(world)
    os.remove("films/a.mp4")
    with pytest.raises(ValueError, match=r"There is no file films/a\.mp4, or no longer"):
        draw(world)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: FolderWorld("nowhere", CONFIG), "is not a folder"),
        (lambda: FolderWorld(".", CONFIG), r"holds no media file.*\.mp4"),
        (lambda: FolderWorld([WAV, MediaClip(file=Path("a.wav"))], CONFIG), "frames in all or none"),
        (lambda: FolderWorld([MediaClip(name="line 2")], CONFIG), "expected frames in all"),
        (lambda: FolderWorld([MediaClip(audio=Path("no.wav"))], CONFIG), r"There is no file no\.wav"),
        (lambda: draw(FolderWorld([WAV], CONFIG), 0, 0), "1 clip or more, got 0"),
    ],
)
def test_what_makes_no_world_is_refused(make, expected, tmp_path):
    if "media file" not in expected:
        write_wav("a.wav", make_sweep(1.0, RATE), RATE)
    with pytest.raises(ValueError, match=expected):
        make()


WAV = MediaClip(audio=Path("a.wav"))


def test_a_seed_instead_of_a_generator_is_refused_by_every_world_in_the_same_words(films):
    expected = r"^Expected rng as a generator, .* got 3\.$"
    for world in (FolderWorld(films, CONFIG), ShapesWorld(CONFIG)):
        with annotations_unchecked(), pytest.raises(ValueError, match=expected):
            world.sample(3, 2)


# ---- fingerprints


def fingerprints(source, **options) -> dict:
    return FolderWorld(source, CONFIG, **options).fingerprints


def list_differences(before: dict, after: dict) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def test_fingerprints_of_a_folder_tell_files_and_sizes_and_stay_when_it_moves(films):
    before = fingerprints(films)
    assert before["data"]["the size of deep/ć.MP4"] == Path("films/deep/ć.MP4").stat().st_size
    Path("films/notes.txt").write_text("no film")
    assert fingerprints(films) == before
    os.rename("films", "moved")
    assert fingerprints("moved") == fingerprints(Path("moved").resolve()) == before
    os.utime("moved/a.mp4", (1, 1))
    assert fingerprints("moved")["data"] == before["data"]
    assert list_differences(before["times"], fingerprints("moved")["times"]) == {"the time of a.mp4"}
    os.rename("moved/a.mp4", "moved/d.mp4")
    changed = list_differences(before["data"], fingerprints("moved")["data"])
    assert {"the size of a.mp4", "the size of d.mp4"} <= changed
    with open("moved/b.mp4", "ab") as file:
        file.write(b"0")
    assert "the size of b.mp4" in list_differences(before["data"], fingerprints("moved")["data"])


def test_fingerprints_of_a_label_file_tell_spans_labels_splits_and_order(films):
    rows = ["b.mp4,0,1,x,train", "a.mp4,1,2,y,train", "a.mp4,0,1,x,train", "b.mp4,1.5,2,y,test"]

    def write(*rows: str) -> dict:
        Path("films/labels.csv").write_text("\n".join(["file,start,stop,label,split", *rows]))
        return fingerprints("films/labels.csv", task="classification")["data"]

    before, first = write(*rows), "clip 1, b.mp4: span and label"
    assert write(*rows) == before and before["the names of the labels"] == ["x", "y"]
    assert list_differences(before, write("b.mp4,0,1,y,train", *rows[1:])) == {first}, "a label"
    assert list_differences(before, write("b.mp4,0,1.5,x,train", *rows[1:])) == {first}, "a span"
    swapped = list_differences(before, write(rows[2], rows[1], rows[0], rows[3]))
    assert first in swapped and "clip 1, a.mp4: span and label" in swapped, "the order"
    moved = list_differences(before, write(*rows[:2], "a.mp4,0,1,x,test", rows[3]))
    assert moved == {"clip 3, a.mp4: span and label"}, "the split"
    renamed = [row.replace(",y,", ",z,") for row in rows]
    assert list_differences(before, write(*renamed)) == {"the names of the labels"}
