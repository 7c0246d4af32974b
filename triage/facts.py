"""The minimum data found by shape: names, ages, dates, telephone numbers, workplaces, and who signs.

Working from shapes alone is coarse. It leans towards "given": asking again for what was told annoys the referrer, and
the acknowledgement words its question "if you have not already told us". Every repetition in the patterns is
bounded or followed by what it cannot match, so that junk costs no more than text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from triage.vocabulary import MissingDatum

MAX_SIGNATURE_CHARACTERS = 400

_TITLE = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Fr|Father|Rev(?:erend)?|Sister|Brother|Imam|Rabbi|Pastor|Sir|Coach|Prof)\.?"
_CAPITAL = r"[A-Z][a-zà-öø-ÿ]{1,20}(?:['-][A-Z]?[a-zà-öø-ÿ]{1,20}){0,2}|O'[A-Z][a-z]{1,20}|Mc[A-Z][a-z]{1,20}"
_NAME = re.compile(
    rf"\b(?:(?P<title>{_TITLE})\s+)?(?P<first>{_CAPITAL})(?:[ \t]+[A-Z]\.?)?[ \t]+(?P<last>{_CAPITAL})\b"
    rf"|\b(?P<polite>{_TITLE})\s+(?P<surname>{_CAPITAL})\b"
)

# Capitalised words that are no part of a person's name.
_NO_NAME = frozenset(
    """
    a academy additional allegation all and april area arrivals as assistant association at august authority
    bank board borough boys brownies business care carer centre chair chief child children childminder christian
    church city class club coach college community compliance concern confidential consultation council county
    cricket date dear december deputy designated details director duty early east education england executive
    family february football for foster fostering friday from general girls good group guides gymnastics head
    headteacher health hello help hi high home hr human i in infant infants initial is january july june junior
    kind lado lead leader learning lido local low level lower manager many march mat may member mini monday
    morning mosque my need new north november nursery october of office officer ofsted on our outdoor parish
    park participation person personal place playgroup please police policy practitioner preschool primary
    principal private public re reception referral referrer regards registered residential resources road room
    rugby safeguarding saturday school scouts secretary section senior september service services sincerely site
    sixth snapchat social south special sports st staff street sunday supervising support swimming teacher
    teaching team thank thanks the this thursday to training trust tuesday unit united urgent volunteer ward we
    wednesday welfare west with word worker yes yesterday year young yours youth best wishes hall house lodge
    company case chairman role phone tel telephone mobile email sent subject when what where who how after
    before during instagram whatsapp tiktok facebook islamic jewish catholic cathedral minister governor
    governors trustee ta tas dsl pe send sen mash dbs hlta lsa ey eyfs first second third last next since there
    they he she it his her if no not but so about also an any because by can could did do
    """.split()
)

_PHONE = re.compile(
    r"(?<![\w/])(?:\+44[\s(0)]{0,5}|0)\d[\d\s()-]{6,14}\d\b|\bext(?:n|ension)?\.?\s*\d{3,5}\b", re.IGNORECASE
)
_TEENS = r"eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
_FOUR_TO_TEN = r"four|five|six|seven|eight|nine|ten"
_AGE = re.compile(
    r"\b(?:aged?\s*(?:of\s+|about\s+|is\s+|:\s*)?\d{1,2}"
    r"|\d{1,2}(?:[\s-]?(?:(?:and|&|-|to)\s{0,2})?\d{0,2})?[\s-]{0,3}(?:years?|yrs?|months?|mths?|weeks?)[\s-]*old"
    r"|\d{1,2}\s*(?:yo|y/o|months|mths)\b"
    rf"|(?:three|{_FOUR_TO_TEN}|{_TEENS})[\s-]years?[\s-]old"
    r"|(?:one|two|three|four)[\s-]year[\s-]olds?"
    r"|(?:is|was|are|who's|she's|he's|just|only|turned)\s+(?:only\s+|just\s+|about\s+|nearly\s+)?"
    rf"(?:\d{{1,2}}|{_FOUR_TO_TEN}|{_TEENS})\b"
    rf"|year\s*(?:group\s*)?(?:\d{{1,2}}|one|two|three|{_FOUR_TO_TEN}|eleven)s?|y(?:r|ear)?\.?\s?\d{{1,2}}\b"
    r"|ks[1-4]|reception|sixth[\s-]form(?:er)?|eyfs|dob|d\.o\.b|date of birth"
    r"|under[\s-]?\d{1,2}s?|u\d{1,2}s?|\d{1,2}\s*-\s*\d{1,2}\s*(?:squad|class|group|s\b))"
    r"|[A-Za-z]\s?[(,]\s?\d{1,2}\s?(?:[),]|and\b|&|yrs?)|\(\s?(?:both|all|aged)?\s*\d{1,2}\b",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    rf"\b\d{{1,2}}[./-]\d{{1,2}}(?:[./-]\d{{2,4}})?\b|\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b"
    rf"|\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b|\b(?:19|20)\d\d\b",
    re.IGNORECASE,
)
_CHILD_NAMED = re.compile(
    r"\b(?:pupil|child|boy|girl|student|son|daughter|young person|resident|victim|toddler|baby)s?\b"
    rf"[^.\n]{{0,12}}?[\s,:(]+(?P<name>{_CAPITAL})\b"
)
# A proper name before or after the word for a setting.
_SETTING = (
    r"(?:Primary|Infants?|Juniors?|High|Secondary|Academy|School|College|Nursery|Nurseries|Pre-?school|Playgroup"
    r"|Childminding|Club|Church|Mosque|Madrasah|Gymnastics|Football|Rugby|Swimming|Scouts?|Scout Group|Guides|Cubs"
    r"|Brownies|Trust|Centre|House|Lodge|Hospital|Parish|Foster(?:ing|care)?|Care|Homes?|Theatre|Dance|Taxis|Cars"
    r"|Travel|Agency|Council|Services|FC)"
)
_WORKPLACE = re.compile(
    rf"\b(?:[A-Z][\w'&.-]{{1,24}}[ \t]+(?:(?:and|of|the|CofE|CE|RC|C\.?E\.?)[ \t]+)?){{1,3}}{_SETTING}\b"
    r"|\bSt\.?[ \t]+[A-Z][\w']+"
    r"|\b[Aa]t[ \t]+(?!The\b|That\b|This\b|Home\b|Work\b|School\b)[A-Z][a-z]{2,}\b"
    r"|\b(?:workplace|setting|school|employer)\s*:[ \t]*\S"
)
_OURS = re.compile(
    r"\b(?:at|in|from) (?:my|the) (?:school|nursery|setting|academy|college|club|pre-?school|children's home|church)\b"
    r"|\b(?:our|one of our|one of my)\b|\bhere\b",
    re.IGNORECASE,
)
_FREE_MAIL = re.compile(
    r"@(?:[\w.-]{1,60}\.)?(?:gmail|googlemail|hotmail|outlook|live|yahoo|icloud|me|aol|btinternet|sky|proton|protonmail|gmx|"
    r"talktalk|virginmedia|msn|ymail|mail)\.[a-z.]{2,9}$",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(
    r"^[ \t]*(?:(?:kind|best|warm|many|with)?\s*(?:regards|thanks|wishes)|yours\b[^\n]{0,14}|sincerely|cheers"
    r"|thank you|thx|many thanks)[^\n]{0,24}$",
    re.IGNORECASE | re.MULTILINE,
)
_ROLE_WORD = re.compile(
    r"\b(?:head|headteacher|deputy|dsl|ddsl|lead|manager|officer|secretary|teacher|principal|director|worker"
    r"|childminder|coach|nurse|chair|governor|hr|safeguarding|adviser|advisor|practitioner|supervisor|coordinator"
    r"|co-ordinator|senco|business|clerk|trustee|priest|vicar|leader|owner|proprietor|welfare|sergeant|constable"
    r"|dc|ds|pc|consultant|ssw|registered|bursar|administrator|volunteer|mum|dad|mother|father|parent|grandmother"
    r"|carer)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Which minimum data a text gives by its shape."""

    subject_name: bool
    child_name_or_age: bool
    date_of_incident: bool
    referrer_contact: bool
    workplace: bool

    def given(self) -> frozenset[MissingDatum]:
        return frozenset(datum for datum in MissingDatum if getattr(self, datum.value, False))


