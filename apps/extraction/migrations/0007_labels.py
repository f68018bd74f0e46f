"""A label. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('extraction', '0006_dashboard'),
    ]

    operations = [
        migrations.AlterField(
            model_name='canarydeployment',
            name='thresholds',
            field=models.JSONField(default=dict, verbose_name='local quantiles by method, s'),
        ),
    ]
