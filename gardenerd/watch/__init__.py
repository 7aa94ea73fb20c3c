"""What changed: filters, the watcher (a hint) and the scan (the truth)."""
