"""Assignment 1, from a waveform to a log-mel spectrogram: blanks, inputs and points."""

import numpy as np

from minitvlt.signals import inversion, spectrogram

from .blanks import Assignment, Blank, Case, Check
from .edits import add_mistakes, read_text

Array = np.ndarray


def make_frame_cases(rng: np.random.Generator) -> list[Case]:
    """Waveforms for `frame_waveform`."""

    def case(shape: tuple[int, ...], window: int, hop: int, *tags: str, padding: str = "reflect") -> Case:
        waveform = rng.normal(size=shape)
        arguments = {"waveform": waveform, "window_length": window, "hop_length": hop, "padding": padding}
        return Case(arguments, tags)

    return [
        case((5,), 4, 2, "the smallest input"),
        case((11,), 6, 4, "the smallest input"),
        case((2, 7), 4, 3, "a batch of waveforms"),
        case((3, 1, 13), 6, 5, "a batch of waveforms"),
        case((7,), 5, 2, "an odd window length"),
        case((12,), 7, 3, "an odd window length"),
        case((6,), 4, 3, "padding by zeros", padding="constant"),
        case((13,), 8, 5, "padding by zeros", padding="constant"),
        case((2,), 10, 3, "a waveform shorter than half a window"),
        case((1,), 4, 1, "a waveform shorter than half a window"),
        case((17,), 4, 4, "a hop as long as the window"),
    ]


def make_window_cases(rng: np.random.Generator) -> list[Case]:
    """Lengths for `make_window`."""
    lengths = {2: "an even length", 3: "an odd length", 6: "an even length", 13: "an odd length"}
    return [Case({"window_length": length}, (tag,)) for length, tag in lengths.items()]


def make_stft_cases(rng: np.random.Generator) -> list[Case]:
    """Waveforms for `compute_stft`."""

    def case(shape: tuple[int, ...], window: int, hop: int, *tags: str, padding: str = "reflect") -> Case:
        waveform = rng.normal(size=shape)
        arguments = {"waveform": waveform, "window_length": window, "hop_length": hop, "padding": padding}
        return Case(arguments, tags)

    return [
        case((5,), 4, 2, "the smallest input"),
        case((13,), 6, 5, "the smallest input"),
        case((2, 7), 4, 3, "a batch of waveforms"),
        case((3, 1, 13), 6, 5, "a batch of waveforms"),
        case((9,), 4, 3, "padding by zeros", padding="constant"),
        case((17,), 7, 3, "an odd window length"),
        case((301,), 64, 23, "a longer window"),
    ]


def make_mel_cases(rng: np.random.Generator) -> list[Case]:
    """Settings for `make_mel_filters`."""

    def case(sample_rate: int, mel_bins: int, window_length: int, *tags: str) -> Case:
        arguments = {"sample_rate": sample_rate, "mel_bins": mel_bins, "window_length": window_length}
        return Case(arguments, tags)

    return [
        case(800, 2, 8, "frequencies below 1000 Hz alone"),
        case(1900, 5, 26, "frequencies below 1000 Hz alone"),
        case(8000, 3, 22, "frequencies above 1000 Hz"),
        case(16000, 13, 250, "frequencies above 1000 Hz"),
        case(8000, 1, 14, "a single filter"),
        case(44100, 128, 2048, "the settings of TVLT"),
    ]


def make_decibel_cases(rng: np.random.Generator) -> list[Case]:
    """Powers for `power_to_decibel`; the range within a clip says which limits act."""

    def case(shape: tuple[int, ...], lowest: float, highest: float, *tags: str) -> Case:
        return Case({"power": 10 ** rng.uniform(lowest, highest, size=shape)}, tags)

    loud = 10 ** rng.uniform(-9, 1, size=(3, 7, 5)) * np.array([1.0, 1e-4, 30.0])[:, None, None]
    loud[:, -1, 0] = [5.0, 3e-4, 200.0]  # a maximum for each clip
    return [
        case((2, 3), -3, 0, "levels within 80 dB"),
        case((7, 5), -5, 1, "levels within 80 dB"),
        Case({"power": 10 ** np.array([[-12.3, -4.1, -10.2], [-6.4, -9.7, -11.1]])}, ("powers below 1e-10",)),
        Case({"power": np.zeros((3, 2))}, ("silence",)),
        Case({"power": 10 ** np.array([[1.5, -4.2, -7.1], [-9.3, 0.2, -6.6]])}, ("a range above 80 dB",)),
        case((11, 5), -9.5, 2, "a range above 80 dB"),
        Case({"power": loud}, ("a batch of clips",)),
        case((2, 3, 5, 2), -9, 1, "a batch of clips"),
    ]


