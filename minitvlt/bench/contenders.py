"""Who takes part: this package on every backend that is installed, and the programs that others use."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

PEER_VERSION = "4.40.2"  # the last transformers that holds TVLT
PLAIN, MODEL = ("spectrogram",), ("inference", "step", "raw-inference", "retrieval")

# What each library can do. "pairwise" is this package on NumPy, every pair through the whole model.
LIBRARIES = {
    "numpy": (*MODEL, *PLAIN),
    "torch": (*MODEL, *PLAIN),
    "pairwise": ("retrieval",),
    "transformers": (*MODEL, *PLAIN),
    "librosa": PLAIN,
}
ON_TORCH = ("torch", "transformers")
PEERS = ("transformers", "librosa", "pairwise")  # what the others are compared with
# Beside the plain ones, on a graphics card: the peer as it is, and as its users make it fast.
ON_CUDA = ("torch-cuda", "torch-cuda-bfloat16", "torch-cuda-bfloat16-compiled")
ON_CUDA += ("transformers-cuda", "transformers-cuda-bfloat16-compiled")


@dataclass(frozen=True)
class Contender:
    """A library, and how it computes"""

    library: str
    device: str = "cpu"
    precision: str = "float32"
    is_compiled: bool = False

    @property
    def name(self) -> str:
        """The library, and whatever is unlike its plain use: `torch-cuda-bfloat16-compiled`."""
        words = [self.device] * (self.device != "cpu") + [self.precision] * (self.precision != "float32")
        return "-".join([self.library, *words, *["compiled"] * self.is_compiled])

    def can_do(self, work: str) -> bool:
        """Whether this contender does this work.

        Spectrograms are made in float32, those of transformers on the processor; where blocks of pairs are
        scored, the host puts them together, so nothing is compiled.
        """
        if work == "spectrogram" and self.library == "transformers" and self.device != "cpu":
            return False
        is_plain = not self.is_compiled and (work == "retrieval" or self.precision == "float32")
        return work in LIBRARIES[self.library] and (work in MODEL[:3] or is_plain)


def parse_contender(name: str) -> Contender:
    """Read a name such as `numpy`, `torch` or `torch-cuda-bfloat16-compiled`.

    Raises:
        ValueError: a word that means nothing, or that the library knows nothing of.
    """
    library, *words = name.split("-")
    if library not in LIBRARIES:
        raise ValueError(f"Expected a backend that begins with {', '.join(LIBRARIES)}, got {name!r}.")
    known = {"cpu", "cuda", "float32", "bfloat16", "compiled"} if library in ON_TORCH else {"cpu", "float32"}
    if not set(words) <= known:
        raise ValueError(f"Expected {library} to be followed by {', '.join(sorted(known))}, got {name!r}.")
    return Contender(
        library,
        "cuda" if "cuda" in words else "cpu",
        "bfloat16" if "bfloat16" in words else "float32",
        "compiled" in words,
    )


def list_installed(has_cuda: bool) -> list[Contender]:
    """List all contenders of this machine, ours first."""
    names = [*LIBRARIES, *(ON_CUDA if has_cuda else ())]
    return [parse_contender(name) for name in names if why_missing(name.split("-")[0]) is None]


def why_missing(library: str) -> str | None:
    """Say what has to be installed before a library can take part; None where nothing is missing."""
    found = find_versions()
    if library in ("torch", "librosa") and library not in found:
        return f"{library} is not installed"
    if library == "transformers" and ("torch" not in found or found.get(library) != PEER_VERSION):
        return f"transformers {PEER_VERSION}, which holds TVLT, is not installed beside torch"
    return None


def find_versions() -> dict[str, str]:
    """Find the versions of what is installed, without importing any of it."""
    found = {}
    for name in ("numpy", "scipy", "torch", "transformers", "librosa"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
