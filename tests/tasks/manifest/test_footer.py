"""What a parquet file claims is read before pyarrow looks at it, which some footers end with the whole process."""

import base64
import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.parquet import encryption

from tasks.manifest.footer import row_groups
from tests.fuzz.manifests import seeds

SEEDS = seeds()


def footer(data):
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_a_footer_tells_what_pyarrow_tells(number):
    found = pq.ParquetFile(io.BytesIO(SEEDS[number])).metadata
    groups = [found.row_group(group) for group in range(found.num_row_groups)]
    columns = [[group.column(column) for column in range(found.num_columns)] for group in groups]
    assert row_groups(footer(SEEDS[number])) == [
        (group.num_rows, [(chunk.num_values, chunk.total_uncompressed_size) for chunk in chunks])
        for group, chunks in zip(groups, columns, strict=True)
    ]


def test_a_footer_that_is_cut_anywhere_is_damaged():
    whole = footer(SEEDS[0])
    for size in range(0, len(whole), 41):
        with pytest.raises(ValueError, match="cut short"):
            row_groups(whole[:size])


@given(st.binary(max_size=200), st.integers(0, 500))
def test_whatever_a_footer_holds_it_is_sizes_or_damage(odd, at):
    whole = footer(SEEDS[0])
    try:
        groups = row_groups(whole[:at] + odd + whole[at + len(odd) :])
    except ValueError as error:
        assert "footer" in str(error) or "encrypted" in str(error)  # noqa: PT017 - one of the two right answers
        return
    assert all(size >= 0 for group in groups for chunk in group.chunks for size in (group.rows, *chunk))


class Keys(encryption.KmsClient):
    """A service of keys that wraps them in nothing."""

    def __init__(self, _):
        super().__init__()

    def wrap_key(self, key, _):
        return base64.b64encode(key).decode()


def encrypted():
    """A manifest that tells its columns and has encrypted one."""
    factory = encryption.CryptoFactory(Keys)
    wanted = encryption.EncryptionConfiguration("f", column_keys={"k": ["pair_id"]}, plaintext_footer=True)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), wanted)
    file = io.BytesIO()
    table = pa.table({name: ["a"] for name in ("pair_id", "content_uri", "style_uri")})
    pq.write_table(table, file, encryption_properties=properties)
    return file.getvalue()


def test_encrypted_columns_are_refused_and_end_no_process(tmp_path):
    path = tmp_path / "manifest.parquet"
    path.write_bytes(encrypted())
    code = f"from tests.fuzz.manifests import check; print(check(open({str(path)!r}, 'rb').read()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
