"""The Kafka runtime."""
