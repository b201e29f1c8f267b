# %% [markdown]
# # 01 · From a waveform to a log-mel spectrogram
#
# A microphone gives one number for each sample. The input of TVLT is a **log-mel spectrogram**: an array
# over time and frequency that says how loud each frequency band is at each time. This notebook computes it
# step by step from the waveform, compares each step with the package, and then computes a waveform from a
# spectrogram.
#
# **You will be able to** write the short-time Fourier transform, a mel filter bank and the conversion to
# decibels yourself, say what a spectrogram does not contain, and say why TVLT needs no speech recognition.
#
# **Time to run:** about fifteen seconds. **Before this:** sums, sine and cosine, the logarithm; complex
# numbers ($i^2 = -1$, absolute value and angle); [00](00_quickstart.ipynb) for the clips.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The waveform
#
# We take a clip of the small world, recorded at a higher sample rate than that of the packaged model. Its
# **waveform** $a$ holds one number for each sample, the amplitude; ±1 is full scale. There are $R$ samples
# in a second, the **sample rate**.

# %%
import numpy as np

from helpers.notebook import play, show, side_by_side

config = mt.Config.tiny(
    sample_rate=16000, window_length=1024, hop_length=256, spectrogram_length=96, frequency_length=64
)
_, waveforms, labels = mt.ShapesWorld(config).draw_clips(np.random.default_rng(441), 1)
a, R = waveforms[0], config.sample_rate
play(a, R, f"A clip of {len(a) / R:.2f} seconds: {len(a)} samples")

# %% [markdown]
# The left panel shows the whole waveform: how loud it is over time can be seen, the pitch cannot. The right
# panel shows 20 milliseconds. The waveform is periodic there, and the number of periods in a second is the
# pitch that we hear. A periodic waveform is a sum of oscillations whose frequencies are multiples of this
# number: its **harmonics**. How strong each of them is makes the timbre.

# %%
from helpers.diagrams import new_axes, plot_spectrogram, use_style
from minitvlt.views.figures import AUDIO_COLOUR, NEUTRAL_COLOUR

use_style()
figure, (left, right) = new_axes(1, 2, titles=("the whole clip", "20 milliseconds"), y="amplitude")
left.plot(np.arange(len(a)) / R, a, color=AUDIO_COLOUR, linewidth=0.3)
left.set_xlabel("time (s)")
part = np.arange(3200, 3520)
right.plot((part - part[0]) / R * 1000, a[part], color=AUDIO_COLOUR)
right.set_xlabel("time (ms)")
show(figure, "Left: the whole waveform, whose amplitude rises and falls. Right: a periodic curve.")

# %% [markdown]
# ## Frames
#
# The pitch changes over time. So the spectrum is computed of short, overlapping stretches of the waveform,
# called **frames** (those of the audio, not of the video). A frame has $M$ samples, the **window length**,
# and from one frame to the next are $\text{hop}$ samples, the **hop length**. Frame $t$ is centred on
# sample $t \, \text{hop}$: its samples are $a[t \, \text{hop} + m - M/2]$ for $m = 0, \dots, M - 1$. At
# both ends the waveform is extended by $M / 2$ samples, a reflection of what is there. In the extended
# waveform, frame $t$ therefore begins at sample $t \, \text{hop}$.


# %%
def cut_frames(a, M, hop):
    extended = np.pad(a, M // 2, mode="reflect")
    starts = np.arange(0, len(a) + 1, hop)  # of the frames, in the extended waveform
    return extended[starts[:, None] + np.arange(M)]  # (steps, M)


# %% [markdown]
# In the notebooks each function that you write is compared with the package in one line.

# %%
from minitvlt.signals import spectrogram

M, hop = config.window_length, config.hop_length
frames = cut_frames(a, M, hop)
print("frames:", frames.shape)
print("equal to the package's:", np.array_equal(frames, spectrogram.frame_waveform(a, M, hop)))

# %% [markdown]
# A frame begins and ends abruptly. These jumps are no part of the sound, but they have a spectrum, which
# covers all frequencies: this is called **spectral leakage**. To reduce it, each frame is multiplied by a
# **window** that is 0 at its ends. TVLT uses the **Hann window**:
#
# $$\text{hann}[m] = \tfrac12 - \tfrac12 \cos\frac{2\pi m}{M}$$


# %%
def hann_window(M):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(M) / M)


