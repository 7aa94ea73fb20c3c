"""One training run: examples to adapter. Imported only inside the training run."""
