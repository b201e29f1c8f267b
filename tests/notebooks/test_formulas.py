"""Every displayed formula of the notebooks, evaluated as it is written and compared with the package.

The formula is the docstring of its check: whoever changes one has to look at the other.
"""

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minitvlt as mt
from minitvlt.backends import namespace, numpy_backend, tape_backend
from minitvlt.backends.tape import TapeArray, backward
from minitvlt.model.parameters import outline
from minitvlt.model.pretraining import binary_cross_entropy, count_targets
from minitvlt.model.tasks import LOSSES
from minitvlt.model.transformer import attention_weights, run_block, run_norm
from minitvlt.model.tvlt import embed_audio, embed_patches, embed_video
from minitvlt.signals import spectrogram
from minitvlt.worlds.shapes import draw_scenes

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.py"))
Pair = tuple[Any, Any]  # what the formula gives, and what the package gives


def list_formulas(path: Path) -> list[str]:
    """List the displayed formulas of a notebook, with single spaces for all white space."""
    cells = re.findall(r"^# %% \[markdown\]\n((?:#.*\n?)*)", path.read_text(encoding="utf-8"), flags=re.M)
    text = "\n".join(re.sub(r"^# ?", "", cell, flags=re.M) for cell in cells)
    return [" ".join(formula.split()) for formula in re.findall(r"\$\$(.+?)\$\$", text, flags=re.S)]


WRITTEN = [(path.stem, formula) for path in NOTEBOOKS for formula in list_formulas(path)]


def list_checks() -> dict[tuple[str, str], Callable[[], Pair]]:
    """List the checks by their formulas: functions nb01_… with them as docstring, and `BY_READER`."""
    stems = {path.stem[:2]: path.stem for path in NOTEBOOKS}
    checks = {name: each for name, each in globals().items() if re.match(r"nb\d\d_", name)}
    texts = [(name[2:4], each.__doc__, each) for name, each in checks.items()]
    texts += [(key[0], text, partial(compare_by_hand, key[1])) for key, text in BY_READER.items()]
    return {
        (stems[number], " ".join(formula.split())): check
        for number, text, check in texts
        for formula in text.split("\n\n")
    }


def test_every_formula_is_evaluated_and_every_check_has_its_formula():
    assert len(WRITTEN) == len({*WRITTEN}) >= 20
    assert {*WRITTEN} == {*list_checks()}


LETTER = r"\\(?:varphi|rho|sigma)|(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])"


def test_the_symbols_of_formulas_are_in_the_table_of_the_overview():
    table = (NOTEBOOKS[0].parent / "README.md").read_text("utf-8").partition("| symbol |")[2]
    known = {*re.findall(LETTER, " ".join(re.findall(r"^\|([^|]*)\|", table, flags=re.M)))} | {"N", "D"}
    for name, formula in WRITTEN:
        if name[:2] in ("00", "01", "02", "03", "05"):
            symbols = re.sub(r"\\(text|operatorname)\{\w*\}|\\(begin|end)\{\w*\}", " ", formula)
            assert {*re.findall(LETTER, symbols)} <= known, formula


@pytest.mark.parametrize("key", WRITTEN, ids=[f"{name}: {formula}"[:40] for name, formula in WRITTEN])
def test_the_package_computes_what_is_written(key):
    ours, theirs = list_checks()[key]()
    assert np.shape(ours) == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


# ---- 00 and 01, the log-mel spectrogram

RNG = np.random.default_rng(0)
M, HOP, RATE, BINS = 34, 9, 8000, 5
WAVE, LOGITS = RNG.normal(size=301), RNG.normal(size=(3, 6))
WINDOW = spectrogram.make_window(M)
STFT, FILTERS = spectrogram.compute_stft(WAVE, M, HOP), spectrogram.make_mel_filters(RATE, BINS, M)
POWER = spectrogram.compute_power(STFT)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def mel(f: float) -> float:
    return 3 * f / 200 if f < 1000 else 15 + 27 * math.log(f / 1000) / math.log(6.4)


def nb00_sigma() -> Pair:
    r"""\sigma(z) = \frac{1}{1 + e^{-z}}"""
    # -log σ(z) of a match
    return sigmoid(LOGITS), np.exp(-binary_cross_entropy(LOGITS, np.ones_like(LOGITS, bool)))


