"""Where alerts go: one file a notifier."""
