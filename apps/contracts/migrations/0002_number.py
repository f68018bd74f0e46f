"""The sequence that numbers contracts."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("contracts", "0001_initial")]
    operations = [
        migrations.RunSQL("CREATE SEQUENCE contracts_number", reverse_sql="DROP SEQUENCE contracts_number"),
    ]
