-- Prosody 0.12 for sotto: one hospital, no other domains, TLS 1.3, SCRAM-SHA-256,
-- an archive that forgets after 30 days. docs/relays/prosody.md explains it, and
-- the end-to-end tests run this very file with other ports and paths.

-- Ports and paths
interfaces = { "*", "::" }
c2s_ports = { 5222 }        -- other clients, STARTTLS
c2s_direct_tls_ports = { }
https_ports = { 443 }       -- sotto: WebSocket, files, discovery
http_ports = { }            -- nothing without TLS
s2s_ports = { }
pidfile = "/run/prosody/prosody.pid"
data_path = "/var/lib/prosody"
log = { info = "/var/log/prosody/prosody.log" }
certificates = "/etc/prosody/certs"
http_files_dir = "/etc/prosody/www"  -- holds .well-known/host-meta and host-meta.json
https_certificate = "/etc/prosody/certs/hospital.example.crt"

-- Who gets in, and how
authentication = "internal_hashed"
password_hash = "SHA-256"   -- before the first account is made, or only SCRAM-SHA-1 is offered
disable_sasl_mechanisms = { "PLAIN", "LOGIN", "DIGEST-MD5", "OAUTHBEARER", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS" }
allow_registration = false
c2s_require_encryption = true
ssl = { protocol = "tlsv1_3" }

-- What people get
modules_enabled = {
  "saslauth"; "tls"; "roster"; "disco"; "ping"; "private"; "vcard4"; "vcard_legacy";
  "pep"; "bookmarks"; "mam"; "offline"; "carbons"; "smacks"; "csi_simple"; "blocklist";
  "user_account_management"; "tombstones"; "limits"; "websocket"; "http_files"; "http_errors";
}
modules_disabled = { "s2s"; "dialback" }
http_paths = { files = "/" }
http_default_host = "hospital.example"

-- What is kept, and for how long
storage = { archive = "sql"; muc_log = "sql"; default = "internal" }
sql = { driver = "SQLite3"; database = "archive.sqlite" }
default_archive_policy = true
archive_expires_after = "30d"
max_archive_query_results = 250
smacks_hibernation_time = 600

-- What one connection may ask for
limits = { c2s = { rate = "1mb/s"; burst = "10s" } }

VirtualHost "hospital.example"

Component "rooms.hospital.example" "muc"
  modules_enabled = { "muc_mam" }
  restrict_room_creation = "local"
  component_admins_as_room_owners = false   -- nobody enters a room who was not asked in
  muc_room_default_members_only = true
  muc_room_default_public_jids = true
  muc_room_default_public = false
  muc_room_default_persistent = true
  muc_log_by_default = true
  muc_log_expires_after = "30d"

Component "upload.hospital.example" "http_file_share"
  http_host = "hospital.example"
  http_external_url = "https://hospital.example/"
  http_file_share_access = { "hospital.example" }
  http_file_share_size_limit = 64 * 1024 * 1024
  http_file_share_daily_quota = 512 * 1024 * 1024
  http_file_share_expires_after = 30 * 24 * 60 * 60
