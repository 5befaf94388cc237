"""Who somebody in Slack is here."""

from django.conf import settings
from django.db import models


class SlackPerson(models.Model):
    """An account of a Slack workspace, and the user who confirmed that it is theirs."""

    team = models.CharField(max_length=40, help_text="The workspace's id.")
    person = models.CharField(max_length=40, help_text="The account's id.")
    name = models.CharField(max_length=80, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="slack_accounts")
    linked_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name, verbose_name_plural = "Slack account", "Slack accounts"
        default_permissions = ("view", "delete")
        constraints = (models.UniqueConstraint(fields=("team", "person"), name="alerts_slackperson_once"),)

    def __str__(self) -> str:
        return f"@{self.name} is {self.user}"