def nb01_complex() -> Pair:
    r"""e^{-i \varphi} = \cos\varphi - i \sin\varphi"""
    return [math.cos(phi) - 1j * math.sin(phi) for phi in WAVE], np.exp(-1j * WAVE)


def nb01_power() -> Pair:
    r"""P[t, k] = |X[t, k]|^2"""
    return np.abs(STFT) ** 2, POWER


def nb01_mel() -> Pair:
    r"""\operatorname{mel}(f) = \begin{cases} 3 f / 200 & f < 1000 \\ 15 + 27 \ln(f / 1000) / \ln 6.4 & f \ge
    1000 \end{cases}"""
    by_hand = [mel(f) for f in (440.0, 999.0, 1000.0, 7001.0)]
    return by_hand, spectrogram.hertz_to_mel(np.array([440.0, 999.0, 1000.0, 7001.0]))


# ---- 02 and 03, patches and masks

p, q, C, T, h, w = 2, 3, 5, 2, 4, 3
VIDEO = RNG.normal(size=(1, T, C, h * p, w * q))


PICTURE = RNG.normal(size=(1, 1, 4, 9))


CONFIG = mt.Config.tiny(num_frames=2, image_size=(24, 36), spectrogram_length=16, frequency_length=24)
PARAMS, WORLD = mt.init(CONFIG, seed=1), mt.ShapesWorld(CONFIG)
ENCODER, CLIP = PARAMS.encoder, WORLD.sample(np.random.default_rng(0), 1)
VIDEO_ROWS, AUDIO_ROWS = mt.patchify_video(CLIP.video, (12, 12)), mt.patchify_audio(CLIP.audio, (8, 8))
E_VIDEO = [ENCODER.video_patches.weight @ x + ENCODER.video_patches.bias for x in VIDEO_ROWS[0]]
E_AUDIO = [ENCODER.audio_patches.weight @ x + ENCODER.audio_patches.bias for x in AUDIO_ROWS[0]]
E, F = ENCODER.video_positions, ENCODER.audio_positions


def nb02_embedding() -> Pair:
    r"""e_n = A \, u_n + b"""
    return E_VIDEO, embed_patches(VIDEO_ROWS, ENCODER.video_patches)[0]


Z_VIDEO, Z_AUDIO = embed_video(ENCODER, CONFIG, CLIP.video)[0], embed_audio(ENCODER, CONFIG, CLIP.audio)[0]


# ---- 04, attention

d, N5 = 7, range(5)
X, GAMMA, BETA, G = RNG.normal(size=(4, d))
Q, KEY, V, O_BACK = RNG.normal(size=(4, 1, 1, 5, d))  # one clip, one head, five tokens
S = [[np.dot(Q[0, 0, i], KEY[0, 0, j]) / math.sqrt(d) for j in N5] for i in N5]
A, ANSWER = attention_weights(Q, KEY)[0, 0], numpy_backend.attention(Q, KEY, V)[0, 0]


def nb04_gelu() -> Pair:
    r"""\operatorname{GELU}(x) = x \, \Phi(x)"""
    return [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in X], numpy_backend.gelu(X)


def softmax_by_the_largest(i: int) -> np.ndarray:
    e = [math.exp(S[i][j] - max(S[i])) for j in N5]
    return sum(e[j] * V[0, 0, j] for j in N5) / sum(e)


def run_online(i: int) -> tuple[float, np.ndarray]:
    """Apply the two updates of online softmax to blocks of two keys; the last block has one."""
    m, ell, u = -math.inf, 0.0, np.zeros(d)
    for block in ([0, 1], [2, 3], [4]):
        m_new = max(m, *(S[i][j] for j in block))
        ell = math.exp(m - m_new) * ell + sum(math.exp(S[i][j] - m_new) for j in block)
        u = math.exp(m - m_new) * u + sum(math.exp(S[i][j] - m_new) * V[0, 0, j] for j in block)
        m = m_new
    return ell, u


def nb04_stable() -> Pair:
    r"""o_i = \frac{\sum_j e^{s_{ij} - m} v_j}{\sum_j e^{s_{ij} - m}}"""
    return [softmax_by_the_largest(i) for i in N5], ANSWER


