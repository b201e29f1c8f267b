"""Results as they were before the refactoring, in tests/golden/golden.jsonl: floats as fixed projections.

After a deliberate change of results, `python -m tests.test_golden` writes the file again. Only public names
of the package are used.
"""

import hashlib
import json
import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitvlt as mt
from minitvlt.model.parameters import add_ranking
from tests.helpers.annotations import annotations_unchecked

PATH = Path(__file__).parent / "golden" / "golden.jsonl"
TOLERANCES = {"float64": 1e-9, "float32": 1e-5}  # of the largest value
SIZES: dict[str, Any] = {
    "image_size": (6, 8),
    "num_frames": 3,
    "image_patch_size": (3, 2),
    "sample_rate": 8000,
    "window_length": 128,
    "hop_length": 50,
    "spectrogram_length": 20,
    "frequency_length": 6,
    "audio_patch_size": (4, 3),
    "hidden_size": 18,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 13,
    "decoder_hidden_size": 10,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 7,
    "num_labels": 3,
}
CONFIGS = {
    "huggingface": mt.Config.huggingface(**SIZES, pooling="mean"),
    "original": mt.Config.original(**SIZES, joint_decoder=True, audio_mask_type="speech-span"),
}


def draw_params(params: mt.Params) -> mt.Params:
    """Draw every parameter in float64, each from a generator seeded with its name."""
    names = iter(mt.flatten(params))

    def draw(x: np.ndarray) -> np.ndarray:
        return x + 0.2 * np.random.default_rng(zlib.crc32(next(names).encode())).standard_normal(x.shape)

    return mt.map_tree(draw, params)


def draw_clips(config: mt.Config, frames: list[int], steps: list[int]) -> mt.Examples:
    """Draw a clip for each number of frames and of patches in time, in float64, padded to the longest."""
    rng, (h, w), f = np.random.default_rng(5), config.image_grid, config.audio_grid[1]
    B, T, s = len(frames), max(frames), max(steps)
    video = rng.uniform(-1, 1, (B, T, 3, *config.image_shape))
    audio = rng.uniform(-1, 1, (B, 1, s * config.audio_patch_size[0], config.frequency_length))
    video_mask = np.repeat(np.arange(T) < np.array(frames)[:, None], h * w, axis=1)
    audio_mask = np.repeat(np.arange(s) < np.array(steps)[:, None], f, axis=1)
    return mt.Examples(video, audio, video_mask, audio_mask)


def draw_batch(config: mt.Config, mask_type: str | None = None) -> mt.PretrainingBatch:
    config = config.replace(audio_mask_type=mask_type or config.audio_mask_type)
    return mt.make_batch(draw_clips(config, [3, 1, 2, 3], [3, 5, 5, 2]), config, np.random.default_rng(6))


def compute_forward(change: Callable[[mt.Params], mt.Params] = lambda params: params) -> dict[str, Any]:
    results = {}
    for name, config in CONFIGS.items():
        params = change(draw_params(mt.init(config)))
        c, longer = draw_clips(config, [3, 1, 0], [3, 5, 4]), draw_clips(config, [4, 2], [7, 6])
        calls = {
            "both": (c.video, c.audio, c.video_mask, c.audio_mask),
            "video": (c.video[:2], None, c.video_mask[:2], None),
            "audio": (None, c.audio, None, c.audio_mask),
            "unmasked": (c.video, c.audio),
            "stretched": (longer.video, longer.audio, longer.video_mask, None),
        }
        for case, clips in calls.items():
            out = mt.forward(params, *clips, return_hidden=case == "both", return_attention=case == "both")
            results |= {f"{name}.{case}.{key}": x for key, x in mt.flatten(out).items()}
    return results


