package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"runbook/cmd/runbook/internal/serve"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// A service is what a server of mirrored channels needs besides them.
type service struct {
	*program
	serve.Options
	listen, accessLog string
	grace             time.Duration
	until             string // how it ends, for people; "" if they know
}

func (p *program) serveCommand() *cobra.Command {
	s := &service{program: p}
	c := &cobra.Command{
		Use: "serve DIR", Short: "Serve mirrored channels over HTTP, and change nothing",
		Long: "Serve the channels in DIR, as mirror lays them out: DIR/ACCOUNT is the channel http://HOST:PORT/ACCOUNT for conda,\n" +
			"mamba and pixi. In a browser http://HOST:PORT/ is a page: which packages there are, the commands that install\n" +
			"them, what they need, where they came from. What is not hidden is served, and nothing outside DIR. /healthz says\n" +
			"whether it is well, /metrics how much it does, for Prometheus. SIGTERM or Ctrl-C ends it when the downloads under\n" +
			"way are done.\n\n" +
			"With --tokens a reader needs one for each account: as the password of basic authentication, as a bearer, or in\n" +
			"the URL: http://HOST:PORT/t/TOKEN/ACCOUNT. FILE has lines ACCOUNT SHA256, or ACCOUNT open for everybody; the\n" +
			"account * stands for all. Installers, /healthz and /metrics need none. No token is written to the log or a page,\n" +
			"and no symbolic link leads from one account to another. Certificate, key and tokens are read again when their\n" +
			"files change; SIGHUP opens the access log anew.",
		Example: "  runbook serve /srv/mirror\n" +
			"  runbook serve /srv/mirror --listen :8080 --access-log /var/log/access.log\n" +
			"  runbook serve token anaconda --tokens /etc/runbook/tokens\n" +
			"  runbook serve /srv/mirror --cert host.pem --key host.key --tokens tokens",
		Args: operands(1, 1, "DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			s.Dir, s.Version = args[0], version()
			return s.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address and port; :8080 is all addresses of this machine")
	f.StringVar(&s.Extras, "extras", "", "directory of installers, served below /static/extras/")
	f.StringVar(&s.Cert, "cert", "", "PEM file of the certificate, for HTTPS")
	f.StringVar(&s.Key, "key", "", "PEM file of its key")
	f.StringVar(&s.Tokens, "tokens", "", "file of who may read which account")
	f.StringVar(&s.accessLog, "access-log", "", "file that gets a line of JSON for each request; - is standard output")
	f.IntVar(&s.MaxConnections, "max-connections", 1024, "how many there may be at a time; idle ones make room")
	f.DurationVar(&s.Stall, "stall", 30*time.Second, "end a download of which nothing arrived for so long")
	f.DurationVar(&s.grace, "grace", 30*time.Second, "how long downloads may take to end when the server is told to")
	c.AddCommand(p.tokenCommand())
	return c
}

// run serves until it is told to end.
func (s *service) run(ctx context.Context) error {
	if (s.Cert == "") != (s.Key == "") {
		return mistake("give both, or neither for plain HTTP", "--cert and --key belong together")
	}
	if s.MaxConnections < 1 || s.Stall <= 0 || s.grace < 0 {
		return mistake("the least is --max-connections 1, --stall 1ms and --grace 0s",
			"got --max-connections %d, --stall %v and --grace %v", s.MaxConnections, s.Stall, s.grace)
	}
	log, err := openLog(s.accessLog, s.out)
	if err != nil {
		return err
	}
	defer log.close()
	s.AccessLog, s.Complain, s.Now = log.writer(), s.complain, s.now
	server, err := serve.New(s.Options)
	switch {
	case errors.Is(err, os.ErrPermission):
		return mistake("the account that serves must be able to read it: chown or chmod it, or serve as another", "%w", err)
	case err != nil:
		return mistake("", "%w", err)
	}
	defer server.Close()
	l, err := s.bind()
	if err != nil {
		return err
	}
	ctx, stop := s.untilTold(ctx, log)
	defer stop()
	s.announce(server, l.Addr().(*net.TCPAddr))
	go func() {
		<-ctx.Done()
		if n := server.InFlight(); n > 0 {
			fmt.Fprintf(s.err, "runbook: %s under way may take %v more to end (once more: at once)\n",
				counted(int(n), "request"), s.grace)
		}
	}()
	cut, err := server.Serve(ctx, l, s.grace)
	if cut > 0 {
		fmt.Fprintln(s.err, "runbook: "+counted(int(cut), "request")+" cut short; clients ask again for the rest")
	}
	return err
}

// serveAfter serves what a run that is done has asked for, if a person looks on.
func (s *session) serveAfter(ctx context.Context) error {
	dir, listen := s.watch.served.Target, "127.0.0.1:8080"
	if dir == "" || s.flags.format != "text" || !term.IsTerminal(int(s.out.file.Fd())) {
		return nil
	}
	if given, ok := s.watch.served.Args["listen"].(string); ok {
		listen = given
	}
	server := &service{program: s.program, listen: listen, grace: time.Second}
	server.Options = serve.Options{Dir: dir, Version: version(), MaxConnections: 64, Stall: 30 * time.Second}
	if l, err := net.Listen("tcp", listen); err == nil {
		l.Close()
	} else if host, _, serr := net.SplitHostPort(listen); errors.Is(err, syscall.EADDRINUSE) && serr == nil {
		server.listen = net.JoinHostPort(host, "0")
		fmt.Fprintf(s.err, "runbook: another program has %s: another port is taken\n", listen)
	}
	server.until = "Ctrl-C ends it"
	return server.run(ctx)
}

// complain tells what a person should look at, and goes on.
func (s *service) complain(err error) { report(s.err, err) }

// bind begins to listen.
func (s *service) bind() (*net.TCPListener, error) {
	l, err := net.Listen("tcp", s.listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, runtime.Hint(spoken("listen %s: another program has this port", s.listen),
			"give another one with --listen; ss -ltnp shows who has it")
	case errors.Is(err, syscall.EACCES):
		return nil, runtime.Hint(spoken("listen %s: ports below 1024 are root's", s.listen),
			"take one above with --listen, and have the firewall redirect to it")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, runtime.Hint(spoken("listen %s: this machine has no such address", s.listen),
			"ip address shows which it has; :PORT is all of them")
	case err != nil:
		return nil, mistake("it has the form ADDRESS:PORT or :PORT", "--listen: got %q: %w", s.listen, err)
	}
	return l.(*net.TCPListener), nil
}

// announce says where it listens.
func (s *service) announce(server *serve.Server, addr *net.TCPAddr) {
	out := io.Writer(s.out)
	if s.accessLog == "-" {
		out = s.err // standard output has lines of JSON
	}
	host, scheme := addr.IP.String(), "http://"
	if addr.IP.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	if s.Cert != "" {
		scheme = "https://"
	}
	url := scheme + net.JoinHostPort(host, fmt.Sprint(addr.Port)) + "/"
	fmt.Fprintf(out, "serving %s at %s\n", trace.Quote(s.Dir), trace.Quote(url))
	if s.Tokens != "" {
		url += "t/TOKEN/"
	}
	for _, account := range server.Reachable() {
		fmt.Fprintf(out, "  channel %s\n", trace.Quote(url+account))
	}
	if s.until != "" {
		fmt.Fprintln(out, s.until)
	}
	if s.Tokens != "" && s.Cert == "" && !addr.IP.IsLoopback() {
		fmt.Fprintln(s.err, "runbook: tokens cross the network in the clear\n  hint: give --cert and --key")
	}
}

// untilTold returns a context that a signal ends; a second one ends the program. SIGHUP opens the log anew, if it is a
// file.
func (s *service) untilTold(ctx context.Context, log *logFile) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	hasTerminal := log.name == "" && term.IsTerminal(int(s.out.file.Fd()))
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		for sig := range signals {
			switch {
			case sig == syscall.SIGPIPE: // of standard output: its reader is gone, clients are not
			case sig == syscall.SIGHUP && !hasTerminal: // which would be gone
				if err := log.again(); err != nil {
					s.complain(err)
				}
			case ctx.Err() != nil:
				os.Exit(130)
			default:
				cancel()
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// A logFile is where the access log goes. It can be moved away and opened anew.
type logFile struct {
	name string // "" if it is no file
	out  io.Writer
	mu   sync.Mutex
	file *os.File
}

func openLog(name string, stdout io.Writer) (*logFile, error) {
	switch name {
	case "":
		return &logFile{}, nil
	case "-":
		return &logFile{out: stdout}, nil
	}
	l := &logFile{name: name}
	l.out = l
	return l, l.again()
}

// writer returns nil if no log is wanted.
func (l *logFile) writer() io.Writer { return l.out }

func (l *logFile) again() error {
	if l.name == "" {
		return nil
	}
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return mistake("", "access log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file, f = f, l.file
	if f != nil {
		return f.Close()
	}
	return nil
}

// Write writes a whole line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(line)
}

func (l *logFile) close() {
	if l.file != nil {
		l.file.Close()
	}
}

func (p *program) tokenCommand() *cobra.Command {
	file := ""
	c := &cobra.Command{
		Use: "token ACCOUNT", Short: "Make a token for those who read an account",
		Long: "Print a new token for an account, or for all with *. Only its digest is kept: the line that serve's --tokens\n" +
			"reads, which is added to FILE with --tokens and printed below the token without.",
		Example: "  runbook serve token anaconda --tokens /etc/runbook/tokens\n  runbook serve token '*'",
		Args:    operands(1, 1, "ACCOUNT"),
		RunE: func(_ *cobra.Command, args []string) error {
			token, line, err := serve.NewToken(args[0])
			if err != nil {
				return mistake("", "%w", err)
			}
			if file == "" {
				fmt.Fprintf(p.out, "%s\n%s\n", token, line)
				return nil
			}
			if err := appendLine(file, line); err != nil {
				return err
			}
			fmt.Fprintln(p.out, token)
			return nil
		},
	}
	c.Flags().StringVar(&file, "tokens", "", "file that gets the line")
	return c
}

// appendLine adds a line to a file, which is made for its owner alone if it is not there.
func appendLine(name, line string) error {
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(old) > 0 && old[len(old)-1] != '\n' {
		line = "\n" + line
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
