"""A platform as a service on your own Linux hosts: `git push paas main`, and the app is live."""
