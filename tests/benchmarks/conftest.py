"""What pytest leaves alone here: burstbench is another project's code and needs packages of its own."""

collect_ignore = ["incidents/burstbench"]
