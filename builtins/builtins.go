// Package builtins holds the functions that runbooks can call, one to a file.
//
// A file has, in order: the Builtin value, the op that a call becomes, and its
// Check, which only reads and returns the actions that are missing. What grows
// beyond that is a pure package below builtins/internal.
//
// Two things to know: a builtin reaches the machine only through the host that
// it is given, and never learns whether that is a real one; and where only a
// real run could know an answer, Check counts the thing as different and lists
// the guess with runtime.Assume.
//
// Package cmd/runbook gives All to package runtime, which calls its functions.
package builtins

import (
	_ "embed"

	"runbook/runtime"
)

// Language is the page about the language of runbooks, as Markdown.
//
//go:embed LANGUAGE.md
var Language string

// All returns the builtins in the order in which they are documented.
func All() []*runtime.Builtin {
	return []*runtime.Builtin{
		existsBuiltin, globBuiltin, readBuiltin, sha256Builtin, queryBuiltin, waitForBuiltin, serveBuiltin,
		hostOSBuiltin, hostVersionBuiltin, hostFamilyBuiltin, hostUserBuiltin, hostHostnameBuiltin, hostProgramBuiltin, hostCPUsBuiltin,
		hostMemoryBuiltin, hostInterfacesBuiltin, hostDiskFreeBuiltin, hostListeningBuiltin,

		mkdirBuiltin, writeBuiltin, lineBuiltin, blockBuiltin, copyBuiltin, moveBuiltin, removeBuiltin, symlinkBuiltin, chownBuiltin,
		downloadBuiltin, extractBuiltin, archiveBuiltin, mirrorBuiltin,
		mirrorCompareBuiltin, mirrorVerifyBuiltin,

		yumBuiltin, aptBuiltin, serviceBuiltin, unitBuiltin, groupBuiltin, useraddBuiltin, sudoersBuiltin, sysctlBuiltin, hostnameBuiltin, timezoneBuiltin, cronBuiltin, superviseBuiltin, runBuiltin,
		iptablesBuiltin, iptablesSaveBuiltin, condaBootstrapBuiltin, condaChannelsBuiltin, condaInstallBuiltin,

		templateBuiltin, yamlEncodeBuiltin, yamlDecodeBuiltin, jsonEncodeBuiltin, jsonDecodeBuiltin, jsonIndentBuiltin,
	}
}

// param describes one parameter of a builtin; see runtime.Arg.
func param(name, typ, def, help string) runtime.Arg {
	return runtime.Arg{Name: name, Type: typ, Default: def, Help: help}
}
