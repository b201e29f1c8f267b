"""What the reader of a notebook writes agrees with the package; the code of folded answers runs."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

import helpers.notebook
import minitvlt as mt
from minitvlt.backends import numpy_backend, tape_backend
from minitvlt.model import pretraining, transformer, tvlt
from minitvlt.signals import spectrogram
from minitvlt.training import metrics, optimizer
from minitvlt.training.evaluation import score_retrieval

HERE = Path(__file__).parents[2] / "notebooks"
Names = dict[str, Any]
RNG = np.random.default_rng(15)
WAVE, POWER = RNG.normal(size=301), RNG.uniform(size=(7, 5)) ** 20
NOISE, TOKENS = RNG.uniform(size=(3, 10)), RNG.normal(size=(3, 10, 4))
MASKING = mt.random_masking(NOISE, 0.9)
MASKED = (MASKING.keep, MASKING.restore, MASKING.is_hidden)
VIDEO = RNG.normal(size=(2, 4, 3, 6, 9))

CONFIG = mt.Config.tiny(num_frames=2, image_size=(24, 36), spectrogram_length=16, frequency_length=24)
PARAMS = mt.to_backend(mt.init(CONFIG, seed=1), "numpy", dtype="float64")
ENCODER, CLIPS = PARAMS.encoder, mt.ShapesWorld(CONFIG).sample(RNG, 3)
BATCH = mt.make_batch(CLIPS, CONFIG, RNG)
EMBEDDED = tvlt.embed_clips(PARAMS, (CLIPS.video, CLIPS.audio), (None, None))
WHOLE = mt.forward(PARAMS, CLIPS.video, CLIPS.audio, return_hidden=True)
BLOCK, X, EPS = ENCODER.blocks[0], WHOLE.hidden[0], CONFIG.layer_norm_eps
QKV = transformer.run_linear(X, BLOCK.attention.qkv)
Q, K, V = transformer.split_heads(X, BLOCK.attention, 4)
IS_REAL = RNG.uniform(size=X.shape[:2]) > [[0.2], [0.5], [1]]  # of the last clip nothing is real
G, ROWS, LOGITS, WEIGHT = RNG.normal(size=(4, 6, 6))
LABELS, CLASSES, RECIPE = ROWS > 0, np.array([0, 3, 1, 1, 3]), mt.Recipe(steps=9, warmup_steps=3)
LOSS = mt.pretraining_loss(PARAMS, BATCH)
ROWS_OF_HEAD = (ROWS, LOGITS, WEIGHT)
VJPS = {
    "linear": tape_backend.linear_vjp(G, ROWS, WEIGHT),
    "layer_norm": tape_backend.layer_norm_vjp(G, ROWS, G[0], EPS),
    "attention": tape_backend.attention_vjp(G[None, None], *(x[None, None] for x in ROWS_OF_HEAD), None),
}
PATCHES = mt.patchify_video(BATCH.video, CONFIG.image_patch_size)


def compare_adamw(by_hand: Callable) -> tuple[Any, Any]:
    """The reader counts steps from 1."""
    theirs = optimizer.update_adamw(optimizer.AdamWState(ROWS, LOGITS, G**2), WEIGHT, 4, RECIPE)
    eta = optimizer.compute_learning_rate(4, RECIPE)
    ours = by_hand(ROWS, WEIGHT, LOGITS, G**2, 5, eta, RECIPE.weight_decay)
    return np.array(ours), np.array([theirs.parameters, theirs.mean, theirs.square])


def compare_training(train: Callable) -> tuple[Any, Any]:
    """Three steps of the reader's loop, and the same steps of the package in one process."""
    train.__globals__.update(config=CONFIG)
    train.__globals__["compute"] = mt.value_and_grad(train.__globals__["compute_loss"], has_aux=True)
    ours = [line["loss"] for line in train(mt.map_tree(np.copy, PARAMS), RECIPE, lambda rng: BATCH)]
    compute, state = (
        mt.value_and_grad(lambda p: mt.pretraining_loss(p, BATCH).loss),
        optimizer.start_adamw(PARAMS),
    )
    theirs = []
    for step in range(RECIPE.steps):
        loss, gradients = compute(state.parameters)
        norm = np.sqrt(sum(np.sum(g * g) for g in mt.flatten(gradients).values()))
        optimizer.apply_adamw(state, gradients, min(1, RECIPE.clip_norm / norm), step, RECIPE)
        theirs.append(loss)
    return ours, theirs


