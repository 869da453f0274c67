"""The numerics, pure PyTorch: tensors in, tensors out (no files, no buckets, no pandas, no printing)."""
