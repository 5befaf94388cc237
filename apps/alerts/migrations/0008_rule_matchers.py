from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0007_integrations")]

    operations = [
        migrations.AddField(
            model_name="alertrule",
            name="matchers",
            field=models.JSONField(
                blank=True, default=dict, help_text="Count only what these name, such as an endpoint."
            ),
        ),
    ]
