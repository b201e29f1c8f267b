"""Solutions of assignment a4, wrong and right: the tape and the gradient check."""

import heapq

import numpy as np

from assignments.checks.a4_gradient_check import measure_slope
from assignments.checks.a4_tape import TapeArray
from minitvlt.backends.tape import sum_to_shape
from tests.assignments.mutants import mutant, variant

# ---- record


@mutant("record", "None in a constant's place")
def record_keeps_constants(value, parents, vjp):
    if any(isinstance(parent, TapeArray) for parent in parents):
        return TapeArray(value, tuple(parents), vjp)
    return value


@mutant("record", "move up")
def record_drops_constants(value, parents, vjp):
    recorded = tuple(parent for parent in parents if isinstance(parent, TapeArray))
    return TapeArray(value, recorded, vjp) if recorded else value


@mutant("record", "constants alone")
def record_always(value, parents, vjp):
    return TapeArray(value, tuple(p if isinstance(p, TapeArray) else None for p in parents), vjp)


@mutant("record", "not all")
def record_if_all(value, parents, vjp):
    if not all(isinstance(parent, TapeArray) for parent in parents):
        return value
    return TapeArray(value, tuple(parents), vjp)


@mutant("record", "not stored")
def record_value_alone(value, parents, vjp):
    if any(isinstance(parent, TapeArray) for parent in parents):
        return TapeArray(value)
    return value


@mutant("record", "during the forward pass")
def record_runs_vjp(value, parents, vjp):
    recorded = tuple(p if isinstance(p, TapeArray) else None for p in parents)
    if not any(recorded):
        return value
    found = vjp(np.ones_like(value))
    return TapeArray(value, recorded, lambda g: found)


@mutant("record", ("a list", "None", "return"))
def record_returns_nothing(value, parents, vjp):
    recorded = tuple(p if isinstance(p, TapeArray) else None for p in parents)
    TapeArray(value, recorded, vjp)


@mutant("record", "first parent")
def record_by_first(value, parents, vjp):
    if not isinstance(parents[0], TapeArray):
        return value
    return TapeArray(value, tuple(p if isinstance(p, TapeArray) else None for p in parents), vjp)


@variant("record")
def record_by_loop(value, parents, vjp):
    kept, found = [], False
    for parent in parents:
        if isinstance(parent, TapeArray):
            kept.append(parent)
            found = True
        else:
            kept.append(None)
    if found:
        return TapeArray(value, tuple(kept), vjp)
    return value


@variant("record")
def record_by_type(value, parents, vjp):
    kept = [parent if type(parent) is TapeArray else None for parent in parents]
    return value if kept.count(None) == len(kept) else TapeArray(value, kept, vjp)


@variant("record")
def record_sets_attributes(value, parents, vjp):
    if not any(isinstance(parent, TapeArray) for parent in parents):
        return value
    result = TapeArray(value)
    result.parents = tuple(p if hasattr(p, "cotangent") else None for p in parents)
    result.vjp = vjp
    return result


@variant("record")
def record_wraps_vjp(value, parents, vjp):
    kept = tuple(parent if isinstance(parent, TapeArray) else None for parent in parents)
    if set(kept) == {None}:
        return value
    return TapeArray(value, kept, lambda g: vjp(g))


# ---- backward


def start(output, cotangent):
    return np.ones_like(output.value) if cotangent is None else cotangent


@mutant("backward", "all uses")
def backward_overwrites(output, cotangent=None):
    output.cotangent = start(output, cotangent)
    waiting = {output}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        waiting.remove(latest)
        if latest.vjp is None:
            continue
        for parent, g in zip(latest.parents, latest.vjp(latest.cotangent), strict=True):
            if parent is not None:
                parent.cotangent = sum_to_shape(g, parent.value)
                waiting.add(parent)


@mutant("backward", "largest number")
def backward_breadth_first(output, cotangent=None):
    found, queue, seen = {output: start(output, cotangent)}, [output], set()
    while queue:
        array = queue.pop(0)
        if array in seen:
            continue
        seen.add(array)
        array.cotangent = found[array]
        for parent, g in zip(array.parents, array.vjp(found[array]) if array.vjp else (), strict=True):
            if parent is not None:
                found[parent] = found.get(parent, 0) + sum_to_shape(g, parent.value)
                parent.cotangent = found[parent]
                queue.append(parent)


