"""Random, broken and hostile input through the whole command line: `python -m tests.fuzz --help`.

`world` makes sound files, `mutators` break them, `cases` choose what is broken and which command meets it, `children`
run a case in a process of its own with limits, `judging` says what must hold.
"""
