package keystore

import "os"

// Check looks whether there is a sound vault and the device secret that belongs
// to it. It takes no PIN, counts none, asks no TPM and changes nothing. Whether
// the vault opens is not known then: its sealed parts are not looked into.
// Errors are those of [Place.Open], but [ErrWrongPIN], and [ErrDestroyed], and
// [ErrMemlock]: the device secret is not read where it can't be locked.
func (p Place) Check() (Status, error) {
	const doing = "looking at the vault"
	s, err := p.Status()
	if err != nil {
		return s, err
	}
	if s.Destroyed {
		return s, s.epitaph()
	}
	if CheckMemlock() != nil {
		return s, explain(doing, ErrMemlock)
	}
	content, _, _, err := p.readVault()
	if err != nil {
		return s, explain(doing, missing(err, ErrNoVault))
	}
	v, err := parseVault(content, p.floor)
	if err != nil {
		return s, explain(doing, err)
	}
	f, err := os.Open(p.device)
	if err != nil {
		return s, explain(doing, missing(err, ErrNoDevice))
	}
	defer f.Close()
	d, err := readDevice(f)
	if err != nil {
		return s, explain(doing, err)
	}
	defer d.destroy()
	if _, sealed := d.ref(v.index); d.id != v.device || s.TPM && !sealed || !s.TPM && d.secret == nil {
		return s, explain(doing, ErrDevice)
	}
	return s, nil
}
