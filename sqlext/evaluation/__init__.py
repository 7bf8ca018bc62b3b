"""Figures about a model: metrics, the held-out rows, and EVALUATE MODEL behind the grammar."""
