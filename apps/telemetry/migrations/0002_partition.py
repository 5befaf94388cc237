"""Cut what is kept for a while only by day."""

from django.db import migrations

from apps.core.partitions import partition_by_id


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0001_initial"), ("core", "0002_partition_functions")]
    operations = [
        partition_by_id("telemetry_trackedevent"),
        partition_by_id("telemetry_seentransaction"),
        partition_by_id("telemetry_sessionstate"),
    ]