window = hann_window(M)
print("equal to the package's:", np.allclose(window, spectrogram.make_window(M)))

# %% [markdown]
# The left panel shows frame 50 before (grey) and after (orange) multiplication by the window. The right
# panel shows three neighbouring windows. They overlap, so that each sample has a large weight in some
# frame.

# %%
t = 50
figure, (left, right) = new_axes(1, 2, titles=("one frame", "three windows"), x="time (ms)")
time = np.arange(M) / R * 1000  # in milliseconds
left.plot(time, frames[t], color=NEUTRAL_COLOUR, linewidth=0.7, label="without window")
left.plot(time, frames[t] * window, color=AUDIO_COLOUR, linewidth=1.2, label="with window")
left.set(ylabel="amplitude", ylim=(-0.35, 0.5))
left.legend(loc="upper right")
for shift in range(3):
    right.plot(time + shift * hop / R * 1000, window, color=AUDIO_COLOUR, alpha=1 - 0.3 * shift)
right.set_ylabel("weight")
show(figure, "Left: a frame of the waveform, without and with window. Right: three windows that overlap.")

# %% [markdown]
# ## Frequencies
#
# How much of a frequency is in a frame? Multiply the frame by a cosine of this frequency and add up: the
# sum is large if the frame oscillates in the same way. If the oscillation is shifted by a quarter of a
# period, the sum with the cosine is 0, but that with the sine is large. So both are needed. The complex
# exponential
#
# $$e^{-i \varphi} = \cos\varphi - i \sin\varphi$$
#
# holds both in one complex number.

# %% [markdown]
# Frequency number $k$ has $k$ periods in a frame, which is $k R / M$ periods in a second (hertz); $k$
# runs from 0 to $M / 2$, because samples at the rate $R$ cannot represent higher frequencies (see the
# exercises). This is the **short-time Fourier transform (STFT)**:
#
# $$X[t, k] = \sum_{m=0}^{M-1} \text{hann}[m] \; a[t \, \text{hop} + m - M/2] \; e^{-2\pi i k m / M}$$
#
# The absolute value of $X[t, k]$ says how strong frequency $k$ is (**magnitude**), its angle how the
# oscillation is shifted (**phase**).


