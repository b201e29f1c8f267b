"""Speed and memory of this package beside transformers and librosa; README.md says how to run it."""
