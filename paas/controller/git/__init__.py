"""Git over HTTP: pushes, clones and fetches of the apps' repositories.

In: requests of git clients, plus a `port.GitBackend` (accounts, apps, builds).  Out: moved refs and build output lines.
"""
