"""minitvlt: TVLT, the Textless Vision-Language Transformer, from a clip to a trained model.

NumPy first, PyTorch optional. The public face is flat: `import minitvlt as mt`, then
`mt.forward(params, video, audio)`.
"""

from minitvlt.backends import (
    flatten,
    from_module,
    map_tree,
    register_backend,
    to_backend,
    to_module,
    use_kernels,
    value_and_grad,
)
from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.huggingface import from_huggingface, to_huggingface
from minitvlt.checkpoints.native import load, save
from minitvlt.checkpoints.released import from_mae, from_original, to_original
from minitvlt.config import Config
from minitvlt.model.masking import Masking, frame_masking, random_masking, span_masking
from minitvlt.model.parameters import Params, add_classifier, init
from minitvlt.model.patches import patchify_audio, patchify_video, unpatchify_audio, unpatchify_video
from minitvlt.model.pretraining import (
    PretrainingBatch,
    PretrainingOutput,
    autoencode,
    paste_visible,
    pretraining_loss,
    score_matches,
)
from minitvlt.model.tasks import TaskBatch, classify, task_loss
from minitvlt.model.tvlt import Output, encode, forward
from minitvlt.signals.inversion import reconstruct_waveform
from minitvlt.signals.media import Clip, read_clip, write_clip
from minitvlt.signals.prepare import Examples, prepare, prepare_audio, prepare_video
from minitvlt.signals.spectrogram import log_mel_spectrogram
from minitvlt.signals.waveforms import write_wav
from minitvlt.training.batches import make_batch
from minitvlt.training.evaluation import evaluate
from minitvlt.training.finetuning import Task, finetune
from minitvlt.training.optimizer import Recipe
from minitvlt.training.retrieval import score_all_pairs
from minitvlt.training.trainer import train
from minitvlt.worlds.folder import FolderWorld
from minitvlt.worlds.labels import read_labels
from minitvlt.worlds.shapes import ShapesWorld

__version__ = "0.2.0"
__all__ = [
    "Clip",
    "Config",
    "Examples",
    "FolderWorld",
    "Masking",
    "Output",
    "Params",
    "PretrainingBatch",
    "PretrainingOutput",
    "Recipe",
    "ShapesWorld",
    "Task",
    "TaskBatch",
    "add_classifier",
    "autoencode",
    "classify",
    "encode",
    "evaluate",
    "finetune",
    "flatten",
    "forward",
    "frame_masking",
    "from_huggingface",
    "from_mae",
    "from_module",
    "from_original",
    "init",
    "load",
    "load_any",
    "log_mel_spectrogram",
    "make_batch",
    "map_tree",
    "paste_visible",
    "patchify_audio",
    "patchify_video",
    "prepare",
    "prepare_audio",
    "prepare_video",
    "pretraining_loss",
    "random_masking",
    "read_clip",
    "read_labels",
    "reconstruct_waveform",
    "register_backend",
    "save",
    "score_all_pairs",
    "score_matches",
    "span_masking",
    "task_loss",
    "to_backend",
    "to_huggingface",
    "to_module",
    "to_original",
    "train",
    "unpatchify_audio",
    "unpatchify_video",
    "use_kernels",
    "value_and_grad",
    "write_clip",
    "write_wav",
]
