"""Which workers a run has, and what is said where there are none."""

import sys

import pytest

from tasks.engines import workers_for
from tasks.records.reasons import OutOfReach, UsageError
from tasks.records.run import Options
from tasks.worker import Worker
from tests.servers import free_port


def test_on_this_machine_there_is_a_worker_for_each_device():
    with workers_for(Options(device="cpu", threads=3)) as workers:
        [worker] = workers
    assert isinstance(worker, Worker)
    assert (worker.device, worker.threads) == ("cpu", 3)


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
