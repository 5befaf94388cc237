"""A way to a person may be kept for one urgency; receipts outlive the person's account."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0017_everybody_acknowledges"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="contactmethod",
            name="urgency",
            field=models.CharField(
                blank=True,
                choices=[("high", "High only"), ("low", "Low only")],
                help_text="Empty: for both. High are critical and error, unless the step says otherwise.",
                max_length=4,
            ),
        ),
        migrations.AlterField(
            model_name="page",
            name="user",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="pages",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ]
