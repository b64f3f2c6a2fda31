"""What pytest leaves alone here: code that runs in environments of its own, with packages of its own."""

collect_ignore = ["incidents/burstbench", "peers"]
