"""Wrong and right solutions of assignment 5."""

import math
from itertools import starmap

import numpy as np

import minitvlt as mt
from assignments.checks.a5 import compute_clip_scale
from minitvlt.training.optimizer import AdamWState, compute_learning_rate, decays, update_adamw

from . import mutant, variant

# ---- sum_squared_error


@mutant("sum_squared_error", "only patches where is_hidden is true")
def sum_squared_error_1(prediction, target, is_hidden):
    return ((prediction - target) ** 2).mean(axis=2).sum()


@mutant("sum_squared_error", "inverted")
def sum_squared_error_2(prediction, target, is_hidden):
    return ((prediction - target) ** 2).mean(-1)[~is_hidden].sum()


@mutant("sum_squared_error", "mean over hidden")
def sum_squared_error_3(prediction, target, is_hidden):
    error = np.mean((prediction - target) ** 2, axis=-1)
    count = is_hidden.sum()
    return (error * is_hidden).sum() / count if count else 0.0 * error.sum()


@mutant("sum_squared_error", "mean over its values")
def sum_squared_error_4(prediction, target, is_hidden):
    total = prediction[:, 0, 0].sum() * 0
    for b in range(len(prediction)):
        for n in range(prediction.shape[1]):
            if is_hidden[b, n]:
                total = total + ((prediction[b, n] - target[b, n]) ** 2).sum()
    return total


@mutant("sum_squared_error", "absolute")
def sum_squared_error_5(prediction, target, is_hidden):
    return np.abs(prediction - target).mean(axis=-1)[is_hidden].sum()


@mutant("sum_squared_error", "mean over all patches")
def sum_squared_error_6(prediction, target, is_hidden):
    error = ((prediction - target) ** 2).mean(axis=-1)
    error[~is_hidden] = 0
    return error.mean()


@mutant("sum_squared_error", "one sum for each clip")
def sum_squared_error_7(prediction, target, is_hidden):
    return (np.square(prediction - target).mean(axis=-1) * is_hidden).sum(axis=1)


@mutant("sum_squared_error", "root")
def sum_squared_error_8(prediction, target, is_hidden):
    return np.linalg.norm((prediction - target)[is_hidden], axis=-1).sum() / np.sqrt(prediction.shape[-1])


@mutant("sum_squared_error", "factor 2")
def sum_squared_error_9(prediction, target, is_hidden):
    return 0.5 * ((prediction - target) ** 2).mean(-1)[is_hidden].sum()


@mutant("sum_squared_error", "changes its argument")
def sum_squared_error_10(prediction, target, is_hidden):
    prediction -= target
    return (prediction**2).mean(-1)[is_hidden].sum()


@mutant("sum_squared_error", "float64")
def sum_squared_error_11(prediction, target, is_hidden):
    error = ((prediction - target) ** 2).mean(-1)
    return (error * is_hidden.astype(float)).sum()


@mutant("sum_squared_error", ("float64", "precision"))
def sum_squared_error_12(prediction, target, is_hidden):
    difference = np.array(prediction, np.float64) - target
    return sum((row**2).mean() for row in difference[is_hidden]) + np.float64(0)


@mutant("sum_squared_error", "first clip")
def sum_squared_error_13(prediction, target, is_hidden):
    (hidden,) = np.nonzero(is_hidden[0])
    return ((prediction - target) ** 2)[:, hidden].mean(axis=-1).sum()


@mutant("sum_squared_error", "returns none")
def sum_squared_error_14(prediction, target, is_hidden):
    error = ((prediction - target) ** 2).mean(-1)
    error[is_hidden].sum()


@variant("sum_squared_error")
def sum_squared_error_v1(prediction, target, is_hidden):
    difference = (prediction - target)[is_hidden]
    return (difference * difference).sum() / prediction.dtype.type(prediction.shape[-1])


@variant("sum_squared_error")
def sum_squared_error_v2(prediction, target, is_hidden):
    total = prediction.dtype.type(0)
    for b, n in zip(*np.nonzero(is_hidden), strict=True):
        total += np.mean((prediction[b, n] - target[b, n]) ** 2)
    return total


@variant("sum_squared_error")
def sum_squared_error_v3(prediction, target, is_hidden):
    error = prediction - target
    return np.einsum("bnv,bnv,bn->", error, error, is_hidden.astype(error.dtype)) / error.shape[2]


@variant("sum_squared_error")
def sum_squared_error_v4(prediction, target, is_hidden):
    masked = np.where(is_hidden[:, :, None], prediction - target, 0)
    return np.sum(np.mean(masked**2, axis=2))


# ---- binary_cross_entropy


@mutant("binary_cross_entropy", "overflows")
def binary_cross_entropy_1(logits, truth):
    p = 1 / (1 + np.exp(-logits))
    return np.where(truth, -np.log(p), -np.log(1 - p)).astype(logits.dtype)


@mutant("binary_cross_entropy", "cut off")
def binary_cross_entropy_2(logits, truth):
    p = np.minimum(np.maximum(1 / (1 + np.exp(-logits)), 1e-7), 1 - 1e-7)
    return -np.where(truth, np.log(p), np.log(1 - p)).astype(logits.dtype)


