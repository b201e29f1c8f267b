"""A checkpoint of any known program: told by what it holds, and read as its own reader reads it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minitvlt.checkpoints.detect import FORMATS, guess_format, load_any, read_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.released import read_mae
from minitvlt.checkpoints.native import save, save_arrays
from minitvlt.checkpoints.released import from_original
from minitvlt.config import Config
from minitvlt.model.parameters import Params, init
from tests.helpers.backends import assert_trees_close
from tests.helpers.released import HEADS, draw_tensors, list_mae, list_released


@pytest.fixture
def params() -> Params:
    return init(Config.tiny(mae_weight=1.0, audio_mask_type="frame-level"))


def write_tensors(shapes: dict[str, tuple[int, ...]], path: Path) -> Path:
    torch.save(draw_tensors(shapes), path)
    return path


def write_safetensors(shapes: dict[str, tuple[int, ...]], path: Path) -> Path:
    return save_arrays({name: each.numpy() for name, each in draw_tensors(shapes).items()}, path)


def assert_read(found: Params, expected: Params) -> None:
    assert found.config == expected.config
    assert_trees_close(found, expected, rtol=0, atol=0)


def test_a_file_of_ours(params, tmp_path):
    path = save(params, tmp_path / "model.safetensors")
    assert guess_format(path) == "minitvlt"
    assert_read(load_any(path), params)


@pytest.mark.filterwarnings("ignore:transformers will not do all")
def test_a_folder_of_transformers(params, tmp_path):
    folder = to_huggingface(params, tmp_path / "folder")
    assert guess_format(folder) == "transformers"
    with pytest.warns(UserWarning, match="not all done alike"):
        assert_read(load_any(folder), params)


@pytest.mark.parametrize("write", [write_tensors, write_safetensors])
@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_a_file_of_the_released_code(write, prefix, tmp_path):
    shapes = {prefix + name: shape for name, shape in list_released().items()}
    path = write(shapes, tmp_path / "model.safetensors")
    if write is write_tensors:
        path = path.rename(tmp_path / "model.ckpt")
    assert guess_format(path) == "original"
    assert_read(load_any(path, **HEADS), from_original(path, **HEADS))


def test_a_file_of_mae(tmp_path):
    path = write_tensors(list_mae(), tmp_path / "mae.pth")
    found, (params, drawn) = read_any(path, **HEADS), read_mae(path, **HEADS)
    assert (found.format, found.drawn) == ("mae", tuple(drawn))
    assert_read(found.params, params)


def test_only_mae_leaves_something_to_be_drawn(params, tmp_path):
    assert read_any(save(params, tmp_path / "model.safetensors")).drawn == ()


def test_arrays_of_an_unknown_program_are_refused(tmp_path):
    path = write_tensors({"conv1.weight": (2, 3), "bn1.bias": (2,)}, tmp_path / "resnet.pth")
    assert guess_format(path) is None
    with pytest.raises(ValueError, match=r"of no known program: it holds bn1\.bias, conv1\.weight, and none"):
        load_any(path)


def test_settings_are_refused_where_a_checkpoint_holds_its_own(params, tmp_path):
    path = save(params, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="minitvlt do: leave out num_attention_heads"):
        load_any(path, num_attention_heads=2)


def test_arrays_of_transformers_without_their_settings_are_refused(params, tmp_path):
    save_arrays({"tvlt.pixel_embeddings.patch_embeddings.projection.weight": np.ones(3)}, tmp_path / "x.bin")
    with pytest.raises(ValueError, match=r"a folder with config\.json and model\.safetensors, .* is a file"):
        load_any(tmp_path / "x.bin")


def test_an_empty_file_with_a_configuration_is_refused(params, tmp_path):
    save_arrays({}, tmp_path / "empty.safetensors", {"config": params.config.to_dict()})
    with pytest.raises(ValueError, match=r"empty\.safetensors holds 0 numbers, too few"):
        load_any(tmp_path / "empty.safetensors")


def test_a_format_can_be_said_and_must_be_known(params, tmp_path):
    path = save(params, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"expected one patch_embed_v\.proj\.weight"):
        read_any(path, "original")
    with pytest.raises(ValueError, match="Unknown format 'keras': expected one of minitvlt, transformers"):
        read_any(path, "keras")
    assert set(FORMATS) == {"minitvlt", "transformers", "original", "mae"}


def test_a_name_of_the_hub_is_a_folder_of_transformers(params, monkeypatch, tmp_path):
    asked: list[Any] = []
    monkeypatch.setattr(
        "minitvlt.checkpoints.detect.from_huggingface", lambda name: asked.append(name) or params
    )
    monkeypatch.chdir(tmp_path)
    assert load_any("somebody/tvlt-1.0") is params
    assert asked == ["somebody/tvlt-1.0"]


@pytest.mark.parametrize(
    "path", ["nothing.ckpt", "runs/model", "somebody/model.ckpt", "/some/model", "model"]
)
def test_what_is_not_there_never_asks_the_network(path, monkeypatch, tmp_path):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minitvlt.checkpoints.detect.from_huggingface", lambda _: pytest.fail("it was asked"))
    with pytest.raises(ValueError, match=f"Expected a checkpoint, but {path} is not there"):
        load_any(path)


def test_a_folder_that_is_none_of_transformers_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        load_any(tmp_path)
