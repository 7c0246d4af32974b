"""The fake Slack as a process of its own, for tests that drive the real service from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from fakes.fake_slack import APP_TOKEN, BOT_TOKEN, DUTY, NotPossible

TESTS = Path(__file__).resolve().parent.parent


class SlackProcess:
    """``with SlackProcess() as slack: slack.do("press", user=ALEX, action_id="claim")``; verbs are FakeSlack's own."""

    def __init__(self, *, ack_seconds: float = 3.0) -> None:
        self._program = [sys.executable, "-m", "fakes.fake_slack", "--ack-seconds", str(ack_seconds)]
        self.api_url = self.url = ""

    def __enter__(self) -> SlackProcess:
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        self._process = subprocess.Popen(self._program, stdout=subprocess.PIPE, env=environment, cwd=TESTS)
        assert self._process.stdout is not None
        urls = json.loads(self._process.stdout.readline())
        self.url, self.api_url = urls["url"], urls["api_url"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def settings(self) -> dict[str, str]:
        """What the service needs to find it, as keys of its settings."""
        return {
            "slack_bot_token": BOT_TOKEN,
            "slack_app_token": APP_TOKEN,
            "slack_channel": DUTY,
            "slack_api_url": self.api_url,
        }

    def do(self, verb: str, **arguments: Any) -> Any:
        """Call a verb; its result as plain data. Raises NotPossible as the verb does."""
        request = urllib.request.Request(
            f"{self.url}/control/{verb}",
            data=json.dumps(arguments).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        if "not_possible" in answer:
            raise NotPossible(answer["not_possible"])
        return answer["result"]