# %%
def stft(a, M, hop):
    m, k = np.arange(M), np.arange(M // 2 + 1)
    exponentials = np.exp(-2j * np.pi * np.outer(m, k) / M)  # (M, M/2 + 1)
    return (hann_window(M) * cut_frames(a, M, hop)) @ exponentials  # (steps, M/2 + 1)


# %% [markdown]
# This is a matrix product: $M \, (M / 2 + 1)$ multiplications for each frame. The **fast Fourier
# transform** (`np.fft.rfft`), which the package calls, gives the same in about $M \log_2 M$.

# %%
X = stft(a, M, hop)
print("STFT:", X.shape, "  frequency 51 is", 51 * R / M, "Hz")
print("equal to the package's:", np.allclose(X, spectrogram.compute_stft(a, M, hop), atol=1e-3))

# %% [markdown]
# The figure shows the effect of the window on the spectrum of frame 50. Grey: without window; leakage fills
# the space between the peaks. Orange: with the Hann window; the peaks are the harmonics of the voice. The
# vertical axis is in decibels, $20 \log_{10} |X|$: 20 dB less is a tenth of the magnitude.

# %%
figure, (axes,) = new_axes(x="frequency (kHz)", y="level (dB)")
hertz = np.arange(M // 2 + 1) * R / M
for spectrum, colour, label in (
    (np.fft.rfft(frames[t]), NEUTRAL_COLOUR, "without window"),
    (X[t], AUDIO_COLOUR, "with window"),
):
    axes.plot(hertz / 1000, 20 * np.log10(np.abs(spectrum) + 1e-6), color=colour, label=label)
axes.set(xlim=(0, 4), ylim=(-80, 50))
axes.legend()
show(figure, "Two spectra of a frame: without window blurred, with window a few narrow peaks.")

# %% [markdown]
# ## Power
#
# A spectrogram holds the squared magnitude, the **power**. The phase is dropped:
#
# $$P[t, k] = |X[t, k]|^2$$
#
# Below, time runs to the right and frequency upwards. On the left the brightness is the power: only the
# largest values are visible. On the right it is the logarithm of the power, which also shows weak
# harmonics. Loudness as we perceive it is closer to the logarithm: ten times the power sounds about twice
# as loud.

# %%
P = np.abs(X) ** 2
figure, axes = new_axes(1, 2, titles=("power", "logarithm of power"), x="time (s)", y="frequency (kHz)")
for one, values, darkest in zip(axes, (P, 10 * np.log10(P + 1e-10)), (0, -40), strict=True):
    one.imshow(values.T, origin="lower", aspect="auto", vmin=darkest, extent=(0, len(a) / R, 0, R / 2000))
show(figure, "The same spectrogram twice: as power nearly black; as its logarithm with all harmonics.")

# %% [markdown]
# ## The mel scale
#
# From 100 to 200 Hz is an octave, and so is from 4000 to 8000 Hz. We hear both as the same interval, but
# the second one takes up forty times as many frequencies of the STFT. The **mel scale** follows our
# perception. Slaney's version is linear up to 1000 Hz and logarithmic above; with $f$ in hertz,
#
# $$\operatorname{mel}(f) = \begin{cases}
# 3 f / 200 & f < 1000 \\ 15 + 27 \ln(f / 1000) / \ln 6.4 & f \ge 1000
# \end{cases}$$


# %%
def to_mel(f):
    return np.where(f < 1000, 3 * f / 200, 15 + 27 * np.log(np.maximum(f, 1000) / 1000) / np.log(6.4))


def to_hertz(mel):
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))


for f in (200.0, 1000.0, 6400.0):
    print(f"{f:6.0f} Hz is {to_mel(f):5.2f} mel, and back {to_hertz(to_mel(f)):6.0f} Hz")
print("equal to the package's:", np.allclose(to_mel(hertz), spectrogram.hertz_to_mel(hertz)))

# %% [markdown]
# A **mel filter bank** sums the power of the STFT in $F$ overlapping bands of equal width in mel. Its edges
# are $F + 2$ points at equal distances in mel, from 0 to half the sample rate. Band $j$ uses three
# neighbouring edges: it begins at the left one $l$, has its centre at $c$ and ends at the right one $r$. It
# weights a frequency $f$ by a triangle of area 1:
#
# $$\operatorname{filter}_j(f) =
# \frac{2}{r - l} \max\Bigl(0, \min\Bigl(\frac{f - l}{c - l}, \frac{r - f}{r - c}\Bigr)\Bigr)$$


