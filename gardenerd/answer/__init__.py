"""Generation and scoring with the base model and adapters. Imported only inside the model worker."""
