"""A receipt is never edited."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial"), ("core", "0002_partition_functions")]
    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER refuse_change BEFORE UPDATE ON alerts_attempt "
            "FOR EACH ROW EXECUTE FUNCTION core_refuse();"
            "ALTER TABLE alerts_attempt ENABLE ALWAYS TRIGGER refuse_change;",
            "DROP TRIGGER refuse_change ON alerts_attempt",
        )
    ]
