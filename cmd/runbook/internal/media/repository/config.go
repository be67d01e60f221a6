package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"runbook/cmd/runbook/internal/media/flat"
)

// configure is anaconda-server-config: --init writes a new configuration, --set KEY VALUE changes one key, --get KEY
// prints it.
func configure(args []string) error {
	file, op, key, value := configFile, "", "", ""
	for len(args) > 0 {
		n := map[string]int{"--init": 0, "--get": 1, "--config-file": 1, "--set": 2}
		count, known := n[args[0]]
		if !known || len(args) <= count {
			return fmt.Errorf("got %q, want --init, --set KEY VALUE or --get KEY, and --config-file FILE", args)
		}
		switch args[0] {
		case "--config-file":
			file = args[1]
		case "--set":
			op, key, value = args[0], args[1], args[2]
		case "--get":
			op, key = args[0], args[1]
		default:
			op = args[0]
		}
		args = args[count+1:]
	}
	switch op {
	case "--init":
		return initConfig(file)
	case "--set":
		return setKey(file, key, value)
	case "--get":
		m, err := readConfig(file)
		if err == nil {
			fmt.Println(setting(m, key, ""))
		}
		return err
	}
	return errors.New("nothing to do: want --init, --set or --get")
}

func initConfig(file string) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	m := flat.Map{
		{Key: "account_names_filter", Scalar: "false"},
		{Key: "fs_storage_root", Scalar: filepath.Join(home, "package-storage")},
		{Key: "mongodb_url", Scalar: "mongodb://localhost"},
		{Key: "mongodb_db_name", Scalar: "binstar"},
		{Key: "port", Scalar: "8080"},
		{Key: "RESTRICTED_NAMES", List: []string{"admin", "api", "conda", "static"}, IsList: true},
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("config file %s already exists", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(m.String())
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Println("Wrote", file)
	return nil
}

func setKey(file, key, value string) error {
	m, err := readConfig(file)
	if err != nil {
		return err
	}
	m = m.Put(flat.Entry{Key: key, Scalar: value})
	fresh := file + ".new"
	if err := os.WriteFile(fresh, []byte(m.String()), 0o640); err != nil {
		return err
	}
	return os.Rename(fresh, file)
}

func readConfig(file string) (flat.Map, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no config file %s: run anaconda-server-config --init", file)
	}
	if err != nil {
		return nil, err
	}
	m, err := flat.Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("config file %s: %w", file, err)
	}
	return m, nil
}

func setting(m flat.Map, key, otherwise string) string {
	if e := m.Get(key); e != nil {
		return e.Scalar
	}
	return otherwise
}
