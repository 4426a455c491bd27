package record

import "errors"

// Why an envelope is refused. Each is wrapped with the field and the fix;
// envelope.ErrField and envelope.ErrSignature and the errors of Kind.Check come
// through as they are.
var (
	ErrKind      = errors.New("record: kind is not of this network")
	ErrNetwork   = errors.New("record: network: is another one")
	ErrIssuer    = errors.New("record: issuer: may not write about this subject")
	ErrSize      = errors.New("record: body: too large for its kind")
	ErrTTL       = errors.New("record: ttl_s: too long for its kind")
	ErrTombstone = errors.New("record: flags: this kind has no tombstones")
	ErrBond      = errors.New("record: issuer: is not bonded for this kind")
	ErrRevoked   = errors.New("record: generation: has been revoked")
	ErrFuture    = errors.New("record: issued_at_ms: is in the future")
	ErrExpired   = errors.New("record: issued_at_ms: has expired")
	ErrRate      = errors.New("record: too many updates of one record")
	ErrQuota     = errors.New("record: issuer: has too many records of this kind")
	ErrFull      = errors.New("record: this Registry is full")
)
