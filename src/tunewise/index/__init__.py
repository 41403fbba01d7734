"""Vectors, full text and the access filter over the catalog's chunks, in generations that can be made again.

Knows nothing about models (an embedder is handed in) and keeps no truth: what it finds are chunk ids, and the passages
are read from the catalog, with the access groups of this moment.
"""

from tunewise.index.ahead import Ahead
from tunewise.index.generation import build
from tunewise.index.lexical import passage_text
from tunewise.index.place import stored_bytes
from tunewise.index.search import Index

__all__ = ["Ahead", "Index", "build", "passage_text", "stored_bytes"]
