"""infra/prometheus and infra/grafana: they parse, and speak of what the command prints and the README explains."""

import json
import re

import promql_parser
import pytest
import yaml

from tasks.openmetrics import GAUGES
from tasks.records.run import Stop
from tests.infra.commands import INFRA
from tests.tasks.test_openmetrics import History, a_night, openmetrics, told

GROUPS = yaml.safe_load((INFRA / "prometheus" / "alerts.yaml").read_text())["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
BOARD = json.loads((INFRA / "grafana" / "dashboard.json").read_text())
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = {**{name: rule["expr"] for name, rule in RULES.items()}, **{t["expr"]: t["expr"] for t in TARGETS}}
README = (INFRA / "README.md").read_text()
each_rule = pytest.mark.parametrize("name", RULES)
each_expression = pytest.mark.parametrize("name", EXPRESSIONS)


def metrics(expression):
    """Name and labels of each metric that an expression asks for; it is parsed by Prometheus' grammar."""
    promql_parser.parse(expression)
    return re.findall(r"\b(gramophone_\w+)(?:\{(.*?)\})?", expression)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Of a real night: each metric's labels, and the values of each."""
    history = History(f"file://{tmp_path_factory.mktemp('night')}/root")
    a_night(history)
    found = {}
    for family in openmetrics(told(history)):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    return found


@each_expression
def test_an_expression_asks_for_what_the_command_prints(name, printed):
    asked = metrics(EXPRESSIONS[name])
    assert asked
    for metric, matchers in asked:
        assert metric in GAUGES
        for label, _, values in re.findall(r'(\w+)(=~|!=|=)"(.*?)"', matchers):
            assert label in printed[metric]
            assert values == "$manifest" or set(values.split("|")) <= printed[metric][label]


def test_every_metric_is_looked_at():
    assert {metric for expression in EXPRESSIONS.values() for metric, _ in metrics(expression)} == set(GAUGES)


@pytest.mark.parametrize("wrong", ["sum by (night (a)", "rate(a)", "max(gramophone_night_runs) >", "a[7d:1h] offset"])
def test_an_expression_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        metrics(wrong)


@each_rule
def test_a_rule_has_what_prometheus_and_whoever_is_called_need(name):
    rule = RULES[name]
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "runbook_url"}
    assert promql_parser.parse_duration(rule.get("for", "1m"))
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert all(re.search(rf"by \([^)]*\b{label}\b", rule["expr"]) for label in named)


@each_rule
def test_a_rule_s_runbook_is_a_heading_of_the_readme_with_something_to_type(name):
    anchor = RULES[name]["annotations"]["runbook_url"].rsplit("#")[1]
    assert anchor == name.lower()
    sections = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", README, re.MULTILINE | re.DOTALL))
    assert "`" in sections[name] or "```" in sections[name]


@each_rule
def test_a_rule_has_a_case_in_the_tests_for_promtool(name):
    assert f'"{name}"' in (INFRA / "prometheus" / "alerts.test.yaml").read_text()


def asked_for(name):
    return {metric.removeprefix("gramophone_night_") for metric, _ in metrics(RULES[name]["expr"])}


def test_a_page_goes_by_why_a_run_stopped_since_causes_share_an_exit_code():
    pages = [name for name, rule in RULES.items() if rule["labels"]["severity"] == "page"]
    assert not [name for name in pages if "last_exit_code" in asked_for(name)]
    for name, stop in (("GramophoneStorageErrors", Stop.STORAGE), ("GramophoneNoWorkers", Stop.NO_WORKERS)):
        assert name in pages
        assert ("gramophone_night_last_stop", f'stop="{stop}"') in metrics(RULES[name]["expr"])


def test_lost_pairs_page_only_where_their_run_is_silent():
    assert asked_for("GramophonePairsLost") == {"not_done_pairs", "idle_seconds"}
    assert " and on (night, manifest) " in RULES["GramophonePairsLost"]["expr"]


def test_a_night_that_could_not_be_looked_at_is_storage_s_fault_and_not_missing():
    assert "(gramophone_night_exit_code) == 4" in RULES["GramophoneStorageErrors"]["expr"]
    assert "(gramophone_night_exit_code) == 1 unless" in RULES["GramophoneNightMissing"]["expr"]


def test_the_monitor_is_absent_by_one_measure_and_not_while_it_sleeps():
    expression = RULES["GramophoneMonitorAbsent"]["expr"]
    [hours] = re.findall(r"absent_over_time\(\w+\[(\d+)h\]\)", expression)
    assert re.findall(r"> (\d+) \* 3600", expression) == [hours]
    jobs = yaml.safe_load_all((INFRA / "kubernetes" / "base" / "cronjobs.yaml").read_text())
    [schedule] = [job["spec"]["schedule"] for job in jobs if job["metadata"]["name"] == "monitor"]
    first, last = map(int, re.fullmatch(r"\d+ (\d+)-(\d+) \* \* \*", schedule).groups())
    assert first + 24 - last + 1 < int(hours)  # an hour more where summer ends
    [panel] = [panel for panel in BOARD["panels"] if panel["title"] == "Looked at, ago"]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == int(hours) * 3_600


def test_the_dashboard_has_what_grafana_s_import_needs():
    assert BOARD["id"] is None, "one that Grafana gives"
    assert (BOARD["title"], BOARD["uid"]) == ("Gramophone: nights", "gramophone-nights")
    assert BOARD["schemaVersion"] >= 39
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert metrics(variables["manifest"]["definition"].split("(")[1].split(",")[0])
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in BOARD["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert {"x", "y", "w", "h"} == panel["gridPos"].keys()
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))


def test_panels_do_not_lie_on_one_another():
    taken = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
