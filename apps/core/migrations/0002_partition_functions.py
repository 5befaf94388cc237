"""The functions through which the app role makes and drops partitions, and the one that refuses changes."""

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations

from apps.core.partitions import DROP_FUNCTIONS, FUNCTIONS


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [TrigramExtension(), migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS)]
