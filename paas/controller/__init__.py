"""The controller: the only Django app, and the only part that drives the others."""
