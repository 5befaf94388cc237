"""The groups see drills and the watchdog; commanders start drills."""

from importlib import import_module

from django.db import migrations

make_groups = import_module("reliability_portal.migrations.0001_roles").make_groups


class Migration(migrations.Migration):
    dependencies = [("portal", "0005_suppression_roles"), ("alerts", "0009_drills_and_watchdog")]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
