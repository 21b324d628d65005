package main

import (
	"strings"
	"testing"
	"time"

	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
)

func TestRelayRetention(t *testing.T) {
	key := orgtest.New("hospital.example", "retention")
	p, err := policy.New("hospital.example", 7, time.Now(), "lock-after = \"1m\"\n\n# Thirty days.\nrelay-retention = \"30d\"\n")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := p.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want time.Duration
		says string
	}{
		"signed":        {string(signed), 720 * time.Hour, ""},
		"lines":         {"relay-retention = \"12h\"\r\n", 12 * time.Hour, ""},
		"as they like":  {`relay-retention = "0s"`, 0, "nothing to compare"},
		"nothing of it": {`lock-after = "1m"`, 0, "nothing to compare"},
		"empty":         {"", 0, "nothing to compare"},
		"no policy":     {"hello", 0, "this is no policy: line 1"},
		"cut":           {"sotto policy v1", 0, "this is no policy: line 1"},
	} {
		if d, err := relayRetention(c.text); d != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v %v", name, d, err)
		}
	}
	for _, c := range []inquiry{{policy: "x", retention: "30d"}, {retention: "a month"}, {policy: "/nonexistent"}} {
		if d, err := c.allowed(); err == nil {
			t.Errorf("%+v: %v", c, d)
		}
	}
}
