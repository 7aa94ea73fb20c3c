"""Generation and scoring with the base model and adapters. Inside the model worker only."""
