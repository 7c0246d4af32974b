"""The bill of materials is that of the lock, and an audit that could not ask says so."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def supply() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supply", ROOT / ".ci" / "supply.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["supply"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_bill_holds_each_package_of_the_lock_with_what_it_is_known_by(supply: ModuleType) -> None:
    lock = ROOT / "requirements.lock"
    bill = supply.bill(supply.read_lock(lock))
    pinned = [
        line.split()[0] for line in lock.read_text().splitlines() if "==" in line and not line.startswith((" ", "#"))
    ]
    assert [f"{one['name']}=={one['version']}" for one in bill["components"]] == [
        text.replace("[binary]", "") for text in pinned
    ]
    assert sum(len(one["hashes"]) for one in bill["components"]) == lock.read_text().count("--hash=sha256:")
    known = {one["bom-ref"] for one in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    needed = {ref for one in bill["dependencies"] for ref in one["dependsOn"]}
    assert {one["ref"] for one in bill["dependencies"]} == known
    # Nothing comes along that nobody asks for.
    assert known - needed == {bill["metadata"]["component"]["bom-ref"]}
    assert bill == supply.bill(supply.read_lock(lock))


def test_no_package_is_under_the_gpl_and_one_that_were_would_be_named(
    supply: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = supply.read_lock(ROOT / "requirements.lock")
    assert supply.licence_faults(packages) == []
    for said, allowed in {
        "GPL-3.0-or-later": False,
        "AGPL-3.0-only": False,
        "GNU General Public License v2 (GPLv2)": False,
        "unknown": False,
        "LGPL-3.0-only": True,
        "GNU Lesser General Public License v3 (LGPLv3)": True,
        "MIT": True,
    }.items():
        monkeypatch.setattr(supply, "licence_of", lambda one, said=said: said)
        assert (supply.licence_faults(packages[:1]) == []) is allowed, said


def test_an_audit_is_clean_only_where_every_package_was_asked_about(supply: ModuleType) -> None:
    packages = supply.read_lock(ROOT / "requirements.lock")[:2]
    one, two = ({"name": package.name, "version": package.version, "vulns": []} for package in packages)
    known = {"id": "PYSEC-1", "fix_versions": ["9.9"], "aliases": [], "description": ""}
    reports = {
        json.dumps({"dependencies": [one, two]}): 0,
        json.dumps({"dependencies": [one, two | {"vulns": [known]}]}): 1,
        json.dumps({"dependencies": [one, {"name": two["name"], "skip_reason": "not found"}]}): 3,
        json.dumps({"dependencies": []}): 3,
        "": 3,
    }
    for report, expected in reports.items():
        status, lines = supply.audit_outcome(report, packages)
        assert status == expected, report
        assert any("NOT AUDITED" in line for line in lines) is (expected == 3)