def run_on_counting(make_backend: Callable) -> tuple[Any, Any]:
    """The whole model on the reader's library."""
    counted = make_backend.__globals__["Counted"]
    mt.register_backend(make_backend(), lambda array: isinstance(array, counted))
    inside = mt.to_backend((PARAMS, CLIPS.video, CLIPS.audio), "counting")
    return mt.to_backend(mt.score_matches(*inside), "numpy"), mt.score_matches(
        PARAMS, CLIPS.video, CLIPS.audio
    )


def run_on_tape(run_backward: Callable) -> tuple[Any, Any]:
    """A linear map, a square and a sum on the reader's tape, and on the package's."""
    names = run_backward.__globals__
    names["numbers"] = names["count"]()
    arrays = (ROWS, WEIGHT, G[0])
    mine = [names["Recorded"](array) for array in arrays]
    y = names["linear"](*mine)
    run_backward(names["total"](y * y + y - y))
    theirs = mt.value_and_grad(lambda arrays: tape_backend.sum(tape_backend.linear(*arrays) ** 2))(arrays)[1]
    return np.vstack([each.cotangent for each in mine]), np.vstack(theirs)


def fill_in(by_hand: Callable) -> tuple[Any, Any]:
    """The reader's decoder for audio, which reads some names of the notebook."""
    decoder, masks = PARAMS.decoder, (BATCH.video_masking, BATCH.audio_masking)
    by_hand.__globals__.update(decoder=decoder, config=CONFIG, eps=CONFIG.layer_norm_eps)
    kept = [pretraining.keep_tokens(x, masking) for x, masking in zip(EMBEDDED, masks, strict=True)]
    places = tvlt.audio_position_embedding(decoder.audio_positions, CONFIG, CLIPS.audio.shape)
    ours = by_hand(
        mt.encode(PARAMS, *kept).audio, masks[1], decoder.audio_mask_token, places, decoder.audio_head
    )
    return ours, mt.autoencode(PARAMS, BATCH)[1]


