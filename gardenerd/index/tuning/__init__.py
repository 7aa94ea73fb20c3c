"""The embedded model fine-tuned on the user's own code: pairs, training, measuring."""
