"""Models that a server runs: any OpenAI-compatible one, or ollama. Nothing here imports torch."""
