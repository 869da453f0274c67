from tasks.plots.names import MOST_CHARACTERS, names_of, text


def test_a_name_is_the_shortest_ending_that_tells_it_apart():
    uris = ["file:///a/rain.wav", "file:///a/rain.flac", "s3://m/a/bells.wav", "s3://m/b/bells.wav", "file:///tune.wav"]
    assert list(names_of(uris).values()) == ["rain.wav", "rain.flac", "a/bells.wav", "b/bells.wav", "tune"]
    assert names_of([]) == {}


def test_a_text_does_nothing_to_a_picture():
    assert text("$x^2$") == r"\$x^2\$"
    assert text("a\nb\x1b[31m") == r"a b\x1b[31m"
    assert len(text("x" * 100)) == MOST_CHARACTERS
