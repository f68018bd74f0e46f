"""Labels stand in the interface: choices show them. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('documents', '0001_initial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='document',
            name='document_type',
            field=models.CharField(choices=[('sale_contract', 'Contract of sale'), ('transfer_act', 'Transfer act'), ('register_extract', 'Register extract'), ('power_of_attorney', 'Power of attorney'), ('spouse_consent', "Spouse's consent"), ('payment_proof', 'Proof of payment'), ('other', 'Other document')], max_length=24, verbose_name='type'),
        ),
        migrations.AlterField(
            model_name='document',
            name='status',
            field=models.CharField(choices=[('pending', 'Not uploaded yet'), ('uploaded', 'Uploaded')], max_length=10, verbose_name='status'),
        ),
    ]
