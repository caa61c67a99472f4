"""Scores: counted once into a confusion matrix, every score a pure function of the counts."""
