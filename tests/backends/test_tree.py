"""Trees: what counts as a leaf, and that nothing of the structure is lost."""

from dataclasses import dataclass

import numpy as np
import pytest

from minitvlt.backends import Array, flatten, is_array, map_tree, unflatten, walk
from minitvlt.backends.tape import TapeArray
from minitvlt.config import Config


@dataclass(frozen=True)
class Layer:
    """A part with an optional array and something static"""

    weight: Array
    bias: Array | None
    activation: str = "gelu"


@dataclass(frozen=True)
class Net:
    """Parts inside parts"""

    config: Config
    layers: tuple[Layer, ...]
    scale: Array
    steps: int


LAYERS = (Layer(np.ones((3, 2)), None), Layer(np.zeros((5, 3)), np.arange(5)))
NET = Net(Config.tiny(), LAYERS, np.array(2.0), 7)


def test_names_are_dotted_paths_in_the_order_of_the_declarations() -> None:
    assert list(flatten(NET)) == ["layers.0.weight", "layers.1.weight", "layers.1.bias", "scale"]
    assert [name for name, _ in walk(NET)] == list(flatten(NET))
    assert flatten(NET)["layers.1.weight"] is NET.layers[1].weight
    x = np.ones(3)
    assert flatten(x) == {"": x} and map_tree(lambda x: x + 1, x).tolist() == [2, 2, 2]


@pytest.mark.parametrize("leaf", [None, 2.5, "a word", Config(), (), Layer])
def test_what_holds_no_array_is_carried_along(leaf: object) -> None:
    assert flatten((leaf,)) == {}
    assert map_tree(lambda x: x, (leaf,)) == (leaf,)


def test_mapping_and_unflattening_keep_structure_and_static_parts() -> None:
    doubled = map_tree(lambda x, y: x + y, NET, NET)
    again = unflatten(NET, {name: 2 * x for name, x in flatten(NET).items()})
    for made in (doubled, again):
        assert isinstance(made, Net) and isinstance(made.layers, tuple)
        assert (made.config, made.steps, made.layers[0].activation) == (NET.config, 7, "gelu")
        assert made.layers[0].bias is None and NET.scale == 2.0
        for name, x in flatten(NET).items():
            np.testing.assert_array_equal(flatten(made)[name], 2 * x)


def test_trees_and_names_that_do_not_fit_are_refused() -> None:
    x, arrays = np.ones(2), flatten(NET)
    for other in ((x,), Layer(x, None, "")):
        with pytest.raises(ValueError, match="different structure"):
            map_tree(np.add, (x, x), other)
    arrays["layers.2.weight"] = arrays.pop("layers.1.bias")
    with pytest.raises(ValueError, match=r"missing \['layers.1.bias'\], unknown \['layers.2.weight'\]"):
        unflatten(NET, arrays)


def test_arrays_of_any_library_are_leaves() -> None:
    assert is_array(np.ones(2)) and is_array(np.float32(1)) and is_array(TapeArray(np.ones(2)))
    assert not is_array([1.0]) and not is_array(1.0) and not is_array(None)
