"""The command ``crismis``: one thin module per subcommand, each calling one public function."""

from .app import app, main

__all__ = ["app", "main"]
