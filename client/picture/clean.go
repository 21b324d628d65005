package picture

import (
	"bytes"
	"context"
	"path"
	"strings"

	"sotto/client/text"
)

// Clean makes a file fit to be sent: what Strip takes out of an image is taken out,
// and its name follows its format. It returns the name, the media type, which is ""
// for what is no image, and the content; a file that is no image is returned as it
// is. An image of a kind that is not read here, by its name or its first bytes, is an
// error, a *NotClean, as is one that Strip fails on: what its camera wrote into it would be
// sent along. The content of an image that was made anew is overwritten.
func Clean(ctx context.Context, name string, content []byte) (string, string, []byte, error) {
	if Sniff(content) == "" {
		if named(name) || unread(content) {
			return "", "", nil, &NotClean{Name: name}
		}
		return name, "", content, nil
	}
	clean, format, err := Strip(ctx, content)
	if err != nil {
		return "", "", nil, &NotClean{name, err}
	}
	clear(content)
	return format.Name(name), string(format), clean, nil
}

// named reports whether a name is that of an image. What is none of the formats
// read here and is called one of them is not sent either: who knows what it is.
func named(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".heic", ".heif", ".avif", ".tif", ".tiff", ".dng", ".raw", ".cr2", ".nef", ".arw", ".jp2", ".jxl", ".bmp", ".svg",
		".png", ".jpg", ".jpeg", ".gif", ".webp":
		return true
	}
	return false
}

// unread reports whether a file begins as images do that are not read here and in
// which cameras write where they were: HEIF and AVIF, TIFF with most raw formats,
// JPEG 2000 and JPEG XL.
func unread(content []byte) bool {
	for _, magic := range []string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+", "\x00\x00\x00\x0cjP  ", "\x00\x00\x00\x0cJXL ", "\xff\x0a"} {
		if bytes.HasPrefix(content, []byte(magic)) {
			return true
		}
	}
	if len(content) < 12 || string(content[4:8]) != "ftyp" {
		return false
	}
	switch string(content[8:12]) { // of the others, videos are
	case "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1", "avif", "avis", "crx ", "jxl ":
		return true
	}
	return false
}

// NotClean says that an image is not sent, because what its camera wrote into it
// cannot be taken out.
type NotClean struct {
	Name string
	Err  error // what Strip said; nil where the kind is not known here
}

// Error is a sentence for people, without its stop.
func (e *NotClean) Error() string {
	words := text.Line(e.Name).String() + " is not sent, because what the camera wrote into it cannot be taken out"
	if e.Err != nil {
		words += ": " + e.Err.Error()
	}
	return words + ". Save it as PNG or JPEG first"
}

func (e *NotClean) Unwrap() error { return e.Err }
