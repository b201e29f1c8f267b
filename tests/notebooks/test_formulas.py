"""Every displayed formula of the notebooks, evaluated as it is written and compared with the package.

`states` ties a check to the exact text of a formula: whoever changes one has to look at the other.
"""

import math
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import minitvlt as mt
from minitvlt.backends import namespace, numpy_backend, tape_backend
from minitvlt.backends.tape import TapeArray, backward
from minitvlt.model.parameters import LayerNorm, outline
from minitvlt.model.pretraining import binary_cross_entropy, count_targets
from minitvlt.model.tasks import LOSSES
from minitvlt.model.transformer import attention_weights, run_block, run_norm
from minitvlt.model.tvlt import embed_audio, embed_video
from minitvlt.signals import spectrogram
from minitvlt.training.batches import split_batch
from minitvlt.training.optimizer import AdamWState, compute_learning_rate, update_adamw
from minitvlt.worlds.shapes import draw_scenes

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.py"))
Check = Callable[[], tuple[Any, Any]]
CHECKS: dict[tuple[str, str], Check] = {}


def states(notebook: str, formula: str) -> Callable[[Check], Check]:
    """Register a function that returns what a formula gives and what the package gives."""

    def register(check: Check) -> Check:
        CHECKS[notebook, formula] = check
        return check

    return register


def list_formulas(path: Path) -> list[str]:
    """The displayed formulas of a notebook, with single spaces for all white space."""
    cells = re.findall(r"^# %% \[markdown\]\n((?:#.*\n?)*)", path.read_text(encoding="utf-8"), flags=re.M)
    text = "\n".join(re.sub(r"^# ?", "", cell, flags=re.M) for cell in cells)
    return [" ".join(formula.split()) for formula in re.findall(r"\$\$(.+?)\$\$", text, flags=re.S)]


WRITTEN = [(path.stem, formula) for path in NOTEBOOKS for formula in list_formulas(path)]


def test_every_formula_is_evaluated_and_every_check_has_its_formula():
    assert len(WRITTEN) == len({*WRITTEN}) >= 20
    assert {*WRITTEN} == {*CHECKS}


@pytest.mark.parametrize("key", WRITTEN, ids=[f"{name}: {formula}"[:40] for name, formula in WRITTEN])
def test_the_package_computes_what_is_written(key):
    ours, theirs = CHECKS[key]()
    assert np.shape(ours) == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------- 00 and 01, sound

M, HOP, RATE, BINS = 34, 9, 8000, 5
WAVE = np.random.default_rng(0).normal(size=301)


@states("00_quickstart", r"\sigma(z) = \frac{1}{1 + e^{-z}}")
def _():
    """Cross-entropy is -log σ(z) of a match, so the package's loss says what it takes z for."""
    z = np.array([-3.0, 0.0, 1.7])
    return 1 / (1 + np.exp(-z)), np.exp(-binary_cross_entropy(z, np.ones(3, bool)))


@states("01_sound_to_picture", r"w[m] = \tfrac12 - \tfrac12 \cos\frac{2\pi m}{M}")
def _():
    return [1 / 2 - 1 / 2 * math.cos(2 * math.pi * m / M) for m in range(M)], spectrogram.make_window(M)


