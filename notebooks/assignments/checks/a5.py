"""Assignment 5: losses, AdamW, the learning rate, clipping, the training loop, and a stored run."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import minitvlt as mt
from minitvlt.model.pretraining import binary_cross_entropy, sum_squared_error
from minitvlt.training.optimizer import AdamWState, compute_learning_rate, decays, update_adamw

from .a5_run import judge_run
from .blanks import SUBMISSION_FOLDER, Assignment, Blank, Case, make_checks
from .edits import add_mistakes, read_text

# ---- references that are no functions of the package


def compute_clip_scale(gradients: dict[str, np.ndarray], clip_norm: float) -> float:
    """Compute the number that all gradients are multiplied by, so that their norm is at most `clip_norm`."""
    norm = math.sqrt(sum(float(np.sum(array * array)) for array in gradients.values()))
    return min(1.0, clip_norm / (norm + 1e-12))


def train(params: Any, world: Any, recipe: Any) -> tuple[Any, list[float]]:
    """Train a copy of a model; return it and the loss of each step."""
    compute = mt.value_and_grad(lambda tree, batch: mt.pretraining_loss(tree, batch).loss)
    params, losses = mt.map_tree(np.copy, params), []
    arrays = mt.flatten(params)
    states = {name: AdamWState(array, 0 * array, 0 * array) for name, array in arrays.items()}
    for step in range(recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        batch = mt.make_batch(world.sample(rng, recipe.batch_size), params.config, rng)
        loss, gradients = compute(params, batch)
        gradients = mt.flatten(gradients)
        scale = compute_clip_scale(gradients, recipe.clip_norm)
        for name, array in arrays.items():
            gradient, decaying = gradients[name] * scale, decays(name, array)
            states[name] = update_adamw(states[name], gradient, step, recipe, decaying)
            array[...] = states[name].parameters
        losses.append(float(loss))
    return params, losses


def stored_run(folder: str) -> str:
    """Return the folder of the run that is graded; its files are read by the grader."""
    return folder


# ---- calls


def name_recipe(values: dict[str, Any]) -> dict[str, Any]:
    """Give the values of a recipe names that are readable in feedback: "recipe.steps"."""
    return {f"recipe.{name}": value for name, value in values.items()}


def build_objects(arguments: dict[str, Any]) -> dict[str, Any]:
    """Build recipe and state from arguments such as "recipe.steps" and "state.mean"."""
    built = {name: value for name, value in arguments.items() if "." not in name}
    for owner, kind in (("recipe", mt.Recipe), ("state", AdamWState)):
        parts = {name.partition(".")[2]: x for name, x in arguments.items() if name.startswith(f"{owner}.")}
        if parts:
            built[owner] = kind(**parts)
    return built


def call_with_objects(function: Any, arguments: dict[str, Any]) -> Any:
    """Call a function that takes a recipe, and perhaps a state."""
    return function(**build_objects(arguments))


def call_train(function: Any, arguments: dict[str, Any]) -> Any:
    """Train, and give the parameters their names."""
    result = function(**build_objects(arguments))
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], mt.Params):
        return {"losses": result[1], "parameters": mt.flatten(result[0])}
    return result


def call_stored_run(function: Any, arguments: dict[str, Any]) -> Any:
    """Call the given function; the judge reads the files, and feedback shows the text if it finds faults."""
    function(arguments["folder"])
    return "the folder, whose files do not pass"


# ---- cases


def make_error_cases(rng: np.random.Generator) -> list[Case]:
    """Draw predictions, targets and masks."""

    def draw(tag: str, shape: tuple[int, int, int], is_hidden: Any) -> Case:
        prediction, target = rng.normal(size=(2, *shape))
        hidden = np.broadcast_to(np.array(is_hidden, bool), shape[:2]).copy()
        return Case({"prediction": prediction, "target": target, "is_hidden": hidden}, (tag,))

    uneven = [[1, 0, 1, 0, 0, 1, 1], [0, 0, 0, 0, 1, 0, 0], [1, 1, 1, 0, 1, 1, 1]]
    return [
        draw("one hidden patch of one value", (1, 1, 1), True),
        draw("patches of several values", (1, 1, 3), True),
        draw("visible patches", (1, 5, 1), [[0, 1, 0, 0, 0]]),
        draw("several hidden patches", (1, 5, 2), [[0, 1, 1, 0, 1]]),
        draw("rows that hide different numbers of patches", (3, 7, 5), uneven),
        draw("nothing hidden", (2, 3, 2), False),
    ]


def make_entropy_cases(rng: np.random.Generator) -> list[Case]:
    """Draw logits and the truth."""

    def case(tag: str, logits: Any, truth: Any) -> Case:
        return Case({"logits": np.array(logits, float), "truth": np.array(truth)}, (tag,))

    soft = rng.uniform(0.3, 2.5, size=(7,)) * np.array([1, -1, -1, 1, 1, -1, 1])
    grid = rng.normal(size=(3, 2))
    return [
        case("a pair that matches", [rng.uniform(0.5, 1.5)], [True]),
        case("a pair that does not match", [rng.uniform(0.5, 1.5)], [False]),
        case("negative logits", -rng.uniform(0.5, 1.5, size=2), [True, False]),
        case("several pairs", soft, [True, False, True, True, False, False, True]),
        case("truth given as 0 and 1", soft[:3], [1, 0, 1]),
        case("two axes", grid, [[True, False], [False, False], [True, True]]),
        case("large logits", [45.0, -45.0, 900.0, -900.0], [False, True, False, True]),
    ]


def make_rate_cases(rng: np.random.Generator) -> list[Case]:
    """Choose steps of recipes."""

    def case(tag: str, step: int, steps: int, warmup: int) -> Case:
        recipe = {
            "steps": steps,
            "warmup_steps": warmup,
            "learning_rate": round(float(rng.uniform(0.01, 0.1)), 3),
        }
        return Case({"step": step, **name_recipe(recipe)}, (tag,))

    return [
        case("step 0 without warm-up", 0, 4, 0),
        case("a later step without warm-up", 3, 7, 0),
        case("the first step of the warm-up", 0, 11, 5),
        case("a step within the warm-up", 2, 11, 5),
        case("the last step of the warm-up", 4, 11, 5),
        case("the first step after the warm-up", 5, 11, 5),
        case("a step of the cosine", 9, 18, 5),
        case("the last step", 17, 18, 5),
        case("a training that is all warm-up", 2, 3, 3),
    ]


def make_adamw_cases(rng: np.random.Generator) -> list[Case]:
    """Draw states and gradients. At step 3 of this recipe the learning rate is the highest one."""

    def case(
        tag: str, shape: tuple[int, ...], step: int, decaying: bool = True, size: float = 1, **values: Any
    ) -> Case:
        parameters, mean, gradient = rng.normal(size=(3, *shape))
        square = rng.uniform(0.5, 2, size=shape)
        past = 0.0 if step == 0 else size
        state = {"state.parameters": parameters, "state.mean": past * mean, "state.square": past**2 * square}
        arguments = {"step": step, **state, "gradient": size * gradient, "decays": decaying}
        recipe = {"weight_decay": 0, "learning_rate": 0.1, "warmup_steps": step, "steps": 13, **values}
        return Case({**arguments, **name_recipe(recipe)}, (tag,))

    return [
        case("the first step, without weight decay", (1,), 0),
        case("a later step", (1,), 3),
        case("other values of beta1 and beta2", (2,), 3, beta1=0.7, beta2=0.8),
        case("weight decay", (2,), 3, weight_decay=0.3),
        case("weight decay", (2,), 2, weight_decay=0.3, warmup_steps=5),
        case("decays=False", (2,), 3, decaying=False, weight_decay=0.3),
        case("a step within the warm-up", (2,), 2, warmup_steps=5),
        case("gradients of about 1e-8", (3,), 3, size=1e-8),
        case("gradients of 0", (2,), 0, size=0.0),
        case("an array of several axes", (3, 5, 2), 3),
    ]


def make_clip_cases(rng: np.random.Generator) -> list[Case]:
    """Draw gradients; norms are far from the limit."""

    def case(tag: str, clip_norm: float, size: float, *shapes: tuple[int, ...]) -> Case:
        signs = [rng.choice([-1, 1], size=shape) for shape in shapes]
        arrays = [size * sign * rng.uniform(1, 2, size=sign.shape) for sign in signs]
        names = ("encoder.cls", "decoder.norm.bias", "matching.output.weight")
        gradients = dict(zip(names, arrays, strict=False))
        return Case({"gradients": gradients, "clip_norm": clip_norm}, (tag,))

    return [
        case("one number", 0.5, 1.0, (1,)),
        case("one array", 0.5, 1.0, (5,)),
        case("a matrix", 0.7, 1.0, (2, 3)),
        case("several arrays", 0.5, 3.0, (3,), (3, 2), (2,)),
        case("a norm below the limit", 50.0, 1.0, (3,), (2, 2)),
        case("gradients of 0", 1.0, 0.0, (3,), (2,)),
    ]


@dataclass(frozen=True)
class StoredWorld:
    """Clips of the embedded world that were drawn before, because drawing takes longer than a step here."""

    clips: Any

    def sample(self, rng: np.random.Generator, count: int) -> Any:
        """Draw some of the clips."""
        chosen = rng.integers(len(self.clips.audio), size=count)
        return mt.map_tree(lambda array: array[chosen], self.clips)


def make_training_cases(rng: np.random.Generator) -> list[Case]:
    """Set up short trainings of a very small model, in float64, so that their losses are reproducible."""
    config = mt.Config.tiny(
        num_frames=2,
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=20,
        decoder_hidden_size=8,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=12,
    )
    seed = int(rng.integers(1000))
    world = StoredWorld(mt.ShapesWorld(config, max_count=1).sample(np.random.default_rng(seed), 40))
    params = mt.to_backend(mt.init(config, seed=seed), "numpy", dtype="float64")

    def case(tag: str, steps: int, **values: Any) -> Case:
        recipe = {
            "steps": steps,
            "batch_size": 2,
            "clip_norm": 1000.0,
            "weight_decay": 0,
            "seed": 0,
            "warmup_steps": 0,
        }
        arguments = name_recipe({**recipe, "learning_rate": 0.01, **values})
        return Case({**arguments, "world": world, "params": params}, (tag,))

    return [
        case("one step", 1),
        case("several steps", 3),
        case("another seed", 2, seed=seed + 1),
        case("a batch of 5 clips", 2, batch_size=5),
        case("gradients that are clipped", 4, clip_norm=0.3),
        case("weight decay", 2, weight_decay=2.0),
        case(
            "fifty steps", 50, batch_size=4, warmup_steps=5, weight_decay=0.01, clip_norm=1.0, seed=seed + 2
        ),
    ]


def make_run_cases(rng: np.random.Generator) -> list[Case]:
    """One case for each part of the stored run."""
    return [Case({"folder": SUBMISSION_FOLDER, "part": part}, (tag,)) for part, tag in RUN_PARTS.items()]


RUN_PARTS = {
    "files": "both files of a run, undamaged",
    "losses": "losses that belong to the stored model",
    "hidden audio": "hidden audio on held-out clips",
    "hidden video": "hidden video on held-out clips",
    "matching": "matching on held-out clips",
}


# ---- the assignment


ASSIGNMENT = add_mistakes(
    Assignment(
        name="a5_pretraining",
        title="Pre-training",
        blanks=(
            Blank(
                name="sum_squared_error",
                reference=sum_squared_error,
                make_cases=make_error_cases,
                checks=make_checks(make_error_cases, {}),
                reread="notebook 07, 'Masked autoencoding'",
                text=read_text(sum_squared_error),
            ),
            Blank(
                name="binary_cross_entropy",
                reference=binary_cross_entropy,
                make_cases=make_entropy_cases,
                checks=make_checks(make_entropy_cases, {"large logits": 2}),
                reread="notebook 07, 'Matching'",
                text=read_text(binary_cross_entropy),
            ),
            Blank(
                name="compute_learning_rate",
                reference=compute_learning_rate,
                make_cases=make_rate_cases,
                checks=make_checks(make_rate_cases, {}),
                reread="notebook 07, 'The learning rate'",
                text=read_text(compute_learning_rate),
                call=call_with_objects,
                float32_points=0,
                memory_points=0,
            ),
            Blank(
                name="update_adamw",
                reference=update_adamw,
                make_cases=make_adamw_cases,
                checks=make_checks(make_adamw_cases, {"weight decay": 2, "a later step": 2}),
                reread="notebook 07, 'AdamW'",
                text=read_text(update_adamw),
                call=call_with_objects,
            ),
            Blank(
                name="compute_clip_scale",
                reference=compute_clip_scale,
                make_cases=make_clip_cases,
                checks=make_checks(make_clip_cases, {}),
                reread="notebook 07, 'The loop'",
                text=read_text(compute_clip_scale),
                float32_points=0,
            ),
            Blank(
                name="train",
                reference=train,
                make_cases=make_training_cases,
                checks=make_checks(make_training_cases, {"several steps": 2, "fifty steps": 5}),
                reread="notebook 07, 'The loop'",
                text=read_text(train),
                float32_points=0,
                memory_points=2,
                call=call_train,
                tolerance=1e-6,
                seconds=20,
            ),
            Blank(
                name="stored_run",
                reference=stored_run,
                make_cases=make_run_cases,
                checks=make_checks(make_run_cases, dict.fromkeys(RUN_PARTS.values(), 3)),
                reread="the section 'The training' of this assignment",
                float32_points=0,
                memory_points=0,
                call=call_stored_run,
                judge=judge_run,
                is_given=True,
            ),
        ),
    ),
    "a5.toml",
)
