// Package runbooks holds the runbooks that the program ships and what they load.
//
// A site that edits one keeps it in its own directory; what lies there goes
// before what is here. The files are Starlark, and nothing here runs them:
// package main of cmd/runbook hands FS to the runtime.
package runbooks

import "embed"

// FS has the shipped runbooks at its top and what they load in lib.
//
//go:embed install.star media.star mirror.star quickstart.star lib/*.star
var FS embed.FS

// Machines has, for some of them, the simulated machines on which doc shows their commands: NAME.doc.yaml for
// NAME.star.
//
//go:embed *.doc.yaml
var Machines embed.FS
