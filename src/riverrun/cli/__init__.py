"""The command line: one file a verb, each with SUMMARY, `add(parser)` and `run(arguments)`; torch only inside `run`."""
