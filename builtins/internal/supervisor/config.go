package supervisor

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Config holds the programs of a supervisord.conf. Files that its [include]
// names are not read.
type Config struct{ Programs []Program }

// A Program is a section that starts processes.
type Program struct {
	Name      string
	Command   string // with the expansions that supervisord will make
	Autostart bool
	Processes []string // as supervisorctl names them
}

// Processes returns the names of all processes that are started with
// supervisord, sorted, as supervisorctl prints them.
func (c *Config) Processes() []string {
	var names []string
	for _, p := range c.Programs {
		if p.Autostart {
			names = append(names, p.Processes...)
		}
	}
	slices.Sort(names)
	return names
}

// ParseConfig reads a supervisord.conf.
func ParseConfig(text string) (*Config, error) {
	file, err := parseINI(text)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	groups := map[string]string{}
	sections := slices.Sorted(maps.Keys(file))
	for _, section := range sections {
		if name, ok := strings.CutPrefix(section, "group:"); ok {
			for p := range strings.SplitSeq(file[section]["programs"], ",") {
				groups[strings.TrimSpace(p)] = name
			}
		}
	}
	for _, section := range sections {
		kind, name, _ := strings.Cut(section, ":")
		if kind != "program" && kind != "fcgi-program" && kind != "eventlistener" {
			continue
		}
		group := name
		if g, ok := groups[name]; ok && kind != "eventlistener" {
			group = g
		}
		p, err := parseProgram(strings.TrimSpace(name), group, file[section])
		if err != nil {
			return nil, fmt.Errorf("[%s]: %w", section, err)
		}
		c.Programs = append(c.Programs, p)
	}
	return c, nil
}

// maxProcs is more than any machine starts of one program.
const maxProcs = 10_000

func parseProgram(name, group string, options map[string]string) (Program, error) {
	p := Program{Name: name, Command: options["command"], Autostart: true}
	if p.Command == "" {
		return p, fmt.Errorf("got no command")
	}
	if strings.ContainsAny(name, " :/") || name == "" {
		return p, fmt.Errorf("got name %q, want one without blanks, colons and slashes", name)
	}
	switch s := strings.ToLower(options["autostart"]); s {
	case "no", "false", "off", "0":
		p.Autostart = false
	case "", "yes", "true", "on", "1":
	default:
		return p, fmt.Errorf("got autostart %q, want true or false", s)
	}
	var err error
	p.Processes, err = processes(name, group, options)
	return p, err
}

// processes returns the names of the processes of a program.
func processes(name, group string, options map[string]string) (names []string, err error) {
	count, err := number(options["numprocs"], 1)
	if err != nil {
		return nil, err
	}
	first, err := number(options["numprocs_start"], 0)
	if err != nil {
		return nil, err
	}
	pattern, ok := options["process_name"]
	if !ok {
		pattern = "%(program_name)s"
	}
	if count > 1 && !strings.Contains(pattern, "%(process_num)") {
		return nil, fmt.Errorf("got process_name %q for %d processes, want %%(process_num) in it", pattern, count)
	}
	for n := first; n < first+count; n++ {
		process, err := expand(pattern, name, group, n, count)
		if err != nil {
			return nil, fmt.Errorf("process_name %q: %w", pattern, err)
		}
		if process != group {
			process = group + ":" + process
		}
		names = append(names, process)
	}
	return names, nil
}

func number(s string, standard int) (int, error) {
	if s == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxProcs {
		return 0, fmt.Errorf("got %q processes, want 0 to %d", s, maxProcs)
	}
	return n, nil
}

var expansion = regexp.MustCompile(`%(?:%|\((\w+)\)(0?\d{0,2})([sd])|)`)

// expand fills in %(NAME)s and %(NAME)02d as Python does.
func expand(pattern, program, group string, n, count int) (string, error) {
	var err error
	s := expansion.ReplaceAllStringFunc(pattern, func(v string) string {
		m := expansion.FindStringSubmatch(v)
		var value any
		switch m[1] {
		case "program_name":
			value = program
		case "group_name":
			value = group
		case "process_num":
			value = n
		case "numprocs":
			value = count
		case "":
			if v == "%%" {
				return "%"
			}
		}
		if _, text := value.(string); value == nil || text && (m[2] != "" || m[3] == "d") {
			err = fmt.Errorf("got %q, of which nothing is known without running it", v)
			return v
		}
		if m[3] == "s" {
			return fmt.Sprint(value)
		}
		return fmt.Sprintf("%"+m[2]+"d", value)
	})
	return strings.TrimSpace(s), err
}

// parseINI reads the format of Python's RawConfigParser with the options that
// supervisor sets: comments also behind blanks, indented lines that continue a
// value, and the last of several values.
func parseINI(text string) (map[string]map[string]string, error) {
	file := map[string]map[string]string{}
	section, option := "", ""
	level, n := 0, 0
	for line := range strings.Lines(text) {
		n++
		value := strings.TrimSpace(uncomment(line))
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		switch {
		case value == "":
		case option != "" && indent > level:
			file[section][option] += "\n" + value
		case value[0] == '[' && strings.Contains(value, "]"):
			section, option, level = value[1:strings.IndexByte(value, ']')], "", indent
			if file[section] == nil {
				file[section] = map[string]string{}
			}
		default:
			i := strings.IndexAny(value, "=:")
			if i < 1 || section == "" {
				return nil, fmt.Errorf("line %d: got %q, want NAME=VALUE in a section", n, value)
			}
			option, level = strings.ToLower(strings.TrimSpace(value[:i])), indent
			file[section][option] = strings.TrimSpace(value[i+1:])
		}
	}
	return file, nil
}

// uncomment cuts off a comment: ";" or "#" at the beginning or behind a blank, and
// what follows.
func uncomment(line string) string {
	for i := range len(line) {
		if (line[i] == ';' || line[i] == '#') && (i == 0 || strings.IndexByte(" \t\r\n\v\f", line[i-1]) >= 0) {
			return line[:i]
		}
	}
	return line
}
