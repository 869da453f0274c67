"""How a process that runs the transfer is set up: torch's threads, and what the C library does with freed memory."""

import ctypes
import os

KEPT_BYTES = 64 << 20
MAPPED_BYTES = 8 << 20
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def set_up(threads: int = 0) -> None:
    """Let torch use so many threads (0: one for each core), and freed memory be used again.

    glibc gives the megabytes that each evaluation frees back to the kernel, which clears them anew for the next one:
    1 300 page faults and 4 of 39 ms an evaluation. Other C libraries are left as they are.
    """
    import torch

    torch.set_num_threads(threads or os.cpu_count() or 1)
    torch.backends.cudnn.allow_tf32 = False  # ten bits of a convolution are too few for a peak or a filter bank
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((MMAP_THRESHOLD, MAPPED_BYTES), (TRIM_THRESHOLD, KEPT_BYTES), (TOP_PAD, KEPT_BYTES // 4)):
            mallopt(option, value)
