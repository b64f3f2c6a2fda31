"""Intake: messages in, frames out; what is refused, and why; what each event costs."""
