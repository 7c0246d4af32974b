from __future__ import annotations

from collections.abc import Iterator

import pytest

from acceptance.harness import Service


@pytest.fixture(autouse=True)
def _no_service_outlives_its_test() -> Iterator[None]:
    before = set(Service.running)
    yield
    for service in set(Service.running) - before:
        service.kill()
