"""What a person sees of a command: progress, lines, tables."""
