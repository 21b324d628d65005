package stanza

import (
	"errors"
	"slices"
)

// NSData is XEP-0004.
const NSData = nsData

// Bounds of a form that is read. A larger one is refused, not cut: a form
// answered in part could configure something else than was meant.
const (
	maxFormFields  = 256
	maxFormValues  = 1024 // of one field, its options included
	maxFormText    = 8192 // bytes of one value or label
	maxFormVarName = 256
)

// ErrForm is returned for an element that is no usable form.
var ErrForm = errors.New("not a usable data form")

// DataForm is a form as XEP-0004 has it. Texts are as the other side sent them.
type DataForm struct {
	Type         string // "form", "submit", "cancel" or "result"
	FormType     string // the value of the hidden field FORM_TYPE (XEP-0068), else ""
	Title        string
	Instructions string
	Fields       []FormField // without FORM_TYPE
}

// FormField is one question, or one answer, of a form.
type FormField struct {
	Var      string
	Type     string // "boolean", "fixed", "hidden", "jid-multi", "jid-single", "list-multi", "list-single", "text-multi", "text-private", "text-single"; "" if left out
	Label    string
	Required bool
	Values   []string
	Options  []FormOption
}

// FormOption is a value that a list offers.
type FormOption struct{ Label, Value string }

// Value returns the first value of a field, or "".
func (f FormField) Value() string {
	if len(f.Values) == 0 {
		return ""
	}
	return f.Values[0]
}

// Bool reads the value of a boolean field; anything but true and 1 is false.
func (f FormField) Bool() bool { return f.Value() == "1" || f.Value() == "true" }

// Field returns the field called name, and whether there is one.
func (f DataForm) Field(name string) (FormField, bool) {
	i := slices.IndexFunc(f.Fields, func(x FormField) bool { return x.Var == name })
	if i < 0 {
		return FormField{}, false
	}
	return f.Fields[i], true
}

// Value returns the first value of the field called name, or "".
func (f DataForm) Value(name string) string {
	x, _ := f.Field(name)
	return x.Value()
}

// Element builds the form.
func (f DataForm) Element() *Element {
	x := New(nsData, "x").With("type", f.Type)
	for _, t := range [][2]string{{"title", f.Title}, {"instructions", f.Instructions}} {
		if t[1] != "" {
			x.Add(TextElement(nsData, t[0], t[1]))
		}
	}
	if f.FormType != "" {
		x.Add(FormField{Var: "FORM_TYPE", Type: "hidden", Values: []string{f.FormType}}.element())
	}
	for _, field := range f.Fields {
		x.Add(field.element())
	}
	return x
}

func (f FormField) element() *Element {
	e := New(nsData, "field")
	for _, a := range [][2]string{{"var", f.Var}, {"type", f.Type}, {"label", f.Label}} {
		if a[1] != "" {
			e.Set(a[0], a[1])
		}
	}
	if f.Required {
		e.Add(New(nsData, "required"))
	}
	for _, v := range f.Values {
		e.Add(TextElement(nsData, "value", v))
	}
	for _, o := range f.Options {
		x := New(nsData, "option", TextElement(nsData, "value", o.Value))
		if o.Label != "" {
			x.Set("label", o.Label)
		}
		e.Add(x)
	}
	return e
}

// ReadDataForm reads the form x, which may be nil. It refuses one of another
// type than the four of XEP-0004, one with two fields of the same name, and one
// that exceeds its bounds: 256 fields, 1,024 values of a field, 8 KiB a text.
func ReadDataForm(x *Element) (DataForm, error) {
	f := DataForm{Type: x.Get("type")}
	switch f.Type {
	case "form", "submit", "cancel", "result":
	default:
		return DataForm{}, ErrForm
	}
	if !x.Is(nsData, "x") {
		return DataForm{}, ErrForm
	}
	seen := map[string]bool{}
	for e := range x.Elements() {
		switch {
		case e.Is(nsData, "title"):
			f.Title = e.Text()
		case e.Is(nsData, "instructions"):
			f.Instructions = e.Text()
		case e.Is(nsData, "field"):
			field, err := readField(e)
			if err != nil || len(f.Fields) == maxFormFields || field.Var != "" && seen[field.Var] {
				return DataForm{}, ErrForm
			}
			seen[field.Var] = true
			if field.Var == "FORM_TYPE" {
				f.FormType = field.Value()
				continue
			}
			f.Fields = append(f.Fields, field)
		}
	}
	if len(f.Title) > maxFormText || len(f.Instructions) > maxFormText {
		return DataForm{}, ErrForm
	}
	return f, nil
}

func readField(e *Element) (FormField, error) {
	f := FormField{Var: e.Get("var"), Type: e.Get("type"), Label: e.Get("label")}
	if len(f.Var) > maxFormVarName || len(f.Type) > maxFormVarName || len(f.Label) > maxFormText {
		return FormField{}, ErrForm
	}
	n := 0
	for c := range e.Elements() {
		v := ""
		switch {
		case c.Is(nsData, "required"):
			f.Required = true
		case c.Is(nsData, "value"):
			v = c.Text()
			f.Values = append(f.Values, v)
			n++
		case c.Is(nsData, "option"):
			v = c.Child(nsData, "value").Text()
			f.Options = append(f.Options, FormOption{c.Get("label"), v})
			n++
		}
		if len(v) > maxFormText || len(c.Get("label")) > maxFormText || n > maxFormValues {
			return FormField{}, ErrForm
		}
	}
	return f, nil
}

// Answer builds the submission of a form that was read: what it asks, with its
// own values where want gives none (XEP-0004 section 3.2). Fields of want that
// the form does not ask for are not sent, because servers refuse a form with
// fields they do not know; they are returned by name. Fixed texts are left out,
// hidden fields sent back as they came.
func (f DataForm) Answer(want ...Field) (submission *Element, missing []string) {
	x := New(nsData, "x").With("type", "submit")
	if f.FormType != "" {
		x.Add(FormField{Var: "FORM_TYPE", Type: "hidden", Values: []string{f.FormType}}.element())
	}
	left := slices.Clone(want)
	for _, q := range f.Fields {
		if q.Var == "" || q.Type == "fixed" {
			continue
		}
		a := FormField{Var: q.Var, Values: q.Values}
		given := false
		left = slices.DeleteFunc(left, func(w Field) bool {
			if w.Var != q.Var {
				return false
			}
			if !given {
				a.Values, given = nil, true
			}
			a.Values = append(a.Values, w.Value)
			return true
		})
		x.Add(a.element())
	}
	for _, w := range left {
		if !slices.Contains(missing, w.Var) {
			missing = append(missing, w.Var)
		}
	}
	return x, missing
}
