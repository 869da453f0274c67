"""The numerics, pure PyTorch: tensors in, tensors out (no files, no buckets, no pandas, no printing).

A pair's result does not depend on its batch mates. On a CPU it is the same bit for bit, because there the items of a
batch go one after the other. On a GPU they go together: every reduction runs within one item, in an order of its own,
and nothing that steers an item reads another's numbers, so what is left is the rounding of the matrix products.
"""
