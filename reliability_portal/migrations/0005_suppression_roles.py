"""The six groups see suppressions, and responders silence."""

from importlib import import_module

from django.db import migrations

make_groups = import_module("reliability_portal.migrations.0001_roles").make_groups


class Migration(migrations.Migration):
    dependencies = [("portal", "0004_integration_roles"), ("alerts", "0014_suppression")]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
