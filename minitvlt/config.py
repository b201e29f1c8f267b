"""The geometry of a model and its published settings, in one frozen dataclass.

Field names are those of the `TvltConfig` of transformers 4.40.2 wherever the meaning is the same, and so are
the default values: `Config()` is the published base model.
"""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

AUDIO_MASK_TYPES = ("frame-level", "patch-level", "speech-span")

# What the published configuration can say and this model does not do: field -> the one value it has.
FIXED_VALUES = {
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@dataclass(frozen=True)
class Config:
    """Everything that is fixed before the first number is computed.

    Sizes are in pixels, spectrogram steps and mel bins; pairs are (height, width) for frames and
    (steps, mel bins) for spectrograms. Position tables get one row for each position that these sizes give;
    inputs may be shorter (the first rows are used) or longer (the table is interpolated).

    Raises:
        ValueError: a value outside its range, or two values that contradict each other.
    """

    # Frames
    image_size: int | tuple[int, int] = 224
    num_frames: int = 8
    num_image_channels: int = 3
    image_patch_size: tuple[int, int] = (16, 16)
    # Sound: a spectrogram of 2,048 steps lasts 23.8 s
    sample_rate: int = 44100  # samples a second
    window_length: int = 2048  # samples
    hop_length: int = 512  # samples
    spectrogram_length: int = 2048
    frequency_length: int = 128
    num_audio_channels: int = 1
    audio_patch_size: tuple[int, int] = (16, 16)
    # Encoder
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    final_norm: bool = True
    # Decoder: run on each modality alone, as in the paper, or on both in one sequence
    joint_decoder: bool = False
    decoder_hidden_size: int = 512
    decoder_num_hidden_layers: int = 8
    decoder_num_attention_heads: int = 16
    decoder_intermediate_size: int = 2048
    # Pre-training
    task_matching: bool = True
    task_mae: bool = True
    matching_weight: float = 1.0
    mae_weight: float = 1.0
    pixel_mask_ratio: float = 0.75
    audio_mask_ratio: float = 0.15
    audio_mask_type: str = "frame-level"

    def __post_init__(self) -> None:
        for name in ("image_size", "image_patch_size", "audio_patch_size"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        _check_types(self)
        _check_ranges(self)
        _check_geometry(self)

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The recipe of the paper: 75% of both modalities hidden, speech preferred, weights 1.0 and 0.3."""
        recipe = {"audio_mask_ratio": 0.75, "audio_mask_type": "speech-span", "mae_weight": 0.3}
        return cls.from_dict({**recipe, **changes})

    @classmethod
    def small(cls, **changes: Any) -> "Config":
        """A model for one ordinary graphics card: 4 frames of 128², 5.9 s of sound, 23 million parameters."""
        return cls.from_dict({**SMALL, **changes})

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The model that learns the embedded world in minutes on a laptop, with NumPy alone."""
        return cls.from_dict({**TINY, **changes})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Config":
        """Build a configuration from plain values, for instance a parsed JSON object.

        Raises:
            ValueError: a name that no field has; the nearest field is suggested.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(known)}."
                raise ValueError(f"Unknown configuration value {name!r}: {hint}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values that JSON can hold."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> "Config":
        """Return a copy with some fields changed; the same checks apply."""
        return Config.from_dict({**self.to_dict(), **changes})

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of a frame, in pixels."""
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size, self.image_size)

    @property
    def image_grid(self) -> tuple[int, int]:
        """Rows and columns of patches in a frame."""
        (H, W), (p, q) = self.image_shape, self.image_patch_size
        return H // p, W // q

    @property
    def audio_grid(self) -> tuple[int, int]:
        """Patches along time and along frequency in a full spectrogram."""
        p, q = self.audio_patch_size
        return self.spectrogram_length // p, self.frequency_length // q

    @property
    def clip_seconds(self) -> float:
        """Length of the sound that fills the spectrogram."""
        return self.spectrogram_length * self.hop_length / self.sample_rate


SMALL: dict[str, Any] = {
    "image_size": 128,
    "num_frames": 4,
    "spectrogram_length": 512,
    "hidden_size": 384,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
    "decoder_hidden_size": 192,
    "decoder_num_hidden_layers": 4,
    "decoder_num_attention_heads": 6,
    "decoder_intermediate_size": 768,
    "audio_mask_ratio": 0.75,
    "audio_mask_type": "patch-level",
}

TINY: dict[str, Any] = {
    "image_size": 24,
    "num_frames": 3,
    "image_patch_size": (12, 12),
    "sample_rate": 8000,
    "window_length": 512,
    "hop_length": 256,
    "spectrogram_length": 24,
    "frequency_length": 16,
    "audio_patch_size": (8, 8),
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "decoder_hidden_size": 64,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 4,
    "decoder_intermediate_size": 128,
    "initializer_range": 0.1,  # about 1 / sqrt(hidden_size): with 0.02 a narrow model hardly starts to learn
    "pixel_mask_ratio": 0.5,  # of so few patches that three quarters would hide the whole shape
    "mae_weight": 3.0,  # patches of plain shapes have small errors: this makes them count beside matching
    "audio_mask_ratio": 0.5,
    "audio_mask_type": "patch-level",
}

_PAIRS = ("image_patch_size", "audio_patch_size")
_NON_NEGATIVE = ("initializer_range", "matching_weight", "mae_weight")


def _check_types(config: Config) -> None:
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), field.name
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        is_pair = (
            isinstance(value, tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)
        )
        if name == "image_size":
            valid, wanted = is_pair or (is_whole and value > 0), "a positive whole number or (height, width)"
        elif name in _PAIRS:
            valid, wanted = is_pair, "a pair of positive whole numbers"
        elif field.type is bool:
            valid, wanted = isinstance(value, bool), "True or False"
        elif field.type is int:
            valid, wanted = is_whole and value > 0, "a positive whole number"
        elif field.type is float:
            valid, wanted = is_whole or isinstance(value, float), "a number"
        else:
            valid, wanted = isinstance(value, str), "a word"
        if not valid:
            raise ValueError(f"{name} must be {wanted}, not {value!r}.")


