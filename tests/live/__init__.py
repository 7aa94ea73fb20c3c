"""Real daemons, real workers, real sockets."""
