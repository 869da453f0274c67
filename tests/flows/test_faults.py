"""A night on storage of which one request in ten fails: no pair fails for it."""

import secrets

import pandas as pd
import pytest

from tasks.audio import encode
from tasks.clips import synthesise
from tasks.layout import Layout
from tasks.results import read_results
from tasks.store import join, open_store
from tasks.verify import verify
from tests.proxy import Fault, proxy_to

FAULTS = (Fault.ERROR_500, Fault.ERROR_503, Fault.RESET, Fault.CUT_BODY, Fault.LOST_ANSWER)


@pytest.mark.parametrize("pairs", [12, pytest.param(100, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])])
def test_no_pair_fails_when_one_request_in_ten_does(desk, s3_server, s3_address, pairs):
    uri = join(s3_server, f"faults-{secrets.token_hex(4)}")
    store, root = open_store(uri), join(uri, "root")
    for name, kind in (("tune", "marimba"), ("texture", "bells")):
        store.create(join(uri, f"{name}.flac"), encode(synthesise(kind, 2.0, 8_000), 8_000, "flac"))
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.flac", "style_uri": "texture.flac", "seed": n} for n in range(pairs)
    ]
    store.create(join(uri, "manifest.parquet"), pd.DataFrame(rows).to_parquet())
    with proxy_to(s3_address, seed=7, share=0.1, faults=FAULTS) as proxy:
        found = desk.type("run", join(uri, "manifest.parquet"), "--root", root, GRAMOPHONE_S3_ENDPOINT=proxy.url)
    assert found.code == 0, found.out + found.err
    faulty = sum(seen.fault is not None for seen in proxy.seen)
    assert faulty > len(proxy.seen) / 20
    assert list(verify(store, Layout(root))) == []
    results = read_results(store, Layout(root))
    assert len(results) == pairs
    assert (results.status == "ok").all()
    print(f"{pairs} pairs: {len(proxy.seen)} requests, {faulty} of them failed, no pair did")
