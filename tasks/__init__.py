"""What happens to one pair or one shard, callable from plain Python (no Prefect in here)."""
