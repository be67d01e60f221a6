package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What an effect is as commands.

// effect writes the commands of e, which has content if known says so.
func (s *shell) effect(e Event, content string, known bool) {
	d := e.Detail
	switch {
	case s.op.Op == "mirror":
		s.mirror(e)
	case e.Call == "exec":
		s.exec(e, content, known)
	case e.Call == "mkdir":
		s.command(append(append([]string{"install", "-d"}, metaFlags(d)...), "--", e.Path)...)
	case e.Call == "write":
		s.write(e, content, known)
	case e.Call == "symlink":
		s.command("ln", "-s", "-T", "--", detailText(d, "target"), e.Path)
		s.chown(e, "-h")
	case e.Call == "meta":
		s.meta(e)
	case e.Call == "move":
		s.command("mv", "-T", "--", cmp.Or(detailText(d, "from"), e.Path), cmp.Or(detailText(d, "to"), e.Path))
	case e.Call == "remove":
		s.command("rm", "-rf", "--", e.Path)
	case e.Call == "tree":
		s.tree(e)
	default:
		s.cannot("%s", describe(e))
	}
}

// account is the word for an account, or for that of the run.
func (s *shell) account(name string) string {
	if name == "" && s.run.Run != nil {
		name = s.run.Run.User.Name
	}
	if name == "" {
		return `"$(id -un)"`
	}
	return shellWord(name)
}

// assignment is a word that env takes for one, whatever the name is: others stand before it.
func assignment(name, value string) string {
	if plainName(name) == name {
		return name + "=" + shellWord(value)
	}
	return shellWord(name + "=" + value)
}

// exec writes a command with who runs it, where, and with what.
func (s *shell) exec(e Event, input string, known bool) {
	env := environment(e)
	if len(e.Argv) == 0 || e.Argv[0] == "" || strings.Contains(e.Argv[0], "=") {
		s.cannot("the trace has a command without a usable name")
		return
	}
	if warning := exposure(e); warning != "" {
		s.comment("%s", warning)
	}
	words := s.account(e.User)
	if dir := detailText(e.Detail, "cwd"); dir != "" {
		words += " -C " + shellWord(dir)
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if k == "" || strings.Contains(k, "=") {
			s.cannot("the trace has a variable called %q", k)
			return
		}
		words += " " + assignment(k, env[k])
	}
	program := shellWord(e.Argv[0])
	if _, ok := env["PATH"]; ok && !strings.Contains(e.Argv[0], "/") {
		program = `"$(command -v ` + program + `)"` // runbook looks for it in the usual places
	}
	words += " " + program
	for _, a := range e.Argv[1:] {
		words += " " + shellWord(a)
	}
	s.runs(e, words, input, known)
	for _, f := range slices.Sorted(maps.Keys(e.Sets)) {
		if port, ok := strings.CutPrefix(f, "port:"); ok {
			s.call("opens", shellWord(port))
		}
	}
}

// runs calls a command with what it reads and what counts as its success.
func (s *shell) runs(e Event, words, input string, known bool) {
	success := s.success()
	pattern := argText(s.op.Args, "already")
	with := func(function string) {
		own := regexp.MustCompile(`\\[a-zA-Z]|\(\?`) // grep knows it not
		if s.op.Op != "run" || pattern == "" || own.MatchString(pattern) {
			s.call(function, words)
			return
		}
		s.needs = append(s.needs, function, "given")
		s.call("already", shellWord(pattern)+" "+function+" "+words)
	}
	words += success
	switch {
	case e.Stdin == "":
		with("as")
	case !known && !strings.HasPrefix(e.Stdin, "<secret:"):
		s.cannot("the trace does not hold the standard input of %s", e.Argv[0])
	case !known:
		s.print(`printf '%s\n' ` + shellWord(e.Stdin) + " | ")
		with("given")
	case !strings.HasSuffix(input, "\n") || !showable(input):
		s.use(secretsIn(input)...)
		s.print("printf %s " + shellWord(input) + " | ")
		with("given")
	default:
		s.use(secretsIn(input)...)
		end, body := hereDocument(input)
		words = strings.TrimSuffix(words, success) + " <<" + end + success
		with("given")
		s.print(body)
	}
}

