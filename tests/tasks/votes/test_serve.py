"""What a blind comparison serves: sounds under letters, and a vote that is kept or refused."""

import json
from random import Random

import pytest
from starlette.testclient import TestClient

from tasks.layout import Layout
from tasks.records.parameters import Parameters
from tasks.report.serve import Listening
from tasks.standing import family_of, of_family
from tasks.store import join, open_store
from tasks.votes.ballot import Ballot
from tasks.votes.serve import Booth
from tasks.votes.tally import read_votes
from tasks.votes.trials import mushra
from tests.tasks.report.test_write import Night, done

SOUNDS = {f"{name}.wav": name.encode() * 50 for name in ("content", "style", "mild", "strong")}


@pytest.fixture
def booth(any_root):
    """A session over two outputs of the same inputs, and somebody to ask for its pages."""
    night = Night(any_root, 2, allowed=(join(any_root, "inputs"),))
    store = open_store(any_root)
    for name, data in SOUNDS.items():
        store.create(join(any_root, "inputs" if name in ("content.wav", "style.wav") else "audio", name), data)
    inputs = [
        {"role": role, "uri": join(any_root, f"inputs/{role}.wav"), "etag": None, "sha256": role, "start": 1.5,
         "seconds": None, "weight": 1.0} for role in ("content", "style")
    ]  # fmt: skip
    made = []
    for row, (name, value) in enumerate((("mild", 0.5), ("strong", 1.0))):
        audio = {"audio_sha256": name, "audio_uri": join(any_root, f"audio/{name}.wav")}
        params = Parameters(strength=value).canonical_json()
        made.append(done(row, any_root, inputs=inputs, method="optimise", params=params, **audio))
    night.commit(made)
    layout = Layout(any_root)
    frame = of_family(store, layout, family_of(store, layout, None)).assign(family="r1")
    trials = tuple(mushra(frame, "style", Random(1), 5))
    listening, drawn = Listening(any_root), []

    def draw():
        drawn.append(Ballot(store, layout, "r1", "mushra", "style", trials))
        return drawn[-1]

    booth = Booth(listening, draw, listener="<ann>")
    client = TestClient(listening.app(*booth.routes()), base_url="http://127.0.0.1")
    return Session(booth, client, drawn)


class Session:
    """Somebody who has begun."""

    def __init__(self, booth, client, drawn):
        self.booth, self.client, self.drawn = booth, client, drawn
        self.page = client.get(booth.page).url.path
        self.ballot = drawn[-1]


def vote(client, found, trial=0, **changes):
    said = {"scores": dict.fromkeys("ABCD", 50), "heard": {"A": 1.0}, "listener": "ann\u202e"} | changes
    return client.post(f"{found.page}{trial}/vote", json=said)


def test_each_letter_is_the_sound_that_is_voted_on(booth):
    found, client = booth, booth.client
    [trial] = found.ballot.trials
    for letter, one in trial.lettered().items():
        name = one.row["audio_uri" if one.number is None else "inputs"]
        name = name if one.number is None else name[one.number]["uri"]
        assert client.get(f"{found.page}0/sound/{letter}").content == SOUNDS[name.rsplit("/", 1)[-1]]
    assert client.get(f"{found.page}0/known/style", headers={"range": "bytes=0-4"}).content == b"style"


def test_the_page_tells_letters_loudness_and_lengths_and_escapes_what_it_is_given(booth):
    found, client = booth, booth.client
    page = client.get(found.page).text
    told = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    [trial] = told["trials"]
    assert list(trial["letters"]) == ["A", "B", "C", "D"]
    assert {frozenset(sound) for sound in trial["letters"].values()} == {frozenset({"src", "start", "seconds", "lufs"})}
    assert "<ann>" not in page
    assert not [name for name in ("strength", "mild", "strong", "optimise") if name in page]


@pytest.mark.parametrize("path", ["0/sound/E", "0/sound/AA", "1/sound/A", "0/known/output", "7/known/style"])
def test_nothing_else_is_served(booth, path):
    found, client = booth, booth.client
    assert client.get(found.page + path).status_code == 404


def test_a_vote_is_kept_once_and_then_revealed(booth):
    found, client = booth, booth.client
    assert [vote(client, found).status_code for _ in range(2)] == [201, 200]
    votes = read_votes(found.ballot.store, found.ballot.layout)
    assert len(votes) == 4
    assert set(votes["listener"]) == {"ann\\u202e"}, "what turns a line round is spelled out"
    assert votes["session"].unique() == [found.ballot.session]
    [revealed] = client.get(f"{found.page}reveal").json()
    assert {letter: one["was"] for letter, one in revealed.items()} == dict(
        zip(votes["letter"], votes["condition"], strict=True)
    )
    assert {one["of"] for one in revealed.values()} == {"p0", "p1", "content.wav", "style.wav"}


def test_nothing_is_revealed_before_all_is_voted(booth):
    assert booth.client.get(f"{booth.page}reveal").status_code == 409
    assert booth.client.get(f"{booth.booth.page}/nobody/reveal").status_code == 409


def test_who_begins_later_or_reloads_after_a_vote_has_a_session_of_their_own(booth):
    other = Session(booth.booth, booth.client, booth.drawn)
    assert other.page != booth.page
    assert [vote(booth.client, one).status_code for one in (booth, other)] == [201, 201]
    assert len(read_votes(booth.ballot.store, booth.ballot.layout)) == 8
    again = booth.client.get(booth.page).url.path
    assert again not in (booth.page, other.page)
    assert vote(booth.client, booth, trial=0).json() == {"kept": False}
    assert (
        booth.client.post(
            f"{booth.booth.page}/nobody/0/vote", json={"scores": {}, "heard": {}, "listener": ""}
        ).status_code
        == 404
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": {"A": 1}},
        {"scores": dict.fromkeys("ABCD", 101)},
        {"scores": None},
        {"heard": []},
        {"listener": 7},
        {"scores": dict.fromkeys("ABCD", 10**400)},
    ],
)
def test_what_is_no_vote_is_refused(booth, changes):
    found, client = booth, booth.client
    answer = vote(client, found, **changes)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert client.post(f"{found.page}0/vote", content=b"{").status_code == 400
    assert vote(client, found, trial=5).status_code == 400
    assert read_votes(found.ballot.store, found.ballot.layout).empty


@pytest.mark.parametrize(
    ("body", "status"), [(b" " * 64_001, 413), (b"[" * 60_000, 400), (b'{"scores": {"A": ' + b"9" * 5_000 + b"}}", 400)]
)
def test_a_body_that_is_too_much_is_refused_and_not_taken_apart(booth, body, status):
    found, client = booth, booth.client
    assert client.post(f"{found.page}0/vote", content=body).status_code == status


def test_votes_from_an_address_of_another_name_are_not_taken(booth):
    found, client = booth, booth.client
    answer = client.post(f"{found.page}0/vote", json={}, headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert read_votes(found.ballot.store, found.ballot.layout).empty
