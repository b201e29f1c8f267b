"""Wrong mel filters, decibels and log-mel spectrograms, and what a tutor would say about each."""

import inspect
from functools import partial
from typing import Any

import numpy as np

from minitvlt.signals import spectrogram

from .blanks import Mistake

Array = np.ndarray

# ----------------------------------------------------------------------------------------- make_mel_filters


def to_htk(hertz: Any) -> Any:
    """The other mel scale in use."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def from_htk(mel: Any) -> Any:
    """Its inverse."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


def draw_triangles(
    sample_rate: int,
    mel_bins: int,
    window_length: int,
    *,
    to_mel: Any = spectrogram.hertz_to_mel,
    to_hertz: Any = spectrogram.mel_to_hertz,
    more: int = 2,
    top: float = 0.5,
    highest: float = 0.5,
    combine: Any = np.minimum,
    lowest: float = 0,
    scale: Any = lambda filters, left, centre, right: filters * 2 / (right - left),
    bottom: Any = lambda frequencies: 0.0,
    endpoint: bool = True,
    frequencies_end: bool = True,
    change: Any = lambda edges, frequencies: edges,
) -> Array:
    """`make_mel_filters` with one fault; `top` and `highest` in sample rates."""
    frequencies = np.linspace(0, sample_rate * highest, window_length // 2 + 1, endpoint=frequencies_end)
    start, stop = to_mel(np.array(bottom(frequencies))), to_mel(np.array(sample_rate * top))
    edges = change(to_hertz(np.linspace(start, stop, mel_bins + more, endpoint=endpoint)), frequencies)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    return scale(np.maximum(lowest, combine(rising, falling)), left, centre, right)


def keep(values: Any) -> Any:
    """The same values: a scale in hertz."""
    return values


def swap_slopes(sample_rate: int, mel_bins: int, window_length: int) -> Array:
    """Each side with the width of the other."""
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    highest = spectrogram.hertz_to_mel(np.array(sample_rate / 2))
    edges = spectrogram.mel_to_hertz(np.linspace(0, highest, mel_bins + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    lines = np.minimum((frequencies - left) / (right - centre), (right - frequencies) / (centre - left))
    return np.maximum(0, lines) * 2 / (right - left)


def draw_triangles_in_mel(sample_rate: int, mel_bins: int, window_length: int) -> Array:
    """Straight lines in mel, with an area of one in hertz."""
    edges = np.linspace(0, spectrogram.hertz_to_mel(np.array(sample_rate / 2)), mel_bins + 2)
    frequencies = spectrogram.hertz_to_mel(np.linspace(0, sample_rate / 2, window_length // 2 + 1))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    lines = np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre))
    hertz = spectrogram.mel_to_hertz(edges)
    return np.maximum(0, lines) * 2 / (hertz[2:] - hertz[:-2])[:, None]


def draw_all_in_mel(sample_rate: int, mel_bins: int, window_length: int) -> Array:
    """Straight lines in mel, with an area of one in mel."""
    edges = np.linspace(0, spectrogram.hertz_to_mel(np.array(sample_rate / 2)), mel_bins + 2)
    hertz = spectrogram.mel_to_hertz(edges)
    factors = (hertz[2:] - hertz[:-2]) / (edges[2:] - edges[:-2])
    return draw_triangles_in_mel(sample_rate, mel_bins, window_length) * factors[:, None]


MEL_MISTAKES = (
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters),
        "Every filter has a peak of 1. Its area has to be 1: multiply it by 2 / (right - left), in hertz.",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters / (right - left)),
        "Every filter has an area of 1/2: multiply it by 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters * 2 * (right - left)),
        "The filters are multiplied by their width. They have to be divided by it: 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters / (centre - left)),
        "The filters are divided by the width of their left half. The factor is 2 / (right - left).",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: filters / filters.sum(axis=1, keepdims=True),
        ),
        "Every filter is divided by the sum of its weights. Its area in hertz has to be 1: 2 / (right - "
        "left).",
    ),
    Mistake(
        partial(draw_triangles, to_mel=keep, to_hertz=keep),
        "The filters are evenly spaced in hertz. They have to be evenly spaced in mel: convert the highest "
        "frequency to mel, divide there, and convert the edges back.",
    ),
    Mistake(
        draw_all_in_mel,
        "Frequencies, edges and areas are in mel here. Convert the edges back to hertz by mel_to_hertz, and "
        "leave the frequencies in hertz.",
    ),
    Mistake(
        draw_triangles_in_mel,
        "The triangles are straight lines in mel here. Convert the edges back to hertz first: frequencies "
        "and edges have to be in hertz.",
    ),
    Mistake(
        partial(draw_triangles, to_mel=to_htk, to_hertz=from_htk),
        "This is another mel scale (2595 log10(1 + f / 700)). Use hertz_to_mel and mel_to_hertz, which are "
        "given.",
    ),
    Mistake(
        partial(draw_triangles, more=3),
        "There is one filter too many: mel_bins filters have mel_bins + 2 edges.",
    ),
    Mistake(
        partial(draw_triangles, more=1),
        "There is one filter too few: mel_bins filters have mel_bins + 2 edges.",
    ),
    Mistake(
        partial(draw_triangles, more=0),
        "There are two filters too few: mel_bins filters have mel_bins + 2 edges.",
    ),
    Mistake(
        partial(draw_triangles, top=1),
        "The filters reach to the sample rate. They have to end at half of it.",
    ),
    Mistake(
        partial(draw_triangles, highest=1),
        "The frequencies of the STFT run to the sample rate here. Frequency k is k * sample_rate / "
        "window_length hertz: the last one is half the sample rate.",
    ),
    Mistake(
        partial(draw_triangles, lowest=-np.inf),
        "Outside of its triangle a filter is negative. It has to be 0 there: np.maximum(0, ...).",
    ),
    Mistake(
        partial(draw_triangles, combine=np.maximum),
        "The rising and the falling line are combined by their maximum. A triangle is their minimum.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: np.where(falling >= 0, rising, 0)),
        "The filters have no falling side: a triangle is the minimum of the rising and the falling line.",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: draw_triangles(sample_rate, mel_bins, window_length).T,
        "The array is transposed: a row for each filter, (mel_bins, window_length // 2 + 1).",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: draw_triangles(sample_rate, mel_bins, window_length)[
            ::-1
        ],
        "The filters run from high to low frequencies. The lowest comes first.",
    ),
    Mistake(
        partial(draw_triangles, change=lambda edges, f: np.round(edges / f[1]) * f[1]),
        "The edges are rounded to frequencies of the STFT. They stay where they are, between these.",
    ),
    Mistake(
        partial(draw_triangles, change=lambda edges, f: np.floor(edges / f[1]) * f[1]),
        "The edges are rounded down to frequencies of the STFT. They stay where they are, between these.",
    ),
    Mistake(
        partial(draw_triangles, bottom=lambda f: f[1]),
        "The edges begin at the first frequency above 0. They begin at 0.",
    ),
    Mistake(
        partial(draw_triangles, endpoint=False),
        "The last edge is below half the sample rate: np.linspace has to include its end here.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: ((rising >= 0) & (falling > 0)) * 0.5),
        "The filters are rectangles. They have to be triangles: the minimum of the rising and the falling "
        "line.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: ((rising >= 0) & (falling > 0)) * 1.0),
        "The filters are rectangles. They have to be triangles: the minimum of the rising and the falling "
        "line.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: rising * falling),
        "The rising and the falling line are multiplied. A triangle is their minimum.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: rising + falling),
        "The rising and the falling line are added. A triangle is their minimum.",
    ),
    Mistake(
        partial(draw_triangles, frequencies_end=False),
        "The last frequency of the STFT is half the sample rate: np.linspace has to include its end.",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: (
                filters * 2 / (spectrogram.hertz_to_mel(right) - spectrogram.hertz_to_mel(left))
            ),
        ),
        "The area is 1 over mel. It has to be 1 over hertz: 2 / (right - left), both in hertz.",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: filters / filters.max(axis=1, keepdims=True),
        ),
        "Every filter is divided by its largest weight. Its area has to be 1: 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters / (right - centre)),
        "The filters are divided by the width of their right half. The factor is 2 / (right - left).",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: filters / np.sqrt((filters**2).sum(1, keepdims=True)),
        ),
        "Every filter is divided by its Euclidean length. Its area has to be 1: 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, to_mel=np.log1p, to_hertz=np.expm1),
        "The edges are evenly spaced in the logarithm of the frequency. They have to be evenly spaced in "
        "mel.",
    ),
    Mistake(
        partial(draw_triangles, to_hertz=lambda mel: np.asarray(mel)),
        "The edges are in mel and the frequencies in hertz: convert the edges back by mel_to_hertz.",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: draw_triangles(sample_rate, mel_bins, window_length - 2),
        "There is one frequency too few: there are window_length // 2 + 1.",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: np.abs(
            draw_triangles(sample_rate, mel_bins, window_length, lowest=-np.inf)
        ),
        "Outside of its triangle a filter is 0. Here the absolute value is taken: use np.maximum(0, ...).",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: np.where(rising <= 1, rising, 0)),
        "The filters have no falling side: a triangle is the minimum of the rising and the falling line.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: np.where(rising >= 0, falling, 0)),
        "The filters have no rising side: a triangle is the minimum of the rising and the falling line.",
    ),
    Mistake(
        swap_slopes,
        "The widths of the two sides are exchanged: the rising line is divided by (centre - left), the "
        "falling one by (right - centre).",
    ),
    *(
        Mistake(
            partial(draw_triangles, scale=lambda filters, left, centre, right: filters, **fault),
            f"Two things: every filter has a peak of 1 instead of an area of 1, and {text}",
        )
        for fault, text in (
            ({"top": 1}, "the filters reach to the sample rate instead of half of it."),
            ({"highest": 1}, "the frequencies run to the sample rate instead of half of it."),
            ({"to_mel": keep, "to_hertz": keep}, "the edges are evenly spaced in hertz instead of mel."),
            ({"to_mel": to_htk, "to_hertz": from_htk}, "the mel scale is another one than the given."),
            ({"lowest": -np.inf}, "the filters are negative outside of their triangles."),
        )
    ),
)


