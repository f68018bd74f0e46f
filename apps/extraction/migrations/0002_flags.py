"""The two flags of every service, off, so that an administrator finds them."""

from django.db import migrations

from landcontracts.topology import SERVICES


def create(apps, schema_editor):
    flag = apps.get_model("core", "Flag")
    for service in SERVICES:
        for kind in ("remote", "shadow"):
            flag.objects.get_or_create(name=f"{service}_{kind}")


class Migration(migrations.Migration):
    dependencies = [("extraction", "0001_initial"), ("core", "0002_flag_history")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
