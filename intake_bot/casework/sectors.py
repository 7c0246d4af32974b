"""What kind of organisation writes, as far as its mail domain tells. A directory of known senders refines this later."""

from __future__ import annotations

_SUFFIXES = (
    (".sch.uk", "Education"),
    (".ac.uk", "Education"),
    (".nhs.uk", "Health"),
    (".nhs.net", "Health"),
    (".police.uk", "Police"),
    (".cafcass.gov.uk", "CAFCASS"),
    (".ofsted.gov.uk", "Ofsted"),
    (".gov.uk", "Council or government"),
)
FOSTERING = "Fostering"
_WORDS = (
    (("nursery", "nurseries", "preschool", "pre-school", "childmind", "earlyyears", "early-years"), "Early years"),
    (("foster",), FOSTERING),
    (("school", "academy", "primary", "secondary", "college", "sixthform"), "Education"),
    (("church", "mosque", "parish", "diocese", "temple", "synagogue", "gurdwara"), "Faith group"),
    (("football", "rugby", "cricket", "swim", "gymnast", "sport", "athletic", "judo", "karate", "dance"), "Sport"),
    (("scout", "guides", "youth", "club"), "Voluntary organisation"),
    (("taxi", "coach", "transport", "minicab"), "Transport"),
    (("care", "residential", "childrenshome"), "Social care"),
)


def sector_of(address: str | None) -> str | None:
    """A sector's name, or None where the domain does not tell. The local part (a person) is not looked at."""
    domain = "." + (address or "").rpartition("@")[2].lower()
    for suffix, sector in _SUFFIXES:
        if domain.endswith(suffix):
            return sector
    for words, sector in _WORDS:
        if any(word in domain for word in words):
            return sector
    return None
