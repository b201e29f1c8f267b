"""What the reader of a notebook writes agrees with the package."""

import ast
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jupytext", reason="the sources of notebooks are read by jupytext")
import build
import minitvlt as mt
from minitvlt.backends import numpy_backend, tape_backend
from minitvlt.checkpoints import names, native, released
from minitvlt.model import pretraining, transformer, tvlt
from minitvlt.model.parameters import LayerNorm
from minitvlt.model.tasks import LOSSES, pool_tokens
from minitvlt.signals import frames, spectrogram
from minitvlt.training import metrics, optimizer
from minitvlt.training.evaluation import score_retrieval
from minitvlt.training.finetuning import replace_head
from minitvlt.views.figures import smooth
from tests.notebooks import test_formulas as given

Pair = tuple[Any, Any]  # what the reader's function gives, and what the package gives
NOISE, TOKENS = given.RNG.normal(size=(2, 3, 10))
MASKING = mt.random_masking(NOISE, 0.9)
ROWS, KEPT = NOISE[..., None], TOKENS[:, :1, None]
RESTORED = pretraining.restore_tokens(KEPT, TOKENS[0, :1], MASKING)
NINE = NOISE[:, :9]

BLOCK, TOKENS_IN = given.ENCODER.blocks[0], given.WHOLE.hidden[0]
HEADS = transformer.split_heads(TOKENS_IN, BLOCK.attention, 4)  # q, k, v
QKV, NORM = transformer.run_linear(TOKENS_IN, BLOCK.attention.qkv), LayerNorm(given.GAMMA, given.BETA)
IS_REAL = np.arange(TOKENS_IN.shape[1])[None] < 5
TOKENS_OUT = transformer.run_block(TOKENS_IN, BLOCK, 4, 1e-6, IS_REAL)
PARAMS = mt.map_tree(lambda array: array.astype(float), given.PARAMS)
ALLOWED, HEAD = IS_REAL[:, None, None], [x[0, 0] for x in (given.O_BACK, given.Q, given.KEY, given.V)]
LOGITS, PAIR = given.LOGITS, (given.X, given.G)
SQUARE, RECIPE = given.LOGITS[:, :3], mt.Recipe(steps=4, warmup_steps=2)
RATES = [optimizer.compute_learning_rate(step, RECIPE) for step in range(RECIPE.steps)]
ADAMW = given.THETA, given.COTANGENT, given.MEAN, given.SQUARE
OUT, HIDDEN = given.OUT, given.BATCH.video_masking.is_hidden
HIDDEN_ROWS = mt.patchify_video(given.BATCH.video, (12, 12))
SCORES = mt.score_matches(PARAMS, given.CLIP.video, given.CLIP.audio)
TIMES, FRAMES = np.arange(9) ** 1.5 / 20, given.RNG.integers(0, 256, (2, 30, 47, 3)).astype(np.uint8)
OURS, THEIRS = mt.flatten(given.PARAMS), names.give_arrays(names.TRANSFORMERS, given.PARAMS)
CONVOLUTION, FILE = THEIRS[names.TRANSFORMERS.anchor], native.PACKAGED / "shapes-small.safetensors"
PATCHES = given.ENCODER.video_patches.weight, given.ENCODER.video_patches.bias
PLACES = tvlt.video_position_embedding(given.E, given.CONFIG, (1, 1, 3, 60, 48)) - given.E.modality
SINGLE = given.torch.tensor(given.G, dtype=given.torch.float32)
BITS = SINGLE.bfloat16().view(given.torch.int16).numpy().view(np.uint16)
MEAN_ROWS = 0 * HIDDEN_ROWS + HIDDEN_ROWS.mean(0)
MEAN_LOSS = pretraining.sum_squared_error(MEAN_ROWS, HIDDEN_ROWS, HIDDEN) / HIDDEN.sum()
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
    return mt.to_backend(mt.score_matches(*inside), "numpy"), SCORES


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


def write_and_read(write: Callable) -> Pair:
    """All parameters in a file of the reader's, read by the package."""
    with tempfile.TemporaryDirectory() as folder:
        write(OURS, Path(folder) / "model.safetensors")
        found = native.read_tensors(Path(folder) / "model.safetensors")
    return join(found[name] for name in OURS), join(OURS.values())


