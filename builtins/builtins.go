// Package builtins holds the functions that runbooks can call, one to a file.
//
// A file has, in order: the Builtin value, the op that a call becomes, its
// Check, which only reads, and its Apply, which does what Check found. What
// grows beyond that is a pure package below builtins/internal.
//
// Two things to know: a builtin reaches the machine only through the host that
// it is given, and never learns whether that is a real one; and where only a
// real run could know an answer, Check takes it for different and notes that it
// did.
//
// Package cmd/runbook gives All to package runtime, which calls what is in it.
package builtins

import (
	"slices"

	"runbook/runtime"
)

// All returns the builtins in the order in which they are documented.
func All() []*runtime.Builtin { return slices.Concat(reading, storing, system, texts) }

var (
	reading = []*runtime.Builtin{
		exists, glob, read, sha256Builtin, query, waitFor,
		hostOS, hostVersion, hostFamily, hostUser, hostHostname, hostCPUs, hostMemory, hostLinks, hostDiskFree, hostListening,
	}
	storing = []*runtime.Builtin{
		mkdir, write, line, copyBuiltin, move, remove, symlink, chown, download, extract, archiveBuiltin, mirrorChannels,
	}
	system = []*runtime.Builtin{
		yum, service, useradd, cron, supervise, run, iptablesBuiltin, iptablesSave, condaBootstrap, condaChannels, condaInstall,
	}
	texts = []*runtime.Builtin{yamlEncode, yamlDecode, jsonEncode, jsonDecode, jsonIndent}
)