// success is what follows a command of which other exit statuses than 0 are none.
func (s *shell) success() string {
	codes, _ := asRead(s.op.Args["ok"]).([]any)
	var accepted []string
	for _, c := range codes {
		if n, ok := c.(json.Number); ok && n != "0" {
			accepted = append(accepted, plainName(n.String()))
		}
	}
	if s.op.Op != "run" || len(accepted) == 0 {
		return ""
	}
	return " || case $? in " + strings.Join(accepted, "|") + ") ;; *) exit 1 ;; esac"
}

// write makes the file with its mode and owner before it holds any content.
func (s *shell) write(e Event, content string, known bool) {
	source, sum, dated := s.source()
	switch {
	case known, e.Detail["base64"] != nil:
	case source != "":
		s.verify("sha256sum", sum, source)
	case strings.Contains(e.Path, "/begun/") && detailText(e.Detail, "sha256") == "":
		s.comment("it names the boot in which the command was begun")
	default:
		s.cannot("the trace does not hold what %s is to hold", e.Path)
		return
	}
	mode := cmp.Or(detailText(e.Detail, "mode"), "0644")
	shut := len(mode) > 2 && mode[len(mode)-3] < '6' // its owner may not write it: it gets its mode last
	s.place(e, shut, mode)
	to := " >" + shellWord(e.Path)
	switch {
	case known:
		s.fill(to, content)
	case e.Detail["base64"] != nil:
		s.print("base64 -d" + to + " <<'EOF'\n" + lettersOf(detailText(e.Detail, "base64")) + "\nEOF\n")
	case source != "":
		s.print("cat -- " + source + to + "\n")
	}
	if shut {
		s.command("chmod", mode, "--", e.Path)
	}
	if dated {
		s.print("touch -r " + source + " -- " + shellWord(e.Path) + "\n")
	}
}

// place makes an empty file. Where the trace names no owner, a file that is there keeps its own.
func (s *shell) place(e Event, shut bool, mode string) {
	if shut {
		mode = "0600"
	}
	if ownerText(e.Detail) == "" {
		s.call("place", shellWords([]string{mode, e.Path}))
		return
	}
	d := maps.Clone(e.Detail)
	d["mode"] = mode
	s.command(append(append([]string{"install"}, metaFlags(d)...), "--", "/dev/null", e.Path)...)
}

// fill writes a text to where to leads.
func (s *shell) fill(to, content string) {
	s.use(secretsIn(content)...)
	switch {
	case content == "":
	case !strings.HasSuffix(content, "\n") || !showable(content):
		s.print("printf %s " + shellWord(content) + to + "\n")
	default:
		end, body := hereDocument(content)
		s.print("cat" + to + " <<" + end + "\n" + body)
	}
}

// source is the word for the file that the op under way copies, "" if it copies none; dated says
// that the copy has its time. The digest is one that the file must have, if any.
func (s *shell) source() (word, sum string, dated bool) {
	switch s.op.Op {
	case "copy":
		word, sum = s.file("src")
		return word, sum, false
	case "download":
		name := argText(s.op.Args, "url")
		if u, err := url.Parse(name); err == nil && u.Scheme == "file" {
			name = u.Path
		}
		if strings.HasPrefix(name, "/") && !strings.Contains(name, "<redacted>") {
			return shellWord(name), "", true
		}
	}
	return "", "", false
}

// file is the word for the file that an argument of the op names, "" if none does. One beside the runbook lies where
// who runs the script says, and must have a digest.
func (s *shell) file(key string) (word, sum string) {
	here, ok := asRead(s.op.Args[key]).(map[string]any)
	if !ok {
		if word = argText(s.op.Args, key); word != "" {
			word = shellWord(word)
		}
		return word, ""
	}
	dir := runbookDir
	if here["site"] == true {
		dir = siteDir
	}
	if !slices.Contains(s.dirs, dir) {
		s.dirs = append(s.dirs, dir)
	}
	return `"$` + dir + `"/` + shellWord(detailText(here, "here")), detailText(here, "sha256")
}

// Variables of a script that say where the runbook, and the site's own file, lie.
const (
	runbookDir = "RUNBOOK_DIR"
	siteDir    = "RUNBOOK_SITE_DIR"
)

