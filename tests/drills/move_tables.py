"""The rows that exist before the load, table by table: each column as an expression of the row's number.

None of them causes work: events are delivered, e-mails sent, commands young enough to be kept.
"""

from __future__ import annotations

from typing import NamedTuple


class Rows(NamedTuple):
    """So many rows of a table for each unit. `values` names columns and what they hold in row `i`, which belongs to unit `u`."""

    table: str
    each: int
    values: dict[str, str]


def _id(of: str, number: str = "i") -> str:
    return f"md5('{of}' || {number})::uuid"


def _logs(service: str, method: str, event: str, consumers: int) -> tuple[Rows, ...]:
    command = {
        "id": _id(f"{service} command"),
        "method": f"CASE WHEN i %% 3 = 0 THEN 'receive' ELSE '{method}' END",
        "actor_id": f"CASE WHEN i %% 3 > 0 THEN {_id('person', 'u')} END",
        "key": f"'{service}-earlier-' || i",
        "arguments_digest": "sha256(i::text::bytea)",
        "answer": "CASE WHEN i %% 7 > 0 THEN convert_to('{\"имя\": \"Участок ' || i || '\"}', 'UTF8') END",
        "created_at": "now() - interval '2 hours' - i * interval '1 second'",
    }
    outbox = {
        "id": _id(f"{service} outbox"),
        "event_id": _id(f"{service} event"),
        "consumer": "'notifications'",
        "type": f"'{service}.{event}'",
        "aggregate_id": _id(f"{service} aggregate", "u"),
        "sequence": "i - u * each + 1",
        "payload": "convert_to('{\"number\": \"№ ' || i || '\"}', 'UTF8')",
        "actor_id": f"CASE WHEN i %% 2 = 0 THEN {_id('person', 'u')} END",
        "request_id": "md5(i::text)",
        "trace": "''",
        "occurred_at": "now() - interval '2 hours' - i * interval '1 second'",
        "delivered_at": "now() - interval '1 hour'",
        "attempts": "1",
        "last_error": "CASE WHEN i %% 50 = 0 THEN 'очередь ждала' ELSE '' END",
    }
    return Rows(f"{service}_command", 2, command), Rows(f"{service}_outbox", consumers, outbox)


AGO = "now() - interval '2 hours' - i * interval '1 second'"
WORDS = "CASE WHEN i %% 3 = 0 THEN '' ELSE 'Примечание № ' || i || E': «как есть»\\n\\tвторая строка' END"

