package harden

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Early changes the whole process, so it runs in a child that is this test binary again.
func TestEarlyHoldsOnEveryThread(t *testing.T) {
	if os.Getenv("HARDEN_CHILD") == "1" {
		child(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestEarlyHoldsOnEveryThread$", "-test.v")
	cmd.Env = append(os.Environ(), "HARDEN_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "checked every thread") {
		t.Fatalf("the child did not get to its end:\n%s", out)
	}
}

func child(t *testing.T) {
	if err := Early(); err != nil {
		t.Fatal(err)
	}
	for _, a := range State() {
		if !a.Holds {
			t.Errorf("does not hold: %s", a.Name)
		}
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil || len(tasks) < 2 {
		t.Fatalf("expected several threads: %d, %v", len(tasks), err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err != nil {
			continue // a thread that has ended meanwhile
		}
		if !strings.Contains(string(b), "NoNewPrivs:\t1") {
			t.Errorf("thread %s can still gain privileges", task.Name())
		}
	}
	t.Log("checked every thread")
}
