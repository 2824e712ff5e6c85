"""The record of a run: its folder, its manifest, its options and its environment."""