# %%
def mel_filters(R, F, M):
    edges = to_hertz(np.linspace(0, to_mel(R / 2), F + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]  # each (F, 1)
    f = np.arange(M // 2 + 1) * R / M  # the frequencies of the STFT
    triangles = np.minimum((f - left) / (centre - left), (right - f) / (right - centre))
    return 2 / (right - left) * np.maximum(0, triangles)  # (F, M/2 + 1)


F = config.frequency_length
filters = mel_filters(R, F, M)
print("equal to the package's:", np.allclose(filters, spectrogram.make_mel_filters(R, F, M)))

# %% [markdown]
# The left panel shows the mel scale. The right panel shows every eighth of the 64 filters: narrow at low
# frequencies, wide at high ones, all with the same area.

# %%
figure, (left, right) = new_axes(1, 2, titles=("the mel scale", "every eighth filter"), x="frequency (kHz)")
left.plot(hertz / 1000, to_mel(hertz), color=AUDIO_COLOUR)
left.set_ylabel("mel")
right.plot(hertz / 1000, filters[::8].T, color=AUDIO_COLOUR, linewidth=1.5)
right.set_ylabel("weight (1/Hz)")
show(figure, "Left: a curve that rises linearly, then more slowly. Right: triangles that widen and sink.")

# %% [markdown]
# The power in band $j$ is the sum over all frequencies with these weights, a matrix product:
#
# $$\text{band}[t, j] = \sum_k \operatorname{filter}_j(k R / M) \, P[t, k]$$

# %%
band = P @ filters.T
print("power in mel bands:", band.shape)

# %% [markdown]
# ## Decibels
#
# The **decibel** is ten times the decimal logarithm of power; power is the square of magnitude, so this is
# also twenty times the logarithm of magnitude. Powers below $10^{-10}$ are replaced by $10^{-10}$, since 0
# has no logarithm. Then values more than 80 dB below the maximum of the clip are raised to peak − 80 dB:
#
# $$\text{dB}[t, j] = 10 \log_{10} \max(\text{band}[t, j], 10^{-10})$$
#
# $$\text{level}[t, j] = \max(\text{dB}[t, j], \; \max_{t', j'} \text{dB}[t', j'] - 80)$$
#
# Finally the levels are mapped to the interval from -1 to 1: -60 dB and less become -1, 20 dB and more
# become 1.
#
# $$y[t, j] = \operatorname{clip}\Bigl(\frac{\text{level}[t, j] - 20}{40}, \; -2, \; 0\Bigr) + 1$$


# %%
def to_decibel(power):
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibel, decibel.max() - 80)


def normalise(level):
    return np.clip((level - 20) / 40, -2, 0) + 1


print("equal to the package's:", np.allclose(to_decibel(band), spectrogram.power_to_decibel(band), atol=1e-3))
for level in (-80.0, -60.0, -20.0, 20.0):
    print(f"{level:4.0f} dB becomes {normalise(level):4.1f}")

# %% [markdown]
# ## All steps in one function
#
# `mt.log_mel_spectrogram` does all of this. The last step is dropped, as by the processor of the published
# model, so that a clip of 96 hops has 96 steps.


# %% tags=["thumbnail"]
def log_mel(a, R, F, M, hop):
    power = np.abs(stft(a, M, hop)) ** 2
    return normalise(to_decibel(power @ mel_filters(R, F, M).T))[:-1]


y = log_mel(a, R, F, M, hop)
print("shape:", y.shape)
print("equal to the package's:", np.allclose(y, mt.log_mel_spectrogram(a, R, F, M, hop), atol=1e-4))
figure = plot_spectrogram(y, config)
show(figure, "The log-mel spectrogram: harmonics as bright bands that rise and fall together over time.")

# %% [markdown]
# This is the input of TVLT: here 96 time steps with 64 mel bands each. The published model has a sample
# rate of 44,100 Hz, a window length of 2048, a hop length of 512 and 128 bands.

# %% [markdown]
# ## From a spectrogram to a waveform
#
# Two things are lost in a spectrogram. Each mel band holds a sum over frequencies: the package looks for
# powers $P$ that give the required sums. And the phase is missing. The **Griffin-Lim algorithm** begins
# with random phases. It computes a waveform from magnitudes and phases, takes the phases of the STFT of
# this waveform in place of the old ones, keeps the magnitudes, and repeats this 32 times. The frames
# overlap, so their phases must be consistent; each repetition makes them more so.

# %%
again = mt.reconstruct_waveform(y, R, M, hop)
side_by_side(play(a, R, "The original"), play(again, R, "Computed from the spectrogram"))

# %% [markdown]
# Pitch, loudness and rhythm are the same; a slight roughness comes from errors of the phases. The left
# panel shows that the two waveforms are not in phase. The right panel shows the mean difference of their
# spectrograms in each step: small except at the click and at both ends.

# %%
figure, (left, right) = new_axes(1, 2, titles=("20 milliseconds of both", "difference of the spectrograms"))
milliseconds = (part - part[0]) / R * 1000
left.plot(milliseconds, a[part], color=AUDIO_COLOUR, label="original")
left.plot(milliseconds, again[part], "--", color=NEUTRAL_COLOUR, label="from the spectrogram")
left.set(xlabel="time (ms)", ylabel="amplitude", ylim=(-0.35, 0.65))
left.legend(loc="upper right")
difference = 40 * np.abs(log_mel(again, R, F, M, hop) - y).mean(axis=1)  # 1 is 40 dB
right.plot(np.arange(len(difference)) * hop / R, difference, color=AUDIO_COLOUR)
right.set(xlabel="time (s)", ylabel="mean difference (dB)", ylim=(0, 12))
print(f"median over all steps: {np.median(difference):.0f} dB")
show(figure, "Left: two waveforms that are not in phase. Right: a curve of a few decibels over time.")

# %% [markdown]
# ## Why TVLT needs no speech recognition
#
# Many models of video and speech take text, so the speech must be transcribed first, usually by **automatic
# speech recognition (ASR)**. The TVLT paper measured both ways on clips of 8 frames and 20 seconds of
# audio: 2890 ms for ASR and 26 ms for the model that takes its text, against 60 ms for the spectrogram and
# 43 ms for TVLT.

# %%
with_text, without = (2890, 26), (60, 43)
figure, (axes,) = new_axes(size=(11, 2.4), x="time for a clip of 20 s (ms)")
for row, (first, second) in enumerate((without, with_text)):
    axes.barh(row, first, color=AUDIO_COLOUR, label="spectrogram or ASR" if row else None)
    axes.barh(row, second, left=first, color=NEUTRAL_COLOUR, label="model" if row else None)
axes.set_yticks((0, 1), ("TVLT", "with ASR"))
axes.legend()
print(f"{sum(with_text)} ms against {sum(without)} ms: {sum(with_text) / sum(without):.1f} times as fast")
show(figure, "Two bars: with speech recognition 2916 ms, nearly all of it recognition; TVLT 103 ms.")

# %% [markdown]
# TVLT has 88 million parameters; the ASR model and the model that takes its text have 283 million
# together. And a transcript does not contain who speaks, in which tone, or any sound other than speech;
# the spectrogram does. In our small world there is no speech at all.

# %% [markdown]
# ## Try it
#
# **1. Code. How many steps does a click of a single sample fill, and how does this depend on the window
# length? Predict it for windows of 1024 and 4096 samples with a hop of 256, then run `stft` on zeros with a
# single 1.**
#
# <details><summary>Answer</summary>
#
# A frame contains the click if its centre is less than $M / 2$ samples away, so $M / \text{hop}$ frames do:
# 4 and 16. A long window separates frequencies well and times badly; a short one does the opposite.
#
# ```python
# click = np.zeros(16000)
# click[8000 + 64] = 1.0  # not at the centre of a frame
# filled = [np.count_nonzero(np.abs(stft(click, size, 256)).max(axis=1) > 1e-6) for size in (1024, 4096)]
# assert filled == [4, 16]
# ```
#
# </details>

# %% [markdown]
# **2. Code. By how much do the values of the spectrogram change if the amplitude is halved? Predict, then
# compute it.**
#
# <details><summary>Answer</summary>
#
# Half the amplitude is a quarter of the power, $10 \log_{10} 4 \approx 6.02$ dB less. The maximum of the
# clip also decreases by this, and so does the limit 80 dB below it. So every value decreases by $6.02 / 40
# = 0.15$, except where -1 is reached.
#
# ```python
# quieter = log_mel(a / 2, R, F, M, hop)
# assert np.allclose((y - quieter)[quieter > -1], 10 * np.log10(4) / 40, atol=1e-3)
# ```
#
# </details>

# %% [markdown]
# **3. Code. Change the processing: put the edges of the filters at equal distances in hertz instead of mel.
# How many of the 64 bands are then centred below 1000 Hz, and how many are with mel? Predict, then count.**
#
# <details><summary>Answer</summary>
#
# The edges are $8000 / 65 \approx 123$ Hz apart, so the first 8 centres are below 1000 Hz. In mel the
# distance is $45.25 / 65 \approx 0.70$, and 1000 Hz is 15 mel: 21 centres. Speech and music have most of
# their power at these low frequencies, so with equal distances in hertz most bands would be spent on
# little.
#
# ```python
# equal = np.linspace(0, R / 2, F + 2)[1:-1]
# mel = to_hertz(np.linspace(0, to_mel(R / 2), F + 2))[1:-1]
# assert (equal < 1000).sum() == 8 and (mel < 1000).sum() == 21
# ```
#
# </details>

# %% [markdown]
# **4. Code. Sample a cosine of 9000 Hz at 16,000 Hz. Where is the peak of its spectrum?**
#
# <details><summary>Answer</summary>
#
# At 7000 Hz. Only frequencies up to half the sample rate, the **Nyquist frequency**, can be represented.
# Between two samples the phase of 9000 Hz advances by $9/16$ of a period, which cannot be told from
# $-7/16$, one period less, and a cosine is the same for both signs of its angle. This is called
# **aliasing**. Therefore the last mel band ends at half the sample rate.
#
# ```python
# n = np.arange(16000)
# tones = [np.cos(2 * np.pi * f * n / R) for f in (9000, 7000)]
# assert np.allclose(*tones, atol=1e-6)
# assert np.abs(stft(tones[0], M, hop))[10].argmax() * R / M == 7000
# ```
#
# </details>

# %% [markdown]
# **5. A pure tone has one frequency. Why does its log-mel spectrogram show several bands?**
#
# <details><summary>Answer</summary>
#
# The window spreads it over a few frequencies of the STFT, each of these lies in two overlapping mel bands,
# and decibels also show what is a thousand times weaker. `plot_spectrogram(log_mel(np.sin(2 * np.pi * 440 *
# np.arange(24576) / R), R, F, M, hop), config)` draws it.
#
# </details>

# %% [markdown]
# ## Recap
#
# The waveform is cut into overlapping frames, which are multiplied by a window. The Fourier transform gives
# the power at each frequency, the mel filter bank sums it in bands of equal width for our perception, and
# the logarithm compresses the range. The result, scaled to the interval from -1 to 1, is the log-mel
# spectrogram, an array of shape `(S, F)`. The phase is not in it.

# %% [markdown]
# ## References
#
# - J. B. Allen and L. R. Rabiner, *A unified approach to short-time Fourier analysis and synthesis*, 1977,
#   [doi:10.1109/PROC.1977.10770](https://doi.org/10.1109/PROC.1977.10770).
# - S. S. Stevens, J. Volkmann and E. B. Newman, *A scale for the measurement of the psychological magnitude
#   pitch*, 1937, [doi:10.1121/1.1915893](https://doi.org/10.1121/1.1915893): the mel scale.
# - D. W. Griffin and J. S. Lim, *Signal estimation from modified short-time Fourier transform*, 1984,
#   [doi:10.1109/TASSP.1984.1164317](https://doi.org/10.1109/TASSP.1984.1164317).
# - B. McFee et al., *librosa: audio and music signal analysis in Python*, 2015,
#   [doi:10.25080/Majora-7b98e3ed-003](https://doi.org/10.25080/Majora-7b98e3ed-003): the same filters.

# %% [markdown]
# ## Where to go on
#
# [02](02_patches.ipynb) cuts spectrograms and frames into the patches that the transformer takes. The code
# is in [spectrogram.py](../minitvlt/signals/spectrogram.py) and, for the inverse, in
# [inversion.py](../minitvlt/signals/inversion.py). All notebooks are in the [overview](README.md).
