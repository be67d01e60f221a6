package main

// The tests of this directory run the program as people do. Their words:
//
//   - site: a bare host, in a jail, with the program and, as a rule, the installation media in /installer
//   - jail: a throw-away machine with its own files, processes and network (package lab)
//   - media: what the vendor shipped, generated (package media); a medium is a place where media.star lays them out
//   - whole: an installation that nothing disturbed, and its trace; others must end as it did
//   - kill: a place in the trace where a run is cut off, before an effect or under way; power means the machine too
//   - halt: a system call within an effect at which strace kills the run
//   - gated run: a run that waits with each event until the test reads it, so that it can be cut off at any effect
//   - refusal: what makes an installation impossible. An unready host is refused before anything changes; an unfit one
//     shows under way, and the next run mends it
//   - canary: a part of every secret that is in nothing else, so whoever shows it leaks
//   - vendor: the servers that an online site installs from; archiveServer serves the archives of the media
//   - published: a mirror that the program made, for conda clients (package client) to read
//   - volatile, normal: what two equal installations may differ in, and a snapshot without it
//   - sample: the part of many like cases that is tried unless RUNBOOK_TEST_FULL=1 (package sample)
//
// go test tries samples; -short leaves out all that needs a jail but one installation; .ci/nightly tries everything.
