# %% [markdown]
# # 01 · From a sound to a picture
#
# A microphone gives a long row of numbers. TVLT looks at a picture instead: time from left to right, pitch
# from low to high, brightness for loudness. This notebook makes that picture step by step, and turns it back
# into a sound.
#
# **You will be able to** cut a wave into windows, find the frequencies in each, sort them as an ear does,
# write loudness in decibels, say what is lost on the way, and say why TVLT needs no speech recogniser.
#
# **Time to run:** about fifteen seconds. **Before this:** sums, sines and cosines; [00](00_quickstart.ipynb)
# for the clips.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## A wave
#
# We take a clip of the singing shapes, filmed with a better microphone than the small model has. `x` holds
# one number for each sample: how far the air was pushed at that moment, where 1 is as far as the file can
# say. There are `R` samples in a second.

# %%
import numpy as np

from helpers.notebook import play, show, show_source, side_by_side

config = mt.Config.tiny(
    sample_rate=16000, window_length=1024, hop_length=256, spectrogram_length=96, frequency_length=64
)
_, waveforms, labels = mt.ShapesWorld(config).draw_clips(np.random.default_rng(441), 1)
x, R = waveforms[0], config.sample_rate
play(x, R, f"A clip of {len(x) / R:.2f} seconds: {len(x)} samples")

# %% [markdown]
# The left picture shows all of `x`; one sees where it is loud, and little else. The right picture shows a
# fiftieth of a second of it. The wave repeats itself, and how often it does so in a second is the pitch that
# we hear.

# %%
from helpers.diagrams import new_axes, plot_spectrogram, use_style
from minitvlt.views.figures import AUDIO_COLOUR, NEUTRAL_COLOUR

use_style()
figure, (left, right) = new_axes(1, 2, titles=("the whole clip", "20 milliseconds"), y="amplitude")
left.plot(np.arange(len(x)) / R, x, color=AUDIO_COLOUR, linewidth=0.3)
left.set_xlabel("time (s)")
part = np.arange(3200, 3520)
right.plot((part - part[0]) / R * 1000, x[part], color=AUDIO_COLOUR)
right.set_xlabel("time (ms)")
show(
    figure,
    "Left: the whole wave swells and fades again and again. Right: 20 milliseconds, a repeating shape.",
)

# %% [markdown]
# ## Windows
#
# Pitch changes over time, so we ask for it again and again, each time in a short stretch. Every `h` samples
# (the hop) we take `M` of them (the window length), so that neighbouring stretches overlap. Stretch number
# $t$ is centred on the sample $t h$. Its samples are $x[t h + m - M/2]$, where $m$ runs from 0 to $M - 1$.
# Beyond its ends the wave goes on as in a mirror.

# %%
from minitvlt.signals.spectrogram import frame_waveform, make_window

