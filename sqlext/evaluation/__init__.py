"""Evaluation of models: metrics, held-out rows, and the execution of EVALUATE MODEL."""
