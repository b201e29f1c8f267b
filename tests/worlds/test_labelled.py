"""Labelled clips: the right span of the right file with its own label, whatever the files are made of."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from minitvlt.config import Config
from minitvlt.signals.clips import Clip, read_clip, write_clip, write_wav
from minitvlt.signals.prepare import prepare_audio, prepare_video
from minitvlt.worlds import labelled
from minitvlt.worlds.labelled import LabelledClip, LabelledWorld
from tests.helpers.media import make_frames, make_sweep, needs_av

CONFIG = Config.tiny()  # 3 frames of 24 × 24 in 0.768 s
RATE = CONFIG.sample_rate
pytestmark = needs_av


def film(name: str, seconds: float, has_sound: bool = True, brightness: int = 0) -> Path:
    """A film that grows brighter, and whose pitch rises, evenly in time."""
    T = round(25 * seconds)
    frames = np.repeat(np.linspace(brightness, 250, T).astype(np.uint8), 24 * 24 * 3).reshape(T, 24, 24, 3)
    sound = make_sweep(seconds, RATE) if has_sound else None
    return write_clip(name, Clip(frames, 25.0, sound, RATE if has_sound else 0))


def read_all(world: LabelledWorld, batch_size: int = 64):
    return list(world.read(batch_size))


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# One file


def test_of_a_film_the_middle_is_read_pictures_and_sound_of_one_span():
    world = LabelledWorld([LabelledClip(file=film("a.mp4", 3.0))], np.array([7]), CONFIG)
    ((numbers, clips),) = read_all(world)
    assert numbers.tolist() == [0] and clips.labels["label"].tolist() == [7]
    clip = read_clip("a.mp4")
    samples = CONFIG.spectrogram_length * CONFIG.hop_length
    common = round(3.04 * RATE)  # every second frame is kept, and the last one is taken to stay as long
    first = (common - samples + 1) // 2
    audio, _ = prepare_audio([clip.waveform[first : first + samples]], RATE, CONFIG)
    np.testing.assert_allclose(clips.audio, audio, atol=1e-6)
    middles = (first + samples * np.array([1, 3, 5]) / 6) / RATE
    brightness = (clips.video[0].mean(axis=(1, 2, 3)) + 1) * 127.5
    np.testing.assert_allclose(brightness, 250 * middles / 3.0, atol=6)
    assert clips.video_mask is clips.audio_mask is None


def test_training_draws_spans_at_random_and_the_seed_decides_which():
    world = LabelledWorld([LabelledClip(file=film("a.mp4", 3.0))], np.array([7]), CONFIG)
    one, again, other = (world.sample(np.random.default_rng(seed), 6) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.audio, again.audio)
    assert not np.array_equal(one.audio, other.audio)
    brightness = one.video.mean(axis=(1, 2, 3, 4))
    assert np.ptp(brightness) > 0.2


def test_a_span_that_is_named_is_all_that_is_read():
    clip = LabelledClip(file=film("a.mp4", 3.0), start=2.0, stop=2.5)
    ((_, clips),) = read_all(LabelledWorld([clip], np.array([0]), CONFIG))
    brightness = (clips.video[0].mean(axis=(1, 2, 3)) + 1) * 127.5
    assert brightness.min() > 250 * 2.0 / 3 - 8 and brightness.max() < 250 * 2.5 / 3 + 8
    assert clips.audio.shape[2] == 16  # half a second, in whole patches of 8 steps


def test_shorter_clips_are_masked_beside_longer_ones():
    paths = [film("short.mp4", 0.3), film("long.mp4", 1.0)]
    world = LabelledWorld([LabelledClip(file=path) for path in paths], np.array([1, 2]), CONFIG)
    ((_, clips),) = read_all(world)
    assert clips.audio_mask[1].all() and not clips.audio_mask[0].all() and clips.audio_mask[0].any()
    assert clips.video_mask is None


# Pictures and sound apart, or one alone


def test_of_a_film_apart_from_its_sound_all_of_it_is_seen():
    write_wav("question.wav", make_sweep(0.5, RATE), RATE)
    clip = LabelledClip(video=film("a.mp4", 3.0), audio=Path("question.wav"))
    ((_, clips),) = read_all(LabelledWorld([clip], np.array([0]), CONFIG))
    brightness = (clips.video[0].mean(axis=(1, 2, 3)) + 1) * 127.5
    np.testing.assert_allclose(brightness, 250 * np.array([1, 3, 5]) / 6, atol=6)
    audio, _ = prepare_audio([make_sweep(0.5, RATE)], RATE, CONFIG)
    np.testing.assert_allclose(clips.audio, audio, atol=1e-3)


def test_a_still_picture_is_a_film_of_one_frame_whatever_the_span():
    from PIL import Image

    pixels = make_frames(2, 24, 24)[1]
    Image.fromarray(pixels).save("cat.png")
    write_wav("question.wav", make_sweep(2.0, RATE), RATE)
    clips = [
        LabelledClip(video=Path("cat.png"), audio=Path("question.wav"), start=1.0),
        LabelledClip(video=film("b.mp4", 1.0), audio=Path("question.wav")),
    ]
    ((_, found),) = read_all(LabelledWorld(clips, np.array([0, 1]), CONFIG))
    expected, _ = prepare_video([pixels], CONFIG)
    np.testing.assert_allclose(found.video[0, :1], expected[0], atol=1 / 127)
    assert found.video_mask[0].tolist() == [True] * 4 + [False] * 8 and found.video_mask[1].all()


def test_sound_alone_and_pictures_alone():
    write_wav("a.wav", make_sweep(1.0, RATE), RATE)
    ((_, heard),) = read_all(LabelledWorld([LabelledClip(audio=Path("a.wav"))], None, CONFIG))
    assert heard.video is heard.labels is None and heard.audio.shape == (1, 1, 24, 16)
    silent = film("silent.mp4", 1.0, has_sound=False)
    ((_, seen),) = read_all(LabelledWorld([LabelledClip(video=silent)], None, CONFIG))
    assert seen.audio is None and seen.video.shape == (1, 3, 3, 24, 24)


def test_sound_at_another_rate_is_resampled():
    write_wav("a.wav", make_sweep(1.0, 44100), 44100)
    write_wav("b.wav", make_sweep(1.0, RATE), RATE)
    world = LabelledWorld([LabelledClip(audio=Path(f"{name}.wav")) for name in "ab"], None, CONFIG)
    ((_, clips),) = read_all(world)
    assert np.abs(clips.audio[0] - clips.audio[1]).mean() < 0.05


# Many clips


def make_levels(count: int) -> tuple[list[LabelledClip], np.ndarray]:
    """Sounds each louder than the one before; the label is the number."""
    for i in range(count):
        write_wav(f"{i}.wav", (0.02 + 0.1 * i) * make_sweep(0.8, RATE) * 2, RATE)
    return [LabelledClip(audio=Path(f"{i}.wav"), name=f"sound {i}") for i in range(count)], np.arange(count)


def test_each_clip_keeps_its_own_label_in_every_batch():
    clips, labels = make_levels(7)
    world = LabelledWorld(clips, labels, CONFIG)
    alone = [LabelledWorld([clip], None, CONFIG) for clip in clips]
    expected = np.concatenate([read_all(world)[0][1].audio for world in alone])
    batches = read_all(world, 3)
    assert [numbers.tolist() for numbers, _ in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    for numbers, found in batches:
        np.testing.assert_array_equal(found.audio, expected[numbers])
        np.testing.assert_array_equal(found.labels["label"], numbers)
    assert set(world.sample(np.random.default_rng(0), 60).labels["label"].tolist()) == set(range(7))


def test_a_clip_that_cannot_be_used_is_named_once_and_passed_over():
    clips, labels = make_levels(4)
    Path("1.wav").write_bytes(b"this is no sound")
    world = LabelledWorld(clips, labels, CONFIG)
    with pytest.warns(UserWarning, match="Skipped sound 1: ") as caught:
        batches = read_all(world, 2)
    assert len(caught) == 1 and list(world.skipped) == ["sound 1"]
    assert [numbers.tolist() for numbers, _ in batches] == [[0, 2], [3]]
    with warnings.catch_warnings(action="error"):
        assert set(world.sample(np.random.default_rng(0), 30).labels["label"].tolist()) == {0, 2, 3}


def test_where_the_last_clip_cannot_be_used_the_others_are_given():
    clips, labels = make_levels(3)
    Path("2.wav").write_bytes(b"this is no sound")
    with pytest.warns(UserWarning, match="sound 2"):
        batches = read_all(LabelledWorld(clips, labels, CONFIG), 64)
    assert [numbers.tolist() for numbers, _ in batches] == [[0, 1]]


@pytest.mark.filterwarnings("ignore:Skipped")
def test_where_no_clip_can_be_used_the_reasons_are_said():
    clips, labels = make_levels(2)
    for i in range(2):
        Path(f"{i}.wav").write_bytes(b"this is no sound")
    world = LabelledWorld(clips, labels, CONFIG)
    with pytest.raises(ValueError, match=r"No labelled clip is left .*\n  sound \d: .*\n  sound \d: "):
        world.sample(np.random.default_rng(0), 1)
    assert read_all(world) == []


def test_files_are_decoded_once_while_they_fit_into_memory(monkeypatch):
    clips, labels = make_levels(5)
    decoded, record = [], labelled.record_clip

    def count(clip, *rest):
        decoded.append(clip.name)
        return record(clip, *rest)

    monkeypatch.setattr(labelled, "record_clip", count)
    world = LabelledWorld(clips, labels, CONFIG)
    for _ in range(3):
        read_all(world)
    assert len(decoded) == 5
    small = LabelledWorld(clips, labels, CONFIG, memory=1)
    one, two = (read_all(small, 1) for _ in range(2))
    assert len(decoded) > 10
    for (_, first), (_, second) in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.audio, second.audio)


# What is refused


def test_clips_of_different_kinds_are_refused():
    write_wav("a.wav", make_sweep(1.0, RATE), RATE)
    clips = [
        LabelledClip(audio=Path("a.wav")),
        LabelledClip(file=film("b.mp4", 1.0), name="labels.csv, line 3"),
    ]
    with pytest.raises(ValueError, match="line 3 names other kinds of files"):
        LabelledWorld(clips, None, CONFIG)


def test_what_does_not_fit_is_refused():
    write_wav("a.wav", make_sweep(1.0, RATE), RATE)
    clip = LabelledClip(audio=Path("a.wav"))
    with pytest.raises(ValueError, match="at least one labelled clip"):
        LabelledWorld([], None, CONFIG)
    with pytest.raises(ValueError, match="a label for each of 1 clips, got 2"):
        LabelledWorld([clip], np.zeros(2), CONFIG)
    with pytest.raises(ValueError, match=r"there is no file nothing\.wav"):
        LabelledWorld([LabelledClip(audio=Path("nothing.wav"))], None, CONFIG)
    with pytest.raises(ValueError, match="names no file"):
        LabelledWorld([LabelledClip(name="line 2")], None, CONFIG)
    with pytest.raises(ValueError, match="count of 1 clip or more"):
        LabelledWorld([clip], None, CONFIG).sample(np.random.default_rng(0), 0)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: LabelledClip(video=Path("a.wav")), "a.wav holds no pictures there: name it as audio"),
        (lambda: LabelledClip(audio=film("b.mp4", 1.0, has_sound=False)), "b.mp4 holds no sound there"),
        (lambda: LabelledClip(file=Path("a.wav")), "a.wav: there are no pictures in this part of it"),
    ],
)
def test_a_file_that_lacks_what_is_asked_of_it_says_so(make, expected):
    write_wav("a.wav", make_sweep(1.0, RATE), RATE)
    world = LabelledWorld([make()], None, CONFIG)
    with pytest.warns(UserWarning, match=expected):
        assert read_all(world) == []


def test_a_file_that_changes_while_it_is_in_use_is_refused():
    clips, labels = make_levels(1)
    world = LabelledWorld(clips, labels, CONFIG)
    write_wav("0.wav", make_sweep(0.5, RATE), RATE)
    with pytest.raises(ValueError, match="has been changed or removed while it was in use"):
        read_all(world)
