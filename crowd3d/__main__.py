"""`python -m crowd3d`."""

from crowd3d.cli import main

main()