def make_log_mel_cases(rng: np.random.Generator) -> list[Case]:
    """Waveforms for `log_mel_spectrogram`."""

    def case(shape: tuple[int, ...], *tags: str, level: float = 0.1, **changes: object) -> Case:
        settings = {"sample_rate": 8000, "mel_bins": 3, "window_length": 32, "hop_length": 12}
        return Case({"waveform": level * rng.normal(size=shape), **settings, **changes}, tags)

    time = np.arange(6007) / 8000
    fading = np.sin(2 * np.pi * (300 + rng.uniform(0, 50)) * time) * np.geomspace(1, 1e-7, len(time))
    long_windows = {"mel_bins": 23, "window_length": 1024, "hop_length": 301}
    return [
        case((31,), "the smallest input"),
        case((157,), "the smallest input", mel_bins=5, window_length=64, hop_length=20, sample_rate=16000),
        case((2, 83), "a batch of waveforms"),
        case((2, 6007), "a batch of waveforms", waveform=np.stack([fading, fading / 300]), **long_windows),
        case((2, 3, 61), "a batch of waveforms"),
        case((71,), "padding by zeros", padding="constant"),
        case((71,), "the last step kept", drop_last_step=False),
        case((7,), "one or two steps"),
        case((7,), "one or two steps", drop_last_step=False),
        case((13,), "one or two steps"),
        case((6007,), "a loud sound that fades by 140 dB", waveform=fading, **long_windows),
        case((6007,), "a loud sound that rises by 140 dB", waveform=fading[::-1], **long_windows),
        Case({"waveform": 0.1 * rng.normal(size=2111)}, ("the settings of TVLT, which are the defaults",)),
    ]


def make_overlap_cases(rng: np.random.Generator) -> list[Case]:
    """Frames for `overlap_add`."""

    def case(shape: tuple[int, ...], hop: int, *tags: str) -> Case:
        return Case({"frames": rng.normal(size=shape), "hop_length": hop}, tags)

    return [
        case((2, 4), 2, "the smallest input"),
        case((5, 6), 3, "the smallest input"),
        case((3, 7), 3, "an odd window length"),
        case((7, 5), 1, "an odd window length"),
        case((2, 3, 6), 2, "a batch of waveforms"),
        case((3, 1, 5, 8), 4, "a batch of waveforms"),
        case((4, 8), 3, "a hop that does not divide the window"),
        case((5, 10), 4, "a hop that does not divide the window"),
        case((1, 6), 2, "a single frame"),
    ]


def make_invert_cases(rng: np.random.Generator) -> list[Case]:
    """Spectra for `invert_stft`: of waveforms, and such that are the STFT of none."""

    def case(shape: tuple[int, ...], hop: int, *tags: str) -> Case:
        return Case(
            {"spectrum": rng.normal(size=shape) + 1j * rng.normal(size=shape), "hop_length": hop}, tags
        )

    def stft(shape: tuple[int, ...], window: int, hop: int, *tags: str) -> Case:
        spectrum = spectrogram.compute_stft(rng.normal(size=shape), window, hop)
        return Case({"spectrum": spectrum, "hop_length": hop}, tags)

    return [
        case((3, 3), 2, "the smallest input"),
        case((5, 6), 3, "the smallest input"),
        stft((32,), 8, 2, "the STFT of a waveform"),
        stft((120,), 16, 5, "the STFT of a waveform"),
        case((2, 5, 4), 2, "a batch of spectra"),
        case((3, 1, 4, 5), 3, "a batch of spectra"),
        case((4, 6), 9, "hops longer than half a window"),
        case((3, 5), 8, "hops longer than half a window"),
    ]


