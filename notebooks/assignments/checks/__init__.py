"""The checks of the assignments: `checks.check(function)` in a notebook, and the autograder outside it."""
