"""A bucket that turns bad in mid-run ends it early, and so do too many failures; what is committed is kept."""

import pytest

from flows.nightly import nightly
from tasks.layout import Layout
from tasks.records.parameters import Parameters
from tasks.records.run import Job, Options
from tasks.results import read_end, read_results, read_runs
from tasks.store import join, open_store
from tasks.verify import verify
from tests.flows.conftest import QUICK, prefix_of_pairs
from tests.proxy import Fault, proxy_to

PAIRS = 8
REFUSED = {
    "results may not be written": ((), lambda method, path: method == "PUT" and "/results/" in path),
    "nothing may be written": (pytest.mark.chaos, lambda method, path: method == "PUT"),
    "the credentials are void": (pytest.mark.chaos, lambda method, path: True),
}


@pytest.fixture(scope="module")
def bucket(s3_server):
    """A manifest of eight pairs and their clips."""
    return prefix_of_pairs(s3_server, "stops", PAIRS)


@pytest.mark.parametrize("change", [pytest.param(name, marks=mark) for name, (mark, _) in REFUSED.items()])
def test_storage_that_turns_bad_for_good_ends_a_run_early_with_4(desk, bucket, s3_address, engine, change):
    store, root = open_store(bucket), join(bucket, f"{engine}-{change.replace(' ', '-')}")
    committed = []
    with proxy_to(s3_address) as proxy:

        def turn_bad(method, path, number):
            if committed and REFUSED[change][1](method, path):
                return Fault.DENIED_403
            if method == "PUT" and "/results/" in path:
                committed.append(path)
            return None

        proxy.script = turn_bad
        said = desk.type(
            "run", join(bucket, "manifest.parquet"), "--root", root, "--shard-pairs", "1",
            GRAMOPHONE_S3_ENDPOINT=proxy.url,
        )  # fmt: skip
    assert said.code == 4, said.out + said.err
    assert "AccessDenied" in said.err
    tried = {seen.path for seen in proxy.seen if seen.fault and "/results/" in seen.path and seen.method == "PUT"}
    assert len(tried) <= 3, "the other shards were not begun"
    assert "Traceback" not in said.err
    kept = read_results(store, Layout(root))
    assert list(kept.status) == ["ok"], "the one that was committed before"
    assert list(verify(store, Layout(root))) == []
    left = desk.ask("rerun", "--latest", "--root", root, "--dry-run", "--json")
    assert len(left.json["chosen"]) == PAIRS - 1


def test_more_failures_than_allowed_end_a_run_early_with_3(desk):
    desk.clip("whole")
    (desk.folder / "torn.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    contents = ["whole", "torn", "torn", "whole", "torn", "whole", "whole", "whole"]
    rows = [
        {"pair_id": f"p{n}", "content_uri": f"{name}.wav", "style_uri": "whole.wav", "seed": n}
        for n, name in enumerate(contents)
    ]
    root = f"file://{desk.folder}/allowed"
    job = Job(
        manifest=str(desk.folder / desk.manifest(rows, "allowed.parquet")), root=root, parameters=Parameters(**QUICK),
        options=Options(device="cpu", threads=1, shard_pairs=1, max_failures="20%"),
    )  # fmt: skip
    state = nightly(job, return_state=True)
    assert "; stopped: more pairs failed than --max-failures allows. Next: `gramophone rerun" in state.message
    assert state.message.startswith("1 of 8 pairs done; 2 failed: 2 decode_error; 5 not reached")
    store, layout = open_store(root), Layout(root)
    [run] = read_runs(store, layout)
    assert read_end(store, layout, run.run_id).exit_code == 3
    assert list(verify(store, layout)) == []
