"""Labels stand in the interface: choices show them. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('workflow', '0001_initial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='stage',
            name='status',
            field=models.CharField(choices=[('pending', 'Not started'), ('in_progress', 'Under way'), ('blocked', 'Held up'), ('completed', 'Done'), ('cancelled', 'Called off')], max_length=12, verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='workflow',
            name='status',
            field=models.CharField(choices=[('active', 'The sale is under way'), ('completed', 'The sale is complete'), ('cancelled', 'The sale was called off')], max_length=10, verbose_name='status'),
        ),
    ]
