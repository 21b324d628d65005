package aesgcm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"path"
	"strings"
	"unicode/utf8"
)

// A file's name is in its URL, which the relay sees, and names of files hold
// names of patients. So the last part of our URLs is the name encrypted: only who
// has the file's key, from the link, can read it. All of them are equally long.
// Other apps show it as it is, with an ending that tells what kind of file it is.
const (
	hiddenName = 48 // bytes of a padded name
)

var nameCoding = base64.RawURLEncoding

func (k *Key) nameCipher() (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, k.key[:], k.nonce, "sotto file name", KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// HideName returns what to call a file in its URL. A long name is shortened. It
// may be called again for the same name, as its result is the same then; a key
// must not hide two names.
func (k *Key) HideName(name string) (string, error) {
	gcm, err := k.nameCipher()
	if err != nil {
		return "", err
	}
	padded := make([]byte, hiddenName, hiddenName+Overhead)
	n := copy(padded, shorten(name, hiddenName-1))
	padded[n] = 0x80
	sealed := gcm.Seal(padded[:0], make([]byte, gcm.NonceSize()), padded, nil)
	return nameCoding.EncodeToString(sealed) + ending(name), nil
}

// revealName undoes HideName; false if it is another app's name.
func (k *Key) revealName(name string) (string, bool) {
	code := strings.TrimSuffix(name, path.Ext(name))
	if len(code) != nameCoding.EncodedLen(hiddenName+Overhead) {
		return "", false
	}
	sealed, err := nameCoding.DecodeString(code)
	if err != nil {
		return "", false
	}
	gcm, err := k.nameCipher()
	if err != nil {
		return "", false
	}
	padded, err := gcm.Open(sealed[:0], make([]byte, gcm.NonceSize()), sealed, nil)
	if err != nil {
		return "", false
	}
	n := bytes.LastIndexByte(padded, 0x80)
	if n < 0 || !utf8.Valid(padded[:n]) {
		return "", false
	}
	return string(padded[:n]), true
}

// shorten cuts a name to a number of bytes and keeps its ending.
func shorten(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 8 {
		ext = ""
	}
	return strings.ToValidUTF8(name[:limit-len(ext)], "") + strings.ToValidUTF8(ext, "")
}

// types are the kinds of files that are told apart by their endings. The
// computer's own list is not asked: it differs from one to the next.
var types = map[string]string{
	".avif": "image/avif", ".bmp": "image/bmp", ".gif": "image/gif", ".heic": "image/heic", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
	".png": "image/png", ".svg": "image/svg+xml", ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
	".aac": "audio/aac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".oga": "audio/ogg", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav",
	".mov": "video/quicktime", ".mp4": "video/mp4", ".webm": "video/webm",
	".csv": "text/csv", ".html": "text/html", ".md": "text/markdown", ".txt": "text/plain", ".xml": "text/xml",
	".dcm": "application/dicom", ".doc": "application/msword", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".json": "application/json", ".pdf": "application/pdf", ".ppt": "application/vnd.ms-powerpoint",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation", ".xls": "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".zip": "application/zip",
}

// Unknown is the media type of a file that may be anything.
const Unknown = "application/octet-stream"

// TypeOf returns the media type that the ending of a name stands for.
func TypeOf(name string) string {
	if t := types[strings.ToLower(path.Ext(name))]; t != "" {
		return t
	}
	return Unknown
}

// ending returns the ending of a name, if it is one of a well-known kind.
func ending(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if types[ext] == "" {
		return ""
	}
	return ext
}
