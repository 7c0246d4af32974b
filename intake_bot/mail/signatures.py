"""What stands under, and sometimes over, the writer's words without being words of this message: signatures, the lines of
telephones and programs, disclaimers, footers of lists and scanners, and gateways' banners.

All of it is taken off only at the very end (a banner at the very top), and only where every line looks the part:
people also type two hyphens to set one part of an account off from the next, and give telephone numbers that matter.
The closing and the name under it ("Kind regards, Jane") stay; what stands under those goes from an answer alone, for
in a first message it is how the referrer can be reached, one of the minimum information.
"""

from __future__ import annotations

import re

from intake_bot.mail.introductions import ADDRESS, MAX_LINE, is_rule, phrases, tidy
from intake_bot.mail.text import words

_MAX_SIGNATURE_LINES = 14
_MAX_TAIL_LINES = 60
_NOT_PROSE_LINE_WORDS = 10
_MAX_ROUNDS = 5

# RFC 3676 § 4.3 has "-- "; transport and people make others of it.
_DELIMITER = re.compile(r"^\s{0,3}(?:--|—|–|――|__|---|___|\*\*\*|==|~~)\s*$")
_EXACT_DELIMITER = re.compile(r"^-- ?$")
_NAME_AFTER_HYPHEN = re.compile(r"^\s?(?:-|–|—|~)\s?[^\W\d_][^\W\d_.'’]{0,20}(?: [^\W\d_][^\W\d_.'’-]{0,20}){0,2}$")
_DEVICES = "|".join(phrases()["devices"])
_DEVICE_LINES = "|".join(phrases()["device_lines"]).replace("DEVICE", _DEVICES)
_DEVICE_LINE = re.compile(rf"(?i)^\s*(?:{_DEVICE_LINES})\s*$")
# A sentence that happens to begin like one: these words stand in no program's line.
# "Sent from a magnificent machine": people vary the line, and it still stands alone at the end.
_SENT_FROM = re.compile(r"(?i)^sent (?:from|via|using|by) (?:[^\W\d_][\w'’-]*[ .]?){1,7}$")
_IMAGE = re.compile(r"(?i)^\[(?:cid:|image|logo|https?:)[^\]]{0,200}\](?:\s?<[^>]{0,300}>)?$")
_NOT_DEVICE = re.compile(
    r"(?i)\b(?:were|was|is|are|had|has|he|she|they|his|her|their|pupils?|child(?:ren)?|pictures?|photos?|coach|"
    r"teacher)\b|\w['’]s "
)
_OWN = re.compile(
    rf"(?i)\b(?:my|mein\w*|unterwegs|mon|ma|mi|mio|meu|minha|mijn|min|mitt?|minun|mého|m[oô]jho|moje\w*|mobil\w*|fy|"
    rf"мо\w+|{_DEVICES})(?!\w)|[\u0590-\u06ff\u3040-\u9fff\uac00-\ud7a3]|đi động"
)

