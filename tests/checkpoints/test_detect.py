"""A checkpoint of any known program is recognised by what it holds, and read by its own reader."""

from pathlib import Path

import numpy as np
import pytest
import torch

from minitvlt.checkpoints.detect import FORMATS, guess_format, load_any, read_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.native import save, save_arrays
from minitvlt.checkpoints.released import from_original, read_mae
from minitvlt.config import Config
from minitvlt.model.parameters import Params, init
from tests.helpers.backends import assert_trees_close
from tests.helpers.released import CONFIG, HEADS, draw_tensors, list_mae, list_released


@pytest.fixture
def params() -> Params:
    return init(CONFIG)


def assert_read(found: Params, expected: Params) -> None:
    assert found.config == expected.config
    assert_trees_close(found, expected, rtol=0, atol=0)


def test_files_of_ours_and_folders_of_transformers(params, tmp_path):
    for format, write in (("minitvlt", save), ("transformers", to_huggingface)):
        path = write(params, tmp_path / format)
        found = read_any(path)
        assert (guess_format(path), found.format, found.drawn) == (format, format, ())
        assert_read(found.params, params)
        with pytest.raises(ValueError, match=rf"own settings \({format}\): leave out num_attention_heads"):
            load_any(path, num_attention_heads=2)


def test_files_of_the_released_code_and_of_mae(tmp_path):
    for format, shapes in (("original", list_released()), ("mae", list_mae())):
        tensors = {f"transformer.{name}": tensor for name, tensor in draw_tensors(shapes).items()}
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        torch.save({"model": tensors}, tmp_path / f"{format}.pth")
        for path in (tmp_path / f"{format}.pth", save_arrays(arrays, tmp_path / f"{format}.safetensors")):
            found = read_any(path, **HEADS)
            assert (guess_format(path), found.format) == (format, format)
            if format == "mae":
                expected, drawn = read_mae(path, **HEADS)
                assert found.drawn == tuple(drawn)
            else:
                expected = from_original(path, **HEADS)
            assert_read(found.params, expected)
    assert set(FORMATS) == {"minitvlt", "transformers", "original", "mae"}


def test_what_is_no_checkpoint_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.ones(2, 3), "bn1.bias": torch.ones(2)}, tmp_path / "resnet.pth")
    assert guess_format(tmp_path / "resnet.pth") is None
    with pytest.raises(ValueError, match=r"no known format: .* got bn1\.bias, conv1\.weight"):
        load_any(tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match=r"config\.json"):
        load_any(tmp_path)
    name = "tvlt.pixel_embeddings.patch_embeddings.projection.weight"
    file = save_arrays({name: np.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"a folder with config\.json and model\.safetensors, got "):
        load_any(file)
    file = save_arrays({}, tmp_path / "empty.safetensors", {"config": Config().to_dict()})
    with pytest.raises(ValueError, match=r"empty\.safetensors holds 0 numbers, too few"):
        load_any(file)
    with pytest.raises(ValueError, match=r"expected one patch_embed_v\.proj\.weight"):
        read_any(file, "original")


@pytest.mark.parametrize(
    "path", ["nothing.ckpt", "runs/model", "some/model.ckpt", "/some/model", "some/name"]
)
def test_only_a_name_of_the_hub_is_downloaded(path, params, monkeypatch, tmp_path):
    asked: list[str] = []
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    folder = to_huggingface(params, tmp_path / "folder")
    monkeypatch.setattr("minitvlt.checkpoints.detect.find_folder", lambda name: asked.append(name) or folder)
    monkeypatch.setattr("minitvlt.checkpoints.detect.from_huggingface", lambda name: params)
    if path == "some/name":
        assert load_any(path) is params and asked == [path]
    else:
        with pytest.raises(ValueError, match=f"Expected a checkpoint, but {path} is not there"):
            load_any(Path(path) if path == "/some/model" else path)