@states("01_sound_to_picture", r"X[t, k] = \sum_{m=0}^{M-1} w[m] \; x[t h + m - M/2] \; e^{-2\pi i k m / M}")
def _():
    w, X = spectrogram.make_window(M), spectrogram.compute_stft(WAVE, M, HOP)
    inner = range(2, 32)  # stretches that do not reach beyond the ends
    by_hand = [
        [
            sum(w[m] * WAVE[t * HOP + m - M // 2] * np.exp(-2j * np.pi * k * m / M) for m in range(M))
            for k in range(M // 2 + 1)
        ]
        for t in inner
    ]
    return by_hand, X[inner.start : inner.stop]


@states("01_sound_to_picture", r"P[t, k] = |X[t, k]|^2")
def _():
    X = spectrogram.compute_stft(WAVE, M, HOP)
    return np.abs(X) ** 2, spectrogram.compute_power(X)


@states(
    "01_sound_to_picture",
    r"\operatorname{mel}(f) = \begin{cases} 3 f / 200 & f < 1000 \\ "
    r"15 + 27 \ln(f / 1000) / \ln 6.4 & f \ge 1000 \end{cases}",
)
def _():
    hertz = np.array([0.0, 440.0, 999.0, 1000.0, 7001.0])
    mel = [3 * f / 200 if f < 1000 else 15 + 27 * math.log(f / 1000) / math.log(6.4) for f in hertz]
    return mel, spectrogram.hertz_to_mel(hertz)


@states(
    "01_sound_to_picture",
    r"B[j, f] = \frac{2}{r - l} \max\Bigl(0, \min\Bigl(\frac{f - l}{c - l}, \frac{r - f}{r - c}\Bigr)\Bigr)",
)
def _():
    """F pieces of equal width in mel that overlap by half, as the text says."""
    highest = spectrogram.hertz_to_mel(np.array(RATE / 2))
    ends = spectrogram.mel_to_hertz(np.linspace(0, highest, BINS + 2))
    by_hand = [
        [2 / (r - l) * max(0, min((f - l) / (c - l), (r - f) / (r - c))) for f in np.arange(18) * RATE / M]
        for l, c, r in zip(ends, ends[1:], ends[2:], strict=False)  # noqa: E741 (as in the formula)
    ]
    return by_hand, spectrogram.make_mel_filters(RATE, BINS, M)


@states("01_sound_to_picture", r"E[t, j] = \sum_k B[j, k R / M] \, P[t, k]")
def _():
    P, B = np.random.default_rng(1).random((3, 18)), spectrogram.make_mel_filters(RATE, BINS, M)
    by_hand = [[sum(B[j, k] * P[t, k] for k in range(18)) for j in range(BINS)] for t in range(3)]
    return by_hand, P @ B.T


QUIET_AND_LOUD = np.array([[1e-14, 1e-3], [5.0, 1e2]])  # powers


@states("01_sound_to_picture", r"D[t, j] = 10 \log_{10} \max(E[t, j], 10^{-10})")
def _():
    E = np.array([[1e-14, 1e-9]])  # nothing is 80 dB below the loudest
    return [[10 * math.log10(max(power, 1e-10)) for power in E[0]]], spectrogram.power_to_decibel(E)


@states("01_sound_to_picture", r"L[t, j] = \max(D[t, j], \; \max_{t', j'} D[t', j'] - 80)")
def _():
    D = 10 * np.log10(np.maximum(QUIET_AND_LOUD, 1e-10))
    highest = max(D[t, j] for t in range(2) for j in range(2))
    return np.maximum(D, highest - 80), spectrogram.power_to_decibel(QUIET_AND_LOUD)


@states(
    "01_sound_to_picture",
    r"y[t, j] = \operatorname{clip}\Bigl(\frac{L[t, j] - 20}{40}, \; -2, \; 0\Bigr) + 1",
)
def _():
    L = np.array([[-100.0, -60.0, -13.0, 20.0, 31.0]])
    return np.clip((L - 20) / 40, -2, 0) + 1, spectrogram.normalise_decibel(L)


# ------------------------------------------------------------------------------ 02 and 03, patches and masks

p, q, C, T, H, W = 2, 3, 5, 2, 4, 9
FILM = np.random.default_rng(2).normal(size=(1, T, C, H, W))


def read_tokens(token: Callable[..., int], number: Callable[..., int]) -> tuple[Any, Any]:
    """The pixels of a film in their order, and what lies in the tokens where the two formulas say."""
    rows = mt.patchify_video(FILM, (p, q))
    found = np.zeros_like(FILM[0])
    for t, r, c, a, b, k in np.ndindex(T, H // p, W // q, p, q, C):
        found[t, k, r * p + a, c * q + b] = rows[0, token(t, r, c), number(a, b, k)]
    return found, FILM[0]


@states("02_patches", r"n = (t \, h + r) \, w + c")
def _():
    h, w = H // p, W // q
    return read_tokens(
        lambda t, r, c: (t * h + r) * w + c, lambda a, b, k: np.ravel_multi_index((a, b, k), (p, q, C))
    )


@states("02_patches", r"v = (a \, q + b) \, C + k")
def _():
    shape = (T, H // p, W // q)
    return read_tokens(lambda *place: np.ravel_multi_index(place, shape), lambda a, b, k: (a * q + b) * C + k)


@states("02_patches", r"n = s \, f + b")
def _():
    picture = np.random.default_rng(3).normal(size=(1, 1, 4, 9))
    rows, f = mt.patchify_audio(picture, (p, q)), 9 // q
    found = [[rows[0, s * f + b] for b in range(f)] for s in range(2)]
    cut = [[picture[0, 0, s * p : s * p + p, b * q : b * q + q].ravel() for b in range(f)] for s in range(2)]
    return found, cut


CONFIG = mt.Config.tiny(num_frames=2, image_size=(24, 36), spectrogram_length=16, frequency_length=24)
PARAMS = mt.init(CONFIG, seed=1)
CLIP = mt.ShapesWorld(CONFIG).sample(np.random.default_rng(0), 1)


def embed_by_hand() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """e_n of video and of sound."""
    encoder, embedded = PARAMS.encoder, []
    for rows, part in (
        (mt.patchify_video(CLIP.video, (12, 12)), encoder.video_patches),
        (mt.patchify_audio(CLIP.audio, (8, 8)), encoder.audio_patches),
    ):
        A, beta = part.weight, part.bias
        embedded.append([A @ x + beta for x in rows[0]])
    return embedded[0], embedded[1]


@states("02_patches", r"e_n = A \, x_n + \beta")
def _():
    from minitvlt.model.tvlt import embed_patches

    return embed_by_hand()[0], embed_patches(
        mt.patchify_video(CLIP.video, (12, 12)), PARAMS.encoder.video_patches
    )[0]


@states("02_patches", r"z_n = e_n + E^{\text{space}}_{r w + c} + E^{\text{time}}_{t} + E^{\text{video}}")
def _():
    e, E, w = embed_by_hand()[0], PARAMS.encoder.video_positions, 3
    z = [
        e[(t * 2 + r) * w + c] + E.space[r * w + c] + E.time[t] + E.modality
        for t, r, c in np.ndindex(2, 2, w)
    ]
    return z, embed_video(PARAMS.encoder, CONFIG, CLIP.video)[0]


@states("02_patches", r"z_n = e_n + E^{\text{time}'}_{s} + E^{\text{pitch}}_{b} + E^{\text{sound}}")
def _():
    e, E = embed_by_hand()[1], PARAMS.encoder.audio_positions
    z = [e[s * 3 + b] + E.time[s] + E.frequency[b] + E.modality for s, b in np.ndindex(2, 3)]
    return z, embed_audio(PARAMS.encoder, CONFIG, CLIP.audio)[0]


@states("03_masking", r"K = \lfloor N (1 - \rho) \rfloor")
def _():
    cases = [(N, rho) for N in (1, 8, 23) for rho in (0.0, 0.15, 0.5, 0.75, 0.99)]
    kept = [mt.random_masking(np.zeros((1, N)), rho).keep.shape[1] for N, rho in cases]
    return [math.floor(N * (1 - rho)) for N, rho in cases], kept


# --------------------------------------------------------------------------------------------- 04, attention

d = 7
Q, KEY, V = np.random.default_rng(4).normal(size=(3, 1, 1, 5, d))  # one clip, one head, five tokens
S = (Q @ KEY.swapaxes(-1, -2) / np.sqrt(d))[0, 0]  # as the first formula says, checked there


@states(
    "04_attention",
    r"\operatorname{norm}(x) = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta",
)
def _():
    x, *weights = np.random.default_rng(5).normal(size=(3, 11))
    norm = LayerNorm(*weights)
    gamma, beta, mu, epsilon = norm.weight, norm.bias, np.mean(x), 1e-3
    sigma_squared = np.mean((x - mu) ** 2)
    return gamma * (x - mu) / math.sqrt(sigma_squared + epsilon) + beta, run_norm(x[None], norm, epsilon)[0]


@states("04_attention", r"s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}")
def _():
    s = [[np.dot(Q[0, 0, i], KEY[0, 0, j]) / math.sqrt(d) for j in range(5)] for i in range(5)]
    return np.exp(s) / np.sum(np.exp(s), axis=1, keepdims=True), attention_weights(Q, KEY)[0, 0]


@states("04_attention", r"a_{ij} = \frac{e^{s_{ij}}}{\sum_{l} e^{s_{il}}}")
def _():
    a = [[math.exp(S[i, j]) / sum(math.exp(S[i, l]) for l in range(5)) for j in range(5)] for i in range(5)]  # noqa: E741
    return a, attention_weights(Q, KEY)[0, 0]


@states("04_attention", r"o_i = \sum_j a_{ij} v_j")
def _():
    a = attention_weights(Q, KEY)[0, 0]
    o = [sum(a[i, j] * V[0, 0, j] for j in range(5)) for i in range(5)]
    return o, numpy_backend.attention(Q, KEY, V)[0, 0]


@states("04_attention", r"\operatorname{GELU}(x) = x \, \Phi(x)")
def _():
    x = np.linspace(-6, 6, 31, dtype=np.float32)
    phi = [0.5 * (1 + math.erf(one / math.sqrt(2))) for one in x]
    return x * phi, numpy_backend.gelu(x)


@states("04_attention", r"o_i = \frac{\sum_j e^{s_{ij} - m} v_j}{\sum_j e^{s_{ij} - m}}")
def _():
    o = []
    for i in range(5):
        m = max(S[i])
        e = [math.exp(S[i, j] - m) for j in range(5)]
        o.append(sum(e[j] * V[0, 0, j] for j in range(5)) / sum(e))
    return o, numpy_backend.attention(Q, KEY, V)[0, 0]


def run_online(i: int) -> tuple[float, np.ndarray, float]:
    """The two updates of online softmax over blocks of two keys; the last block has one."""
    m, ell, u = -math.inf, 0.0, np.zeros(d)
    for block in ([0, 1], [2, 3], [4]):
        m_new = max(m, *(S[i, j] for j in block))
        ell = math.exp(m - m_new) * ell + sum(math.exp(S[i, j] - m_new) for j in block)
        u = math.exp(m - m_new) * u + sum(math.exp(S[i, j] - m_new) * V[0, 0, j] for j in block)
        m = m_new
    return ell, u, m


@states("04_attention", r"\ell \leftarrow e^{m - m'} \ell + \sum_{j \in \text{block}} e^{s_{ij} - m'}")
def _():
    """The largest score has the weight e^0 / ℓ, so the package's weights say what ℓ is."""
    return [ell for ell, _, _ in map(run_online, range(5))], 1 / attention_weights(Q, KEY)[0, 0].max(axis=1)


@states("04_attention", r"u \leftarrow e^{m - m'} u + \sum_{j \in \text{block}} e^{s_{ij} - m'} v_j")
def _():
    return [u / ell for ell, u, _ in map(run_online, range(5))], numpy_backend.attention(Q, KEY, V)[0, 0]


# -------------------------------------------------------------------------------------- 05, the whole model

WHOLE = mt.forward(PARAMS, CLIP.video, CLIP.audio, return_hidden=True)


@states("05_tvlt", r"x^{(0)} = \bigl[\, \text{cls}; \; z^{\text{video}}; \; z^{\text{sound}} \,\bigr]")
def _():
    z_video = embed_video(PARAMS.encoder, CONFIG, CLIP.video)[0]
    z_sound = embed_audio(PARAMS.encoder, CONFIG, CLIP.audio)[0]
    return [PARAMS.encoder.cls, *z_video, *z_sound], WHOLE.hidden[0][0]


@states("05_tvlt", r"x^{(l + 1)} = \operatorname{block}_l\bigl(x^{(l)}\bigr)")
def _():
    x, heads = [WHOLE.hidden[0]], CONFIG.num_attention_heads
    for l in range(CONFIG.num_hidden_layers):  # noqa: E741
        x.append(run_block(x[l], PARAMS.encoder.blocks[l], heads, CONFIG.layer_norm_eps))
    return x, WHOLE.hidden


@states("05_tvlt", r"h = \operatorname{norm}\bigl(x^{(L)}\bigr)")
def _():
    L = CONFIG.num_hidden_layers
    return run_norm(WHOLE.hidden[L], PARAMS.encoder.norm, CONFIG.layer_norm_eps), WHOLE.sequence


@states("05_tvlt", r"z = w \cdot \tanh(P \, h_{\text{cls}} + \beta) + b")
def _():
    head = PARAMS.matching
    P, beta, w, b = head.pooler.weight, head.pooler.bias, head.score.weight[0], head.score.bias[0]
    return [np.dot(w, np.tanh(P @ WHOLE.cls[0] + beta)) + b], mt.score_matches(PARAMS, CLIP.video, CLIP.audio)


SIZES = [(7, 5, 11), (64, 19, 128), (768, 2081, 3072)]  # D, N, W


@states("05_tvlt", r"P_{\text{block}} = 4 D^2 + 2 D W + 9 D + W")
def _():
    counted = []
    for D, _, W in SIZES:
        config = CONFIG.replace(hidden_size=D, num_attention_heads=1, intermediate_size=W)
        blocks = outline(config).encoder.blocks
        counted.append(sum(array.size for array in mt.flatten(blocks[0]).values()))
    return [4 * D**2 + 2 * D * W + 9 * D + W for D, _, W in SIZES], counted


def count_operations(m: int, k: int, n: int) -> int:
    """Multiplications and additions of a matrix product, one by one."""
    return sum(k + k for _ in np.ndindex(m, n))


@states("05_tvlt", r"F_{\text{product}} = 2 \, m \, k \, n")
def _():
    sizes = [(1, 1, 1), (3, 5, 7), (11, 2, 13)]
    return [2 * m * k * n for m, k, n in sizes], [count_operations(*size) for size in sizes]


def list_products(N: int, D: int, W: int) -> list[int]:
    """The operations of every product of a block: shapes are those of the parameters and of attention."""
    config = CONFIG.replace(hidden_size=D, num_attention_heads=1, intermediate_size=W)
    block = outline(config).encoder.blocks[0]
    maps = (block.attention.qkv, block.attention.output, block.mlp.expand, block.mlp.contract)
    linear = [2 * N * one.weight.shape[1] * one.weight.shape[0] for one in maps]
    return [sum(linear), 2 * N * D * N + 2 * N * N * D]  # the linear maps, and attention


@states("05_tvlt", r"F_{\text{block}} = 2 N (4 D^2 + 2 D W) + 4 N^2 D")
def _():
    ours = [2 * N * (4 * D**2 + 2 * D * W) + 4 * N**2 * D for D, N, W in SIZES]
    return ours, [sum(list_products(N, D, W)) for D, N, W in SIZES]


@states("05_tvlt", r"F_{\text{embed}} = 2 D (N_v P_v + N_a P_a)")
def _():
    encoder, rows = PARAMS.encoder, []
    for patches, linear in (
        (mt.patchify_video(CLIP.video, (12, 12)), encoder.video_patches),
        (mt.patchify_audio(CLIP.audio, (8, 8)), encoder.audio_patches),
    ):
        rows.append((patches.shape[1], patches.shape[2], linear.weight.shape[0]))
    (Nv, Pv, D), (Na, Pa, _) = rows
    return 2 * D * (Nv * Pv + Na * Pa), sum(2 * m * k * n for m, k, n in rows)


@states("05_tvlt", r"N_{\text{equal}} = 2 D + W")
def _():
    """There, linear maps and attention cost the same."""
    costs = np.array([list_products(2 * D + W, D, W) for D, _, W in SIZES], float)
    return costs[:, 0], costs[:, 1]


# ------------------------------------------------------------------------------------- 06, backpropagation


def pull_back(function: Callable[..., Any], g: Any, *arrays: Any) -> list[np.ndarray]:
    """The cotangents of a function's arguments, from that of its result."""
    leaves = [TapeArray(np.asarray(array, float)) for array in arrays]
    backward(function(*leaves), np.asarray(g, float))
    return [leaf.node.cotangent for leaf in leaves]


ONE = np.ones(())  # the cotangent of a loss


@states("06_backpropagation", r"L = (w x - t)^2")
def _():
    w, x, t = 3.0, 2.0, 5.0
    return (w * x - t) ** 2, ((TapeArray(np.array(w)) * x - t) ** 2).value


@states(
    "06_backpropagation",
    r"\frac{\partial L}{\partial w} = \frac{\partial L}{\partial e} \cdot \frac{\partial e}{\partial y} "
    r"\cdot \frac{\partial y}{\partial w} = 2 e \cdot 1 \cdot x",
)
def _():
    w, x, t = 3.0, 2.0, 7.0
    e = w * x - t
    return 2 * e * 1 * x, pull_back(lambda w: (w * x - t) ** 2, ONE, w)[0]


ROW, COTANGENT = np.random.default_rng(7).normal(size=(2, 5))


@states(
    "06_backpropagation",
    r"\frac{\partial L}{\partial x_i} = \sum_j g_j \, \frac{\partial y_j}{\partial x_i}",
)
def _():
    """The slopes of y = x² + the sum of x are known: 2 x on the diagonal, and 1 everywhere."""
    slopes = np.diag(2 * ROW) + 1  # row j, column i
    by_hand = [sum(COTANGENT[j] * slopes[j, i] for j in range(5)) for i in range(5)]
    return by_hand, pull_back(lambda x: x * x + tape_backend.sum(x), COTANGENT, ROW)[0]


X, WEIGHT, BIAS, G = (np.random.default_rng(8).normal(size=n) for n in ((5, 3), (2, 3), (2,), (5, 2)))
FOR_X, FOR_W, FOR_B = pull_back(tape_backend.linear, G, X, WEIGHT, BIAS)


@states("06_backpropagation", r"\frac{\partial L}{\partial W} = G^\top X")
def _():
    return G.T @ X, FOR_W


@states("06_backpropagation", r"\frac{\partial L}{\partial X} = G \, W")
def _():
    return G @ WEIGHT, FOR_X


@states("06_backpropagation", r"\frac{\partial L}{\partial b_j} = \sum_i G_{ij}")
def _():
    return [sum(G[i, j] for i in range(5)) for j in range(2)], FOR_B


@states("06_backpropagation", r"\frac{\partial y_j}{\partial x_i} = y_j (\delta_{ij} - y_i)")
def _():
    y = numpy_backend.softmax(ROW)
    by_hand = [[y[j] * ((i == j) - y[i]) for i in range(5)] for j in range(5)]
    return by_hand, [pull_back(tape_backend.softmax, one, ROW)[0] for one in np.eye(5)]


@states(
    "06_backpropagation",
    r"\frac{\partial L}{\partial x_i} = y_i \Bigl(g_i - \sum_j g_j y_j\Bigr)",
)
def _():
    y, g = numpy_backend.softmax(ROW), COTANGENT
    by_hand = [y[i] * (g[i] - sum(g[j] * y[j] for j in range(5))) for i in range(5)]
    return by_hand, pull_back(tape_backend.softmax, g, ROW)[0]


NORM_X, NORM_G = np.random.default_rng(9).normal(size=(2, 5, 7))
GAMMA, BETA = np.random.default_rng(10).normal(size=(2, 7))
SIGMA = np.sqrt(NORM_X.var(axis=1, keepdims=True) + 1e-6)
Z = (NORM_X - NORM_X.mean(axis=1, keepdims=True)) / SIGMA
NORM_BACK = pull_back(lambda *arrays: tape_backend.layer_norm(*arrays, 1e-6), NORM_G, NORM_X, GAMMA, BETA)


@states(
    "06_backpropagation",
    r"\frac{\partial L}{\partial x} = \frac{1}{\sigma} "
    r"\bigl(h - \langle h \rangle - z \, \langle h z \rangle \bigr)",
)
def _():
    h, by_hand = GAMMA * NORM_G, []
    for row, z, sigma in zip(h, Z, SIGMA, strict=True):
        by_hand.append(1 / sigma * (row - np.mean(row) - z * np.mean(row * z)))
    return by_hand, NORM_BACK[0]


@states("06_backpropagation", r"\frac{\partial L}{\partial \gamma} = \sum_{\text{rows}} g \, z")
def _():
    return sum(g * z for g, z in zip(NORM_G, Z, strict=True)), NORM_BACK[1]


@states("06_backpropagation", r"\frac{\partial L}{\partial \beta} = \sum_{\text{rows}} g")
def _():
    return sum(NORM_G), NORM_BACK[2]


O_BACK = np.random.default_rng(11).normal(size=(1, 1, 5, d))  # the cotangent G of O
ATTENTION_BACK = [back[0, 0] for back in pull_back(tape_backend.attention, O_BACK, Q, KEY, V)]
A = attention_weights(Q, KEY)[0, 0]
R = A * (O_BACK[0, 0] @ V[0, 0].T - np.sum((O_BACK[0, 0] @ V[0, 0].T) * A, axis=1, keepdims=True))


@states("06_backpropagation", r"\frac{\partial L}{\partial V} = A^\top G")
def _():
    return A.T @ O_BACK[0, 0], ATTENTION_BACK[2]


@states("06_backpropagation", r"R = A \odot \bigl(G V^\top - r\bigr)")
def _():
    """R is the cotangent of S, which is inside of attention: S is recorded by itself."""
    g, v = O_BACK[0, 0], V[0, 0]
    r = [[sum((g @ v.T)[i, j] * A[i, j] for j in range(5))] for i in range(5)]
    return A * (g @ v.T - r), pull_back(lambda s: tape_backend.matmul(tape_backend.softmax(s), v), g, S)[0]


@states("06_backpropagation", r"\frac{\partial L}{\partial Q} = \frac{R \, K}{\sqrt d}")
def _():
    return R @ KEY[0, 0] / math.sqrt(d), ATTENTION_BACK[0]


@states("06_backpropagation", r"\frac{\partial L}{\partial K} = \frac{R^\top Q}{\sqrt d}")
def _():
    return R.T @ Q[0, 0] / math.sqrt(d), ATTENTION_BACK[1]


def cubes(x: Any) -> Any:
    """A loss of a row, whose slopes depend on where it is."""
    return namespace(x).sum(x * x * x)


@states(
    "06_backpropagation",
    r"\frac{\partial L}{\partial x_i} \approx "
    r"\frac{L(x + \epsilon \, u_i) - L(x - \epsilon \, u_i)}{2 \epsilon}",
)
def _():
    epsilon, u = 1e-5, np.eye(5)
    by_hand = [(cubes(ROW + epsilon * u[i]) - cubes(ROW - epsilon * u[i])) / (2 * epsilon) for i in range(5)]
    return pull_back(cubes, ONE, ROW)[0], by_hand


@states(
    "06_backpropagation",
    r"\frac{L(\theta + \epsilon v) - L(\theta - \epsilon v)}{2 \epsilon} \approx "
    r"\sum_k v_k \frac{\partial L}{\partial \theta_k}",
)
def _():
    theta, v, epsilon = ROW, COTANGENT, 1e-5
    slopes = mt.value_and_grad(lambda params: cubes(params["theta"]))({"theta": theta})[1]["theta"]
    measured = (cubes(theta + epsilon * v) - cubes(theta - epsilon * v)) / (2 * epsilon)
    return measured, sum(v[k] * slopes[k] for k in range(5))


def test_the_check_of_the_whole_model_in_06_finds_any_two_gradients_that_are_exchanged():
    """It is run as it is written there."""
    (path,) = [path for path in NOTEBOOKS if path.stem == "06_backpropagation"]
    text = path.read_text(encoding="utf-8")
    section = text[text.index("# ## The whole model") : text.index("# Would a mistake show?")]
    params = mt.load("shapes-small")
    names: dict[str, Any] = {"mt": mt, "np": np, "params": params, "config": params.config}
    exec(section, names)
    agrees, gradients = names["agrees"], names["by_name"]
    assert agrees(gradients)
    caught = []
    for one, other in list(combinations(gradients, 2))[::10]:  # every tenth, to save time
        a, b = gradients[one], gradients[other]
        if a.shape == b.shape and not np.allclose(a, b, atol=1e-12):  # some are equal, such as those of
            caught.append(not agrees(gradients | {one: b, other: a}))  # two vectors added to every token
    assert len(caught) > 100 and all(caught)


# ----------------------------------------------------------------------------------------- 07, pre-training

BATCH = mt.draw_batch(mt.ShapesWorld(CONFIG), CONFIG, np.random.default_rng(1), 5)
OUT = mt.pretraining_loss(PARAMS, BATCH)


@states(
    "07_pretraining",
    r"L_{\text{match}} = -\frac{1}{B} \sum_b \bigl( y_b \log \sigma(z_b) + (1 - y_b) \log (1 - \sigma(z_b)) "
    r"\bigr)",
)
def _():
    total, B = 0.0, len(BATCH.is_match)
    for z, y in zip(OUT.match_logits.astype(float), BATCH.is_match, strict=True):
        sigma = 1 / (1 + math.exp(-z))
        total += y * math.log(sigma) + (1 - y) * math.log(1 - sigma)
    return -1 / B * total, OUT.match_loss


@states(
    "07_pretraining",
    r"L_{\text{fill}} = \frac{1}{|H|} \sum_{n \in H} \frac{1}{P} \sum_k (\hat x_{nk} - x_{nk})^2",
)
def _():
    rows = {
        "video": (mt.patchify_video(BATCH.video, (12, 12)), OUT.video_prediction, BATCH.video_masking),
        "audio": (mt.patchify_audio(BATCH.audio, (8, 8)), OUT.audio_prediction, BATCH.audio_masking),
    }
    by_hand = []
    for x, predicted, masking in rows.values():
        H, P = list(zip(*np.nonzero(masking.is_hidden), strict=True)), x.shape[2]
        by_hand.append(1 / len(H) * sum(1 / P * sum((predicted[n] - x[n]) ** 2) for n in H))
    return by_hand, [OUT.video_loss, OUT.audio_loss]


@states(
    "07_pretraining",
    r"L = \lambda_{\text{match}} L_{\text{match}} + \lambda_{\text{fill}} \bigl( L_{\text{video}} + "
    r"L_{\text{sound}} \bigr)",
)
def _():
    L = CONFIG.matching_weight * OUT.match_loss + CONFIG.mae_weight * (OUT.video_loss + OUT.audio_loss)
    return L, OUT.loss


RECIPE = mt.Recipe(steps=9, warmup_steps=2, weight_decay=0.2)
GRADIENT, BEFORE = COTANGENT, AdamWState(ROW, ROW / 3, ROW**2)
STEP = 4  # counted from 0: the fifth
AFTER = update_adamw(BEFORE, GRADIENT, STEP, RECIPE)


@states("07_pretraining", r"m \leftarrow \beta_1 m + (1 - \beta_1) \, g")
def _():
    return RECIPE.beta1 * BEFORE.mean + (1 - RECIPE.beta1) * GRADIENT, AFTER.mean


@states("07_pretraining", r"s \leftarrow \beta_2 s + (1 - \beta_2) \, g^2")
def _():
    return RECIPE.beta2 * BEFORE.square + (1 - RECIPE.beta2) * GRADIENT**2, AFTER.square


@states("07_pretraining", r"\hat m = \frac{m}{1 - \beta_1^k}, \quad \hat s = \frac{s}{1 - \beta_2^k}")
def _():
    """A memory that began at 0 and met the same gradient k times is that gradient, once put right."""
    state = AdamWState(ROW, 0 * ROW, 0 * ROW)
    for step in range(3):
        state = update_adamw(state, GRADIENT, step, RECIPE)
    hats = state.mean / (1 - RECIPE.beta1**3), state.square / (1 - RECIPE.beta2**3)
    return hats, (GRADIENT, GRADIENT**2)


@states(
    "07_pretraining",
    r"\theta \leftarrow (1 - \eta \lambda) \, \theta - \eta \, \frac{\hat m}{\sqrt{\hat s} + \varepsilon}",
)
def _():
    eta, k = compute_learning_rate(STEP, RECIPE), STEP + 1
    m, s = AFTER.mean / (1 - RECIPE.beta1**k), AFTER.square / (1 - RECIPE.beta2**k)
    return (1 - eta * RECIPE.weight_decay) * ROW - eta * m / (np.sqrt(s) + 1e-8), AFTER.parameters


# ----------------------------------------------------------------------------------------------- 09, backends


@states("09_backends", r"g(x) = \frac{x}{2} \Bigl(1 + \tanh\bigl(c \, (x + 0.044715 \, x^3)\bigr)\Bigr)")
def _():
    torch = pytest.importorskip("torch")
    x, c = np.linspace(-5, 5, 41), math.sqrt(2 / math.pi)
    g = [one / 2 * (1 + math.tanh(c * (one + 0.044715 * one**3))) for one in x]
    return g, torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh").numpy()


@states(
    "09_backends",
    r"\frac{L(\theta + h u) - L(\theta - h u)}{2 h} \approx \nabla L(\theta) \cdot u",
)
def _():
    def L(theta: np.ndarray) -> Any:
        xp = mt.backends.namespace(theta)
        return xp.sum(xp.gelu(theta) * theta)

    theta, u = np.random.default_rng(6).normal(size=(2, 7))
    h = 1e-5
    walked = (L(theta + h * u) - L(theta - h * u)) / (2 * h)
    return walked, np.dot(mt.value_and_grad(L)(theta)[1], u)


@states("09_backends", r"\max_x \frac{|\operatorname{fl}(x) - x|}{|x|} = 2^{-p}")
def _():
    """The worst x lies half a step above 1, and NumPy says how large a step is; both times 2^p."""
    p, x = 24, 1 + 2.0**-24
    return abs(float(np.float32(x)) - x) / x * 2.0**p, np.finfo(np.float32).eps / 2 * 2.0**p


# ----------------------------------------------------------------------------------------- 11, the real thing


@states("11_the_real_thing", r"t = \frac{S \, h}{R}")
def _():
    config = mt.Config()
    S, h, R = config.spectrogram_length, config.hop_length, config.sample_rate
    return S * h / R, config.clip_seconds


@states("11_the_real_thing", r"N = 1 + T \, \frac{H}{p} \, \frac{W}{p} + \frac{S}{p} \, \frac{F}{p}")
def _():
    p, T, H, W, S, F = 4, 3, 8, 20, 12, 16
    sizes = {"image_size": (H, W), "num_frames": T, "image_patch_size": p, "audio_patch_size": p}
    config = mt.Config.tiny(**sizes, spectrogram_length=S, frequency_length=F)
    clip = mt.ShapesWorld(config).sample(np.random.default_rng(0), 1)
    sequence = mt.forward(mt.init(config, seed=0), clip.video, clip.audio).sequence
    return 1 + T * H / p * W / p + S / p * F / p, sequence.shape[1]


# --------------------------------------------------------------------------------------- 08, using the model

LOGITS = np.random.default_rng(7).normal(size=(3, 6))


@states("08_using_the_model", r"p_k = \frac{e^{z_k}}{\sum_{l=1}^{K} e^{z_l}}")
def _():
    p = [[math.exp(z_k) / sum(math.exp(z_l) for z_l in z) for z_k in z] for z in LOGITS]
    return p, numpy_backend.softmax(LOGITS)


@states("08_using_the_model", r"\mathcal{L}_{\text{class}} = -\log p_y")
def _():
    y = np.array([4, 0, 2])
    losses = [-math.log(numpy_backend.softmax(z[None])[0, k]) for z, k in zip(LOGITS, y, strict=True)]
    return losses, [LOSSES["classification"](LOGITS[i : i + 1], y[i : i + 1]) for i in range(3)]


@states("08_using_the_model", r"v = \tfrac12 \bigl( \cos(h - 30°) + 1 - 2 \tau \bigr)")
def _():
    scenes = draw_scenes(np.random.default_rng(8), 11, held_out=False, max_count=2)
    h, tau = scenes.hue, scenes.tremble
    return 1 / 2 * (np.cos((h - 30) * math.pi / 180) + 1 - 2 * tau), scenes.label()["valence"]


@states("08_using_the_model", r"\mathcal{L}_{\text{number}} = (\hat v - v)^2")
def _():
    v_hat, v = LOGITS[:, :1], LOGITS[:, 1]
    return (v_hat[0, 0] - v[0]) ** 2, LOSSES["regression"](v_hat[:1], v[:1])


@states(
    "08_using_the_model",
    r"\mathcal{L}_{\text{labels}} = -\frac16 \sum_{k=1}^{6} \bigl( y_k \log \sigma(z_k) "
    r"+ (1 - y_k) \log(1 - \sigma(z_k)) \bigr)",
)
def _():
    z, y = LOGITS[0], np.array([1, 0, 0, 1, 1, 0])
    sigma = [1 / (1 + math.exp(-z_k)) for z_k in z]
    terms = [y[k] * math.log(sigma[k]) + (1 - y[k]) * math.log(1 - sigma[k]) for k in range(6)]
    return -1 / 6 * sum(terms), LOSSES["labels"](z[None], y[None])


# ------------------------------------------------------------------------------------------------ 10, faster


@states("10_faster", r"F = 2 N \, (4 D^2 + 2 D W) + 4 N^2 D")
def _():
    """Counted where the products are made: two operations for each multiplication."""
    N, D, W, heads, made = 5, 6, 11, 3, []
    config = mt.Config.tiny(hidden_size=D, intermediate_size=W, num_attention_heads=heads)
    block = mt.init(config, seed=0).encoder.blocks[0]
    kernels = namespace(np.ones(1))
    linear, attention = kernels.linear, kernels.attention

    def count_linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        made.append(x.size * len(weight))
        return linear(x, weight, bias)

    def count_attention(query: np.ndarray, key: np.ndarray, *rest: Any) -> np.ndarray:
        made.append(2 * query.size * key.shape[2])
        return attention(query, key, *rest)

    with patch.multiple(kernels, linear=count_linear, attention=count_attention):
        run_block(np.ones((1, N, D), np.float32), block, heads, 1e-6)
    return 2 * N * (4 * D**2 + 2 * D * W) + 4 * N**2 * D, 2 * sum(made)


@states("10_faster", r"\nabla L = \sum_{r=1}^{R} \nabla L_r")
def _():
    R, config = 3, CONFIG
    batch = mt.draw_batch(mt.ShapesWorld(config), config, np.random.default_rng(0), 5)
    counts = count_targets(batch)
    compute = mt.value_and_grad(lambda params, part: mt.pretraining_loss(params, part, counts).loss)
    names = mt.flatten(PARAMS)
    vectors = [
        np.concatenate([mt.flatten(compute(PARAMS, part)[1])[name].reshape(-1) for name in names])
        for part in (batch, *split_batch(batch, R))
    ]
    return vectors[0], sum(vectors[1:])
