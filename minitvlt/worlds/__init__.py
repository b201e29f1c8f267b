"""Where clips come from: a synthetic world, and folders of media files."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Examples:
    """Clips that are ready for the model: video and sound of the same moment, and labels if there are any.

    Masks say which tokens are real; None means all of them. Labels are arrays with one row for each clip.
    """

    video: Float[np.ndarray, "B T 3 H W"]  # in [-1, 1]
    audio: Float[np.ndarray, "B 1 S F"]  # in [-1, 1]
    video_mask: Bool[np.ndarray, "B Nv"] | None = None
    audio_mask: Bool[np.ndarray, "B Na"] | None = None
    labels: dict[str, np.ndarray] | None = None
