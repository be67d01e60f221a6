package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"runbook/cmd/runbook/internal/media/flat"
)

// An edit is one of config's options with its key and value.
type edit struct{ op, key, value string }

// config is `conda config`. As in 4.1 only list keys can be added to or removed from, adding means in front, a file
// without channels counts as one with defaults, and removing what is not there is an error.
func config(prefix string, args []string) error {
	edits, rc, err := parseConfig(prefix, args)
	if err != nil {
		return err
	}
	if rc == "" {
		if rc = condarc(prefix); rc == "" {
			rc = filepath.Join(os.Getenv("HOME"), ".condarc")
		}
	}
	m, err := readRC(rc)
	if err != nil {
		return err
	}
	changed := false
	for _, e := range edits {
		if e.op == "--get" {
			printKey(m, e.key)
			continue
		}
		if m, err = apply(m, e); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return os.WriteFile(rc, []byte(m.String()), 0o644)
}

func parseConfig(prefix string, args []string) (edits []edit, rc string, err error) {
	take := func(n int) ([]string, error) {
		if len(args) < n+1 {
			return nil, usageError(fmt.Sprintf("argument %s: expected %d argument(s)", args[0], n))
		}
		taken := args[1 : n+1]
		args = args[n+1:]
		return taken, nil
	}
	for len(args) > 0 && err == nil {
		var v []string
		switch op := args[0]; op {
		case "--add", "--prepend", "--append", "--remove", "--set":
			if v, err = take(2); err == nil {
				edits = append(edits, edit{op, v[0], v[1]})
			}
		case "--get", "--remove-key":
			if v, err = take(1); err == nil {
				edits = append(edits, edit{op: op, key: v[0]})
			}
		case "--file":
			if v, err = take(1); err == nil {
				rc = v[0]
			}
		case "--system":
			rc, args = filepath.Join(prefix, ".condarc"), args[1:]
		case "-f", "--force", "-q", "--quiet":
			args = args[1:]
		default:
			err = usageError("unrecognized arguments: " + op)
		}
	}
	return edits, rc, err
}

func apply(m flat.Map, e edit) (flat.Map, error) {
	have := flat.Entry{Key: e.key, IsList: true}
	if old := m.Get(e.key); old != nil {
		have = *old
	} else if e.key == "channels" {
		have.List = []string{"defaults"}
	} else if e.op == "--remove" || e.op == "--remove-key" {
		return m, fmt.Errorf("CondaKeyError: Error with key '%s': key '%[1]s' is not in the config file", e.key)
	}
	i := slices.Index(have.List, e.value)
	switch {
	case e.op == "--set":
		return m.Put(flat.Entry{Key: e.key, Scalar: e.value}), nil
	case e.op == "--remove-key":
		return slices.DeleteFunc(m, func(old flat.Entry) bool { return old.Key == e.key }), nil
	case e.op == "--remove" && i < 0:
		return m, fmt.Errorf("CondaKeyError: Error with key '%s': '%s' is not in the '%[1]s' key of the config file",
			e.key, e.value)
	case i >= 0:
		have.List = slices.Delete(slices.Clone(have.List), i, i+1)
	}
	where := "front"
	switch e.op {
	case "--append":
		where, have.List = "back", append(have.List, e.value)
	case "--add", "--prepend":
		have.List = slices.Insert(have.List, 0, e.value)
	}
	if i >= 0 && e.op != "--remove" {
		fmt.Fprintf(os.Stderr, "Warning: '%s' already in '%s' list, moving to the %s\n", e.value, e.key, where)
	}
	return m.Put(have), nil
}

// printKey prints the options that would make the key's list.
func printKey(m flat.Map, key string) {
	e := m.Get(key)
	switch {
	case e == nil:
	case !e.IsList:
		fmt.Printf("--set %s %s\n", key, e.Scalar)
	default:
		for _, item := range slices.Backward(e.List) {
			fmt.Printf("--add %s '%s'\n", key, item)
		}
	}
}

// condarc is the one configuration file that conda 4.1 reads: the first there is of $CONDARC, the user's and the
// prefix's. "" is none.
func condarc(prefix string) string {
	for _, name := range []string{os.Getenv("CONDARC"), filepath.Join(os.Getenv("HOME"), ".condarc"),
		filepath.Join(prefix, ".condarc")} {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

func readRC(name string) (flat.Map, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := flat.Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("Error: could not read %s: %w", name, err)
	}
	return m, nil
}
