"""Make the model that comes with the package, `mt.load("shapes-small")`, and measure it.

    python notebooks/make_checkpoint.py run

trains in the folder `run` (some ten minutes on two cores; stopped and called again, it goes on) and writes
`minitvlt/checkpoints/shapes-small.safetensors`, in float16, with `shapes-small.json` beside it: the command
and the metrics of this very file on 512 held-out clips.
"""

import json
import shlex
import sys
from pathlib import Path

from minitvlt.__main__ import main as run_command
from minitvlt.checkpoints.native import PACKAGED, load, save
from minitvlt.training.evaluation import evaluate
from minitvlt.worlds.shapes import ShapesWorld

NAME = "shapes-small"
TRAINING = ["pretrain", "--config", "tiny", "--steps", "3600", "--seed", "0"]


def main() -> int:
    """Train, save, measure."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1])
    going_on = ["--resume"] if folder.exists() else []
    status = run_command([*TRAINING, "--out", str(folder), *going_on])
    if status:
        return status
    save(load(folder / "model.safetensors"), PACKAGED / f"{NAME}.safetensors", dtype="float16")
    measured = {
        "command": "python notebooks/make_checkpoint.py run",
        "training": shlex.join(["minitvlt", *TRAINING]),
        "metrics": measure(),
    }
    (PACKAGED / f"{NAME}.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=2))
    return 0


def measure() -> dict[str, float]:
    """Evaluate the saved model on clips whose combinations it has never seen."""
    params = load(NAME)
    metrics = evaluate(params, ShapesWorld(params.config, split="held_out"))
    return {name: metric.value for name, metric in metrics.items()}


if __name__ == "__main__":
    sys.exit(main())
