"""Tunewise: should you prompt it, ground it, or tune it?

The rooms are listed with one line each in the README. Importing this package loads none of them.
"""

__version__ = "0.1.0"
