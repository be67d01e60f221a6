package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"time"

	"runbook/runtime/trace"
)

// authpriv and notice are the facility and severity of what is logged, as in syslog(3).
const (
	authpriv = 10 << 3
	notice   = 5
)

// logHead tells the system's log how a real run ended and what stands for its trace. Where the log goes to another
// machine, the head is then kept where whoever is root here cannot change it. A machine without a log has none.
func (s *session) logHead(name, head string) {
	user := trace.Quote(userName())
	if by := os.Getenv("SUDO_USER"); by != "" {
		user += " for " + trace.Quote(by)
	}
	text := fmt.Sprintf("run of %s by %s %s: head %s, trace %s", trace.Quote(s.book.Name), user,
		cmp.Or(string(s.watch.outcome), "was cut off"), head, trace.Quote(name))
	if s.plan != nil {
		text += ", plan " + s.plan.head
	}
	for _, a := range s.approvals {
		text += ", approved by " + trace.Quote(a.By)
	}
	if ticket := ticketOf(s.flags.ticket, s.approvals); ticket != "" {
		text += ", ticket " + trace.Quote(ticket)
	}
	conn, err := net.DialTimeout("unixgram", s.syslog, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second)) // a log that stands still does not hold the run up
	now := s.now().Format(time.Stamp)
	fmt.Fprintf(conn, "<%d>%s runbook[%d]: %s", authpriv|notice, now, os.Getpid(), text)
}
