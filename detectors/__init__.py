"""The pure core: what is odd, what it costs, whom it should wake. No Kafka, no HTTP, no clock, no metrics."""
