"""Tokens that were issued before something was taken from their person, by any way, are refused."""

from django.db import migrations, models

TRIGGER = """
CREATE FUNCTION authentication_tokens_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT OLD.roles <@ NEW.roles OR (OLD.is_active AND NOT NEW.is_active)
       OR (NEW.password IS DISTINCT FROM OLD.password
           AND coalesce(current_setting('landcontracts.same_password', true), '') <> 'on') THEN
        NEW.token_version := OLD.token_version + 1;
        NEW.tokens_revoked_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER authentication_tokens_revoked BEFORE UPDATE OF password, roles, is_active ON authentication_user
    FOR EACH ROW EXECUTE FUNCTION authentication_tokens_revoked();
"""
NO_TRIGGER = """
DROP TRIGGER authentication_tokens_revoked ON authentication_user;
DROP FUNCTION authentication_tokens_revoked();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('authentication', '0003_rights'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='token_version',
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False, verbose_name='version of tokens'),
        ),
        migrations.AddField(
            model_name='user',
            name='tokens_revoked_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='tokens revoked'),
        ),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('tokens_revoked_at__isnull', False)), fields=['tokens_revoked_at'], name='authentication_user_revoked'),
        ),
        migrations.RunSQL(TRIGGER, NO_TRIGGER),
    ]
