"""One module per command: its docstring is the help, `EXAMPLE` an example, `arguments` and `run` the rest."""
