package trace

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Typed is what a step does, as the commands that a person would type for it.
type Typed struct {
	Step     string
	Commands []string // lines; what is no command is a comment
	Checks   []string // commands that show whether it holds
	Failed   string   // why the run ended within the step
}

// Commands returns what the effects of events do as commands for people, a [Typed] for
// each step that began. They are to be read and typed, not to be fed to a shell: long
// texts are cut, and what runbook keeps for itself below state is left out. The whole
// truth is in the script that [NewShell] writes.
func Commands(events []Event, state string) []Typed {
	t := typist{state: strings.TrimSuffix(state, "/") + "/", literals: newLiterals()}
	for _, e := range events {
		switch {
		case e.Kind == Run && e.Run != nil:
			t.self = e.Run.User.Name
		case e.Kind == Step && e.State == Begin:
			t.end()
			t.step = &Typed{Step: e.Step}
		case e.Kind == Op:
			t.op = e
		case e.Kind == Effect && t.step != nil:
			t.effect(e)
		case e.Kind == Result && e.Outcome == Failed && t.step != nil:
			t.step.Failed = cmp.Or(e.Error, "it fails")
		}
	}
	t.end()
	return t.all
}

// Unfinished ends the names of files that say of something beside them that it is not yet whole.
const Unfinished = ".runbook-incomplete"

// A typist writes the commands of one step after the other.
type typist struct {
	state, self string
	literals    literals
	all         []Typed
	step        *Typed
	op          Event             // under way
	account     string            // that the last command was for, "" for who runs it all
	exported    map[string]string // in that account's shell
	facts       facts
}

// end finishes the step.
func (t *typist) end() {
	if t.step == nil {
		return
	}
	t.as("", nil)
	t.step.Checks = t.facts.commands()
	for _, lines := range [][]string{t.step.Commands, t.step.Checks} {
		for i, l := range lines {
			lines[i] = t.literals.unmark(l)
		}
	}
	t.all = append(t.all, *t.step)
	t.step, t.account, t.exported, t.facts = nil, "", nil, facts{}
}

// effect writes the commands of an effect.
func (t *typist) effect(e Event) {
	own := strings.HasPrefix(e.Path, t.state) || strings.HasSuffix(e.Path, Unfinished)
	if own {
		return
	}
	content, known := t.content(&e)
	t.facts.add(e)
	switch {
	case t.op.Op == "mirror":
		t.mirror(e)
	case e.Call == "exec":
		t.exec(e, content, known)
	default:
		t.as("", nil)
		t.file(e, content, known)
	}
}

// content is what a write puts into the file, or a command reads.
func (t *typist) content(e *Event) (text string, known bool) {
	text, known = detailText(e.Detail, "text"), e.Detail["text"] != nil
	if !known {
		text, known = contentOf(t.op.Changes, cmp.Or(detailText(e.Detail, "sha256"), e.Stdin))
	}
	*e, text = t.literals.in(*e, text)
	return text, known
}

// print adds lines; a word of a command may go over several.
func (t *typist) print(lines ...string) {
	t.step.Commands = append(t.step.Commands, strings.Split(strings.Join(lines, "\n"), "\n")...)
}

// note writes a comment, whatever text it is given.
func (t *typist) note(format string, args ...any) {
	t.print("# " + Quote(fmt.Sprintf(format, args...)))
}

func (t *typist) command(argv ...string) { t.print(folded(words(argv))...) }

// as says whose shell the next command is for, and what is set there.
func (t *typist) as(account string, env map[string]string) {
	if account == t.self {
		account = ""
	}
	if account != t.account {
		switch account {
		case "":
			t.print("exit")
		default:
			if t.account != "" {
				t.print("exit")
			}
			t.print("su - " + shellWord(account))
		}
		t.account, t.exported = account, map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if value, ok := t.exported[name]; account != "" && (!ok || value != env[name]) {
			t.exported[name] = env[name]
			t.print("export " + assignment(name, env[name]))
		}
	}
}

func (t *typist) exec(e Event, input string, known bool) {
	if len(e.Argv) == 0 {
		return
	}
	env, line := environment(e), words(e.Argv)
	t.as(e.User, env)
	if t.account == "" {
		for _, name := range slices.Backward(slices.Sorted(maps.Keys(env))) {
			line = slices.Insert(line, 0, assignment(name, env[name]))
		}
	}
	if dir := detailText(e.Detail, "cwd"); dir != "" {
		t.command("cd", dir)
	}
	switch {
	case e.Stdin == "":
		t.print(folded(line)...)
	case strings.HasPrefix(e.Stdin, "<secret:"):
		t.print(folded(append([]string{`printf '%s\n'`, shellWord(e.Stdin), "|"}, line...))...)
	case !known:
		t.note("its input is not known before the run")
		t.print(folded(line)...)
	default:
		t.document(strings.Join(line, " "), input)
	}
}