# (number of a notebook, function that the reader writes): what it gives, and what the package gives
BY_HAND: dict[tuple[str, str], Callable[[Callable], tuple[Any, Any]]] = {
    ("01", "cut_frames"): lambda f: (f(WAVE, 34, 9), spectrogram.frame_waveform(WAVE, 34, 9)),
    ("01", "hann_window"): lambda f: (f(34), spectrogram.make_window(34)),
    ("01", "stft"): lambda f: (f(WAVE, 34, 9), spectrogram.compute_stft(WAVE, 34, 9)),
    ("01", "mel_filters"): lambda f: (f(8000, 5, 34), spectrogram.make_mel_filters(8000, 5, 34)),
    ("01", "to_decibel"): lambda f: (f(POWER), spectrogram.power_to_decibel(POWER)),
    ("01", "log_mel"): lambda f: (f(WAVE, 8000, 5, 34, 9), mt.log_mel_spectrogram(WAVE, 8000, 5, 34, 9)),
    ("02", "patchify_video"): lambda f: (f(VIDEO, 2, 3), mt.patchify_video(VIDEO, (2, 3))),
    ("02", "patchify_audio"): lambda f: (f(VIDEO[:, 0], 2, 3), mt.patchify_audio(VIDEO[:, 0], (2, 3))),
    ("03", "random_masking"): lambda f: (np.concatenate(f(NOISE, 0.9), 1), np.concatenate(MASKED, 1)),
    ("03", "keep_tokens"): lambda f: (f(TOKENS, MASKING.keep), pretraining.keep_tokens(TOKENS, MASKING)),
    ("03", "restore_tokens"): lambda f: (
        f(TOKENS[:, :1], TOKENS[0, 0], MASKING.restore),
        pretraining.restore_tokens(TOKENS[:, :1], TOKENS[0, 0], MASKING),
    ),
    ("04", "layer_norm"): lambda f: (f(X, ENCODER.norm, 1e-3), transformer.run_norm(X, ENCODER.norm, 1e-3)),
    ("04", "split_heads"): lambda f: (f(QKV, 4), np.array([Q, K, V])),
    ("04", "merge_heads"): lambda f: (f(Q), Q.transpose(0, 2, 1, 3).reshape(X.shape)),
    ("04", "attend"): lambda f: (f(Q, K, V), numpy_backend.attention(Q, K, V)),
    ("04", "attend_masked"): lambda f: (
        f(Q, K, V, IS_REAL[:, None, None]),
        numpy_backend.attention(Q, K, V, IS_REAL),
    ),
    ("04", "attend_in_blocks"): lambda f: (f(Q, K, V, 4), numpy_backend.attention(Q, K, V)),
    ("04", "gelu"): lambda f: (f(X), numpy_backend.gelu(X)),
    ("04", "transformer_block"): lambda f: (
        f(X, BLOCK, 4, EPS, IS_REAL[:, None, None]),
        transformer.run_block(X, BLOCK, 4, EPS, IS_REAL),
    ),
    ("05", "video_positions"): lambda f: (
        f(ENCODER.video_positions, 2),
        tvlt.video_position_embedding(ENCODER.video_positions, CONFIG, CLIPS.video.shape),
    ),
    ("05", "audio_positions"): lambda f: (
        f(ENCODER.audio_positions, 2),
        tvlt.audio_position_embedding(ENCODER.audio_positions, CONFIG, CLIPS.audio.shape),
    ),
    ("05", "join"): lambda f: (f(ENCODER.cls, *EMBEDDED), WHOLE.hidden[0]),
    ("05", "run_encoder"): lambda f: (
        f(WHOLE.hidden[0], ENCODER.blocks, ENCODER.norm, 4, 1e-6),
        WHOLE.sequence,
    ),
    ("05", "matching_head"): lambda f: (
        f(PARAMS.matching, WHOLE.cls),
        mt.score_matches(PARAMS, CLIPS.video, CLIPS.audio),
    ),
    ("05", "fill_in"): fill_in,
    ("06", "run_backward"): run_on_tape,
    ("06", "linear_vjp"): lambda f: (np.vstack(f(G, ROWS, WEIGHT)), np.vstack(VJPS["linear"])),
    ("06", "softmax_vjp"): lambda f: (f(G, ROWS), tape_backend.softmax_vjp(G, ROWS)),
    ("06", "layer_norm_vjp"): lambda f: (f(G, ROWS, G[0], EPS)[0], VJPS["layer_norm"][0]),
    ("06", "attention_vjp"): lambda f: (f(G, *ROWS_OF_HEAD), np.array(VJPS["attention"])[:, 0, 0]),
    ("07", "binary_cross_entropy"): lambda f: (f(LOSS.match_logits, BATCH.is_match), LOSS.match_loss),
    ("07", "masked_mse"): lambda f: (
        f(LOSS.video_prediction, PATCHES, BATCH.video_masking.is_hidden),
        LOSS.video_loss,
    ),
    ("07", "adamw_step"): compare_adamw,
    ("07", "learning_rate"): lambda f: (
        [f(k, RECIPE) for k in range(1, 10)],
        [optimizer.compute_learning_rate(step, RECIPE) for step in range(9)],
    ),
    ("07", "train"): compare_training,
    ("08", "compute_ranks"): lambda f: (f(LOGITS), metrics.compute_ranks(LOGITS)),
    ("08", "recall_at"): lambda f: (f(5, LOGITS), score_retrieval(LOGITS)["recall@5 of 6"].value),
    ("08", "median_rank"): lambda f: (f(LOGITS), score_retrieval(LOGITS)["median rank"].value),
    ("08", "accuracy"): lambda f: (
        f(CLASSES, CLASSES[::-1]),
        metrics.compute_accuracy(CLASSES, CLASSES[::-1]),
    ),
    ("08", "pearson"): lambda f: (f(G[0], ROWS[0]), metrics.compute_pearson(G[0], ROWS[0])),
    ("08", "f1"): lambda f: (f(LOGITS > 0, LABELS), metrics.compute_f1(LOGITS > 0, LABELS)),
    ("09", "make_backend"): run_on_counting,
    ("10", "attend_in_query_blocks"): lambda f: (f(Q, K, V, 4), numpy_backend.attention(Q, K, V)),
}
# Notebooks whose folded answers hold code, and what is shortened before they run
ANSWERED: dict[str, dict[str, str]] = {
    **{number: {} for number in ("00", "01", "02", "03", "04", "05", "06", "09")},
    "07": {"steps=800": "steps=20", "clips=256": "clips=16"},
    "08": {"params, 120)": "params, 2)", "params, 250)": "params, 2)", ", 300)": ", 2)"},
    "10": {"tries=5": "tries=1", '"-c", SCRIPT': '"-c", ""'},
}