// verify stops the script if a file has another digest.
func (s *shell) verify(program, sum, word string) {
	if sum != "" {
		s.print("printf '%s  %s\\n' " + shellWord(sum) + " " + word + " | " + program + " -c --quiet -\n")
	}
}

// tree writes what makes many files.
func (s *shell) tree(e Event) {
	from := cmp.Or(argText(s.op.Args, "archive"), argText(s.op.Args, "src"), argText(s.op.Args, "url"))
	switch {
	case from == "":
		s.cannot("the trace does not hold the files that are made below %s", e.Path)
	case s.op.Op == "extract":
		s.extract(e)
	case s.op.Op == "copy":
		read := []string{"tar", "-C", argText(s.op.Args, "src"), "--mode=u-s,g-s,o-t", "-cf", "-"}
		for _, key := range []string{"owner", "group"} {
			if v := detailText(e.Detail, key); v != "" {
				read = append(read, "--"+key+"="+v)
			}
		}
		write := []string{"tar", "-C", e.Path, "-xpmf", "-", "--no-overwrite-dir"}
		if len(read) == 6 {
			write = append(write, "--no-same-owner")
		}
		s.print(shellWords(append(read, ".")) + " | " + shellWords(write) + "\n")
	case s.op.Op == "download":
		s.download(e)
	default:
		s.cannot("the trace does not hold the files that are made below %s", e.Path)
	}
}

// extract unpacks an archive as tar does; its owners and group-writable bits do not count.
func (s *shell) extract(e Event) {
	archive, sum := s.file("archive")
	s.verify("sha256sum", sum, archive)
	for _, in := range e.Inputs {
		if shellWord(in.Path) == archive && in.Of == "" {
			s.verify("sha256sum", in.SHA256, archive)
			s.verify("md5sum", in.MD5, archive)
		}
	}
	strip, n := "", 0
	if n, _ = strconv.Atoi(argText(s.op.Args, "strip_components")); n > 0 {
		s.print(fmt.Sprintf("strip=%d; case $(%s | sed -n 1p) in ./*) strip=%d ;; esac # tar counts ./, too\n",
			n, "tar -tf "+archive, n+1))
		strip = ` --strip-components="$strip"`
	}
	existing := "--no-overwrite-dir"
	if argText(s.op.Args, "keep_existing") == "true" {
		existing = "--skip-old-files"
	}
	unpack := []string{"-C", e.Path, "--no-same-owner", "--no-same-permissions", existing}
	s.print("tar -xf " + archive + " " + shellWords(unpack) + strip + s.only(archive, n) + "\n")
	if owner := ownerText(e.Detail); owner != "" {
		s.print("tar -tf " + archive + " --quoting-style=literal --show-transformed-names" + strip + " | (cd -- " +
			shellWord(e.Path) + " && " +
			shellWords([]string{"xargs", "-r", "-d", `\n`, "chown", "-h", owner, "--"}) + ")\n")
	}
}

// only is what of an archive is unpacked, for tar, which looks at names before it takes directories off.
func (s *shell) only(archive string, strip int) (words string) {
	patterns, _ := asRead(s.op.Args["only"]).([]any)
	if len(patterns) == 0 {
		return ""
	}
	s.print("front=; case $(tar -tf " + archive + " | sed -n 1p) in ./*) front=./ ;; esac\n")
	words = " --wildcards --no-wildcards-match-slash"
	for _, p := range patterns {
		words += ` "$front"` + shellWord(strings.Repeat("*/", strip)+fmt.Sprint(p))
	}
	return words
}

func (s *shell) download(e Event) {
	from, name := argText(s.op.Args, "url"), argText(s.op.Args, "dest")
	if from == "" || name == "" || strings.Contains(from, "<redacted>") || len(secretsIn(from)) > 0 {
		s.cannot("the trace does not hold the whole address of %s", cmp.Or(name, e.Path))
		return
	}
	s.command("curl", "-fsSL", "--retry", "3", "-o", name, "--", from)
	if sum := detailText(e.Detail, "sha256"); sum != "" {
		s.verify("sha256sum", sum, shellWord(name))
	}
	mode := "0644"
	if n, ok := asRead(s.op.Args["mode"]).(json.Number); ok {
		if bits, err := n.Int64(); err == nil {
			mode = fmt.Sprintf("%04o", bits)
		}
	}
	s.command("chmod", mode, "--", name)
	if owner := ownerText(e.Detail); owner != "" {
		s.command("chown", "--", owner, name)
	}
}

