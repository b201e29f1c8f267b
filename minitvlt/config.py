"""The geometry of a model and its published settings, in one frozen dataclass.

Field names are those of the `TvltConfig` of transformers 4.40.2 wherever the meaning is the same, and so are
the default values: `Config()` is the published base model.
"""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

from minitvlt.validation import check_config


@dataclass(frozen=True)
class Config:
    """Everything that is fixed before the first number is computed.

    Sizes are in pixels, spectrogram steps and mel bins; pairs are (height, width) for frames and
    (steps, mel bins) for spectrograms. One number for a patch size means a square. Position tables get one
    row for each position that these sizes give; inputs may be shorter (the first rows are used) or longer
    (the table is interpolated).

    Raises:
        ValueError: a value outside its range, or two values that contradict each other.
    """

    # Frames
    image_size: int | tuple[int, int] = 224
    num_frames: int = 8
    num_image_channels: int = 3
    image_patch_size: int | tuple[int, int] = (16, 16)  # kept as a pair
    # Sound: a spectrogram of 2,048 steps lasts 23.8 s
    sample_rate: int = 44100  # samples a second
    window_length: int = 2048  # samples
    hop_length: int = 512  # samples
    spectrogram_length: int = 2048
    frequency_length: int = 128
    num_audio_channels: int = 1
    audio_patch_size: int | tuple[int, int] = (16, 16)  # kept as a pair
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
    audio_mask_type: str = "frame-level"  # or "patch-level", or "speech-span"
    # Fine-tuning
    num_labels: int = 2  # classes, labels or numbers that the classifier gives
    loss_type: str = "classification"  # "regression", "labels" (independent), "soft-labels" (VQA), "ranking"
    pooling: str = "cls"  # what the classifier reads: cls, or the "mean" of the real tokens
    # What differs between the released code and the port of it in transformers, which is the default
    token_order: str = "video-first"  # behind cls; or "audio-first"
    cls_in_autoencoding: bool = True  # whether cls is there when hidden patches are filled in
    classifier_pooler: bool = False  # a linear map and tanh before the classifier
    classifier_norm_eps: float = 1e-6
    remove_waveform_mean: bool = False
    stft_padding: str = "reflect"  # how a waveform goes on beyond its ends; "constant": with zeros
    drop_last_step: bool = True  # of the spectrogram
    audio_padding_value: float = 0.0  # of the spectrograms in a batch; -1 is silence
    frame_crop: str = "after-resizing"  # "before-resizing": black borders, then the middle
    frame_interpolation: str = "bilinear"  # or "bicubic"
    # Memory: blocks are computed again on the way back instead of being kept; the numbers stay the same
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("image_size", "image_patch_size", "audio_patch_size"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            elif type(value) is int and name != "image_size":
                object.__setattr__(self, name, (value, value))
        check_config(self)

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The recipe of the paper: 75% of both modalities hidden, speech preferred, weights 1.0 and 0.3."""
        recipe = {"audio_mask_ratio": 0.75, "audio_mask_type": "speech-span", "mae_weight": 0.3}
        return cls.from_dict({**recipe, **changes})

    @classmethod
    def huggingface(cls, **changes: Any) -> "Config":
        """The settings of transformers 4.40.2, which are also the defaults."""
        return cls.from_dict(changes)

    @classmethod
    def original(cls, **changes: Any) -> "Config":
        """The settings of the released code, wherever it and transformers differ."""
        return cls.from_dict({**ORIGINAL, **changes})

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


ORIGINAL: dict[str, Any] = {
    "audio_mask_ratio": 0.75,
    "audio_mask_type": "patch-level",
    "token_order": "audio-first",
    "cls_in_autoencoding": False,
    "classifier_pooler": True,
    "classifier_norm_eps": 1e-5,
    "remove_waveform_mean": True,
    "stft_padding": "constant",
    "drop_last_step": False,
    "audio_padding_value": -1.0,
    "frame_crop": "before-resizing",
    "frame_interpolation": "bicubic",
}

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
