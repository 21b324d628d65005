package role

import "testing"

func TestForeground(t *testing.T) {
	for stat, want := range map[string]bool{
		"4711 (sotto) S 4000 4711 4000 34816 4711 4194304 0": true,
		"4711 (sotto) S 4000 4711 4000 34816 4000 4194304 0": false,
		"4711 (sotto) S 4000 4711 4711 0 -1 4194304 0":       true,
		"4711 (a) b) S 4000 4711 4000 34816 4711 4194304 0":  true,
		"4711 (sotto) S 4000":                                true,
		"":                                                   true,
	} {
		if got := foreground(stat); got != want {
			t.Errorf("%q: %v", stat, got)
		}
	}
}