def find(text: str, subject: str, sender: str | None) -> Facts:
    """The facts in the read part of a text, with plain quotes; ``sender`` is an address, of use for its own name."""
    body_end = signature_start(text)
    body, signature = text[:body_end], text[body_end:]
    child_names = {match["name"].lower() for match in _CHILD_NAMED.finditer(body)}
    adults = adult_names(text, subject, sender)
    whole = f"{subject}\n{text}"
    signed = any(len(name) > 1 for name in _names(signature)) and _names_role(signature)
    return Facts(
        subject_name=bool(adults),
        child_name_or_age=bool(_AGE.search(whole)) or bool(child_names - _NO_NAME),
        date_of_incident=bool(_DATE.search(whole)),
        referrer_contact=bool(_PHONE.search(whole)) or signed or _introduces_self(body),
        # "Our TA", from an organisation's address: the adult works where the writer does.
        workplace=bool(_WORKPLACE.search(whole)) or (bool(_OURS.search(whole)) and _is_organisation(sender)),
    )


def adult_names(text: str, subject: str, sender: str | None) -> list[tuple[str, ...]]:
    """Full names and titles with a surname, small, as they come: not the writer's, nor what stands after "pupil"."""
    body_end = signature_start(text)
    body, signature = text[:body_end], text[body_end:]
    own = _sender_words(sender) | {word for name in _names(signature) for word in name}
    child_names = {match["name"].lower() for match in _CHILD_NAMED.finditer(body)}
    return [
        name
        for name in [*_names(body), *_names(subject)]
        if not (set(name) <= own or (len(name) > 1 and name[-1] in own and name[0] in own) or name[0] in child_names)
    ]


