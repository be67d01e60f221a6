package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"runbook/cmd/runbook/internal/media/store"
)

// createUser is anaconda-server-create-user.
func createUser(args []string) error {
	flags, parse := newFlags("create-user")
	name := flags.String("username", "", "name of the account")
	password := flags.String("password", "", "its password")
	email := flags.String("email", "", "its mail address")
	superuser := flags.Bool("superuser", false, "may do everything")
	file := flags.String("config-file", configFile, "configuration")
	parse(args)
	if *name == "" || *password == "" || *email == "" {
		return errors.New("--username, --password and --email are required")
	}
	// A salt by chance would make two equal installations differ.
	salt := digest("salt", *name)[:16]
	doc, err := json.Marshal(map[string]any{"login": *name, "email": *email, "is_superuser": *superuser, "salt": salt,
		"password_sha256": digest(salt, *password)})
	if err != nil {
		return err
	}
	exists, err := ask(*file, store.Request{Op: "find", Collection: "users", ID: *name})
	if err != nil {
		return err
	}
	if len(exists) > 0 {
		return fmt.Errorf("user %q already exists", *name)
	}
	if _, err := ask(*file, store.Request{Op: "insert", Collection: "users", ID: *name, Doc: doc}); err != nil {
		return err
	}
	fmt.Printf("Created user %s\n", *name)
	return nil
}

// setUpDatabase is anaconda-server-db-setup: without --execute it only says what it would do.
func setUpDatabase(args []string) error {
	flags, parse := newFlags("db-setup")
	execute := flags.Bool("execute", false, "do it")
	file := flags.String("config-file", configFile, "configuration")
	parse(args)
	for _, index := range []string{"users.login", "packages.name", "files.basename"} {
		have, err := ask(*file, store.Request{Op: "find", Collection: "indexes", ID: index})
		if err != nil {
			return err
		}
		if len(have) > 0 {
			fmt.Printf("index %s exists\n", index)
			continue
		}
		if !*execute {
			fmt.Printf("would create index %s (--execute does it)\n", index)
			continue
		}
		if _, err := ask(*file, store.Request{Op: "insert", Collection: "indexes", ID: index,
			Doc: json.RawMessage(`{"unique":true}`)}); err != nil {
			return err
		}
		fmt.Printf("created index %s\n", index)
	}
	return nil
}

// ask asks the database that the configuration names.
func ask(file string, q store.Request) (map[string]json.RawMessage, error) {
	m, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	q.DB = setting(m, "mongodb_db_name", "binstar")
	return store.Ask(net.JoinHostPort("127.0.0.1", store.Port), q)
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%s\x00", p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
