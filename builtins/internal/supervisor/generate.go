package supervisor

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Settings are what Generate needs besides the programs.
type Settings struct {
	Socket  string // absolute name of the socket for supervisorctl, at most 100 bytes
	PIDFile string // absolute name
	LogFile string // absolute name
}

// Generate returns a supervisord.conf with a section for each program. The options
// are those of supervisor; command is required. Equal arguments give equal text.
// Options may use supervisor's expansions, such as %(program_name)s; other percent
// signs are escaped. Several processes of a program get numbered names unless
// process_name is given.
func Generate(s Settings, programs map[string]map[string]string) (string, error) {
	for what, name := range map[string]string{"socket": s.Socket, "pid file": s.PIDFile, "log file": s.LogFile} {
		if !path.IsAbs(name) || len(name) > 100 || strings.ContainsFunc(name, unicode.IsSpace) {
			return "", fmt.Errorf("got %s %q, want an absolute name of at most 100 bytes without blanks", what, name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[unix_http_server]\nfile=%s\nchmod=0700\n\n", escape(s.Socket))
	fmt.Fprintf(&b, "[supervisord]\nlogfile=%s\npidfile=%s\n\n", escape(s.LogFile), escape(s.PIDFile))
	b.WriteString("[rpcinterface:supervisor]\n" +
		"supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n")
	fmt.Fprintf(&b, "[supervisorctl]\nserverurl=unix://%s\n", escape(s.Socket))
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		if err := writeProgram(&b, name, programs[name]); err != nil {
			return "", fmt.Errorf("program %s: %w", name, err)
		}
	}
	text := b.String()
	if _, err := ParseConfig(text); err != nil {
		return "", err
	}
	return text, nil
}

var (
	programName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)
	optionName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

func writeProgram(b *strings.Builder, name string, options map[string]string) error {
	if !programName.MatchString(name) {
		return fmt.Errorf("got name %q, want letters, digits and _.+-", name)
	}
	if options["command"] == "" {
		return fmt.Errorf("got no command")
	}
	options = maps.Clone(options)
	if n := options["numprocs"]; n != "" && n != "1" && options["process_name"] == "" {
		options["process_name"] = "%(program_name)s_%(process_num)02d"
	}
	fmt.Fprintf(b, "\n[program:%s]\ncommand=%s\n", name, escape(options["command"]))
	for _, key := range slices.Sorted(maps.Keys(options)) {
		value := options[key]
		switch {
		case !optionName.MatchString(key):
			return fmt.Errorf("got option %q, want a name such as autostart", key)
		case strings.ContainsFunc(value, unicode.IsControl) || strings.TrimSpace(value) != value:
			return fmt.Errorf("got %s %q, want one line without blanks around it", key, value)
		case uncomment("="+value) != "="+value:
			return fmt.Errorf("got %s %q, of which supervisor takes a part for a comment; "+
				"want it in a script of its own", key, value)
		case key != "command":
			fmt.Fprintf(b, "%s=%s\n", key, escape(value))
		}
	}
	return nil
}

// bare is a percent sign with what may follow it in an expansion.
var bare = regexp.MustCompile(`%(?:%|\(\w+\)\d*[sd])?`)

// escape doubles the percent signs that begin no expansion.
func escape(value string) string {
	return bare.ReplaceAllStringFunc(value, func(s string) string {
		if s == "%" {
			return "%%"
		}
		return s
	})
}
