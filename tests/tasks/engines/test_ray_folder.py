"""What a killed run leaves of Ray's folder is gone with the next, and what another run holds stays."""

import os

from filelock import FileLock

from tasks.engines import ray_folder as module
from tasks.engines.ray_folder import LOCK, NAME, ray_folder


def left_behind(top, name, age):
    folder = top / f"{NAME}{name}"
    (folder / "r").mkdir(parents=True)
    (folder / LOCK).touch()
    os.utime(folder / LOCK, (os.stat(folder).st_mtime - age,) * 2)
    return folder


def test_a_folder_of_a_killed_run_goes_and_one_that_is_held_or_begins_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHORT", tmp_path)
    killed, held, young = (left_behind(tmp_path, name, age) for name, age in (("a", 100), ("b", 100), ("c", 0)))
    with FileLock(held / LOCK):
        os.utime(held / LOCK, (os.stat(killed / LOCK).st_mtime,) * 2)
        with ray_folder() as folder:
            assert folder.parent == tmp_path
            assert (killed.exists(), held.exists(), young.exists()) == (False, True, True)
        assert not folder.exists()
