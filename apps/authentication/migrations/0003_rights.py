"""The administrator's role and Django's flags become one truth; a new password ends what the old one opened."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

# Roles are the truth. Where no active person has the role, those who could do everything get it, so that somebody can.
FLAGS = """
UPDATE authentication_user SET roles = array_append(roles, 'administrator')
 WHERE is_superuser AND NOT 'administrator' = ANY (roles)
   AND NOT EXISTS (SELECT 1 FROM authentication_user WHERE is_active AND 'administrator' = ANY (roles));
UPDATE authentication_user
   SET is_staff = 'administrator' = ANY (roles) OR (is_staff AND NOT is_superuser),
       is_superuser = 'administrator' = ANY (roles)
 WHERE is_superuser <> ('administrator' = ANY (roles)) OR ('administrator' = ANY (roles) AND NOT is_staff);
"""
TRIGGER = """
CREATE FUNCTION authentication_password_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.password IS DISTINCT FROM OLD.password
       AND coalesce(current_setting('landcontracts.same_password', true), '') <> 'on' THEN
        NEW.password_changed_at := clock_timestamp();
        UPDATE authentication_refreshtoken SET revoked_at = clock_timestamp()
         WHERE user_id = NEW.id AND revoked_at IS NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER authentication_password_changed BEFORE UPDATE OF password ON authentication_user
    FOR EACH ROW EXECUTE FUNCTION authentication_password_changed();
"""
NO_TRIGGER = """
DROP TRIGGER authentication_password_changed ON authentication_user;
DROP FUNCTION authentication_password_changed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('authentication', '0002_signing_key'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='user',
            options={'permissions': (('block_user', 'May block and unblock people'), ('grant_roles', 'May grant and take roles')), 'verbose_name': 'person', 'verbose_name_plural': 'people'},
        ),
        migrations.AddField(
            model_name='loginfailure',
            name='source',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='source'),
        ),
        migrations.AddField(
            model_name='user',
            name='password_changed_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='password changed'),
        ),
        migrations.RunSQL(FLAGS, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('is_staff', True), ('is_superuser', True), ('roles__contains', ['administrator'])), models.Q(('is_superuser', False), models.Q(('roles__contains', ['administrator']), _negated=True)), _connector='OR'), name='authentication_user_administrator'),
        ),
        migrations.RunSQL(TRIGGER, NO_TRIGGER),
    ]
