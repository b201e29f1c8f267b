"""Learning: what turns parameters into better parameters; draws no picture."""
