"""The demo checks for itself that everything came out as promised; here it has to say so."""

from __future__ import annotations

from pathlib import Path

from acceptance.harness import House


def test_the_demo_tells_the_whole_story(tmp_path: Path) -> None:
    house = House(tmp_path)
    printed = house.run("demo")
    assert "That was the whole story" in printed
    assert "Not as promised" not in printed
    for scene in ("6 of 6", "MISSED", "This reminder comes late", "Conclusion within one month"):
        assert scene in printed
