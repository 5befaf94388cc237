"""Since when a tick is known: one that never succeeded is late from there on."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0002_partition_functions")]
    operations = [
        migrations.AddField(
            model_name="tickrun",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True, default=django.utils.timezone.now),
            preserve_default=False,
        )
    ]
