package client

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sotto/client/audit"
)

// witnesses are the tests that do what a kind of event tells of, and want its line. A
// kind without one is in reserved.
var witnesses = map[audit.Kind]string{
	audit.LogStarted:        "TestUnlockedAndLocked",
	audit.Unlocked:          "TestUnlockedAndLocked",
	audit.UnlockFailed:      "TestUnlockedAndLocked",
	audit.Locked:            "TestUnlockedAndLocked",
	audit.LoggedOff:         "TestUnlockedAndLocked",
	audit.PINChanged:        "TestUnlockedAndLocked",
	audit.Joined:            "TestJoinAnOrganisation",
	audit.MessageSent:       "TestMessagesAreLogged",
	audit.MessageNotSent:    "TestDevicesAreLogged",
	audit.MessageDelivered:  "TestMessagesAreLogged",
	audit.MessageReceived:   "TestMessagesAreLogged",
	audit.MessageRefused:    "TestRefusedMessagesAreLogged",
	audit.MessageShown:      "TestMessagesAreLogged",
	audit.MessageForwarded:  "TestForwardedIsLogged",
	audit.MessageCorrected:  "TestMessagesAreLogged",
	audit.MessageRecalled:   "TestMessagesAreLogged",
	audit.MessageExpired:    "TestExpiredByPolicyIsLogged",
	audit.FileSent:          "TestFilesAreLogged",
	audit.FileReceived:      "TestFilesAreLogged",
	audit.FileOpened:        "TestFilesAreLogged",
	audit.Searched:          "TestMessagesAreLogged",
	audit.CopyAttempted:     "TestAttemptsAreNoted",
	audit.SaveAttempted:     "TestAttemptsAreNoted",
	audit.ForwardAttempted:  "TestForwarding",
	audit.AttachAttempted:   "TestWhatCanBeAttached",
	audit.PolicyApplied:     "TestOrganisationIsLogged",
	audit.PolicyRefused:     "TestRefusedStatementsAreLogged",
	audit.OrderObeyed:       "TestOrganisationIsLogged",
	audit.OrderRefused:      "TestRefusedOrdersAreLogged",
	audit.DirectoryChanged:  "TestOrganisationIsLogged",
	audit.DirectoryRefused:  "TestRefusedStatementsAreLogged",
	audit.DeviceNew:         "TestDevicesAreLogged",
	audit.DeviceTrusted:     "TestDevicesAreLogged",
	audit.DeviceDistrusted:  "TestDevicesAreLogged",
	audit.RoomJoined:        "TestRoomsAreLogged",
	audit.RoomLeft:          "TestRoomsAreLogged",
	audit.RoomMemberAdded:   "TestRoomsAreLogged",
	audit.RoomMemberRemoved: "TestRoomsAreLogged",
	audit.AdminActed:        "admin/TestAudit",
	audit.EmergencyAccess:   "TestAccessesAreTold",
	audit.BackupMade:        "TestBackupAsThePolicySays",
	audit.BackupRefused:     "TestBackupAsThePolicySays",
	audit.Restored:          "TestBackupAndRestore",
	audit.AuditPruned:       "TestPrunedIsLogged",
	audit.AuditRefused:      "TestAuditLogAmongHostileRelays",
	audit.Wiped:             "TestWipeIsLogged",
}

// reserved are kinds and reasons that docs/audit.md has, and nothing writes.
var reserved = "`export` and `clock-changed`, and of the reasons " +
	"`added`, `by-sender`, `policy-too-old`, `too-many-wrong-pins`, `damaged`, `not-encrypted`, `not-for-us`, `recovery-key-used`, `looks-at-audit`, " +
	"`new-device`, `after-restore`, `forward` and `back`"

// TestEveryKindHasATest holds that each kind of event is in a test that has the real
// thing done, or is said in docs/audit.md to be reserved; and that nothing is reserved
// which is written. So is each reason.
func TestEveryKindHasATest(t *testing.T) {
	tests := make(map[string]string)
	code := make(map[string]bool) // what is mentioned: constants, and strings in the roles
	head := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	constant, quoted := regexp.MustCompile(`\baudit\.\w+`), regexp.MustCompile(`"[a-z-]+"`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch slash := filepath.ToSlash(path); {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "..", slash == "../client/audit":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		b, err := os.ReadFile(path)
		switch dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../client"); {
		case err != nil:
			return err
		case !strings.HasSuffix(path, "_test.go"):
			for _, c := range constant.FindAll(b, -1) {
				code[string(c)] = true
			}
			if strings.HasPrefix(filepath.ToSlash(path), "../internal/role/") {
				for _, s := range quoted.FindAll(b, -1) {
					code[string(s)] = true
				}
			}
		case dir == "" || dir == "/admin":
			for _, at := range head.FindAllSubmatchIndex(b, -1) {
				body, _, _ := strings.Cut(string(b[at[0]:]), "\n}\n")
				tests[strings.TrimPrefix(dir+"/", "/")+string(b[at[2]:at[3]])] = body
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	written := func(constant, name string) bool { return code["audit."+constant] || code[`"`+name+`"`] }
	doc, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "Reserved, not written by this version: "+reserved+".") {
		t.Errorf("docs/audit.md does not say that these are reserved: %s", reserved)
	}
	kinds, reasons := constants(t)
	for _, k := range audit.Kinds() {
		name := k.String()
		test, found := witnesses[k]
		body, exists := tests[test]
		switch listed := strings.Contains(reserved, "`"+name+"`"); {
		case listed && (found || written(kinds[name], name)):
			t.Errorf("%s is reserved, and is written", name)
		case listed:
		case !found:
			t.Errorf("%s is in no test, nor reserved", name)
		case !exists:
			t.Errorf("%s is tested by %s, and there is none", name, test)
		case !regexp.MustCompile("audit\\." + kinds[name] + `\b|[" |]` + name + `[" |]`).MatchString(body):
			t.Errorf("%s says nothing of %s", test, name)
		}
	}
	for name, constant := range reasons {
		if listed, is := strings.Contains(reserved, "`"+name+"`"), written(constant, name); listed == is {
			t.Errorf("the reason %s: reserved %v, written %v", name, listed, is)
		}
	}
	if !slices.Contains(audit.Kinds(), audit.Wiped) || len(kinds) != len(audit.Kinds()) || len(reasons) < 50 {
		t.Errorf("%d kinds and %d reasons were found", len(kinds), len(reasons))
	}
}

// constants are how kinds and reasons are called in the program, by their names.
func constants(t *testing.T) (kinds, reasons map[string]string) {
	t.Helper()
	read := func(file, pattern string) map[string]string {
		b, err := os.ReadFile("audit/" + file)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]string)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
			all[m[2]] = m[1]
		}
		return all
	}
	return read("kind.go", `(\w+):\s+\{name: "([a-z-]+)"`), read("reason.go", `(\w+): "([a-z-]+)"`)
}
