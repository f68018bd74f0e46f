"""The permission to act on services' data and migrations, which only superusers could."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('extraction', '0007_labels'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='move',
            options={'ordering': ('-started_at',), 'permissions': (('act_move', "May act on services' data and migrations"),), 'verbose_name': "action on a service's data", 'verbose_name_plural': "actions on services' data"},
        ),
    ]
