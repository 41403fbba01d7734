"""`python -m tunewise` is `tunewise`."""

from tunewise.cli import main

main()
