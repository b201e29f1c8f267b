"""The TVLT of transformers 4.40.2 beside ours, both with the same random parameters."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minitvlt.checkpoints.huggingface import from_huggingface
from minitvlt.model.parameters import Params
from tests.helpers.models import draw_values

transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")
port = pytest.importorskip("transformers.models.tvlt.modeling_tvlt", reason="this transformers holds no TVLT")


def make_theirs(kind: str, settings: dict[str, Any], seed: int) -> Any:
    """Make a model of theirs, in which every parameter is random: nothing that is 0 or 1 hides a mistake."""
    rng = np.random.default_rng(seed)
    with transformers.modeling_utils.no_init_weights():  # what it would draw is overwritten
        theirs = getattr(port, kind)(transformers.TvltConfig(**settings))
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.from_numpy(draw_values(name, tuple(parameter.shape), rng)))
    return theirs


def make_pair(kind: str, settings: dict[str, Any], seed: int) -> tuple[Any, Params]:
    """Make a model of theirs, and ours from the folder that it saves."""
    theirs = make_theirs(kind, settings, seed)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return theirs, from_huggingface(Path(folder))
