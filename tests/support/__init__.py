"""Helpers that several test modules share: small networks, models, tables and readers of fixtures."""
