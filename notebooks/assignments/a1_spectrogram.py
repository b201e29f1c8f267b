# %% [markdown]
# # Assignment 1 · From a waveform to a log-mel spectrogram
#
# You write the functions that turn a waveform into the log-mel spectrogram that TVLT takes as its input, and
# then those that turn a spectrum back into a waveform. At the end you see the spectrogram of a chirp, a tone
# whose pitch rises, and hear the chirp as your functions compute it from magnitudes alone.
#
# **Time:** about three hours. **Points:** 100. **Before this:** NumPy arrays with several axes, sine and
# cosine, complex numbers; notebook [01](../01_sound_to_picture.ipynb), to which each check refers.
#
# **How it works.** Replace each `raise NotImplementedError` by your code, and run the cell and the check
# below it. A check says how many points you have, and of the first thing that is wrong: the smallest input
# that shows it, what came, what was expected, and a likely cause. You may run a check as often as you like.
# A wrong function costs no points in later ones: there, the checks use a right one in its place. Use NumPy
# only; `minitvlt.signals` and `librosa` hold the answers. Each solution fits in 15 lines.

# %% [markdown]
# ## Three things that hold for every function
#
# **Leading axes.** A waveform has the shape `(samples,)`, a batch of them `(B, samples)`, and there may be
# more axes in front. Write `...` for them: `x[..., 0]`, `x.sum(axis=-1)`, `(*x.shape[:-1], n)`. An array as
# an index makes new axes: `x[..., places]` has the shape of `places` in place of the last axis of `x`. For
# example, `np.array([0, 3])[:, None] + np.arange(4)` is `[[0, 1, 2, 3], [3, 4, 5, 6]]`, with the shape
# `(2, 4)`. Functions of notebook 01 take a single waveform: they have no leading axes.
#
# **Precision.** float32 in, float32 out. A product of a float32 array and a float64 array is float64, so
# convert constants that are arrays: `window.astype(x.dtype)`. `np.zeros(n)` and NumPy's numbers, such as
# `np.sqrt(2)`, are float64 too: write `np.zeros(n, x.dtype)` and `math.sqrt(2)`. Python numbers, as in
# `0.5 * x`, change nothing.
#
# **Inputs stay as they are.** Never write into an argument (`x += 1`, `x[0] = 0`): the caller still needs
# it, and it may be read-only. Make a new array.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "solution": false, "schema_version": 3}
import checks
import numpy as np

# %% [markdown]
# ## 1 · Frames
#
# The pitch of a sound changes over time. So its spectrum is computed of short, overlapping stretches of the
# waveform, called **frames**. A frame has `window_length` samples; from the centre of one frame to the
# centre of the next are `hop_length` samples, and frame $t$ is **centred** on sample $t \cdot \text{hop}$.
# With $M$ = `window_length`, sample $m$ of frame $t$ is
#
# $$\text{frame}[t, m] = a[t \cdot \text{hop} + m - \lfloor M / 2 \rfloor], \qquad m = 0, \dots, M - 1.$$
#
# At both ends this goes beyond the waveform, so it is extended first: by $\lfloor M / 2 \rfloor$ samples
# before the first one and by the other $M - \lfloor M / 2 \rfloor$ after the last one. With
# `padding="reflect"` the new samples are those on the other side of the edge, as in a mirror, and the edge
# sample is not repeated; with `padding="constant"` they are zeros. `np.pad(x, widths, mode=padding)` knows
# both by these names; `widths` is a list with a pair of numbers for each axis of `x`, and `(0, 0)` stands for
# an axis that stays as it is. A single number for `widths` would pad all axes, the batch too.
#
# **Example.** The waveform `[7, 8, 9]`, extended by 2 samples at each end, is `[9, 8, 7, 8, 9, 8, 7]` by
# reflection and `[0, 0, 7, 8, 9, 0, 0]` by zeros. A window of 4 samples and a hop of 2 give
# `3 // 2 + 1 = 2` frames; the second one of the reflected waveform is `[7, 8, 9, 8]`, and its sample
# `4 // 2 = 2` is 9: sample 2 of the waveform, on which it is centred.


