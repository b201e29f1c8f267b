"""minitvlt: TVLT, the Textless Vision-Language Transformer, from a clip to a trained model.

NumPy first, PyTorch optional. The public face is flat: `import minitvlt as mt`, then `mt.forward(params, video, audio)`.
"""

from minitvlt.backends import flatten, map_tree, register_backend, to_backend, value_and_grad
from minitvlt.config import Config
from minitvlt.model.masking import Masking, find_speech, frame_masking, random_masking, span_masking
from minitvlt.model.parameters import Params, init
from minitvlt.model.patches import patchify_audio, patchify_video, unpatchify_audio, unpatchify_video
from minitvlt.model.pretraining import (
    PretrainingBatch,
    PretrainingOutput,
    paste_visible,
    pretraining_loss,
    score_matches,
)
from minitvlt.model.tvlt import Output, forward

__version__ = "0.1.0"
