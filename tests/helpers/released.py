"""The released TVLT code and ViT MAE, written a second time: their names and shapes, and what they compute.

Only the configuration comes from the package, so that a wrong name there is found.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minitvlt.config import Config
from tests.helpers.models import draw_values

# A model in which no two sizes are equal that could be mistaken for each other.
SIZES: dict[str, Any] = {
    "width": 10,
    "layers": 2,
    "mlp": 7,
    "decoder_width": 8,
    "decoder_layers": 1,
    "decoder_mlp": 5,
    "patch": (2, 2),
    "grid": (3, 3),  # of patches in a frame
    "frames": 5,
    "audio_patch": (2, 3),
    "steps": 7,
    "bins": 4,
    "labels": 3,
}
HEADS = {"num_attention_heads": 2, "decoder_num_attention_heads": 4}  # which no shape says
PARTS = ("decoder", "matching_score", "rank_output", "classifier")
CONFIG = Config(
    image_size=6,
    image_patch_size=(2, 2),
    num_frames=5,
    spectrogram_length=14,
    frequency_length=12,
    audio_patch_size=(2, 3),
    hidden_size=10,
    num_hidden_layers=2,
    intermediate_size=7,
    decoder_hidden_size=8,
    decoder_num_hidden_layers=1,
    decoder_intermediate_size=5,
    **HEADS,
)


def list_linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def list_norm(name: str, D: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (D,), f"{name}.bias": (D,)}


def list_changes(config: Config) -> dict[str, Any]:
    """Return the settings in which a configuration differs from the default."""
    return {name: value for name, value in config.to_dict().items() if value != getattr(Config, name)}


def list_blocks(name: str, layers: int, D: int, mlp: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of transformer blocks, alike in both programs."""
    block = {
        **list_norm("norm1", D),
        **list_linear("attn.qkv", 3 * D, D),
        **list_linear("attn.proj", D, D),
        **list_norm("norm2", D),
        **list_linear("mlp.fc1", mlp, D),
        **list_linear("mlp.fc2", D, mlp),
    }
    return {f"{name}.{i}.{part}": shape for i in range(layers) for part, shape in block.items()}


def list_released(parts: tuple[str, ...] = PARTS, **changes: Any) -> dict[str, tuple[int, ...]]:
    """Name every tensor of a checkpoint of the released code, and its shape."""
    s = SIZES | changes
    D, (p, q), (a, b) = s["width"], s["patch"], s["audio_patch"]
    shapes = {
        "cls_token": (1, 1, D),
        "patch_embed_v.proj.weight": (D, 3, p, q),
        "patch_embed_v.proj.bias": (D,),
        "patch_embed_a.proj.weight": (D, 1, a, b),
        "patch_embed_a.proj.bias": (D,),
        **_list_tables("", D, s),
        **list_blocks("blocks", s["layers"], D, s["mlp"]),
        **list_norm("norm", D),
    }
    for part in parts:
        shapes |= _list_decoder(s) if part == "decoder" else _list_head(part, D, s["labels"])
    return shapes


