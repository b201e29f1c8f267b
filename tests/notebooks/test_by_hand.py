"""What the reader of a notebook writes agrees with the package."""

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jupytext", reason="the sources of notebooks are read by jupytext")
import build
import minitvlt as mt
from minitvlt.backends import numpy_backend, tape_backend
from minitvlt.model import pretraining, transformer
from minitvlt.model.parameters import LayerNorm
from minitvlt.model.tasks import LOSSES, pool_tokens
from minitvlt.signals import spectrogram
from minitvlt.training import metrics, optimizer
from minitvlt.training.evaluation import score_retrieval
from minitvlt.training.finetuning import replace_head
from tests.notebooks import test_formulas as given

Pair = tuple[Any, Any]  # what the reader's function gives, and what the package gives
NOISE, TOKENS = given.RNG.normal(size=(2, 3, 10))
MASKING, COLUMN = mt.random_masking(NOISE, 0.9), NOISE[..., None]
KEPT = TOKENS[:, :1, None], TOKENS[0, :1]
BLOCK, TOKENS_IN = given.ENCODER.blocks[0], given.WHOLE.hidden[0]
QKV, RUN = transformer.run_linear(TOKENS_IN, BLOCK.attention.qkv), (TOKENS_IN, BLOCK, 4, 1e-6)
HEADS = transformer.split_heads(TOKENS_IN, BLOCK.attention, 4)  # q, k, v
IS_REAL = np.arange(TOKENS_IN.shape[1])[None] < 5
PARAMS = mt.map_tree(lambda array: array.astype(float), given.PARAMS)
ALLOWED, HEAD = IS_REAL[:, None, None], [x[0, 0] for x in (given.O_BACK, given.Q, given.KEY, given.V)]
OUT, LOGITS, RECIPE = given.OUT, given.LOGITS, mt.Recipe(steps=4, warmup_steps=2)
SQUARE, PAIR = LOGITS[:, :3], (given.X, given.G)
HIDDEN, ROWS = given.BATCH.video_masking.is_hidden, mt.patchify_video(given.BATCH.video, (12, 12))
CLIPS, BOTH = (given.CLIP.video, given.CLIP.audio), given.RNG.normal(size=(2, 40, 6)) > 0
FEELING = replace_head(
    mt.init(given.CONFIG.replace(classifier_pooler=True)), mt.Task("labels", names=("a", "b"))
)
FEELING = mt.map_tree(lambda array: array + 0.1, FEELING)


def join(arrays: Any) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays])


def compute_loss(params: Any) -> Any:
    return mt.pretraining_loss(params, given.BATCH).loss


def train_by_hand(train: Callable) -> Pair:
    """The losses of the first steps of the reader's loop, and of the package's, on one batch."""
    names = train.__globals__
    names.update(config=given.CONFIG, compute=mt.value_and_grad(names["compute_loss"], has_aux=True))
    ours = list(train(mt.map_tree(np.copy, PARAMS), RECIPE, lambda rng: given.BATCH))
    state, theirs = optimizer.start_adamw(PARAMS), []
    for step in range(RECIPE.steps):
        loss, gradients = mt.value_and_grad(compute_loss)(state.parameters)
        optimizer.apply_adamw(state, gradients, min(1, 1 / ours[step]["gradient_norm"]), step, RECIPE)
        theirs.append(loss)
    return [line["loss"] for line in ours], theirs


def plant_exchanged_gradients(find_gradient_error: Callable) -> Pair:
    """The check of the whole gradient agrees, but not if two arrays of it are exchanged."""
    found = mt.flatten(mt.value_and_grad(compute_loss)(PARAMS)[1])
    errors = [find_gradient_error(compute_loss, PARAMS, found, 1e-5)]
    for first, second in (
        ("0.attention.qkv.weight", "3.attention.qkv.weight"),
        ("1.mlp_norm.weight", "1.mlp_norm.bias"),
    ):
        a, b = f"encoder.blocks.{first}", f"encoder.blocks.{second}"
        errors.append(find_gradient_error(compute_loss, PARAMS, found | {a: found[b], b: found[a]}, 1e-5))
    return np.array(errors) > 1e-4, [False, True, True]


def run_on_counting(make_backend: Callable) -> Pair:
    """The whole model on the reader's library."""
    counted = make_backend.__globals__["Counted"]
    mt.register_backend(make_backend(), lambda array: isinstance(array, counted))
    inside = mt.to_backend((PARAMS, given.CLIP.video, given.CLIP.audio), "counting")
    plain = mt.score_matches(PARAMS, given.CLIP.video, given.CLIP.audio)
    return mt.to_backend(mt.score_matches(*inside), "numpy"), plain


