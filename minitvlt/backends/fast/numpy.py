"""The NumPy backend with faster versions of the functions in which a network spends its time."""

from minitvlt.backends.numpy_backend import *  # noqa: I001
from minitvlt.backends.fast.attention import attention as attention
from minitvlt.backends.fast.kernels import gelu as gelu
from minitvlt.backends.fast.kernels import linear as linear
