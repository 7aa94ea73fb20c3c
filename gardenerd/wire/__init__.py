"""The protocol between clients and the daemon."""
