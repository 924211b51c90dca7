"""What was read is kept as long as the same files are there."""

from __future__ import annotations

import os
from pathlib import Path

from curation.remembered import remembered, remembered_folder


def test_a_file_is_read_again_when_another_is_in_its_place(tmp_path: Path) -> None:
    file, reads = tmp_path / "file", list[Path]()
    file.write_text("one", "utf-8")

    def read(path: Path) -> str:
        reads.append(path)
        return path.read_text("utf-8")

    assert [remembered(file, read), remembered(file, read)] == ["one", "one"] and len(reads) == 1
    (tmp_path / "new").write_text("two", "utf-8")
    (tmp_path / "new").replace(file)
    assert remembered(file, read) == "two" and len(reads) == 2


def test_a_folder_is_read_again_when_anything_was_put_there_or_beside_it(tmp_path: Path) -> None:
    folder, beside, reads = tmp_path / "folder", tmp_path / "beside", list[int]()

    def put(name: str, where: Path) -> None:
        made = tmp_path / "made"
        made.mkdir()
        if (where / name).exists():
            (where / name).rename(tmp_path / f"old{len(reads)}")
        made.rename(where / name)
        os.utime(where, ns=(0, 0))  # a clock too coarse to tell two changes apart

    def read() -> int:
        reads.append(1)
        return len(reads)

    assert remembered_folder(folder, [beside], read) == remembered_folder(folder, [beside], read) == 1
    folder.mkdir()
    beside.mkdir()
    put("a", folder)
    assert remembered_folder(folder, [beside], read) == remembered_folder(folder, [beside], read) == 2
    put("a", folder)  # another one under the same name
    assert remembered_folder(folder, [beside], read) == 3
    put("b", beside)
    assert remembered_folder(folder, [beside], read) == remembered_folder(folder, [beside], read) == 4
