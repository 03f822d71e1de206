"""Lenses: what the numbers of a run mean, as tables."""
