"""Label maps to things: components, their measures, distances between them; numpy in, numpy out."""
