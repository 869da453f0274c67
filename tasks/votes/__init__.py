"""Blind listening: what is compared, what was voted, and what the votes say."""