# One of the first says that a list or a scanner wrote the paragraph; the others only do under a rule.
_FOOTER = re.compile(
    r"(?i)you (?:have )?received this (?:message|e-?mail) because|\bto unsubscribe\b|unsubscribe:|mailman/listinfo|"
    r"\bmailing list\s+\S+@|mail (?:has been|is|was) (?:checked|scanned) (?:for|by)|been scanned (?:for virus|"
    r"by mail|by the)|virus-free\. ?(?:www)?|virenfrei\. ?www|reply to this email directly|view it on github|"
    r"manage your subscription|information from eset|to post to this group"
)
_FOOTER_UNDER_RULE = re.compile(
    r"(?i)mailing list|unsubscribe|google groups|yahoo! groups|antivirus|avast|messagelabs|mimecast|listinfo|virus"
)
_ABOUT_THIS_MAIL = re.compile(
    r"(?i)\b(?:this|the|these|our|any|diese[rs]?|der inhalt|cette?|ce|este|esta|questa|questo|il presente|"
    r"la presente|dit|deze|det|detta|denna|dette|denne|niniejsza|esta|tato|tento|данное|это|"
    r"yr)\W{1,3}(?:\w+\W{1,3}){0,5}?(?:e-?mail\w*|messages?|communication|transmission|attachments?|nachricht\w*|"
    r"mail|courriel|message électronique|correo|mensaje|messaggio|bericht|meddelande|meddelelse|mensagem|wiadomość|"
    r"zpráva|сообщение|neges)\b|\be-?mail (?:disclaimer|confidentiality)|confidentiality notice|disclaimer:"
)
_DISCLAIMER = [re.compile(f"(?i){cue}") for cue in phrases()["disclaimer_cues"]]
_ENVIRONMENT = re.compile(
    r"(?i)\W{0,5}(?:please )?(?:consider the environment|think before (?:you )?print|"
    r"do you (?:really )?need to print|save (?:a tree|paper))"
)

_BANNER_WORDS = re.compile(
    r"(?i)(?:originat\w+|comes?|came|sent|received) (?:from )?(?:an? )?(?:outside|external)|external (?:e-?mail|"
    r"sender|source|message)|outside (?:of )?(?:the|your|our) (?:organi[sz]ation|company|council|school|trust|"
    r"network|business|academy)|(?:don't|do not) often get (?:e-?mail|email)|from outside|externe? (?:e-?mail|"
    r"absender)|expéditeur externe|remitente externo"
)
_BANNER_ADVICE = re.compile(
    r"(?i)caution|warning|attention|achtung|vorsicht|external|click|attachments?|recogni[sz]e|trust|learn why|\[ext"
)
_BANNER_OPENS = re.compile(
    r"(?i)^[\W_]*(?:caution|warning|attention|achtung|vorsicht|important|security|notice|be (?:careful|aware|"
    r"cautious)|alert|(?:this|the following|diese) (?:is an external |external )?(?:e-?mail|message|mail|nachricht)|"
    r"external|\[ext|ext:|you (?:don't|do not|don’t)|\w+@\S+ |some people who|sent from outside|expéditeur|remitente)"
)
_BANNER_ALONE = re.compile(
    r"(?i)^[\s*\[(<{!#=-]*(?:ext|extern|external|external (?:e-?mail|sender|message)|caution:? external(?: e-?mail)?|"
    r"warning:? external(?: e-?mail)?)[\s*\])>}!#:=-]*$"
)

_CLOSINGS = "|".join(phrases()["closings"])
_BEFORE_CLOSING = (
    r"(?:with|all|my|our|the|and|very|many|kind(?:est)?|warm(?:est)?|best|yours?|most|in advance|so much|again|"
    r"for your help|for now|of|to you)[ ,]+"
)
_CLOSING = re.compile(rf"(?i)^\s*(?:{_BEFORE_CLOSING}){{0,5}}(?:{_CLOSINGS})\s*[,.!:-]*\s*$")
_HARD_CONTACT = re.compile(
    r"(?i)(?<!\w)(?:\+|\(?0)\d[\d\s().-]{7,}\d|https?://|\bwww\.|\b[a-z]{1,2}\d{1,2}[a-z]? \d[a-z]{2}\b|\b(?:tel|"
    r"phone|mob(?:ile)?|fax|direct|office|t|m|e|w|web|email|e-mail|ext|dd|telefon|tél|telephone)\s?[:.|]\s?\S"
)
# "Mrs Lowe: 01632 960123" is whom to ring, not who writes.
_SOMEBODY_ELSE = re.compile(
    r"(?i)^(?!(?:tel|phone|mob|fax|direct|office|work|home|main|switchboard|reception|t|m|e|w|f|p|o|d|dd|ddi|ext|"
    r"cell|voice|desk)\b|school|email|e-mail|web|www|telephone|telefon|"
    r"tél)[^\W\d_][\w .'’-]{2,40}\s?[:–-]\s?\+?\(?\d[\d\s()-]{6,}"
)
_SENTENCE = re.compile(
    r"(?i)\b(?:is|was|are|were|has|had|have|will|would|can|could|should|must|please|he|she|they|him|her|his|their|i|"
    r"we|you|my|me|us|did|does|do|said|told|mother|father|mum|dad|parents?|boy|girl|pupil|number is|if|that|when|"
    r"because)\b"
)
_LEGAL_PRONOUNS = re.compile(
    r"(?i)\bwhom (?:they|it) (?:are|is) (?:addressed|intended)|\b(?:he or she|him or her|his or her|their contents?)\b"
)
_PRONOUN_LINE = re.compile(r"(?i)\b(?:he|she|they|him|her|his|hers|their|them)\b")


