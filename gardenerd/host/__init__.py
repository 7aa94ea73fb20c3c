"""What the machine and its user are doing, and the timer. Platform code lives here."""
