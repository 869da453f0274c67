import pytest

from tasks.report.links import link

PAGE_FOLDER = {"file": "file:///night/root/runs/r1", "s3": "s3://music/root/runs/r1"}


@pytest.mark.parametrize(
    ("uri", "folder", "expected"),
    [
        ("file:///night/root/audio/a.flac", "file", "../../audio/a.flac"),
        ("file:///tunes/no. 1 [100%]#?.wav", "file", "../../../../tunes/no.%201%20%5B100%25%5D%23%3F.wav"),
        ("s3://music/tunes/ä.wav", "s3", "../../../tunes/%C3%A4.wav"),
        ("s3://other/tunes/a.wav", "s3", None),
        ("s3://music/tunes/a.wav", "file", None),
        ("file:///tunes/a.wav", "s3", None),
    ],
)
def test_a_link_leads_from_the_page_to_what_lies_on_the_same_disk_or_in_the_same_bucket(uri, folder, expected):
    assert link(uri, PAGE_FOLDER[folder]) == expected
