"""What the daemon does with its parts: one file for each thing that it offers."""
