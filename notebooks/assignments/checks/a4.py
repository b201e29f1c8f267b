"""Assignment a4: vector-Jacobian products, a tape, and a check of gradients."""

from .a4_attention import ATTENTION_BLANKS
from .a4_gradient_check import CHECK_BLANKS
from .a4_tape import TAPE_BLANKS
from .a4_vjps import SUM_BLANKS, VJP_BLANKS
from .blanks import Assignment
from .edits import add_mistakes

BLANKS = VJP_BLANKS + ATTENTION_BLANKS + SUM_BLANKS + TAPE_BLANKS + CHECK_BLANKS
ASSIGNMENT = add_mistakes(Assignment("a4_backpropagation", "Backpropagation", BLANKS), "a4.toml")
