"""Scoring: the choice of the engine, the steps of a query, and the code that runs in Python workers."""
