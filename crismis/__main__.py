"""``python -m crismis`` is the command ``crismis``."""

from .cli import main

main()