def words_of_names(text: str) -> set[str]:
    """The words, small, of full names, of titles with a surname, and of what stands after "pupil" or the like."""
    named = {match["name"].lower() for match in _CHILD_NAMED.finditer(text)} - _NO_NAME
    return named | {word for name in _names(text) for word in name}


def is_no_name(word: str) -> bool:
    """Whether a word, small, is written with a capital and yet is no part of a name: "Head", "School"."""
    return word in _NO_NAME


def signature_start(text: str) -> int:
    """Where the signature begins: after the last sign-off, else a short last paragraph or line that opens with a name.

    The text's length where there is none. Words of role in a signature are the writer's, not the adult's.
    """
    near_end = max(0, len(text) - 4 * MAX_SIGNATURE_CHARACTERS)
    offs = [match.end() for match in _SIGN_OFF.finditer(text, near_end)]
    if offs and len(text) - offs[-1] <= MAX_SIGNATURE_CHARACTERS and text[offs[-1] :].strip():
        return offs[-1]
    stripped = text.rstrip()
    paragraph = stripped.rfind("\n\n", near_end)
    last = stripped[paragraph:].strip() if paragraph >= 0 else ""
    if last and len(last) < 160 and _NAME.match(last):
        return paragraph
    line = stripped.rfind("\n", near_end)
    last = stripped[line:].strip() if line >= 0 else ""
    if last and len(last) < 100 and _NAME.match(last):
        return line
    return len(text)


def _introduces_self(body: str) -> bool:
    found = re.search(rf"\b(?:[Mm]y name is|I am|I'm|This is) (?:{_CAPITAL})[ \t]+(?:{_CAPITAL})\b", body)
    return found is not None and bool(_ROLE_WORD.search(body[found.start() : found.end() + 80]))


def _names_role(signature: str) -> bool:
    """A role word, or a second thing after the name: "A. Name, AHT, Such Academy"."""
    rest = re.split(r"[,\n|]", signature.strip())
    return bool(_ROLE_WORD.search(signature)) or any(re.search(r"[^\W\d]{3}", part) for part in rest[1:])


def _is_organisation(sender: str | None) -> bool:
    return sender is not None and "@" in sender and _FREE_MAIL.search(sender.strip().rstrip(">")) is None


def _sender_words(sender: str | None) -> set[str]:
    local = (sender or "").rpartition("@")[0] or ""
    return {word for word in re.split(r"[^a-z]+", local[:80].lower()) if len(word) > 1}


def _names(text: str) -> Iterator[tuple[str, ...]]:
    """Full names, and titles with a surname, in lower case; a first name or initials alone name nobody."""
    position = 0
    while match := _NAME.search(text, position):
        position = match.end()
        if match["surname"]:
            if match["surname"].lower() not in _NO_NAME:
                yield (match["surname"].lower(),)
            continue
        first, last = match["first"].lower(), match["last"].lower()
        if first in _NO_NAME or last in _NO_NAME:
            position = match.start("last")  # "Teacher Sarah Brown": the name may begin at the second word
            if match["title"] and first not in _NO_NAME:
                yield (first,)
            continue
        yield (first, last)