def compute_gradients() -> dict[str, Any]:
    results = {}
    for name, config in CONFIGS.items():
        base, batch, labels = mt.init(config), draw_batch(config), np.array([0, 2, 1, 1])
        clips = (batch.video, batch.audio, batch.video_mask, batch.audio_mask)
        task, ranking = draw_params(mt.add_classifier(base)), draw_params(add_ranking(base))
        results[f"{name}.ranking"] = mt.score_all_pairs(ranking, batch)
        for case, loss, params, data in (
            ("pretraining", mt.pretraining_loss, draw_params(base), batch),
            ("task", mt.task_loss, task, mt.TaskBatch(*clips, labels)),
        ):
            differentiate = mt.value_and_grad(lambda *args, loss=loss: ((o := loss(*args)).loss, o), True)
            (_, out), gradients = differentiate(params, data)
            found = mt.flatten(out) | {f"gradient.{key}": x for key, x in mt.flatten(gradients).items()}
            results |= {f"{name}.{case}.{key}": x for key, x in found.items()}
    return results


def compute_training() -> dict[str, Any]:
    results = {}
    for name, config in CONFIGS.items():
        params, batch, losses = draw_params(mt.init(config)), draw_batch(config), []
        for _ in range(5):
            loss, gradients = mt.value_and_grad(lambda p, b: mt.pretraining_loss(p, b).loss)(params, batch)
            params = mt.map_tree(lambda x, g: x - 0.1 * g, params, gradients)
            losses.append(float(loss))
        results[f"{name}.descent"] = losses
    config = mt.Config.tiny(num_hidden_layers=1, hidden_size=20, decoder_num_hidden_layers=1)
    recipe = mt.Recipe(steps=5, batch_size=4, micro_batches=4, warmup_steps=2)
    with tempfile.TemporaryDirectory() as folder:
        mt.train(mt.init(config), mt.ShapesWorld(config), recipe, folder, show_progress=False)
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    for key in ("loss", "gradient_norm", "learning_rate"):
        results[f"train.{key}"] = np.array([line[key] for line in lines], np.float32)
    return results


def compute_signals() -> dict[str, Any]:
    t = np.arange(1700) / 8000
    noise = np.random.default_rng(7).standard_normal((2, 1700))
    sounds = np.sin(2 * np.pi * (300 + 900 * t) * t) * [[0.5], [0.02]] + 0.01 * noise + 0.1  # (2, 1700)
    frames = np.random.default_rng(8).integers(0, 256, (5, 23, 31, 3)).astype(np.uint8)
    frames[:, :4] = frames[:, :, -3:] = 0  # black borders
    results = {}
    for rate, bins, window, hop in ((8000, 16, 256, 100), (44100, 20, 512, 512), (16000, 5, 60, 7)):
        for padding, drop in (("reflect", True), ("constant", False)):
            x = mt.log_mel_spectrogram(sounds, rate, bins, window, hop, padding, drop)
            results[f"log_mel.{rate}.{padding}"] = x
        results[f"waveform.{rate}"] = mt.reconstruct_waveform(x[:, :15], rate, window, hop, iterations=3)
    for name, config in CONFIGS.items():
        waveforms, rates = [sounds[0], sounds[1, :700], sounds[1, :90]], [11025, 8000, 8000]
        audio = mt.prepare_audio([w.astype(np.float32) for w in waveforms], rates, config)
        video = mt.prepare_video([frames, frames[:2, 3:, :17], frames[0]], config)
        made = {"audio": audio[0], "audio_mask": audio[1], "video": video[0], "video_mask": video[1]}
        results |= {f"{name}.{key}": x for key, x in made.items()}
    return results