@mutant("backward", "second pass")
def backward_as_in_the_notebook(output, cotangent=None):
    output.cotangent = start(output, cotangent)
    waiting = {output}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        waiting.remove(latest)
        if latest.vjp is not None:
            for parent, g in zip(latest.parents, latest.vjp(latest.cotangent), strict=True):
                if parent is not None:
                    g = sum_to_shape(g, parent.value)
                    parent.cotangent = g if parent.cotangent is None else parent.cotangent + g
                    waiting.add(parent)


@mutant("backward", "in place")
def backward_adds_in_place(output, cotangent=None):
    waiting = {output: start(output, cotangent)}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        g = latest.cotangent = waiting.pop(latest)
        for parent, part in zip(latest.parents, latest.vjp(g) if latest.vjp else (), strict=True):
            if parent is not None:
                part = sum_to_shape(part, parent.value)
                if parent in waiting:
                    waiting[parent] += part
                else:
                    waiting[parent] = part


@mutant("backward", "recursion")
def backward_by_recursion(output, cotangent=None):
    order, seen = [], set()

    def visit(array):
        seen.add(array)
        for parent in array.parents:
            if parent is not None and parent not in seen:
                visit(parent)
        order.append(array)

    visit(output)
    found = {output: start(output, cotangent)}
    for array in reversed(order):
        array.cotangent = found[array]
        for parent, g in zip(array.parents, array.vjp(found[array]) if array.vjp else (), strict=True):
            if parent is not None:
                found[parent] = found.get(parent, 0) + sum_to_shape(g, parent.value)


@mutant("backward", "sum_to_shape")
def backward_without_sum_to_shape(output, cotangent=None):
    waiting = {output: start(output, cotangent)}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        g = latest.cotangent = waiting.pop(latest)
        for parent, part in zip(latest.parents, latest.vjp(g) if latest.vjp else (), strict=True):
            if parent is not None:
                waiting[parent] = waiting[parent] + part if parent in waiting else part


@mutant("backward", "`cotangent`")
def backward_always_ones(output, cotangent=None):
    waiting = {output: np.ones_like(output.value)}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        g = latest.cotangent = waiting.pop(latest)
        for parent, part in zip(latest.parents, latest.vjp(g) if latest.vjp else (), strict=True):
            if parent is not None:
                part = sum_to_shape(part, parent.value)
                waiting[parent] = waiting[parent] + part if parent in waiting else part


@mutant("backward", "constant")
def backward_with_constants(output, cotangent=None):
    waiting = {output: start(output, cotangent)}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        g = latest.cotangent = waiting.pop(latest)
        for parent, part in zip(latest.parents, latest.vjp(g) if latest.vjp else (), strict=True):
            part = sum_to_shape(part, parent.value)
            waiting[parent] = waiting[parent] + part if parent in waiting else part


@mutant("backward", "each array once")
def backward_path_by_path(output, cotangent=None):
    stack, seen = [(output, start(output, cotangent))], set()
    while stack:
        array, g = stack.pop()
        g = sum_to_shape(g, array.value)
        array.cotangent = array.cotangent + g if array in seen else g
        seen.add(array)
        for parent, part in zip(array.parents, array.vjp(g) if array.vjp else (), strict=True):
            if parent is not None:
                stack.append((parent, part))


@mutant("backward", "parameter")
def backward_calls_missing_vjp(output, cotangent=None):
    waiting = {output: start(output, cotangent)}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        g = latest.cotangent = waiting.pop(latest)
        if latest is output or latest.parents:
            for parent, part in zip(latest.parents, latest.vjp(g), strict=True):
                if parent is not None:
                    part = sum_to_shape(part, parent.value)
                    waiting[parent] = waiting[parent] + part if parent in waiting else part