# ----------------------------------------------------------------------------------------- power_to_decibel


def measure_level(
    power: Array, *, factor: float = 10, lowest: float = 1e-10, dynamic: float = 80, axis: Any = (-2, -1)
) -> Array:
    """`power_to_decibel` with one fault."""
    with np.errstate(divide="ignore"):
        decibel = factor * np.log10(np.maximum(power, lowest))
    return np.maximum(decibel, decibel.max(axis=axis, keepdims=True) - dynamic)


def cut_levels(power: Array, *, value: float) -> Array:
    """A number in place of levels below the limit."""
    decibel = measure_level(power, dynamic=np.inf)
    return np.where(decibel < decibel.max(axis=(-2, -1), keepdims=True) - 80, value, decibel)


DECIBEL_MISTAKES = (
    Mistake(
        partial(measure_level, factor=20),
        "The levels are 20 log10: that is for amplitudes. Of a power it is 10 log10.",
    ),
    Mistake(
        partial(measure_level, factor=10 * np.log(10)),
        "This is 10 times the natural logarithm. Decibels are made with the decimal one: np.log10.",
    ),
    Mistake(
        partial(measure_level, factor=1),
        "A decibel is a tenth of a bel: the factor 10 before log10 is missing.",
    ),
    Mistake(
        partial(measure_level, lowest=0),
        "Powers below 1e-10 are not raised to 1e-10 (-100 dB) before the logarithm: log10(0) is -inf.",
    ),
    Mistake(
        lambda power: measure_level(power + 1e-10),
        "1e-10 is added to all powers. Only lower ones have to be raised to it: np.maximum.",
    ),
    Mistake(
        partial(measure_level, dynamic=np.inf),
        "The range is not limited: levels of more than 80 dB below the maximum of the clip have to be raised "
        "to maximum - 80.",
    ),
    Mistake(
        lambda power: np.maximum(measure_level(power, dynamic=np.inf), -80),
        "The levels are cut at -80 dB. The limit is 80 dB below the maximum of the clip.",
    ),
    Mistake(
        lambda power: 10 * np.log10(np.maximum(power, power.max(axis=(-2, -1), keepdims=True) * 1e-8)),
        "The limit of 1e-10 (-100 dB) is missing: silence has the level -100 dB.",
    ),
    Mistake(
        partial(measure_level, axis=None),
        "The maximum is taken over the whole batch. Each clip has its own: axis=(-2, -1) with keepdims.",
    ),
    Mistake(
        partial(measure_level, axis=-1),
        "The maximum is taken in each time step. It is that of the whole clip: axis=(-2, -1).",
    ),
    Mistake(
        partial(measure_level, axis=-2),
        "The maximum is taken in each mel band. It is that of the whole clip: axis=(-2, -1).",
    ),
    Mistake(
        lambda power: measure_level(power) - measure_level(power).max(axis=(-2, -1), keepdims=True),
        "The maximum of the clip is subtracted, so that it becomes 0 dB. The levels themselves are asked "
        "for.",
    ),
    Mistake(
        partial(measure_level, factor=-10),
        "The sign is wrong: larger powers have larger levels.",
    ),
    Mistake(
        partial(measure_level, dynamic=100),
        "The range is 100 dB here. It is 80 dB below the maximum of the clip.",
    ),
    Mistake(
        lambda power: np.maximum(
            10 * np.log10(np.maximum(power, 1e-10) / power.max(axis=(-2, -1), keepdims=True)), -80
        ),
        "The power is divided by its maximum, so that the maximum becomes 0 dB. The levels themselves are "
        "asked for.",
    ),
    Mistake(
        lambda power: np.minimum(
            d := measure_level(power, dynamic=np.inf), d.max(axis=(-2, -1), keepdims=True) - 80
        ),
        "np.minimum stands where np.maximum is needed: levels below the limit are raised to it.",
    ),
    Mistake(
        lambda power: np.minimum(
            d := measure_level(power, dynamic=np.inf), d.min(axis=(-2, -1), keepdims=True) + 80
        ),
        "The levels are cut at 80 dB above the minimum. They are raised to at least 80 dB below the maximum.",
    ),
    Mistake(
        lambda power: np.maximum(d := measure_level(power, dynamic=np.inf), d[0].max() - 80),
        "The maximum of the first entry is used: it is that of each clip, over the last two axes.",
    ),
    *(
        Mistake(
            partial(measure_level, lowest=lowest),
            f"The lowest power is {lowest:g} here. It has to be 1e-10.",
        )
        for lowest in (1e-5, 1e-6, 1e-8, 1e-9, 1e-12, 1e-16, float(np.finfo(np.float64).eps), 1e-20)
    ),
    *(
        Mistake(
            partial(cut_levels, value=value),
            f"Levels below the limit are replaced by {name}. They are raised to the limit: the maximum of "
            "the clip minus 80.",
        )
        for value, name in ((-80.0, "-80"), (-100.0, "-100"), (0.0, "0"), (-np.inf, "-inf"), (np.nan, "NaN"))
    ),
    Mistake(
        partial(measure_level, dynamic=60),
        "The range is 60 dB here. It is 80 dB below the maximum of the clip.",
    ),
    Mistake(
        partial(measure_level, dynamic=-80),
        "80 is added to the maximum of the clip. It has to be subtracted.",
    ),
    Mistake(
        lambda power: measure_level(np.sqrt(power)),
        "The square root of the power is taken: 10 log10 is for the power itself.",
    ),
    Mistake(
        lambda power: measure_level(power**2),
        "The power is squared: it is a square already.",
    ),
    Mistake(
        lambda power: 10 * np.log10(1 + power),
        "1 is added to the power before the logarithm. Only powers below 1e-10 are raised, to 1e-10.",
    ),
    Mistake(
        lambda power: np.clip(measure_level(power, dynamic=np.inf), -80, 0),
        "The levels are clipped to [-80, 0]. They are raised to at least 80 dB below the maximum of the "
        "clip.",
    ),
    Mistake(
        partial(measure_level, factor=10 / np.log10(2)),
        "This is 10 times the logarithm to the base 2. Decibels are made with the decimal one: np.log10.",
    ),
    Mistake(
        lambda power: measure_level(power, dynamic=np.inf) - 80,
        "80 is subtracted from all levels. It is subtracted from the maximum of the clip, which gives a "
        "lower limit.",
    ),
    *(
        Mistake(
            partial(measure_level, dynamic=dynamic),
            f"The range is {dynamic} dB here. It is 80 dB: a factor of 10 ** 8 in power.",
        )
        for dynamic in (8, 10, 20, 40, 160)
    ),
    Mistake(
        lambda power: np.maximum(
            measure_level(power, dynamic=np.inf), power.max(axis=(-2, -1), keepdims=True) - 80
        ),
        "80 is subtracted from the largest power. It is subtracted from the largest level, in decibels.",
    ),
    Mistake(
        partial(measure_level, axis=1),
        "The maximum is taken along axis 1 alone. It is that of the whole clip: axis=(-2, -1).",
    ),
    *(
        Mistake(
            partial(measure_level, factor=factor, **fault),
            f"Two things: {first}, and {text}",
        )
        for factor, first in (
            (20, "the factor is 20 instead of 10"),
            (10 * np.log(10), "the logarithm is the natural one instead of log10"),
        )
        for fault, text in (
            ({"dynamic": np.inf}, "the limit of 80 dB below the maximum is missing."),
            ({"axis": None}, "the maximum is taken over the whole batch."),
            ({"lowest": 0}, "powers are not raised to 1e-10."),
        )
    ),
)


