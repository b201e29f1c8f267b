"""Several processes that share a run, as torchrun starts them: what their environment says of this one."""

import os


def is_one_of_several() -> bool:
    """Whether torchrun started this process, be it alone."""
    return "WORLD_SIZE" in os.environ


def count_processes() -> int:
    """How many processes share the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return int(os.environ.get("RANK", "0")) == 0


def find_device(device: str | None) -> str | None:
    """Find the device of this process: each on a machine has a card of its own.

    Raises:
        ValueError: one card for several processes.
    """
    if not is_one_of_several() or device in (None, "cpu"):
        return device
    if ":" in device:
        raise ValueError(f"Each process takes a card of its own: say --device {device.partition(':')[0]}.")
    return f"{device}:{os.environ['LOCAL_RANK']}"
