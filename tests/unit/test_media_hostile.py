"""All of the hostile files, through every task, in workers: each a result or an error with a code, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.media.sandbox import Sandbox
from curation.media.walk import find_media

# Codes that say something about the file. The others (timeout, internal, decoder_crashed, ...) would be news.
ABOUT_THE_FILE = {
    "undecodable",
    "unopenable",
    "not_media",
    "empty_file",
    "still_picture",
    "encrypted",
    "no_streams",
    "no_video",
    "no_data",
}


@pytest.mark.slow
def test_hostile_files_all_end_in_a_result_or_a_code(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "hostile-media"
    names = [entry.path for entry in find_media(root).entries]
    assert len(names) >= 90
    with Sandbox(2, time_limit_s=60.0, memory_limit_mb=2048) as sandbox:
        probed = {o.payload["_name"]: o for o in sandbox.imap("probe", payloads(root, names))}
        assert sorted(probed) == sorted(names)
        usable = sorted(name for name, outcome in probed.items() if outcome.error is None)
        assert len(usable) >= 70
        assert {o.error.code for o in probed.values() if o.error} <= ABOUT_THE_FILE
        # Strips decode picture and sound of the first ten seconds, as features do.
        outs = (
            {"start_s": 0.0, "end_s": 10.0, "out": str(tmp_path / f"{k}.png"), **p}
            for k, p in enumerate(payloads(root, usable))
        )
        drawn = {o.payload["_name"]: o for o in sandbox.imap("strip", outs)}
        assert sorted(drawn) == usable
        assert {o.error.code for o in drawn.values() if o.error} <= ABOUT_THE_FILE


def payloads(root: Path, names: list[str]) -> list[dict[str, str]]:
    return [{"path": f"{root}/{name}", "_name": name} for name in names]


def test_files_known_to_kill_a_plain_decoder_give_their_sound(shared_data: Path) -> None:
    files = sorted((shared_data / "hostile-media" / "decoder_crash").iterdir())
    with Sandbox(1) as sandbox:
        for outcome in sandbox.imap("probe", ({"path": str(path)} for path in files)):
            assert outcome.value is not None and outcome.value["has_audio"] and outcome.value["channels"] == 8
