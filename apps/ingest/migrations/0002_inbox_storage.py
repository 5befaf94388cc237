"""Bodies lie in the inbox for seconds: compressing them again would cost more than the disk they save."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingest", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE ingest_inboxentry ALTER COLUMN body SET STORAGE EXTERNAL;"
            "ALTER TABLE ingest_inboxentry SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000)",
            migrations.RunSQL.noop,
        )
    ]