@variant("backward")
def backward_by_heap(output, cotangent=None):
    found = {output.number: start(output, cotangent)}
    heap = [(-output.number, output)]
    while heap:
        number, array = heapq.heappop(heap)
        g = found[-number]
        array.cotangent = g
        if not array.parents:
            continue
        for parent, part in zip(array.parents, array.vjp(g), strict=True):
            if parent is None:
                continue
            part = sum_to_shape(part, parent.value)
            if parent.number not in found:
                heapq.heappush(heap, (-parent.number, parent))
                found[parent.number] = part
            else:
                found[parent.number] = found[parent.number] + part


@variant("backward")
def backward_collects_first(output, cotangent=None):
    found, stack = {output}, [output]
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in found:
                found.add(parent)
                stack.append(parent)
    for array in found:
        array.cotangent = None
    output.cotangent = start(output, cotangent)
    for array in sorted(found, key=lambda each: -each.number):
        if array.vjp is None:
            continue
        for parent, part in zip(array.parents, array.vjp(array.cotangent), strict=True):
            if parent is not None:
                part = sum_to_shape(part, parent.value)
                parent.cotangent = part if parent.cotangent is None else parent.cotangent + part


@variant("backward")
def backward_by_counting_uses(output, cotangent=None):
    uses, stack = {output: 0}, [output]
    while stack:
        for parent in stack.pop().parents:
            if parent is not None:
                if parent not in uses:
                    uses[parent] = 0
                    stack.append(parent)
                uses[parent] += 1
    parts, ready = {output: [start(output, cotangent)]}, [output]
    while ready:
        array = ready.pop()
        array.cotangent = sum(parts[array][1:], parts[array][0])
        for parent, part in zip(array.parents, array.vjp(array.cotangent) if array.vjp else (), strict=True):
            if parent is not None:
                parts.setdefault(parent, []).append(sum_to_shape(part, parent.value))
                uses[parent] -= 1
                if uses[parent] == 0:
                    ready.append(parent)


@variant("backward")
def backward_with_copies(output, cotangent=None):
    waiting = [output]
    output.cotangent = start(output, cotangent).copy()
    reached = {id(output)}
    while waiting:
        waiting.sort(key=lambda array: array.number)
        array = waiting.pop()
        if array.vjp is None:
            continue
        for parent, part in zip(array.parents, array.vjp(array.cotangent), strict=True):
            if parent is None:
                continue
            part = np.array(sum_to_shape(part, parent.value))
            if id(parent) in reached:
                parent.cotangent = parent.cotangent + part
            else:
                reached.add(id(parent))
                parent.cotangent = part
                waiting.append(parent)


# ---- measure_slope


def move(arrays, directions, step):
    return [array.astype(float) + step * v for array, v in zip(arrays, directions, strict=True)]


@mutant("measure_slope", "one-sided")
def slope_forwards(function, arrays, directions, step):
    arrays = [array.astype(float) for array in arrays]
    return (function(*move(arrays, directions, step)) - function(*arrays)) / step


@mutant("measure_slope", "2ε")
def slope_without_two(function, arrays, directions, step):
    return (function(*move(arrays, directions, step)) - function(*move(arrays, directions, -step))) / step


@mutant("measure_slope", "float64")
def slope_in_float32(function, arrays, directions, step):
    ahead = [(a + step * v).astype(a.dtype) for a, v in zip(arrays, directions, strict=True)]
    behind = [(a - step * v).astype(a.dtype) for a, v in zip(arrays, directions, strict=True)]
    return float(function(*ahead) - function(*behind)) / (2 * step)


@mutant("measure_slope", ("first array", "several arrays"))
def slope_of_first_array(function, arrays, directions, step):
    first, rest = arrays[0].astype(float), [array.astype(float) for array in arrays[1:]]
    ahead, behind = first + step * directions[0], first - step * directions[0]
    return (function(ahead, *rest) - function(behind, *rest)) / (2 * step)


@mutant("measure_slope", "by itself")
def slope_array_by_array(function, arrays, directions, step):
    total = 0.0
    arrays = [array.astype(float) for array in arrays]
    for i, v in enumerate(directions):
        ahead, behind = list(arrays), list(arrays)
        ahead[i], behind[i] = arrays[i] + step * v, arrays[i] - step * v
        total += (function(*ahead) - function(*behind)) / (2 * step)
    return total


