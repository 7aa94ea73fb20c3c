"""A version in the formats of others: peft, transformers, GGUF, ollama. Inside workers only."""
