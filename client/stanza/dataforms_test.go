package stanza

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDataForm(t *testing.T) {
	f := DataForm{Type: "form", FormType: FormRoomConfig, Title: "t", Instructions: "i", Fields: []FormField{
		{Var: "a", Type: "list-single", Label: "A", Values: []string{"1"}, Options: []FormOption{{"one", "1"}, {"", "2"}}, Required: true},
		{Var: "b", Type: "boolean", Values: []string{"1"}},
		{Var: "c", Type: "jid-multi", Values: []string{"x@h", "y@h"}},
		{Type: "fixed", Values: []string{"words"}},
		{Var: "secret", Type: "hidden", Values: []string{"s"}},
	}}
	got, err := ReadDataForm(parse(t, f.Element().String()))
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Fatalf("there and back: %+v, %v", got, err)
	}
	x, missing := got.Answer(Field{"b", "0"}, Field{"c", "z@h"}, Field{"nowhere", "1"})
	if !reflect.DeepEqual(missing, []string{"nowhere"}) {
		t.Errorf("missing %v", missing)
	}
	a, err := ReadDataForm(x)
	if err != nil || a.Type != "submit" || a.FormType != FormRoomConfig || len(a.Fields) != 4 {
		t.Fatalf("answer %+v, %v", a, err)
	}
	if b, _ := a.Field("b"); b.Bool() || a.Value("a") != "1" || a.Value("secret") != "s" {
		t.Errorf("answer %+v", a)
	}
	if c, _ := a.Field("c"); !reflect.DeepEqual(c.Values, []string{"z@h"}) {
		t.Errorf("several values: %v", c.Values)
	}
}

func TestDataFormBounds(t *testing.T) {
	many := New(nsData, "x").With("type", "form")
	for i := range maxFormFields + 1 {
		many.Add(New(nsData, "field").With("var", fmt.Sprint(i)))
	}
	values := New(nsData, "field").With("var", "v")
	for range maxFormValues + 1 {
		values.Add(New(nsData, "value"))
	}
	one := func(f *Element) *Element { return New(nsData, "x", f).With("type", "form") }
	for name, x := range map[string]*Element{
		"nothing":      nil,
		"another":      New("urn:x", "x").With("type", "form"),
		"no type":      New(nsData, "x"),
		"many fields":  many,
		"many values":  one(values),
		"long value":   one(FormField{Var: "v", Values: []string{strings.Repeat("x", maxFormText+1)}}.element()),
		"long name":    one(FormField{Var: strings.Repeat("x", maxFormVarName+1)}.element()),
		"same twice":   one(New(nsData, "field").With("var", "v")).Add(New(nsData, "field").With("var", "v")),
		"two types":    one(New(nsData, "field").With("var", "FORM_TYPE")).Add(New(nsData, "field").With("var", "FORM_TYPE")),
		"long heading": one(TextElement(nsData, "title", strings.Repeat("x", maxFormText+1))),
	} {
		if f, err := ReadDataForm(x); err == nil {
			t.Errorf("%s: read as %d fields", name, len(f.Fields))
		}
	}
}
