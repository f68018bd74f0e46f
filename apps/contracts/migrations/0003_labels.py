"""Labels stand in the interface: choices show them. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contracts', '0002_number'),
    ]

    operations = [
        migrations.AlterField(
            model_name='contract',
            name='status',
            field=models.CharField(choices=[('draft', 'Draft'), ('awaiting_signatures', 'Awaiting signatures'), ('signed', 'Signed'), ('in_registration', 'In registration'), ('completed', 'Completed'), ('cancelled', 'Cancelled')], max_length=24, verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='landplot',
            name='category',
            field=models.CharField(choices=[('agricultural', 'Agricultural land'), ('settlement', 'Land of settlements'), ('industrial', 'Land of industry, energy, transport and other special purpose'), ('protected', 'Specially protected land'), ('forest', 'Forest land'), ('water', 'Land of water bodies'), ('reserve', 'Reserve land')], max_length=20, verbose_name='category'),
        ),
        migrations.AlterField(
            model_name='party',
            name='role',
            field=models.CharField(choices=[('seller', 'Seller'), ('buyer', 'Buyer'), ('agent', 'Agent'), ('lawyer', 'Lawyer')], max_length=10, verbose_name='role'),
        ),
    ]
