package runtime

import (
	"fmt"
	"path"

	"runbook/runtime/host"
)

// What no runbook may take from the system, or from the run itself.

// spare refuses what would take from the system, or from this run, what it needs.
func (d *door) spare(name string, below bool) error {
	if err := d.spareState(name); err != nil {
		return err
	}
	return host.Spare(d.Reader, name, below)
}

// mayGive refuses to give to an account what is the system's, this run's, or somebody's under another name.
func (d *door) mayGive(name string) error {
	if err := d.spareState(name); err != nil {
		return err
	}
	if err := host.Keep(d.Reader, name); err != nil {
		return err
	}
	return d.oneName(name)
}

func (d *door) spareState(name string) error {
	if real, err := d.Resolve(name, false); err != nil || !host.Below(d.run.State, real) {
		return nil // of an error the host says more
	}
	return Hint(fmt.Errorf("%s: this run keeps its state in %s", name, d.run.State),
		"name another directory, or another state directory")
}

// sparesMeta refuses to give what the system needs to an account, or to change who may enter it.
func (d *door) sparesMeta(name string, m host.Meta) error {
	have, err := d.Lstat(name)
	switch {
	case err != nil:
		return nil // the host says so, too
	case m.User != "" && m.User != have.User && m.User != "root" && m.User != "0":
		return d.mayGive(name)
	case have.Mode.IsDir() && have.Mode.Perm() != m.Mode.Perm():
		return d.spare(name, false)
	}
	return nil
}

// oneName refuses to give a file away that has other names, which may be where the account must not write.
func (d *door) oneName(name string) error {
	s := d.LstatAll(path.Dir(name), []string{path.Base(name)})[0]
	if s.Err != nil || s.Links < 2 {
		return nil // the host says what is wrong
	}
	return Hint(fmt.Errorf("%s has %d names, hard links: whoever gets one gets all", name, s.Links),
		"see who made the others: find / -xdev -samefile "+name+"; a copy has one name")
}
