"""The configuration of a model: sizes, settings and presets, in one frozen dataclass.

Field names and default values are those of the `TvltConfig` of transformers 4.40.2 wherever the meaning is
the same: `Config()` is the published base model.
"""

import difflib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_size(value: Any) -> bool:
    return all(map(_is_count, value)) and len(value) == 2 if type(value) is tuple else _is_count(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


# What the value of a field must be: in words, for the error message, and as a test. (A `Literal` says it.)
Count = Annotated[int, ("a positive integer", _is_count)]
Size = Annotated[int | tuple[int, int], ("a positive integer or a pair of them", _is_size)]
Number = Annotated[float, ("a finite number", _is_number)]
NonNegative = Annotated[float, ("finite and at least 0", lambda x: _is_number(x) and x >= 0)]
Ratio = Annotated[float, ("at least 0 and below 1", lambda x: _is_number(x) and 0 <= x < 1)]
Epsilon = Annotated[float, ("between 0 and 1", lambda x: _is_number(x) and 0 < x < 1)]
Zero = Annotated[float, ("0.0", lambda x: _is_number(x) and x == 0)]
Flag = Annotated[bool, ("True or False", lambda x: isinstance(x, bool))]


@dataclass(frozen=True)
class Config:
    """Architecture, preprocessing, masking and losses of a model.

    Pairs are (height, width) in pixels for frames, and (steps, mel bins) for spectrograms. A single number
    for an image or patch size means a square. Position tables get one row for each position that these sizes
    give; for shorter audio the first rows are used; larger tables are interpolated.

    Raises:
        ValueError: a value is not of its field's type or range, or two values contradict each other.
    """

    # Frames
    image_size: Size = 224  # pixels
    num_frames: Count = 8
    num_image_channels: Count = 3
    image_patch_size: Size = (16, 16)  # pixels; stored as a pair
    # Audio: a spectrogram of 2,048 steps lasts 23.8 s
    sample_rate: Count = 44100  # samples per second
    window_length: Count = 2048  # samples
    hop_length: Count = 512  # samples from one spectrogram step to the next
    spectrogram_length: Count = 2048  # steps
    frequency_length: Count = 128  # mel bins
    num_audio_channels: Count = 1
    audio_patch_size: Size = (16, 16)  # steps, mel bins; stored as a pair
    # Encoder
    hidden_size: Count = 768
    num_hidden_layers: Count = 12
    num_attention_heads: Count = 12
    intermediate_size: Count = 3072
    hidden_act: Literal["gelu"] = "gelu"
    hidden_dropout_prob: Zero = 0.0
    attention_probs_dropout_prob: Zero = 0.0
    initializer_range: NonNegative = 0.02  # standard deviation of the initial weights
    layer_norm_eps: Epsilon = 1e-6
    qkv_bias: Flag = True  # whether query, key and value projections have biases
    final_norm: Flag = True  # whether a LayerNorm follows the last block
    # Decoder: applied to each modality separately, as in the paper, or jointly to both in one sequence
    joint_decoder: Flag = False
    decoder_hidden_size: Count = 512
    decoder_num_hidden_layers: Count = 8
    decoder_num_attention_heads: Count = 16
    decoder_intermediate_size: Count = 2048
    # Pre-training: vision-audio matching and masked autoencoding (MAE)
    task_matching: Flag = True
    task_mae: Flag = True
    matching_weight: NonNegative = 1.0  # of the matching loss in the total loss
    mae_weight: NonNegative = 1.0  # of the MAE loss in the total loss
    pixel_mask_ratio: Ratio = 0.75  # fraction of video tokens that is masked
    audio_mask_ratio: Ratio = 0.15  # fraction of audio tokens that is masked
    audio_mask_type: Literal["frame-level", "patch-level", "speech-span"] = "frame-level"
    # Fine-tuning: "labels" are independent binary labels, "soft-labels" are targets in [0, 1] (VQA)
    num_labels: Count = 2  # outputs of the classifier: classes, labels or regression targets
    loss_type: Literal["classification", "regression", "labels", "soft-labels", "ranking"] = "classification"
    pooling: Literal["cls", "mean"] = "cls"  # input of the classifier: cls, or the mean of the real tokens
    # Differences between the released code and its port in transformers, which gives the defaults
    token_order: Literal["video-first", "audio-first"] = "video-first"  # after cls
    cls_in_autoencoding: Flag = True  # whether the encoder input of MAE includes cls
    classifier_pooler: Flag = False  # whether a linear layer and tanh precede the classifier
    classifier_norm_eps: Epsilon = 1e-6
    remove_waveform_mean: Flag = False
    stft_padding: Literal["reflect", "constant"] = "reflect"  # of the waveform's ends; "constant": zeros
    drop_last_step: Flag = True  # of the spectrogram
    audio_padding_value: Number = 0.0  # fills up shorter spectrograms of a batch; -1 is silence
    resampling_window: Literal["kaiser", "hann"] = "kaiser"  # of the filter: SciPy's, or torchaudio's
    mono_gain: NonNegative = 1.0  # of the audio of videos with one channel; ffmpeg's downmix has sqrt(1/2)
    # Of each of num_frames parts: the frame in its middle, or its first one, repeating frames if too few
    frame_choice: Literal["middle", "first"] = "middle"
    # "after-resizing": resize, then crop the centre; "before-resizing": remove black borders, crop, resize;
    # "bright-part": the same, but borders also are what is dark in one frame or one channel
    frame_crop: Literal["after-resizing", "before-resizing", "bright-part"] = "after-resizing"
    frame_interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    frame_antialias: Flag = True  # Pillow's filters; False: torch's without antialiasing, in whole levels
    # Whether patches of -1 throughout (black, silent) are padding, and cls where the first audio patch is
    silence_is_padding: Flag = False
    # Memory: recompute each block in the backward pass instead of storing its activations
    gradient_checkpointing: Flag = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (expected, is_met) = getattr(self, field.name), find_rule(field.type)
            value = tuple(value) if isinstance(value, list) else value
            if not is_met(value):
                raise ValueError(f"{field.name} must be {expected}, not {value!r:.100}.")
            if field.name.endswith("patch_size") and isinstance(value, int):
                value = (value, value)
            object.__setattr__(self, field.name, value)
        check_combinations(self)

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The paper's pre-training: 75% of both modalities masked, audio by speech spans, MAE weight 0.3."""
        return cls.from_dict({**PATCHES, "audio_mask_type": "speech-span", "mae_weight": 0.3, **changes})

    @classmethod
    def huggingface(cls, **changes: Any) -> "Config":
        """The settings of transformers 4.40.2, which are also the defaults."""
        return cls.from_dict(changes)

    @classmethod
    def original(cls, **changes: Any) -> "Config":
        """The settings of the released code where it differs from transformers.

        The docstring of `prepare` names two differences in the processing that remain. The released code's
        decoder, as that of transformers, ignores which tokens are padding; here no decoder does.
        """
        return cls.from_dict({**ORIGINAL, **changes})

    @classmethod
    def small(cls, **changes: Any) -> "Config":
        """A model for one consumer GPU: 4 frames of 128 × 128, 5.9 s of audio, 23 million parameters."""
        return cls.from_dict({**SMALL, **changes})

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """A model for `ShapesWorld` that trains in minutes on a laptop with NumPy alone."""
        return cls.from_dict({**TINY, **changes})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Config":
        """Build a configuration from plain values, for instance a parsed JSON object.

        Raises:
            ValueError: a name is not a field; the most similar field is suggested.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(known)}."
                raise ValueError(f"Unknown configuration value {name!r}: {hint}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values that can be written as JSON."""
        return asdict(self)

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
        """Patches along time and along frequency of a full spectrogram."""
        p, q = self.audio_patch_size
        return self.spectrogram_length // p, self.frequency_length // q

    @property
    def clip_seconds(self) -> float:
        """Duration of a full spectrogram, in seconds."""
        return self.spectrogram_length * self.hop_length / self.sample_rate


def find_rule(annotation: Any) -> tuple[str, Callable[[Any], bool]]:
    """Find what the values of a field with this annotation must be: in words, and as a test."""
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return "one of " * (len(choices) > 1) + ", ".join(choices), lambda value: value in choices
    return get_args(annotation)[1]


def check_combinations(config: Config) -> None:
    """Raise a ValueError if two fields contradict each other."""
    if not (config.task_matching or config.task_mae):
        raise ValueError("task_matching and task_mae are both False: pre-training needs at least one.")
    window, hop, audio = config.window_length, config.hop_length, "spectrogram_length and frequency_length"
    wholes = {
        "image_patch_size": ("image_size", config.image_shape),
        "audio_patch_size": (audio, (config.spectrogram_length, config.frequency_length)),
        "num_attention_heads": ("hidden_size", config.hidden_size),
        "decoder_num_attention_heads": ("decoder_hidden_size", config.decoder_hidden_size),
    }
    for part_name, (name, whole) in wholes.items():
        part = getattr(config, part_name)
        if np.any(np.mod(np.array(whole, object), part)):  # objects: integers of any size
            raise ValueError(f"{name} {whole} is not a multiple of {part_name} {part}.")
    if window % 2 or window < max(4, hop):
        raise ValueError(f"window_length must be even and at least 4 and hop_length ({hop}), not {window}.")


# Most patches of the audio are masked, each by itself.
PATCHES: dict[str, Any] = {"audio_mask_ratio": 0.75, "audio_mask_type": "patch-level"}

ORIGINAL: dict[str, Any] = {
    **PATCHES,
    "token_order": "audio-first",
    "cls_in_autoencoding": False,
    "classifier_pooler": True,
    "classifier_norm_eps": 1e-5,
    "remove_waveform_mean": True,
    "stft_padding": "constant",
    "drop_last_step": False,
    "audio_padding_value": -1.0,
    "resampling_window": "hann",
    "mono_gain": 0.5**0.5,
    "frame_choice": "first",
    "frame_crop": "bright-part",
    "frame_interpolation": "bicubic",
    "frame_antialias": False,
    "silence_is_padding": True,
    "spectrogram_length": 1024,
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
    **PATCHES,
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
    "initializer_range": 0.1,  # about 1 / sqrt(hidden_size); with 0.02 so narrow a model hardly learns
    "pixel_mask_ratio": 0.5,  # of only four patches a frame: 0.75 would mask the whole shape
    "mae_weight": 3.0,  # plain shapes give a small MAE loss compared with the matching loss
    "audio_mask_ratio": 0.5,
    "audio_mask_type": "patch-level",
}
