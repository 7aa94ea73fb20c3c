"""The backend that runs the base model in this process, by transformers and peft."""
