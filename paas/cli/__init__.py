"""The `paas` command: a client of the REST API. It imports nothing of the server."""
