"""Ask anew for what an earlier run asked for: what is done, of inputs as they are now, is skipped."""

from collections.abc import Mapping
from typing import Any

from tasks.layout import Layout
from tasks.overrides import ParamsInvalid, checked
from tasks.records.reasons import UsageError
from tasks.records.run import Job, Options
from tasks.roots import place
from tasks.standing import known_runs
from tasks.store import open_store


def job_like(root: str, run_id: str, changes: Mapping[str, Any]) -> Job:
    """A run over the rows that a run kept, with its parameters and options but for `changes`.

    Its inputs may come from where that run's might; it has no end of time unless one is given. Raises UsageError where
    there is no such run, or for changes that cannot be.
    """
    layout = Layout(place(root))
    run = next(r for r in known_runs(open_store(layout.root), layout, [run_id]) if r.run_id == run_id)
    parameters = run.parameters.model_dump(mode="json")
    options = run.options.model_dump(mode="json") | {"until": "", "force": False}
    options["allow"] = list(dict.fromkeys((*run.options.allow, *run.allowed, *changes.get("allow", ()))))
    changed = {name: value for name, value in changes.items() if name in options and name != "allow"}
    try:
        changed_parameters = checked(parameters | {n: value for n, value in changes.items() if n in parameters})
    except ParamsInvalid as error:
        raise UsageError(str(error)) from error
    return Job(
        manifest=layout.run(run_id, "manifest.parquet"),
        root=layout.root,
        parameters=changed_parameters,
        options=Options.model_validate(options | changed),
    )