// mirror has runbook itself mirror: the index that it publishes is its own.
func (s *shell) mirror(e Event) {
	s.whole = true
	args := maps.Clone(s.op.Args)
	for _, key := range []string{"owner", "group"} {
		if v := detailText(e.Detail, key); v != "" && args[key] == nil {
			args[key] = v
		}
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(args)) {
		fmt.Fprintf(&b, "        %s = %s,\n", plainName(k), starlark(asRead(args[k])))
	}
	text, flags := b.String(), []string{}
	if strings.Contains(text, "<redacted>") {
		s.cannot("the trace does not hold the whole address of what %s mirrors", s.op.Target)
		return
	}
	declared := ""
	for _, name := range slices.Compact(slices.Sorted(slices.Values(secretsIn(mustText(args))))) {
		s.use(name)
		declared += fmt.Sprintf("secret_%s = secret(%q)\n", plainName(name), name)
		s.print("export " + variable(name) + "\n")
		flags = append(flags, "--secret", name+"=env:"+variable(name))
	}
	end, body := hereDocument(declared + "\ndef mirrored():\n    mirror(\n" + text + "    )\n\nstep(mirrored)\n")
	s.call("mirror", strings.TrimLeft(shellWords(append([]string{"x"}, flags...))[1:]+" <<"+end, " "))
	s.print(body)
}

// starlark writes a value of an op's arguments as a runbook does.
func starlark(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case string:
		var parts []string
		at := 0
		for _, m := range secretName().FindAllStringSubmatchIndex(v, -1) {
			parts = append(parts, mustText(v[at:m[0]]), "secret_"+plainName(v[m[2]:m[3]]))
			at = m[1]
		}
		return strings.Join(append(parts, mustText(v[at:])), " + ")
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, starlark(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, mustText(k)+": "+starlark(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// asRead returns a value as it is read from a trace.
func asRead(v any) (out any) {
	dec := json.NewDecoder(bytes.NewReader([]byte(mustText(v))))
	dec.UseNumber()
	_ = dec.Decode(&out) // it was encoded a moment ago
	return out
}

// mustText is the JSON of a value of a trace, which has one.
func mustText(v any) string {
	text, _ := marshal(v)
	return string(text)
}

// argText is an argument of an op as text; of a file beside the runbook it is the name.
func argText(args map[string]any, key string) string {
	if here, ok := args[key].(map[string]any); ok && here["here"] != nil {
		return detailText(here, "here")
	}
	return detailText(args, key)
}

func (s *shell) meta(e Event) {
	if detailText(e.Detail, "files") != "" {
		if owner := ownerText(e.Detail); owner != "" { // a file with other names, hard links, may be somebody else's, too
			s.print(shellWords([]string{"find", e.Path}) + ` \( ! -type f -o -links 1 \) -exec chown -h ` + shellWord(owner) +
				" {} +\n")
		}
		return
	}
	if mode := detailText(e.Detail, "mode"); mode != "" {
		s.command("chmod", mode, "--", e.Path)
	}
	s.chown(e)
}

func (s *shell) chown(e Event, flags ...string) {
	if owner := ownerText(e.Detail); owner != "" {
		s.command(append(append([]string{"chown"}, flags...), "--", owner, e.Path)...)
	}
}

// ownerText is USER:GROUP, USER, :GROUP or "".
func ownerText(d map[string]any) string {
	owner := detailText(d, "owner")
	if group := detailText(d, "group"); group != "" {
		owner += ":" + group
	}
	return owner
}

// metaFlags are the flags of install(1) for a mode and an owner.
func metaFlags(d map[string]any) (flags []string) {
	for _, f := range [][2]string{{"-m", "mode"}, {"-o", "owner"}, {"-g", "group"}} {
		if v := detailText(d, f[1]); v != "" {
			flags = append(flags, f[0], v)
		}
	}
	return flags
}

// lettersOf leaves of a text what base64 may hold.
func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '+' || r == '/' || r == '=' || plainName(string(r)) == string(r) && r != '_' {
			return r
		}
		return -1
	}, s)
}
