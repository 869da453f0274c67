"""Between what figures lie usually, beside which a person reads those of a pair."""

USUAL: dict[str, tuple[float, float]] = {
    "content_loss": (0.22, 0.75),
    "style_loss": (0.0006, 0.004),
    "content_loss_heldout": (0.20, 0.73),
    "style_loss_heldout": (0.0005, 0.004),
    "style_loss_start": (0.28, 1.6),
    "style_loss_spectrogram": (0.0003, 0.001),
    "phase_convergence_db": (-16, -8),
    "chroma_similarity": (0.14, 0.60),
    "onset_correlation": (0.85, 0.98),
    "timbre_distance": (0.06, 0.19),
    "style_copy": (0.49, 0.76),
    "gain_db": (-6, 1.3),
}
"""The lowest and the highest of eight pairs of real music with the default parameters (manifests/README.md)."""
