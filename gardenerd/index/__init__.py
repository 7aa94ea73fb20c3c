"""Chunks, vectors and search. Imported only inside the index worker."""
