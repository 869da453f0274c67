"""`gramophone doctor`: is this machine fit for a night?"""

from dataclasses import asdict
from typing import Any

import click

from flows.cli import show
from flows.cli.options import field_options, json_option, root_option
from flows.config import FIELDS, settle

OUT_OF_REACH = {"device", "store", "create-only", "prefect"}
MARKS = {"ok": "ok     ", "warning": "WARNING", "failed": "FAILED "}


@click.command()
@root_option
@field_options({"device": FIELDS["device"]})
@json_option
def doctor(as_json: bool, **flags: Any) -> int:
    """Check device, codecs, versions, store and Prefect API: a verdict each, and a remedy.

    Exit code 0 where nothing failed, 2 where codecs or versions did, 4 where device, store or API are out of reach.
    The store is written to: a few small objects below ROOT/probe, which are removed again.
    """
    settings = settle(flags)
    from prefect.settings import get_current_settings

    from tasks.doctor import examine
    from tasks.roots import place

    found, code = [], 0
    api = get_current_settings().api
    password = api.auth_string.get_secret_value() if api.auth_string else None
    for finding in examine(place(settings.root), settings.options.device, api.url, password):
        found.append(finding)
        if finding.verdict == "failed":
            code = max(code, 4 if finding.what in OUT_OF_REACH else 2)
        if not as_json:
            click.echo(f"{MARKS[finding.verdict]}  {finding.what:<12}{finding.says}")
            if finding.remedy:
                click.echo(f"{'':<21}{finding.remedy}")
    if as_json:
        show.as_json({"findings": [asdict(finding) for finding in found], "exit_code": code})
    return code