# -------------------------------------------------------------------------------------- log_mel_spectrogram


def run_steps(
    waveform: Array,
    sample_rate: int = 44100,
    mel_bins: int = 128,
    window_length: int = 2048,
    hop_length: int = 512,
    padding: str = "reflect",
    drop_last_step: bool = True,
    *,
    power_of: Any = spectrogram.compute_power,
    level: Any = spectrogram.power_to_decibel,
    normalise: Any = spectrogram.normalise_decibel,
    choose: Any = lambda y, drops: y[..., : max(1, y.shape[-2] - drops), :],
    always: str | None = None,
    before: Any = lambda waveform: waveform,
    collect: Any = lambda power, filters: power @ filters.T,
) -> Array:
    """`log_mel_spectrogram` with one fault."""
    spectrum = spectrogram.compute_stft(before(waveform), window_length, hop_length, always or padding)
    mel = collect(power_of(spectrum), spectrogram.make_mel_filters(sample_rate, mel_bins, window_length))
    return choose(normalise(level(mel)), drop_last_step)


def drop_early(*arguments: Any, **named: Any) -> Array:
    """The last step left out before the decibels."""
    settings = inspect.signature(spectrogram.log_mel_spectrogram).bind(*arguments, **named)
    settings.apply_defaults()
    count = settings.arguments["drop_last_step"]

    def collect(power: Array, filters: Array) -> Array:
        return power[..., : max(1, power.shape[-2] - count), :] @ filters.T

    return run_steps(*settings.args, collect=collect, choose=lambda y, drops: y)