def split_signature(
    lines: list[str], *, marked: set[int] | None = None, contact_blocks: bool = False, writer: str = ""
) -> tuple[list[str], list[str]]:
    """The lines without what is signature at their end, and what was taken off, in order.

    ``marked`` are the numbers of lines that HTML names as a signature. ``contact_blocks``: a block of job, school and
    telephone under a closing goes too, though nothing delimits it.
    """
    kept = list(lines)
    taken: list[str] = []
    for _ in range(_MAX_ROUNDS):
        cut = _cut(kept, marked or set(), contact_blocks=contact_blocks, writer=writer)
        if cut is None or not any(line.strip() for line in kept[:cut]):
            break
        taken = [line for line in kept[cut:] if line.strip()] + taken
        kept = kept[:cut]
    while kept and not kept[-1].strip():
        kept.pop()
    return kept, taken


def is_only_signature(lines: list[str]) -> bool:
    """Whether nothing in these lines was written this time: device lines, rules, a signature, a footer, or nothing."""
    kept, _ = split_signature(["x", "", *lines], contact_blocks=True)
    rest = [line for line in kept[1:] if line.strip() and not is_rule(line)]
    return not rest


def without_banner(lines: list[str]) -> list[str]:
    """The lines without a gateway's warning at the very top ("CAUTION: this email originated from outside …")."""
    start = 0
    for _ in range(3):
        while start < len(lines) and (not lines[start].strip() or is_rule(lines[start])):
            start += 1
        end = start
        while end < len(lines) and lines[end].strip() and end - start < 8:
            end += 1
        if start < end and _BANNER_ALONE.match(tidy(lines[start])[:MAX_LINE]):
            start += 1
            continue
        paragraph = " ".join(line[:MAX_LINE] for line in lines[start:end])
        if len(paragraph.split()) > 90 or not _is_banner(paragraph):
            break
        start = end
    return lines[start:] if any(line.strip() for line in lines[start:]) else lines


def _is_banner(paragraph: str) -> bool:
    fits = _BANNER_OPENS.match(paragraph) and _BANNER_WORDS.search(paragraph) and _BANNER_ADVICE.search(paragraph)
    about_mail = re.search(r"(?i)mail|message|sender|nachricht", paragraph)
    return bool(fits and about_mail) and not _PRONOUN_LINE.search(paragraph)


