"""The commands about the triage model: learn a new one, score it, and see how officers agree with it."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ByOption,
    CaseArgument,
    ConfigOption,
    DataOption,
    acting,
    failed,
    found_case,
    now_utc,
    opened_house,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intake_bot.casework.desk import Actor
    from intake_bot.casework.views import TextRead
    from intake_bot.house import House

EXAMPLES = "examples.jsonl"
_TEXTS_ARE_OFF = "[triage] export_texts is off: no text leaves for training, so none is redacted for it"

model_app = typer.Typer(no_args_is_help=True, help="The triage model.")


def add_to(app: typer.Typer) -> None:
    """Put the commands on the program."""
    model_app.command("train")(model_train)
    model_app.command("evaluate")(model_evaluate)
    model_app.command("review")(model_review)
    model_app.command("export")(model_export)
    model_app.command("redact")(model_redact)
    model_app.command("redacted")(model_redacted)
    app.add_typer(model_app, name="model")


def model_train(
    out: Annotated[Path, typer.Option("--out", help="A folder for the new model.")] = Path("model"),
    base: Annotated[Path | None, typer.Option("--base", help="The encoder's published model.safetensors.")] = None,
    corpus: Annotated[Path | None, typer.Option("--corpus", help="A folder of training texts.")] = None,
    go_on: Annotated[bool, typer.Option("--go-on", help="Go on from the present model: shorter than anew.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read the texts, and say how varied they are.")] = False,
) -> None:
    """Learn a new model from the training texts; it is kept where it beats the present one. It needs PyTorch, and hours."""
    from triage.learned.model import ModelFaulty
    from triage.training import make, texts
    from triage.training.adopt import NotAdopted

    try:
        if check:
            print_json(texts.statistics(texts.read(corpus or texts.CORPUS)))
            return
        if (base is None) is not go_on:
            failed("either --base, the file model.safetensors of all-MiniLM-L6-v2 from its publisher, or --go-on")
        print_json(make.train(corpus or texts.CORPUS, base, out))
    except (NotAdopted, texts.CorpusFaulty, make.BaseFaulty, OSError) as fault:
        failed(str(fault))
    except ModelFaulty as fault:
        failed(f"the present model cannot be scored: its file {fault} is not the one that it names")
    except ImportError as fault:
        failed(f"{fault.name} is not installed: learning needs torch, safetensors and onnx beside this program")


def model_evaluate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE...]", help="Labelled examples as JSON Lines; none: the corpus's test split."),
    ] = None,
    model: Annotated[Path | None, typer.Option("--model", help="The folder of another model.")] = None,
    readable: Annotated[bool, typer.Option("--readable", help="For people, as Markdown, instead of as JSON.")] = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Score the suggestion on labelled examples, beside plain baselines."""
    from triage import evaluate, scorecard

    which: list[Path | None] = [*files] if files else [None]
    for file in which:
        try:
            report = {"file": file.name if file else "test split"} | evaluate.report(file, model)
        except (OSError, ValueError, KeyError) as fault:
            failed(f"{file}: cannot be evaluated ({type(fault).__name__})")
        if readable:
            print(scorecard.markdown(report))
        else:
            print_json(report)


def model_review(
    readable: Annotated[bool, typer.Option("--readable", help="For people, as Markdown, instead of as JSON.")] = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """What was suggested, by month, and how far officers agreed: in all, by month, version and category. Counts only."""
    from intake_bot.casework import agreement

    with opened_house(config, data) as house, house.database.read() as session:
        found = agreement.review(session, house.settings.office.zone)
    if readable:
        print(agreement.readable(found))
    else:
        print_json(found)


def model_export(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where to write it; a file there is not overwritten.")
    ],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Decided cases for teaching another model: labels and counts, and only those texts that an officer has redacted."""
    path = out / EXAMPLES
    with opened_house(config, data) as house:
        try:
            out.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as fault:
            failed(f"{path}: {fault.strerror}")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            lines = _training_lines(house, acting(by))
            file.writelines(json.dumps(line) + "\n" for line in lines)
    texts = sum("text" in line for line in lines)
    print(f"{len(lines)} decided cases, {texts} of them with a redacted text: {path}")


def model_redact(
    case: CaseArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it; must not exist yet.")],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write the text that opened a case to a file, for you to redact. The access goes on the record."""
    from intake_bot.casework import retraining
    from intake_bot.casework.acts import Refused

    with opened_house(config, data) as house:
        if not house.settings.triage.export_texts:
            failed(_TEXTS_ARE_OFF)
        with found_case(house, case) as (session, row):
            words = retraining.to_redact(session, house.practice, row, by=acting(by), now=now_utc())
            reference = row.reference
    if isinstance(words, Refused):
        failed(words.said)
    # What strangers wrote must not act on the terminal that shows it.
    shown = "".join(character for character in words if character in "\n\t" or character.isprintable())
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as fault:
        failed(f"{out}: {fault.strerror}")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(shown)
    print(
        f"redact it, hand it in with intake-bot model redacted {reference} --file, and delete the file", file=sys.stderr
    )


def model_redacted(
    case: CaseArgument,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="The redacted text, UTF-8.")],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Keep a text that you have redacted, sealed on its case, for export. One that still tells who is meant is refused."""
    from intake_bot.casework import retraining
    from intake_bot.casework.acts import Refused

    try:
        words = file.read_text(encoding="utf-8-sig")
    except OSError as fault:
        failed(f"{file}: {fault.strerror}")
    except UnicodeDecodeError:
        failed(f"{file} is no UTF-8")
    with opened_house(config, data) as house:
        if not house.settings.triage.export_texts:
            failed(_TEXTS_ARE_OFF)
        with found_case(house, case) as (session, row):
            result = retraining.keep_redacted(
                session, house.practice, row, words, _what_is_left, by=acting(by), now=now_utc()
            )
    if isinstance(result, Refused):
        failed(result.said)
    print(f"{result.said} Delete the files that hold it.")


def _training_lines(house: House, by: Actor) -> list[dict[str, Any]]:
    """Every line of an export, in an order drawn by lot; each case's part in it is on the record when this returns."""
    from intake_bot.casework import retraining
    from triage import pipeline
    from triage.weighing import MEASURES

    rules = pipeline.load()

    def measure(read: TextRead) -> Mapping[str, float]:
        verdict, _ = rules.judge(read.text, subject=read.subject, sender=read.sender)
        return dict(zip(MEASURES, verdict.measures, strict=True))

    lines: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        with house.database.read() as session:
            found, after = retraining.examples(
                session, house.practice, measure, after=after, with_texts=house.settings.triage.export_texts
            )
        with house.database.write() as session:
            leaving = retraining.record_export(session, found, by=by, now=now_utc())
        lines += [example.line for example in leaving]
    secrets.SystemRandom().shuffle(lines)
    return lines


def _what_is_left(redacted: str, original: str, known_of: Sequence[str]) -> list[str]:
    from triage.identifying import kinds_left

    return [kind.value for kind in kinds_left(redacted, original=original, known_of=known_of)]
