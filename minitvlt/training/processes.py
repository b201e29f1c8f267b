"""The processes that torchrun starts: what their environment variables say."""

import os


def is_first() -> bool:
    """Return whether this process writes the files and the messages: the first one does."""
    return int(os.environ.get("RANK", "0")) == 0


def find_device(device: str | None) -> str | None:
    """Find the device of this process: under torchrun each process has a GPU of its own.

    Raises:
        ValueError: one GPU for several processes.
    """
    if "WORLD_SIZE" not in os.environ or device in (None, "cpu"):
        return device
    if ":" in device:
        raise ValueError(f"Each process needs its own GPU: use --device {device.partition(':')[0]}.")
    return f"{device}:{os.environ['LOCAL_RANK']}"
