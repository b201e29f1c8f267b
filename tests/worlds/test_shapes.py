"""The embedded world: what is seen is heard, labels tell the truth, held-out clips are new, seeds decide."""

import math

import numpy as np
import pytest

from minitvlt.config import Config
from minitvlt.signals.prepare import prepare_audio, prepare_video
from minitvlt.worlds.shapes import (
    BACKGROUND,
    COLOURS,
    MOTIONS,
    SHAPES,
    TIMBRES,
    Scenes,
    ShapesWorld,
    add_clicks,
    draw_scenes,
    paint_frames,
    sing,
)
from tests.helpers.annotations import annotations_unchecked

FACTORS = ("shape", "colour", "motion")
GEOMETRIES = {
    "tiny": Config.tiny(),
    "wide frames, an odd hop": Config.tiny(
        image_size=(16, 40), image_patch_size=(8, 8), num_frames=5, hop_length=101, window_length=262
    ),
}


def draw(seed: int, count: int, split: str = "train", **changes) -> Scenes:
    return draw_scenes(np.random.default_rng(seed), count, split == "held_out", changes.pop("max_count", 2))


def make_scene(
    shape: str = "circle",
    motion: str = "right",
    start: tuple[tuple[float, float], ...] = ((0.1, 0.5),),
    speed: float = 0.5,
    radius: float = 0.2,
    tremble: float = 0.0,
    colour: str = "red",
) -> Scenes:
    """One clip, made by hand."""
    return Scenes(
        shape=np.array([SHAPES.index(shape)]),
        colour=np.array([list(COLOURS).index(colour)]),
        motion=np.array([list(MOTIONS).index(motion)]),
        hue=np.array([float(COLOURS[colour])]),
        radius=np.array([radius]),
        tremble=np.array([tremble]),
        speed=np.array([speed]),
        start=np.array([start], np.float32),
        is_there=np.ones((1, len(start)), bool),
    )


def list_combinations(labels: dict[str, np.ndarray], names=FACTORS) -> set[tuple[int, ...]]:
    return set(zip(*(labels[name].tolist() for name in names), strict=True))


# Clips


@pytest.mark.parametrize("config", GEOMETRIES.values(), ids=GEOMETRIES)
def test_clips_fit_any_configuration(config):
    clips = ShapesWorld(config).sample(np.random.default_rng(0), 3)
    assert clips.video.shape == (3, config.num_frames, 3, *config.image_shape)
    assert clips.audio.shape == (3, 1, config.spectrogram_length, config.frequency_length)
    assert clips.video_mask is None and clips.audio_mask is None  # every token is real
    for picture in (clips.video, clips.audio):
        assert picture.dtype == np.float32
        assert picture.min() >= -1 and picture.max() <= 1
        assert np.all(picture.reshape(3, -1).std(axis=1) > 0.05)  # there is something in every clip


def test_what_the_model_gets_is_the_filmed_clip_put_through_the_real_pipeline():
    config = Config.tiny()
    frames, waveforms, labels = ShapesWorld(config).draw_clips(np.random.default_rng(5), 7)
    clips = ShapesWorld(config).sample(np.random.default_rng(5), 7)
    np.testing.assert_array_equal(clips.video, prepare_video(list(frames), config)[0])
    np.testing.assert_array_equal(clips.audio, prepare_audio(list(waveforms), config.sample_rate, config)[0])
    for name, values in labels.items():
        np.testing.assert_array_equal(clips.labels[name], values)


def test_the_same_seed_gives_the_same_clips_and_another_seed_others():
    world = ShapesWorld(Config.tiny())
    first, again, other = (world.sample(np.random.default_rng(seed), 5) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.video, again.video)
    np.testing.assert_array_equal(first.audio, again.audio)
    assert not np.array_equal(first.video, other.video) and not np.array_equal(first.audio, other.audio)


def test_wrong_arguments_are_refused():
    with annotations_unchecked(), pytest.raises(ValueError, match="held_out"):
        ShapesWorld(Config.tiny(), split="test")
    with pytest.raises(ValueError, match="1 clip"):
        ShapesWorld(Config.tiny()).sample(np.random.default_rng(0), 0)


# Held-out combinations


def test_held_out_clips_show_only_combinations_that_training_never_shows():
    seen, held_out = (list_combinations(draw(0, 3000, split).label()) for split in ("train", "held_out"))
    assert len(seen) == 48 and len(held_out) == 16
    assert not seen & held_out


# Flight


def fly_step_by_step(start: float, travel: float, steps: int = 2000) -> tuple[float, float]:
    """Where a ball ends between two walls, and when it first hits one; infinity if it does not."""
    place, velocity, hit = start, travel / steps, math.inf
    for step in range(steps):
        place += velocity
        if not 0 <= place <= 1:
            velocity = -velocity
            place, hit = min(max(place, 0.0), 1.0), min(hit, step / steps)
    return place, hit


@pytest.mark.parametrize("motion", MOTIONS)
def test_flights_go_straight_and_bounce_off_the_walls(motion):
    axis, sign = next((axis, sign) for axis, sign in enumerate(MOTIONS[motion]) if sign)
    for start in (0.05, 0.4, 0.93):
        scene = make_scene(motion=motion, start=((start, start),), speed=0.8)
        place, hit = fly_step_by_step(start, sign * 0.8)
        assert scene.locate(np.array([1.0]), axis).item() == pytest.approx(place, abs=2e-3)
        assert scene.locate(np.array([1.0]), 1 - axis).item() == pytest.approx(start)
        bounce = scene.find_bounces().item()
        assert bounce == pytest.approx(hit, abs=2e-3) if hit < 1 else bounce >= 1


