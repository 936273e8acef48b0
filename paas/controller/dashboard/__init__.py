"""The dashboard: Django templates and htmx partials over the services and selectors.

In: a browser with a session.  Out: pages; every change goes through a service.
"""
