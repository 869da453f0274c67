"""What happens to one pair or one shard, callable from plain Python (no Prefect in here)."""

import os

# Before torch is imported: its threads otherwise wait by spinning, and beside another busy process on the same cores
# that made a transfer thirty times slower (47.6 s against 1.6 s, two such processes on two cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
