"""The sub-application ``crismis train`` that the training commands share."""

import typer

from .app import app

__all__ = ["train"]

train = typer.Typer(
    help="Train models on simulated or your own labelled data.", no_args_is_help=True
)
app.add_typer(train, name="train")