def read_table(read_label_file: Callable) -> Pair:
    """A label file of eight files, two with each content, which the reader divides and reads."""
    folder, split = Path(tempfile.mkdtemp()), read_label_file.__globals__["split_by_content"]
    is_test = split([mt.write_wav(folder / f"{n}.wav", np.full(9, n // 2 / 9), 8000) for n in range(8)], 0.5)
    rows = [f"{n}.wav,{'test' if test else 'train'},{n // 2}" for n, test in enumerate(is_test)]
    (folder / "labels.csv").write_text("\n".join(["file,split,label", *rows]))
    theirs = mt.read_labels(folder / "labels.csv", "classification")  # warns of a content in both parts
    ours = read_label_file(folder / "labels.csv")
    return join([ours[0], ours[2], is_test]), join([theirs.labels, theirs.is_test, theirs.is_test])


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
    "03 keep_tokens": lambda f: (f(ROWS, MASKING.keep), pretraining.keep_tokens(ROWS, MASKING)),
    "03 restore_tokens": lambda f: (f(KEPT, TOKENS[0, :1], MASKING.restore), RESTORED),
    "04 layer_norm": lambda f: (f(given.NX, NORM, 1e-3), transformer.run_norm(given.NX, NORM, 1e-3)),
    "04 split_heads": lambda f: (f(QKV, 4), np.array(HEADS)),
    "04 merge_heads": lambda f: (f(HEADS[0]), HEADS[0].transpose(0, 2, 1, 3).reshape(TOKENS_IN.shape)),
    "04 attend_masked": lambda f: (f(*HEADS, ALLOWED), numpy_backend.attention(*HEADS, IS_REAL)),
    "04 transformer_block": lambda f: (f(TOKENS_IN, BLOCK, 4, 1e-6, ALLOWED), TOKENS_OUT),
    "05 video_positions": lambda f: (f(given.E, 2), given.Z_VIDEO - given.E_VIDEO),
    "05 audio_positions": lambda f: (f(given.F, 2), given.Z_AUDIO - given.E_AUDIO),
    "05 join": lambda f: (f(given.ENCODER.cls, given.Z_VIDEO[None], given.Z_AUDIO[None]), TOKENS_IN),
    "05 matching_head": lambda f: (f(given.HEAD, given.WHOLE.cls), SCORES),
    "05 fill_in": fill_in,
    "06 run_backward": run_on_tape,
    "06 linear_vjp": lambda f: (join(f(given.LG, given.LX, given.LW)), join(given.LINEAR_BACK)),
    "06 softmax_vjp": lambda f: (f(given.G, given.X), tape_backend.softmax_vjp(given.G, given.X)),
    "06 layer_norm_vjp": lambda f: (join(f(given.NG, given.NX, given.GAMMA, 1e-6)), join(given.NORM_BACK)),
    "06 attention_vjp": lambda f: (np.array(f(*HEAD)), np.array(given.ATTENTION_BACK)),
    "06 find_gradient_error": plant_exchanged_gradients,
    "07 binary_cross_entropy": lambda f: (f(OUT.match_logits, given.BATCH.is_match), OUT.match_loss),
    "07 masked_mse": lambda f: (f(OUT.video_prediction, HIDDEN_ROWS, HIDDEN), OUT.video_loss),
    "07 adamw_step": lambda f: (f(*ADAMW, 5, 0.1, 0.2, 0.9, 0.98), given.AFTER),
    "07 learning_rate": lambda f: ([f(k, RECIPE) for k in range(1, 5)], RATES),
    "07 train": train_by_hand,
    "08 compute_ranks": lambda f: (f(SQUARE), metrics.compute_ranks(SQUARE)),
    "08 recall_at": lambda f: (f(1, SQUARE), score_retrieval(SQUARE)["recall@1 of 3"].value),
    "08 median_rank": lambda f: (f(SQUARE), score_retrieval(SQUARE)["median rank"].value),
    "08 accuracy": lambda f: (f(given.LABELS, given.LABELS[::-1]), 1 / 3),
    "08 pearson": lambda f: (f(given.G, given.X), metrics.compute_pearson(given.G, given.X)),
    "08 f1": lambda f: (f(SQUARE > 0, SQUARE < 1), metrics.compute_f1(SQUARE > 0, SQUARE < 1)),
    "09 make_backend": run_on_counting,
    "11 choose_frames": lambda f: (f(TIMES, 1.3, 4), frames.choose_frames(TIMES, 0.0, 1.3, 4)),
    "11 resize_weights": lambda f: (f(50, 7), frames.make_resize_weights(50, 7, 7)),
    "11 fit_frames": lambda f: (f(FRAMES, 24), mt.prepare_video(FRAMES, mt.Config.tiny())[0][0]),
    "12 split_by_content": lambda f: read_table(f.__globals__["read_label_file"]),
    "12 read_label_file": read_table,
    "12 mean_patch_loss": lambda f: (f(HIDDEN_ROWS, HIDDEN_ROWS, HIDDEN), MEAN_LOSS),
    "12 moving_average": lambda f: (f(given.WAVE, 7), smooth(given.WAVE, 7)),
    "12 early_stop": lambda f: (f([3, 1, 2, 4, 0], 2), (1, 3)),
    "13 run_head": lambda f: (
        f(FEELING.classifier, pool_tokens(FEELING, CLIPS, (None, None)), FEELING.config.classifier_norm_eps),
        mt.classify(FEELING, *CLIPS),
    ),
    "13 squared_error": lambda f: (f(given.X, given.G), LOSSES["regression"](given.X[:, None], given.G) / 7),
    "13 label_loss": lambda f: (f(LOGITS, LOGITS < 1), LOSSES["labels"](LOGITS, LOGITS < 1) / 3),
    "13 sign_accuracy": lambda f: (f(*PAIR), metrics.compute_sign_accuracy(*PAIR)),
    "13 mean_absolute_error": lambda f: (f(*PAIR), metrics.compute_mean_absolute_error(*PAIR)),
    "13 f1": lambda f: (f(*BOTH), metrics.compute_f1(*BOTH)),
    "13 weighted_accuracy": lambda f: (f(*BOTH), metrics.compute_weighted_accuracy(*BOTH)),
    "14 count_state_bytes": lambda f: (f(BLOCK), 4 * sum(x.nbytes for x in mt.flatten(BLOCK).values())),
    "14 block_bytes": lambda f: (f(2, 3, 5, 7), 4 * (2 * 3) * (8 * 5 + 2 * 7)),
    "14 to_bfloat16": lambda f: (f(SINGLE.numpy()), BITS),
    "14 from_bfloat16": lambda f: (f(BITS), SINGLE.bfloat16().float().numpy()),
    "14 product_intensity": lambda f: (f(3, 5, 7, 4), sum(3 * 7 * [5 + 5]) / 4 / (3 * 5 + 5 * 7 + 3 * 7)),
    "14 attainable_rate": lambda f: (f(np.array([2.0, 4.0]), 10.0, 3.0), [6, 10]),
    "14 average_gradients": lambda f: (f([NOISE[0], NOISE[1:].sum(0)], (1, 2)), NOISE.mean(0)),
    "14 ring_all_reduce": lambda f: (join([f(NINE)[0][2], f(NINE)[1]]), join([NINE.sum(0), 12])),
    "15 read_safetensors": lambda f: (join(f(FILE)[0].values()), join(native.read_tensors(FILE).values())),
    "15 write_safetensors": write_and_read,
    "15 from_bfloat16": lambda f: (f(BITS), SINGLE.bfloat16().float().numpy()),
    "15 to_bfloat16": lambda f: (f(SINGLE.numpy()), BITS),
    "15 split_qkv": lambda f: (join(f(OURS, 1).values()), join(THEIRS[name] for name in f(OURS, 1))),
    "15 join_qkv": lambda f: (join(f(THEIRS, 1).values()), join(OURS[name] for name in f(THEIRS, 1))),
    "15 flatten_convolution": lambda f: (f(CONVOLUTION), PATCHES[0]),
    "15 fold_pixels": lambda f: (join(f(*PATCHES)), join(released.fold_normalisation(*PATCHES))),
    "15 interpolate_grid": lambda f: (f(given.E.space, (2, 3), (5, 4)) + given.E.time[0], PLACES),
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