def pad_last_axis(mode: str, waveform: Array, before: int, after: int) -> Array:
    """Another padding of `np.pad`."""
    edges = [(0, 0)] * (waveform.ndim - 1) + [(before, after)]
    return np.pad(waveform, edges, mode=mode)  # type: ignore[call-overload]


ASSIGNMENT = add_mistakes(
    Assignment(
        name="a1_spectrogram",
        title="From a waveform to a log-mel spectrogram",
        blanks=(
            Blank(
                "frame_waveform",
                spectrogram.frame_waveform,
                make_frame_cases,
                (
                    Check("the smallest input", 3),
                    Check("a batch of waveforms", 2),
                    Check("an odd window length", 2),
                    Check("padding by zeros", 1),
                    Check("a waveform shorter than half a window", 1),
                    Check("a hop as long as the window", 1),
                ),
                reread="notebook 01, 'Frames'",
                text=read_text(spectrogram.frame_waveform, pad=pad_last_axis),
            ),
            Blank(
                "make_window",
                spectrogram.make_window,
                make_window_cases,
                (Check("an odd length", 3), Check("an even length", 4)),
                reread="notebook 01, 'Frames', the Hann window",
                text=read_text(spectrogram.make_window),
                float32_points=0,
                memory_points=0,
            ),
            Blank(
                "compute_stft",
                spectrogram.compute_stft,
                make_stft_cases,
                (
                    Check("the smallest input", 4),
                    Check("a batch of waveforms", 2),
                    Check("padding by zeros", 1),
                    Check("an odd window length", 1),
                    Check("a longer window", 2),
                ),
                reread="notebook 01, 'Frequencies'",
                text=read_text(spectrogram.compute_stft),
            ),
            Blank(
                "make_mel_filters",
                spectrogram.make_mel_filters,
                make_mel_cases,
                (
                    Check("frequencies below 1000 Hz alone", 5),
                    Check("frequencies above 1000 Hz", 5),
                    Check("a single filter", 2),
                    Check("the settings of TVLT", 2),
                ),
                reread="notebook 01, 'The mel scale'",
                text=read_text(spectrogram.make_mel_filters),
                float32_points=0,
                memory_points=0,
            ),
            Blank(
                "power_to_decibel",
                spectrogram.power_to_decibel,
                make_decibel_cases,
                (
                    Check("levels within 80 dB", 3),
                    Check("powers below 1e-10", 1),
                    Check("silence", 1),
                    Check("a range above 80 dB", 2),
                    Check("a batch of clips", 2),
                ),
                reread="notebook 01, 'Decibels'",
                text=read_text(spectrogram.power_to_decibel),
            ),
            Blank(
                "log_mel_spectrogram",
                spectrogram.log_mel_spectrogram,
                make_log_mel_cases,
                (
                    Check("the smallest input", 5),
                    Check("a batch of waveforms", 2),
                    Check("padding by zeros", 1),
                    Check("the last step kept", 2),
                    Check("one or two steps", 1),
                    Check("a loud sound that fades by 140 dB", 1),
                    Check("a loud sound that rises by 140 dB", 1),
                    Check("the settings of TVLT, which are the defaults", 1),
                ),
                reread="notebook 01, 'All steps in one function'",
                text=read_text(spectrogram.log_mel_spectrogram, spectrogram.compute_power),
            ),
            Blank(
                "overlap_add",
                inversion.overlap_add,
                make_overlap_cases,
                (
                    Check("the smallest input", 5),
                    Check("an odd window length", 2),
                    Check("a batch of waveforms", 2),
                    Check("a hop that does not divide the window", 2),
                    Check("a single frame", 1),
                ),
                reread="notebook 01, 'Frames': overlap_add is the reverse of cutting frames",
                text=read_text(inversion.overlap_add, right=inversion.overlap_add),
            ),
            Blank(
                "invert_stft",
                inversion.invert_stft,
                make_invert_cases,
                (
                    Check("the smallest input", 5),
                    Check("the STFT of a waveform", 3),
                    Check("a batch of spectra", 2),
                    Check("hops longer than half a window", 2),
                ),
                reread="notebook 01, 'From a spectrogram to a waveform'",
                text=read_text(inversion.invert_stft),
            ),
        ),
    ),
    "a1.toml",
)
