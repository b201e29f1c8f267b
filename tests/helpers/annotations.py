"""Bad input, as a user meets it."""

from collections.abc import Iterator
from contextlib import contextmanager

import jaxtyping


@contextmanager
def annotations_unchecked() -> Iterator[None]:
    """Switch the run-time check of annotations off, so that wrong axes meet the package's own ValueError.

    with annotations_unchecked(), pytest.raises(ValueError, match="expected"):
        patchify_video(np.zeros((2, 3)), (2, 2))
    """
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
