package orgreport

// clauses names the clause of 45 CFR part 164 that a setting is decided for, as the
// table "Settings to decide" of docs/hipaa.md does: a test holds that both say the
// same. A setting that is not among them touches no clause.
var clauses = map[string]string{
	"lock-after":     "164.312(a)(2)(iii)",
	"lock-unfocused": "164.312(a)(2)(iii)",
	"logoff-after":   "164.312(a)(2)(iii)",
	"lease":          "164.312(a)(2)(iii)",

	"pin-length":     "164.312(d)",
	"pin-characters": "164.312(d)",
	"pin-age":        "164.312(d)",
	"destroy-after":  "164.312(d)",
	"tpm":            "164.312(d)",
	"service":        "164.312(d)",
	"trust":          "164.312(d)",

	"curtain":     "164.310(b)",
	"reveal":      "164.310(b)",
	"mouse":       "164.310(b)",
	"multiplexer": "164.310(b)",

	"paste":           "164.502(b)",
	"forwarding":      "164.502(b)",
	"attachments":     "164.502(b)",
	"attachment-size": "164.502(b)",
	"attach-from":     "164.502(b)",
	"saving":          "164.502(b)",

	"retention":       "164.310(d)(2)(i)",
	"relay-retention": "164.310(d)(2)(i)",

	"backup":       "164.308(a)(7)(ii)(A)",
	"sandbox":      "164.308(a)(5)(ii)(B)",
	"recovery-key": "164.312(a)(2)(ii)",

	"auditor":     "164.312(b)",
	"auditor-key": "164.312(b)",

	"relays":     "164.312(e)(1)",
	"relay-pins": "164.312(e)(1)",
	"legacy":     "164.312(e)(1)",
}
