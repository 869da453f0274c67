"""What a browser is given to open: who looks at its command line learns no secret."""

import os
import signal
import sys
import time
from pathlib import Path

from tests.flows.conftest import Desk
from tests.tasks.report.test_write import Night

BROWSER = """#!{python}
import os, sys
page = sys.argv[1].removeprefix("file://")
modes = [oct(os.stat(path).st_mode & 0o777) for path in (page, os.path.dirname(page))]
with open("{folder}/seen.part", "w") as seen:
    seen.write("\\n".join([page, *modes, " ".join(sys.argv[1:]), open(page).read()]))
os.rename("{folder}/seen.part", "{folder}/seen")
"""


def test_a_browser_is_given_a_private_page_that_leads_there_and_goes_at_the_end(tmp_path):
    root = f"file://{tmp_path}/root"
    Night(root, 1)
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(BROWSER.format(python=sys.executable, folder=tmp_path))
    browser.chmod(0o700)
    server = Desk(tmp_path, dict(os.environ)).start("listen", "r1", "--root", root, BROWSER=f"{browser} %s")
    address = server.stdout.readline().strip()
    while not seen.exists():
        assert server.poll() is None, server.stderr.read()
        time.sleep(0.05)
    page, mode, folder_mode, arguments, text = seen.read_text().split("\n", 4)
    assert (mode, folder_mode) == ("0o600", "0o700")
    assert arguments == f"file://{page}"
    assert address.split("/")[4] not in arguments
    assert f"url={address}" in text
    assert Path(page).exists()
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=300)
    assert (server.returncode, err) == (0, "Ctrl-C ends it\n")
    assert not Path(page).parent.exists()
