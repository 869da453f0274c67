"""Which workers a run has, and what is said where there are none."""

import os
import sys
from contextlib import ExitStack

import pytest

from tasks.engines import workers_for
from tasks.records.reasons import OutOfReach, UsageError
from tasks.records.run import Options
from tasks.worker import Worker, crowd
from tests.servers import free_port


def test_on_this_machine_there_is_a_worker_for_each_device():
    with workers_for(Options(device="cpu", threads=3)) as workers:
        [worker] = workers
    assert isinstance(worker, Worker)
    assert (worker.device, worker.threads) == ("cpu", 3)


def test_workers_of_one_device_have_a_seat_each_and_share_its_cores():
    with workers_for(Options(device="cpu", workers_per_device=2)) as workers, ExitStack() as stack:
        assert [worker.threads for worker in workers] == [max(1, os.cpu_count() // 2)] * 2
        assert all(stack.enter_context(worker.reserved(lambda: False)) for worker in workers)


@pytest.mark.parametrize(
    ("device", "asked", "many", "threads"),
    [
        ("cpu", {}, 1, 8),
        ("cpu", {"workers_per_device": 3}, 3, 2),
        ("cpu", {"workers_per_device": 16}, 16, 1),
        ("cpu", {"workers_per_device": 2, "threads": 5}, 2, 5),
        ("cuda:1", {}, 2, 4),
        ("cuda:1", {"workers_per_device": 1}, 1, 8),
    ],
)
def test_a_gpu_has_two_workers_and_a_cpu_one_unless_it_is_said(device, asked, many, threads):
    assert crowd(Options(**asked), device, cores=8) == (many, threads)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'gramophone\[ray\]'"), workers_for(Options(engine="ray")):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}"])
def test_where_nobody_answers_it_says_how_to_start_one(address):
    options = Options(engine="ray", ray_address=address.format(free_port()))
    with pytest.raises(OutOfReach, match=r"no Ray cluster answers at .* `ray start --head`"), workers_for(options):
        pass


@pytest.mark.parametrize("address", ["head", "http://head:80", "me:canary@head:6379", "ray://head", "head:6379 --x"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="is not an address such as auto"):
        Options(ray_address=address)
