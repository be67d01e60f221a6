package choose

import "runbook/builtins/internal/repodata2"

type notes struct{}

func newNotes(depends bool) *notes { return &notes{} }

func (n *notes) add(subdir string, source int, r *repodata.Record, why reason) {}

func (n *notes) settle(c Config) []string { return nil }

func (n *notes) keeps(subdir string, source int, r *repodata.Record) bool { return false }
