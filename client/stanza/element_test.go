package stanza

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	e, err := Parse([]byte(` <message xmlns="jabber:client" to='bob@example.org' xml:lang="en"><body>a &lt;b&#x3E; &amp; c</body>` +
		`<x:enc xmlns:x="urn:x" x:k="v"/><![CDATA[<raw>]]></message>` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !e.Is(NSClient, "message") || e.Get("to") != "bob@example.org" {
		t.Errorf("root read as %v", e)
	}
	if got := e.Child(NSClient, "body").Text(); got != "a <b> & c" {
		t.Errorf("body = %q", got)
	}
	if enc := e.Child("urn:x", "enc"); enc == nil || enc.Attrs[0].Space != "urn:x" || enc.Attrs[0].Value != "v" {
		t.Errorf("prefixed element read as %v", enc)
	}
	if got := e.Text(); got != "<raw>" {
		t.Errorf("CDATA = %q", got)
	}
	if e.Attrs[1].Space != NSXML {
		t.Errorf("xml:lang in namespace %q", e.Attrs[1].Space)
	}
}

func TestParseRefuses(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"empty":               {"", ErrMalformed},
		"text only":           {"hello", ErrMalformed},
		"comment":             {"<a><!-- x --></a>", ErrRestricted},
		"comment before":      {"<!-- x --><a/>", ErrRestricted},
		"comment after":       {"<a/><!-- x -->", ErrRestricted},
		"declaration":         {`<?xml version="1.0"?><a/>`, ErrRestricted},
		"instruction":         {"<a><?php x ?></a>", ErrRestricted},
		"doctype":             {`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, ErrRestricted},
		"entity":              {"<a>&b;</a>", ErrRestricted},
		"unknown entity":      {"<a>&nbsp;</a>", ErrRestricted},
		"bare ampersand":      {"<a>a & b</a>", ErrMalformed},
		"surrogate":           {"<a>&#xD800;</a>", ErrMalformed},
		"nul":                 {"<a>&#0;</a>", ErrMalformed},
		"huge reference":      {"<a>&#99999999;</a>", ErrMalformed},
		"control":             {"<a>\x01</a>", ErrMalformed},
		"not utf-8":           {"<a>\xff</a>", ErrMalformed},
		"name not ASCII":      {"<é/>", ErrMalformed},
		"two roots":           {"<a/><b/>", ErrMalformed},
		"unclosed":            {"<a><b></b>", ErrMalformed},
		"wrong end":           {"<a></b>", ErrMalformed},
		"wrong end prefix":    {`<x:a xmlns:x="u"></a>`, ErrMalformed},
		"undeclared":          {"<x:a/>", ErrMalformed},
		"undeclared attr":     {`<a x:y="1"/>`, ErrMalformed},
		"twice":               {`<a b="1" b="2"/>`, ErrMalformed},
		"twice by prefix":     {`<a xmlns:x="u" xmlns:y="u" x:b="1" y:b="2"/>`, ErrMalformed},
		"declared twice":      {`<a xmlns="u" xmlns="v"/>`, ErrMalformed},
		"prefix twice":        {`<a xmlns:x="u" xmlns:x="v"/>`, ErrMalformed},
		"xml rebound":         {`<a xmlns:xml="u"/>`, ErrMalformed},
		"undeclaring prefix":  {`<a xmlns:x=""/>`, ErrMalformed},
		"no space":            {`<a b="1"c="2"/>`, ErrMalformed},
		"lt in attribute":     {`<a b="<"/>`, ErrMalformed},
		"cdata end in text":   {"<a>]]></a>", ErrMalformed},
		"open cdata":          {"<a><![CDATA[x</a>", ErrMalformed},
		"too deep":            {deep(MaxDepth + 1), ErrTooDeep},
		"too many elements":   {"<a>" + strings.Repeat("<b/>", MaxElements) + "</a>", ErrTooMany},
		"too many text nodes": {"<a>" + strings.Repeat("<b/>x", MaxElements/2) + "</a>", ErrTooMany},
		"too large":           {"<a>" + strings.Repeat("x", MaxSize) + "</a>", ErrTooLarge},
	} {
		if _, err := Parse([]byte(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	if _, err := Parse([]byte(deep(MaxDepth))); err != nil {
		t.Errorf("depth %d refused: %v", MaxDepth, err)
	}
	many := "<a"
	for i := range MaxAttrs + 1 {
		many += " a" + strings.Repeat("b", i) + `="1"`
	}
	if _, err := Parse([]byte(many + "/>")); !errors.Is(err, ErrTooMany) {
		t.Errorf("%d attributes: %v", MaxAttrs+1, err)
	}
}

func TestWrite(t *testing.T) {
	e := New(NSClient, "message", TextElement(NSClient, "body", "a <b> & \"c\"\n\x00\ufffe"), New("urn:x", "x", New(NSClient, "y"), New("", "z"))).With("to", "a'b\n\"")
	e.Attrs = append(e.Attrs, Attr{Space: NSXML, Local: "lang", Value: "de"}, Attr{Space: "urn:q", Local: "k", Value: "v"})
	back, err := Parse(e.Bytes())
	if err != nil {
		t.Fatalf("%v in %s", err, e)
	}
	if got := back.Child(NSClient, "body").Text(); got != "a <b> & \"c\"\n\ufffd\ufffd" {
		t.Errorf("body came back as %q", got)
	}
	if back.Get("to") != "a'b\n\"" || back.Attrs[2] != e.Attrs[2] || back.Attrs[1] != e.Attrs[1] {
		t.Errorf("attributes came back as %v", back.Attrs)
	}
	x := back.Child("urn:x", "x")
	if x.Child(NSClient, "y") == nil || x.Child("", "z").Space != "" {
		t.Errorf("namespaces came back wrong: %s", back)
	}
	f := New(NSStream, "features", New(NSBind, "bind")).String()
	if !strings.HasPrefix(f, "<stream:features ") {
		t.Errorf("features written as %s", f)
	}
	if g, err := Parse([]byte(f)); err != nil || g.Child(NSBind, "bind") == nil {
		t.Errorf("features read back as %v, %v", g, err)
	}
}

func TestNilElement(t *testing.T) {
	var e *Element
	if e.Get("a") != "" || e.Text() != "" || e.Child("", "x").Child("", "y") != nil || e.Is("", "") || e.String() != "" || e.Clone() != nil {
		t.Error("a nil element is not empty")
	}
}

// FuzzParse checks that nothing panics, that what is written reads back the
// same, and that whatever is accepted is also accepted by encoding/xml.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`<a/>`, `<a b="c">d<e xmlns="f"/>&amp;</a>`, `<x:a xmlns:x="u" x:y="&#x41;"><![CDATA[z]]></x:a>`,
		`<message xmlns="jabber:client"><body>hi</body></message>`, "<a>\r\n</a>", "<a b='\t\r\n'/>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		d := xml.NewDecoder(bytes.NewReader(b))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("accepted what encoding/xml refuses: %q: %v", b, err)
			}
		}
		out := e.Bytes()
		if len(out) > MaxSize {
			return // escaping and declarations can make it longer
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("%q written as %q: %v", b, out, err)
		}
		if !reflect.DeepEqual(e, again) {
			t.Fatalf("%q came back as %q", b, again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := []byte(`<message xmlns="jabber:client" type="chat" to="bob@example.org/x" from="alice@example.org/y" id="1"><encrypted xmlns="eu.siacs.conversations.axolotl"><header sid="12345">` +
		strings.Repeat(`<key rid="1234567">`+strings.Repeat("QUJD", 60)+`</key>`, 4) + `<iv>AAAAAAAAAAAAAAAA</iv></header><payload>` + strings.Repeat("QUJD", 40) + `</payload></encrypted><request xmlns="urn:xmpp:receipts"/></message>`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}
