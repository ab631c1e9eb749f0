"""``crismis train categorize``: learn to name events from your own labels or simulation."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ._train_app import train


@train.command()
def categorize(
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Table with columns file, label, true_category; or .npz with images, labels."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with a table [categorize]: learn from simulation alone."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for simulated events of --config; OUTPUT.work by default."),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path(
        "categorize.crm"
    ),
    column: Annotated[str, typer.Option(help="Column of the true categories.")] = "true_category",
    simulated: Annotated[
        int,
        typer.Option(help="Simulated images that stand in for the categories without labels."),
    ] = 0,
    unknown_below: Annotated[
        float, typer.Option(help="Probability below which an event is left unknown.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Source of all randomness.")] = 0,
    export: Annotated[
        list[Path] | None,
        typer.Option(help="Write cut-out sheets and a table to fill in for this image instead."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where --export writes.")] = Path("labels"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
):
    """Learn categories from labelled or simulated events, or export events to label."""
    from ..learning import categorize as learning

    try:
        if export:
            table = learning.export_labelling_sheets(export, folder)
            outcome = {"events": len(table), "table": str(folder / "labels.ecsv")}
        elif config:
            outcome = _simulate(learning, config, output, work)
        else:
            outcome = _train(learning, labels, output, column, simulated, unknown_below, seed)
    except (ValueError, OSError) as error:
        typer.echo(f"crismis: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(outcome))
    else:
        for name, value in outcome.items():
            typer.echo(f"{name}: {value}")


def _simulate(learning, config, output, work):
    def report(sentence):
        typer.echo(sentence, err=True)

    model = learning.fit_on_simulation(
        learning.CategorizeConfig.load(config),
        folder=output.with_suffix(".work") if work is None else work,
        report=report,
    )
    return _save(model, output)


def _train(learning, labels, output, column, simulated, unknown_below, seed):
    if labels is None:
        raise typer.BadParameter(
            "give --labels TABLE, or --export IMAGE to make one to fill in, or --config FILE "
            "to learn from simulation"
        )
    if labels.suffix == ".npz":
        labelled = learning.labels_from_cutouts(labels)
    else:
        labelled = learning.labels_from_table(labels, column=column)
    if simulated:
        labelled = learning.add_simulated(labelled, simulated, seed=seed)
    model = learning.fit_classifier(
        labelled, name=output.stem, unknown_below=unknown_below, seed=seed, notes=str(labels.name)
    )
    return _save(model, output)


def _save(model, output):
    model.save(output)
    return {
        "model": str(output),
        "events": model.card["events"],
        "held_out_accuracy": round(model.card["held_out_accuracy"], 4),
    }
