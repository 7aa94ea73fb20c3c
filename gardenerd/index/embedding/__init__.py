"""The static embedding of code: what a word is, how the table is trained, how it is measured.

``python -m gardenerd.index.embedding train`` makes the folder ``model/`` anew; ``evaluate``
measures it on packages that it never saw. At run time `gardenerd.index.embed` reads it.
"""
