"""The six groups see integrations, and those who set up may change them."""

from importlib import import_module

from django.db import migrations

make_groups = import_module("reliability_portal.migrations.0001_roles").make_groups


class Migration(migrations.Migration):
    dependencies = [("portal", "0003_health_roles"), ("alerts", "0007_integrations")]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
