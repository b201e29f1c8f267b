"""The encoder on clips: embeddings by plain loops, masks, tables that are interpolated, bad input."""

import numpy as np
import pytest
import torch

from minitvlt.backends import map_tree, to_backend, walk
from minitvlt.model.parameters import Params
from minitvlt.model.transformer import run_norm
from minitvlt.model.tvlt import (
    audio_position_embedding,
    embed_audio,
    embed_video,
    encode,
    forward,
    interpolate_positions,
    video_position_embedding,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import NA, NV, SMALL, draw_params
from tests.helpers.oracles import patchify_audio_by_loops, patchify_video_by_loops

TOKENS = {"video": NV, "audio": NA}
OTHER = {"video": "audio", "audio": "video"}


@pytest.fixture(scope="module")
def params() -> Params:
    return draw_params(SMALL, np.random.default_rng(0))


def make_clips(B: int = 2, frames: int = 3, steps: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 1, (B, frames, 2, 6, 10)), rng.uniform(-1, 1, (B, 1, 2 * steps, 21))


def embed_by_loops(params: Params, video: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """Make every token of its patch, place, time and modality, one by one: cls, video, audio."""
    encoder = params.encoder
    tokens = []
    for row, (t, y, x) in zip(patchify_video_by_loops(video, (3, 5))[0], np.ndindex(3, 2, 2), strict=True):
        at = encoder.video_positions
        patch = encoder.video_patches.weight @ row + encoder.video_patches.bias
        tokens.append(patch + at.space[2 * y + x] + at.time[t] + at.modality)
    for row, (s, f) in zip(patchify_audio_by_loops(audio, (2, 7))[0], np.ndindex(5, 3), strict=True):
        at = encoder.audio_positions
        patch = encoder.audio_patches.weight @ row + encoder.audio_patches.bias
        tokens.append(patch + at.time[s] + at.frequency[f] + at.modality)
    return np.stack([encoder.cls, *tokens])


def test_the_sequence_begins_as_cls_video_audio_each_at_its_place(params):
    video, audio = make_clips(1)
    out = forward(params, video, audio, return_hidden=True)
    np.testing.assert_allclose(out.hidden[0][0], embed_by_loops(params, video, audio), atol=1e-12)


def test_the_parts_of_the_output_are_those_of_the_normalised_sequence(params):
    out = forward(params, *make_clips(), return_hidden=True, return_attention=True)
    N = 1 + NV + NA
    np.testing.assert_array_equal(out.cls, out.sequence[:, 0])
    np.testing.assert_array_equal(out.video, out.sequence[:, 1 : 1 + NV])
    np.testing.assert_array_equal(out.audio, out.sequence[:, 1 + NV :])
    assert [x.shape for x in out.hidden] == [(2, N, 14)] * 3
    assert [x.shape for x in out.attention] == [(2, 2, N, N)] * 2
    expected = run_norm(out.hidden[-1], params.encoder.norm, SMALL.layer_norm_eps)
    np.testing.assert_allclose(out.sequence, expected)
    plain = forward(params, *make_clips())
    assert plain.hidden is None and plain.attention is None
    np.testing.assert_allclose(plain.sequence, out.sequence, rtol=1e-6, atol=1e-9)  # the fused kernel


# ---- masks


@pytest.mark.parametrize("modality", TOKENS)
def test_one_modality_alone_is_both_with_every_token_of_the_other_masked(params, modality):
    clips, other = dict(zip(("video", "audio"), make_clips(), strict=True)), OTHER[modality]
    alone = forward(params, **clips | {other: None})
    assert getattr(alone, other) is None and alone.sequence.shape == (2, 1 + TOKENS[modality], 14)
    both = forward(params, **clips, **{f"{other}_mask": np.zeros((2, TOKENS[other]), bool)})
    np.testing.assert_allclose(alone.cls, both.cls, atol=1e-12)
    np.testing.assert_allclose(getattr(alone, modality), getattr(both, modality), atol=1e-12)


@pytest.mark.parametrize(("frames", "steps"), [(2, 3), (4, 7)], ids=["shorter", "longer than the tables"])
def test_padding_changes_no_real_token(params, frames, steps):
    """What it holds does not matter, nor that the tables would be interpolated for so many steps."""
    video, audio = make_clips(2, frames, steps)
    expected = forward(params, video, audio)
    padded = forward(
        params,
        np.concatenate([video, np.full((2, 6, 2, 6, 10), 9.0)], axis=1),
        np.concatenate([audio, np.full((2, 1, 12, 21), -7.0)], axis=2),
        np.arange((frames + 6) * 4) < np.full((2, 1), frames * 4),
        np.arange((steps + 6) * 3) < np.full((2, 1), steps * 3),
    )
    np.testing.assert_allclose(padded.cls, expected.cls, atol=1e-12)
    np.testing.assert_allclose(padded.video[:, : frames * 4], expected.video, atol=1e-12)
    np.testing.assert_allclose(padded.audio[:, : steps * 3], expected.audio, atol=1e-12)


# ---- positions


@pytest.mark.parametrize(("rows", "n"), [(5, 7), (7, 5), (1, 4), (6, 1), (4, 4)])
def test_positions_are_interpolated_as_by_pytorch(rows, n):
    table = np.random.default_rng(0).standard_normal((rows, 3))
    tensor = torch.from_numpy(table.T)[None]
    theirs = torch.nn.functional.interpolate(tensor, size=n, mode="linear", align_corners=False)
    np.testing.assert_allclose(interpolate_positions(table, n), theirs[0].numpy().T, atol=1e-12)


@pytest.mark.parametrize("grid", [(2, 2), (3, 5), (1, 4)])
def test_positions_in_the_frame_are_interpolated_bilinearly_as_by_pytorch(params, grid):
    positions = params.encoder.video_positions
    table = torch.from_numpy(positions.space).reshape(1, 2, 2, 14).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.interpolate(table, size=grid, mode="bilinear", align_corners=False)
    space = theirs[0].permute(1, 2, 0).reshape(-1, 14).numpy()
    shape = (1, 2, 3, 3 * grid[0], 5 * grid[1])
    placed = video_position_embedding(positions, SMALL, shape).reshape(2, -1, 14)
    for t in range(2):
        np.testing.assert_allclose(placed[t], space + positions.time[t] + positions.modality, atol=1e-12)


def test_frequency_positions_are_interpolated_too(params):
    positions = params.encoder.audio_positions
    placed = audio_position_embedding(positions, SMALL, (1, 1, 4 * 2, 5 * 7)).reshape(4, 5, 14)
    for s in range(4):
        expected = interpolate_positions(positions.frequency, 5) + positions.time[s] + positions.modality
        np.testing.assert_allclose(placed[s], expected, atol=1e-12)


@on_every_backend
def test_longer_and_larger_inputs_are_served(params, backend):
    rng = np.random.default_rng(1)
    video, audio = rng.uniform(-1, 1, (2, 5, 2, 9, 15)), rng.uniform(-1, 1, (2, 1, 14, 28))
    expected = forward(params, video, audio)
    assert expected.sequence.shape == (2, 1 + 5 * 9 + 7 * 4, 14)
    backend.assert_close(forward(*backend.move((params, video, audio))), expected, atol=1e-4)


# ---- beside clips


def test_encode_is_forward_without_the_embeddings(params):
    video, audio = make_clips()
    masks = np.arange(NV) < np.array([[NV], [4]]), np.arange(NA) < np.array([[6], [NA]])
    tokens = embed_video(params.encoder, SMALL, video, masks[0]), embed_audio(params.encoder, SMALL, audio)
    expected = forward(params, video, audio, *masks, return_hidden=True, return_attention=True)
    found = encode(params, *tokens, *masks, return_hidden=True, return_attention=True)
    assert_trees_close(found, expected, rtol=0)
    alone = encode(params, None, tokens[1], has_cls=False)
    assert alone.cls is None and alone.video is None and alone.sequence.shape == (2, NA, 14)


def test_nothing_that_is_handed_in_is_changed(params):
    video, audio = make_clips()
    for _, array in walk((params, video, audio)):
        array.setflags(write=False)  # writing into it is an error now
    forward(params, video, audio)


# ---- bad input

VIDEO, AUDIO = make_clips()
BAD_CLIPS = [
    ({"video": None, "audio": None}, "video, audio or both, got neither"),
    ({"video": make_clips(3)[0]}, "as many videos as audios, got 3 and 2"),
    ({"video": VIDEO[0]}, r"5 axes \(B, T, C, H, W\)"),
    ({"audio": AUDIO[:, 0]}, r"4 axes \(B, C, S, F\)"),
    ({"video": np.zeros((2, 3, 3, 6, 10))}, r"2 channels in video, .* \(B T C H W\), got \(2, 3, 3, 6, 10\)"),
    ({"audio": np.zeros((2, 2, 10, 21))}, "1 channels in audio"),
    ({"video": np.zeros((2, 3, 2, 7, 10))}, "axis H of video has the size 7"),
    ({"video": np.zeros((0, 3, 2, 6, 10)), "audio": None}, "none of the size 0"),
    ({"video": VIDEO.astype(np.uint8)}, r"floating-point numbers in \[-1, 1\], got uint8"),
    ({"video_mask": np.ones((2, NV + 1), bool)}, r"video_mask as booleans .*\(2, 12\), got bool .*\(2, 13\)"),
    ({"audio_mask": np.ones((2, NA), np.int64)}, r"audio_mask as booleans .* got int64"),
    ({"video": None, "video_mask": np.ones((2, NV), bool)}, "video_mask without video"),
    ({"video": to_backend(VIDEO, "torch")}, "different libraries"),
]


@pytest.mark.parametrize(("changed", "expected"), BAD_CLIPS)
def test_bad_clips_are_refused(params, changed, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        forward(params, **{"video": VIDEO, "audio": AUDIO} | changed)


ODD_ARRAYS = {  # what is made of the frames, and the error where they are refused
    "big-endian": (lambda x: x.astype(">f4"), "dense floating-point numbers"),
    "half precision": (lambda x: x.astype(np.float16), None),
    "strides": (lambda x: np.asfortranarray(x[::-1])[::-1], None),
    "read-only": (lambda x: np.broadcast_to(x, x.shape), None),
    "a subclass": (lambda x: x.view(np.recarray), None),
    "masked": (lambda x: np.ma.array(x, mask=x > 0), "got MaskedArray"),
    "complex": (lambda x: x + 1j, "dense floating-point numbers .* got complex64"),
    "lists": (lambda x: x.tolist(), "got list"),
    "large": (lambda x: x * np.float32(1e18) * 1e3, "numbers beyond 1e18"),
    "tensors that require grad": (lambda x: torch.from_numpy(x).requires_grad_(), None),
    "large tensors": (lambda x: torch.from_numpy(x) * 1e30, "numbers beyond 1e18"),
    "sparse tensors": (lambda x: torch.from_numpy(x).to_sparse(), "dense floating-point numbers"),
}


@pytest.mark.parametrize(("make", "error"), ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_odd_arrays_give_the_right_numbers_or_an_error(params, make, error):
    video, expected = make(VIDEO.astype(np.float32)), forward(params, VIDEO, None).cls
    moved = to_backend(params, "torch" if torch.is_tensor(video) else "numpy")
    if error is None:
        np.testing.assert_allclose(to_backend(forward(moved, video, None).cls, "numpy"), expected, atol=2e-2)
        return
    with annotations_unchecked(), pytest.raises(ValueError, match=error):
        forward(moved, video, None)


ODD_PARAMETERS = {
    "integers": lambda x: x.astype(int),
    "sparse tensors": lambda x: torch.tensor(x).to_sparse(),
}


@pytest.mark.parametrize("make", ODD_PARAMETERS.values(), ids=ODD_PARAMETERS)
def test_parameters_that_are_no_dense_floating_point_numbers_are_named(params, make):
    with (
        annotations_unchecked(),
        pytest.raises(ValueError, match=r"encoder\.cls as dense .* got .*(int|float)"),
    ):
        forward(map_tree(make, params), make(VIDEO), None)


BAD_TOKENS = [
    ({"video_tokens": None, "audio_tokens": None}, "video, audio or both, got neither"),
    ({"video_tokens": np.zeros((2, 5, 13))}, r"shape \(B, N, 14\), got float64 of the shape \(2, 5, 13\)"),
    ({"audio_tokens": np.zeros((2, 14))}, r"audio_tokens as floating-point .* of the shape \(2, 14\)"),
    ({"audio_tokens": np.zeros((3, 4, 14))}, "as many videos as audios, got 2 and 3"),
    ({"video_mask": np.ones((2, 4), bool)}, r"video_mask as booleans of the shape \(2, 5\)"),
    ({"video_tokens": None, "video_mask": np.ones((2, 5), bool)}, "video_mask without video"),
]


@pytest.mark.parametrize(("changed", "expected"), BAD_TOKENS)
def test_bad_tokens_are_refused(params, changed, expected):
    tokens = {"video_tokens": np.zeros((2, 5, 14)), "audio_tokens": np.zeros((2, 4, 14))}
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        encode(params, **tokens | changed)
