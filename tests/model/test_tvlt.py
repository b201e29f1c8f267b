"""The encoder: places of the tokens, masks, one modality alone, other lengths, bad input."""

import numpy as np
import pytest

from minitvlt.backends import to_backend, walk
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.transformer import run_linear, run_norm
from minitvlt.model.tvlt import (
    audio_position_embedding,
    embed_audio,
    embed_video,
    encode,
    fit_time_positions,
    forward,
    interpolate_positions,
    match,
    video_position_embedding,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import draw_params
from tests.helpers.oracles import patchify_audio_by_loops, patchify_video_by_loops

CONFIG = Config(
    image_size=(6, 10),
    image_patch_size=(3, 5),
    num_frames=3,
    num_image_channels=2,
    spectrogram_length=10,
    frequency_length=21,
    audio_patch_size=(2, 7),
    hidden_size=14,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=11,
    decoder_hidden_size=10,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=1,
    decoder_intermediate_size=13,
)
NV, NA = 3 * 2 * 2, 5 * 3


@pytest.fixture
def params() -> Params:
    return draw_params(CONFIG, np.random.default_rng(0))


def make_clips(B: int = 2, frames: int = 3, steps: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 1, (B, frames, 2, 6, 10)), rng.uniform(-1, 1, (B, 1, 2 * steps, 21))


def embed_by_loops(params: Params, video: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """Every token from its patch, place, time and modality, one by one: cls, video, audio."""
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
    assert out.sequence.shape == (2, N, 14)
    np.testing.assert_array_equal(out.cls, out.sequence[:, 0])
    np.testing.assert_array_equal(out.video, out.sequence[:, 1 : 1 + NV])
    np.testing.assert_array_equal(out.audio, out.sequence[:, 1 + NV :])
    assert [x.shape for x in out.hidden] == [(2, N, 14)] * 3
    assert [x.shape for x in out.attention] == [(2, 2, N, N)] * 2
    expected = run_norm(out.hidden[-1], params.encoder.norm, CONFIG.layer_norm_eps)
    np.testing.assert_allclose(out.sequence, expected)
    plain = forward(params, *make_clips())
    assert plain.hidden is None
    assert plain.attention is None
    np.testing.assert_allclose(plain.sequence, out.sequence, rtol=1e-6, atol=1e-9)  # the fused kernel


def test_clips_of_a_batch_do_not_touch_each_other(params):
    video, audio = make_clips(3)
    together = forward(params, video, audio).sequence
    for b in range(3):
        alone = forward(params, video[b : b + 1], audio[b : b + 1]).sequence
        np.testing.assert_allclose(together[b : b + 1], alone, atol=1e-12)


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_one_modality_alone(params, modality):
    clips = dict(zip(("video", "audio"), make_clips(), strict=True))
    alone = forward(params, **{"video": None, "audio": None, modality: clips[modality]})
    other = "audio" if modality == "video" else "video"
    assert getattr(alone, other) is None
    assert alone.sequence.shape == (2, 1 + {"video": NV, "audio": NA}[modality], 14)
    # The same as both, with every token of the other one masked.
    hidden = {f"{other}_mask": np.zeros((2, {"video": NV, "audio": NA}[other]), bool)}
    both = forward(params, **clips, **hidden)
    np.testing.assert_allclose(alone.cls, both.cls, atol=1e-12)
    np.testing.assert_allclose(getattr(alone, modality), getattr(both, modality), atol=1e-12)


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_one_mask_alone_counts(params, modality):
    N, other = (NV, NA) if modality == "video" else (NA, NV)
    other_name = "audio" if modality == "video" else "video"
    mask = np.arange(N) < np.array([[N], [N // 2]])
    alone = forward(params, *make_clips(), **{f"{modality}_mask": mask})
    both = forward(
        params, *make_clips(), **{f"{modality}_mask": mask, f"{other_name}_mask": np.ones((2, other), bool)}
    )
    none = forward(params, *make_clips())
    np.testing.assert_array_equal(alone.sequence, both.sequence)
    np.testing.assert_allclose(alone.sequence[0], none.sequence[0], atol=1e-12)
    assert np.abs(alone.cls[1] - none.cls[1]).max() > 1e-3


def test_what_padding_holds_does_not_matter(params):
    video, audio = make_clips()
    video_mask = np.repeat([[True, True, True], [True, False, False]], 4, axis=1)
    audio_mask = np.repeat([[True] * 2 + [False] * 3, [True] * 5], 3, axis=1)
    other_video, other_audio = video.copy(), audio.copy()
    other_video[1, 1:] = 9.0
    other_audio[0, :, 4:] = -7.0
    one = forward(params, video, audio, video_mask, audio_mask)
    two = forward(params, other_video, other_audio, video_mask, audio_mask)
    np.testing.assert_allclose(one.cls, two.cls, atol=1e-12)
    np.testing.assert_allclose(one.video[video_mask], two.video[video_mask], atol=1e-12)
    np.testing.assert_allclose(one.audio[audio_mask], two.audio[audio_mask], atol=1e-12)


@pytest.mark.parametrize(
    ("frames", "steps"), [(2, 3), (3, 5), (4, 7)], ids=["shorter", "as configured", "longer"]
)
@pytest.mark.parametrize("more", [1, 6])
def test_padding_further_than_the_tables_reach_changes_no_real_token(params, frames, steps, more):
    video, audio = make_clips(2, frames, steps)
    expected = forward(params, video, audio)
    padded = forward(
        params,
        np.concatenate([video, np.zeros((2, more, 2, 6, 10))], axis=1),
        np.concatenate([audio, np.zeros((2, 1, 2 * more, 21))], axis=2),
        np.arange((frames + more) * 4) < np.full((2, 1), frames * 4),
        np.arange((steps + more) * 3) < np.full((2, 1), steps * 3),
    )
    np.testing.assert_allclose(padded.cls, expected.cls, atol=1e-12)
    np.testing.assert_allclose(padded.video[:, : frames * 4], expected.video, atol=1e-12)
    np.testing.assert_allclose(padded.audio[:, : steps * 3], expected.audio, atol=1e-12)


def test_a_time_table_is_fitted_to_the_longest_clip_and_padding_gets_nothing():
    table = np.random.default_rng(0).standard_normal((3, 2))
    mask = np.repeat(
        [[True, False, False, False, False, False], [True, True, True, True, False, False]], 5, axis=1
    )
    expected = np.concatenate([interpolate_positions(table, 4), np.zeros((2, 2))])
    np.testing.assert_array_equal(fit_time_positions(table, 6, mask), expected)
    np.testing.assert_array_equal(fit_time_positions(table, 6), interpolate_positions(table, 6))
    np.testing.assert_array_equal(fit_time_positions(table, 2, mask[:, :10]), table[:2])
    np.testing.assert_array_equal(fit_time_positions(table, 5, np.zeros((1, 5), bool))[:3], table)


@pytest.mark.parametrize(("rows", "n"), [(5, 7), (7, 5), (3, 11), (1, 4), (6, 1), (4, 4)])
def test_positions_are_interpolated_as_by_pytorch(rows, n):
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    table = np.random.default_rng(0).standard_normal((rows, 3))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(table.T)[None], size=n, mode="linear", align_corners=False
    )
    np.testing.assert_allclose(interpolate_positions(table, n), theirs[0].numpy().T, atol=1e-12)


@pytest.mark.parametrize("grid", [(2, 2), (3, 2), (2, 5), (7, 3), (1, 4), (1, 1)])
def test_positions_in_the_frame_are_interpolated_bilinearly_as_by_pytorch(params, grid):
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    positions = params.encoder.video_positions
    table = torch.from_numpy(positions.space).reshape(1, 2, 2, 14).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.interpolate(table, size=grid, mode="bilinear", align_corners=False)
    space = theirs[0].permute(1, 2, 0).reshape(-1, 14).numpy()
    (h, w), (p, q) = grid, CONFIG.image_patch_size
    placed = video_position_embedding(positions, CONFIG, (1, 2, 3, h * p, w * q)).reshape(2, -1, 14)
    for t in range(2):
        np.testing.assert_allclose(placed[t], space + positions.time[t] + positions.modality, atol=1e-12)


def test_frequency_positions_are_interpolated_too(params):
    positions = params.encoder.audio_positions
    p, q = CONFIG.audio_patch_size
    placed = audio_position_embedding(positions, CONFIG, (1, 1, 4 * p, 5 * q)).reshape(4, 5, 14)
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


def test_matching_reads_cls_through_a_tanh(params):
    head, cls = params.matching, np.random.default_rng(0).standard_normal((3, 14))
    for b, logit in enumerate(match(head, cls)):
        pooled = np.tanh(run_linear(cls[b], head.pooler))
        assert logit == pytest.approx((head.score.weight @ pooled + head.score.bias)[0])


def test_without_a_final_norm_the_last_hidden_state_is_the_output():
    params = draw_params(CONFIG.replace(final_norm=False), np.random.default_rng(0))
    out = forward(params, *make_clips(), return_hidden=True)
    np.testing.assert_array_equal(out.sequence, out.hidden[-1])


def change(**changed) -> dict:
    video, audio = make_clips()
    return {"video": video, "audio": audio} | changed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (change(video=None, audio=None), "video, audio or both, got neither"),
        (change(video=make_clips(3)[0]), "as many videos as audios, got 3 and 2"),
        (change(video=make_clips()[0][0]), r"5 axes \(B, T, C, H, W\)"),
        (change(audio=make_clips()[1][:, 0]), r"4 axes \(B, C, S, F\)"),
        (change(video=np.zeros((2, 3, 3, 6, 10))), "video with 2 channels, got 3"),
        (change(audio=np.zeros((2, 2, 10, 21))), "audio with 1 channels, got 2"),
        (change(video=np.zeros((2, 3, 2, 7, 10))), "axis H of video has the size 7"),
        (change(audio=np.zeros((2, 1, 10, 22))), "axis F of audio has the size 22"),
        (change(video=np.zeros((0, 3, 2, 6, 10)), audio=None), "without an axis of size 0"),
        (
            change(video=np.zeros((2, 3, 2, 6, 10), np.uint8)),
            r"floating-point numbers in \[-1, 1\], got uint8",
        ),
        (
            change(video_mask=np.ones((2, NV + 1), bool)),
            r"video_mask as booleans .*\(2, 12\), got bool .*\(2, 13\)",
        ),
        (
            change(audio_mask=np.ones((1, NA), bool)),
            r"audio_mask as booleans .*\(2, 15\), got bool .*\(1, 15\)",
        ),
        (change(audio_mask=np.ones((2, NA))), r"audio_mask as booleans .* got float64"),
        (change(audio_mask=np.ones((2, NA), np.int64)), r"audio_mask as booleans .* got int64"),
        (change(video=None, video_mask=np.ones((2, NV), bool)), "video_mask without video"),
    ],
)
def test_bad_input_is_refused_with_a_reason(params, arguments, said):
    with annotations_unchecked(), pytest.raises(ValueError, match=said):
        forward(params, **arguments)


@pytest.mark.parametrize("moved", ["video", "video_mask", "params", "audio"])
def test_numpy_and_torch_do_not_mix(params, moved):
    pytest.importorskip("torch", reason="nothing to mix NumPy with")
    arguments = {"params": params} | change(video_mask=np.ones((2, NV), bool))
    arguments[moved] = to_backend(arguments[moved], "torch")
    with annotations_unchecked(), pytest.raises(ValueError, match="different libraries"):
        forward(**arguments)


def test_nothing_that_is_handed_in_is_changed(params):
    video, audio = make_clips()
    for _, array in walk((params, video, audio)):
        array.setflags(write=False)  # writing into it is an error now
    forward(params, video, audio)


# Tokens of any origin


def test_encode_is_forward_without_the_embeddings(params):
    video, audio = make_clips()
    masks = np.arange(NV) < np.array([[NV], [4]]), np.arange(NA) < np.array([[6], [NA]])
    tokens = embed_video(params.encoder, CONFIG, video, masks[0]), embed_audio(params.encoder, CONFIG, audio)
    expected = forward(params, video, audio, *masks, return_hidden=True, return_attention=True)
    found = encode(params, *tokens, *masks, return_hidden=True, return_attention=True)
    assert_trees_close(found, expected, rtol=0)
    alone = encode(params, None, tokens[1], has_cls=False)
    assert alone.cls is None and alone.video is None and alone.sequence.shape == (2, NA, 14)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"video_tokens": None, "audio_tokens": None}, "video, audio or both, got neither"),
        (
            {"video_tokens": np.zeros((2, 5, 13))},
            r"of the shape \(B, N, 14\), got float64 of the shape \(2, 5, 13\)",
        ),
        (
            {"audio_tokens": np.zeros((2, 14))},
            r"audio_tokens as floating-point .* got float64 of the shape \(2, 14\)",
        ),
        ({"audio_tokens": np.zeros((3, 4, 14))}, "as many videos as audios, got 2 and 3"),
        ({"audio_tokens": np.zeros((2, 4, 14), int)}, "audio_tokens as floating-point numbers"),
        ({"video_mask": np.ones((2, 4), bool)}, r"video_mask as booleans of the shape \(2, 5\)"),
        ({"video_tokens": None, "video_mask": np.ones((2, 5), bool)}, "video_mask without video"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(params, changed, said):
    tokens = {"video_tokens": np.zeros((2, 5, 14)), "audio_tokens": np.zeros((2, 4, 14))}
    with annotations_unchecked(), pytest.raises(ValueError, match=said):
        encode(params, **{**tokens, **changed})