# What is seen


AREAS = {"circle": math.pi, "square": 1.7**2, "triangle": 27**0.5 * 0.36, "cross": 4 - 4 * 0.65**2}


@pytest.mark.parametrize("name", SHAPES)
def test_a_painted_shape_has_the_area_and_the_colour_of_its_definition_wherever_it_is(name):
    """Edges are soft: a shape that moves by a part of a pixel keeps its size."""
    centre = np.stack([np.linspace(20, 21, 7), np.full(7, 20.4)], axis=-1)[None, None].astype(np.float32)
    colour, radius = np.array([[1.0, 0.8, 0.5]], np.float32), np.full((1, 1), 12, np.float32)
    frames = paint_frames(np.array([SHAPES.index(name)]), centre, radius, colour, 41, 43)
    cover = (frames[0] - float(BACKGROUND)) / (255 * colour[0] - BACKGROUND)  # (T, H, W, 3)
    np.testing.assert_allclose(cover.sum(axis=(1, 2)), 144 * AREAS[name], rtol=0.03)
    assert frames[0, 0, 20, 20].tolist() == [255, 204, 128]


def test_a_shape_is_seen_where_it_is():
    config = Config.tiny(image_size=(48, 64), image_patch_size=(8, 8))
    scenes = draw(3, 40, max_count=1)
    world = ShapesWorld(config, max_count=1)
    frames, _, _ = world.draw_clips(np.random.default_rng(3), 40)
    for axis, side in enumerate((64, 48)):
        place = scenes.locate((np.arange(3) + 0.5) / 3, axis)[:, 0]
        radius = 48 * scenes.radius[:, None]
        expected = radius + (side - 2 * radius) * place
        light = (frames.astype(float) - BACKGROUND).clip(0).sum(axis=-1)  # (n, T, H, W)
        coordinates = np.arange(side) + 0.5 if axis == 0 else side - np.arange(side)[:, None] - 0.5
        seen = (light * coordinates).sum(axis=(2, 3)) / light.sum(axis=(2, 3))
        np.testing.assert_allclose(seen, expected, atol=2.5)  # a triangle's centre of mass is lower


# What is heard


def listen(scene: Scenes, rate: int = 8000, samples: int = 4000) -> np.ndarray:
    """The voices of one clip without its clicks."""
    height = scene.locate(np.arange(samples) / samples, axis=1)
    loudness = np.ones(height.shape[:2], np.float32)
    return sing(scene.shape, height, loudness, scene.tremble.astype(np.float32), rate)[0]


@pytest.mark.parametrize("height", [0.0, 0.35, 1.0])
def test_height_is_pitch(height):
    voice = listen(make_scene(start=((0.1, height),)))
    spectrum = np.abs(np.fft.rfft(voice * np.hanning(len(voice))))
    assert np.argmax(spectrum) * 8000 / 4000 == pytest.approx(220 * 4**height, abs=2)


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_is_the_timbre(name):
    voice = listen(make_scene(shape=name, start=((0.1, 0.5),)))  # at 440 Hz
    spectrum = np.abs(np.fft.rfft(voice)) / (len(voice) / 2)
    harmonics = [spectrum[440 * harmonic // 2] for harmonic in (1, 2, 3, 4)]
    np.testing.assert_allclose(np.array(harmonics) / sum(harmonics), TIMBRES[name], atol=0.02)


def test_a_bounce_clicks_at_its_moment():
    quiet = np.zeros((2, 4000), np.float32)
    add_clicks(quiet, np.array([[0.25, 1.5], [0.999, 0.5]]), 8000)
    assert not quiet[0, :1000].any() and quiet[0, 1000:1040].any() and not quiet[0, 1200:].any()
    assert quiet[1, 2000:2040].any() and quiet[1, 3997:].any()  # the last one is cut off by the end


# Labels


def test_attributes_say_what_happens():
    scenes = draw(0, 400)
    warm, large, high, bouncing, several, trembling = scenes.label()["attributes"].T
    np.testing.assert_array_equal(warm, np.cos(np.radians(scenes.hue - 30)) > 0.5)
    assert scenes.radius[large].min() > 1.2 * scenes.radius[~large].max()
    np.testing.assert_array_equal(high, scenes.locate(np.zeros(1), axis=1)[:, :, 0].min(axis=1) > 0.5)
    np.testing.assert_array_equal(~high, scenes.locate(np.zeros(1), axis=1)[:, :, 0].max(axis=1) < 0.5)
    np.testing.assert_array_equal(several, scenes.is_there.sum(axis=1) > 1)
    assert scenes.tremble[trembling].min() > scenes.tremble[~trembling].max() + 0.3
    moments = np.linspace(0, 1, 2001)
    turns = np.zeros(400, bool)
    for axis in range(2):
        way = np.diff(scenes.locate(moments, axis), axis=-1)
        turns |= np.any((way.min(axis=-1) < -1e-5) & (way.max(axis=-1) > 1e-5) & scenes.is_there, axis=1)
    assert np.mean(turns == bouncing) > 0.99  # a bounce in the last moment shows no way back
