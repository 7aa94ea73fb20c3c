"""The command line of gardener: a thin client of the daemon."""