// file writes what makes or changes a file or directory.
func (t *typist) file(e Event, content string, known bool) {
	d := e.Detail
	switch e.Call {
	case "mkdir":
		t.command(append(append([]string{"install", "-d"}, metaFlags(d)...), e.Path)...)
	case "write":
		t.write(e, content, known)
	case "symlink":
		t.command("ln", "-s", detailText(d, "target"), e.Path)
	case "meta":
		t.meta(e)
	case "move":
		t.command("mv", cmp.Or(detailText(d, "from"), e.Path), cmp.Or(detailText(d, "to"), e.Path))
	case "remove":
		t.command("rm", "-r", e.Path)
	case "tree":
		t.tree(e)
	default:
		t.note("%s", describe(e))
	}
}

func (t *typist) meta(e Event) {
	if mode := detailText(e.Detail, "mode"); mode != "" {
		t.command("chmod", mode, e.Path)
	}
	if owner := ownerText(e.Detail); owner != "" {
		flags := []string{"chown"}
		if detailText(e.Detail, "files") != "" {
			flags = append(flags, "-R")
		}
		t.command(append(flags, owner, e.Path)...)
	}
}

func (t *typist) write(e Event, content string, known bool) {
	switch op := t.op; {
	case op.Op == "iptables.save":
		t.print("iptables-save >" + shellWord(e.Path))
	case op.Op == "copy":
		t.command(append(append([]string{"install"}, metaFlags(e.Detail)...), argText(op.Args, "src"), e.Path)...)
	case op.Op == "download":
		t.download(e)
	case op.Op == "line" && t.line(e):
	case !known:
		t.note("%s is written; its text is not known before the run", e.Path)
	case len(secretsIn(content)) > 0: // nobody else may read it, at no moment
		t.command(append(append([]string{"install"}, metaFlags(e.Detail)...), "/dev/null", e.Path)...)
		t.document("cat >"+shellWord(e.Path), content)
	default:
		t.document("cat >"+shellWord(e.Path), content)
		t.shut(e)
	}
}

// shut gives a file that was written its mode and owner, where they are not what
// everybody's are.
func (t *typist) shut(e Event) {
	d := maps.Clone(e.Detail)
	if detailText(d, "mode") == "0644" {
		delete(d, "mode")
	}
	t.meta(Event{Path: e.Path, Detail: d})
}

// line writes how one line of a file changes, and reports whether the op says so.
func (t *typist) line(e Event) (said bool) {
	for _, c := range t.op.Changes {
		switch {
		case c.What != "line":
			continue
		case c.From == "" && c.To != "":
			t.print("echo " + shellWord(c.To) + " >>" + shellWord(e.Path))
		case c.To == "":
			t.note("in %s, take out the line: %s", e.Path, c.From)
		default:
			t.note("in %s, put in the place of the line: %s", e.Path, c.From)
			t.note("%s", c.To)
		}
		said = true
	}
	return said
}

func (t *typist) download(e Event) {
	from := argText(t.op.Args, "url")
	e.Path = cmp.Or(argText(t.op.Args, "dest"), e.Path)
	if detailText(e.Detail, "files") != "" { // the effect is about the directory
		e.Detail = maps.Clone(e.Detail)
		delete(e.Detail, "files")
	}
	t.command("curl", "-fL", "-C", "-", "-o", e.Path, from)
	t.shut(e)
	t.digests(e)
}

// digests compares a file with the sums that the op was given.
func (t *typist) digests(e Event) {
	name := cmp.Or(argText(t.op.Args, "archive"), e.Path)
	for _, algorithm := range []string{"sha256", "md5"} {
		if fields := strings.Fields(argText(t.op.Args, algorithm)); len(fields) > 0 {
			t.print(fmt.Sprintf("echo %s | %ssum -c", shellWord(fields[0]+"  "+name), algorithm))
		}
	}
}

func (t *typist) tree(e Event) {
	args := t.op.Args
	switch t.op.Op {
	case "extract":
		t.digests(e)
		line := []string{"tar", "-xf", argText(args, "archive"), "-C", e.Path}
		if n := argText(args, "strip_components"); n != "" && n != "0" {
			line = append(line, "--strip-components="+n)
		}
		if argText(args, "keep_existing") == "true" {
			line = append(line, "--skip-old-files")
		}
		if patterns, _ := asRead(args["only"]).([]any); len(patterns) > 0 {
			line = append(line, "--wildcards")
			for _, p := range patterns {
				line = append(line, "*/"+fmt.Sprint(p))
			}
		}
		t.command(line...)
		all := map[string]any{"owner": e.Detail["owner"], "group": e.Detail["group"], "files": "all"}
		t.meta(Event{Path: e.Path, Detail: all})
	case "copy":
		t.command("cp", "-R", "-T", argText(args, "src"), e.Path)
	case "download":
		t.download(e)
	default:
		t.note("%s", describe(e))
	}
}