@mutant("measure_slope", "multiplied by the step")
def slope_without_brackets(function, arrays, directions, step):
    return (function(*move(arrays, directions, step)) - function(*move(arrays, directions, -step))) / 2 * step


@mutant("measure_slope", "in place")
def slope_in_place(function, arrays, directions, step):
    for array, v in zip(arrays, directions, strict=True):
        array += step * v
    ahead = function(*(array.astype(float) for array in arrays))
    for array, v in zip(arrays, directions, strict=True):
        array -= 2 * step * v
    return (ahead - function(*(array.astype(float) for array in arrays))) / (2 * step)


@mutant("measure_slope", "direction")
def slope_along_ones(function, arrays, directions, step):
    ahead, behind = [array.astype(float) + step for array in arrays], [array - step for array in arrays]
    return (function(*ahead) - function(*behind)) / (2 * step)


@variant("measure_slope")
def slope_by_numbers(function, arrays, directions, step):
    values = []
    for sign in (1, -1):
        moved = [
            np.array(a, dtype=np.float64) + sign * step * v for a, v in zip(arrays, directions, strict=True)
        ]
        values.append(float(function(*moved)))
    return (values[0] - values[1]) / step / 2


@variant("measure_slope")
def slope_by_inner_function(function, arrays, directions, step):
    def at(t):
        return function(*[np.float64(a) + t * np.float64(v) for a, v in zip(arrays, directions, strict=True)])

    return (at(step) - at(-step)) / (2.0 * step)


@variant("measure_slope")
def slope_by_copies(function, arrays, directions, step):
    copies = [array.astype(np.float64, copy=True) for array in arrays]
    for array, v in zip(copies, directions, strict=True):
        array += step * v
    ahead = function(*copies)
    for array, original, v in zip(copies, arrays, directions, strict=True):
        array[...] = original - step * v
    return 0.5 * (ahead - function(*copies)) / step


@variant("measure_slope")
def slope_by_steps(function, arrays, directions, step):
    steps = [np.multiply(v, step, dtype=float) for v in directions]
    ahead = [np.add(array, s, dtype=float) for array, s in zip(arrays, steps, strict=True)]
    behind = [np.subtract(array, s, dtype=float) for array, s in zip(arrays, steps, strict=True)]
    return np.float64(function(*ahead) - function(*behind)) / (step + step)


# ---- check_gradients


@mutant("check_gradients", "same direction")
def check_with_a_generator_each(function, arrays, gradients, rng, tolerance=1e-5):
    for seed in range(3):
        directions = [np.random.default_rng(seed).normal(size=array.shape) for array in arrays]
        slope = measure_slope(function, arrays, directions, 1e-5)
        total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
        if not abs(slope - total) <= tolerance * max(abs(slope), abs(total)):
            return False
    return True


@mutant("check_gradients", "nan")
def check_accepts_nan(function, arrays, gradients, rng, tolerance=1e-5):
    for _ in range(3):
        directions = [rng.normal(size=array.shape) for array in arrays]
        slope = measure_slope(function, arrays, directions, 1e-5)
        total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
        if abs(slope - total) > tolerance * max(abs(slope), abs(total)):
            return False
    return True


@mutant("check_gradients", "absolute")
def check_absolute(function, arrays, gradients, rng, tolerance=1e-5):
    directions = [rng.normal(size=array.shape) for array in arrays]
    slope = measure_slope(function, arrays, directions, 1e-5)
    total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    return bool(abs(slope - total) < tolerance)


@mutant("check_gradients", "absolute")
def check_by_isclose(function, arrays, gradients, rng, tolerance=1e-5):
    directions = [rng.normal(size=array.shape) for array in arrays]
    slope = measure_slope(function, arrays, directions, 1e-5)
    total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    return bool(np.isclose(slope, total, rtol=tolerance))