def run_on_tape(run_backward: Callable) -> Pair:
    """A linear map, a product, a sum and a difference on the reader's tape, and on the package's."""
    names, arrays = run_backward.__globals__, (given.LX, given.LW)
    names["numbers"] = names["count"]()
    x, w, b = (names["Recorded"](array) for array in (*arrays, np.zeros(2)))
    y = names["linear"](x, w, b)
    run_backward(names["total"](y * y + y - y))
    theirs = mt.value_and_grad(lambda arrays: tape_backend.sum(tape_backend.linear(*arrays) ** 2))(arrays)[1]
    return np.vstack([x.cotangent, w.cotangent]), np.vstack(theirs)


def fill_in(by_hand: Callable) -> Pair:
    """Predict the audio with your decoder, which uses some names of the notebook."""
    config, decoder, clip = given.CONFIG, PARAMS.decoder, given.CLIP
    by_hand.__globals__.update(config=config, decoder=decoder, eps=config.layer_norm_eps)
    batch = mt.make_batch(clip, config, np.random.default_rng(0))
    masks, tokens = (batch.video_masking, batch.audio_masking), (given.Z_VIDEO, given.Z_AUDIO)
    kept = [pretraining.keep_tokens(x[None], masking) for x, masking in zip(tokens, masks, strict=True)]
    places = pretraining.audio_position_embedding(decoder.audio_positions, config, clip.audio.shape)
    y_kept = mt.encode(PARAMS, *kept).audio
    ours = by_hand(y_kept, masks[1], decoder.audio_mask_token, places, decoder.audio_head)
    return ours, mt.autoencode(PARAMS, batch)[1]


