"""The typer application; every module in this folder whose name has no underscore adds commands."""

import pkgutil
from importlib import import_module

import typer

__all__ = ["app", "load_commands", "main"]

app = typer.Typer(
    name="crismis",
    help="Find, name, repair and measure cosmic-ray hits in images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")):
    if version:
        from .. import __version__

        typer.echo(__version__)
        raise typer.Exit


def load_commands():
    """Import every module of this folder, which registers its commands."""
    package = import_module("crismis.cli")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            import_module(f"crismis.cli.{module.name}")


def main():
    """Run the command line; exit code 2 for wrong usage, 1 for a failure that crismis names."""
    from ..errors import CrismisError

    load_commands()
    try:
        app()
    except CrismisError as error:
        typer.echo(f"crismis: {error}", err=True)
        raise SystemExit(1) from None
