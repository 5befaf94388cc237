"""The stamps of an incident stay in their order, whoever writes them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0002_timeline_append_only")]

    operations = [
        migrations.AddConstraint(
            model_name="incident",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("detected_at__gte", models.F("began_at")),
                    ("acknowledged_at__gte", models.F("began_at")),
                    ("acknowledged_at__gte", models.F("detected_at")),
                    ("mitigated_at__gte", models.F("began_at")),
                    ("mitigated_at__gte", models.F("detected_at")),
                    ("resolved_at__gte", models.F("began_at")),
                    ("resolved_at__gte", models.F("detected_at")),
                    ("resolved_at__gte", models.F("acknowledged_at")),
                    ("resolved_at__gte", models.F("mitigated_at")),
                ),
                name="incidents_stamps_in_order",
            ),
        ),
    ]
