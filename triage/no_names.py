"""Does a message ask to consult without naming anyone?"""

from __future__ import annotations

import re

_NO_NAMES = re.compile(
    r"\b(?:on\s+(?:a|an)\s+)?(?:no[\s-]?names?|name(?:less|s\s+withheld)|anonymis?z?ed|anonymous)\s+"
    r"(?:basis|consultation|consult|query|advice|discussion|call|conversation|enquiry)\b"
    r"|\bwithout\s+(?:naming\s+(?:anyone|anybody|names|the\s+(?:person|adult))|giving\s+(?:any\s+)?names?)\b",
    re.IGNORECASE,
)


def asks_for_no_names(text: str) -> bool:
    """True where the writer wants a no-names consultation: then nobody's name is ever asked for."""
    return _NO_NAMES.search(text) is not None
