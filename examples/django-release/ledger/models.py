"""One row per release that was prepared."""

from django.db import models


class PreparedRelease(models.Model):
    version = models.CharField(max_length=40)
    prepared_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