def nb04_online_sum() -> Pair:
    r"""\ell \leftarrow e^{m - m'} \ell + \sum_{j \in \text{block}} e^{s_{ij} - m'}"""
    # the largest score has the weight e^0 / ℓ
    return [run_online(i)[0] for i in N5], 1 / A.max(axis=1)


def nb04_online_answer() -> Pair:
    r"""u \leftarrow e^{m - m'} u + \sum_{j \in \text{block}} e^{s_{ij} - m'} v_j"""
    return [run_online(i)[1] / run_online(i)[0] for i in N5], ANSWER


# ---- 05, the whole model

WHOLE = mt.forward(PARAMS, CLIP.video, CLIP.audio, return_hidden=True)
HEAD, HEADS, EPS = PARAMS.matching, CONFIG.num_attention_heads, CONFIG.layer_norm_eps


def nb05_blocks() -> Pair:
    r"""x^{(l + 1)} = \operatorname{block}_l\bigl(x^{(l)}\bigr)"""
    pairs = zip(WHOLE.hidden[:-1], ENCODER.blocks, strict=True)
    return [run_block(x, block, HEADS, EPS) for x, block in pairs], WHOLE.hidden[1:]


def nb05_final() -> Pair:
    r"""y = \operatorname{norm}\bigl(x^{(\text{layers})}\bigr)"""
    return run_norm(WHOLE.hidden[CONFIG.num_hidden_layers], ENCODER.norm, EPS), WHOLE.sequence


SIZES = [(7, 5, 11), (64, 19, 128), (768, 2081, 3072)]  # D, N, W


def outline_block(D: int, W: int) -> Any:
    config = CONFIG.replace(hidden_size=D, num_attention_heads=1, intermediate_size=W)
    return outline(config).encoder.blocks[0]


def count_products(D: int, N: int, W: int) -> tuple[int, int]:
    """Operations of the linear maps of a block, whose shapes are those of its weights, and of attention."""
    weights = [array for array in mt.flatten(outline_block(D, W)).values() if array.ndim == 2]
    return sum(2 * N * weight.size for weight in weights), 2 * N * D * N + 2 * N * N * D


def nb05_parameters() -> Pair:
    r"""n_{\text{block}} = 4 D^2 + 2 D D_{\text{mlp}} + 9 D + D_{\text{mlp}}"""
    by_hand = [4 * D**2 + 2 * D * W + 9 * D + W for D, _, W in SIZES]
    blocks = [mt.flatten(outline_block(D, W)).values() for D, _, W in SIZES]
    return by_hand, [sum(array.size for array in arrays) for arrays in blocks]


def nb05_product() -> Pair:
    r"""\text{FLOPs}_{\text{product}} = 2 \, m \, k \, n"""
    # multiplications, additions
    by_hand = [2 * m * k * n for m, k, n in SIZES[:2]]
    return by_hand, [sum(k + k for _ in np.ndindex(m, n)) for m, k, n in SIZES[:2]]


def nb05_block() -> Pair:
    r"""\text{FLOPs}_{\text{block}} = 2 N (4 D^2 + 2 D D_{\text{mlp}}) + 4 N^2 D"""
    by_hand = [2 * N * (4 * D**2 + 2 * D * W) + 4 * N**2 * D for D, N, W in SIZES]
    return by_hand, [sum(count_products(*sizes)) for sizes in SIZES]


def nb05_embed() -> Pair:
    r"""\text{FLOPs}_{\text{embed}} = 2 D (N_v V_v + N_a V_a)"""
    by_hand = 2 * CONFIG.hidden_size * (VIDEO_ROWS[0].size + AUDIO_ROWS[0].size)
    video, audio = ENCODER.video_patches.weight.size, ENCODER.audio_patches.weight.size
    return by_hand, 2 * (len(E_VIDEO) * video + len(E_AUDIO) * audio)


def nb05_equal() -> Pair:
    r"""N_{\text{equal}} = 2 D + D_{\text{mlp}}"""
    # there, linear maps and attention cost the same
    by_hand = [float(count_products(D, 2 * D + W, W)[0]) for D, _, W in SIZES]
    return by_hand, [float(count_products(D, 2 * D + W, W)[1]) for D, _, W in SIZES]


