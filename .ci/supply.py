"""What we are made of: ``sbom FILE`` writes the bill of materials of requirements.lock, ``licences`` looks them all over,
``audited FILE`` says what pip-audit found.

The bill is CycloneDX 1.6 in JSON: every package that the lock may install, with version, licence (as the installed package
says itself), the digest of each file that the lock lets in, and who needs it. It asks nobody, and is the same whenever it is
made from the same lock in the same environment.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*\\?$"
)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
NOT_ALLOWED = re.compile(
    r"(?<!L)(?<!Lesser )\b(?:A?GPL|(?:Affero )?General Public Licen[sc]e)|SSPL|Commons Clause|Proprietary", re.I
)
# What packages say in words of their own, as SPDX names it; read in each of their LICENSE files.
SPDX_OF_WORDS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
}
SPDX = re.compile(r"(?:[A-Za-z]+-)?[A-Za-z0-9.]+(?:-[A-Za-z0-9.]+)*(?: (?:AND|OR|WITH) [A-Za-z0-9.-]+)*")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A package of the lock. ``hashes`` are those of all its files, of which an installation takes one."""

    name: str
    version: str
    marker: str | None
    hashes: list[str] = field(default_factory=list)
    needed_by: list[str] = field(default_factory=list)

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(path: Path) -> list[Pinned]:
    """The packages of a lock with hashes, as uv writes it. Raises ValueError on a line that it cannot place."""
    found: list[Pinned] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        said = line.strip()
        if not line.startswith((" ", "#")) and said:
            match = PINNED.match(said)
            if match is None:
                raise ValueError(f"{path.name}: not a pinned package: {said}")
            found.append(Pinned(canonical(match["name"]), match["version"], match["marker"]))
        elif found and (digest := HASH.search(said)) is not None:
            found[-1].hashes.append(digest[1])
        elif found and said.startswith("#"):
            found[-1].needed_by.extend(_needing(said))
    if bare := [one.name for one in found if not one.hashes]:
        raise ValueError(f"{path.name}: without a hash: {', '.join(bare)}")
    return found


def _needing(comment: str) -> Iterator[str]:
    """Names behind uv's ``# via``, on its line or the lines after it."""
    for word in comment.lstrip("# ").removeprefix("via").split():
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", word):
            yield canonical(word)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(one: Pinned) -> str | None:
    """What the installed package says its licence is; None where it is not installed here, as what is for another system."""
    try:
        about = metadata.metadata(one.name)
    except metadata.PackageNotFoundError:
        return None
    if about["Version"] != one.version:
        return None
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [
        text.rpartition("::")[2].strip() for text in about.get_all("Classifier") or () if text.startswith("License ::")
    ]
    short = str(about.get("License") or "").strip()
    exact = [text for text in classified if text in SPDX_OF_WORDS]
    if exact:
        return " AND ".join(sorted({SPDX_OF_WORDS[text] for text in exact}))
    if short and "\n" not in short and len(short) < 80:
        return SPDX_OF_WORDS.get(short, short)
    return ", ".join(classified) or "unknown"


def licence_faults(packages: Sequence[Pinned]) -> list[str]:
    """What may not be among them: the GPL and its like, and what does not say."""
    faults = []
    for one in packages:
        licence = licence_of(one)
        if licence is not None and (licence == "unknown" or NOT_ALLOWED.search(licence)):
            faults.append(f"{one.name} {one.version}: {licence}")
    return faults


def bill(packages: Sequence[Pinned]) -> dict[str, Any]:
    """The bill of materials, ready to be written."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = f"pkg:pypi/{project['name']}@{project['version']}"
    # A lock for several Pythons may hold two versions of one package.
    refs: dict[str, list[str]] = {canonical(project["name"]): [ours]}
    for one in packages:
        refs.setdefault(one.name, []).append(one.purl)
    needs: dict[str, set[str]] = {ref: set() for some in refs.values() for ref in some}
    for one in packages:
        for ref in (ref for parent in one.needed_by for ref in refs.get(parent, ())):
            needs[ref].add(one.purl)
    components = [_component(one) for one in packages]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": ours,
            }
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(wanted)} for ref, wanted in sorted(needs.items())],
    }


def _component(one: Pinned) -> dict[str, Any]:
    licence = licence_of(one)
    properties = [{"name": "intake-bot:hashes", "value": "one for each file that the lock lets in"}]
    if one.marker:
        properties.append({"name": "intake-bot:only-where", "value": one.marker})
    if licence is None:
        properties.append({"name": "intake-bot:licence", "value": "not installed where this was made, so not read"})
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in one.hashes],
        "properties": properties,
    }
    if licence is not None:
        component["licenses"] = [_licence(licence)]
    return component


def _licence(said: str) -> dict[str, Any]:
    if " AND " in said or " OR " in said:
        return {"expression": said}
    known = set(SPDX_OF_WORDS.values()) | {"0BSD", "BSD-2-Clause", "MIT-0", "MIT-CMU", "PSF-2.0", "LGPL-3.0-only"}
    return {"license": {"id": said} if said in known else {"name": said}}


def audit_outcome(report: str, packages: Sequence[Pinned]) -> tuple[int, list[str]]:
    """Exit status and lines for pip-audit's JSON: 0 nothing known, 1 something is, 3 not all could be asked about.

    pip-audit itself ends with 0 where an index knows of no advisories: that must not read as a clean bill.
    """
    try:
        looked = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        looked = []
    asked = {(canonical(one["name"]), one.get("version")) for one in looked if "skip_reason" not in one}
    lines = [
        f"{one['name']} {one['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'no version yet'}"
        for one in looked
        for known in one.get("vulns", ())
    ]
    names = {one.name for one in packages}
    missing = names - {name for name, _ in asked}
    if missing:
        lines.append(
            f"NOT AUDITED: {len(missing)} of {len(names)} packages could not be asked about. The advisories are at "
            "https://pypi.org; run this where that can be reached, or give requirements.lock or the bill of materials to a "
            "scanner of your own"
        )
    elif not lines:
        lines.append(f"no known vulnerability in {len(names)} packages")
    return (1 if any(one.get("vulns") for one in looked) else 3 if missing else 0), lines


def main(arguments: Sequence[str]) -> int:
    packages = read_lock(ROOT / "requirements.lock")
    match arguments:
        case ["sbom", path]:
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(bill(packages), indent=1) + "\n", encoding="utf-8")
            unread = sum(licence_of(one) is None for one in packages)
            print(f"{target}: {len(packages)} packages; licences of {unread} for other systems are not read here")
            return 0
        case ["licences"]:
            faults = licence_faults([*packages, *read_lock(ROOT / "requirements-dev.lock")])
            for fault in faults:
                print(f"licence not allowed or not known: {fault}")
            print("licences: no GPL in the locks" if not faults else "licences: see above")
            return 1 if faults else 0
        case ["audited", path]:
            report = Path(path)
            status, lines = audit_outcome(report.read_text(encoding="utf-8") if report.exists() else "", packages)
            print("\n".join(lines))
            return status
        case _:
            print("supply.py sbom FILE | licences | audited FILE")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
