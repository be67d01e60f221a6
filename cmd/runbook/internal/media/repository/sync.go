package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
			if err := copySubdir(filepath.Join(dir, platform), filepath.Join(setting(config, "fs_storage_root", ""), *account, platform)); err != nil {
				return err
			}
		}
	}
	return nil
}

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
	for _, name := range slices.Sorted(maps.Keys(repodata.Packages)) {
		if _, err := os.Stat(filepath.Join(dest, name)); err == nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dest, name), data, 0o644); err != nil {
			return err
		}
		fmt.Println("copied", name)
	}
	return os.WriteFile(filepath.Join(dest, "repodata.json"), index, 0o644)
}
