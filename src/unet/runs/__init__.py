"""A run: decided once, written into its folder, opened, resumed, finished."""
