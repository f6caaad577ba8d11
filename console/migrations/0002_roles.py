"""The three roles, as groups."""

from typing import Any

from django.db import migrations


def make_roles(apps: Any, _schema_editor: Any) -> None:
    group = apps.get_model("auth", "Group")
    for name in ("viewer", "operator", "admin"):
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("console", "0001_start"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
