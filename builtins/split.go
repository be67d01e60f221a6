package builtins

import "github.com/google/shlex"

// SplitWords splits a command line as a shell splits words, without expanding
// anything. Unbalanced quotes are an error.
func SplitWords(command string) ([]string, error) { return shlex.Split(command) }
