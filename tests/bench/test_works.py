"""Each contender does the work that its name promises: what comes out is looked at, not the time."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from minitvlt.backends import to_backend
from minitvlt.bench.cases import Case, count_tokens, draw_clips, draw_waveforms, make_case
from minitvlt.bench.contenders import parse_contender, why_missing
from minitvlt.bench.worker import prepare_batch
from minitvlt.model.initial import init
from minitvlt.model.pretraining import score_matches
from minitvlt.model.tvlt import forward
from minitvlt.signals.spectrogram import log_mel_spectrogram

pytest.importorskip("torch", reason="torch is not installed: no contender but NumPy")
needs_transformers, needs_librosa = (
    pytest.mark.skipif(why_missing(library) is not None, reason=f"{why_missing(library)}")
    for library in ("transformers", "librosa")
)


def do(name: str, case: Case) -> object:
    return prepare_batch(parse_contender(name), case, case.batch)()


def numpy_of(array: object) -> np.ndarray:
    return to_backend(array, "numpy")


@pytest.mark.parametrize(("name", "tolerance"), [("numpy", 0), ("torch", 1e-4), ("torch-bfloat16", 0.1)])
def test_inference_is_forward(name, tolerance):
    case = make_case("inference", "tiny", batch=2)
    clips = draw_clips(case)
    expected = forward(init(case.config), clips.video, clips.audio)
    out = do(name, case)
    np.testing.assert_allclose(numpy_of(out.sequence), expected.sequence, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "tolerance"), [("numpy", 0), ("torch", 1e-3), ("torch-bfloat16", 0.2)])
def test_raw_inference_begins_with_the_sound(name, tolerance):
    case = make_case("raw-inference", "tiny", frames=2, batch=2)
    picture = log_mel_spectrogram(draw_waveforms(case), 8000, 16, 512, 256)[:, None, : case.steps]
    expected = forward(init(case.config), draw_clips(case).video, picture)
    out = do(name, case)
    np.testing.assert_allclose(numpy_of(out.sequence), expected.sequence, rtol=0, atol=tolerance)


@needs_transformers
@pytest.mark.parametrize("name", ["transformers", "transformers-bfloat16"])
@pytest.mark.parametrize("work", ["inference", "raw-inference"])
def test_the_peer_encodes_as_many_tokens(name, work):
    case = make_case(work, "base", frames=1, steps=16, batch=2)
    shallow = case.config.replace(num_hidden_layers=1, decoder_num_hidden_layers=1)
    out = do(name, replace(case, config=shallow))
    assert out.last_hidden_state.shape == (2, 1 + sum(count_tokens(case)), 768)
    assert not out.last_hidden_state.requires_grad, "nothing is kept for a gradient"


@pytest.mark.parametrize("name", ["numpy", "torch", "torch-bfloat16"])
def test_a_step_learns(name):
    learns(name)


@needs_transformers
@pytest.mark.parametrize("name", ["transformers", "transformers-bfloat16"])
def test_a_step_of_the_peer_learns(name):
    learns(name)


def learns(name: str) -> None:
    """Some steps on one batch: the loss falls, though the peer hides other patches each time."""
    run = prepare_batch(parse_contender(name), make_case("step", "tiny", batch=4), 4)
    losses = [float(run()) for _ in range(15)]
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_the_spectrogram_is_that_of_librosa_and_of_transformers():
    case = make_case("spectrogram", "base", batch=2)
    ours = do("numpy", case)
    assert ours.shape == (2, 861, 128)
    np.testing.assert_allclose(numpy_of(do("torch", case)), ours, atol=1e-4)


@needs_librosa
def test_librosa_makes_the_same_picture_but_at_its_ends():
    case = make_case("spectrogram", "base", batch=2)
    for ours, theirs in zip(do("numpy", case), do("librosa", case), strict=True):
        np.testing.assert_allclose(theirs.T[2:859], ours[2:859], atol=1e-4)


@needs_transformers
def test_transformers_makes_the_same_picture():
    case = make_case("spectrogram", "base", batch=2)
    for ours, theirs in zip(do("numpy", case), do("transformers", case), strict=True):
        np.testing.assert_allclose(theirs.T, ours, atol=1e-4)


@pytest.mark.parametrize("name", ["numpy", "torch", "pairwise"])
def test_retrieval_scores_every_pair(name):
    case = make_case("retrieval", "tiny", batch=9)
    params, clips = init(case.config), draw_clips(case)
    score = partial(score_matches, params)
    expected = [score(clips.video, np.repeat(sound[None], 9, axis=0)) for sound in clips.audio]
    found = do(name, case)
    scores = np.concatenate(found).reshape(9, 9) if name == "pairwise" else found
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@needs_transformers
def test_the_peer_scores_as_many_pairs():
    found = do("transformers", make_case("retrieval", "tiny", batch=9))
    assert sum(len(scores) for scores in found) == 81
