"""The six groups. Permissions are made here first: Django makes them only after the last migration."""

from fnmatch import fnmatch

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

from reliability_portal.roles import ROLES


def make_groups(apps, schema_editor):
    """Create missing permissions, then the groups with exactly what the table of roles says."""
    for config in installed.get_app_configs():
        if config.models_module:
            create_permissions(config, apps=installed, verbosity=0, using=schema_editor.connection.alias)
    permissions = {
        f"{p.content_type.app_label}.{p.codename}": p
        for p in apps.get_model("auth", "Permission").objects.select_related("content_type")
    }
    for name, patterns in ROLES.items():
        group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=name)
        group.permissions.set([p for key, p in permissions.items() if any(fnmatch(key, x) for x in patterns)])


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("audit", "0001_initial"),
        ("projects", "0001_initial"),
        ("errors", "0001_initial"),
        ("incidents", "0001_initial"),
        ("alerts", "0001_initial"),
        ("ingest", "0001_initial"),
        ("core", "0001_initial"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
