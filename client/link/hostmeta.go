package link

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Discovery of a relay by its domain: XEP-0156 version 1.4, over https only.
const (
	relWebSocket    = "urn:xmpp:alt-connections:websocket"
	maxHostMeta     = 64 << 10 // bytes of one document
	maxHostMetaDeep = 16       // nested elements
	maxRedirects    = 3
)

var errHostMeta = errors.New("not a host-meta document")

// discover returns the address of domain's relay. A relay without TLS is never
// returned, whatever the document says.
func discover(ctx context.Context, c *http.Client, domain string) (*url.URL, error) {
	var last error
	for _, f := range []struct {
		path, accept string
		parse        func([]byte) ([]string, error)
	}{
		{"/.well-known/host-meta.json", "application/json", hostMetaJSON},
		{"/.well-known/host-meta", "application/xrd+xml", hostMetaXML},
	} {
		b, err := fetch(ctx, c, "https://"+domain+f.path, f.accept)
		if err != nil {
			last = err
			if certificateWords(domain, err) != "" || ctx.Err() != nil {
				break
			}
			continue
		}
		links, err := f.parse(b)
		if err != nil {
			last = err
			continue
		}
		for _, s := range links {
			if u, err := relayURL(s); err == nil && u.Scheme == "wss" {
				return u, nil
			}
		}
		last = fmt.Errorf("%w: it names no wss relay", errHostMeta)
	}
	var status statusError
	if errors.As(last, &status) || errors.Is(last, errHostMeta) {
		return nil, &failure{
			words:  fmt.Sprintf("%s does not say where its relay is. Ask your administrator for the relay's address and give it with --relay wss://…", domain),
			course: later, cause: last,
		}
	}
	return nil, dialFailure(domain, last)
}

// statusError is an HTTP answer that is no success.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("HTTP status %d", int(s)) }

func fetch(ctx context.Context, c *http.Client, u, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "sotto")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxHostMeta+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxHostMeta {
		return nil, fmt.Errorf("%w: it is larger than 64 KiB", errHostMeta)
	}
	return b, nil
}

// httpsRedirect lets a document be elsewhere, a few steps away, but never
// without TLS.
func httpsRedirect(req *http.Request, via []*http.Request) error {
	if req.URL.Scheme != "https" {
		return fmt.Errorf("%w: it leads to an address without TLS", errHostMeta)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: it leads on and on", errHostMeta)
	}
	return nil
}

// hostMetaJSON returns the WebSocket links of a host-meta.json document (RFC
// 6415 appendix A), in order.
func hostMetaJSON(b []byte) ([]string, error) {
	var doc struct {
		Links []struct {
			Rel  string `json:"rel"`
			Href string `json:"href"`
		} `json:"links"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", errHostMeta, err)
	}
	var found []string
	for _, l := range doc.Links {
		if l.Rel == relWebSocket {
			found = append(found, l.Href)
		}
	}
	return found, nil
}

// hostMetaXML returns the WebSocket links of an XRD document (RFC 6415), in
// order. It is ordinary XML with a prolog, which the stanza parser refuses.
func hostMetaXML(b []byte) ([]string, error) {
	const ns = "http://docs.oasis-open.org/ns/xri/xrd-1.0"
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = func(label string, r io.Reader) (io.Reader, error) {
		if strings.EqualFold(label, "utf-8") {
			return r, nil
		}
		return nil, fmt.Errorf("%w: encoding is not UTF-8", errHostMeta)
	}
	var found []string
	depth, root := 0, false
	for {
		t, err := d.Token()
		if err == io.EOF && root {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errHostMeta, err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("%w: it has a document type", errHostMeta)
		case xml.StartElement:
			if depth++; depth > maxHostMetaDeep {
				return nil, fmt.Errorf("%w: it is nested too deeply", errHostMeta)
			}
			if depth == 1 {
				if t.Name.Space != ns || t.Name.Local != "XRD" {
					return nil, fmt.Errorf("%w: it is no XRD", errHostMeta)
				}
				root = true
			}
			if depth == 2 && t.Name.Space == ns && t.Name.Local == "Link" {
				var rel, href string
				for _, a := range t.Attr {
					switch a.Name {
					case xml.Name{Local: "rel"}:
						rel = a.Value
					case xml.Name{Local: "href"}:
						href = a.Value
					}
				}
				if rel == relWebSocket {
					found = append(found, href)
				}
			}
		case xml.EndElement:
			depth--
		}
	}
}
