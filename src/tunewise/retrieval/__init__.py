"""Questions → passages: queries, legs, fusion, reranking, diversity, the gate, the budget of tokens.

Knows nothing about prompts or models: whatever writes queries and counts tokens is handed in.
"""

from tunewise.retrieval.fusion import diversify, fuse, ordered
from tunewise.retrieval.gate import Fit
from tunewise.retrieval.queries import Generate, stand_alone
from tunewise.retrieval.rerank import LIKELIHOOD, RERANKED, Reranker, load_reranker
from tunewise.retrieval.retriever import Retriever, make_retriever

__all__ = [
    "Fit",
    "Generate",
    "LIKELIHOOD",
    "RERANKED",
    "Reranker",
    "Retriever",
    "diversify",
    "fuse",
    "load_reranker",
    "make_retriever",
    "ordered",
    "stand_alone",
]
