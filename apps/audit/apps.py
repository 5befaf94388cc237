"""The audit room."""

from django.apps import AppConfig

from apps.core import grants


class AuditConfig(AppConfig):
    """Owns AuditEvent; never updates or deletes a row of it."""

    name = "apps.audit"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Close the table to the app role, cut it by month, listen to sign-ins."""
        from apps.audit import receivers  # noqa: F401
        from apps.core import partitions

        grants.append_only_tables.add("audit_auditevent")
        partitions.register(partitions.Partitioned("audit_auditevent", "month", ahead=3))
