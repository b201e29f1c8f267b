"""A case is settled by a few words, and its clips are what these words say."""

import dataclasses
import json

import numpy as np
import pytest

from minitvlt.bench.cases import (
    PAIRS_AT_ONCE,
    SIZES,
    WORKS,
    case_from_dict,
    case_to_dict,
    count_tokens,
    draw_clips,
    draw_waveforms,
    list_pairs,
    make_case,
)
from minitvlt.config import Config
from minitvlt.model.flops import count_flops
from tests.helpers.annotations import annotations_unchecked

TOKENS = {"tiny": 19, "tiny-97": 97, "base-1": 709, "base": 2081, "long": 14_081 - 512}


@pytest.mark.parametrize(("size", "tokens"), TOKENS.items())
def test_sizes_have_the_tokens_that_are_said_of_them(size, tokens):
    assert 1 + sum(count_tokens(make_case("inference", size))) == tokens


@pytest.mark.parametrize("work", [work for work in WORKS if work != "spectrogram"])
@pytest.mark.parametrize("size", ["tiny", "tiny-97"])
def test_clips_have_the_shapes_of_their_case(work, size):
    case = make_case(work, size, frames=5, batch=3)
    clips, (H, W) = draw_clips(case), case.config.image_shape
    assert clips.video.shape == (3, 5, 3, H, W)
    assert clips.audio.shape == (3, 1, case.steps, case.config.frequency_length)
    for numbers in (clips.video, clips.audio):
        assert numbers.dtype == np.float32 and -1 <= numbers.min() < -0.9 and 0.9 < numbers.max() < 1


def test_tables_of_positions_are_long_enough_for_what_is_asked():
    case = make_case("inference", "base", frames=11, steps=4096)
    assert (case.config.num_frames, case.config.spectrogram_length) == (11, 4096)
    case = make_case("inference", "base", frames=1, steps=16)
    assert case.config == Config(), "shorter clips need no other model"


@pytest.mark.parametrize(
    ("work", "batch"), [("inference", 1), ("step", 32), ("retrieval", 32), ("spectrogram", 1)]
)
def test_the_usual_batch_depends_on_the_work(work, batch):
    assert make_case(work, "tiny-97").batch == batch
    assert make_case(work, "tiny-97", batch=7).batch == 7
    assert make_case(work, "tiny-97", batch="max").batch is None


def test_sound_of_which_everything_is_made_has_its_seconds():
    assert draw_waveforms(make_case("spectrogram", "base", batch=2)).shape == (2, 441_000)
    case = make_case("raw-inference", "base", steps=32)
    assert draw_waveforms(case).shape == (1, 882_000)
    assert case.steps == 1712, "882,000 samples are 1,722 steps, of which 107 patches of 16 are full"


def test_products_are_those_of_the_model():
    case = make_case("step", "tiny-97", frames=3, steps=40, batch=5)
    assert case.flops == count_flops(case.config, "step", 5, 3, 40)
    raw = make_case("raw-inference", "base")
    assert raw.flops == count_flops(Config(), "inference", 1, 8, 1712)
    assert make_case("spectrogram", "base").flops is None
    assert make_case("step", "base", batch="max").flops is None, "until it is known how many fit"


def test_retrieval_counts_pairs():
    assert (make_case("retrieval", "tiny", batch=7).items, make_case("step", "tiny", batch=7).items) == (
        49,
        7,
    )
    assert make_case("retrieval", "tiny", batch="max").items is None


@pytest.mark.parametrize("batch", [1, 8, 9])
def test_every_pair_comes_once(batch):
    blocks = list_pairs(batch)
    assert all(1 <= len(sounds) == len(videos) <= PAIRS_AT_ONCE for sounds, videos in blocks)
    pairs = [(int(a), int(v)) for block in blocks for a, v in zip(*block, strict=True)]
    assert pairs == [(a, v) for a in range(batch) for v in range(batch)]


def test_titles_say_what_is_compared():
    titles = {
        ("inference", "base", None): "inference: base, 8 frames + 1,024 steps, batch 1",
        ("step", "base-1", "max"): "step: base-1, 1 frame + 1,024 steps, the largest batch that fits",
        ("spectrogram", "base", 3): "spectrogram: 10 s of sound, batch 3",
        ("raw-inference", "base", 2): "raw-inference: base, 8 frames + 20 s of sound, batch 2",
    }
    for (work, size, batch), title in titles.items():
        assert make_case(work, size, batch=batch).title == title


@pytest.mark.parametrize("size", SIZES)
def test_a_case_comes_through_json_as_it_was(size):
    case = make_case("step", size)
    assert case_from_dict(json.loads(json.dumps(case_to_dict(case)))) == case
    assert dataclasses.replace(case, batch=None) != case


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"work": "sleep"}, "work to be one of inference, step"),
        ({"size": "huge"}, "size to be one of tiny, tiny-97"),
        ({"frames": 0}, "frames as a whole number of at least 1, got 0"),
        ({"steps": 20}, "steps that the patch of 8 divides, got 20"),
        ({"batch": -1}, "batch as a whole number of at least 1, got -1"),
        ({"batch": "most"}, "batch as a whole number of at least 1, got 'most'"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        make_case(**{"work": "inference", "size": "tiny", **change})
