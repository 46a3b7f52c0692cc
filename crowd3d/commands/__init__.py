"""One file a command of the command line; `crowd3d.cli` lists them."""
