"""Who a message is about, for the limits of e-mails."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='notification',
            name='sender_id',
            field=models.UUIDField(null=True, verbose_name='sender'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('sender_id__isnull', False)), fields=['sender_id', '-created_at'], name='notifications_sent'),
        ),
    ]
