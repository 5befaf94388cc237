"""A timeline entry is never edited: a correction is a new entry. Deleting is the owner's, with its incident."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("incidents", "0001_initial"), ("core", "0002_partition_functions")]
    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER refuse_change BEFORE UPDATE ON incidents_timelineentry "
            "FOR EACH ROW EXECUTE FUNCTION core_refuse();"
            "ALTER TABLE incidents_timelineentry ENABLE ALWAYS TRIGGER refuse_change;",
            "DROP TRIGGER refuse_change ON incidents_timelineentry",
        )
    ]