BY_HAND: dict[str, Callable[[Callable], Pair]] = {  # the notebook's number and the name of the function
    "01 cut_frames": lambda f: (f(given.WAVE, 34, 9), spectrogram.frame_waveform(given.WAVE, 34, 9)),
    "01 hann_window": lambda f: (f(given.M), given.WINDOW),
    "01 stft": lambda f: (f(given.WAVE, given.M, given.HOP), given.STFT),
    "01 mel_filters": lambda f: (f(given.RATE, given.BINS, given.M), given.FILTERS),
    "01 to_decibel": lambda f: (f(given.POWER**9), spectrogram.power_to_decibel(given.POWER**9)),
    "01 log_mel": lambda f: (f(given.WAVE, 800, 5, 34, 9), mt.log_mel_spectrogram(given.WAVE, 800, 5, 34, 9)),
    "02 patchify_video": lambda f: (f(given.VIDEO, 2, 3), mt.patchify_video(given.VIDEO, (2, 3))),
    "02 patchify_audio": lambda f: (f(given.PICTURE, 2, 3), mt.patchify_audio(given.PICTURE, (2, 3))),
    "03 random_masking": lambda f: (np.hstack(f(NOISE, 0.9)), np.hstack([*vars(MASKING).values()][:3])),
    "03 keep_tokens": lambda f: (f(COLUMN, MASKING.keep), pretraining.keep_tokens(COLUMN, MASKING)),
    "03 restore_tokens": lambda f: (f(*KEPT, MASKING.restore), pretraining.restore_tokens(*KEPT, MASKING)),
    "04 layer_norm": lambda f: (
        f(given.NX, LayerNorm(given.GAMMA, given.BETA), 1e-3),
        numpy_backend.layer_norm(given.NX, given.GAMMA, given.BETA, 1e-3),
    ),
    "04 split_heads": lambda f: (f(QKV, 4), np.array(HEADS)),
    "04 merge_heads": lambda f: (f(HEADS[0]), HEADS[0].transpose(0, 2, 1, 3).reshape(TOKENS_IN.shape)),
    "04 attend_masked": lambda f: (f(*HEADS, ALLOWED), numpy_backend.attention(*HEADS, IS_REAL)),
    "04 transformer_block": lambda f: (f(*RUN, ALLOWED), transformer.run_block(*RUN, IS_REAL)),
    "05 video_positions": lambda f: (f(given.E, 2), given.Z_VIDEO - given.E_VIDEO),
    "05 audio_positions": lambda f: (f(given.F, 2), given.Z_AUDIO - given.E_AUDIO),
    "05 join": lambda f: (f(given.ENCODER.cls, given.Z_VIDEO[None], given.Z_AUDIO[None]), TOKENS_IN),
    "05 matching_head": lambda f: (f(given.HEAD, given.WHOLE.cls), mt.score_matches(PARAMS, *CLIPS)),
    "05 fill_in": fill_in,
    "06 run_backward": run_on_tape,
    "06 linear_vjp": lambda f: (join(f(given.LG, given.LX, given.LW)), join(given.LINEAR_BACK)),
    "06 softmax_vjp": lambda f: (f(given.G, given.X), tape_backend.softmax_vjp(given.G, given.X)),
    "06 layer_norm_vjp": lambda f: (join(f(given.NG, given.NX, given.GAMMA, 1e-6)), join(given.NORM_BACK)),
    "06 attention_vjp": lambda f: (np.array(f(*HEAD)), np.array(given.ATTENTION_BACK)),
    "06 find_gradient_error": plant_exchanged_gradients,
    "07 binary_cross_entropy": lambda f: (f(OUT.match_logits, given.BATCH.is_match), OUT.match_loss),
    "07 masked_mse": lambda f: (f(OUT.video_prediction, ROWS, HIDDEN), OUT.video_loss),
    "07 adamw_step": lambda f: (
        f(given.THETA, given.COTANGENT, given.MEAN, given.SQUARE, 5, 0.1, 0.2, 0.9, 0.98),
        given.AFTER,
    ),
    "07 learning_rate": lambda f: (
        [f(k, RECIPE) for k in range(1, 5)],
        [optimizer.compute_learning_rate(step, RECIPE) for step in range(4)],
    ),
    "07 train": train_by_hand,
    "08 compute_ranks": lambda f: (f(SQUARE), metrics.compute_ranks(SQUARE)),
    "08 recall_at": lambda f: (f(1, SQUARE), score_retrieval(SQUARE)["recall@1 of 3"].value),
    "08 median_rank": lambda f: (f(SQUARE), score_retrieval(SQUARE)["median rank"].value),
    "08 accuracy": lambda f: (f(given.LABELS, given.LABELS[::-1]), 1 / 3),
    "08 pearson": lambda f: (f(given.G, given.X), metrics.compute_pearson(given.G, given.X)),
    "08 f1": lambda f: (f(SQUARE > 0, SQUARE < 1), metrics.compute_f1(SQUARE > 0, SQUARE < 1)),
    "09 make_backend": run_on_counting,
    "13 run_head": lambda f: (
        f(FEELING.classifier, pool_tokens(FEELING, CLIPS, (None, None)), FEELING.config.classifier_norm_eps),
        mt.classify(FEELING, *CLIPS),
    ),
    "13 squared_error": lambda f: (f(given.X, given.G), LOSSES["regression"](given.X[:, None], given.G) / 7),
    "13 label_loss": lambda f: (f(LOGITS, LOGITS < 1), LOSSES["labels"](LOGITS, LOGITS < 1) / 3),
    "13 sign_accuracy": lambda f: (f(*PAIR), metrics.compute_sign_accuracy(*PAIR)),
    "13 mean_absolute_error": lambda f: (f(*PAIR), metrics.compute_mean_absolute_error(*PAIR)),
    "13 pearson": lambda f: (f(given.G, given.X), metrics.compute_pearson(given.G, given.X)),
    "13 f1": lambda f: (f(*BOTH), metrics.compute_f1(*BOTH)),
    "13 weighted_accuracy": lambda f: (f(*BOTH), metrics.compute_weighted_accuracy(*BOTH)),
}


def list_cells(number: str, kind: str) -> list[str]:
    """List the sources of the cells of one kind, "code" or "markdown"."""
    (path,) = build.HERE.glob(f"{number}_*.py")
    return [cell.source for cell in build.read_source(path).cells if cell.cell_type == kind]


def define_names(number: str) -> dict[str, Any]:
    """Execute the imports and definitions of a notebook, nothing else of it."""
    tree, names = ast.parse("\n".join(list_cells(number, "code"))), {"mt": mt}
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree.body = [node for node in tree.body if isinstance(node, kinds)]
    exec(compile(tree, number, "exec"), names)
    return names


@pytest.mark.parametrize("name", BY_HAND)
def test_what_the_reader_writes_agrees_with_the_package(name):
    names = define_names(name[:2])
    np.testing.assert_allclose(*BY_HAND[name](names[name[3:]]), rtol=1e-5, atol=1e-5)
