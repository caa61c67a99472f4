"""One module per command. Each reads top to bottom, calls the rooms below, and is where a newcomer starts to read."""
