"""Sources that do not come by a push: archives, URLs, git repositories elsewhere, and the hooks that tell of changes.

In: what users and other servers say.  Out: checked values and files. Plain Python, nothing of the controller.
"""