# ---- 06, backpropagation


def pull_back(function: Callable[..., Any], g: Any, *arrays: Any) -> list[np.ndarray]:
    """Return the cotangents of a function's arguments, from that of its result."""
    leaves = [TapeArray(np.asarray(array, float)) for array in arrays]
    backward(function(*leaves), np.asarray(g, float))
    return [leaf.node.cotangent for leaf in leaves]


def cubes(x: Any) -> Any:
    """A loss of a row, whose slopes depend on where it is."""
    return namespace(x).sum(x * x * x)


ROW, COTANGENT, ONE, STEP = *RNG.normal(size=(2, 5)), np.ones(()), 1e-5
SLOPES = mt.value_and_grad(cubes)(ROW)[1]
Y = numpy_backend.softmax(ROW)
LX, LW, LB, LG = (RNG.normal(size=n) for n in ((5, 3), (2, 3), (2,), (5, 2)))
LINEAR_BACK = pull_back(tape_backend.linear, LG, LX, LW, LB)
NX, NG = RNG.normal(size=(2, 5, 7))
NORM_BACK = pull_back(lambda *arrays: tape_backend.layer_norm(*arrays, 1e-6), NG, NX, GAMMA, BETA)
V_BACK = O_BACK[0, 0] @ V[0, 0].T  # G Vᵀ
R = A * (V_BACK - np.sum(V_BACK * A, axis=1, keepdims=True))
ATTENTION_BACK = [back[0, 0] for back in pull_back(tape_backend.attention, O_BACK, Q, KEY, V)]


def nb06_square() -> Pair:
    r"""L = (w x - t)^2"""
    return (3 * 2 - 5) ** 2, ((TapeArray(np.array(3.0)) * 2 - 5) ** 2).value


def nb06_chain() -> Pair:
    r"""\frac{\partial L}{\partial w} = \frac{\partial L}{\partial e} \cdot \frac{\partial e}{\partial y}
    \cdot \frac{\partial y}{\partial w} = 2 e \cdot 1 \cdot x"""
    return 2 * (3.0 * 2.0 - 7.0) * 1 * 2.0, pull_back(lambda w: (w * 2.0 - 7.0) ** 2, ONE, 3.0)[0]


def nb06_cotangent() -> Pair:
    r"""\frac{\partial L}{\partial x_i} = \sum_j g_j \, \frac{\partial y_j}{\partial x_i}"""
    # of y = x² + Σ x
    by_hand = [sum(COTANGENT[j] * (2 * ROW[i] * (i == j) + 1) for j in N5) for i in N5]
    return by_hand, pull_back(lambda x: x * x + tape_backend.sum(x), COTANGENT, ROW)[0]


def nb06_softmax_slopes() -> Pair:
    r"""\frac{\partial y_j}{\partial x_i} = y_j (\delta_{ij} - y_i)"""
    by_hand = [[Y[j] * ((i == j) - Y[i]) for i in N5] for j in N5]
    return by_hand, [pull_back(tape_backend.softmax, one, ROW)[0] for one in np.eye(5)]


def nb06_score_vjp() -> Pair:
    r"""g_s = a \odot \bigl(g v^\top - c\bigr)"""
    return R, pull_back(lambda s: tape_backend.matmul(tape_backend.softmax(s), V[0, 0]), O_BACK[0, 0], S)[0]


def nb06_difference() -> Pair:
    r"""\frac{\partial L}{\partial x_i} \approx \frac{L(x + \epsilon \, \delta_i) - L(x - \epsilon \,
    \delta_i)}{2 \epsilon}"""
    return SLOPES, [(cubes(ROW + STEP * u) - cubes(ROW - STEP * u)) / (2 * STEP) for u in np.eye(5)]


def nb06_direction() -> Pair:
    r"""\frac{L(\theta + \epsilon v) - L(\theta - \epsilon v)}{2 \epsilon} \approx \sum_k v_k \frac{\partial
    L}{\partial \theta_k}"""
    by_hand = (cubes(ROW + STEP * COTANGENT) - cubes(ROW - STEP * COTANGENT)) / (2 * STEP)
    return by_hand, sum(COTANGENT[k] * SLOPES[k] for k in N5)


