package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// syncConda is anaconda-server-sync-conda: it copies what the indexes of file channels list into the package storage.
func syncConda(args []string) error {
	flags, parse := newFlags("sync-conda")
	account := flags.String("account", "anaconda", "whose packages they become")
	mirror := flags.String("mirror-config", "/etc/anaconda-server/mirrors/conda.yaml", "channels and platforms")
	file := flags.String("config-file", configFile, "configuration")
	parse(args)
	config, err := readConfig(*file)
	if err != nil {
		return err
	}
	m, err := readConfig(*mirror)
	if err != nil {
		return err
	}
	channels, platforms := m.Get("channels"), []string{"linux-64", "linux-32", "osx-64", "win-32", "win-64"}
	if channels == nil {
		return fmt.Errorf("%s: no channels", *mirror)
	}
	if e := m.Get("platforms"); e != nil {
		platforms = e.List
	}
	for _, channel := range channels.List {
		dir, ok := strings.CutPrefix(channel, "file://")
		if !ok {
			return fmt.Errorf("channel %s: the stand-in copies from file:// only", channel)
		}
		for _, platform := range append(slices.Clone(platforms), "noarch") {
			if err := copySubdir(filepath.Join(dir, platform),
				filepath.Join(setting(config, "fs_storage_root", ""), *account, platform)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copySubdir gives every file its name when it is whole. Another copy that is under way is waited for.
func copySubdir(source, dest string) error {
	index, err := os.ReadFile(filepath.Join(source, "repodata.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var repodata struct{ Packages map[string]json.RawMessage }
	if err == nil {
		err = json.Unmarshal(index, &repodata)
	}
	if err == nil {
		err = os.MkdirAll(dest, 0o755)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	unlock, err := lock(dest)
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range slices.Sorted(maps.Keys(repodata.Packages)) {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return err
		}
		if have, err := os.ReadFile(filepath.Join(dest, name)); err == nil && bytes.Equal(have, data) {
			continue
		}
		if err := replace(filepath.Join(dest, name), data); err != nil {
			return err
		}
		fmt.Println("copied", name)
	}
	return replace(filepath.Join(dest, "repodata.json"), index)
}

func lock(dir string) (unlock func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d.Close, nil
}

func replace(name string, data []byte) error {
	if err := os.WriteFile(name+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
