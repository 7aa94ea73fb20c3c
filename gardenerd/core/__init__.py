"""Pure decisions: no I/O, no clock, no randomness but what is given."""