# ---- 07, pre-training

BATCH = mt.make_batch(WORLD.sample(np.random.default_rng(1), 5), CONFIG, np.random.default_rng(2))
OUT = mt.pretraining_loss(PARAMS, BATCH)


def nb07_loss() -> Pair:
    r"""L = \lambda_{\text{match}} L_{\text{match}} + \lambda_{\text{mae}} \bigl( L_{\text{video}} +
    L_{\text{audio}} \bigr)"""
    by_hand = CONFIG.matching_weight * OUT.match_loss + CONFIG.mae_weight * (OUT.video_loss + OUT.audio_loss)
    return by_hand, OUT.loss


def run_adamw(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters, m and s of torch's AdamW, with which tests/training compares the package's."""
    theta = torch.tensor(ROW, requires_grad=True)
    adamw = torch.optim.AdamW([theta], lr=0.1, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.2)
    theta.grad = torch.tensor(COTANGENT)
    for _ in range(steps):
        adamw.step()
    arrays = theta, adamw.state[theta]["exp_avg"], adamw.state[theta]["exp_avg_sq"]
    return tuple(x.detach().numpy() for x in arrays)


(THETA, MEAN, SQUARE), AFTER = run_adamw(4), run_adamw(5)


# ---- 08, using the model

LABELS, SCENES = np.array([4, 0, 2]), draw_scenes(np.random.default_rng(8), 11, held_out=False, max_count=2)


def nb08_softmax() -> Pair:
    r"""p_k = \frac{e^{z_k}}{\sum_l e^{z_l}}"""
    by_hand = [[math.exp(z_k) / sum(map(math.exp, z)) for z_k in z] for z in LOGITS]
    return by_hand, numpy_backend.softmax(LOGITS)


def nb08_class_loss() -> Pair:
    r"""\mathcal{L}_{\text{class}} = -\log p_y"""
    by_hand = -math.log(numpy_backend.softmax(LOGITS)[0, LABELS[0]])
    return by_hand, LOSSES["classification"](LOGITS[:1], LABELS[:1])


def nb08_valence() -> Pair:
    r"""v = \tfrac12 \bigl( \cos(\alpha - 30°) + 1 - 2 \tau \bigr)"""
    by_hand = 1 / 2 * (np.cos((SCENES.hue - 30) * math.pi / 180) + 1 - 2 * SCENES.tremble)
    return by_hand, SCENES.label()["valence"]


# ---- 09, 10 and 11


def gelu_loss(theta: Any) -> Any:
    xp = namespace(theta)
    return xp.sum(xp.gelu(theta) * theta)


def nb09_tanh_gelu() -> Pair:
    r"""\operatorname{GELU}_{\tanh}(x) = \frac{x}{2} \Bigl(1 + \tanh\bigl(c \, (x + 0.044715 \,
    x^3)\bigr)\Bigr)"""
    by_hand = [x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in X]
    return by_hand, torch.nn.functional.gelu(torch.from_numpy(X), approximate="tanh").numpy()


def nb09_slope() -> Pair:
    r"""\frac{L(\theta + \epsilon v) - L(\theta - \epsilon v)}{2 \epsilon} \approx \nabla L(\theta) \cdot v"""
    by_hand = (gelu_loss(X + STEP * G) - gelu_loss(X - STEP * G)) / (2 * STEP)
    return by_hand, np.dot(mt.value_and_grad(gelu_loss)(X)[1], G)


def nb09_rounding() -> Pair:
    r"""\max_x \frac{|\operatorname{fl}(x) - x|}{|x|} = 2^{-p}"""
    # the worst x is half a step above 1
    by_hand = abs(float(np.float32(1 + 2.0**-24)) - (1 + 2.0**-24)) * 2.0**24
    return by_hand, np.finfo(np.float32).eps / 2 * 2.0**24


def nb10_flops() -> Pair:
    r"""\text{FLOPs}_{\text{block}} = 24 N D^2 + 4 N^2 D"""
    by_hand = [24 * N * D**2 + 4 * N**2 * D for D, N, _ in SIZES]
    return by_hand, [sum(count_products(D, N, 4 * D)) for D, N, _ in SIZES]


def add_up_micro_batches(R: int) -> np.ndarray:
    counts = count_targets(BATCH)
    compute = mt.value_and_grad(lambda params, part: mt.pretraining_loss(params, part, counts).loss)
    parts = [mt.map_tree(lambda x, r=r: x[r::R], BATCH) for r in range(R)]
    return sum(mt.flatten(compute(PARAMS, part)[1])["encoder.cls"] for part in parts)


def nb10_micro_batches() -> Pair:
    r"""\nabla L = \sum_{r=1}^{R} \nabla L_r"""
    return add_up_micro_batches(1), add_up_micro_batches(3)


def nb11_seconds() -> Pair:
    r"""t = \frac{S \; \text{hop}}{R}"""
    return 2048 * 512 / 44100, mt.Config().clip_seconds


def nb11_tokens() -> Pair:
    r"""N = 1 + T \, \frac{H}{p} \, \frac{W}{q} + \frac{S}{p} \, \frac{F}{q}"""
    return 1 + 2 * (24 / 12) * (36 / 12) + 16 / 8 * 24 / 8, WHOLE.sequence.shape[1]


# ---- what the reader writes as a function


def compare_by_hand(name: str) -> Pair:
    """Return what a function of the reader gives, and what the package gives."""
    from tests.notebooks.test_by_hand import BY_HAND, define_names  # which takes its inputs from here

    return BY_HAND[name](define_names(name[:2])[name[3:]])


# The notebook of each formula, and what the reader writes there (see test_by_hand.py) that computes it
BY_READER: dict[tuple[str, str], str] = {
    ("01", "01 hann_window"): r"""\text{hann}[m] = \tfrac12 - \tfrac12 \cos\frac{2\pi m}{M}""",
    ("01", "01 stft"): r"""
    X[t, k] = \sum_{m=0}^{M-1} \text{hann}[m] \; a[t \, \text{hop} + m - M/2] \; e^{-2\pi i k m / M}""",
    ("01", "01 mel_filters"): r"""\operatorname{filter}_j(f) = \frac{2}{r - l}
    \max\Bigl(0, \min\Bigl(\frac{f - l}{c - l}, \frac{r - f}{r - c}\Bigr)\Bigr)""",
    ("01", "01 log_mel"): r"""\text{band}[t, j] = \sum_k \operatorname{filter}_j(k R / M) \, P[t, k]

    y[t, j] = \operatorname{clip}\Bigl(\frac{\text{level}[t, j] - 20}{40}, \; -2, \; 0\Bigr) + 1""",
    ("01", "01 to_decibel"): r"""\text{dB}[t, j] = 10 \log_{10} \max(\text{band}[t, j], 10^{-10})

    \text{level}[t, j] = \max(\text{dB}[t, j], \; \max_{t', j'} \text{dB}[t', j'] - 80)""",
    ("02", "02 patchify_video"): r"""n = (t \, h + r) \, w + c

    m = (i \, q + j) \, C + k""",
    ("02", "02 patchify_audio"): r"""n = t \, f + j""",
    ("02", "05 video_positions"): r"""
    x_n = e_n + E^{\text{space}}_{r w + c} + E^{\text{frame}}_{t} + E^{\text{video}}""",
    ("02", "05 audio_positions"): r"""
    x_n = e_n + E^{\text{step}}_{t} + E^{\text{frequency}}_{j} + E^{\text{audio}}""",
    ("03", "03 random_masking"): r"""K = \lfloor N (1 - \rho) \rfloor""",
    ("04", "04 layer_norm"): r"""
    \operatorname{norm}(x) = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta""",
    ("04", "04 attend_masked"): r"""s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}

    a_{ij} = \frac{e^{s_{ij}}}{\sum_{l} e^{s_{il}}}

    o_i = \sum_j a_{ij} v_j""",
    ("05", "05 join"): r"""
    x^{(0)} = \bigl[\, \text{cls}; \; x^{\text{video}}; \; x^{\text{audio}} \,\bigr]""",
    ("05", "05 matching_head"): r"""z = A_2 \tanh(A_1 \, y_{\text{cls}} + b_1) + b_2""",
    ("06", "06 linear_vjp"): r"""\frac{\partial L}{\partial A} = g^\top x

    \frac{\partial L}{\partial x} = g \, A

    \frac{\partial L}{\partial b_j} = \sum_i g_{ij}""",
    ("06", "06 softmax_vjp"): r"""\frac{\partial L}{\partial x_i} = y_i \Bigl(g_i - \sum_j g_j y_j\Bigr)""",
    ("06", "06 layer_norm_vjp"): r"""
    \frac{\partial L}{\partial x} = \frac{1}{\sigma} \bigl(g_z - \langle g_z \rangle - z \, \langle g_z z
    \rangle \bigr)

    \frac{\partial L}{\partial \gamma} = \sum_{\text{rows}} g \, z

    \frac{\partial L}{\partial \beta} = \sum_{\text{rows}} g""",
    ("06", "06 attention_vjp"): r"""\frac{\partial L}{\partial v} = a^\top g

    \frac{\partial L}{\partial q} = \frac{g_s \, k}{\sqrt d}

    \frac{\partial L}{\partial k} = \frac{g_s^\top q}{\sqrt d}""",
    ("07", "07 binary_cross_entropy"): r"""
    L_{\text{match}} = -\frac{1}{B} \sum_b \bigl( y_b \log \sigma(z_b) + (1 - y_b) \log (1 - \sigma(z_b))
    \bigr)""",
    ("07", "07 masked_mse"): r"""
    L_{\text{mae}} = \frac{1}{|H|} \sum_{n \in H} \frac{1}{V} \sum_i (\hat u_{ni} - u_{ni})^2""",
    ("07", "07 adamw_step"): r"""m \leftarrow \beta_1 m + (1 - \beta_1) \, g

    s \leftarrow \beta_2 s + (1 - \beta_2) \, g^2

    \hat m = \frac{m}{1 - \beta_1^k}, \quad \hat s = \frac{s}{1 - \beta_2^k}

    \theta \leftarrow (1 - \eta \lambda) \, \theta - \eta \, \frac{\hat m}{\sqrt{\hat s} + \varepsilon}""",
    ("12", "12 mean_patch_loss"): r"""
    L_{\text{mean}} = \frac{1}{|H|} \sum_{n \in H} \frac{1}{V} \sum_i (\bar u_{ni} - u_{ni})^2""",
    ("12", "12 moving_average"): r"""\bar L_k = \frac{1}{2 r + 1} \sum_{j=k-r}^{k+r} L_j""",
    ("14", "14 block_bytes"): r"""\text{bytes}_{\text{block}} = 4 B N (8 D + 2 D_{\text{mlp}})""",
    ("14", "14 attainable_rate"): r"""\text{rate}(I) = \min(\text{peak}, \; I \cdot \text{bandwidth})""",
    ("14", "14 product_intensity"): r"""I = \frac{2 m k n}{s (m k + k n + m n)}""",
    ("14", "14 average_gradients"): r"""g = \frac{\sum_r g_r}{\sum_r c_r}""",
    ("14", "14 ring_all_reduce"): r"""\text{sent} = 2 \, \frac{R - 1}{R} \, n""",
    ("15", "15 fold_pixels"): r"""
    \frac{(x + 1) / 2 - \mu}{\sigma} = \frac{x}{2 \sigma} + \frac{1 / 2 - \mu}{\sigma}""",
    ("08", "13 squared_error"): r"""\mathcal{L}_{\text{number}} = (\hat v - v)^2""",
    ("08", "13 label_loss"): r"""\mathcal{L}_{\text{labels}} = -\frac16 \sum_{k=1}^{6} \bigl( y_k \log
    \sigma(z_k) + (1 - y_k) \log(1 - \sigma(z_k)) \bigr)""",
    ("13", "13 sign_accuracy"): r"""
    \text{A2} = \frac{1}{B} \sum_b \bigl[ (\hat v_b \ge 0) = (v_b \ge 0) \bigr]""",
    ("13", "13 f1"): r"""\text{F1} = \frac{2 \, TP}{2 \, TP + FP + FN}""",
    ("13", "13 weighted_accuracy"): r"""
    \text{WA} = \frac12 \Bigl( \frac{TP}{TP + FN} + \frac{TN}{TN + FP} \Bigr)""",
}
