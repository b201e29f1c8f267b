"""What an exception of the student's function means."""

from .outcomes import Problem

HINTS = (  # parts of messages, in the order in which they are looked for
    ("Expected", "A function is called with an argument that it does not take: the message says what it "
     "expects."),
    ("read-only", "It writes into its argument in place: copy it first, or make a new array."),
    ("output array is read-only", "It writes into its argument in place: copy it first, or make a new "
     "array."),
    ("cannot reshape", "The sizes given to reshape do not multiply to the number of values: is one written "
     "as a number, forgotten, or computed from the wrong axis? Take every size from .shape and the "
     "arguments."),
    ("could not be broadcast", "Two arrays have shapes that do not fit together: print both, and look for "
     "a missing keepdims=True, a missing [:, None], or a size that is written as a number."),
    ("non-broadcastable", "The result of an in-place operation has another shape than its target: use x = "
     "x + …."),
    ("matmul", "The inner sizes of a matrix product differ: a transpose is missing or too much, or the "
     "wrong axes are exchanged (np.swapaxes(x, -1, -2) exchanges the last two)."),
    ("not aligned", "The inner sizes of a matrix product differ: a transpose is missing or too much."),
    ("axes don't match", "transpose has as many entries as there are axes: count the axes of the array "
     "before it."),
    ("repeated axis", "An axis is named twice in transpose."),
    ("is out of bounds for axis", "An index goes beyond the end of an axis: a count is off by one, or "
     "belongs to another axis."),
    ("axis", "An axis is named that the array does not have: count its axes, or use a negative axis from "
     "the end."),
    ("too many indices", "There are more indices than axes: an axis was lost before, for instance without "
     "keepdims."),
    ("not enough values to unpack", "It unpacks more sizes than the array has axes, or more results than "
     "there are. If this line calls another function of the assignment, its argument has too few axes."),
    ("too many values to unpack", "It unpacks fewer sizes than the array has axes: leading axes have to be "
     "allowed for."),
    ("truth value of an array", "`if`, `and`, `or` or `not` was applied to an array: use np.where, &, | "
     "and ~."),
    ("can only be converted to Python scalar", "An array with several values is taken for a number: it "
     "works only for one value, such as a batch of 1."),
    ("only integer scalar arrays", "An array stands where one whole number is expected."),
    ("only length-1 arrays", "An array stands where one number is expected."),
    ("cannot be interpreted as an integer", "A float stands where a whole number is expected: use // for "
     "division, or int(…)."),
    ("slice indices must be integers", "A float stands in a slice: use // for division, or int(…)."),
    ("arrays used as indices", "Indices have to be whole numbers or booleans."),
    ("boolean index did not match", "A mask has another shape than the array that it selects from."),
    ("boolean subtract", "`-` does not work on booleans: use ~ for not, or ^ for different."),
    ("numpy boolean negative", "`-` does not work on booleans: use ~ for not."),
    ("same_kind", "An in-place operation would change the dtype, for instance a float added to integers: "
     "write x = x + … instead of x += …."),
    ("NoneType", "Something is None here: an optional argument that was not given, or a function without "
     "return. Handle `is None` first."),
    ("bad operand type for unary ~", "~ was applied to floats: it is for booleans."),
    ("ufunc 'invert'", "~ was applied to floats: it is for booleans."),
    ("missing", "A function is called with too few arguments."),
    ("unexpected keyword", "A function is called with an argument that it does not have: keep the "
     "signature as it was given."),
    ("positional argument", "A function is called with too many or too few arguments: keep the signature "
     "as it was given."),
    ("all the input array", "Arrays that are put together have different shapes."),
    ("zero-size array", "A maximum or minimum of nothing is taken: is a selection empty?"),
    ("inhomogeneous", "A list of rows of different lengths cannot become an array: fill the shorter rows "
     "up, or choose the same number in every row."),
    ("must have the same length", "Lists or arrays of different lengths are put together."),
    ("object is not callable", "A name that was a function means something else now: was it assigned to?"),
)  # fmt: skip
TYPES = {
    "NameError": "A name is used that was never assigned: is it spelled as where it was assigned, and "
    "defined inside the function?",
    "UnboundLocalError": "A variable is used on a path on which it was never assigned: is it only assigned "
    "inside an `if` or a loop?",
    "AttributeError": "The object does not have this method or attribute: is it spelled right, and is it "
    "an array?",
    "KeyError": "A dictionary has no entry of this name.",
    "IndexError": "An index goes beyond the end: a count is off by one, or belongs to another axis.",
    "ZeroDivisionError": "A number is divided by 0.",
    "RecursionError": "The function calls itself without end, or once for each step of a long chain: Python "
    "stops so deep a recursion. Use a loop.",
    "SyntaxError": "The code does not follow the rules of Python.",
    "ModuleNotFoundError": "A module is imported that is not installed: NumPy is enough.",
    "ImportError": "Something is imported that is not there: NumPy is enough.",
    "AssertionError": "An `assert` of your own fails.",
    "LinAlgError": "A routine of np.linalg does not take this matrix; it is hardly needed here.",
    "OverflowError": "A number is too large.",
    "SystemExit": "The function ends Python (exit, quit): return a value instead.",
    "KeyboardInterrupt": "The function was interrupted.",
    "StopIteration": "next(…) was called where nothing is left.",
    "UnicodeEncodeError": "A text cannot be written.",
    "FileNotFoundError": "A file is opened that is not there: the function should need no file.",
}


def explain_exception_text(problem: Problem) -> str:
    """A sentence on an exception, from its message or its type."""
    name, _, message = problem.text.partition(":")
    if name in ("NameError", "UnboundLocalError", "RecursionError"):
        return TYPES[name]
    for part, hint in HINTS:
        if part in message:
            return hint
    return TYPES.get(name) or f"The function raises {_article(name)}. Print the shapes just before this line."


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
