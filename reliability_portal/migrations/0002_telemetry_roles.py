"""The six groups see the room of telemetry."""

from importlib import import_module

from django.db import migrations

make_groups = import_module("reliability_portal.migrations.0001_roles").make_groups


class Migration(migrations.Migration):
    dependencies = [("portal", "0001_roles"), ("telemetry", "0001_initial")]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
