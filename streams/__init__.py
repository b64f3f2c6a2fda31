"""The world: Kafka and the embedded runtime, sources in, notifiers out, metrics, web, command line."""
