"""The commands about the triage model: learn a new one, score it, and see how officers agree with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ConfigOption,
    DataOption,
    failed,
    opened_house,
    print_json,
)

model_app = typer.Typer(no_args_is_help=True, help="The triage model.")


def add_to(app: typer.Typer) -> None:
    """Put the commands on the program."""
    model_app.command("train")(model_train)
    model_app.command("evaluate")(model_evaluate)
    model_app.command("review")(model_review)
    app.add_typer(model_app, name="model")


def model_train(
    out: Annotated[Path, typer.Option("--out", help="A folder for the new model.")] = Path("model"),
    base: Annotated[Path | None, typer.Option("--base", help="The encoder's published model.safetensors.")] = None,
    corpus: Annotated[Path | None, typer.Option("--corpus", help="A folder of training texts.")] = None,
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
        if base is None:
            failed("--base is the file model.safetensors of all-MiniLM-L6-v2, from its publisher")
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
