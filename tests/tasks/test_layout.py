from tasks.layout import Layout, run_id_of


def test_the_run_of_an_object_is_told_also_where_the_root_lies_in_a_folder_that_looks_like_a_runs():
    layout = Layout("file:///data/run=7/root")
    assert run_id_of(layout.shard_results("2026-01-01", "r", 0)) == "r"
    assert run_id_of(layout.audio("2026-01-01", "r", "p0", "0" * 64, "flac")) == "r"
