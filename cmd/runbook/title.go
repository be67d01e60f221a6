package main

import "unsafe"

// setTitle has the kernel show title in the place of a command line, where there is
// room for it: a command that a runbook has us run must not find out from its parent
// how it is run. The strings of argv, which are those of os.Args, change with it.
//
// The words of a command line lie one behind the other, each with a NUL. Where the last
// byte is none, the kernel takes all up to the first NUL for a title; see proc_pid_cmdline(5).
func setTitle(argv []string, title string) {
	size := 0
	for _, word := range argv {
		at := unsafe.Add(unsafe.Pointer(unsafe.StringData(argv[0])), size)
		if word != "" && unsafe.StringData(word) != (*byte)(at) {
			return // it does not lie where the kernel put it
		}
		size += len(word) + 1
	}
	if len(title) >= size {
		return
	}
	shown := unsafe.Slice(unsafe.StringData(argv[0]), size)
	copy(shown, title+"\x00")
	for i := len(title) + 1; i < size; i++ {
		shown[i] = ' '
	}
}
