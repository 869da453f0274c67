"""A disk that fills up in the middle of a run: said so, nothing half written, and with room a rerun does the rest."""

import json
import subprocess
import sys

import pytest

from tests.flows.conftest import PATIENCE_SECONDS

PAIRS = 6
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]

# A disk of its own lasts as long as its namespace: all that is asked of it is asked in there.
NIGHT = """
import json, os, subprocess, sys
from pathlib import Path
disk, kilobytes, more = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
root = os.environ.get("GRAMOPHONE_ROOT") or f"{disk}/root"
def shell(*command):
    subprocess.run(command, check=True)
def typed(*arguments):
    command = [sys.executable, "-m", "flows.cli", *arguments, "--root", root]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | more)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}
shell("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", disk)
told = {"run": typed("run", "full.parquet", "--shard-pairs", "2")}
told["room"] = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
derived = ("report.html", "report", "lineage")  # written once all is done, and can be made anew
told["used"] = sum(
    path.stat().st_blocks * 512 for path in Path(disk).rglob("*") if not set(derived) & set(path.parts)
) // 1024
told["left"] = [str(path) for path in Path(disk).rglob(".gramophone-*") if path.is_file()]
told["verified"] = typed("verify")
told["status"] = typed("status", "--latest", "--json")
shell("mount", "-o", "remount,size=64m", disk)
again = ("rerun", "--latest") if told["status"]["code"] != 2 else ("run", "full.parquet")
told["again"] = typed(*again)
told["verified again"] = typed("verify")
told["stands"] = typed("status", "--latest", "--json")
print(json.dumps(told))
"""


def night(desk, name, kilobytes, more=None, **environment):
    disk = desk.folder / name
    disk.mkdir()
    command = [*UNSHARE, sys.executable, "-c", NIGHT, str(disk), str(kilobytes), json.dumps(more or {})]
    done = subprocess.run(
        command, cwd=desk.folder, env=desk.environment | environment, capture_output=True, text=True,
        timeout=3 * PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def manifest(desk):
    try:
        permitted = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        permitted = False
    if not permitted:
        pytest.skip("no disk of its own can be mounted here")
    desk.clip("tune", 1.0, "marimba")
    desk.clip("texture", 1.0, "bells")
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.wav", "style_uri": "texture.wav", "seed": n} for n in range(PAIRS)
    ]
    return desk.manifest(rows, "full.parquet")


@pytest.fixture(scope="module")
def needed(desk, manifest):
    """What a whole run takes without its page and its events, kB."""
    found = night(desk, "roomy", 65_536)
    assert found["run"]["code"] == 0, found["run"]["err"]
    return found["used"]


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_disk_with_room_for_a_share_of_the_run(desk, needed, engine, share):
    found = night(desk, f"full-{engine}-{share}", int(needed * share))
    run = found["run"]
    print(f"{engine}, room for {share:.0%}: code {run['code']}, {run['out']}{run['err'][-600:]}")
    assert run["code"] in (1, 4), run
    recorded = found["status"]["code"] in (0, 1)
    assert ("disk_full" if recorded else "there is no room") in run["out"] + run["err"]
    assert "Traceback" not in run["out"] + run["err"]
    assert found["left"] == [], "nothing half written"
    if recorded:
        assert found["verified"]["code"] == 0, found["verified"]
    assert found["again"]["code"] == 0, found["again"]
    assert found["verified again"]["code"] == 0, found["verified again"]
    counts = json.loads(found["stands"]["out"])["counts"]
    assert counts["ok"] == counts["pairs"]


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_a_disk_with_room_for_the_run_and_not_for_its_page(desk, needed, engine):
    found = night(desk, f"no-page-{engine}", needed + 8)
    assert found["run"]["code"] == 0, found["run"]
    assert "report: not written; `gramophone report " in found["run"]["out"]
    assert found["left"] == [], "nothing half written"
    assert found["verified"]["code"] == 0, found["verified"]


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_a_full_folder_of_temporary_files_harms_no_pair(desk, manifest, engine):
    disk = f"temporary-{engine}"
    root = str(desk.folder / f"elsewhere-{engine}")
    found = night(desk, disk, 4, {"TMPDIR": str(desk.folder / disk)}, GRAMOPHONE_ROOT=root)
    assert found["run"]["code"] == 0, found["run"]
