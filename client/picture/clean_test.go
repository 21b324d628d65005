package picture

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestCleanMakesFilesFitToSend(t *testing.T) {
	img := behind(asJPEG(t, corners(16, 16)), segment(0xfe, canary("COM")))
	given := bytes.Clone(img)
	name, mediaType, content, err := Clean(t.Context(), "ECG", given)
	if err != nil || name != "ECG.jpg" || mediaType != "image/jpeg" || bytes.Contains(content, []byte("CANARY")) {
		t.Errorf("%s, %s, %v", name, mediaType, err)
	}
	if bytes.Contains(given, []byte("CANARY")) {
		t.Error("what was given is still there")
	}
	if name, mediaType, content, err = Clean(t.Context(), "labs.txt", []byte("K 6.8")); err != nil || name != "labs.txt" || mediaType != "" || string(content) != "K 6.8" {
		t.Errorf("%s, %s, %q, %v", name, mediaType, content, err)
	}
	for name, content := range map[string][]byte{
		"photo.HEIC": []byte("....ftypheic"), "scan.tiff": []byte("II*\x00"), "x.svg": []byte("<svg/>"), "ecg.png": []byte("no image"), "half.jpg": img[:60],
		"IMG_0001": []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"), "IMG_0002.dat": []byte("MM\x00*\x00\x00"), "cut": asPNG(t, corners(64, 64))[:90], "a\x1b[2J.bmp": nil,
	} {
		_, _, got, err := Clean(t.Context(), name, content)
		if _, ok := errors.AsType[*NotClean](err); !ok || got != nil {
			t.Errorf("%s: %v", name, err)
		} else if s := err.Error(); !strings.Contains(s, "is not sent, because what the camera wrote into it cannot be taken out") || strings.Contains(s, "\x1b") {
			t.Errorf("%s: %s", name, s)
		}
	}
}
