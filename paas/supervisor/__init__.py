"""Starts, watches and stops the processes of one installation on one machine.

In: `paas.configuration` and the data folder.  Out: running processes, and words about them.
"""
