from tests.tasks.transfer.conftest import settings, threads

__all__ = ["settings", "threads"]
