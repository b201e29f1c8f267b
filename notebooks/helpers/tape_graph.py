"""The record of a computation as a graph: boxes for arrays, arrows in the direction of the computation."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from minitvlt.backends.tape import Node, TapeArray
from minitvlt.views.figures import NEUTRAL_COLOUR, NotebookFigure, with_style

Place = tuple[float, float]


@with_style
def plot_tape(output: TapeArray, names: Mapping[Node, str], size: tuple[float, float] = (9, 2.4)) -> Figure:
    """Draw the record of an array.

    Square boxes are parameters, round ones are results, with the function that recorded them; below stands
    the shape. The column of a box says how many steps it is away from the output, at the right.

    Args:
        output: the last array.
        names: what to call the nodes of parameters.
        size: width and height of the figure in inches.
    """
    figure = NotebookFigure(figsize=size)
    axes = figure.subplots()
    nodes = list_nodes(output.node)
    places = place_nodes(nodes)
    (left, low), (_, high) = (tuple(map(choose, zip(*places.values(), strict=True))) for choose in (min, max))
    top = high + 0.8  # where arrows that skip a column run, above all boxes
    boxes = {}
    for node in nodes:
        label = f"{name_node(node, names)}\n{' × '.join(map(str, node.shape)) or '1'}"
        box = {"boxstyle": "round" if node.edges else "square", "facecolor": "white"}
        text = axes.text(*places[node], label, ha="center", va="center", fontsize=11, bbox=box)
        boxes[node] = text.get_bbox_patch()
    for node in nodes:
        for parent in find_parents(node):
            start, stop = places[parent], places[node]
            arrow = {
                "arrowstyle": "->",
                "color": NEUTRAL_COLOUR,
                "linewidth": 1.5,
                "shrinkA": 0,
                "shrinkB": 2,
            }
            arrow |= {"patchA": boxes[parent], "patchB": boxes[node]}
            if stop[0] - start[0] > 1:
                line = {"color": NEUTRAL_COLOUR, "linewidth": 1.5, "zorder": 0}  # behind the box of its start
                axes.plot([start[0], start[0], stop[0]], [start[1], top, top], **line)
                start, arrow["patchA"] = (stop[0], top), None
            axes.annotate("", stop, start, arrowprops=arrow)
    axes.set(xlim=(left - 0.5, 0.5), ylim=(low - 0.5, top + 0.1))
    axes.axis("off")
    return figure


def find_parents(node: Node) -> list[Node]:
    """List what a node was computed from, without constants."""
    return [parent for parents, _ in node.edges for parent in parents if parent is not None]


def name_node(node: Node, names: Mapping[Node, str]) -> str:
    """The function that recorded a result, by the qualified name of its VJP; of a parameter, its name."""
    return node.edges[0][1].__qualname__.split(".")[0] if node.edges else names[node]


def list_nodes(last: Node) -> list[Node]:
    """List a node and everything that it was computed from, the latest first."""
    found, waiting = {last}, [last]
    while waiting:
        new = set(find_parents(waiting.pop())) - found
        found |= new
        waiting += new
    return sorted(found, key=lambda node: -node.number)


def place_nodes(nodes: list[Node]) -> dict[Node, Place]:
    """Give every node a column by its distance from the first, and a row.

    A node with an arrow to a distant column stands at the top of its own: nothing is above it.
    """
    depth: dict[Node, int] = {nodes[0]: 0}
    for node in nodes:
        for parent in find_parents(node):
            depth[parent] = max(depth.get(parent, 0), depth[node] + 1)
    skipping = {p for node in nodes for p in find_parents(node) if depth[p] > depth[node] + 1}
    places = {}
    for column in range(max(depth.values()) + 1):
        members = [node for node in nodes if depth[node] == column]
        members.sort(key=lambda node: node not in skipping)
        for row, node in enumerate(members):
            places[node] = (-column, (len(members) - 1) / 2 - row + column % 2 / 2)
    return places
