"""One plot has one cadastral number: without zeros before its last part.

Rows whose number collides with another's once it is normalised are listed and marked, not changed: which of them is
right is for a person to say.
"""

from django.db import migrations, models

NORMALISED = "regexp_replace(cadastral_number, ':0+([0-9]+)$', ':\\1')"
# Plots of one owner, and contracts under way, that are one plot in several spellings.
COLLIDING = {
    "contracts_landplot": ("owner_id, ", ""),
    "contracts_contract": ("", "WHERE status IN ('signed', 'in_registration')"),
}


def normalise(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for table, (group, condition) in COLLIDING.items():
            cursor.execute(f"""
                UPDATE {table} SET number_collides = true
                 WHERE id IN (SELECT unnest(ids) FROM (
                     SELECT array_agg(id) AS ids FROM {table} {condition}
                      GROUP BY {group}{NORMALISED} HAVING count(*) > 1) AS groups)
                RETURNING id, cadastral_number""")
            for row_id, number in cursor.fetchall():
                print(f"{table} {row_id}: {number} is the number of another row in another spelling")
            cursor.execute(f"""
                UPDATE {table} SET cadastral_number = {NORMALISED}
                 WHERE NOT number_collides AND cadastral_number <> {NORMALISED}""")


class Migration(migrations.Migration):

    dependencies = [
        ('contracts', '0003_labels'),
    ]

    operations = [
        migrations.AddField(
            model_name='contract',
            name='number_collides',
            field=models.BooleanField(db_default=False, default=False, verbose_name='number in several spellings'),
        ),
        migrations.AddField(
            model_name='landplot',
            name='number_collides',
            field=models.BooleanField(db_default=False, default=False, verbose_name='number in several spellings'),
        ),
        migrations.AddIndex(
            model_name='contract',
            index=models.Index(condition=models.Q(('number_collides', True)), fields=['cadastral_number'], name='contracts_in_several_spellings'),
        ),
        migrations.RunPython(normalise, migrations.RunPython.noop),
    ]