// mirror is what runbook itself does, and can do by a runbook of its own.
func (t *typist) mirror(e Event) {
	if e.Call != "tree" {
		return
	}
	t.as("", nil)
	line := []string{"runbook", "run", "mirror.star"}
	for _, name := range []string{"config", "channels", "platforms", "dest", "account", "link", "prune", "latest"} {
		value := argText(t.op.Args, name)
		if list, ok := asRead(t.op.Args[name]).([]any); ok {
			var texts []string
			for _, v := range list {
				texts = append(texts, fmt.Sprint(v))
			}
			value = strings.Join(texts, ",")
		}
		if value != "" && value != "false" && value != "0" {
			line = append(line, "--var", name+"="+value)
		}
	}
	if owner := ownerText(e.Detail); owner != "" {
		line = append(line, "--var", "owner="+owner)
	}
	t.command(line...)
}

// The most lines of a text that is typed, and how many stay of a longer one.
const (
	typedLines = 16
	typedHead  = 8
)

// document writes a command with the text that it reads.
func (t *typist) document(command, text string) {
	whole := strings.HasSuffix(text, "\n") || text == ""
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > typedLines {
		cut := fmt.Sprintf("[%d more lines]", len(lines)-typedHead)
		lines, whole = append(slices.Clone(lines[:typedHead]), cut), true
	}
	for i, l := range lines {
		if len(l) > longestTyped {
			lines[i] = fmt.Sprintf("%s [%d more bytes]", strings.ToValidUTF8(l[:longestTyped], ""), len(l)-longestTyped)
		}
	}
	end, body := hereDocument(strings.Join(lines, "\n") + "\n")
	t.print(command + " <<" + end)
	for l := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n") {
		t.print(Quote(l))
	}
	if !whole {
		t.note("the last line has no newline")
	}
}

// longestTyped is how many bytes of a line are shown.
const longestTyped = 400

// words are argv as a shell reads them.
func words(argv []string) []string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = shellWord(a)
	}
	return quoted
}

// foldAt is how wide a command gets before it goes on in the next line.
const foldAt = 100

// folded breaks a command into lines that end in a backslash. An option stays with its value.
func folded(words []string) (lines []string) {
	line := ""
	for i := 0; i < len(words); i++ {
		unit := words[i]
		if i > 0 && strings.HasPrefix(unit, "-") && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			i++
			unit += " " + words[i]
		}
		switch {
		case line == "":
			line = unit
		case len(line)+1+len(unit) > foldAt && !strings.Contains(unit, "\n"):
			lines, line = append(lines, line+" \\"), "    "+unit
		default:
			line += " " + unit
		}
	}
	return append(lines, line)
}

// facts are what the effects of a step make true, as the commands that ask for it.
type facts struct {
	packages, dirs, others []string
}

func (f *facts) add(e Event) {
	if e.Call == "mkdir" {
		f.dirs = append(f.dirs, e.Path)
	}
	for _, fact := range slices.Sorted(maps.Keys(e.Sets)) {
		kind, name, _ := strings.Cut(fact, ":")
		first, _, _ := strings.Cut(name, " ")
		switch kind {
		case "rpm", "deb":
			f.packages = append(f.packages, kind+" "+name)
		case "service":
			f.ask("service", name, "status")
		case "port":
			f.ask("ss", "-ltn", "sport = :"+name)
		case "user":
			f.ask("id", name)
		case "group":
			f.ask("getent", "group", name)
		case "cron":
			f.ask("crontab", "-u", first, "-l")
		case "supervisor":
			f.supervisor(e, first)
		case "iptables-rule":
			table, chain, _ := strings.Cut(first, "/")
			f.ask("iptables", "-t", table, "-L", chain, "-n")
		case "conda":
			f.ask(first+"/bin/conda", "list", "-p", first)
		}
	}
}

// supervisor asks for the programs of a supervisord, with the program that lies beside it.
func (f *facts) supervisor(e Event, config string) {
	dir := ""
	if program := slices.Concat(e.Argv, []string{""})[0]; strings.Contains(program, "/") {
		dir = program[:strings.LastIndex(program, "/")+1]
	}
	f.ask("su", "-", e.User, "-c", strings.Join(words([]string{dir + "supervisorctl", "-c", config, "status"}), " "))
}

func (f *facts) ask(argv ...string) {
	if line := strings.Join(words(argv), " "); !slices.Contains(f.others, line) {
		f.others = append(f.others, line)
	}
}

// commands returns the questions, those about many things in one line each.
func (f *facts) commands() (lines []string) {
	for _, kind := range [][]string{{"rpm", "rpm", "-q"}, {"deb", "dpkg", "-l"}} {
		var names []string
		for _, p := range f.packages {
			if name, ok := strings.CutPrefix(p, kind[0]+" "); ok {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			lines = append(lines, folded(words(append(kind[1:], names...)))...)
		}
	}
	lines = append(lines, f.others...)
	if len(f.dirs) > 0 {
		lines = append(lines, folded(words(append([]string{"ls", "-ld"}, f.dirs...)))...)
	}
	return lines
}
