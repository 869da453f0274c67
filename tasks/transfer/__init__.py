"""The numerics, pure PyTorch: tensors in, tensors out (no files, no buckets, no pandas, no printing).

A pair's result does not depend on its batch mates. On a CPU it is the same bit for bit, because every reduction runs
over one item's last axis and then the next (other forms of sum choose their order by the size of the batch).
"""