BEFORE: dict[str, tuple[Rows, ...]] = {
    "authentication": (
        Rows(
            "authentication_user",
            2,
            {
                "id": _id("person"),
                "password": "'!' || md5(i::text)",
                "last_login": f"CASE WHEN i %% 2 = 0 THEN {AGO} END",
                "is_superuser": "false",
                "email": "'earlier-' || i || '@drill.example'",
                "full_name": "'Ёлкина Жанна № ' || i",
                "phone": "CASE WHEN i %% 4 = 0 THEN '' ELSE '+7900' || lpad(i::text, 7, '0') END",
                "roles": "(ARRAY['{seller}', '{seller,buyer}', '{}', '{lawyer}'])[i %% 4 + 1]::varchar[]",
                "locale": "'ru'",
                "is_active": "i %% 9 > 0",
                "is_staff": "false",
                "created_at": AGO,
            },
        ),
        Rows(
            "authentication_refreshtoken",
            2,
            {
                "id": _id("token"),
                "family": _id("family", "u"),
                "user_id": _id("person"),
                "created_at": AGO,
                "expires_at": "now() + interval '20 days'",
                "replaced_at": f"CASE WHEN i %% 2 = 1 THEN {AGO} END",
                "successor_id": f"CASE WHEN i %% 2 = 1 THEN {_id('token', '(i - 1)')} END",
                "revoked_at": "NULL",
            },
        ),
        Rows(
            "django_session",
            1,
            {
                "session_key": "md5('session' || i)",
                "session_data": "repeat(md5(i::text), 6)",
                "expire_date": "now() + interval '9 days'",
            },
        ),
        Rows(
            "django_admin_log",
            1,
            {
                "action_time": AGO,
                "object_id": "i::text",
                "object_repr": "'Объект ' || i",
                "action_flag": "2",
                "change_message": WORDS,
                "content_type_id": "(SELECT min(id) FROM django_content_type)",
                "user_id": _id("person"),
            },
        ),
        *_logs("authentication", "register", "registered", 1),
    ),
    "documents": (
        Rows(
            "documents_document",
            3,
            {
                "id": _id("document"),
                "contract_id": _id("contract", "u"),
                "document_type": "(ARRAY['sale_contract', 'payment_proof', 'other'])[i %% 3 + 1]",
                "status": "'uploaded'",
                "version": "1 + (i %% 3 = 2)::int",
                "supersedes_id": f"CASE WHEN i %% 3 = 2 THEN {_id('document', '(i - 1)')} END",
                "original_filename": "'Договор купли-продажи № ' || i || '.pdf'",
                "mime_type": "'application/pdf'",
                "file_size": "1000 + i",
                "sha256": "encode(sha256(i::text::bytea), 'hex')",
                "uploaded_by": _id("person", "u"),
                "created_at": AGO,
            },
        ),
        *_logs("documents", "upload", "document_stored", 2),
    ),
    "signatures": (
        Rows(
            "signatures_certificate",
            1,
            {
                "fingerprint": "encode(sha256(i::text::bytea), 'hex')",
                "holder_id": f"CASE WHEN i %% 5 > 0 THEN {_id('person')} END",
                "subject": "'CN=Щукин Юрий ' || i",
                "issuer": "'CN=Удостоверяющий центр'",
                "serial_number": "i::text",
                "not_before": AGO,
                "not_after": "now() + interval '1 year'",
                "chain": "repeat(md5(i::text), 8)",
            },
        ),
        Rows(
            "signatures_signature",
            2,
            {
                "id": _id("signature"),
                "document_id": _id("document", "u"),
                "contract_id": _id("contract", "u"),
                "signer_id": _id("person"),
                "status": "CASE WHEN i %% 5 > 0 THEN 'signed' ELSE 'refused' END",
                "algorithm": "'ECDSA-SHA256'",
                "document_sha256": "encode(sha256(u::text::bytea), 'hex')",
                "value": "sha256(i::text::bytea) || '\\x00ff'::bytea",
                "certificate_id": "encode(sha256(u::text::bytea), 'hex')",
                "verdict": "CASE WHEN i %% 5 > 0 THEN 'PASSED' ELSE 'FAILED' END",
                "sub_indication": "''",
                "reason": WORDS,
                "created_at": AGO,
            },
        ),
        Rows(
            "signatures_verification",
            2,
            {
                "id": _id("verification"),
                "signature_id": _id("signature"),
                "verdict": "'PASSED'",
                "sub_indication": "''",
                "reason": WORDS,
                "checked_at": AGO,
            },
        ),
        *_logs("signatures", "submit", "signature_accepted", 1),
    ),
    "contracts": (
        Rows(
            "contracts_landplot",
            1,
            {
                "id": _id("plot"),
                "cadastral_number": "'77:01:' || lpad(i::text, 7, '0')",
                "address": "'Московская область, д. Щёлково, уч. ' || i",
                "area_m2": "(i %% 5000 + 1) / 4.0",
                "category": "(ARRAY['settlement', 'agricultural', 'forest'])[i %% 3 + 1]",
                "owner_id": _id("person"),
                "created_at": AGO,
            },
        ),
        Rows(
            "contracts_contract",
            1,
            {
                "id": _id("contract", "u"),
                "number": "'77-' || i",
                "status": "(ARRAY['draft', 'signed', 'completed', 'cancelled'])[i %% 4 + 1]",
                "seller_id": _id("person"),
                "buyer_id": _id("buyer"),
                "agent_id": f"CASE WHEN i %% 6 = 0 THEN {_id('agent')} END",
                "lawyer_id": f"CASE WHEN i %% 3 > 0 THEN {_id('lawyer')} END",
                "land_plot_id": _id("plot"),
                "cadastral_number": "'77:01:' || lpad(i::text, 7, '0')",
                "price": "(i + 1) * 100.10",
                "currency": "'RUB'",
                "terms": WORDS,
                "sale_document_id": f"CASE WHEN i %% 2 = 0 THEN {_id('document')} END",
                "sale_document_at": f"CASE WHEN i %% 2 = 0 THEN {AGO} END",
                "signed_by_seller": "i %% 2 = 0",
                "signed_by_buyer": "i %% 4 = 0",
                "plot_taken": "false",
                "created_at": AGO,
                "updated_at": AGO,
            },
        ),
        Rows(
            "contracts_party",
            3,
            {
                "id": _id("party"),
                "contract_id": _id("contract", "u"),
                "user_id": _id("person of party"),
                "role": "(ARRAY['seller', 'buyer', 'lawyer'])[i %% 3 + 1]",
                "created_at": AGO,
            },
        ),
        Rows(
            "contracts_statuschange",
            3,
            {
                "id": _id("change"),
                "contract_id": _id("contract", "u"),
                "status": "(ARRAY['draft', 'signed', 'completed'])[i %% 3 + 1]",
                "at": AGO,
                "by": f"CASE WHEN i %% 2 = 0 THEN {_id('person', 'u')} END",
                "comment": WORDS,
            },
        ),
        Rows(
            "contracts_seensignature",
            2,
            {
                "id": _id("signature"),
                "contract_id": _id("contract", "u"),
                "document_id": _id("document", "u"),
                "signer_id": _id("person"),
            },
        ),
        *_logs("contracts", "create", "contract_created", 2),
    ),
    "workflow": (
        Rows(
            "workflow_workflow",
            1,
            {
                "id": _id("workflow", "u"),
                "contract_id": _id("contract", "u"),
                "workflow_type": "'land_sale'",
                "status": "(ARRAY['active', 'completed', 'cancelled'])[i %% 3 + 1]",
                "created_at": AGO,
            },
        ),
        Rows(
            "workflow_stage",
            6,
            {
                "id": _id("stage"),
                "workflow_id": _id("workflow", "u"),
                "name": "'stage_' || i %% 6",
                "order": "i - u * 6",
                "status": "CASE WHEN i %% 6 < 4 THEN 'completed' ELSE 'pending' END",
                "planned_date": "current_date + (i %% 90)::int",
                "actual_date": "CASE WHEN i %% 6 < 4 THEN current_date - 1 END",
                "satisfied_on": "CASE WHEN i %% 6 < 2 THEN current_date - 2 END",
                "comment": WORDS,
                "overdue_told": "false",
            },
        ),
        *_logs("workflow", "complete_stage", "stage_started", 1),
    ),
    "notifications": (
        Rows(
            "notifications_notification",
            4,
            {
                "id": _id("notification"),
                "event_id": _id("event", "u"),
                "recipient_id": _id("person"),
                "kind": "(ARRAY['contract_created', 'status_changed', 'stage_started'])[i %% 3 + 1]",
                "contract_id": _id("contract", "u"),
                "parameters": "jsonb_build_object('number', '№ ' || i, 'status', NULL, 'price', i / 100.0, 'сторона', 'покупатель')",
                "created_at": AGO,
                "read_at": f"CASE WHEN i %% 2 = 0 THEN {AGO} END",
            },
        ),
        Rows(
            "notifications_mail",
            4,
            {
                "id": _id("mail"),
                "notification_id": _id("notification"),
                "created_at": AGO,
                "sent_at": f"CASE WHEN i %% 8 > 0 THEN {AGO} END",
                "gave_up_at": f"CASE WHEN i %% 8 = 0 THEN {AGO} END",
                "attempts": "1 + i %% 3",
                "next_attempt_at": AGO,
                "last_error": "CASE WHEN i %% 8 = 0 THEN '550 нет такого адреса' ELSE '' END",
            },
        ),
        *_logs("notifications", "mark_read", "told", 1),
    ),
}
