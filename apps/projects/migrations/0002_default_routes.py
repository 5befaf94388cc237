"""The routes that every installation begins with; people edit them under Set up, Routing."""

from django.db import migrations

ROUTES = (("auth", "Authentication"), ("journal", "Journal"), ("profile", "User Profile"))


def make_routes(apps, schema_editor):
    """For every project: rules of a project's own come first where they have a lower order."""
    rules = apps.get_model("projects", "RoutingRule").objects
    for order, (pattern, component) in enumerate(ROUTES, 1):
        rules.get_or_create(
            project=None, pattern=pattern, defaults={"order": 900 + order, "component": component}
        )


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_initial")]
    operations = [migrations.RunPython(make_routes, migrations.RunPython.noop)]
