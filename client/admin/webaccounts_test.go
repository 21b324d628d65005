package admin_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sotto/client/admin"
	"sotto/client/org/directory"
	"sotto/client/org/invitation"
	"sotto/client/org/orgtest"
	"sotto/client/store"
)

// web answers calls as an HTTP interface.
type web struct {
	url, auth string
	body      []byte
	status    int
	reply     string
	err       error
}

func (w *web) Call(_ context.Context, url string, auth, body []byte) (int, []byte, error) {
	w.url, w.auth, w.body = url, string(auth), bytes.Clone(body)
	return w.status, []byte(w.reply), w.err
}

func TestAccountsByWeb(t *testing.T) {
	st, ctx := memory(t), t.Context()
	device := directory.Device{ID: 1, Fingerprint: [32]byte{1}, Signing: orgtest.New("device-1", "x").Key, Added: time.Now()}
	o, err := admin.Found(ctx, st, admin.Founding{Name: "hospital.example", Contact: "sotto@hospital.example", Device: device})
	if err != nil {
		t.Fatal(err)
	}
	v, err := o.Invite(ctx, admin.Invite{Person: invitation.Person{Address: "alice@hospital.example", Name: "Alice"}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Clear()
	w := &web{status: 200}
	if ok, err := o.MakeAccountByWeb(ctx, w, v); ok || err != nil || w.url != "" {
		t.Fatalf("before it was set: %v, %v", ok, err)
	}
	for what, x := range map[string]struct {
		admin.Web
		secret string
	}{
		"no TLS":          {admin.Web{URL: "http://relay.example/api"}, "x"},
		"no address":      {admin.Web{URL: "relay.example"}, "x"},
		"a user in it":    {admin.Web{URL: "https://a:b@relay.example/api"}, "x"},
		"a question":      {admin.Web{URL: "https://relay.example/api?x"}, "x"},
		"no account":      {admin.Web{URL: "https://relay.example/api", User: "nobody"}, "x"},
		"no secret":       {admin.Web{URL: "https://relay.example/api"}, ""},
		"two lines":       {admin.Web{URL: "https://relay.example/api"}, "x\r\nX-More: y"},
		"too long":        {admin.Web{URL: "https://relay.example/api"}, strings.Repeat("x", 2000)},
		"another account": {admin.Web{URL: "https://relay.example/api", User: "a@b.example/x"}, "x"},
	} {
		if err := o.SetWeb(ctx, x.Web, []byte(x.secret)); err == nil {
			t.Errorf("taken: %s", what)
		}
	}
	secret := []byte("a secret:")
	if err := o.SetWeb(ctx, admin.Web{URL: "https://relay.example:5443/api/", User: "accounts@hospital.example"}, secret); err != nil || secret[0] != 0 {
		t.Fatalf("%q, %v", secret, err)
	}
	if o, err = admin.Open(ctx, st); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := o.Web(ctx); !ok || err != nil || got.URL != "https://relay.example:5443/api/" || got.User != "accounts@hospital.example" {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if ok, err := o.MakeAccountByWeb(ctx, w, v); !ok || err != nil {
		t.Fatal(ok, err)
	}
	password := v.Keys.Password()
	defer password.Destroy()
	var said map[string]string
	if err := json.Unmarshal(w.body, &said); err != nil || len(said) != 3 || said["user"] != "alice" || said["host"] != "hospital.example" || said["password"] != string(password.Bytes()) {
		t.Errorf("%s, %v", w.body, err)
	}
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("accounts@hospital.example:a secret:")); w.url != "https://relay.example:5443/api/register" || w.auth != want {
		t.Errorf("%s with %s", w.url, w.auth)
	}
	if ok, err := o.ResetAccountByWeb(ctx, w, v); !ok || err != nil || w.url != "https://relay.example:5443/api/change_password" || !bytes.Contains(w.body, []byte(`"newpass":"`)) {
		t.Errorf("%v, %v: %s %s", ok, err, w.url, w.body)
	}
	for reply, set := range map[string]bool{"0": true, `""`: true, "": true, "1": false, `"Error"`: false} {
		w.reply = reply
		if _, err := o.ResetAccountByWeb(ctx, w, v); (err == nil) != set {
			t.Errorf("the answer %s to a new password: %v", reply, err)
		}
	}
	for status, want := range map[int]error{409: admin.ErrAccountExists, 401: admin.ErrCaller, 403: admin.ErrCaller, 404: nil, 500: nil, 204: nil} {
		w.status, w.reply = status, `{"message":"some\u001b[31mthing"}`
		_, err := o.MakeAccountByWeb(ctx, w, v)
		if err == nil || want != nil && !errors.Is(err, want) || strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), "a secret") || strings.Contains(err.Error(), string(password.Bytes())) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	w.err = errors.New("relay.example does not answer.")
	if _, err := o.MakeAccountByWeb(ctx, w, v); !errors.Is(err, w.err) {
		t.Error(err)
	}
	w.err = nil
	if err := o.SetWeb(ctx, admin.Web{URL: "https://relay.example/api"}, []byte("token")); err != nil {
		t.Fatal(err)
	}
	if _, err := o.MakeAccountByWeb(ctx, w, v); err == nil || w.auth != "Bearer token" {
		t.Errorf("%v with %q", err, w.auth)
	}
	if err := o.SetWeb(ctx, admin.Web{}, nil); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := o.Web(ctx); ok || err != nil {
		t.Error(ok, err)
	}
	if err := st.View(ctx, func(tx *store.Tx) error {
		b, err := tx.Value("admin.web")
		if b != nil {
			t.Errorf("kept: %q", b)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
