"""The duty desk in Slack: what is shown there, what officers do there, and the connection in between."""
