"""Train a network for one style on a corpus of contents (numerics: tasks/transfer/feedforward)."""
