"""Projects may keep rows longer than the installation does: the app role can lengthen, never shorten."""

from django.db import migrations

from apps.core.partitions import KEEP_LONGER


class Migration(migrations.Migration):
    dependencies = [("core", "0003_tick_created_at")]
    operations = [migrations.RunSQL(KEEP_LONGER, "DROP FUNCTION core_keep_longer")]