@mutant("binary_cross_entropy", "one loss for each pair")
def binary_cross_entropy_3(logits, truth):
    y = np.asarray(truth, logits.dtype)
    return np.mean(np.logaddexp(0, logits) - y * logits)


@mutant("binary_cross_entropy", "sign")
def binary_cross_entropy_4(logits, truth):
    y = np.asarray(truth, logits.dtype)
    return y * logits - np.logaddexp(0, logits)


@mutant("binary_cross_entropy", "confused")
def binary_cross_entropy_5(logits, truth):
    y = 1 - np.asarray(truth, logits.dtype)
    return np.maximum(logits, 0) - logits * y + np.log(1 + np.exp(-np.abs(logits)))


@mutant("binary_cross_entropy", "-|z|")
def binary_cross_entropy_6(logits, truth):
    y = truth.astype(logits.dtype)
    return np.maximum(logits, 0) - logits * y + np.log(1 + np.exp(-logits))


@mutant("binary_cross_entropy", "max(z, 0)")
def binary_cross_entropy_7(logits, truth):
    y = truth.astype(logits.dtype)
    return np.log1p(np.exp(-np.abs(logits))) - logits * y


@mutant("binary_cross_entropy", "base 2")
def binary_cross_entropy_8(logits, truth):
    y = truth.astype(logits.dtype)
    return np.maximum(logits, 0) / np.log(2) - logits * y / np.log(2) + np.log2(1 + np.exp(-np.abs(logits)))


@mutant("binary_cross_entropy", "probabilities")
def binary_cross_entropy_9(logits, truth):
    return -np.where(truth, np.log(logits), np.log(1 - logits))


@mutant("binary_cross_entropy", "float64")
def binary_cross_entropy_10(logits, truth):
    y = truth.astype(float)
    return np.maximum(logits, 0) - logits * y + np.log(1 + np.exp(-np.abs(logits)))


@mutant("binary_cross_entropy", ("two axes", "shape"))
def binary_cross_entropy_11(logits, truth):
    losses = [
        max(z, 0) - z * y + math.log(1 + math.exp(-abs(z)))
        for z, y in zip(logits.ravel(), truth.ravel(), strict=True)
    ]
    return np.array(losses, logits.dtype)


@mutant("binary_cross_entropy", ("truth given as 0 and 1", "integer"))
def binary_cross_entropy_12(logits, truth):
    loss = np.logaddexp(0, logits)
    loss[truth] -= logits[truth]
    return loss


@mutant("binary_cross_entropy", "only pairs that match")
def binary_cross_entropy_13(logits, truth):
    return truth * np.logaddexp(0, -logits)


@variant("binary_cross_entropy")
def binary_cross_entropy_v1(logits, truth):
    sign = np.where(truth, -1, 1).astype(logits.dtype)
    return np.logaddexp(np.zeros_like(logits), sign * logits)


@variant("binary_cross_entropy")
def binary_cross_entropy_v2(logits, truth):
    small = np.log1p(np.exp(-np.abs(logits)))
    if_match = small + np.maximum(-logits, 0)
    if_not = small + np.maximum(logits, 0)
    return np.where(truth, if_match, if_not)


@variant("binary_cross_entropy")
def binary_cross_entropy_v3(logits, truth):
    loss = np.empty_like(logits)
    for place in np.ndindex(logits.shape):
        z = float(logits[place])
        loss[place] = max(z, 0.0) - z * bool(truth[place]) + math.log(1 + math.exp(-abs(z)))
    return loss


@variant("binary_cross_entropy")
def binary_cross_entropy_v4(logits, truth):
    z = np.array(logits)
    z[np.asarray(truth, bool)] *= -1
    return z.clip(min=0) + np.log(1 + np.exp(-np.abs(z)))


# ---- compute_learning_rate


def rate_of(step, recipe):
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@mutant("compute_learning_rate", "starts at 0")
def compute_learning_rate_1(step, recipe):
    if step < recipe.warmup_steps:
        return step / recipe.warmup_steps * recipe.learning_rate
    return rate_of(step, recipe)


@mutant("compute_learning_rate", "warm-up")
def compute_learning_rate_2(step, recipe):
    progress = step / recipe.steps
    return recipe.learning_rate * (1 + np.cos(np.pi * progress)) / 2


@mutant("compute_learning_rate", "steps after the warm-up")
def compute_learning_rate_3(step, recipe):
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    return recipe.learning_rate * math.cos(math.pi / 2 * (step - recipe.warmup_steps) / recipe.steps) ** 2


