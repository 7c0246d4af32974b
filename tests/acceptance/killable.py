"""Runs intake-bot so that it dies by SIGKILL at a named step: ``killable.py MODULE:NAME:before|after ARGUMENTS...``.

The program is the real one; only the named function is wrapped. ``NAME`` may be ``Class.method``; a fourth part filters on
the ``kind`` of the first argument that has one (an outbox parcel).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
import sys
from typing import Any


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    module_name, name, moment, *kinds = sys.argv[1].split(":")
    owner: Any = importlib.import_module(module_name)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    real = getattr(owner, last)

    def meant(arguments: tuple[Any, ...]) -> bool:
        found = [argument.kind for argument in arguments if hasattr(argument, "kind")]
        return not kinds or (bool(found) and found[0] == kinds[0])

    if inspect.iscoroutinefunction(real):

        @functools.wraps(real)
        async def wrapped(*arguments: Any, **named: Any) -> Any:
            if moment == "before" and meant(arguments):
                die()
            result = await real(*arguments, **named)
            if moment == "after" and meant(arguments):
                die()
            return result

    else:

        @functools.wraps(real)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if moment == "before" and meant(arguments):
                die()
            result = real(*arguments, **named)
            # An empty taking is no step of a message's way.
            if moment == "after" and meant(arguments) and result not in ([], ()):
                die()
            return result

    setattr(owner, last, wrapped)
    sys.argv[1:2] = []
    from intake_bot.cli import main as intake_bot_main

    intake_bot_main()


if __name__ == "__main__":
    main()
