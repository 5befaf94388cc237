"""Cut the audit log by month and refuse every change to a written row."""

from django.db import migrations

from apps.core.partitions import append_only, partition_by_id


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("core", "0002_partition_functions")]
    operations = [
        partition_by_id("audit_auditevent"),
        migrations.RunSQL(
            "ALTER TABLE audit_auditevent ADD CONSTRAINT audit_auditevent_hash_fits "
            "CHECK (event_hash = sha256(convert_to(canonical, 'UTF8')))",
            "ALTER TABLE audit_auditevent DROP CONSTRAINT audit_auditevent_hash_fits",
        ),
        append_only("audit_auditevent"),
        # Statement triggers do not reach the partition that was there before them.
        migrations.RunSQL(
            "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit_auditevent_default EXECUTE FUNCTION core_refuse();"
            "ALTER TABLE audit_auditevent_default ENABLE ALWAYS TRIGGER refuse_truncate;",
            "DROP TRIGGER refuse_truncate ON audit_auditevent_default",
        ),
    ]
