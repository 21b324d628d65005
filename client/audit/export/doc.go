// Package export writes entries of audit logs for other programs: syslog (RFC 5424,
// framed as in RFC 5425), FHIR R4 AuditEvent, and CSV. It only formats; nothing
// here opens a connection. docs/audit.md has the table of what becomes what.
package export