def _check_ranges(config: Config) -> None:
    for name, value in FIXED_VALUES.items():
        if getattr(config, name) != value:
            raise ValueError(
                f"{name}={getattr(config, name)!r} is not supported: this model has {name}={value!r} only, "
                "as the published checkpoints do."
            )
    for name in ("pixel_mask_ratio", "audio_mask_ratio"):
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(config, name)!r}.")
    for name in _NON_NEGATIVE:
        if not 0 <= getattr(config, name) < float("inf"):
            raise ValueError(f"{name} must be a finite number of at least 0, not {getattr(config, name)!r}.")
    if not 0 < config.layer_norm_eps < 1:
        raise ValueError(f"layer_norm_eps must lie between 0 and 1, not {config.layer_norm_eps!r}.")
    if config.audio_mask_type not in AUDIO_MASK_TYPES:
        allowed = ", ".join(AUDIO_MASK_TYPES)
        raise ValueError(f"audio_mask_type must be one of {allowed}, not {config.audio_mask_type!r}.")
    if not (config.task_matching or config.task_mae):
        raise ValueError(
            "task_matching and task_mae are both False: pre-training needs at least one of them."
        )


def _check_geometry(config: Config) -> None:
    (H, W), (p, q) = config.image_shape, config.image_patch_size
    S, F = config.spectrogram_length, config.frequency_length
    a, b = config.audio_patch_size
    divisions = (
        ("image_size (height)", H, "image_patch_size (height)", p),
        ("image_size (width)", W, "image_patch_size (width)", q),
        ("spectrogram_length", S, "audio_patch_size (steps)", a),
        ("frequency_length", F, "audio_patch_size (mel bins)", b),
        ("hidden_size", config.hidden_size, "num_attention_heads", config.num_attention_heads),
        (
            "decoder_hidden_size",
            config.decoder_hidden_size,
            "decoder_num_attention_heads",
            config.decoder_num_attention_heads,
        ),
    )
    for whole_name, whole, part_name, part in divisions:
        if whole % part:
            raise ValueError(f"{whole_name} {whole} is not a multiple of {part_name} {part}.")
    if config.window_length % 2 or config.window_length < 4:
        raise ValueError(f"window_length must be an even number of at least 4, not {config.window_length}.")
    if config.hop_length > config.window_length:
        raise ValueError(
            f"hop_length {config.hop_length} is longer than window_length {config.window_length}: "
            "samples between two windows would be lost."
        )
