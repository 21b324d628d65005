package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"time"

	"sotto/client"
	"sotto/client/aesgcm"
	"sotto/client/store"
	"sotto/client/text"
)

// fakeFiles are the files of a fake.
type fakeFiles struct {
	content  map[int64][]byte // of those that can be had
	attached []attachment
	done     []string // what else was asked for
	last     int64
	max      int64
	reading  func(ctx context.Context, id int64) // called where content is asked for, unless nil
}

type attachment struct {
	peer, name, mediaType, caption string
	content                        []byte
}

// strip is a picture of an ECG, more or less.
func strip(w, h int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{0xff, 0xf0, 0xf0, 0xff}
			if beat := x % 60; beat > 30 && beat < 36 && y > h/4 && y < h*3/4 || y > h*3/4-6 && y < h*3/4 {
				c = color.RGBA{0x10, 0x10, 0x18, 0xff}
			}
			img.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// file makes a message of somebody, or an own one with from "", that is a file.
func (f *fake) file(peer, from, name, mediaType string, size int64, state store.AttachmentState, content []byte, ago time.Duration, more ...func(*client.Message)) client.Message {
	f.files.last++
	id := f.files.last
	if content != nil {
		if f.files.content == nil {
			f.files.content = map[int64][]byte{}
		}
		f.files.content[id] = content
	}
	one := client.File{ID: id, Name: text.Line(name), Type: mediaType, Size: size, Image: len(mediaType) > 6 && mediaType[:6] == "image/", State: state}
	more = append([]func(*client.Message){func(m *client.Message) { m.Files = []client.File{one} }}, more...)
	return f.say(peer, from, "[file] "+name, ago, more...)
}

// moves changes a file, and tells.
func (f *fake) moves(id int64, change func(*client.Message, *client.File)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, msgs := range f.msgs {
		for i := range msgs {
			for j := range msgs[i].Files {
				if msgs[i].Files[j].ID == id {
					msgs[i].Files = slices.Clone(msgs[i].Files)
					change(&msgs[i], &msgs[i].Files[j])
					f.events <- client.MessageChanged{Message: msgs[i]}
				}
			}
		}
	}
}

func (f *fake) asked(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files.done = append(f.files.done, what)
}

func (f *fake) Attach(_ context.Context, peer, name, mediaType string, content []byte, caption string) (client.Message, error) {
	f.mu.Lock()
	broken := f.broken
	if f.readers != nil && f.readers.Peer == peer {
		broken = f.readers
	}
	f.files.attached = append(f.files.attached, attachment{peer, name, mediaType, caption, bytes.Clone(content)})
	f.mu.Unlock()
	if broken != nil {
		return client.Message{}, broken
	}
	if mediaType == "" {
		mediaType = aesgcm.TypeOf(name)
	}
	m := f.file(peer, "", name, mediaType, int64(len(content)), store.Uploading, bytes.Clone(content), 0, func(m *client.Message) { m.State = store.Queued })
	f.events <- client.MessageAdded{Message: m}
	return m, nil
}

func (f *fake) Fetch(_ context.Context, id int64) error {
	f.asked("fetch " + itoa(int(id)))
	return f.broken
}

func (f *fake) CancelFile(_ context.Context, id int64) error {
	f.asked("cancel " + itoa(int(id)))
	return f.broken
}

func (f *fake) Contents(ctx context.Context, id int64) ([]byte, error) {
	f.asked("contents " + itoa(int(id)))
	if f.files.reading != nil {
		f.files.reading(ctx, id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, ok := f.files.content[id]; ok {
		return bytes.Clone(b), nil
	}
	return nil, errors.New("what was kept of this file is gone. Fetch it again")
}

func (f *fake) AttemptedSize(_ context.Context, peer string, size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.org.tried = append(f.org.tried, fmt.Sprintf("attach %s, %d bytes", peer, size))
	return f.broken
}

func (f *fake) MaxFile() int64 {
	if f.files.max == 0 {
		return 1 << 20
	}
	return f.files.max
}