M, h = config.window_length, config.hop_length
stretches = frame_waveform(x, M, h)
t = 50
print("stretches:", stretches.shape, "  number 50 is cut where the formula says:")
print(np.array_equal(stretches[t], x[t * h - M // 2 : t * h + M // 2]))

# %% [markdown]
# A stretch begins and ends in the middle of the wave, and such a cut sounds like a click. So each stretch is
# faded in and out, by multiplying it with a window, here that of Hann:
#
# $$w[m] = \tfrac12 - \tfrac12 \cos\frac{2\pi m}{M}$$
#
# This is how the package says it.

# %%
show_source(make_window)

# %% [markdown]
# The left picture shows one stretch, as it is cut (grey) and faded (orange). The right one shows three
# neighbouring windows: where one fades out, the next have faded in, so that no moment is lost.

# %%
w = make_window(M)
figure, (left, right) = new_axes(1, 2, titles=("one stretch, cut and faded", "three windows"), x="time (ms)")
time = np.arange(M) / R * 1000  # in milliseconds
left.plot(time, stretches[t], color=NEUTRAL_COLOUR, linewidth=0.7, label="cut")
left.plot(time, stretches[t] * w, color=AUDIO_COLOUR, linewidth=1.2, label="faded")
left.set_ylabel("amplitude")
left.set_ylim(-0.35, 0.5)
left.legend(loc="upper right")
for shift in range(3):
    right.plot(time + shift * h / R * 1000, w, color=AUDIO_COLOUR, alpha=1 - 0.3 * shift)
right.set_ylabel("weight")
show(figure, "Left: a stretch of the wave, cut and faded. Right: three bell-shaped windows that overlap.")

# %% [markdown]
# ## Frequencies
#
# Which pitches sound in a stretch? The Fourier transform compares it with waves of every frequency. Frequency
# number $k$ makes $k$ turns in a window, which is $k R / M$ turns a second (hertz), and $k$ runs from 0 to
# $M / 2$:
#
# $$X[t, k] = \sum_{m=0}^{M-1} w[m] \; x[t h + m - M/2] \; e^{-2\pi i k m / M}$$
#
# $X[t, k]$ is a complex number. Its magnitude says how much there is of frequency $k$, its angle where in its
# turn that wave stands. All stretches together are the short-time Fourier transform, STFT.

# %%
from minitvlt.signals.spectrogram import compute_stft

X = compute_stft(x, M, h)
k, m = 51, np.arange(M)
by_hand = np.sum(w * x[t * h + m - M // 2] * np.exp(-2j * np.pi * k * m / M))
print("shape:", X.shape, "  frequency 51 is", k * R / M, "Hz")
print("the sum, and the package:", np.round(by_hand, 2), np.round(X[t, k], 2))

# %% [markdown]
# The next picture shows what fading is good for. The grey line is the spectrum of the stretch as it was cut:
# the click at its ends spreads over all frequencies. The orange line is that of the faded stretch: a few
# clear peaks, the harmonics of the voice. The vertical scale is in decibels; 20 decibels less is a tenth of
# the amplitude.

# %%
figure, (axes,) = new_axes(x="frequency (kHz)", y="level (dB)")
hertz = np.arange(M // 2 + 1) * R / M
cut = np.fft.rfft(stretches[t])
axes.plot(hertz / 1000, 20 * np.log10(np.abs(cut) + 1e-6), color=NEUTRAL_COLOUR, linewidth=1, label="cut")
axes.plot(hertz / 1000, 20 * np.log10(np.abs(X[t]) + 1e-6), color=AUDIO_COLOUR, linewidth=2, label="faded")
axes.set(xlim=(0, 4), ylim=(-80, 50))
axes.legend()
show(figure, "Two spectra of a stretch: the cut one is blurred, the faded one has a few sharp peaks.")

# %% [markdown]
# ## Power
#
# The ear hardly hears the angle, so we keep the squared magnitude, the power:
#
# $$P[t, k] = |X[t, k]|^2$$
#
# Below, time runs to the right and frequency upwards. On the left brightness is the power itself: only the
# loudest spots show. On the right it is the logarithm of the power, and the quiet harmonics appear. An ear
# hears in this way, too: ten times the power sounds about twice as loud, not ten times.

# %%
from minitvlt.signals.spectrogram import compute_power

P = compute_power(X)
figure, axes = new_axes(1, 2, titles=("power", "logarithm of power"), x="time (s)", y="frequency (kHz)")
for one, picture, darkest in zip(axes, (P, 10 * np.log10(P + 1e-10)), (0, -40), strict=True):
    one.imshow(picture.T, origin="lower", aspect="auto", vmin=darkest, extent=(0, len(x) / R, 0, R / 2000))
show(figure, "The same sound twice: as power, nearly black; as its logarithm, with all its harmonics.")

# %% [markdown]
# ## Pitch as we hear it
#
# From 100 to 200 Hz is an octave, and from 4000 to 8000 Hz is one as well. The ear gives both about the same
# room, the Fourier transform gives the second one forty times as much. The mel scale is a ruler made for
# ears. Slaney's version is straight up to 1000 Hz and logarithmic above; with $f$ in hertz,
#
# $$\operatorname{mel}(f) = \begin{cases}
# 3 f / 200 & f < 1000 \\ 15 + 27 \ln(f / 1000) / \ln 6.4 & f \ge 1000
# \end{cases}$$

# %%
from minitvlt.signals.spectrogram import hertz_to_mel, mel_to_hertz

for f in (200.0, 1000.0, 6400.0):
    mel = hertz_to_mel(np.array(f))
    print(f"{f:6.0f} Hz is {mel:5.2f} mel, and back {mel_to_hertz(mel):6.0f} Hz")

# %% [markdown]
# The scale is cut into `F` overlapping pieces of equal width in mel. Each piece $j$ has a left end $l$, a
# centre $c$ and a right end $r$, in hertz, and weighs a frequency $f$ by a triangle over it, of area one:
#
# $$B[j, f] = \frac{2}{r - l} \max\Bigl(0, \min\Bigl(\frac{f - l}{c - l}, \frac{r - f}{r - c}\Bigr)\Bigr)$$
#
# The power in a filter is the sum of the powers of all frequencies, weighted so:
#
# $$E[t, j] = \sum_k B[j, k R / M] \, P[t, k]$$

# %%
from minitvlt.signals.spectrogram import make_mel_filters

F = config.frequency_length
B = make_mel_filters(R, F, M)
E = P @ B.T
print("filters:", B.shape, "  power in them:", E.shape)
print("largest difference from the sum:", f"{np.max(np.abs(E - P @ B.T)):.0e}")

# %% [markdown]
# On the left, the ruler: equal steps upwards are equal steps for an ear. On the right, every eighth of the 64
# filters: narrow and high where the ear tells pitches well apart, wide and low where it does not.

# %%
figure, (left, right) = new_axes(1, 2, titles=("the mel scale", "every eighth filter"), x="frequency (kHz)")
left.plot(hertz / 1000, hertz_to_mel(hertz), color=AUDIO_COLOUR)
left.set_ylabel("mel")
right.plot(hertz / 1000, B[::8].T, color=AUDIO_COLOUR, linewidth=1.5)
right.set_ylabel("weight (1/Hz)")
show(figure, "Left: a curve that rises straight, then ever slower. Right: triangles that widen and sink.")

# %% [markdown]
# ## Decibels, and numbers between -1 and 1
#
# Power is written in decibels. What is weaker than $10^{-10}$ counts as that, and then what lies more than 80
# dB below the clip's loudest spot is raised to there, since nobody hears it beside the loud:
#
# $$D[t, j] = 10 \log_{10} \max(E[t, j], 10^{-10})$$
#
# $$L[t, j] = \max(D[t, j], \; \max_{t', j'} D[t', j'] - 80)$$
#
# The model likes numbers between -1 and 1. So -60 dB and all below become -1, which is silence, and 20 dB and
# all above become 1:
#
# $$y[t, j] = \operatorname{clip}\Bigl(\frac{L[t, j] - 20}{40}, \; -2, \; 0\Bigr) + 1$$

# %%
from minitvlt.signals.spectrogram import normalise_decibel, power_to_decibel

D = 10 * np.log10(np.maximum(E, 1e-10))
L = np.maximum(D, D.max() - 80)
y = np.clip((L - 20) / 40, -2, 0) + 1
print("as the package says:", np.allclose(y, normalise_decibel(power_to_decibel(E)), atol=1e-5))
for level in (-80.0, -60.0, -20.0, 20.0):
    print(f"{level:4.0f} dB becomes {normalise_decibel(np.array(level)):4.1f}")

# %% [markdown]
# ## The whole way in one call
#
# `log_mel_spectrogram` does all of this. It drops the last step, as the published model's processor does, so
# that a clip of 96 hops has 96 steps.

# %% tags=["thumbnail"]
picture = mt.log_mel_spectrogram(x, R, F, M, h)
print("shape:", picture.shape, "  the steps above give the same:", np.allclose(picture, y[:-1], atol=1e-5))
figure = plot_spectrogram(picture, config)
show(figure, "The log-mel spectrogram: harmonics as bright bands that rise and fall together over time.")

# %% [markdown]
# This is what TVLT sees of a sound: 96 steps in time, 64 bands of pitch, one number for each. The published
# model sees more of it: at 44,100 samples a second, with windows of 2048 samples, a hop of 512 and 128 bands.

# %% [markdown]
# ## The way back
#
# Can the picture be heard? Two things were lost. Each mel filter added up its frequencies, so we only know
# their sum: the package looks for powers that fill the filters as asked. And all angles are gone: the package
# guesses them at random, makes a wave of them, takes the angles of that wave's own STFT, and repeats this 32
# times (Griffin and Lim, 1984). Neighbouring windows overlap, so their angles must fit each other; that is
# what makes the guesses better.

# %%
again = mt.reconstruct_waveform(picture, R, M, h)
side_by_side(play(x, R, "The original"), play(again, R, "From the picture alone"))

# %% [markdown]
# Pitch, loudness and rhythm are back; a slight roughness is what the guessed angles leave. The wave itself is
# another one, as the left picture shows: the two do not even swing in step. Their spectrograms agree, as the
# right picture shows by the difference of the two in decibels, step by step.

# %%
figure, (left, right) = new_axes(1, 2, titles=("20 milliseconds of both", "difference of the pictures"))
left.plot((part - part[0]) / R * 1000, x[part], color=AUDIO_COLOUR, label="original")
left.plot(
    (part - part[0]) / R * 1000, again[part], color=NEUTRAL_COLOUR, linestyle="--", label="from the picture"
)
left.set(xlabel="time (ms)", ylabel="amplitude", ylim=(-0.35, 0.65))
left.legend(loc="upper right")
difference = 40 * np.abs(mt.log_mel_spectrogram(again, R, F, M, h) - picture).mean(axis=1)
right.plot(np.arange(len(difference)) * h / R, difference, color=AUDIO_COLOUR)
right.set(xlabel="time (s)", ylabel="mean difference (dB)", ylim=(0, 12))
show(figure, "Left: two waves that do not swing in step. Right: their spectrograms differ by a few decibels.")

# %% [markdown]
# ## Why TVLT needs no recogniser
#
# Other models of video and speech read text, so somebody has to write down what is said, usually a speech
# recogniser. The paper measured both ways on clips of 8 frames and 20 seconds of sound. With a recogniser:
# 2890 ms for recognition and 26 ms for the model. TVLT: 60 ms for the spectrogram and 43 ms for the model.

# %%
with_text, with_sound = (2890, 26), (60, 43)
figure, (axes,) = new_axes(size=(11, 2.4), x="time for a clip of 20 s (ms)")
for row, (first, second) in enumerate((with_sound, with_text)):
    axes.barh(row, first, color=AUDIO_COLOUR, label="sound to picture, or to text" if row else None)
    axes.barh(row, second, left=first, color=NEUTRAL_COLOUR, label="the model itself" if row else None)
axes.set_yticks((0, 1), ("TVLT", "with recogniser"))
axes.legend()
print(
    f"{sum(with_text)} ms against {sum(with_sound)} ms: {sum(with_text) / sum(with_sound):.1f} times as fast"
)
show(figure, "Two bars: with a recogniser 2916 ms, nearly all of it recognition; TVLT 103 ms.")

# %% [markdown]
# It is smaller, too: 88 million parameters instead of 283 million, 0.31 times as many. And a recogniser
# throws away what it has no letters for: who speaks, how, and every sound that is no speech. In this little
# world, that would be everything.

# %% [markdown]
# ## Try it
#
# **1. What changes in the picture if the window is four times as long?**
#
# <details><summary>Answer</summary>
#
# Set `window_length=4096` in the first cell of code. Pitches get sharper and moments blurrier: the click
# smears out over the length of a window. With 256 samples it is the other way round: the harmonics run into
# each other, and the click becomes a thin line.
#
# </details>

# %% [markdown]
# **2. Why does the picture of a sound at half its amplitude look so similar?**
#
# <details><summary>Answer</summary>
#
# Half the amplitude is a quarter of the power, $10 \log_{10} 4 \approx 6$ dB less: every number shrinks by
# $6 / 40 = 0.15$, except where it was silent already. Try `mt.log_mel_spectrogram(x / 2, R, F, M, h)`.
#
# </details>

# %% [markdown]
# **3. Which frequencies can a sound at 16,000 samples a second hold at all?**
#
# <details><summary>Answer</summary>
#
# Up to half the rate, 8000 Hz: a faster wave would turn more than halfway between two samples, and look like
# a slower one. So the last mel filter ends there.
#
# </details>

# %% [markdown]
# **4. What happens to a picture that goes to sound and back to a picture, twice?**
#
# <details><summary>Answer</summary>
#
# The second round changes it less than the first, 0.7 dB on average instead of 2.0: most of what the way back
# cannot keep is gone after one turn. Compute `mt.log_mel_spectrogram(mt.reconstruct_waveform(...))` in a loop
# and look at the differences.
#
# </details>

# %% [markdown]
# **5. A pure tone has one frequency. Why does its picture show several bands?**
#
# <details><summary>Answer</summary>
#
# The window blurs it over a few Fourier frequencies, each mel filter overlaps its neighbours, and decibels
# show what is a thousand times weaker.
# `mt.log_mel_spectrogram(np.sin(2 * np.pi * 440 * np.arange(R) / R), R, F, M, h)` makes one to look at.
#
# </details>

# %% [markdown]
# ## Recap
#
# A wave is cut into overlapping windows and faded; the Fourier transform says how much of each frequency is
# in a window; the power of these is collected by filters that are spaced as an ear hears; the logarithm makes
# quiet things visible; and a shift and a scale bring all of it to numbers between -1 and 1. What comes out is
# a picture, and everything that can read pictures can now listen.

# %% [markdown]
# ## Where to go on
#
# [02](02_patches.ipynb) cuts this picture, and the frames, into the patches that the transformer reads. The
# functions of this notebook are in [spectrogram.py](../minitvlt/signals/spectrogram.py) and, for the way
# back, in [inversion.py](../minitvlt/signals/inversion.py). All notebooks are in the [overview](README.md).
