"""What a file may do when it is opened. Rows of before keep an empty value: their files were not examined for it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('documents', '0002_labels'),
    ]

    operations = [
        migrations.AddField(
            model_name='document',
            name='active_content',
            field=models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name='active content'),
        ),
    ]
