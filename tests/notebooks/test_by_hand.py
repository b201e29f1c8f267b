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
from minitvlt.backends.tape_backend import attention_vjp, layer_norm_vjp, linear_vjp, softmax_vjp
from minitvlt.model import pretraining, transformer, tvlt
from minitvlt.model.transformer import run_block
from minitvlt.signals import spectrogram
from minitvlt.training import metrics
from minitvlt.training.evaluation import score_retrieval
from minitvlt.training.optimizer import AdamWState, apply_adamw, start_adamw, update_adamw
from minitvlt.training.optimizer import compute_learning_rate as learning_rate

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
LABELS, CLASSES, RECIPE = ROWS > 0, np.array([[0, 3, 1], [1, 3, 1]]), mt.Recipe(steps=9, warmup_steps=3)
LOSS = mt.pretraining_loss(PARAMS, BATCH)
PATCHES, HIDDEN = mt.patchify_video(BATCH.video, CONFIG.image_patch_size), BATCH.video_masking.is_hidden
SCORES, ALLOWED = mt.score_matches(PARAMS, CLIPS.video, CLIPS.audio), IS_REAL[:, None, None]
QUAD = (G, ROWS, LOGITS, WEIGHT)


def compute_loss(params: Any) -> Any:
    return mt.pretraining_loss(params, BATCH).loss


def take_step(adamw_step: Callable) -> tuple[Any, Any]:
    """The reader counts steps from 1."""
    theirs = update_adamw(AdamWState(ROWS, LOGITS, G**2), WEIGHT, 4, RECIPE)
    ours = adamw_step(ROWS, WEIGHT, LOGITS, G**2, 5, learning_rate(4, RECIPE), RECIPE.weight_decay)
    return np.vstack(ours), np.vstack([theirs.parameters, theirs.mean, theirs.square])


def train_one_clip(train: Callable) -> tuple[Any, Any]:
    """The first steps of the reader's loop, and of the package's."""
    names = train.__globals__
    names.update(config=CONFIG, compute=mt.value_and_grad(names["compute_loss"], has_aux=True))
    ours, trainer = list(train(mt.map_tree(np.copy, PARAMS), RECIPE, lambda rng: BATCH)), start_adamw(PARAMS)
    compute = mt.value_and_grad(compute_loss)
    for step in range(RECIPE.steps):
        loss, gradients = compute(trainer.parameters)
        apply_adamw(trainer, gradients, min(1, 1 / ours[step]["gradient_norm"]), step, RECIPE)
    return ours[-1]["loss"], loss


def run_on_counting(make_backend: Callable) -> tuple[Any, Any]:
    """The whole model on the reader's library."""
    counted = make_backend.__globals__["Counted"]
    mt.register_backend(make_backend(), lambda array: isinstance(array, counted))
    inside = mt.to_backend((PARAMS, CLIPS.video, CLIPS.audio), "counting")
    return mt.to_backend(mt.score_matches(*inside), "numpy"), SCORES


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
    ("04", "attend_masked"): lambda f: (f(Q, K, V, ALLOWED), numpy_backend.attention(Q, K, V, IS_REAL)),
    ("04", "transformer_block"): lambda f: (
        f(X, BLOCK, 4, EPS, ALLOWED),
        run_block(X, BLOCK, 4, EPS, IS_REAL),
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
    ("05", "matching_head"): lambda f: (f(PARAMS.matching, WHOLE.cls), SCORES),
    ("05", "fill_in"): fill_in,
    ("06", "run_backward"): run_on_tape,
    ("06", "linear_vjp"): lambda f: (np.vstack(f(*QUAD[:3])), np.vstack(linear_vjp(*QUAD[:3]))),
    ("06", "softmax_vjp"): lambda f: (f(G, ROWS), softmax_vjp(G, ROWS)),
    ("06", "layer_norm_vjp"): lambda f: (f(G, ROWS, G[0], 1)[0], layer_norm_vjp(G, ROWS, G[0], 1.0)[0]),
    ("06", "attention_vjp"): lambda f: (
        f(*QUAD)[1],
        attention_vjp(*(x[None, None] for x in QUAD), None)[1][0, 0],
    ),
    ("07", "binary_cross_entropy"): lambda f: (f(LOSS.match_logits, BATCH.is_match), LOSS.match_loss),
    ("07", "masked_mse"): lambda f: (f(LOSS.video_prediction, PATCHES, HIDDEN), LOSS.video_loss),
    ("07", "adamw_step"): take_step,
    ("07", "learning_rate"): lambda f: (
        [f(k, RECIPE) for k in (2, 5)],
        [learning_rate(k, RECIPE) for k in (1, 4)],
    ),
    ("07", "train"): train_one_clip,
    ("08", "compute_ranks"): lambda f: (f(LOGITS), metrics.compute_ranks(LOGITS)),
    ("08", "recall_at"): lambda f: (f(5, LOGITS), score_retrieval(LOGITS)["recall@5 of 6"].value),
    ("08", "median_rank"): lambda f: (f(LOGITS), score_retrieval(LOGITS)["median rank"].value),
    ("08", "accuracy"): lambda f: (f(*CLASSES), metrics.compute_accuracy(*CLASSES)),
    ("08", "pearson"): lambda f: (f(G[0], ROWS[0]), metrics.compute_pearson(G[0], ROWS[0])),
    ("08", "f1"): lambda f: (f(LOGITS > 0, LABELS), metrics.compute_f1(LOGITS > 0, LABELS)),
    ("09", "make_backend"): run_on_counting,
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


@pytest.mark.parametrize(
    "names", [("0.attention.qkv.weight", "3.attention.qkv.weight"), ("1.mlp_norm.weight", "1.mlp_norm.bias")]
)
def test_the_check_of_the_whole_gradient_finds_exchanged_arrays(names):
    find_error, first, second = (
        define("06")["find_gradient_error"],
        *(f"encoder.blocks.{name}" for name in names),
    )
    gradients = mt.flatten(mt.value_and_grad(compute_loss)(PARAMS)[1])
    exchanged = gradients | {first: gradients[second], second: gradients[first]}
    assert (
        find_error(compute_loss, PARAMS, gradients)
        < 1e-6
        < 1e-4
        < find_error(compute_loss, PARAMS, exchanged)
    )