def _cut(lines: list[str], marked: set[int], *, contact_blocks: bool, writer: str) -> int | None:
    """Where the lowest part that is no words of the writer begins, or None."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    if not end:
        return None
    last = tidy(lines[end - 1])[:MAX_LINE]
    alone = end > 1 and not lines[end - 2].strip()
    if alone and _SENT_FROM.match(last) and not _NOT_DEVICE.search(last):
        return _above_rule(lines, end - 1)
    if _is_device_line(last) or _ENVIRONMENT.match(last) or _BANNER_ALONE.match(last):
        return _above_rule(lines, end - 1)
    if is_rule(last) or _DELIMITER.match(last):
        return end - 1
    return (
        _marked_signature(lines, end, marked)
        or _delimited(lines, end)
        or _footer(lines, end)
        or _disclaimer(lines, end)
        or (_contact_block(lines, end) or _under_own_name(lines, end, writer) if contact_blocks else None)
        or _hyphen_name(lines, end)
    )


def _is_device_line(line: str) -> bool:
    return bool(_DEVICE_LINE.match(line) and _OWN.search(line)) and not _NOT_DEVICE.search(line)


def _above_rule(lines: list[str], cut: int) -> int:
    """One line higher where a rule or a delimiter stands right above."""
    above = cut - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and (_DELIMITER.match(lines[above]) or is_rule(lines[above])) else cut


def _marked_signature(lines: list[str], end: int, marked: set[int]) -> int | None:
    start = end
    while start and (start - 1 in marked or not lines[start - 1].strip()):
        start -= 1
    block = [line for line in lines[start:end] if line.strip()]
    if not block or len(block) > 2 * _MAX_SIGNATURE_LINES:
        return None
    # People type into the signature by mistake, and telephones let them.
    if all(_in_signature(line, strictly=True) for line in block):
        return _above_rule(lines, start)
    return None


def _delimited(lines: list[str], end: int) -> int | None:
    for number in range(end - 1, max(-1, end - 2 * _MAX_SIGNATURE_LINES), -1):
        drawn = is_rule(lines[number])
        if not drawn and not _DELIMITER.match(lines[number]):
            continue
        block = [line for line in lines[number + 1 : end] if line.strip()]
        strictly = not _EXACT_DELIMITER.match(lines[number]) or lines[number] == "--"
        if drawn and not any(_under_rule(line[:MAX_LINE]) for line in block):
            return None
        fits = len(block) <= _MAX_SIGNATURE_LINES and all(_in_signature(line, strictly=strictly) for line in block)
        return number if block and (fits or _is_disclaimer(" ".join(block)) or _is_footer(block)) else None
    return None


def _under_rule(line: str) -> bool:
    return bool(_FOOTER.search(line) or _FOOTER_UNDER_RULE.search(line) or _HARD_CONTACT.search(line))


def _in_signature(line: str, *, strictly: bool) -> bool:
    line = line[:MAX_LINE]
    if _IMAGE.match(line.strip()):
        return True
    if _FOOTER.search(line) or (_FOOTER_UNDER_RULE.search(line) and not _PRONOUN_LINE.search(line)):
        return True
    if _ENVIRONMENT.match(line) or _ABOUT_THIS_MAIL.search(line) or _is_device_line(line):
        return True
    bare = line.strip()
    size = len(bare.split())
    contact = _HARD_CONTACT.search(bare) or ADDRESS.search(bare)
    if size > (2 * _NOT_PROSE_LINE_WORDS if contact else _NOT_PROSE_LINE_WORDS):
        return _disclaimer_cues(bare) >= 1 and not _PRONOUN_LINE.search(_LEGAL_PRONOUNS.sub(" ", bare))
    prose = size >= 4 and bare.endswith((".", ":")) and not contact
    if strictly and (prose or (_SENTENCE.search(bare) and size >= 4)):
        return bool(_disclaimer_cues(bare))
    return not bare.endswith(("!", "?"))


def _footer(lines: list[str], end: int) -> int | None:
    """A last paragraph that a list or a scanner put there."""
    start = _paragraph(lines, end)
    block = [line[:MAX_LINE] for line in lines[start:end]]
    return _above_rule(lines, start) if _is_footer(block) and start else None


def _is_footer(block: list[str]) -> bool:
    text = " ".join(line[:MAX_LINE] for line in block)
    return len(text.split()) <= 80 and bool(_FOOTER.search(text)) and not _PRONOUN_LINE.search(text)


def _disclaimer(lines: list[str], end: int) -> int | None:
    start = _paragraph(lines, end)
    text = " ".join(line[: 4 * MAX_LINE] for line in lines[start:end])
    if _is_disclaimer(text) and start:
        return _above_rule(lines, start)
    # Its last paragraph may hold none of the words: it goes with a disclaimer right above it.
    above = start
    while above and not lines[above - 1].strip():
        above -= 1
    higher = _paragraph(lines, above)
    tail = len(text.split()) <= 60 and _disclaimer_cues(text) >= 1 and not _PRONOUN_LINE.search(text)
    if higher and tail and _is_disclaimer(" ".join(line[: 4 * MAX_LINE] for line in lines[higher:above])):
        return higher
    return None


def _is_disclaimer(text: str) -> bool:
    if not _ABOUT_THIS_MAIL.search(text):
        return False
    persons = _PRONOUN_LINE.search(_LEGAL_PRONOUNS.sub(" ", text))
    return _disclaimer_cues(text) >= (5 if persons else 3)


def _disclaimer_cues(text: str) -> int:
    return sum(bool(cue.search(text)) for cue in _DISCLAIMER)


def _paragraph(lines: list[str], end: int) -> int:
    start = end
    while start and lines[start - 1].strip() and end - start < _MAX_TAIL_LINES:
        start -= 1
    return start


def _contact_block(lines: list[str], end: int) -> int | None:
    """The lines under a closing and a name that say who the writer is and where: job, school, address, telephone."""
    for number in range(end - 1, max(0, end - 2 * _MAX_SIGNATURE_LINES), -1):
        if not _CLOSING.match(tidy(lines[number])[:80]) or len(lines[number].split()) > 7:
            continue
        below = [n for n in range(number + 1, end) if lines[n].strip()]
        if below and _is_name(lines[below[0]]):
            below = below[1:]
        block = [tidy(lines[n])[:MAX_LINE] for n in below]
        if not block or len(block) > _MAX_SIGNATURE_LINES or not all(_is_contact(line) for line in block):
            return None
        if not any(_HARD_CONTACT.search(line) or ADDRESS.search(line) for line in block):
            return None
        return below[0]
    return None


def _under_own_name(lines: list[str], end: int, writer: str) -> int | None:
    """The lines under the writer's full name, as From gives it: short, and none of them a sentence or another's number."""
    name = set(words(writer))
    if len(name) < 2:
        return None
    for number in range(end - 1, max(0, end - _MAX_SIGNATURE_LINES), -1):
        if set(words(lines[number][:MAX_LINE])) != name:
            continue
        below = [n for n in range(number + 1, end) if lines[n].strip()]
        block = [tidy(lines[n])[:MAX_LINE] for n in below]
        fits = all(_is_contact(line) and not line.endswith((".", ":", ",")) for line in block)
        return (
            below[0] if block and fits and all(len(line.split()) <= _NOT_PROSE_LINE_WORDS for line in block) else None
        )
    return None


def _is_name(line: str) -> bool:
    bare = tidy(line)
    return (
        len(bare.split()) <= 5
        and not any(char.isdigit() for char in bare)
        and not ADDRESS.search(bare)
        and ":" not in bare
    )


def _is_contact(line: str) -> bool:
    if _IMAGE.match(line):
        return True
    if len(line.split()) > 14 or line.endswith(("?", "!")):
        return False
    return not _SENTENCE.search(ADDRESS.sub("", line)) and not _SOMEBODY_ELSE.match(line)


def _hyphen_name(lines: list[str], end: int) -> int | None:
    """ "- Jane" at the very end, apart from the words above and so no item of a list."""
    if not _NAME_AFTER_HYPHEN.match(lines[end - 1]) or end < 2 or lines[end - 2].strip():
        return None
    name = lines[end - 1].strip(" -–—~")
    above = next((line for line in reversed(lines[: end - 1]) if line.strip()), "")
    in_list = re.match(r"\s*[-*•–—]\s", above) or above.rstrip().endswith(":")
    return end - 1 if name[:1].isupper() and not in_list else None
