"""One storage request in ten fails, in all ways: no pair does for it. What is damaged for good fails alone."""

import os
import secrets
from collections import Counter

import pandas as pd
import pytest

from tasks.audio import encode
from tasks.clips import synthesise
from tasks.layout import Layout
from tasks.results import read_results
from tasks.store import join, open_store
from tasks.verify import verify
from tests.proxy import Fault, proxy_to

FAULTS = tuple(fault for fault in Fault if fault not in (Fault.DENIED_403, Fault.ARCHIVED_403))  # which do not pass
BRISK = {"GRAMOPHONE_S3_TIMEOUT_SECONDS": "2"}
"""So that a request that hangs does not hold the test up for as long as it may a night."""


def filled(prefix, rows):
    """A prefix with a tune, a texture, and a manifest of these rows over them; its store."""
    store = open_store(prefix)
    for name, kind in (("tune", "marimba"), ("texture", "bells")):
        store.create(join(prefix, f"{name}.flac"), encode(synthesise(kind, 2.0, 8_000), 8_000, "flac"))
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.flac", "style_uri": "texture.flac", "seed": n} | row
        for n, row in enumerate(rows)
    ]
    store.create(join(prefix, "manifest.parquet"), pd.DataFrame(rows).to_parquet())
    return store


@pytest.mark.parametrize("pairs", [8, pytest.param(100, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])])
def test_no_pair_fails_when_one_request_in_ten_does(desk, s3_server, s3_address, pairs):
    uri = join(s3_server, f"faults-{secrets.token_hex(4)}")
    store, root = filled(uri, [{}] * pairs), join(uri, "root")
    seed = int(os.environ.get("CHAOS_SEED", "7"))
    with proxy_to(s3_address, seed=seed, share=0.1, faults=FAULTS) as proxy:
        there = {"GRAMOPHONE_S3_ENDPOINT": proxy.url, **BRISK}
        found = desk.type("run", join(uri, "manifest.parquet"), "--root", root, **there)
    assert found.code == 0, found.out + found.err
    faults = Counter(str(seen.fault) for seen in proxy.seen if seen.fault)
    assert faults.total() > len(proxy.seen) / 20
    assert list(verify(store, Layout(root))) == []
    results = read_results(store, Layout(root))
    assert len(results) == pairs
    assert (results.status == "ok").all()
    told = ", ".join(f"{count} {fault}" for fault, count in faults.most_common())
    print(f"seed {seed}, {pairs} pairs: {len(proxy.seen)} requests, {faults.total()} failed ({told}), no pair did")


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_what_is_damaged_or_out_of_reach_for_good_fails_alone_and_stops_no_run(desk, s3_server, s3_address):
    """Four damaged tracks in a row: that is no storage that fails for good."""
    uri = join(s3_server, f"damaged-{secrets.token_hex(4)}")
    damaged = [{"content_uri": f"damaged-{n}.flac"} for n in range(4)]
    faulty = [{"content_uri": f"{fault}.flac"} for fault in (Fault.ERROR_503, Fault.HANG)]
    store, root = filled(uri, [{}, *damaged, {}, *faulty, {}]), join(uri, "root")
    sound = store.read(join(uri, "tune.flac"))
    for row in faulty:
        store.create(join(uri, row["content_uri"]), sound.data)
    for row in damaged:
        bucket, key = join(uri, row["content_uri"])[5:].split("/", 1)
        bytes_ = bytearray(sound.data)
        bytes_[len(bytes_) // 2] ^= 1
        store._ask("put_object", Bucket=bucket, Key=key, Body=bytes(bytes_), Metadata={"sha256": sound.sha256})

    def script(method, path, number):
        return next((Fault(row["content_uri"][:-5]) for row in faulty if path.endswith(row["content_uri"])), None)

    with proxy_to(s3_address) as proxy:
        proxy.script = script
        there = {"GRAMOPHONE_S3_ENDPOINT": proxy.url, "GRAMOPHONE_SHARD_PAIRS": "9", **BRISK}
        found = desk.type("run", join(uri, "manifest.parquet"), "--root", root, **there)
    assert found.code == 1, found.out + found.err
    rows = read_results(store, Layout(root)).sort_values("manifest_row")
    assert list(rows.reason.fillna("ok")) == ["ok", *["decode_error"] * 4, "ok", "storage", "storage", "ok"]
    assert rows.message[rows.reason == "decode_error"].str.contains("damaged in its bucket").all()
    asked = Counter((seen.method, seen.path) for seen in proxy.seen if seen.fault)
    print(f"requests for what fails for good: {dict(asked)}")
    assert set(asked.values()) == {6}, "six for the look and six for the read, each"
    assert list(verify(store, Layout(root))) == []
