package runtime

import (
	"go.starlark.net/starlark"

	"runbook/runtime/host"
)

// coreBuiltins returns the builtins that belong to every run.
func coreBuiltins() []*Builtin {
	return []*Builtin{
		varBuiltin, secretBuiltin, stepBuiltin, manualBuiltin, retiredBuiltin, requireBuiltin, confirmBuiltin, logBuiltin,
		hereOf(false),
	}
}

var varBuiltin = &Builtin{
	Name:    "var",
	Summary: "declare a value that the person running the runbook may set, and return it",
	Detail: []string{
		"A path becomes absolute. Without a default the var is required. All that are missing or wrong are reported together.",
		"The first found counts: --var, RUNBOOK_VAR_NAME in the environment, --vars, the default.",
	},
	Args: []Arg{
		arg("name", "string", "", "letters, digits and _"),
		arg("default", "any", "none", "value if nobody sets it; its type is the var's"),
		arg("help", "string", `""`, "what it means"),
		arg("type", "string", "that of default", "string, bool, int, path or list").OneOf(varTypes...),
		arg("choices", "list of string", "[]", "the only values allowed"),
		arg("pattern", "string", `""`, "regular expression that the whole value must match"),
	},
	Example: `pass`, declare: declareVar,
}

var secretBuiltin = &Builtin{
	Name:    "secret",
	Summary: "declare a secret and return a placeholder for it",
	Detail: []string{
		"The placeholder can be joined with text by +, %, format and join; only a command's stdin, environment or argv, a file or a URL gets the value.",
		"It cannot be compared, measured or cut. A dry run never asks for it.",
	},
	Args: []Arg{
		arg("name", "string", "", "letters, digits and _"),
		arg("help", "string", `""`, "what it means"),
		arg("pattern", "string", `""`, "regular expression that the whole value must match"),
		arg("when", "bool", "True", "whether it is asked for; using it otherwise is an error"),
	},
	Example: `pass`, declare: declareSecret,
}

var stepBuiltin = &Builtin{
	Name:    "step",
	Summary: "declare a function as the next step of the runbook",
	Args: []Arg{
		arg("fn", "function", "", "takes no arguments; its docstring is the step's manual text"),
		arg("name", "string", "the function's", "what --step and --skip call it"),
		arg("title", "string", `""`, "heading for people"),
		arg("user", "string", `""`, "account that commands run as and that owns what is made"),
		arg("when", boolOrFunction, "True", "whether the step runs; a function is called during the run"),
		arg("tags", "list of string", "[]", "what --tag can choose it by"),
		arg("controls", "list of string", "[]", "what it is evidence for in a report, such as CM-3 of NIST SP 800-53"),
	},
	Example: `pass`, declare: declareStep,
}

var manualBuiltin = &Builtin{
	Name:    "manual",
	Secrets: []string{"text"},
	Summary: "declare a step that a person does",
	Detail:  []string{"It waits for acknowledgement, then done must hold. Without done a marker in the state directory remembers."},
	Args: []Arg{
		arg("name", "string", "", "what --ack calls it"),
		arg("text", "string", "", "what to do"),
		arg("done", "function", "none", "returns whether it is done; may only read"),
		arg("when", boolOrFunction, "True", "whether the step runs"),
	},
	Example: `pass`, declare: declareManual,
}

var requireBuiltin = &Builtin{
	Name:    "require",
	Secrets: []string{"message", "fix"},
	Summary: "stop before anything changes unless a condition holds",
	Detail:  []string{"Failures gather until the next builtin that changes something, or the step's end, and are reported together."},
	Args: []Arg{
		arg("condition", "bool", "", "what must hold"),
		arg("message", "string", "", "what is wrong if it does not"),
		arg("fix", "string", `""`, "what to do then"),
	},
	Example: `require(exists("/"), "there is no root directory")`, anytime: true, declare: require,
}

var confirmBuiltin = &Builtin{
	Name:    "confirm",
	Secrets: []string{"question"},
	Summary: "ask a person for a yes",
	Detail:  []string{"--yes answers it. Without a terminal and without --yes the run stops with exit code 4. A dry run assumes a yes."},
	Args:    []Arg{arg("question", "string", "", "ends with a question mark")},
	Example: `confirm("Have the users been told?")`, New: newConfirm,
}

var logBuiltin = &Builtin{
	Name:    "log",
	Secrets: []string{"text"},
	Summary: "show a line to whoever watches",
	Args:    []Arg{arg("text", "string", "", "what to show")},
	Example: `log("half way")`, Read: func(c *Call, _ host.Reader) (starlark.Value, error) {
		var text string
		if err := c.Unpack("text", &text); err != nil {
			return nil, err
		}
		return starlark.None, c.run.log(text)
	},
}
