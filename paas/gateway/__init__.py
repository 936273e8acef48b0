"""The TLS front of the platform: API, dashboard and git, and the sessions of attached runs (rendezvous)."""
