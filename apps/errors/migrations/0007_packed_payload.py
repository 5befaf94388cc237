"""Payloads are packed before they reach the database: see apps/core/packed.py. What is there stays readable, unpacked."""

from django.db import migrations

import apps.core.packed


class Migration(migrations.Migration):
    dependencies = [("errors", "0006_endpoint_component")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE errors_errorevent ALTER COLUMN payload TYPE bytea "
                    "USING '\\x00'::bytea || convert_to(payload::text, 'UTF8'), "
                    "ALTER COLUMN payload SET STORAGE EXTERNAL",
                    "ALTER TABLE errors_errorevent ALTER COLUMN payload TYPE jsonb USING '{}'::jsonb",
                ),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="errorevent",
                    name="payload",
                    field=apps.core.packed.PackedJSONField(default=dict, editable=False),
                ),
            ],
        ),
    ]
