"""Answers that were computed, kept for as long as nothing more is written of their market."""
