"""States in memory and as bytes: columns that grow, and pages of which a checkpoint writes those that changed."""
