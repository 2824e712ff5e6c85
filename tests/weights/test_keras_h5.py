"""HDF5 files of Keras: plain arrays are read, everything else is refused in a line."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import BenchError
from bench.weights.keras_h5 import read_h5

h5py = pytest.importorskip("h5py", reason="the extra 'weights' is not installed")
NAME = "model_weights/dense/dense/kernel:0"


def write(path: Path, **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset(NAME, **options)
    return path


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2"])
def test_plain_arrays_come_back_as_float32(tmp_path: Path, kind: str) -> None:
    values = np.arange(6.0).reshape(2, 3)
    path = write(tmp_path / "w.h5", data=values.astype(kind))
    (found,) = read_h5(path, [NAME]).values()
    np.testing.assert_array_equal(found, values.astype(np.float32), strict=True)


@pytest.mark.parametrize(
    "options",
    [
        {"data": [1, 2]},
        {"data": "text"},
        {"shape": (1 << 20, 1 << 20), "dtype": "f4", "chunks": (1024, 1024)},  # 4 TB of nothing
        {"shape": (4,), "dtype": "f4", "external": [("/etc/passwd", 0, 16)]},
    ],
)
def test_an_array_that_keras_would_not_write_is_refused(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = write(tmp_path / "w.h5", **options)
    with pytest.raises(BenchError, match=f"{NAME} is not a plain array of floating"):
        read_h5(path, [NAME])


def test_a_link_to_another_file_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "other.h5", data=np.ones(2))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", NAME)
    with pytest.raises(BenchError, match="link is not a plain array"):
        read_h5(tmp_path / "w.h5", ["link"])


def test_files_that_cannot_be_read_are_told_in_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "w.h5", data=np.ones((64, 64)))
    whole = path.read_bytes()
    for content, reason in [
        (b"", "not a whole HDF5 file"),
        (b"no HDF5" * 9, "not a whole HDF5 file"),
        (whole[: len(whole) // 2], "not a whole HDF5 file"),
    ]:
        path.write_bytes(content)
        with pytest.raises(BenchError, match=reason) as error:
            read_h5(path, [NAME])
        assert "\n" not in str(error.value)
    with pytest.raises(BenchError, match="No such file"):
        read_h5(tmp_path / "gone.h5", [NAME])
    with pytest.raises(BenchError, match="has no array nothing"):
        read_h5(write(path, data=np.ones(2)), ["nothing"])


def test_no_damaged_byte_makes_another_exception(tmp_path: Path) -> None:
    path = write(tmp_path / "w.h5", data=np.ones((4, 4), dtype=np.float32))
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with suppress(BenchError):
            read_h5(path, [NAME])