def list_cells(number: str, is_code: bool) -> list[str]:
    """List the sources of the cells of code, or of the cells of text."""
    (path,) = HERE.glob(f"{number}_*.py")
    cells = re.split(r"^# %%(.*)\n", path.read_text("utf-8"), flags=re.M)[1:]
    return [
        text if is_code else re.sub(r"^# ?", "", text, flags=re.M)
        for head, text in zip(cells[::2], cells[1::2], strict=True)
        if ("[markdown]" not in head) == is_code
    ]


def define(number: str) -> Names:
    """Execute imports and definitions of a notebook, and nothing else of it."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree = ast.parse("\n".join(list_cells(number, is_code=True)))
    tree.body = [node for node in tree.body if isinstance(node, kinds)]
    names: Names = {"mt": mt}
    exec(compile(tree, number, "exec"), names)
    return names


@pytest.mark.parametrize(("number", "name"), BY_HAND)
def test_what_the_reader_writes_agrees_with_the_package(number, name):
    ours, theirs = BY_HAND[number, name](define(number)[name])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", ANSWERED)
def test_the_code_of_folded_answers_runs_after_the_cells(number, monkeypatch):
    monkeypatch.chdir(HERE)
    monkeypatch.setattr(helpers.notebook, "show", lambda *_, **__: None)  # drawing takes long
    names: Names = {"display": MagicMock()}
    for cell in list_cells(number, is_code=True):
        for old, new in ANSWERED[number].items():
            cell = cell.replace(old, new)
        exec(cell, names)
    answers = re.findall(
        r"<details>.*?```python\n(.*?)```.*?</details>", "".join(list_cells(number, False)), re.S
    )
    assert len(answers) >= 3
    for answer in answers:
        exec(answer, dict(names))


def test_the_check_of_the_whole_gradient_finds_exchanged_arrays():
    find_error = define("06")["find_gradient_error"]
    compute_loss = lambda params: mt.pretraining_loss(params, BATCH).loss  # noqa: E731
    by_name = mt.flatten(mt.value_and_grad(compute_loss)(PARAMS)[1])
    assert find_error(compute_loss, PARAMS, by_name) < 1e-6
    last = CONFIG.num_hidden_layers - 1
    pairs = [(f"encoder.blocks.{n}.attention.qkv.weight" for n in (0, last))]
    pairs += [(f"encoder.blocks.1.mlp_norm.{name}" for name in ("weight", "bias"))]
    for first, second in pairs:
        exchanged = by_name | {first: by_name[second], second: by_name[first]}
        assert find_error(compute_loss, PARAMS, exchanged) > 1e-4