@mutant("compute_learning_rate", ("1/2", "twice"))
def compute_learning_rate_4(step, recipe):
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    progress = (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * (1 + math.cos(math.pi * progress))


@mutant("compute_learning_rate", "linear")
def compute_learning_rate_5(step, recipe):
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    return recipe.learning_rate * (recipe.steps - step) / (recipe.steps - recipe.warmup_steps)


@mutant("compute_learning_rate", "after the last step")
def compute_learning_rate_6(step, recipe):
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - 1 - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@mutant("compute_learning_rate", ("0 / 0", "divi", "without warm-up"))
def compute_learning_rate_7(step, recipe):
    rise = (step + 1) / recipe.warmup_steps
    if rise <= 1:
        return rise * recipe.learning_rate
    return rate_of(step, recipe)


@mutant("compute_learning_rate", "<")
def compute_learning_rate_8(step, recipe):
    if recipe.warmup_steps and step <= recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    return rate_of(step, recipe)


@mutant("compute_learning_rate", "constant")
def compute_learning_rate_9(step, recipe):
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    return recipe.learning_rate


@mutant("compute_learning_rate", "degrees")
def compute_learning_rate_10(step, recipe):
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps * recipe.learning_rate
    progress = (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(180 * progress))


@mutant("compute_learning_rate", "learning_rate is missing")
def compute_learning_rate_11(step, recipe):
    return rate_of(step, recipe) / recipe.learning_rate


@variant("compute_learning_rate")
def compute_learning_rate_v1(step, recipe):
    w = recipe.warmup_steps
    return recipe.learning_rate * (
        (step + 1) / w if step < w else math.cos(0.5 * math.pi * (step - w) / (recipe.steps - w)) ** 2
    )


@variant("compute_learning_rate")
def compute_learning_rate_v2(step, recipe):
    w, n = recipe.warmup_steps, recipe.steps
    rise = list(np.arange(1, w + 1) / max(w, 1))
    fall = list((1 + np.cos(np.pi * np.arange(n - w) / max(1, n - w))) / 2)
    return (rise + fall)[step] * recipe.learning_rate


@variant("compute_learning_rate")
def compute_learning_rate_v3(step, recipe):
    if recipe.warmup_steps > step:
        return np.interp(step + 1, [0, recipe.warmup_steps], [0, recipe.learning_rate])
    left = (recipe.steps - step) / (recipe.steps - recipe.warmup_steps)
    return np.array(recipe.learning_rate / 2 * (1 - np.cos(np.pi * left)))


@variant("compute_learning_rate")
def compute_learning_rate_v4(step, recipe):
    after = step - recipe.warmup_steps
    if after < 0:
        return recipe.learning_rate + recipe.learning_rate * (after + 1) / recipe.warmup_steps
    angle = np.pi * after / max(1, recipe.steps - recipe.warmup_steps)
    return float(recipe.learning_rate * 0.5 * (1 + np.exp(1j * angle).real))


# ---- update_adamw


@mutant("update_adamw", "bias correction")
def update_adamw_1(state, gradient, step, recipe, decays=True):
    rate = compute_learning_rate(step, recipe)
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * gradient**2
    new = state.parameters - rate * mean / (np.sqrt(square) + 1e-8)
    return AdamWState(new - rate * recipe.weight_decay * decays * state.parameters, mean, square)


def adamw(state, gradient, step, recipe, decays, **change):
    rate = change.get("rate", compute_learning_rate(step, recipe))
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * gradient**2
    k = change.get("k", step + 1)
    m, s = mean / (1 - recipe.beta1**k), square / (1 - recipe.beta2**k)
    step_by = change.get("step_by", m / (np.sqrt(s) + 1e-8))
    old = state.parameters * (1 - rate * recipe.weight_decay) if decays else state.parameters
    return AdamWState(old - rate * step_by, mean, square)


@mutant("update_adamw", "step + 1")
def update_adamw_2(state, gradient, step, recipe, decays=True):
    return adamw(state, gradient, step, recipe, decays, k=step)


@mutant("update_adamw", ("l2", "gradient"))
def update_adamw_3(state, gradient, step, recipe, decays=True):
    if decays:
        gradient = gradient + recipe.weight_decay * state.parameters
    return adamw(state, gradient, step, recipe, False)


@mutant("update_adamw", "inside the square root")
def update_adamw_4(state, gradient, step, recipe, decays=True):
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * gradient**2
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    m, s = mean / (1 - recipe.beta1 ** (step + 1)), square / (1 - recipe.beta2 ** (step + 1))
    return adamw(state, gradient, step, recipe, decays, step_by=m / np.sqrt(s + 1e-8))


@mutant("update_adamw", "decays is false")
def update_adamw_5(state, gradient, step, recipe, decays=True):
    return adamw(state, gradient, step, recipe, True)


@mutant("update_adamw", "highest one")
def update_adamw_6(state, gradient, step, recipe, decays=True):
    return adamw(state, gradient, step, recipe, decays, rate=recipe.learning_rate)


@mutant("update_adamw", "changes its argument")
def update_adamw_7(state, gradient, step, recipe, decays=True):
    new = adamw(state, gradient, step, recipe, decays)
    for old, values in zip(vars(state).values(), vars(new).values(), strict=True):
        old[...] = values
    return state


@mutant("update_adamw", "bias-corrected moments")
def update_adamw_8(state, gradient, step, recipe, decays=True):
    new = adamw(state, gradient, step, recipe, decays)
    k = step + 1
    return AdamWState(new.parameters, new.mean / (1 - recipe.beta1**k), new.square / (1 - recipe.beta2**k))


@mutant("update_adamw", "swapped")
def update_adamw_9(state, gradient, step, recipe, decays=True):
    mean = (1 - recipe.beta1) * state.mean + recipe.beta1 * gradient
    square = (1 - recipe.beta2) * state.square + recipe.beta2 * gradient**2
    m, s = mean / (1 - recipe.beta1 ** (step + 1)), square / (1 - recipe.beta2 ** (step + 1))
    new = adamw(state, gradient, step, recipe, decays, step_by=m / (np.sqrt(s) + 1e-8))
    return AdamWState(new.parameters, mean, square)


@mutant("update_adamw", "learning rate")
def update_adamw_10(state, gradient, step, recipe, decays=True):
    rate = compute_learning_rate(step, recipe)
    new = adamw(state, gradient, step, recipe, False)
    return AdamWState(
        new.parameters - decays * recipe.weight_decay * state.parameters + 0 * rate, new.mean, new.square
    )


@mutant("update_adamw", "float64")
def update_adamw_11(state, gradient, step, recipe, decays=True):
    new = adamw(state, gradient, step, recipe, decays)
    return AdamWState(*starmap(np.multiply, [(array, np.float64(1)) for array in vars(new).values()]))


@mutant("update_adamw", "adamwstate")
def update_adamw_12(state, gradient, step, recipe, decays=True):
    new = adamw(state, gradient, step, recipe, decays)
    return new.parameters, new.mean, new.square


@mutant("update_adamw", "sign")
def update_adamw_13(state, gradient, step, recipe, decays=True):
    new = adamw(state, gradient, step, recipe, decays)
    kept = state.parameters * (1 - decays * compute_learning_rate(step, recipe) * recipe.weight_decay)
    return AdamWState(2 * kept - new.parameters, new.mean, new.square)


@mutant("update_adamw", "square root")
def update_adamw_14(state, gradient, step, recipe, decays=True):
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * gradient**2
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    m, s = mean / (1 - recipe.beta1 ** (step + 1)), square / (1 - recipe.beta2 ** (step + 1))
    return adamw(state, gradient, step, recipe, decays, step_by=m / (s + 1e-8))


@variant("update_adamw")
def update_adamw_v1(state, gradient, step, recipe, decays=True):
    return adamw(state, gradient, step, recipe, decays)


@variant("update_adamw")
def update_adamw_v2(state, gradient, step, recipe, decays=True):
    b1, b2, rate = recipe.beta1, recipe.beta2, compute_learning_rate(step, recipe)
    mean = state.mean + (gradient - state.mean) * (1 - b1)
    square = state.square + (np.square(gradient) - state.square) * (1 - b2)
    root = np.sqrt(square) / math.sqrt(1 - b2 ** (step + 1)) + 1e-8
    parameters = state.parameters - rate / (1 - b1 ** (step + 1)) * (mean / root)
    if decays:
        parameters -= rate * recipe.weight_decay * state.parameters
    return AdamWState(parameters=parameters, mean=mean, square=square)


@variant("update_adamw")
def update_adamw_v3(state, gradient, step, recipe, decays=True):
    parameters, mean, square = (np.array(x) for x in (state.parameters, state.mean, state.square))
    mean *= recipe.beta1
    mean += (1 - recipe.beta1) * gradient
    square *= recipe.beta2
    square += (1 - recipe.beta2) * gradient * gradient
    k, rate = step + 1, compute_learning_rate(step, recipe)
    if decays:
        parameters *= 1 - rate * recipe.weight_decay
    corrected = mean / (1 - recipe.beta1**k), square / (1 - recipe.beta2**k)
    parameters -= rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return AdamWState(parameters, mean, square)


@variant("update_adamw")
def update_adamw_v4(state, gradient, step, recipe, decays=True):
    results = [np.empty_like(gradient) for _ in range(3)]
    rate, k = float(compute_learning_rate(step, recipe)), step + 1
    for i in np.ndindex(gradient.shape):
        g = float(gradient[i])
        m = recipe.beta1 * float(state.mean[i]) + (1 - recipe.beta1) * g
        s = recipe.beta2 * float(state.square[i]) + (1 - recipe.beta2) * g * g
        p = float(state.parameters[i]) * (1 - rate * recipe.weight_decay * decays)
        p -= rate * (m / (1 - recipe.beta1**k)) / (math.sqrt(s / (1 - recipe.beta2**k)) + 1e-8)
        for array, value in zip(results, (p, m, s), strict=True):
            array[i] = value
    return AdamWState(*results)


# ---- compute_clip_scale


@mutant("compute_clip_scale", "norms of the arrays are added")
def compute_clip_scale_1(gradients, clip_norm):
    norm = sum(np.linalg.norm(array) for array in gradients.values())
    return min(1.0, clip_norm / norm) if norm else 1.0


@mutant("compute_clip_scale", "square root")
def compute_clip_scale_2(gradients, clip_norm):
    norm = sum((array**2).sum() for array in gradients.values())
    return min(1.0, clip_norm / (norm + 1e-12))


@mutant("compute_clip_scale", "min(1")
def compute_clip_scale_3(gradients, clip_norm):
    norm = np.sqrt(sum((array**2).sum() for array in gradients.values()))
    return clip_norm / (norm + 1e-12)


@mutant("compute_clip_scale", ("gradients of 0", "divi", "nan"))
def compute_clip_scale_4(gradients, clip_norm):
    norm = np.sqrt(sum((array**2).sum() for array in gradients.values()))
    return float(clip_norm / norm * (norm > clip_norm) + (norm <= clip_norm))


@mutant("compute_clip_scale", "absolute value")
def compute_clip_scale_5(gradients, clip_norm):
    norm = max(np.abs(array).max() for array in gradients.values())
    return min(1.0, clip_norm / (norm + 1e-12))


@mutant("compute_clip_scale", "one factor for each array")
def compute_clip_scale_6(gradients, clip_norm):
    return {name: min(1.0, clip_norm / (np.linalg.norm(x) + 1e-12)) for name, x in gradients.items()}


@mutant("compute_clip_scale", "singular value")
def compute_clip_scale_7(gradients, clip_norm):
    norm = math.sqrt(sum(np.linalg.norm(x, 2) ** 2 for x in gradients.values()))
    return min(1.0, clip_norm / (norm + 1e-12))


@mutant("compute_clip_scale", "upside down")
def compute_clip_scale_8(gradients, clip_norm):
    norm = math.sqrt(sum(np.sum(x * x) for x in gradients.values()))
    return min(1.0, norm / clip_norm)


@mutant("compute_clip_scale", "changes its argument")
def compute_clip_scale_9(gradients, clip_norm):
    norm = math.sqrt(sum(np.sum(x * x) for x in gradients.values()))
    scale = min(1.0, clip_norm / (norm + 1e-12))
    for array in gradients.values():
        array *= scale
    return scale


@mutant("compute_clip_scale", "last array")
def compute_clip_scale_10(gradients, clip_norm):
    for array in gradients.values():
        norm = math.sqrt(np.sum(array * array))
    return min(1.0, clip_norm / (norm + 1e-12))


@mutant("compute_clip_scale", "scaled gradients")
def compute_clip_scale_11(gradients, clip_norm):
    norm = math.sqrt(sum(np.sum(x * x) for x in gradients.values()))
    return {name: min(1.0, clip_norm / (norm + 1e-12)) * array for name, array in gradients.items()}


@variant("compute_clip_scale")
def compute_clip_scale_v1(gradients, clip_norm):
    flat = np.concatenate([array.reshape(-1) for array in gradients.values()])
    norm = np.linalg.norm(flat)
    return clip_norm / norm if norm > clip_norm else 1.0


@variant("compute_clip_scale")
def compute_clip_scale_v2(gradients, clip_norm):
    norm = np.sqrt(np.sum([np.linalg.norm(array) ** 2 for array in gradients.values()]))
    return np.minimum(1, clip_norm / max(norm, 1e-12))


@variant("compute_clip_scale")
def compute_clip_scale_v3(gradients, clip_norm):
    return min(1, clip_norm / (math.hypot(*(math.sqrt((x**2).sum()) for x in gradients.values())) + 1e-12))


@variant("compute_clip_scale")
def compute_clip_scale_v4(gradients, clip_norm):
    total = 0.0
    for array in gradients.values():
        for number in array.flat:
            total += float(number) ** 2
    return 1.0 if total <= clip_norm**2 else np.array(clip_norm / math.sqrt(total))


# ---- train


def run_loop(params, world, recipe, **change):
    compute = mt.value_and_grad(lambda p, batch: mt.pretraining_loss(p, batch).loss)
    params = mt.map_tree(lambda array: array.copy(), params)
    flat, losses = mt.flatten(params), []
    zeros = {name: np.zeros_like(array) for name, array in flat.items()}
    states = {name: AdamWState(array, zeros[name], zeros[name]) for name, array in flat.items()}
    rng = np.random.default_rng(recipe.seed)
    for step in range(change.get("first", 0), recipe.steps + change.get("first", 0)):
        if not change.get("one_generator"):
            rng = np.random.default_rng(change.get("seed", lambda k: [recipe.seed, k])(step))
        clips = world.sample(rng, recipe.batch_size)
        batch = mt.make_batch(clips, params.config, change.get("mask", lambda rng: rng)(rng))
        loss, gradients = compute(params, batch)
        losses.append(float(loss))
        gradients = change.get("pick", mt.flatten)(gradients)
        scale = change.get("clip", compute_clip_scale)(gradients, recipe.clip_norm)
        for name, array in flat.items():
            decaying = change.get("decays", decays)(name, array)
            states[name] = update_adamw(states[name], gradients[name] * scale, step, recipe, decaying)
            array[...] = states[name].parameters
            if change.get("forget"):
                states[name] = AdamWState(array, zeros[name], zeros[name])
    return params, losses


@mutant("train", "one generator")
def train_1(params, world, recipe):
    return run_loop(params, world, recipe, one_generator=True)


@mutant("train", "same batch")
def train_2(params, world, recipe):
    return run_loop(params, world, recipe, seed=lambda k: recipe.seed)


@mutant("train", "clipped")
def train_3(params, world, recipe):
    return run_loop(params, world, recipe, clip=lambda *_: 1.0)


@mutant("train", "decays(name, array)")
def train_4(params, world, recipe):
    return run_loop(params, world, recipe, decays=lambda *_: True)


@mutant("train", ("moments", "start again"))
def train_5(params, world, recipe):
    return run_loop(params, world, recipe, forget=True)


@mutant("train", "changes its argument")
def train_6(params, world, recipe):
    new, losses = run_loop(params, world, recipe)
    for old, array in zip(mt.flatten(params).values(), mt.flatten(new).values(), strict=True):
        old[...] = array
    return params, losses


@mutant("train", "new generator with the same seed")
def train_7(params, world, recipe):
    count = iter(range(recipe.steps))
    return run_loop(params, world, recipe, mask=lambda rng: np.random.default_rng([recipe.seed, next(count)]))


@mutant("train", "counts steps from 1")
def train_8(params, world, recipe):
    return run_loop(params, world, recipe, first=1)


@mutant("train", "written into the model")
def train_9(params, world, recipe):
    compute = mt.value_and_grad(lambda p, batch: mt.pretraining_loss(p, batch).loss)
    params, losses = mt.map_tree(np.copy, params), []
    states = {name: AdamWState(x, 0 * x, 0 * x) for name, x in mt.flatten(params).items()}
    for step in range(recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        batch = mt.make_batch(world.sample(rng, recipe.batch_size), params.config, rng)
        loss, gradients = compute(params, batch)
        gradients = mt.flatten(gradients)
        scale = compute_clip_scale(gradients, recipe.clip_norm)
        for name, array in mt.flatten(params).items():
            states[name] = update_adamw(
                states[name], gradients[name] * scale, step, recipe, decays(name, array)
            )
            array = states[name].parameters
        losses.append(float(loss))
    return params, losses


@mutant("train", "only the losses")
def train_10(params, world, recipe):
    return run_loop(params, world, recipe)[1]


@mutant("train", ("python number", "array", "shape"))
def train_11(params, world, recipe):
    params, losses = run_loop(params, world, recipe)
    return params, np.mean(losses)


@mutant("train", "batch_size")
def train_12(params, world, recipe):
    class World:
        def sample(self, rng, count):
            return world.sample(rng, 2)

    return run_loop(params, World(), recipe)


@variant("train")
def train_v1(params, world, recipe):
    return run_loop(params, world, recipe)


@variant("train")
def train_v2(params, world, recipe):
    def loss_of(tree, batch):
        return mt.pretraining_loss(tree, batch).loss

    model, losses = mt.map_tree(np.array, params), []
    moments = {name: (0 * x, 0 * x) for name, x in mt.flatten(model).items()}
    for step in range(recipe.steps):
        rng = np.random.default_rng((recipe.seed, step))
        batch = mt.make_batch(world.sample(rng, recipe.batch_size), model.config, rng)
        loss, gradients = mt.value_and_grad(loss_of)(model, batch)
        g = mt.flatten(gradients)
        scale = compute_clip_scale(g, recipe.clip_norm)
        for name, array in mt.flatten(model).items():
            new = update_adamw(
                AdamWState(array, *moments[name]), scale * g[name], step, recipe, decays(name, array)
            )
            array[...], moments[name] = new.parameters, (new.mean, new.square)
        losses += [loss.item()]
    return model, losses


@variant("train")
def train_v3(params, world, recipe):
    compute = mt.value_and_grad(lambda p, b: mt.pretraining_loss(p, b).loss)
    losses, states = [], None
    for step in range(recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        loss, gradients = compute(
            params, mt.make_batch(world.sample(rng, recipe.batch_size), params.config, rng)
        )
        flat, g = mt.flatten(params), mt.flatten(gradients)
        states = states or {n: AdamWState(x, np.zeros_like(x), np.zeros_like(x)) for n, x in flat.items()}
        scale = compute_clip_scale(g, recipe.clip_norm)
        states = {
            n: update_adamw(states[n], scale * g[n], step, recipe, decays(n, x)) for n, x in flat.items()
        }
        fresh = iter([states[name].parameters for name in flat])
        params = mt.map_tree(lambda array, fresh=fresh: next(fresh), params)
        losses.append(float(loss))
    return params, losses


@variant("train")
def train_v4(params, world, recipe):
    compute = mt.value_and_grad(lambda p, b: mt.pretraining_loss(p, b).loss)
    params, step, losses = mt.map_tree(np.copy, params), 0, np.zeros(recipe.steps)
    states = {}
    while step < recipe.steps:
        rng = np.random.default_rng(np.array([recipe.seed, step]))
        clips = world.sample(rng, recipe.batch_size)
        losses[step], gradients = compute(params, mt.make_batch(clips, params.config, rng))
        scale = compute_clip_scale(mt.flatten(gradients), recipe.clip_norm)
        for (name, array), gradient in zip(
            mt.flatten(params).items(), mt.flatten(gradients).values(), strict=True
        ):
            state = states.get(name, AdamWState(array, np.zeros(array.shape), np.zeros(array.shape)))
            states[name] = update_adamw(state, gradient * scale, step, recipe, decays(name, array))
            np.copyto(array, states[name].parameters)
        step += 1
    return params, losses.tolist()


# ---- written later, before anything in the tables was made for them


@mutant("sum_squared_error", ("batch", "clip", "mean over hidden"))
def sum_squared_error_new1(prediction, target, is_hidden):
    e = ((prediction - target) ** 2).mean(-1)
    return sum(e[b][is_hidden[b]].mean() for b in range(len(e)) if is_hidden[b].any())


@mutant("sum_squared_error", ("large", "cut", "at most"))
def sum_squared_error_new2(prediction, target, is_hidden):
    return np.minimum(((prediction - target) ** 2).mean(-1), 1)[is_hidden].sum()


@mutant("sum_squared_error", ("weight", "factor", "mean", "divi"))
def sum_squared_error_new3(prediction, target, is_hidden):
    w = is_hidden / max(is_hidden.mean(), 1e-9)
    return (((prediction - target) ** 2).mean(-1) * w).sum()


@mutant("sum_squared_error", ("axis", "mean over", "shape"))
def sum_squared_error_new4(prediction, target, is_hidden):
    return (((prediction - target) ** 2).mean(axis=1) * is_hidden).sum()


@mutant("sum_squared_error", ("visible", "is_hidden"))
def sum_squared_error_new5(prediction, target, is_hidden):
    p = np.where(is_hidden[..., None], prediction, 0)
    return ((p - target) ** 2).mean(-1).sum()


@mutant("binary_cross_entropy", ("half", "factor 2", "sigmoid", "logit"))
def binary_cross_entropy_new1(logits, truth):
    p = (1 + np.tanh(logits)) / 2
    return -np.where(truth, np.log(p), np.log(1 - p))


@mutant("binary_cross_entropy", ("not match", "0 and 1", "False", "±1"))
def binary_cross_entropy_new2(logits, truth):
    return np.logaddexp(0, -logits * truth)


@mutant("binary_cross_entropy", ("float32", "precis", "small"))
def binary_cross_entropy_new3(logits, truth):
    z = logits.astype(np.float32)
    return (np.logaddexp(0, z) - z * truth).astype(logits.dtype)


@mutant("binary_cross_entropy", ("large",))
def binary_cross_entropy_new4(logits, truth):
    z = np.clip(logits, -30, 30)
    return np.logaddexp(0, z) - z * truth


@mutant("binary_cross_entropy", ("absolute", "|z|", "term", "negative"))
def binary_cross_entropy_new5(logits, truth):
    return np.maximum(logits, 0) - np.abs(logits) * truth + np.log1p(np.exp(-np.abs(logits)))


@mutant("compute_learning_rate", ("whole", "//", "warm-up"))
def compute_learning_rate_new1(step, recipe):
    if step < recipe.warmup_steps:
        return recipe.learning_rate * ((step + 1) // recipe.warmup_steps)
    return (
        recipe.learning_rate
        * 0.5
        * (1 + math.cos(math.pi * (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)))
    )


@mutant("compute_learning_rate", ("steps", "cosine"))
def compute_learning_rate_new2(step, recipe):
    if step < recipe.warmup_steps:
        return recipe.learning_rate * ((step + 1) / recipe.warmup_steps)
    return (
        recipe.learning_rate
        * 0.5
        * (1 + math.cos(math.pi * (step - recipe.warmup_steps) / (recipe.steps + 1 - recipe.warmup_steps)))
    )


@mutant("compute_learning_rate", ("cosine", "warm-up"))
def compute_learning_rate_new3(step, recipe):
    c = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.learning_rate * min(c, (step + 1) / max(1, recipe.warmup_steps))


@mutant("compute_learning_rate", ("0.003", "fixed", "recipe.learning_rate", "learning_rate"))
def compute_learning_rate_new4(step, recipe):
    if step < recipe.warmup_steps:
        return 0.003 * ((step + 1) / recipe.warmup_steps)
    return (
        0.003
        * 0.5
        * (1 + math.cos(math.pi * (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)))
    )


@mutant("compute_learning_rate", ("exponent", "half a cosine", "cosine"))
def compute_learning_rate_new5(step, recipe):
    if step < recipe.warmup_steps:
        return recipe.learning_rate * ((step + 1) / recipe.warmup_steps)
    return recipe.learning_rate * 0.99 ** (step - recipe.warmup_steps)


def update(state, g, step, r, decays, **c):
    k = step + 1
    m = r.beta1 * state.mean + (1 - r.beta1) * g
    s = c.get("s", lambda s: s)(r.beta2 * state.square + (1 - r.beta2) * g * g)
    mh, sh = m / (1 - r.beta1**k), s / (1 - r.beta2**k)
    mh = c.get("mh", lambda m: m)(mh)
    q = c.get("q", lambda m, s: m / (np.sqrt(s) + 1e-8))(mh, sh)
    lr = compute_learning_rate(step, r)
    return AdamWState(state.parameters * (1 - lr * r.weight_decay * decays) - lr * q, m, s)


@mutant("update_adamw", ("maximum", "square"))
def update_adamw_new1(state, gradient, step, recipe, decays=True):
    return update(state, gradient, step, recipe, decays, s=lambda s: np.maximum(s, state.square))


@mutant("update_adamw", ("mean", "gradient", "nesterov", "parameters"))
def update_adamw_new2(state, gradient, step, recipe, decays=True):
    return update(
        state,
        gradient,
        step,
        recipe,
        decays,
        mh=lambda m: recipe.beta1 * m + (1 - recipe.beta1) * gradient / (1 - recipe.beta1 ** (step + 1)),
    )


@mutant("update_adamw", ("large", "gradient"))
def update_adamw_new3(state, gradient, step, recipe, decays=True):
    return update(state, np.clip(gradient, -1, 1), step, recipe, decays)


@mutant("update_adamw", ("1e-8", "small"))
def update_adamw_new4(state, gradient, step, recipe, decays=True):
    f = math.sqrt(1 - recipe.beta2 ** (step + 1))
    return update(state, gradient, step, recipe, decays, q=lambda m, s: m / (np.sqrt(s) * f + 1e-8) * f)


@mutant("update_adamw", ("norm", "one number", "axes", "mean"))
def update_adamw_new5(state, gradient, step, recipe, decays=True):
    return update(state, gradient, step, recipe, decays, q=lambda m, s: m / (np.sqrt(s.mean()) + 1e-8))


@mutant("update_adamw", ("old", "mean"))
def update_adamw_new6(state, gradient, step, recipe, decays=True):
    new = update(state, gradient, step, recipe, decays)
    k = step + 1
    q = state.mean / (1 - recipe.beta1**k) / (np.sqrt(new.square / (1 - recipe.beta2**k)) + 1e-8)
    lr = compute_learning_rate(step, recipe)
    return AdamWState(
        state.parameters * (1 - lr * recipe.weight_decay * decays) - lr * q, new.mean, new.square
    )


@mutant("update_adamw", ("decay",))
def update_adamw_new7(state, gradient, step, recipe, decays=True):
    new = update(state, gradient, step, recipe, False)
    lr = compute_learning_rate(step, recipe)
    return AdamWState(new.parameters * math.exp(-lr * recipe.weight_decay * decays), new.mean, new.square)


@mutant("compute_clip_scale", ("matri", "one number", "array", "axes"))
def compute_clip_scale_new1(gradients, clip_norm):
    n = math.sqrt(sum(np.sum(x * x) for x in gradients.values() if x.ndim > 1))
    return min(1.0, clip_norm / (n + 1e-12))


@mutant("compute_clip_scale", ("clip_norm", "square"))
def compute_clip_scale_new2(gradients, clip_norm):
    n = math.sqrt(sum(np.sum(x * x) for x in gradients.values()))
    return min(1.0, clip_norm**2 / (n + 1e-12))


@mutant("compute_clip_scale", ("mean", "one number"))
def compute_clip_scale_new3(gradients, clip_norm):
    n = np.mean([np.linalg.norm(x) for x in gradients.values()])
    return min(1.0, clip_norm / (n + 1e-12))


@mutant("compute_clip_scale", ("0", "zero"))
def compute_clip_scale_new4(gradients, clip_norm):
    n = math.sqrt(sum(np.sum(x * x) for x in gradients.values()))
    return 0.0 if n == 0 else min(1.0, clip_norm / n)


@mutant("compute_clip_scale", ("root", "square"))
def compute_clip_scale_new5(gradients, clip_norm):
    n = math.sqrt(sum(np.sum(x * x) for x in gradients.values()))
    return math.sqrt(min(1.0, clip_norm / (n + 1e-12)))


@mutant("train", ("generator",))
def train_new1(params, world, recipe):
    it = iter(range(99))
    return run_loop(params, world, recipe, mask=lambda rng: np.random.default_rng([recipe.seed, next(it), 1]))


@mutant("train", ("losses", "loss"))
def train_new2(params, world, recipe):
    p, found = run_loop(params, world, recipe)
    return p, [float(np.mean(found[: i + 1])) for i in range(len(found))]


@mutant("train", ("decay",))
def train_new3(params, world, recipe):
    return run_loop(params, world, recipe, decays=lambda n, x: x.ndim == 2)


@mutant("train", ("float32", "single"))
def train_new4(params, world, recipe):
    return run_loop(mt.map_tree(lambda x: x.astype(np.float32), params), world, recipe)


@mutant("train", ("same batch", "batch of step 0", "every step"))
def train_new5(params, world, recipe):
    rng = np.random.default_rng([recipe.seed, 0])
    clips = world.sample(rng, recipe.batch_size)

    class W:
        def sample(self, rng, count):
            return clips

    return run_loop(params, W(), recipe)


@mutant("train", ("parameters", "initial"))
def train_new6(params, world, recipe):
    return mt.map_tree(np.copy, params), run_loop(params, world, recipe)[1]


@mutant("train", ("clip",))
def train_new7(params, world, recipe):
    return run_loop(params, world, recipe, clip=lambda g, c: compute_clip_scale(g, c) ** 2)
