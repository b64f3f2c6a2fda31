"""The isolation forest: its features, how it grows, and the walk down its trees."""
