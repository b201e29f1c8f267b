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


@pytest.fixture
def net() -> Net:
    layers = (Layer(np.ones((3, 2)), None), Layer(np.zeros((5, 3)), np.arange(5)))
    return Net(Config.tiny(), layers, np.array(2.0), 7)


def test_names_are_dotted_paths_in_the_order_of_the_declarations(net: Net) -> None:
    assert list(flatten(net)) == ["layers.0.weight", "layers.1.weight", "layers.1.bias", "scale"]
    assert [name for name, _ in walk(net)] == list(flatten(net))
    assert flatten(net)["layers.1.weight"] is net.layers[1].weight


def test_an_array_alone_is_a_tree() -> None:
    x = np.ones(3)
    assert flatten(x) == {"": x} and map_tree(lambda x: x + 1, x).tolist() == [2, 2, 2]


@pytest.mark.parametrize("leaf", [None, 3, 2.5, "a word", Config(), (), Layer])
def test_what_holds_no_array_is_carried_along(leaf: object) -> None:
    assert flatten((leaf,)) == {}
    assert map_tree(lambda x: x, (leaf,)) == (leaf,)


def test_mapping_keeps_structure_and_static_parts(net: Net) -> None:
    doubled = map_tree(lambda x: x * 2, net)
    assert isinstance(doubled, Net) and isinstance(doubled.layers, tuple)
    assert (doubled.config, doubled.steps, doubled.layers[0].activation) == (net.config, 7, "gelu")
    assert doubled.layers[0].bias is None
    for name, x in flatten(net).items():
        np.testing.assert_array_equal(flatten(doubled)[name], 2 * x)
    np.testing.assert_array_equal(net.scale, 2.0), "the tree that came in is untouched"


def test_mapping_goes_over_several_trees_at_once(net: Net) -> None:
    total = map_tree(lambda x, y, z: x + y + z, net, net, map_tree(np.negative, net))
    for name, x in flatten(net).items():
        np.testing.assert_array_equal(flatten(total)[name], x)


def test_trees_of_different_structure_are_refused() -> None:
    x = np.ones(2)
    with pytest.raises(ValueError, match="different structure"):
        map_tree(np.add, (x, x), (x,))
    with pytest.raises(ValueError, match="different structure"):
        map_tree(np.add, (x, x), Layer(x, None, ""))


def test_unflatten_is_the_way_back(net: Net) -> None:
    again = unflatten(net, {name: x + 1 for name, x in flatten(net).items()})
    assert isinstance(again, Net) and again.steps == 7 and again.layers[0].bias is None
    np.testing.assert_array_equal(again.layers[1].bias, [1, 2, 3, 4, 5])


def test_unflatten_says_which_names_do_not_fit(net: Net) -> None:
    arrays = flatten(net)
    arrays["layers.2.weight"] = arrays.pop("layers.1.bias")
    with pytest.raises(ValueError, match=r"missing \['layers.1.bias'\], unknown \['layers.2.weight'\]"):
        unflatten(net, arrays)


def test_arrays_of_any_library_are_leaves() -> None:
    assert is_array(np.ones(2)) and is_array(np.float32(1)) and is_array(TapeArray(np.ones(2)))
    assert not is_array([1.0]) and not is_array(1.0) and not is_array(None)
