package builtins

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"runbook/runtime"
	"runbook/runtime/host"
)

var queryBuiltin = &runtime.Builtin{
	Name: "query",
	Args: []runtime.Arg{
		param("argv", "list of string", "", "the command: a list, or one string that is split into words; no shell"),
		param("assume", "string or dict", "None", `what a dry run takes for the answer where it may not ask: the standard output, or {"code", "stdout", "stderr"}`),
		param("ok", "list of int", "[0]", "exit statuses that are no error"),
		param("env", "dict", "{}", "added to the environment"),
		param("cwd", "path", `""`, "working directory; the user's home if empty"),
		param("stdin", "string", `""`, "standard input"),
	},
	Secrets:    []string{"argv", "env", "stdin", "assume"},
	Positional: 1,
	Summary:    "run a command that only reads and return .code, .stdout and .stderr",
	Detail: []string{
		"A dry run asks, too, unless the program or the user is not there yet or a word of argv meets a path that the run changed; then it needs assume=. Once the run would have changed anything, assume= also takes the place of a failure.",
		"There it can only read, where the kernel can see to that: every file system is read-only, the network is away, " +
			"and nothing gives it rights. With --no-probes it does not run, and assume= is the answer.",
		"A command that changes anything belongs into run().",
	},
	Example: `log(query(["uname", "-r"], assume = "6.1").stdout)`,
	RunsAs:  true,
	Private: true,
	Read:    readQuery,
}

func readQuery(c *runtime.Call, h host.Reader) (starlark.Value, error) {
	var assume starlark.Value
	var cwd runtime.Path
	var stdin string
	p := host.Process{User: c.User(), Asker: "query"}
	ok := []int{0}
	var argv words
	err := c.Unpack("argv", &argv, "assume", &assume, "ok", &ok, "env", &p.Env, "cwd", &cwd, "stdin", &stdin)
	if err != nil {
		return nil, err
	}
	assumed, err := assumedAnswer(assume)
	if err != nil {
		return nil, err
	}
	p.Argv, p.Dir, p.Stdin = argv, string(cwd), []byte(stdin)
	res, err := h.Query(c.Context(), p)
	predicted := runtime.Predicting(c.Context())
	if runtime.ClassOf(err) == runtime.Deviates {
		return nil, fmt.Errorf("query %s: %w", quote(p.Argv), err)
	}
	failed := err != nil || !slices.Contains(ok, res.Code)
	if errors.Is(err, host.ErrUnknown) || predicted {
		if assume != nil || !failed {
			runtime.Assume(c.Context(), "the answer of "+quote(p.Argv))
		}
		if assume != nil && failed {
			return assumed, nil
		}
	}
	switch {
	case failed && predicted && c.Context().Err() == nil:
		hint := "if that is only so because nothing is changed yet, state what a dry run may assume: assume=\"...\""
		return nil, runtime.Hint(fmt.Errorf("query %s: %w", quote(p.Argv), failure(res, err)),
			cmp.Or(runtime.HintOf(err), hint))
	case errors.Is(err, host.ErrUnknown):
		return nil, runtime.Hint(fmt.Errorf("query %s: %w", quote(p.Argv), err),
			cmp.Or(runtime.HintOf(err), "state what a dry run may assume: assume=\"...\""))
	case err != nil:
		return nil, fmt.Errorf("query %s: %w", quote(p.Argv), err)
	case failed:
		return nil, runtime.Hint(fmt.Errorf("query %s: %w", quote(p.Argv), failure(res, err)),
			fmt.Sprintf("if that is no error: ok=[0, %d]", res.Code))
	}
	return queryAnswer(starlark.MakeInt(res.Code), starlark.String(res.Stdout), starlark.String(res.Stderr)), nil
}

// failure is err, or what an exit status that is an error says.
func failure(res host.Result, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("exit status %d%s", res.Code, res.LastWords())
}

// assumedAnswer returns the answer that assume= stands for, nil if there is none.
func assumedAnswer(v starlark.Value) (starlark.Value, error) {
	if v == nil {
		return nil, nil
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return queryAnswer(starlark.MakeInt(0), v, starlark.String("")), nil
	}
	parts := map[string]starlark.Value{"code": starlark.MakeInt(0), "stdout": starlark.String(""),
		"stderr": starlark.String("")}
	for _, kv := range d.Items() {
		name, _ := starlark.AsString(kv[0])
		if _, ok := parts[name]; !ok {
			return nil, fmt.Errorf("query: argument \"assume\": got key %s, want code, stdout or stderr", kv[0])
		}
		parts[name] = kv[1]
	}
	return queryAnswer(parts["code"], parts["stdout"], parts["stderr"]), nil
}

// queryAnswer returns the value with .code, .stdout and .stderr.
func queryAnswer(code, stdout, stderr starlark.Value) starlark.Value {
	return starlarkstruct.FromStringDict(starlark.String("answer"),
		starlark.StringDict{"code": code, "stdout": stdout, "stderr": stderr})
}
