"""The demo checks for itself that everything came out as promised; here it has to say so."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from acceptance.harness import House


def test_the_demo_tells_the_whole_story(tmp_path: Path) -> None:
    house = House(tmp_path)
    printed = house.run("demo")
    assert "That was the whole story" in printed
    assert "Not as promised" not in printed
    for scene in ("6 of 6", "MISSED", "This reminder comes late", "Conclusion within one month"):
        assert scene in printed
    found = re.search(r"The report: (\S+\.html)", printed)
    assert found is not None
    report = Path(found[1])
    assert "60 contacts were received" in report.read_text(encoding="utf-8")
    shutil.rmtree(report.parent)
