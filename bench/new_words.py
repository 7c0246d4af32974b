"""How well new words are told from old: ours and two libraries alone, on the labelled replies of ``tests/corpus/styles``.

``python bench/new_words.py [--failures] [--held-out]``. *exact*: the new words and no other, white space aside. *told
apart*: at most a tenth of the new words lost and at most a tenth of the old kept. *losing*: more than a tenth of the
new words lost. ``--failures`` lists what is not exact; without ``--held-out`` only of the part that may be looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from reply_styles import ADDRESS, Sample, Score, samples, score

from intake_bot.mail.limits import Limits
from intake_bot.mail.reading import Reading, read


def main() -> None:
    everything = samples()
    readings = {sample: reading(sample) for sample in everything}
    tools: dict[str, Callable[[Sample], str]] = {
        "intake-bot": lambda sample: readings[sample].body_text,
        "mail-parser-reply": lambda sample: mail_parser_reply(readings[sample].full_text),
        "quotequail": lambda sample: quotequail(sample, readings[sample].full_text),
    }
    for part, held_out in (("to look at", False), ("held out", True)):
        chosen = [sample for sample in everything if sample.held_out is held_out]
        print(f"\n{len(chosen)} messages {part}: exact / told apart / losing / keeping, in %")
        for tool, find in tools.items():
            scores = [(sample, score(find(sample), sample.new, readings[sample].full_text)) for sample in chosen]
            print(f"  {tool:18} {summary([found for _, found in scores])}")
            if tool == "intake-bot" and "--failures" in sys.argv and (not held_out or "--held-out" in sys.argv):
                for sample, found in scores:
                    if not found.exact:
                        print(f"    {'MUST ' if sample.must else ''}{sample.name}: {found}")


def summary(scores: list[Score]) -> str:
    shares = (
        sum(found.exact for found in scores),
        sum(found.told_apart for found in scores),
        sum(found.lost > 0.1 for found in scores),
        sum(found.kept > 0.1 for found in scores),
    )
    return " / ".join(f"{100 * share / len(scores):5.1f}" for share in shares)


def reading(sample: Sample) -> Reading:
    return read(
        sample.raw(),
        envelope_from="head@oakfield.example",
        envelope_to=[ADDRESS],
        authserv_id=None,
        own_addresses=[ADDRESS],
        limits=Limits(),
    )


def mail_parser_reply(text: str) -> str:
    from mailparser_reply import EmailReplyParser
    from mailparser_reply.constants import MAIL_LANGUAGES

    languages = [language for language in MAIL_LANGUAGES if language != "david"]
    return EmailReplyParser(languages=languages).parse_reply(text) or ""


def quotequail(sample: Sample, text: str) -> str:
    import quotequail

    if sample.is_html:
        from intake_bot.mail.text import html_to_text

        parts = quotequail.quote_html(sample.text)
        return html_to_text("".join(part for is_new, part in parts if is_new), 1_000_000).plain
    return "\n".join(part for is_new, part in quotequail.quote(text) if is_new)


if __name__ == "__main__":
    main()