@mutant("check_gradients", "random")
def check_along_ones(function, arrays, gradients, rng, tolerance=1e-5):
    directions = [np.ones(array.shape) for array in arrays]
    slope = measure_slope(function, arrays, directions, 1e-5)
    total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    return bool(abs(slope - total) <= tolerance * max(abs(slope), abs(total)))


@mutant("check_gradients", "always True")
def check_always(function, arrays, gradients, rng, tolerance=1e-5):
    return True


@mutant("check_gradients", "absolute value")
def check_without_magnitude(function, arrays, gradients, rng, tolerance=1e-5):
    directions = [rng.normal(size=array.shape) for array in arrays]
    slope = measure_slope(function, arrays, directions, 1e-5)
    total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    return bool(slope - total <= tolerance * max(abs(slope), abs(total)))


@mutant("check_gradients", "another one")
def check_with_new_directions(function, arrays, gradients, rng, tolerance=1e-5):
    slope = measure_slope(function, arrays, [rng.normal(size=array.shape) for array in arrays], 1e-5)
    total = sum((g * rng.normal(size=g.shape)).sum() for g in gradients)
    return bool(abs(slope - total) <= tolerance * max(abs(slope), abs(total)))


@mutant("check_gradients", "constant loss")
def check_by_division(function, arrays, gradients, rng, tolerance=1e-5):
    directions = [rng.normal(size=array.shape) for array in arrays]
    slope = measure_slope(function, arrays, directions, 1e-5)
    total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    return bool(abs(slope - total) / max(abs(slope), abs(total)) <= tolerance)


@mutant("check_gradients", "too large")
def check_loosely(function, arrays, gradients, rng, tolerance=1e-5):
    directions = [rng.normal(size=array.shape) for array in arrays]
    slope = measure_slope(function, arrays, directions, 1e-5)
    total = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    return bool(abs(slope - total) <= 0.05 * max(abs(slope), abs(total)))


@variant("check_gradients")
def check_with_one_vector(function, arrays, gradients, rng, tolerance=1e-5):
    for _ in range(5):
        vector = rng.standard_normal(sum(array.size for array in arrays))
        parts = np.split(vector, np.cumsum([array.size for array in arrays])[:-1])
        directions = [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]
        slope = measure_slope(function, arrays, directions, 1e-5)
        total = np.dot(vector, np.concatenate([g.ravel() for g in gradients]))
        if not np.isclose(slope, total, rtol=tolerance, atol=0):
            return False
    return True


@variant("check_gradients")
def check_each_array(function, arrays, gradients, rng, tolerance=1e-5):
    answers = []
    for i, g in enumerate(gradients):
        directions = [np.zeros(array.shape) for array in arrays]
        directions[i] = rng.normal(size=g.shape)
        slope = measure_slope(function, arrays, directions, 1e-5)
        total = float((g * directions[i]).sum())
        answers.append(abs(slope - total) <= tolerance * max(abs(slope), abs(total)))
    return all(answers)


@variant("check_gradients")
def check_with_own_differences(function, arrays, gradients, rng, tolerance=1e-5):
    for _ in range(3):
        directions = [rng.normal(size=array.shape) for array in arrays]
        pairs = [(np.array(a, float), 1e-5 * v) for a, v in zip(arrays, directions, strict=True)]
        slope = (function(*(a + s for a, s in pairs)) - function(*(a - s for a, s in pairs))) / 2e-5
        total = sum(np.vdot(g, v) for g, v in zip(gradients, directions, strict=True))
        error, size = abs(slope - total), max(abs(slope), abs(total))
        if np.isnan(error) or error > size * tolerance:
            return False
    return True


@variant("check_gradients")
def check_by_elements(function, arrays, gradients, rng, tolerance=1e-5):
    for i, (array, g) in enumerate(zip(arrays, gradients, strict=True)):
        slopes = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            directions = [np.zeros(each.shape) for each in arrays]
            directions[i][index] = 1.0
            slopes[index] = measure_slope(function, arrays, directions, 1e-5)
        if not np.linalg.norm(slopes - g) <= tolerance * max(np.linalg.norm(slopes), np.linalg.norm(g)):
            return False
    return True