# %% nbgrader={"grade": false, "grade_id": "frame_waveform", "locked": false, "solution": true, "schema_version": 3}
def frame_waveform(waveform, window_length, hop_length, padding="reflect"):
    """Cut a waveform into overlapping frames, frame t centred on sample t * hop_length.

    Sample m of frame t is sample t * hop_length + m - window_length//2 of the waveform, which is padded by
    half a window at each end.

    >>> frame_waveform(np.arange(6.0), window_length=4, hop_length=3)
    array([[2., 1., 0., 1.],
           [1., 2., 3., 4.],
           [4., 5., 4., 3.]])

    Args:
        waveform: (..., samples), at least one sample.
        window_length: samples in a frame.
        hop_length: samples from the centre of one frame to that of the next, from 1 to window_length.
        padding: "reflect" or "constant" (zeros).

    Returns:
        (..., samples//hop_length + 1, window_length)
    """
    # padded waveform: (..., samples + window_length); only its last axis is longer
    # frames: (..., samples//hop_length + 1, window_length)
    ### BEGIN SOLUTION
    before = window_length // 2
    edges = [(0, 0)] * (waveform.ndim - 1) + [(before, window_length - before)]
    padded = np.pad(waveform, edges, mode=padding)  # (..., samples + window_length)
    starts = np.arange(waveform.shape[-1] // hop_length + 1) * hop_length
    return padded[..., starts[:, None] + np.arange(window_length)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_frame_waveform", "locked": true, "points": 12, "solution": false, "schema_version": 3}
checks.check(frame_waveform)

# %% [markdown]
# ## 2 · The Hann window
#
# A frame begins and ends abruptly. These jumps are no part of the sound, but they have a spectrum that
# covers all frequencies. So each frame is multiplied by a **window**, which fades it in and out. The
# periodic **Hann window** of $M$ samples is
#
# $$w_m = \tfrac12 - \tfrac12 \cos\frac{2 \pi m}{M}, \qquad m = 0, \dots, M - 1.$$
#
# It is 0 at $m = 0$ and would be 0 again at $m = M$, which is the first sample of the next period: the last
# weight is not 0. (`np.hanning` is the *symmetric* window, which divides by $M - 1$.)
#
# **Example.** For $M = 8$, the weight at $m = 2$ is $\frac12 - \frac12 \cos\frac{\pi}{2} = 0.5$, and at $m
# = 4$, in the middle, it is 1.


# %% nbgrader={"grade": false, "grade_id": "make_window", "locked": false, "solution": true, "schema_version": 3}
def make_window(window_length):
    """Periodic Hann window: w_m = 1/2 - 1/2 cos(2πm / window_length). It fades a frame in and out.

    >>> make_window(4)
    array([0. , 0.5, 1. , 0.5])

    Returns:
        (window_length,), in float64
    """
    # m: (window_length,), the numbers 0, 1, 2, …
    ### BEGIN SOLUTION
    m = np.arange(window_length)
    return 0.5 - 0.5 * np.cos(2 * np.pi * m / window_length)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_make_window", "locked": true, "points": 7, "solution": false, "schema_version": 3}
checks.check(make_window)

# %% [markdown]
# ## 3 · The short-time Fourier transform
#
# How much of each frequency is in a frame? The Fourier transform of the windowed frame says it:
#
# $$X[t, k] = \sum_{m=0}^{M-1} w_m \; \text{frame}[t, m] \; e^{-2 \pi i k m / M}$$
#
# Frequency $k$ has $k$ periods in a frame. Samples are real numbers, so the values for $k > M / 2$ repeat
# those below (conjugated), and only $k = 0, \dots, \lfloor M / 2 \rfloor$ are kept. `np.fft.rfft(x)`
# computes just these, along the last axis. The result is complex: its absolute value is the strength of the
# frequency, its angle the phase.
#
# **Example.** The frame `[0, 1, 0, -1]` holds one period of a sine. Times the window `[0, 0.5, 1, 0.5]` it is
# `[0, 0.5, 0, -0.5]`, and `np.fft.rfft` of this is `[0, -1j, 0]`: all of it is at $k = 1$.
#
# `make_window` gives float64. Think of the precision of the frames (see above).


# %% nbgrader={"grade": false, "grade_id": "compute_stft", "locked": false, "solution": true, "schema_version": 3}
def compute_stft(waveform, window_length, hop_length, padding="reflect"):
    """Short-time Fourier transform: frames times the Hann window, and the Fourier transform of each.

    Bin k is the frequency k * sample_rate / window_length in hertz. Arguments are those of `frame_waveform`.

    Args:
        waveform: (..., samples)

    Returns:
        (..., samples//hop_length + 1, window_length//2 + 1), complex
    """
    # frames, and windowed frames: (..., samples//hop_length + 1, window_length)
    # spectrum: (..., samples//hop_length + 1, window_length//2 + 1)
    ### BEGIN SOLUTION
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    window = make_window(window_length).astype(frames.dtype)
    return np.fft.rfft(frames * window)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_compute_stft", "locked": true, "points": 12, "solution": false, "schema_version": 3}
checks.check(compute_stft)

# %% [markdown]
# ## 4 · Mel filters
#
# From 100 to 200 Hz we hear the same interval as from 4000 to 8000 Hz. The **mel scale** follows our
# perception. Both conversions are given; they take arrays and numbers.


# %% nbgrader={"grade": false, "grade_id": "given_mel_scale", "locked": true, "solution": false, "schema_version": 3}
def hertz_to_mel(hertz):
    """Slaney's mel scale: linear up to 1000 Hz = 15 mel, logarithmic above."""
    above = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
    return np.where(np.less(hertz, 1000), np.multiply(hertz, 3 / 200), above)


def mel_to_hertz(mel):
    """The inverse of hertz_to_mel."""
    above = 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27)
    return np.where(np.less(mel, 15), np.multiply(mel, 200 / 3), above)


print(hertz_to_mel([200, 1000, 6400]), mel_to_hertz([3, 15, 42]))

# %% [markdown]
# A **mel filter bank** sums the power at the frequencies of the STFT in $F$ = `mel_bins` overlapping bands.
# Its edges are $F + 2$ points at equal distances **in mel**, from 0 to half the sample rate. Band $j$ uses
# three neighbouring edges, in hertz: it begins at the left one, $l$ = edge $j$, has its centre at $c$ =
# edge $j + 1$ and ends at the right one, $r$ = edge $j + 2$. It weights frequency $f$ by a triangle of area
# 1:
#
# $$\operatorname{filter}_j(f) = \frac{2}{r - l} \max\Bigl(0, \;
# \min\Bigl(\frac{f - l}{c - l}, \; \frac{r - f}{r - c}\Bigr)\Bigr)$$
#
# The frequencies of the STFT are $f_k = k \cdot \text{rate} / M$ for $k = 0, \dots, M / 2$; the last one is
# half the sample rate.
#
# **Example.** At 800 Hz with 3 bands, half the sample rate is 400 Hz = 6 mel. The five edges are 0, 1.5, 3,
# 4.5 and 6 mel, which are 0, 100, 200, 300 and 400 Hz. The first band goes from 0 to 200 Hz with its centre
# at 100 Hz, so it weights 50 Hz by $\frac{2}{200} \min(\frac{50}{100}, \frac{150}{100}) = 0.005$.
#
# To compute all bands at once, give edges an axis of length 1 at the end: `(F, 1)` and `(bins,)` broadcast to
# `(F, bins)`.


# %% nbgrader={"grade": false, "grade_id": "make_mel_filters", "locked": false, "solution": true, "schema_version": 3}
def make_mel_filters(sample_rate, mel_bins, window_length):
    """Triangular filters over frequency, centres evenly spaced in mel, each of area one in hertz (Slaney).

    Each begins and ends at the centres of its neighbours; the last one ends at half the sample rate.

    >>> make_mel_filters(8000, mel_bins=3, window_length=16).shape
    (3, 9)

    Args:
        sample_rate: in hertz.
        mel_bins: how many filters.
        window_length: samples in a frame, an even number.

    Returns:
        (mel_bins, window_length//2 + 1)
    """
    # frequencies: (window_length//2 + 1,), in hertz
    # edges: (mel_bins + 2,), in hertz; left, centre and right edges of all filters: (mel_bins, 1) each
    # rising and falling lines: (mel_bins, window_length//2 + 1)
    ### BEGIN SOLUTION
    frequencies = np.arange(window_length // 2 + 1) * sample_rate / window_length
    edges = mel_to_hertz(np.linspace(0, hertz_to_mel(sample_rate / 2), mel_bins + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies - left) / (centre - left)  # (mel_bins, window_length//2 + 1)
    falling = (right - frequencies) / (right - centre)
    return 2 / (right - left) * np.maximum(0, np.minimum(rising, falling))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_make_mel_filters", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(make_mel_filters)

# %% [markdown]
# ## 5 · Decibels
#
# We perceive loudness by ratios, so power is measured in **decibels**: ten times its decimal logarithm. Two
# limits keep the numbers in a reasonable range. First, powers below $10^{-10}$ count as $10^{-10}$, which
# is -100 dB and avoids the logarithm of 0. Second, levels of more than 80 dB below the maximum **of the
# same clip** are raised to this maximum minus 80:
#
# $$d[t, j] = 10 \log_{10} \max(\text{power}[t, j], \; 10^{-10})$$
#
# $$\text{level}[t, j] = \max\bigl(d[t, j], \; \max_{t', j'} d[t', j'] - 80\bigr)$$
#
# A clip is the last two axes, time and frequency; axes before them count clips.
#
# **Example.** A clip with the powers 1000, 0.01 and 0 has $d$ = 30, -20 and -100 dB. Its maximum is 30, so no
# level is below -50: the levels are 30, -20 and -50 dB.


# %% nbgrader={"grade": false, "grade_id": "power_to_decibel", "locked": false, "solution": true, "schema_version": 3}
def power_to_decibel(power):
    """10 log10(power), at least -100 dB, and at least the maximum of the same clip minus 80 dB.

    >>> power_to_decibel(np.array([[1.0, 1e-3, 1e-9]])).round(6)
    array([[  0., -30., -80.]])

    Args:
        power: (..., S, F), time steps and frequencies.

    Returns:
        (..., S, F)
    """
    # decibel: (..., S, F)
    # maximum of each clip: (..., 1, 1)
    ### BEGIN SOLUTION
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibel, decibel.max(axis=(-2, -1), keepdims=True) - 80)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_power_to_decibel", "locked": true, "points": 11, "solution": false, "schema_version": 3}
checks.check(power_to_decibel)

# %% [markdown]
# ## 6 · The log-mel spectrogram
#
# Now all steps in one function: STFT, power, mel bands, decibels, and a map to $[-1, 1]$, which is given
# below. **Power** is the squared absolute value of the STFT. The power in mel bands is a matrix product:
#
# $$P[t, k] = |X[t, k]|^2, \qquad \text{band}[t, j] = \sum_k \operatorname{filter}_j(f_k) \, P[t, k]$$
#
# With `drop_last_step=True` the last time step is left out, as by the processor of the published model,
# unless it is the only one. This is done at the end: the maximum of the clip is that of all steps.
#
# **Example.** A waveform of 1000 samples with a hop of 20 has `1000 // 20 + 1 = 51` steps, of which 50
# remain. A waveform of 7 samples with a hop of 20 has one step, which remains. Two frequencies with the
# powers 4 and 10 that a filter weights by 0.5 and 0.1 give 3 in its band.


# %% nbgrader={"grade": false, "grade_id": "given_normalise_decibel", "locked": true, "solution": false, "schema_version": 3}
def normalise_decibel(decibel):
    """Map -60 dB … 20 dB to -1 … 1, and clip what lies outside. Silence is -1."""
    return np.clip((decibel - 20) / 40, -2, 0) + 1


print(normalise_decibel(np.array([-80.0, -60.0, -10.0, 20.0])))


# %% nbgrader={"grade": false, "grade_id": "log_mel_spectrogram", "locked": false, "solution": true, "schema_version": 3}
def log_mel_spectrogram(
    waveform,
    sample_rate=44100,
    mel_bins=128,
    window_length=2048,
    hop_length=512,
    padding="reflect",
    drop_last_step=True,
):
    """The log-mel spectrogram of a waveform, (..., S, F) in [-1, 1]: step by step, low frequencies first.

    There is a step for every `hop_length` samples, the first one centred on the first sample: samples //
    hop_length + 1 steps.

    >>> log_mel_spectrogram(np.zeros((3, 1000)), 8000, mel_bins=7, window_length=64, hop_length=20).shape
    (3, 50, 7)

    Args:
        waveform: (..., samples), float32 or float64, in [-1, 1].
        sample_rate: in hertz.
        mel_bins: F.
        window_length: samples in a frame, an even number.
        hop_length: samples from one step to the next.
        padding: "reflect" or "constant" (zeros).
        drop_last_step: leave the last step out, unless it is the only one.

    Returns:
        (..., S, F)
    """
    # spectrum and power: (..., samples//hop_length + 1, window_length//2 + 1)
    # power in mel bands: (..., samples//hop_length + 1, mel_bins)
    ### BEGIN SOLUTION
    power = np.abs(compute_stft(waveform, window_length, hop_length, padding)) ** 2
    filters = make_mel_filters(sample_rate, mel_bins, window_length).astype(power.dtype)
    log_mel = normalise_decibel(power_to_decibel(power @ filters.T))
    steps = log_mel.shape[-2]
    return log_mel[..., : max(1, steps - 1) if drop_last_step else steps, :]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_log_mel_spectrogram", "locked": true, "points": 16, "solution": false, "schema_version": 3}
checks.check(log_mel_spectrogram)

# %% [markdown]
# ## 7 · Adding frames up
#
# The way back. `overlap_add` puts frames where `frame_waveform` took them from and adds up what overlaps:
# frame $t$ is centred on sample $t \cdot \text{hop}$ of the waveform. With $S$ frames of $M$ samples,
#
# $$a[n] = \sum_t \text{frame}[t, \; n - t \cdot \text{hop} + \lfloor M / 2 \rfloor],
# \qquad n = 0, \dots, (S - 1) \, \text{hop} - 1,$$
#
# where the sum runs over the frames that reach sample $n$. What lies before the centre of the first frame, or
# from the centre of the last one on, is cut off. A simple way: begin with zeros for
# $(S - 1) \, \text{hop} + M$ samples, add each frame where it begins, and cut at the end.
#
# **Example.** The frames `[1, 1, 1, 1]`, `[5, 5, 5, 5]` and `[2, 2, 2, 2]` with a hop of 1 begin at places
# 0, 1 and 2. The sum has 6 samples: `[1, 6, 8, 8, 7, 2]`. Cut at `4 // 2 = 2`, the `(3 - 1) * 1 = 2`
# samples that remain are `[8, 8]`.


# %% nbgrader={"grade": false, "grade_id": "overlap_add", "locked": false, "solution": true, "schema_version": 3}
def overlap_add(frames, hop_length):
    """Add up overlapping frames, frame t centred on sample t * hop_length: the transpose of `frame_waveform`.

    Samples before the centre of the first frame or after that of the last are cut off.

    >>> overlap_add(np.array([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]]), hop_length=3)
    array([ 3., 14., 20.])

    Args:
        frames: (..., S, window_length)
        hop_length: samples from one frame to the next.

    Returns:
        (..., (S - 1) * hop_length)
    """
    # sum of all frames: (..., (S - 1) * hop_length + window_length), with the precision of the frames
    # waveform: (..., (S - 1) * hop_length), from window_length//2 on
    ### BEGIN SOLUTION
    *batch, S, window_length = frames.shape
    samples, start = (S - 1) * hop_length, window_length // 2
    total = np.zeros((*batch, samples + window_length), frames.dtype)
    for t in range(S):
        total[..., t * hop_length : t * hop_length + window_length] += frames[..., t, :]
    return total[..., start : start + samples]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_overlap_add", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(overlap_add)

# %% [markdown]
# ## 8 · From a spectrum to a waveform
#
# `np.fft.irfft(X, M)` turns each spectrum back into a frame of $M$ samples. These frames carry the window,
# and overlap. The waveform whose STFT is closest to $X$, in the sense of least squares, multiplies each
# frame by the window **once more**, adds up, and divides by the sum of the **squared** windows:
#
# $$a = \frac{\operatorname{overlap\_add}(w \cdot \operatorname{irfft}(X))}
# {\max\bigl(0.01, \; \operatorname{overlap\_add}(w^2)\bigr)}$$
#
# If $X$ is the STFT of a waveform, this gives the waveform back: each sample is multiplied by $w^2$ in
# every frame that holds it, and the division takes that out. Where the denominator is nearly 0 (where hops
# are longer than half a window), 0.01 stands in for it. A spectrum with `bins` frequencies belongs to
# windows of `2 * (bins - 1)` samples.
#
# In the denominator, $w^2$ stands for $S$ frames, which are all the squared window: an array of shape
# `(S, window_length)`, for instance by `np.tile(squares, (S, 1))`.
#
# **Example.** With the window `[0, 0.5, 1, 0.5]`, whose squares are `[0, 0.25, 1, 0.25]`, and a hop of 2,
# each sample between the ends is divided by $0 + 1 = 1$ or by $0.25 + 0.25 = 0.5$.


# %% nbgrader={"grade": false, "grade_id": "invert_stft", "locked": false, "solution": true, "schema_version": 3}
def invert_stft(spectrum, hop_length):
    """The waveform whose STFT is closest to this one in the sense of least squares (Griffin and Lim 1984).

    Every frame is windowed again, and the sum of the frames is divided by the sum of the squared windows,
    which is raised to 0.01 where it is lower: it is near zero where hops are longer than half a window.

    Args:
        spectrum: (..., S, bins), complex
        hop_length: samples from one frame to the next.

    Returns:
        (..., (S - 1) * hop_length)
    """
    # frames: (..., S, window_length)
    # sum of the windowed frames: (..., (S - 1) * hop_length)
    # squared windows, one for each frame: (S, window_length), and their sum: ((S - 1) * hop_length,)
    ### BEGIN SOLUTION
    S, window_length = spectrum.shape[-2], 2 * (spectrum.shape[-1] - 1)
    frames = np.fft.irfft(spectrum, window_length)
    window = make_window(window_length).astype(frames.dtype)
    weight = overlap_add(np.tile(window**2, (S, 1)), hop_length)
    return overlap_add(frames * window, hop_length) / np.maximum(weight, 0.01)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_invert_stft", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(invert_stft)

# %% [markdown]
# ## Your functions at work
#
# A **chirp**: a tone that rises from 300 to 1900 Hz in two seconds, here with its first overtone. This is
# its log-mel spectrogram by your functions. The bands are evenly spaced in mel, so the curve bends: low
# frequencies take up more of the picture.

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture_spectrogram", "locked": true, "solution": false, "schema_version": 3}
import matplotlib.pyplot as plt

rate, window_length, hop_length = 8000, 512, 128
time = np.arange(2 * rate) / rate
phase = 2 * np.pi * (300 * time + 400 * time**2)  # its derivative is 2 pi times the frequency, 300 + 800 t
chirp = (0.4 * np.sin(phase) + 0.1 * np.sin(2 * phase)) * np.minimum(1, 10 * np.minimum(time, 2 - time))
if checks.are_written(
    log_mel_spectrogram, frame_waveform, make_window, compute_stft, make_mel_filters, power_to_decibel
):
    log_mel = log_mel_spectrogram(chirp, rate, 64, window_length, hop_length)
    figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    image = axes.imshow(log_mel.T, origin="lower", aspect="auto", extent=(0, 2, 0, 64), cmap="magma")
    axes.set(xlabel="time (s)", ylabel="mel band", title="The log-mel spectrogram of a chirp")
    figure.colorbar(image, label="-1 is -60 dB, 1 is 20 dB")
    plt.show()

# %% [markdown]
# A spectrogram has no phases. The **Griffin-Lim algorithm** finds some: it begins with those of white
# noise, computes a waveform by your `invert_stft`, takes the phases of its STFT by your `compute_stft`, and
# repeats this. Overlapping frames have to agree, so each repetition makes the phases more consistent.
# Listen to the chirp, and to what the magnitudes alone give back.


# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "sound_of_the_chirp", "locked": true, "solution": false, "schema_version": 3}
from IPython.display import Audio, display


def find_waveform(magnitude, hop_length, iterations=64):
    """A waveform whose STFT has these magnitudes, (S, bins), from random phases (Griffin and Lim 1984)."""
    length = 2 * (magnitude.shape[-1] - 1)
    waveform = np.random.default_rng(0).normal(size=(len(magnitude) - 1) * hop_length)
    for _ in range(iterations):
        spectrum = compute_stft(waveform, length, hop_length)
        phases = spectrum / np.maximum(np.abs(spectrum), 1e-12)
        waveform = invert_stft(magnitude * phases, hop_length)
    return waveform


if checks.are_written(frame_waveform, make_window, compute_stft, overlap_add, invert_stft):
    magnitude = np.abs(compute_stft(chirp, window_length, hop_length))
    inverted = find_waveform(magnitude, hop_length)
    error = np.abs(compute_stft(inverted, window_length, hop_length)) - magnitude
    print("the chirp")
    display(Audio(chirp, rate=rate))
    print(
        f"from its magnitudes alone; their error is {np.linalg.norm(error) / np.linalg.norm(magnitude):.0%}"
    )
    display(Audio(inverted, rate=rate))
