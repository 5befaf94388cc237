"""Cut error events by day, over ids that begin with the event's own milliseconds."""

from django.db import migrations

from apps.core.partitions import partition_by_id


class Migration(migrations.Migration):
    dependencies = [("errors", "0001_initial"), ("core", "0002_partition_functions")]
    operations = [partition_by_id("errors_errorevent")]
