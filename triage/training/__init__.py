"""Making the learned layer: reading and linting the corpus, learning, calibrating. Nothing here runs in the service."""
