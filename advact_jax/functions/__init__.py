"""The activations, a file per family."""
