"""Wrong solutions of assignment 5 that students write, and what a tutor would say about each."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import minitvlt as mt
from minitvlt.training.optimizer import AdamWState, decays

from .blanks import Mistake


def with_cause(table: dict[Callable[..., Any], str]) -> tuple[Mistake, ...]:
    """List mistakes by function and cause."""
    return tuple(Mistake(function, cause) for function, cause in table.items())


def by_position(table: dict[Callable[..., Any], str]) -> tuple[Mistake, ...]:
    """The same for functions whose arguments have short names, in the order of the signature."""

    def rename(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **named: function(*named.values())

    return with_cause({rename(function): cause for function, cause in table.items()})


# ---- sum_squared_error(prediction, target, is_hidden)


def _error(prediction, target, is_hidden):
    return np.mean((prediction - target) ** 2, axis=-1)


ERROR = by_position(
    {
        lambda p, t, h: np.sum(_error(p, t, h)): (
            "All patches count, also the visible ones. Only patches where is_hidden is True do: set the "
            "error of the others to 0 before the sum."
        ),
        lambda p, t, h: np.sum(np.where(h, 0.0, _error(p, t, h))): (
            "The visible patches are summed, not the hidden ones: the mask is inverted. is_hidden is True "
            "where a patch counts."
        ),
        lambda p, t, h: np.sum(np.where(h, _error(p, t, h), 0.0)) / max(1, np.sum(h)): (
            "This is the mean over hidden patches. The function returns their sum; the caller divides it by"
            " the number of hidden patches."
        ),
        lambda p, t, h: np.mean(_error(p, t, h)[h]): (
            "This is the mean over hidden patches (NaN where nothing is hidden). The function returns their"
            " sum, and the caller divides."
        ),
        lambda p, t, h: np.mean(np.where(h, _error(p, t, h), 0.0)): (
            "This is the mean over all patches, hidden or not. The function returns the sum over hidden "
            "patches."
        ),
        lambda p, t, h: np.mean(np.sum(np.where(h, _error(p, t, h), 0.0), axis=1)): (
            "The sums of the clips are averaged over the batch. The function returns the sum over all clips."
        ),
        lambda p, t, h: np.sum(
            np.sum(np.where(h, _error(p, t, h), 0.0), axis=1) / np.maximum(np.sum(h, axis=1), 1)
        ): (
            "The mean over the hidden patches of each clip is taken, and these means are summed. Sum over "
            "all hidden patches: every patch has the same weight."
        ),
        lambda p, t, h: np.sum(np.where(h, _error(p, t, h), 0.0)) / max(np.mean(h), 1e-9): (
            "The sum is divided by the share of hidden patches. The function returns the sum itself."
        ),
        lambda p, t, h: np.sum(np.mean((np.where(h[..., None], p, 0) - t) ** 2, axis=-1)): (
            "Visible patches of the prediction are set to 0, but their targets still count. Set the error "
            "of visible patches to 0 instead."
        ),
        lambda p, t, h: np.sum(np.mean((p - np.where(h[..., None], t, 0)) ** 2, axis=-1)): (
            "Visible patches of the target are set to 0, but their predictions still count. Set the error "
            "of visible patches to 0 instead."
        ),
        lambda p, t, h: np.sum(np.where(h, np.minimum(_error(p, t, h), 1), 0.0)): (
            "Errors above 1 are cut off. Large errors count as they are."
        ),
        lambda p, t, h: np.sum(np.where(h, np.max((p - t) ** 2, axis=-1), 0.0)): (
            "The largest squared error of each patch is taken. It has to be the mean over its values."
        ),
        lambda p, t, h: np.sum(np.where(h, _error(p, t, h), 0.0), axis=-1): (
            "There is one sum for each clip. The function returns one number: the sum over clips and patches."
        ),
        lambda p, t, h: np.where(h, _error(p, t, h), 0.0): (
            "These are the errors of single patches. The function returns one number: their sum."
        ),
        lambda p, t, h: np.sum(np.where(h[..., None], (p - t) ** 2, 0.0)): (
            "The squared errors of the values of a patch are summed. A patch counts with the mean over its "
            "values: np.mean(..., axis=-1)."
        ),
        lambda p, t, h: np.mean(np.where(h[..., None], (p - t) ** 2, 0.0)): (
            "This is the mean over all values of all patches, hidden or not. First the mean over the values"
            " of each patch, then the sum over hidden patches."
        ),
        lambda p, t, h: np.sum(np.where(h, np.mean(np.abs(p - t), axis=-1), 0.0)): (
            "This is the absolute error. The differences have to be squared."
        ),
        lambda p, t, h: np.sum(np.where(h, np.sqrt(_error(p, t, h)), 0.0)): (
            "The square root of the error of each patch is summed. The loss is the squared error: leave out"
            " the root."
        ),
        lambda p, t, h: np.sqrt(np.sum(np.where(h, _error(p, t, h), 0.0))): (
            "This is the square root of the sum. The loss is the squared error: leave out the root."
        ),
        lambda p, t, h: np.sum(np.where(h, np.mean(p - t, axis=-1) ** 2, 0.0)): (
            "The mean of the differences is squared, so that errors of different signs cancel. Square each "
            "difference first, then take the mean."
        ),
        lambda p, t, h: np.sum(np.where(h, np.mean(p - t, axis=-1), 0.0)): (
            "The differences are not squared, so that errors of different signs cancel."
        ),
        lambda p, t, h: np.sum(np.where(h, np.mean(p**2 - t**2, axis=-1), 0.0)): (
            "These are differences of squares. The loss is the square of the difference."
        ),
        lambda p, t, h: np.sum(np.where(h, np.mean((p + t) ** 2, axis=-1), 0.0)): (
            "Prediction and target are added. The error is their difference."
        ),
        lambda p, t, h: np.sum(np.where(h[:1], _error(p, t, h), 0.0)): (
            "The mask of the first clip is used for all clips of the batch."
        ),
        lambda p, t, h: np.sum(np.where(h, _error(p, t, h), 0.0)[:1]): (
            "Only the first clip of the batch counts. The sum runs over all clips."
        ),
        lambda p, t, h: np.sum(np.where(h, np.var(p - t, axis=-1), 0.0)): (
            "This is the variance of the differences: their mean is subtracted. The loss is the mean of "
            "their squares."
        ),
        lambda p, t, h: np.sum(np.where(h, np.mean((p - _normalise(t)) ** 2, axis=-1), 0.0)): (
            "The target is normalised patch by patch. Here the raw values are the target."
        ),
    }
)


def _normalise(t):
    return (t - t.mean(axis=-1, keepdims=True)) / np.sqrt(t.var(axis=-1, keepdims=True) + 1e-6)


# ---- binary_cross_entropy(logits, truth)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _softplus(z):
    return np.maximum(z, 0) + np.log(1 + np.exp(-np.abs(z)))


def _naive(z, y):
    p = _sigmoid(z)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def _saturated(z, y, small):
    p = np.clip(_sigmoid(z), small, 1 - small)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


SATURATED = (
    "Correct for small logits. For large ones the probability is cut off at a small number or at 1, so the "
    "loss stops growing. Write it with max(z, 0) and exp(-|z|) instead: then nothing has to be cut off."
)
NAIVE = (
    "Correct for small logits, but it overflows for large ones: the exponential becomes infinite, or the "
    "logarithm gets 0. Use max(z, 0) and exp(-|z|), which is at most 1."
)

ENTROPY = by_position(
    {
        lambda z, y: _naive(z, 1 * y): NAIVE,
        lambda z, y: np.where(y, -np.log(_sigmoid(z)), -np.log(1 - _sigmoid(z))): NAIVE,
        lambda z, y: np.log(1 + np.exp(z)) - z * y: NAIVE,
        lambda z, y: np.log(1 + np.exp(-z)) + z * (1 - y): NAIVE,
        lambda z, y: np.log(1 + np.exp(np.where(y, -z, z))): NAIVE,
        **{
            (lambda z, y, small=small: _saturated(z, 1 * y, small)): SATURATED
            for small in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16)
        },
        **{
            (
                lambda z, y, small=small: (
                    -(y * np.log(_sigmoid(z) + small) + (1 - y) * np.log(1 - _sigmoid(z) + small))
                )
            ): (
                "A small number is added inside the logarithm, which changes the loss, most of all for "
                "large logits. Write it with max(z, 0) and exp(-|z|): then nothing has to be added."
            )
            for small in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
        },
        lambda z, y: np.mean(_softplus(z) - z * y): (
            "This is the mean over the pairs. The function returns one loss for each pair, in the shape of "
            "the logits."
        ),
        lambda z, y: np.sum(_softplus(z) - z * y): (
            "This is the sum over the pairs. The function returns one loss for each pair, in the shape of "
            "the logits."
        ),
        lambda z, y: z * y - _softplus(z): (
            "The sign is wrong: this is the logarithm of the probability. The loss is minus that, and never"
            " below 0."
        ),
        lambda z, y: _softplus(z) - z * (1 - y): (
            "Truth and logits are confused: pairs that match are treated as pairs that do not. y is 1 where"
            " truth is True."
        ),
        lambda z, y: _softplus(z): (
            "The term z·y is missing: pairs that match get the loss of pairs that do not."
        ),
        lambda z, y: -y * np.log(_sigmoid(z)): (
            "Only pairs that match have a loss: the second term, (1 - y) log(1 - σ(z)), is missing."
        ),
        lambda z, y: np.log(1 + np.exp(-np.abs(z))) - z * y: (
            "The term max(z, 0) is missing, so the loss is wrong for positive logits."
        ),
        lambda z, y: z - z * y + np.log(1 + np.exp(-np.abs(z))): (
            "z instead of max(z, 0): the loss is wrong for negative logits."
        ),
        lambda z, y: np.maximum(z, 0) - z * y + np.log(1 + np.exp(-z)): (
            "exp(-z) instead of exp(-|z|): the loss is wrong for negative logits, and overflows for large "
            "ones."
        ),
        lambda z, y: np.maximum(z, 0) - z * y + np.log(1 + np.exp(np.abs(z))): (
            "exp(|z|) instead of exp(-|z|)."
        ),
        lambda z, y: np.maximum(z, 0) - z * y + np.exp(-np.abs(z)): (
            "The logarithm is missing: log(1 + exp(-|z|))."
        ),
        lambda z, y: np.maximum(z, 0) - z * y + np.log(np.exp(-np.abs(z))): (
            "log(exp(-|z|)) instead of log(1 + exp(-|z|)): the 1 is missing."
        ),
        lambda z, y: np.maximum(z, 0) + z * y + np.log(1 + np.exp(-np.abs(z))): (
            "The term z·y is added. It has to be subtracted."
        ),
        lambda z, y: np.abs(z) - z * y + np.log(1 + np.exp(-np.abs(z))): (
            "|z| instead of max(z, 0): the loss is wrong for negative logits."
        ),
        lambda z, y: (_softplus(z) - z * y) / np.log(2): (
            "The logarithm has the base 2. The loss has the natural logarithm, np.log."
        ),
        lambda z, y: (_softplus(z) - z * y) / np.log(10): (
            "The logarithm has the base 10. The loss has the natural logarithm, np.log."
        ),
        lambda z, y: -(y * np.log(z) + (1 - y) * np.log(1 - z)): (
            "The logits are taken for probabilities. The sigmoid turns a logit into a probability: 1 / (1 +"
            " exp(-z))."
        ),
        lambda z, y: _naive(2 * z, 1 * y): (
            "The logits are doubled: tanh(z) is the sigmoid of 2z. The sigmoid is 1 / (1 + exp(-z)), or (1 "
            "+ tanh(z / 2)) / 2."
        ),
        lambda z, y: _softplus(2 * z) - 2 * z * y: (
            "The logits are doubled: tanh(z) is the sigmoid of 2z. The sigmoid is 1 / (1 + exp(-z)), or (1 "
            "+ tanh(z / 2)) / 2."
        ),
        lambda z, y: _softplus(-z * y): (
            "log(1 + exp(-z·y)) is right for a y of 1 and -1. Here y is 1 and 0, so pairs that do not match"
            " all get log 2."
        ),
        lambda z, y: _softplus(np.where(y, z, -z)): (
            "The sign of the logits is wrong: log(1 + exp(-z)) is the loss of a pair that matches."
        ),
        lambda z, y: np.where(y, _softplus(-z), 0): (
            "Only pairs that match have a loss: the second term, for pairs that do not, is missing."
        ),
        lambda z, y: np.where(y, 0, _softplus(z)): (
            "Only pairs that do not match have a loss: the first term, for pairs that match, is missing."
        ),
        lambda z, y: (_sigmoid(z) - y) ** 2: (
            "This is the squared error of the probability. The cross-entropy takes its logarithm."
        ),
        lambda z, y: _sigmoid(z) - y: (
            "This is the derivative of the loss with respect to the logit, not the loss."
        ),
        lambda z, y: _softplus(_sigmoid(z)) - _sigmoid(z) * y: (
            "The sigmoid is applied twice: the formula with max(z, 0) takes logits, not probabilities."
        ),
        lambda z, y: np.maximum(0, 1 - z * (2.0 * y - 1)): (
            "This is the hinge loss of support vector machines, not the cross-entropy."
        ),
    }
)


# ---- compute_learning_rate(step, recipe)


def _cosine(share):
    return 0.5 * (1 + math.cos(math.pi * share))


def _share(k, r):
    return (k - r.warmup_steps) / max(1, r.steps - r.warmup_steps)


def _rate(after: Callable, warmup: Callable | None = None, is_warmup: Callable | None = None) -> Callable:
    """A schedule of which some parts are not the correct ones, for the highest rate 1."""
    warmup = warmup or (lambda k, r: (k + 1) / r.warmup_steps)
    is_warmup = is_warmup or (lambda k, r: k < r.warmup_steps)

    def schedule(step: int, recipe: Any) -> float:
        return recipe.learning_rate * (warmup if is_warmup(step, recipe) else after)(step, recipe)

    return schedule


def _right(k, r):
    return _cosine(_share(k, r))


RATE = with_cause(
    {
        _rate(_right, lambda k, r: k / r.warmup_steps): (
            "The warm-up is one step late: it starts at 0. Steps are counted from 0, so step 0 has the rate"
            " learning_rate · (0 + 1) / warmup_steps."
        ),
        _rate(_right, lambda k, r: (k + 1) / (r.warmup_steps + 1)): (
            "The warm-up is divided by warmup_steps + 1. Its last step, number warmup_steps - 1, has the "
            "full rate."
        ),
        _rate(_right, lambda k, r: (k + 1) / r.steps): (
            "The warm-up is divided by all steps. Divide by warmup_steps."
        ),
        _rate(_right, is_warmup=lambda k, r: k <= r.warmup_steps and r.warmup_steps): (
            "The warm-up lasts one step too long: it ends before step number warmup_steps (use <, not <=)."
        ),
        _rate(_right, is_warmup=lambda k, r: False): (
            "There is no warm-up: the first warmup_steps steps have to rise linearly."
        ),
        _rate(_right, lambda k, r: 1.0): "The rate is constant during the warm-up. It has to rise linearly.",
        _rate(_right, lambda k, r: 0.5 * (1 - math.cos(math.pi * (k + 1) / r.warmup_steps))): (
            "The warm-up rises along a cosine. It has to be linear."
        ),
        _rate(lambda k, r: _cosine(k / r.steps)): (
            "The cosine runs over all steps. It has to begin at the end of the warm-up: subtract "
            "warmup_steps from the step and from the number of steps."
        ),
        _rate(lambda k, r: _cosine((k - r.warmup_steps) / r.steps)): (
            "The progress along the cosine is divided by all steps. Divide by the steps after the warm-up, "
            "steps - warmup_steps."
        ),
        _rate(lambda k, r: _cosine(k / max(1, r.steps - r.warmup_steps))): (
            "The cosine does not begin at the end of the warm-up: subtract warmup_steps from the step."
        ),
        _rate(lambda k, r: _cosine((k + 1 - r.warmup_steps) / max(1, r.steps - r.warmup_steps))): (
            "The cosine is one step early: the first step after the warm-up has progress 0, and the rate "
            "reaches 0 only after the last step."
        ),
        _rate(lambda k, r: _cosine((k - r.warmup_steps) / max(1, r.steps - r.warmup_steps - 1))): (
            "The cosine reaches 0 in the last step. It has to reach 0 after the last step: divide by steps "
            "- warmup_steps."
        ),
        _rate(lambda k, r: 2 * _right(k, r)): (
            "The factor 1/2 is missing: after the warm-up the rate is twice as high as it should be."
        ),
        _rate(lambda k, r: math.cos(math.pi / 2 * _share(k, r))): (
            "This is a quarter of a cosine. It is half a period, moved and scaled: (1 + cos(π · progress)) "
            "/ 2."
        ),
        _rate(lambda k, r: math.cos(math.pi * _share(k, r))): (
            "The cosine goes down to -1. Add 1 and divide by 2, so that it falls from 1 to 0."
        ),
        _rate(lambda k, r: 0.5 * (1 + math.cos(2 * math.pi * _share(k, r)))): (
            "The cosine runs through a whole period: 2π instead of π."
        ),
        _rate(lambda k, r: 0.5 * (1 + math.cos(_share(k, r)))): "π is missing inside the cosine.",
        _rate(lambda k, r: 0.5 * (1 + math.cos(180 * _share(k, r)))): (
            "The angle is given in degrees: math.cos takes radians, π instead of 180."
        ),
        _rate(lambda k, r: 0.5 * (1 - math.cos(math.pi * _share(k, r)))): (
            "The cosine rises: 1 - cos instead of 1 + cos."
        ),
        _rate(lambda k, r: 0.5 * (1 + math.sin(math.pi * _share(k, r)))): "A sine instead of a cosine.",
        _rate(lambda k, r: 1 - _share(k, r)): "The rate falls linearly. It has to fall along half a cosine.",
        _rate(
            lambda k, r: 1.0
        ): "The rate is constant after the warm-up. It has to fall along half a cosine.",
        lambda step, recipe: _rate(_right)(step, recipe) / recipe.learning_rate: (
            "The factor learning_rate is missing: the highest value is 1."
        ),
        **{
            (lambda step, recipe, fixed=fixed: _rate(_right)(step, recipe) / recipe.learning_rate * fixed): (
                f"The highest rate is the fixed number {fixed:g}. It is recipe.learning_rate."
            )
            for fixed in (0.0001, 0.0003, 0.001, 0.003, 0.004, 0.01, 0.1)
        },
        _rate(lambda k, r: _cosine((k - r.warmup_steps) / (r.steps + 1 - r.warmup_steps))): (
            "The cosine is one step too long: divide by steps - warmup_steps."
        ),
        _rate(
            lambda k, r: min(1.0, _cosine(k / r.steps)),
            lambda k, r: min((k + 1) / r.warmup_steps, _cosine(k / r.steps)),
        ): (
            "The cosine begins at step 0 and is combined with the warm-up. It has to begin at the end of "
            "the warm-up."
        ),
        _rate(lambda k, r: _cosine(_share(k, r)) * (1 - 0.1) + 0.1): (
            "The rate falls to a tenth of the highest one. It has to fall to 0."
        ),
        _rate(lambda k, r: _cosine((k - r.warmup_steps) // max(1, r.steps - r.warmup_steps))): (
            "The progress is rounded to a whole number: / instead of //."
        ),
    }
)


# ---- update_adamw(state, gradient, step, recipe, decays)


def _adamw(step_shift: int = 0, **parts: Callable) -> Callable:
    """AdamW of which some parts are not the correct ones."""

    def update(state: Any, gradient: Any, step: int, recipe: Any, decays: bool = True) -> AdamWState:
        r, k, p, g = recipe, step + 1 + step_shift, state.parameters, gradient
        rate = parts.get("rate", _rate(_right))(step, r)
        m = parts.get("mean", lambda m, g, r: r.beta1 * m + (1 - r.beta1) * g)(state.mean, g, r)
        s = parts.get("square", lambda s, g, r: r.beta2 * s + (1 - r.beta2) * g * g)(state.square, g, r)
        m_hat, s_hat = parts.get("hats", _hats)(m, s, r, k)
        quotient = parts.get("quotient", lambda m, s: m / (np.sqrt(s) + 1e-8))(m_hat, s_hat)
        decay = parts.get("decay", lambda p, rate, r, decays: rate * r.weight_decay * p * decays)
        new = p - decay(p, rate, r, decays) - parts.get("scale", lambda rate: rate)(rate) * quotient
        m, s = parts.get("kept", lambda *both: both[:2])(m, s, m_hat, s_hat)
        return AdamWState(new, m, s)

    return update


def _hats(m, s, r, k):
    return m / (1 - r.beta1**k), s / (1 - r.beta2**k)


def _swap_betas(state, gradient, step, recipe, decays=True):
    return _adamw()(state, gradient, step, replace(recipe, beta1=recipe.beta2, beta2=recipe.beta1), decays)


def _couple_decay(state, gradient, step, recipe, decays=True):
    coupled = gradient + recipe.weight_decay * decays * state.parameters
    return _adamw(decay=lambda *_: 0)(state, coupled, step, recipe, decays)


def _swap_moments(state, gradient, step, recipe, decays=True):
    new = _adamw()(state, gradient, step, recipe, decays)
    return AdamWState(new.parameters, new.square, new.mean)


def _decay_late(state, gradient, step, recipe, decays=True):
    new, rate = _adamw(decay=lambda *_: 0)(state, gradient, step, recipe), _rate(_right)(step, recipe)
    return AdamWState(new.parameters * (1 - rate * recipe.weight_decay * decays), new.mean, new.square)


def _keep_moments(state, gradient, step, recipe, decays=True):
    return replace(state, parameters=_adamw()(state, gradient, step, recipe, decays).parameters)


def _fixed_betas(state, gradient, step, recipe, decays=True, beta2=0.95):
    return _adamw()(state, gradient, step, replace(recipe, beta1=0.9, beta2=beta2), decays)


def _forget_moments(state, gradient, step, recipe, decays=True):
    empty = AdamWState(state.parameters, 0 * state.mean, 0 * state.square)
    return _adamw()(empty, gradient, step, recipe, decays)


def _use_old_mean(state, gradient, step, recipe, decays=True):
    new = _adamw()(state, gradient, step, recipe, decays)
    hats = _hats(state.mean, new.square, recipe, step + 1)
    return replace(_adamw(hats=lambda *_: hats)(state, gradient, step, recipe, decays), mean=new.mean)


def _nesterov(state, gradient, step, recipe, decays=True):
    r, k = recipe, step + 1
    add = (1 - r.beta1) * gradient / (1 - r.beta1**k)
    hats = lambda m, s, *_: (r.beta1 * m / (1 - r.beta1**k) + add, s / (1 - r.beta2**k))  # noqa: E731
    return _adamw(hats=hats)(state, gradient, step, recipe, decays)


NO_DECAY_FLAG = "Weight decay is applied although decays is False. Biases, norms and tables are not decayed."

ADAMW = with_cause(
    {
        _adamw(hats=lambda m, s, r, k: (m, s)): (
            "The bias correction is missing: divide the mean by 1 - beta1^k and the square by 1 - beta2^k, "
            "with k = step + 1."
        ),
        _adamw(hats=lambda m, s, r, k: (m / (1 - r.beta1**k), s)): (
            "The bias correction of the square is missing: divide it by 1 - beta2^k, with k = step + 1."
        ),
        _adamw(hats=lambda m, s, r, k: (m, s / (1 - r.beta2**k))): (
            "The bias correction of the mean is missing: divide it by 1 - beta1^k, with k = step + 1."
        ),
        _adamw(step_shift=-1): (
            "The bias correction counts steps from 0, so the first step divides by 0. The exponent is step "
            "+ 1."
        ),
        _adamw(step_shift=1): "The exponent of the bias correction is one too large: it is step + 1.",
        _adamw(hats=lambda m, s, r, k: (m / (1 - r.beta1), s / (1 - r.beta2))): (
            "The bias correction has no exponent: divide by 1 - beta^k, with k = step + 1, not by 1 - beta."
        ),
        _adamw(hats=lambda m, s, r, k: (m / (1 - r.beta1**k), s / (1 - r.beta1**k))): (
            "The bias correction of the square has beta1. It belongs to beta2."
        ),
        _adamw(hats=lambda m, s, r, k: (m * (1 - r.beta1**k), s * (1 - r.beta2**k))): (
            "The bias correction multiplies. It has to divide by 1 - beta^k."
        ),
        _adamw(kept=lambda m, s, m_hat, s_hat: (m_hat, s_hat)): (
            "The new state holds the bias-corrected moments. The corrected ones are for this step's update "
            "alone: the state keeps the running means as they are."
        ),
        _adamw(quotient=lambda m, s: m / np.sqrt(s + 1e-8)): (
            "The small number 1e-8 stands inside the square root. It is added after the root."
        ),
        _adamw(quotient=lambda m, s: m / np.sqrt(s)): (
            "The small number 1e-8 in the denominator is missing: gradients of 0 give 0 / 0."
        ),
        **{
            _adamw(quotient=lambda m, s, small=small: m / (np.sqrt(s) + small)): (
                f"The small number in the denominator is {small:g}, not 1e-8: very small gradients give "
                f"other steps."
            )
            for small in (1e-6, 1e-7, 1e-10, 1e-12, 1e-16)
        },
        _adamw(quotient=lambda m, s: m / (s + 1e-8)): (
            "The square root is missing in the denominator: m / (√s + 1e-8)."
        ),
        _adamw(
            quotient=lambda m, s: m
        ): "The division by √s is missing: this is gradient descent with momentum.",
        _adamw(quotient=lambda m, s: -m / (np.sqrt(s) + 1e-8)): (
            "The sign of the step is wrong: parameters move along the gradient. They have to move against it."
        ),
        _adamw(square=lambda s, g, r: r.beta2 * s + (1 - r.beta2) * g): (
            "The gradient is not squared in the running mean of the square."
        ),
        _adamw(square=lambda s, g, r: r.beta2 * s + (1 - r.beta2) * np.abs(g)): (
            "The running mean of the square gets |gradient|. It has to get its square."
        ),
        _adamw(square=lambda s, g, r: r.beta2 * s + ((1 - r.beta2) * g) ** 2): (
            "The factor 1 - beta2 is squared, too. Only the gradient is."
        ),
        _adamw(mean=lambda m, g, r: r.beta1 * m + g): (
            "The factor 1 - beta1 is missing in the running mean of the gradient."
        ),
        _adamw(square=lambda s, g, r: r.beta2 * s + g * g): (
            "The factor 1 - beta2 is missing in the running mean of the square."
        ),
        _adamw(mean=lambda m, g, r: r.beta1 * m + g, square=lambda s, g, r: r.beta2 * s + g * g): (
            "The factors 1 - beta1 and 1 - beta2 are missing in the running means."
        ),
        _adamw(mean=lambda m, g, r: (1 - r.beta1) * m + r.beta1 * g): (
            "beta1 and 1 - beta1 are swapped in the running mean of the gradient."
        ),
        _adamw(square=lambda s, g, r: (1 - r.beta2) * s + r.beta2 * g * g): (
            "beta2 and 1 - beta2 are swapped in the running mean of the square."
        ),
        _adamw(
            mean=lambda m, g, r: (1 - r.beta1) * m + r.beta1 * g,
            square=lambda s, g, r: (1 - r.beta2) * s + r.beta2 * g * g,
        ): ("beta and 1 - beta are swapped in both running means: the gradient gets 1 - beta."),
        _swap_betas: "beta1 and beta2 are swapped: beta1 belongs to the mean, beta2 to the square.",
        _fixed_betas: "beta1 and beta2 are fixed numbers. Take them from the recipe.",
        lambda *args, **named: _fixed_betas(*args, **named, beta2=0.999): (
            "beta1 and beta2 are fixed numbers, 0.9 and 0.999. Take them from the recipe."
        ),
        _adamw(decay=lambda *_: 0): (
            "The weight decay is missing: the parameters are multiplied by 1 - rate · weight_decay."
        ),
        _adamw(decay=lambda p, rate, r, decays: rate * r.weight_decay * p): NO_DECAY_FLAG,
        _adamw(decay=lambda p, rate, r, decays: rate * r.weight_decay * p * (not decays)): (
            "Weight decay is applied where decays is False, and not where it is True."
        ),
        _adamw(decay=lambda p, rate, r, decays: r.weight_decay * p * decays): (
            "The weight decay is not multiplied by the learning rate of this step."
        ),
        _adamw(decay=lambda p, rate, r, decays: r.learning_rate * r.weight_decay * p * decays): (
            "The weight decay is multiplied by the highest learning rate of the recipe, not by that of this"
            " step."
        ),
        _adamw(decay=lambda p, rate, r, decays: -rate * r.weight_decay * p * decays): (
            "The weight decay has the wrong sign: it makes parameters larger."
        ),
        _adamw(decay=lambda p, rate, r, decays: rate * r.weight_decay * decays): (
            "The weight decay subtracts the same number everywhere. It is proportional to the parameter."
        ),
        _couple_decay: (
            "The weight decay is added to the gradient, so it passes through the moments (Adam with L2). In"
            " AdamW it acts on the parameters directly."
        ),
        _decay_late: (
            "The weight decay multiplies the parameters after the step. It multiplies the old parameters, "
            "before it."
        ),
        _adamw(rate=lambda step, r: r.learning_rate): (
            "The learning rate is always the highest one of the recipe. Take compute_learning_rate(step, "
            "recipe)."
        ),
        _adamw(rate=lambda step, r: _rate(_right)(step + 1, r)): (
            "The learning rate is that of the next step: compute_learning_rate counts from 0, as step does."
        ),
        _adamw(scale=lambda rate: 1.0): "The step is not multiplied by the learning rate.",
        _adamw(mean=lambda m, g, r: g): (
            "The running mean of the gradient is not used: the new mean is the gradient itself."
        ),
        _adamw(mean=lambda m, g, r: r.beta1 * m - (1 - r.beta1) * g): (
            "The gradient is subtracted from its running mean. It has to be added."
        ),
        lambda state, gradient, *rest, **named: _adamw()(state, np.clip(gradient, -1, 1), *rest, **named): (
            "Single gradients are cut off at -1 and 1. The gradient is used as it comes: it is clipped "
            "before, by its norm."
        ),
        _adamw(quotient=lambda m, s: m / (np.sqrt(np.mean(s)) + 1e-8)): (
            "One number for the whole array: the mean of the squares. Every parameter has a square of its "
            "own."
        ),
        _use_old_mean: "The step uses the old mean. Update mean and square first, then step.",
        _nesterov: (
            "The gradient enters the step once more (Nesterov). The step is the corrected mean divided by "
            "the root of the corrected square."
        ),
        _adamw(quotient=lambda m, s: np.sign(m)): (
            "The step is only the sign of the mean. It is the mean divided by the root of the square."
        ),
        _forget_moments: "The moments of the state are not used: mean and square have to go on from state.",
        _keep_moments: "The new state still has the old moments: return the new mean and square in it.",
        _swap_moments: (
            "Mean and square are swapped in the returned state: AdamWState(parameters, mean, square)."
        ),
        lambda *args, **named: _adamw()(*args, **named).parameters: (
            "Only the parameters are returned. Return AdamWState(parameters, mean, square), all three new."
        ),
        lambda *args, **named: tuple(vars(_adamw()(*args, **named)).values()): (
            "A tuple of three arrays is returned. Return AdamWState(parameters, mean, square)."
        ),
    }
)


# ---- compute_clip_scale(gradients, clip_norm)


def _norm(arrays):
    return math.sqrt(sum(float(np.sum(x * x)) for x in arrays))


def _scale(measure: Callable) -> Callable:
    return lambda gradients, clip_norm: min(1.0, clip_norm / (measure(list(gradients.values())) + 1e-12))


CLIP = with_cause(
    {
        _scale(lambda arrays: _norm(arrays) ** 2): "The square root is missing: the norm is √Σ g².",
        _scale(lambda arrays: sum(float(np.sum(np.abs(x))) for x in arrays)): (
            "This norm is the sum of absolute values. It has to be √Σ g²."
        ),
        _scale(lambda arrays: max(float(np.max(np.abs(x))) for x in arrays)): (
            "This norm is the largest absolute value. It has to be √Σ g²."
        ),
        _scale(lambda arrays: sum(_norm([x]) for x in arrays)): (
            "The norms of the arrays are added. Sum the squares over all arrays first, then take one root."
        ),
        _scale(lambda arrays: max(_norm([x]) for x in arrays)): (
            "This is the largest norm of a single array. One norm is taken over the numbers of all arrays "
            "together."
        ),
        _scale(lambda arrays: _norm(arrays[:1])): "Only the first array counts. The norm is over all arrays.",
        _scale(lambda arrays: _norm(arrays[-1:])): "Only the last array counts. The norm is over all arrays.",
        _scale(lambda arrays: _norm(arrays) / math.sqrt(sum(x.size for x in arrays))): (
            "A mean is taken instead of a sum: the norm is the root of the sum of all squares."
        ),
        _scale(lambda arrays: math.sqrt(sum(float(np.mean(x * x)) for x in arrays))): (
            "A mean of each array is taken instead of a sum: the norm is the root of the sum of all squares."
        ),
        _scale(lambda arrays: sum(_norm([x]) for x in arrays) / len(arrays)): (
            "This is the mean of the norms of the arrays. Sum the squares over all arrays first, then take "
            "one root."
        ),
        _scale(lambda arrays: _norm(x for x in arrays if x.ndim > 1)): (
            "Arrays of one axis are left out. The norm is over the numbers of all arrays, whatever their "
            "shape."
        ),
        _scale(lambda arrays: _norm(x for x in arrays if x.ndim == 1)): (
            "Arrays of several axes are left out. The norm is over the numbers of all arrays, whatever "
            "their shape."
        ),
        _scale(lambda arrays: abs(sum(float(np.sum(x)) for x in arrays))): (
            "The numbers are added without being squared, so different signs cancel."
        ),
        _scale(lambda arrays: sum(float(np.linalg.norm(x, 2)) for x in arrays)): (
            "np.linalg.norm(matrix, 2) is the largest singular value. The norm is √Σ g² over all numbers."
        ),
        _scale(lambda arrays: math.sqrt(sum(float(np.linalg.norm(x, 2)) ** 2 for x in arrays if x.ndim))): (
            "np.linalg.norm(matrix, 2) is the largest singular value. The norm is √Σ g² over all numbers."
        ),
        lambda gradients, clip_norm: clip_norm / (_norm(gradients.values()) + 1e-12): (
            "Small gradients are made larger: the number must not be above 1. Take min(1, ...)."
        ),
        lambda gradients, clip_norm: (
            np.minimum(1.0, np.divide(clip_norm, _norm(gradients.values())))
            + (0.0 if _norm(gradients.values()) else math.nan)
        ): "Gradients of 0 give 0 / 0: add a very small number such as 1e-12 to the norm.",
        lambda gradients, clip_norm: (
            min(1.0, clip_norm / _norm(gradients.values())) if _norm(gradients.values()) else 0.0
        ): "Where all gradients are 0, the scale is 0. It has to be 1: nothing is clipped.",
        lambda gradients, clip_norm: max(1.0, clip_norm / (_norm(gradients.values()) + 1e-12)): (
            "max instead of min: the number must not be above 1."
        ),
        lambda gradients, clip_norm: min(1.0, _norm(gradients.values()) / clip_norm): (
            "The quotient is upside down: it is clip_norm / norm."
        ),
        lambda gradients, clip_norm: max(1.0, _norm(gradients.values()) / clip_norm): (
            "This is what gradients would be divided by. They are multiplied: return its inverse, clip_norm"
            " / norm."
        ),
        lambda gradients, clip_norm: min(clip_norm, _norm(gradients.values())): (
            "This is the norm after clipping. Return the factor: min(1, clip_norm / norm)."
        ),
        lambda gradients, clip_norm: _norm(gradients.values()): (
            "This is the norm itself. Return the factor: min(1, clip_norm / norm)."
        ),
        lambda gradients, clip_norm: min(1.0, clip_norm / (_norm(gradients.values()) + 1.0)): (
            "1 is added to the norm. Only a very small number, such as 1e-12, keeps it from being 0."
        ),
        lambda gradients, clip_norm: min(1.0, 1.0 / (_norm(gradients.values()) + 1e-12)): (
            "clip_norm is not used: the limit is 1 here."
        ),
        lambda gradients, clip_norm: {
            n: x * min(1.0, clip_norm / (_norm(gradients.values()) + 1e-12)) for n, x in gradients.items()
        }: "The scaled gradients are returned. Return the factor alone, one number.",
        lambda gradients, clip_norm: {
            n: min(1.0, clip_norm / (_norm([x]) + 1e-12)) for n, x in gradients.items()
        }: ("There is one factor for each array. Return one number, by the norm of all arrays together."),
        lambda gradients, clip_norm: clip_norm / max(_norm(gradients.values()), 1e-12): (
            "Small gradients are made larger: the number must not be above 1. Take min(1, ...)."
        ),
    }
)


# ---- train(params, world, recipe)


def _train(**parts: Any) -> Callable:
    """The training loop of which some parts are not the correct ones."""

    def loop(params: Any, world: Any, recipe: Any) -> Any:
        compute = mt.value_and_grad(lambda tree, batch: mt.pretraining_loss(tree, batch).loss)
        params, losses = mt.map_tree(parts.get("copy", np.copy), params), []
        arrays, shared = mt.flatten(params), np.random.default_rng(recipe.seed)
        states = {name: AdamWState(array.copy(), 0 * array, 0 * array) for name, array in arrays.items()}
        update, decaying = _adamw(), parts.get("decays", decays)
        for step in range(recipe.steps):
            rng = parts.get("rng", lambda r, k, _: np.random.default_rng([r.seed, k]))(recipe, step, shared)
            clips = world.sample(rng, parts.get("count", recipe.batch_size))
            rng = parts.get("mask_rng", lambda r, k, rng: rng)(recipe, step, rng)
            batch = mt.make_batch(clips, params.config, rng)
            loss, gradients = compute(params, batch)
            gradients = mt.flatten(gradients)
            scale = parts.get("scale", lambda g, limit: CORRECT_SCALE(g, limit))(gradients, recipe.clip_norm)
            for name, array in arrays.items():
                own = scale[name] if isinstance(scale, dict) else scale
                before = parts.get("before", lambda state: state)(states[name])
                gradient, number = gradients[name] * own, parts.get("number", lambda k: k)(step)
                states[name] = update(before, gradient, number, recipe, decaying(name, array))
                array[...] = parts.get("new", lambda state, old: state.parameters)(states[name], array)
            losses.append(float(compute(params, batch)[0] if parts.get("late") else loss))
        return parts.get("result", lambda params, losses: (params, losses))(params, losses)

    return loop


def CORRECT_SCALE(gradients: Any, limit: float) -> float:
    """The factor of clipping."""
    return _scale(_norm)(gradients, limit)


TRAINING = with_cause(
    {
        _train(rng=lambda r, k, shared: np.random.default_rng(r.seed)): (
            "Every step draws the same batch: the generator has the seed recipe.seed in every step. Make it"
            " of [recipe.seed, step]."
        ),
        _train(rng=lambda r, k, shared: shared): (
            "One generator is used for all steps. Make a new one in every step, with the seed [recipe.seed,"
            " step]."
        ),
        _train(rng=lambda r, k, shared: np.random.default_rng([r.seed, 0])): (
            "Every step draws the same batch, that of step 0: the generator needs the seed [recipe.seed, "
            "step]."
        ),
        _train(rng=lambda r, k, shared: np.random.default_rng(k)): (
            "The seed of the recipe is not used: the generator needs the seed [recipe.seed, step]."
        ),
        _train(rng=lambda r, k, shared: np.random.default_rng([0, k])): (
            "The seed of the recipe is not used: the generator needs the seed [recipe.seed, step]."
        ),
        _train(rng=lambda r, k, shared: np.random.default_rng([r.seed, k + 1])): (
            "The generators count steps from 1: the first step has the seed [recipe.seed, 0]."
        ),
        _train(rng=lambda r, k, shared: np.random.default_rng(r.seed + k)): (
            "The seed is the sum of recipe.seed and step. It has to be the list [recipe.seed, step]."
        ),
        _train(rng=lambda r, k, shared: np.random.default_rng([k, r.seed])): (
            "The seed is [step, recipe.seed]. It has to be [recipe.seed, step]."
        ),
        _train(mask_rng=lambda r, k, rng: np.random.default_rng([r.seed, k])): (
            "make_batch gets a new generator with the same seed as world.sample. Both use one generator, "
            "one after the other."
        ),
        **{
            _train(mask_rng=mask_rng): (
                "make_batch gets another generator than world.sample. Both use one generator, one after the"
                " other."
            )
            for mask_rng in (
                lambda r, k, rng: np.random.default_rng([r.seed, k, 1]),
                lambda r, k, rng: np.random.default_rng([r.seed, k + 1]),
                lambda r, k, rng: np.random.default_rng(r.seed),
                lambda r, k, rng: np.random.default_rng(k),
                lambda r, k, rng: np.random.default_rng(0),
            )
        },
        _train(copy=lambda array: array.astype(np.float32)): (
            "The parameters become float32. Keep their precision: copy by np.copy."
        ),
        _train(
            result=lambda params, losses: (
                params,
                [float(np.mean(losses[: k + 1])) for k in range(len(losses))],
            )
        ): ("These are running means of the losses. Return the loss of each step as it is."),
        _train(count=2): "The number of clips is fixed at 2. Take recipe.batch_size.",
        _train(scale=lambda g, limit: 1.0): (
            "The gradients are not clipped: multiply each by compute_clip_scale(gradients, recipe.clip_norm)."
        ),
        _train(scale=lambda g, limit: limit / (_norm(g.values()) + 1e-12)): (
            "Gradients below clip_norm are made larger. The factor of clipping is at most 1."
        ),
        _train(scale=lambda g, limit: {name: CORRECT_SCALE({name: x}, limit) for name, x in g.items()}): (
            "Each array is clipped by its own norm. There is one factor, by the norm of all gradients "
            "together."
        ),
        _train(scale=lambda g, limit: CORRECT_SCALE(g, 1.0)): (
            "Gradients are clipped at 1. The limit is recipe.clip_norm."
        ),
        _train(scale=lambda g, limit: -CORRECT_SCALE(g, limit)): (
            "The parameters move along the gradient, so the loss rises. update_adamw subtracts the step "
            "already."
        ),
        _train(decays=lambda name, array: True): (
            "Weight decay is applied to all arrays. Biases, norms and tables are left out: decays(name, "
            "array) says which decay."
        ),
        _train(decays=lambda name, array: False): (
            "No array gets weight decay: the last argument of update_adamw is decays(name, array)."
        ),
        _train(number=lambda k: k + 1, rng=lambda r, k, shared: np.random.default_rng([r.seed, k + 1])): (
            "The loop counts steps from 1. Both the seeds and update_adamw count them from 0: "
            "range(recipe.steps)."
        ),
        _train(
            number=lambda k: k + 1
        ): "update_adamw gets step + 1. It counts steps from 0, as the loop does.",
        _train(
            number=lambda k: 0
        ): "update_adamw gets the same step every time. It needs the number of the step.",
        _train(before=lambda state: AdamWState(state.parameters, 0 * state.mean, 0 * state.square)): (
            "The moments start again at 0 in every step: keep the state that update_adamw returns for the "
            "next step."
        ),
        _train(new=lambda state, old: old): (
            "The new parameters are not written into the model, so every step computes the gradient of the "
            "first ones. Write them in place: array[...] = state.parameters."
        ),
        _train(copy=lambda array: array): (
            "The caller's parameters are changed in place. Train a copy: mt.map_tree(np.copy, params)."
        ),
        _train(late=True): (
            "The loss is computed after the update. The loss of a step is that of its batch before the "
            "update, which value_and_grad returns."
        ),
        _train(result=lambda params, losses: losses): (
            "Only the losses are returned. Return both: the trained parameters and the losses."
        ),
        _train(result=lambda params, losses: params): (
            "Only the parameters are returned. Return both: the trained parameters and the losses."
        ),
        _train(result=lambda params, losses: (losses, params)): (
            "The order of the results is wrong: first the parameters, then the losses."
        ),
        _train(result=lambda params, losses: (params, losses[-1])): (
            "Only the last loss is returned. Return a list with the loss of every step."
        ),
        _train(result=lambda params, losses: (params, losses[::-1])): (
            "The losses are in reversed order. The first is that of step 0."
        ),
    }
)