def fix_settings(**fixed: Any) -> Any:
    """Arguments that are replaced by other numbers; a function makes them from all arguments."""

    def run(*arguments: Any, **named: Any) -> Array:
        settings = inspect.signature(spectrogram.log_mel_spectrogram).bind(*arguments, **named)
        settings.apply_defaults()
        changed = {name: f(settings.arguments) if callable(f) else f for name, f in fixed.items()}
        return run_steps(**{**settings.arguments, **changed})

    return run


LOG_MEL_MISTAKES = (
    Mistake(
        partial(
            run_steps,
            level=spectrogram.normalise_decibel,
            normalise=spectrogram.power_to_decibel,
        ),
        "normalise_decibel is called before power_to_decibel. It takes decibels.",
    ),
    Mistake(
        partial(
            run_steps,
            level=lambda mel: spectrogram.power_to_decibel(mel.reshape(-1, mel.shape[-1])).reshape(mel.shape),
        ),
        "The maximum is taken over the whole batch. Each clip has its own: power_to_decibel takes care of "
        "that.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., :-1] if drops else y),
        "The last mel band is dropped in place of the last step: it is the axis before the last.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[: max(1, len(y) - drops)]),
        "The first axis is shortened, which is the batch if there is one: the steps are axis -2.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[:-1] if drops and len(y) > 1 else y),
        "The first axis is shortened, which is the batch if there is one: the steps are axis -2.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : max(1, y.shape[-2] - (not drops)), :]),
        "The last step is dropped where drop_last_step is False, and kept where it is True.",
    ),
    Mistake(
        partial(run_steps, power_of=np.abs),
        "The mel filters are applied to magnitudes. They have to be applied to power: the squared magnitude.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.real(spectrum) ** 2),
        "The power lacks the imaginary part: it is |X|², the sum of both squares.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.abs(spectrum) ** 4),
        "The power is squared twice.",
    ),
    Mistake(
        partial(run_steps, level=lambda mel: 10 * np.log10(np.maximum(mel, 1e-10))),
        "The limit of 80 dB below the maximum of the clip is missing: call power_to_decibel.",
    ),
    Mistake(
        partial(run_steps, level=lambda mel: mel),
        "The conversion to decibels is missing: call power_to_decibel before normalise_decibel.",
    ),
    Mistake(
        partial(run_steps, normalise=lambda level: level),
        "These are decibels: normalise_decibel, which maps them to [-1, 1], is missing.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y),
        "The last step is kept although drop_last_step is True.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : max(1, y.shape[-2] - 1), :]),
        "The last step is dropped although drop_last_step is False.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : y.shape[-2] - drops, :]),
        "The only step is dropped too. The last step is left out unless it is the only one.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., min(drops, y.shape[-2] - 1) :, :]),
        "The first step is dropped instead of the last one.",
    ),
    Mistake(
        partial(
            run_steps, choose=lambda y, drops: np.swapaxes(y[..., : max(1, y.shape[-2] - drops), :], -1, -2)
        ),
        "Time and mel bands are exchanged: the shape is (..., S, F), with low frequencies first.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : max(1, y.shape[-2] - drops), ::-1]),
        "The mel bands run from high to low. Low frequencies come first.",
    ),
    Mistake(
        partial(run_steps, always="reflect"),
        "The waveform is always padded by reflection: hand the argument padding on to compute_stft.",
    ),
    Mistake(
        lambda waveform, sample_rate=44100, *rest, **others: run_steps(waveform, 44100, *rest, **others),
        "The filters are those of 44100 Hz: hand sample_rate on to make_mel_filters.",
    ),
    Mistake(
        drop_early,
        "The last step is left out before the decibels, so that it is missing in the maximum of the clip. "
        "Leave it out at the end.",
    ),
    Mistake(
        partial(
            run_steps,
            collect=lambda power, filters: spectrogram.power_to_decibel(power) @ filters.T,
            level=lambda mel: mel,
        ),
        "The decibels are taken before the mel filters. Power is summed in the mel bands first.",
    ),
    Mistake(
        partial(run_steps, before=lambda waveform: waveform / np.abs(waveform).max()),
        "The waveform is divided by its largest value first. It is taken as it is.",
    ),
    Mistake(
        partial(run_steps, before=lambda waveform: waveform - waveform.mean(axis=-1, keepdims=True)),
        "The mean of the waveform is subtracted first. It is taken as it is.",
    ),
    *(
        Mistake(
            fix_settings(hop_length=lambda settings, part=part: max(1, settings["window_length"] // part)),
            f"The hop length is window_length // {part}. Hand the argument hop_length on to compute_stft.",
        )
        for part in (2, 4)
    ),
    Mistake(
        fix_settings(window_length=2048),
        "The window length is always 2048. Hand the argument window_length on.",
    ),
    Mistake(
        fix_settings(hop_length=512),
        "The hop length is always 512. Hand the argument hop_length on.",
    ),
    Mistake(
        fix_settings(mel_bins=128),
        "There are always 128 mel bands. Hand the argument mel_bins on.",
    ),
    Mistake(
        partial(run_steps, always="constant"),
        "The waveform is always padded by zeros: hand the argument padding on to compute_stft.",
    ),
    Mistake(
        partial(run_steps, level=lambda mel: spectrogram.power_to_decibel(spectrogram.power_to_decibel(mel))),
        "power_to_decibel is applied twice.",
    ),
    Mistake(
        partial(
            run_steps, normalise=lambda level: (level - level.min()) / (level.max() - level.min()) * 2 - 1
        ),
        "The levels are scaled by their minimum and maximum. Use normalise_decibel, which maps -60 dB … 20 "
        "dB.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.real(spectrum) ** 2 - np.imag(spectrum) ** 2),
        "The square of the imaginary part is subtracted: X ** 2 is complex. The power is |X|², np.abs(X) ** "
        "2.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.abs(spectrum) ** 2 / (2 * (spectrum.shape[-1] - 1))),
        "The power is divided by window_length. It is |X|² as it is.",
    ),
    Mistake(
        partial(run_steps, collect=lambda power, filters: np.sqrt(power @ filters.T)),
        "The square root of the power in the mel bands is taken. power_to_decibel takes the power itself.",
    ),
    Mistake(
        partial(run_steps, collect=lambda power, filters: power),
        "The mel filters are missing: multiply the power by the transposed filters.",
    ),
    Mistake(
        partial(run_steps, collect=lambda power, filters: (power @ filters.T) / filters.sum(axis=1)),
        "The power in each band is divided by the sum of the weights of its filter. The filters have an area "
        "of 1 already.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : y.shape[-2] - (drops and y.shape[-2] > 2), :]),
        "Of two steps none is left out. The last step is left out unless it is the only one.",
    ),
    Mistake(
        partial(run_steps, power_of=np.abs, choose=lambda y, drops: y),
        "Two things: the mel filters are applied to magnitudes, and the last step is kept.",
    ),
)