def compute_files() -> dict[str, Any]:
    results = {}
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(action="ignore"):
        folder, params = Path(name), mt.init(CONFIGS["original"].replace(joint_decoder=False), 3)
        mt.save(params, folder / "saved.safetensors")
        mt.to_original(params, folder / "original.safetensors")
        square = CONFIGS["huggingface"].replace(image_patch_size=2)  # transformers has no others
        mt.to_huggingface(mt.init(square, 3), folder / "huggingface")
        untold = {"num_attention_heads": 3, "decoder_num_attention_heads": 2, "image_size": (6, 8)}
        trees = {
            "init": params,
            "load": mt.load(folder / "saved.safetensors"),
            "from_huggingface": mt.from_huggingface(folder / "huggingface"),
            "from_original": mt.from_original(folder / "original.safetensors", **untold),
        }
        for path in sorted(folder.rglob("*.*")):
            results[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for key, tree in trees.items():
        arrays = sorted((k, x.shape, str(x.dtype), x.tobytes()) for k, x in mt.flatten(tree).items())
        results[f"{key}.arrays"] = hashlib.sha256(repr(arrays).encode()).hexdigest()
    clips = mt.ShapesWorld(mt.Config.tiny(), "held_out").sample(np.random.default_rng(9), 6)
    trained = {"clips": mt.flatten(clips), "scores": mt.score_all_pairs(mt.load("shapes-small"), clips)}
    return results | {f"shapes-small.{key}": x for key, x in mt.flatten(trained).items()}


def compute_masks() -> dict[str, Any]:
    results = {}
    for mask_type in ("frame-level", "patch-level", "speech-span"):
        batch = mt.flatten(draw_batch(CONFIGS["original"], mask_type))
        results |= {f"{mask_type}.{key}": x for key, x in batch.items() if x.dtype.kind != "f"}
    return results


SECTIONS = (
    compute_forward,
    compute_gradients,
    compute_training,
    compute_signals,
    compute_files,
    compute_masks,
)


def summarise(value: Any) -> Any:
    """Keep strings, integers and small arrays; of larger ones four projections and the size."""
    if isinstance(value, str):
        return value
    x = np.asarray(value)
    if x.dtype.kind != "f":
        return [str(x.dtype), list(x.shape), x.astype(int).ravel().tolist()]
    flat = x.astype(np.float64).ravel()
    largest = float(np.max(np.abs(flat)))
    weights = np.random.default_rng(0).standard_normal((4, flat.size))
    numbers = flat if flat.size <= 8 else np.append(weights @ flat, np.linalg.norm(flat)) / flat.size**0.5
    return [str(x.dtype), list(x.shape), largest, numbers.tolist()]


def is_close(found: Any, golden: Any) -> bool:
    if isinstance(golden, str) or len(golden) == 3 or found[:2] != golden[:2]:
        return found == golden
    error = np.max(np.abs(np.array(found[3]) - golden[3]))
    return bool(error <= TOLERANCES[golden[0]] * max(golden[2], 1e-6))  # a gradient may be 0 but for rounding


def find_differences(compute: Callable[[], dict[str, Any]], results: dict[str, Any]) -> list[str]:
    """Name what is not as the file says of this function's results."""
    lines = [json.loads(line) for line in PATH.read_text("utf-8").splitlines()]
    golden = {name: value for section, name, value in lines if section == compute.__name__}
    found = {name: summarise(value) for name, value in results.items()}
    return [f"{name}: not on both sides" for name in sorted(golden.keys() ^ found.keys())] + [
        f"{name}: {found[name]} instead of {value}"
        for name, value in golden.items()
        if name in found and not is_close(found[name], value)
    ]


@pytest.mark.parametrize("compute", SECTIONS)
def test_results_are_those_of_before(compute):
    with annotations_unchecked():  # other tests check them, and training is slow with them
        differences = find_differences(compute, compute())
    assert not differences, "\n".join(differences)


def test_a_small_change_of_one_parameter_is_found():
    def change(params: mt.Params) -> mt.Params:
        frequency = params.encoder.audio_positions.frequency.copy()
        frequency[0, 0] += 1e-6
        positions = replace(params.encoder.audio_positions, frequency=frequency)
        return replace(params, encoder=replace(params.encoder, audio_positions=positions))

    named = {line.partition(":")[0] for line in find_differences(compute_forward, compute_forward(change))}
    assert {"original.both.cls", "huggingface.audio.sequence"} <= named
    assert not any(".video." in name and "both" not in name for name in named)


if __name__ == "__main__":
    made = [(f.__name__, name, summarise(value)) for f in SECTIONS for name, value in f().items()]
    PATH.write_text("".join(json.dumps(line) + "\n" for line in made), encoding="utf-8")