def _list_tables(beginning: str, D: int, s: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {
        f"{beginning}type_embed_v": (1, 1, D),
        f"{beginning}pos_embed_v": (1, s["grid"][0] * s["grid"][1], D),
        f"{beginning}temporal_embed": (1, s["frames"], D),
        f"{beginning}type_embed_a": (1, 1, D),
        f"{beginning}pos_embed_a": (1, s["steps"], D),
        f"{beginning}freq_embed": (1, s["bins"], D),
    }


def _list_decoder(s: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    E, (p, q), (a, b) = s["decoder_width"], s["patch"], s["audio_patch"]
    return {
        **list_linear("decoder_embed", E, s["width"]),
        **_list_tables("decoder_", E, s),
        "mask_token_v": (1, 1, E),
        "mask_token_a": (1, 1, E),
        **list_blocks("decoder_blocks", s["decoder_layers"], E, s["decoder_mlp"]),
        **list_norm("decoder_norm", E),
        **list_linear("mae_score_video.decoder", p * q * 3, E),
        **list_linear("mae_score_audio.decoder", a * b, E),
    }


def _list_head(part: str, D: int, labels: int) -> dict[str, tuple[int, ...]]:
    if part in ("matching_score", "rank_output"):
        return list_linear(f"{part}.pooler.dense", D, D) | list_linear(f"{part}.fc", 1, D)
    return {
        **list_linear(f"{part}.0.dense", D, D),
        **list_linear(f"{part}.1", 2 * D, D),
        **list_norm(f"{part}.2", 2 * D),
        **list_linear(f"{part}.4", labels, 2 * D),
    }


def list_mae(has_decoder: bool = True, **changes: Any) -> dict[str, tuple[int, ...]]:
    """Name every tensor of a checkpoint of ViT MAE pre-training, and its shape."""
    s = SIZES | changes
    D, E, (p, q), rows = s["width"], s["decoder_width"], s["patch"], 1 + s["grid"][0] * s["grid"][1]
    shapes = {
        "cls_token": (1, 1, D),
        "pos_embed": (1, rows, D),
        "patch_embed.proj.weight": (D, 3, p, q),
        "patch_embed.proj.bias": (D,),
        **list_blocks("blocks", s["layers"], D, s["mlp"]),
        **list_norm("norm", D),
    }
    decoder = {
        **list_linear("decoder_embed", E, D),
        "mask_token": (1, 1, E),
        "decoder_pos_embed": (1, rows, E),
        **list_blocks("decoder_blocks", s["decoder_layers"], E, s["decoder_mlp"]),
        **list_norm("decoder_norm", E),
        **list_linear("decoder_pred", p * q * 3, E),
    }
    return shapes | decoder if has_decoder else shapes


def make_vit_mae(folder: Path, has_decoder: bool = True, **changes: Any) -> Any:
    """Let transformers write a folder with a small ViTMAE of random parameters, and return the model."""
    transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 7}
    decoder = {f"decoder_{name}": value // 2 * 2 for name, value in sizes.items()}
    decoder |= {"decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 1}
    config = transformers.ViTMAEConfig(image_size=6, patch_size=2, **sizes | decoder | changes)
    kind = transformers.ViTMAEForPreTraining if has_decoder else transformers.ViTMAEModel
    theirs, rng = kind(config), np.random.default_rng(3)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.from_numpy(draw_values(name, tuple(parameter.shape), rng)))
    theirs.save_pretrained(folder, max_shard_size="3KB")
    return theirs.eval()


def draw_tensors(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, torch.Tensor]:
    """Draw random float32 values for named shapes, none of them zero or one."""
    rng = np.random.default_rng(seed)
    return {
        name: torch.from_numpy(draw_values(name, shape, rng).astype(np.float32))
        for name, shape in shapes.items()
    }


# What they compute, from their own names, without padding.


def run_released(
    tensors: Mapping[str, torch.Tensor],
    video: torch.Tensor,
    audio: torch.Tensor,
    heads: int,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Encode clips as the released code does: cls, then audio, then frames; all of them normalised.

    In the mask, True is a token that is real; cls has a place in it, too.
    """
    D, T = tensors["cls_token"].shape[-1], video.shape[1]
    audio_patch, patch = (tensors[f"patch_embed_{each}.proj.weight"].shape[2:] for each in ("a", "v"))
    sound = F.conv2d(audio, *_get_linear(tensors, "patch_embed_a.proj"), stride=audio_patch)  # (B, D, s, f)
    s = sound.shape[2]
    sound = (
        sound + tensors["pos_embed_a"][0, :s].T[None, :, :, None] + tensors["freq_embed"][0].T[None, :, None]
    )
    sound = sound.flatten(2).transpose(1, 2) + tensors["type_embed_a"]
    frames = []
    for t in range(T):
        frame = F.conv2d(video[:, t], *_get_linear(tensors, "patch_embed_v.proj"), stride=patch)
        frame = frame.flatten(2).transpose(1, 2) + tensors["pos_embed_v"] + tensors["type_embed_v"]
        frames.append(frame + tensors["temporal_embed"][:, t : t + 1])
    x = torch.cat([tensors["cls_token"].expand(len(video), 1, D), sound, *frames], dim=1)
    return F.layer_norm(
        run_blocks(tensors, "blocks", x, heads, mask), (D,), *_get_linear(tensors, "norm"), eps=1e-6
    )


def run_blocks(
    tensors: Mapping[str, torch.Tensor],
    name: str,
    x: torch.Tensor,
    heads: int,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Run all blocks of that name, one after the other."""
    B, N, D = x.shape
    layers = len({each.split(".")[1] for each in tensors if each.startswith(f"{name}.")})
    for i in range(layers):
        block = f"{name}.{i}"
        y = F.layer_norm(x, (D,), *_get_linear(tensors, f"{block}.norm1"), eps=1e-6)
        q, k, v = F.linear(y, *_get_linear(tensors, f"{block}.attn.qkv")).chunk(3, dim=-1)
        q, k, v = (each.reshape(B, N, heads, D // heads).transpose(1, 2) for each in (q, k, v))
        scores = q @ k.transpose(2, 3) / (D // heads) ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        y = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(B, N, D)
        x = x + F.linear(y, *_get_linear(tensors, f"{block}.attn.proj"))
        y = F.layer_norm(x, (D,), *_get_linear(tensors, f"{block}.norm2"), eps=1e-6)
        y = F.gelu(F.linear(y, *_get_linear(tensors, f"{block}.mlp.fc1")))
        x = x + F.linear(y, *_get_linear(tensors, f"{block}.mlp.fc2"))
    return x


def run_head(tensors: Mapping[str, torch.Tensor], part: str, x: torch.Tensor) -> torch.Tensor:
    """Run a matching or ranking head, or a classifier, on encoded tokens: it reads the first."""
    if part in ("matching_score", "rank_output"):
        pooled = torch.tanh(F.linear(x[:, 0], *_get_linear(tensors, f"{part}.pooler.dense")))
        return F.linear(pooled, *_get_linear(tensors, f"{part}.fc"))[:, 0]
    pooled = torch.tanh(F.linear(x[:, 0], *_get_linear(tensors, f"{part}.0.dense")))
    wide = F.linear(pooled, *_get_linear(tensors, f"{part}.1"))
    wide = F.layer_norm(wide, wide.shape[-1:], *_get_linear(tensors, f"{part}.2"), eps=1e-5)
    return F.linear(F.gelu(wide), *_get_linear(tensors, f"{part}.4"))


def run_mae(tensors: Mapping[str, torch.Tensor], image: torch.Tensor, heads: int) -> torch.Tensor:
    """Encode an image in [0, 1] as ViT MAE does without hiding anything: cls, then the patches."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    image = (image - mean[:, None, None]) / deviation[:, None, None]
    patch = tensors["patch_embed.proj.weight"].shape[2:]
    x = F.conv2d(image, *_get_linear(tensors, "patch_embed.proj"), stride=patch).flatten(2).transpose(1, 2)
    x = torch.cat([tensors["cls_token"].expand(len(image), 1, -1), x], dim=1) + tensors["pos_embed"]
    x = run_blocks(tensors, "blocks", x, heads)
    return F.layer_norm(x, x.shape[-1:], *_get_linear(tensors, "norm"), eps=1e-6)


def _get_linear(tensors: Mapping[str, torch.Tensor], name: str) -> tuple[torch.Tensor, torch.Tensor]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]
