"""Rows as DTOs, here only; fields are listed one by one."""

from __future__ import annotations

from apps.signatures import interface, models


def certificate(row: models.Certificate) -> interface.CertificateInfo:
    """A stored certificate."""
    return interface.CertificateInfo(
        subject=row.subject,
        issuer=row.issuer,
        serial_number=row.serial_number,
        not_before=row.not_before,
        not_after=row.not_after,
        fingerprint=row.fingerprint,
    )


def signature(row: models.Signature) -> interface.Signature:
    """A signature with the verdict of its submission."""
    return interface.Signature(
        id=row.id,
        document_id=row.document_id,
        contract_id=row.contract_id,
        signer_id=row.signer_id,
        status=interface.SignatureStatus(row.status),
        algorithm=interface.Algorithm(row.algorithm),
        document_sha256=row.document_sha256,
        certificate=certificate(row.certificate),
        verification_result=interface.VerificationResult(
            verdict=interface.Verdict(row.verdict),
            sub_indication=interface.SubIndication(row.sub_indication),
            reason=row.reason,
            checked_at=row.created_at,
        ),
        created_at=row.created_at,
    )
