"""Rows in, adapter folders out. Nothing in answering imports this room; `models` loads what it leaves on the disk."""

from __future__ import annotations

from tunewise.training.methods import METHODS
from tunewise.training.rows import RowReport, TrainingRow, raft_rows, sft_rows
from tunewise.training.settings import RECIPES, TrainingSettings

__all__ = ["METHODS", "RECIPES", "RowReport", "TrainingRow", "TrainingSettings", "raft_rows", "sft_rows"]
