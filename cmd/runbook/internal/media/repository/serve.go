package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"runbook/cmd/runbook/internal/media/store"
)

// serve is binstar-server: over HTTP at the configured port it gives out PREFIX's static files below /static/ and the
// package storage below /. Without a database it ends at once, and supervisord tries again.
func serve(args []string) error {
	flags, parse := newFlags("serve")
	file := flags.String("config-file", configFile, "configuration")
	parse(args)
	m, err := readConfig(*file)
	if err != nil {
		return err
	}
	if _, err := ask(*file, store.Request{Op: "find", Collection: "users"}); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	static := filepath.Join(filepath.Dir(exe), "../lib/python2.7/site-packages/binstar/static")
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServer(http.Dir(static))))
	mux.Handle("GET /", http.FileServer(http.Dir(setting(m, "fs_storage_root", "/nonexistent"))))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "<h1>Anaconda Repository (stand-in)</h1>")
	})
	address := "0.0.0.0:" + setting(m, "port", "8080")
	fmt.Println("listening on", address)
	return http.ListenAndServe(address, mux)
}
