"""What the notebooks need beside the package: figures, HTML for Jupyter, and the arithmetic of the model.

Jupyter starts a notebook in the folder that it lies in, so a notebook says `from helpers.flops import
count_flops`; a program that is run from the repository's root says `from notebooks.helpers.flops import ...`.
"""
