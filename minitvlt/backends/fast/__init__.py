"""The same functions as the plain kernels, faster."""
