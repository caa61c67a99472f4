"""What a person looks at: the page of a run, drawn from its files, overlays and contact sheets."""
