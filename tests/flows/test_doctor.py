"""`gramophone doctor` as it is typed."""


def test_a_fit_machine_is_said_to_be_fit_in_a_line_for_each_check(desk):
    said = desk.ask("doctor", "--root", "fit", "--device", "cpu")
    assert said.code == 0, said.out + said.err
    assert all(line.startswith("ok ") for line in said.out.splitlines())


def test_what_is_out_of_reach_ends_with_4_and_a_remedy(desk):
    (desk.folder / "taken").write_text("a file")
    said = desk.type("doctor", "--root", "taken", "--json", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert said.code == 4, said.out + said.err
    assert said.json["exit_code"] == 4
    failed = {f["what"]: f["remedy"] for f in said.json["findings"] if f["verdict"] == "failed"}
    assert failed.keys() == {"store", "prefect"}
    assert all(failed.values())
