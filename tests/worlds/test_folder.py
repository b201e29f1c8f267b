"""A folder of media files becomes clips: sound and picture of one moment, the same for the same seed."""

import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.config import Config
from minitvlt.signals.clips import Clip, read_clip, write_clip
from minitvlt.signals.waveforms import write_wav
from minitvlt.worlds.folder import (
    FolderWorld,
    Recording,
    cut_into_stretches,
    find_common_span,
    record_stretch,
)
from minitvlt.worlds.media_files import find_media_files
from tests.helpers.media import find_real_clip, make_frames, make_sweep, needs_av, write_media

CONFIG = Config.tiny()  # 3 frames of 24 × 24 in 0.768 s
RATE = CONFIG.sample_rate


def film(path: Path, seconds: float = 2.0, loudness: float = 1.0, sound_seconds: float | None = None) -> Path:
    """A film whose brightness rises evenly in time, and whose pitch does, too."""
    T = round(25 * seconds)
    frames = np.repeat(np.linspace(0, 250, T).astype(np.uint8), 32 * 40 * 3).reshape(T, 32, 40, 3)
    sound = loudness * make_sweep(seconds if sound_seconds is None else sound_seconds, 16000)
    return write_clip(path, Clip(frames, 25.0, sound, 16000))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three films of different length, one of them in a folder of its own."""
    film(tmp_path / "b.mp4", 2.0)
    film(tmp_path / "a.mp4", 3.1, 0.7)
    film(tmp_path / "deep" / "ć.MP4", 1.3, 0.9)
    return tmp_path


def same(one, other) -> bool:
    return np.array_equal(one.video, other.video) and np.array_equal(one.audio, other.audio)


@needs_av
def test_clips_are_ready_for_the_model(folder):
    examples = FolderWorld(folder, CONFIG).sample(np.random.default_rng(0), 5)
    assert examples.video.shape == (5, 3, 3, 24, 24)
    assert examples.audio.shape == (5, 1, 24, 16)
    assert examples.video.dtype == examples.audio.dtype == np.float32
    assert (examples.video_mask, examples.audio_mask, examples.labels) == (None, None, None)
    assert np.abs(examples.video).max() <= 1
    assert np.abs(examples.audio).max() <= 1
    assert examples.audio.std() > 0.1


@needs_av
@pytest.mark.parametrize("spans", ["random", "even"])
def test_the_same_seed_gives_the_same_clips_in_every_world(folder, spans):
    def draw(world: FolderWorld, seed: int):
        return world.sample(np.random.default_rng(seed), 7)

    world = FolderWorld(folder, CONFIG, spans)
    first = draw(world, 3)
    draw(world, 4)
    assert same(draw(world, 3), first)
    assert same(draw(FolderWorld(folder, CONFIG, spans), 3), first)
    assert same(draw(FolderWorld(folder, CONFIG, spans, memory=0), 3), first)
    assert same(draw(world, 4), first) is (spans == "even")


@needs_av
def test_picture_and_sound_are_of_the_same_moment(tmp_path):
    """Brightness and pitch rise together: what the frames say about the time, the sound must say, too."""
    film(tmp_path / "a.mp4", 4.0)
    world = FolderWorld(tmp_path, CONFIG)
    recording = world._find_recording(0)
    for where in np.linspace(0, 0.999, 11).tolist():
        frames, sound = world._cut(0, where)
        seen = frames.mean() / 250 * (100 - 1) / 25  # the middle of the chosen frames, in seconds
        begins = next(i for i in range(4 * RATE) if np.shares_memory(recording.waveform[i:][:1], sound))
        heard = begins / RATE + CONFIG.clip_seconds / 2
        assert seen == pytest.approx(heard, abs=0.12)


@needs_av
def test_even_spans_cover_all_files_evenly(folder):
    places: list[tuple[int, float]] = []
    world = FolderWorld(folder, CONFIG, "even")
    cut = world._cut
    world._cut = lambda number, where: places.append((number, round(where, 6))) or cut(number, where)
    world.sample(np.random.default_rng(0), 6)
    assert places == [(i, where) for i in range(3) for where in (0.25, 0.75)]


@needs_av
@given(seed=st.integers(0, 1000), count=st.integers(1, 4))
def test_every_span_lies_within_its_file(shared, seed, count):
    world = shared
    examples = world.sample(np.random.default_rng(seed), count)
    assert examples.audio.shape == (count, 1, 24, 16)
    for number in range(2):
        recording = world._find_recording(number)
        for where in (0.0, seed / 1001, 0.9999999):
            _, sound = world._cut(number, where)
            assert len(sound) == 24 * 256
        assert np.shares_memory(sound[-1:], recording.waveform[-1:])  # the last span ends with the sound


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> FolderWorld:
    where = tmp_path_factory.mktemp("films")
    film(where / "a.mp4", 2.0)
    film(where / "b.mp4", 1.1)
    return FolderWorld(where, CONFIG)


@needs_av
def test_frames_are_those_that_the_model_would_be_given_at_full_rate(tmp_path):
    """Thinned and shrunk on the way, they show what the clip read whole shows at the same moments."""
    path = film(tmp_path / "a.mp4", 4.0)
    stretch = cut_into_stretches(path, CONFIG)[0]
    recording = record_stretch(stretch, CONFIG)
    whole = read_clip(path)
    assert recording.frames.shape[1:] == (24, 24, 3)
    assert len(recording.frames) < len(whole.frames) / 1.4
    step = CONFIG.clip_seconds / CONFIG.num_frames
    for frame, time in zip(recording.frames, recording.times, strict=True):
        i = np.argmin(np.abs(whole.times - time))
        assert whole.times[i] == pytest.approx(time)
        assert frame.mean() == pytest.approx(whole.frames[i].mean(), abs=2)
    assert np.diff(recording.times).max() < step / 4 + 0.04


@needs_av
def test_borders_that_are_black_in_the_whole_file_are_cut_off_and_dark_scenes_are_not(tmp_path):
    """Only the left half of the picture is ever lit, and of that first the upper part, then the lower."""
    T = 50
    frames = np.zeros((T, 48, 64, 3), np.uint8)
    frames[: T // 2, 8:24, :32] = 250
    frames[T // 2 :, 24:40, :32] = 250
    write_clip(tmp_path / "a.mp4", Clip(frames, 25.0, make_sweep(2.0, 16000), 16000))
    config = CONFIG.replace(frame_crop="before-resizing", frame_interpolation="bicubic")
    world = FolderWorld(tmp_path, config, "even")
    recording = world._find_recording(0)
    assert (recording.frames[0, :11] > 200).all()  # cut to 32 × 32, of which the upper half is lit
    assert (recording.frames[0, 13:] < 50).all()
    assert (recording.frames[-1, :11] < 50).all()
    video = world.sample(np.random.default_rng(0), 2).video
    assert (video[0, 0, :, :11] > 0.5).all()  # and what is dark in the clip alone is not cut off again
    assert (video[0, 0, :, 13:] < -0.5).all()


@needs_av
def test_a_short_clip_is_masked_and_not_filled(tmp_path):
    film(tmp_path / "a.mp4", 2.0)
    film(tmp_path / "b.mp4", 0.4)
    examples = FolderWorld(tmp_path, CONFIG, "even").sample(np.random.default_rng(0), 2)
    assert examples.audio_mask.shape == (2, 3 * 2)
    assert examples.audio_mask[0].all()
    assert examples.audio_mask[1].tolist() == [True] * 4 + [False] * 2
    assert examples.video_mask is None


@needs_av
def test_only_the_moments_with_both_senses_are_used(tmp_path):
    film(tmp_path / "a.mp4", 3.0, sound_seconds=1.0)
    recording = FolderWorld(tmp_path, CONFIG)._find_recording(0)
    assert 1.0 <= len(recording.waveform) / RATE < 1.1


@pytest.mark.parametrize(
    ("times", "sound_start", "seconds", "expected"),
    [
        ([0.0, 0.5, 1.0], 0.0, 5.0, (0.0, 1.5)),
        ([0.0, 0.5, 1.0], 0.25, 0.5, (0.25, 0.75)),
        ([0.2, 0.7, 1.2], 0.0, 1.0, (0.2, 1.0)),
        ([0.1], 0.0, 3.0, (0.1, 3.0)),
    ],
)
def test_the_common_span(times, sound_start, seconds, expected):
    rate = 2.0 if len(times) > 1 else 0.0
    waveform = np.zeros(round(seconds * 100), np.float32)
    clip = Clip(make_frames(len(times), 4, 4), rate, waveform, 100, "x.mp4", np.array(times), sound_start)
    assert find_common_span(clip) == pytest.approx(expected)


def test_sound_and_pictures_that_never_meet_are_refused():
    clip = Clip(make_frames(2, 4, 4), 10.0, np.zeros(100, np.float32), 100, "x.mp4", sound_start=7.0)
    with pytest.raises(
        ValueError, match=r"x\.mp4: its pictures and its sound are never there at the same time"
    ):
        find_common_span(clip)
    with pytest.raises(ValueError, match="there is no sound in this part"):
        find_common_span(Clip(make_frames(2, 4, 4), 10.0, None, 0, "x.mp4"))
    with pytest.raises(ValueError, match="there are no pictures in this part"):
        find_common_span(Clip(None, 0.0, np.zeros(100, np.float32), 100, "x.mp4"))


# Files that cannot be used


@needs_av
def test_useless_files_are_named_once_with_the_reason_and_passed_over(folder):
    (folder / "c text.mp4").write_text("this is no film")
    (folder / "d empty.mp4").touch()
    write_clip(folder / "e mute.mp4", Clip(make_frames(9, 16, 18), 9.0, None, 0))
    write_wav(folder / "f blind.wav", make_sweep(1.0, 8000), 8000)
    (folder / "notes.txt").write_text("other files are left alone")
    (folder / "._a.mp4").write_text("and so are hidden ones")
    with pytest.warns(UserWarning) as caught:
        world = FolderWorld(folder, CONFIG)
    reasons = {Path(name).name: reason for name, reason in world.skipped.items()}
    assert list(reasons) == ["c text.mp4", "d empty.mp4", "e mute.mp4", "f blind.wav"]
    assert "no media file" in reasons["c text.mp4"]
    assert "0 bytes" in reasons["d empty.mp4"]
    assert "no sound" in reasons["e mute.mp4"]
    assert "no pictures" in reasons["f blind.wav"]
    assert [sum(name in str(warning.message) for warning in caught) for name in reasons] == [1, 1, 1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world.sample(np.random.default_rng(0), 9)


@pytest.fixture
def with_damage(folder) -> Path:
    """A file between two good ones whose damage is only met when it is decoded."""
    path = write_media(
        folder / "aa.mp4",
        make_frames(50, 32, 34),
        sound=make_sweep(2.0, 44100),
        options={"movflags": "faststart"},
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    return folder


@needs_av
def test_damage_found_on_the_way_is_named_once_and_never_becomes_silence(with_damage):
    world = FolderWorld(with_damage, CONFIG, "even")
    assert world.skipped == {}
    with pytest.warns(UserWarning, match=r"aa\.mp4: .*damaged") as caught:
        first = world.sample(np.random.default_rng(0), 8)
    assert len(caught) == 1
    assert [Path(name).name for name in world.skipped] == ["aa.mp4"]
    assert first.audio.std(axis=(1, 2, 3)).min() > 0.1
    assert same(world.sample(np.random.default_rng(0), 8), first)


@needs_av
def test_what_is_drawn_does_not_depend_on_when_the_damage_was_found(with_damage):
    knowing, fresh = FolderWorld(with_damage, CONFIG), FolderWorld(with_damage, CONFIG)
    with pytest.warns(UserWarning, match="damaged"):
        knowing.sample(np.random.default_rng(0), 20)
    with pytest.warns(UserWarning, match="damaged"):
        expected = fresh.sample(np.random.default_rng(1), 20)
    assert same(knowing.sample(np.random.default_rng(1), 20), expected)


@needs_av
def test_a_world_without_one_usable_file_says_why(tmp_path):
    (tmp_path / "a.mp4").write_text("text")
    write_wav(tmp_path / "b.wav", make_sweep(1.0, 8000), 8000)
    with (
        pytest.warns(UserWarning, match="Skipped"),
        pytest.raises(
            ValueError, match=r"(?s)No file is left.*a\.mp4: cannot be decoded.*b\.wav: has sound but no"
        ),
    ):
        FolderWorld(tmp_path, CONFIG)


@needs_av
def test_a_world_whose_last_file_breaks_says_why(with_damage):
    for path in find_media_files(with_damage):
        if path.name != "aa.mp4":
            path.unlink()
    world = FolderWorld(with_damage, CONFIG)
    with (
        pytest.warns(UserWarning, match="Skipped"),
        pytest.raises(ValueError, match=r"(?s)No file is left.*aa\.mp4"),
    ):
        world.sample(np.random.default_rng(0), 1)


@needs_av
def test_a_file_that_changes_while_it_is_in_use_is_an_error(folder):
    world = FolderWorld(folder, CONFIG, memory=0)
    world.sample(np.random.default_rng(0), 5)
    film(folder / "a.mp4", 1.0)
    with pytest.raises(ValueError, match=r"a\.mp4 has been changed or removed"):
        world.sample(np.random.default_rng(0), 5)
    os.remove(folder / "a.mp4")
    with pytest.raises(ValueError, match=r"a\.mp4 has been changed or removed"):
        world.sample(np.random.default_rng(0), 5)


@needs_av
def test_no_folder_an_empty_one_and_wrong_words_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        FolderWorld(tmp_path / "nowhere", CONFIG)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds no media file.*\.mp4"):
        FolderWorld(tmp_path, CONFIG)
    film(tmp_path / "a.mp4", 1.0)
    with pytest.raises(ValueError, match="1 clip or more, got 0"):
        FolderWorld(tmp_path, CONFIG).sample(np.random.default_rng(0), 0)


def test_without_pyav_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r'pip install "minitvlt\[media\]"'):
        FolderWorld(tmp_path, CONFIG)


# Memory


@needs_av
def test_each_file_is_decoded_once_while_memory_lasts(folder, monkeypatch):
    decoded = count_decoding(monkeypatch)
    world = FolderWorld(folder, CONFIG)
    for seed in range(4):
        world.sample(np.random.default_rng(seed), 9)
    assert sorted(decoded) == ["a.mp4", "b.mp4", "ć.MP4"]


@needs_av
def test_memory_is_bounded_and_the_longest_unused_goes_first(folder, monkeypatch):
    decoded = count_decoding(monkeypatch)
    everything = FolderWorld(folder, CONFIG)
    sizes = [everything._find_recording(i).size for i in range(3)]
    decoded.clear()
    world = FolderWorld(folder, CONFIG, memory=sizes[0] + sizes[1])
    for number in (0, 1, 0, 2, 0, 1):  # 2 pushes 1 out, for 0 was used after it
        world._find_recording(number)
        assert sum(recording.size for recording in world._recordings.values()) <= world.memory
    assert decoded == ["a.mp4", "b.mp4", "ć.MP4", "b.mp4"]


def count_decoding(monkeypatch) -> list[str]:
    from minitvlt.worlds import folder as module

    decoded: list[str] = []

    def record(stretch, config) -> Recording:
        decoded.append(stretch.path.name)
        return record_stretch(stretch, config)

    monkeypatch.setattr(module, "record_stretch", record)
    return decoded


@needs_av
def test_long_files_are_decoded_by_stretches(tmp_path, monkeypatch):
    from minitvlt.worlds import folder as module

    film(tmp_path / "a.mp4", 13.0)
    whole = FolderWorld(tmp_path, CONFIG)._find_recording(0)
    monkeypatch.setattr(module, "STRETCH_SECONDS", 4.0)
    world = FolderWorld(tmp_path, CONFIG)
    assert [(s.start, s.stop) for s in world._stretches] == [(0.0, 4.0), (4.0, 8.0), (8.0, None)]
    parts = [world._find_recording(i) for i in range(3)]
    lengths = [len(part.waveform) / RATE for part in parts]
    assert lengths[:2] == [4.0, 4.0]
    assert sum(lengths) == pytest.approx(len(whole.waveform) / RATE)
    second = whole.waveform[4 * RATE : 8 * RATE]
    assert np.corrcoef(parts[1].waveform, second)[0, 1] > 0.99


@needs_av
def test_a_header_that_claims_too_much_costs_only_the_stretches_beyond_the_end(tmp_path, monkeypatch):
    from minitvlt.worlds import folder as module

    monkeypatch.setattr(module, "inspect_media", lambda path: (True, True, 200.0))
    film(tmp_path / "a.mp4", 2.0)
    world = FolderWorld(tmp_path, CONFIG, "even")
    with (
        pytest.warns(UserWarning, match=r"a\.mp4 \(from 60 s to 120 s\): holds nothing"),
        pytest.warns(UserWarning, match=r"a\.mp4 \(from 120 s on\): holds nothing"),
    ):
        examples = world.sample(np.random.default_rng(0), 3)
    assert examples.audio.std(axis=(1, 2, 3)).min() > 0.1
    assert len(world.skipped) == 2


@needs_av
def test_the_real_clip_among_made_ones(tmp_path):
    shutil.copy(find_real_clip(), tmp_path / "real.mp4")
    film(tmp_path / "made.mp4", 2.0)
    examples = FolderWorld(tmp_path, CONFIG, "even").sample(np.random.default_rng(0), 4)
    assert examples.video.shape == (4, 3, 3, 24, 24)
    assert examples.video[2:].std() > 0.1
    assert np.isfinite(examples.audio).all()
