package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Schema returns the JSON Schema (draft 2020-12) of a line of a trace. It is made from the types that lines are written
// from and read into. A line may have keys that it does not name: fields are added without a new version.
func Schema() []byte {
	defs := object{}
	var kinds []any
	for _, k := range everyKind() {
		defs[string(k)] = schemaOf(k)
		kinds = append(kinds, object{"$ref": "#/$defs/" + string(k)})
	}
	b, err := json.MarshalIndent(object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"$id":         "urn:runbook:trace:v1",
		"title":       "A line of a runbook trace",
		"description": schemaText,
		"oneOf":       kinds,
		"$defs":       defs,
	}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("trace: %v", err)) // of constants and types
	}
	return append(bytes.ReplaceAll(b, []byte(`\u003c`), []byte("<")), '\n')
}

const schemaText = "A trace is JSONL: an event a line, UTF-8, without white space between members. " +
	"The first line is of kind run, the last of kind end. prev is the hash of the bytes of the line before it, " +
	"which a schema cannot compute: see runbook audit verify. Keys that are not named here may be added."

type object map[string]any

func everyKind() []Kind { return []Kind{Run, Step, Op, Effect, Probe, Result, Log, End} }

// schemaOf returns the schema of the lines of a kind.
func schemaOf(k Kind) object {
	e := Event{Kind: k, Run: &RunInfo{}}
	props := object{
		"seq":  object{"type": "integer", "minimum": 1, "description": "1, 2, ..."},
		"prev": object{"type": "string", "pattern": hexDigest, "description": "hex SHA-256 of the line before, 64 zeros in the first"},
		"kind": object{"const": string(k)},
	}
	required := []string{"seq", "prev", "kind"}
	for _, s := range e.slots() {
		props[s.key] = schemaAt(k, s)
	}
	if k == End {
		props["seal"] = object{"type": "string", "pattern": hexDigest,
			"description": `hex SHA-256 of the bytes of this line before ,"seal"`}
		required = append(required, "seal")
	}
	for _, key := range requiredKeys(k) {
		if !laterKey(key) {
			required = append(required, key)
		}
	}
	return object{"type": "object", "properties": props, "required": required}
}

const hexDigest = "^[0-9a-f]{64}$"

// laterKey reports whether older traces lack a key that is now in every line of its kind.
func laterKey(key string) bool { return key == "inputs" }

// schemaAt returns the schema of a member of the lines of a kind.
func schemaAt(k Kind, s slot) object {
	o := schemaOfType(reflect.TypeOf(s.at).Elem())
	o["description"] = meaningOf(k, s.key)
	if words := wordsOf(k, s.key); words != nil {
		o["enum"] = words
	}
	if s.key == "v" {
		o["const"] = version
	}
	return o
}

// schemaOfType returns the schema of what a Go value is written as.
func schemaOfType(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[millis]():
		return object{"type": "integer", "minimum": 0}
	case t.Kind() == reflect.Pointer:
		return schemaOfType(t.Elem())
	case t.Kind() == reflect.Int:
		return object{"type": "integer"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": schemaOfType(t.Elem())}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOfType(t.Elem())}
	case t.Kind() == reflect.Struct:
		return schemaOfStruct(t)
	}
	return object{} // any
}

func schemaOfStruct(t reflect.Type) object {
	props, required := object{}, []string{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		props[name] = schemaOfType(t.Field(i).Type)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": props, "required": required}
}

// wordsOf returns the only texts that a key may have in lines of a kind, nil if it may have any.
func wordsOf(k Kind, key string) []string {
	switch {
	case k == Run && key == "mode":
		return []string{RealRun, DryRun, Rehearsal}
	case k == Step && key == "state":
		return []string{Begin, Ended, LeftOut}
	case k == Effect && key == "call":
		return calls()
	case k == Effect && key == "fidelity":
		return []string{string(Exact), string(Bounded), string(Guessed)}
	case k == Result && key == "outcome":
		return []string{string(Same), string(Changed), string(Failed), string(Skipped)}
	case k == End && key == "outcome":
		return []string{string(Done), string(Failed), string(Interrupted)}
	}
	return nil
}

// calls returns what an effect may be.
func calls() []string { return strings.Fields("exec mkdir write symlink meta move remove tree") }

// meaningOf says what a key means in lines of a kind; "" where that is not known.
func meaningOf(k Kind, key string) string {
	for _, m := range meanings() {
		if m.key == key && (len(m.of) == 0 || slices.Contains(m.of, k)) {
			return m.text
		}
	}
	return ""
}

// A meaning is what a key means, in lines of some kinds, or of all.
type meaning struct {
	key  string
	of   []Kind
	text string
}

func meanings() []meaning {
	return []meaning{
		{"time", nil, "RFC 3339, UTC; a claim of the machine's clock"},
		{"v", nil, "version of the format; readers refuse others"},
		{"mode", nil, "a dry run changes nothing; what a rehearsal changes is discarded"},
		{"runbook", nil, "name of the file that was run"},
		{"sources", nil, "the files that it was read from, each with its hex SHA-256; origin is shipped, edited or local"},
		{"vars", nil, "what can be set, its value and where that is from; secrets are not among them"},
		{"binary", nil, "the program that ran"},
		{"host", nil, "the machine it ran on; boot is the id of the kernel's start"},
		{"ticket", nil, "of the change; empty if none was named"},
		{"previous", nil, "head of the last run on this host"},
		{"follows", nil, "head of the approved trace that the run follows"},
		{"undo", nil, "names what the run keeps of the machine as it was, for runbook undo"},
		{"other_sources", nil, "sources other than those of the approved trace were accepted"},
		{"snapshot", nil, "the file of what the machine answered, from which the dry run was made elsewhere"},
		{"policy", nil, "the policy that judged the run, then what it loads"},
		{"confine", nil, "on: commands are held to what their effects declare; offline: and have no network"},
		{"approvals", nil, "who has approved the plan that the run follows, with which key, until when"},

		{"step", nil, "name of the step"},
		{"title", nil, "of the step"},
		{"text", []Kind{Step}, "the step's manual text"},
		{"text", nil, "a line for people"},
		{"state", nil, "of the step; one that was left out has skipped, and no end"},
		{"site", nil, "what the site's own file has done with the step"},
		{"why", []Kind{Probe}, "why the question could do more than read"},
		{"why", nil, "why the step was left out"},
		{"controls", nil, "what the step is evidence for, such as CM-3 of NIST SP 800-53"},
		{"op", nil, "the builtin"},
		{"target", nil, "what it is about"},
		{"pos", nil, "where the runbook calls it: file.star:line:column"},
		{"user", []Kind{Run}, "who ran it; sudo_user is who called sudo"},
		{"user", nil, "the account that acts"},
		{"args", nil, "arguments; secrets as <secret:name>"},
		{"read", nil, "what the script has read since the op or step before; of texts their size and SHA-256"},
		{"changes", nil, "what is there (from) and what should be (to)"},
		{"whole", nil, "hex SHA-256 of each new text of which changes has only head and tail; it is in TRACE.blobs"},
		{"call", nil, "how the machine is changed; the line is on disk before it is"},
		{"inputs", nil, "local files that it reads and the run did not make"},
		{"argv", nil, "the command's words; no shell reads them"},
		{"path", nil, "the file or directory"},
		{"stdin", nil, "hex SHA-256 of the command's input, or <secret:name>"},
		{"sets", nil, "facts that hold afterwards, as kind:name"},
		{"detail", nil, "more about the effect: mode, owner, group, sha256, bytes, cwd, env, argv_exposed, signatures, confined, ..."},
		{"before", nil, "hex SHA-256 of the record of what was there before, which runbook undo puts back"},
		{"fidelity", nil, "how well it is known what the effect does: exact, bounded by what the runbook says of it, or assumed"},
		{"url", nil, "what was asked over the network, without its secrets"},
		{"code", nil, "exit status, or HTTP status"},
		{"asker", nil, "query, unless or wait_for where the runbook asks; absent where a builtin does"},
		{"outcome", nil, "how it ended"},
		{"assumed", nil, "guesses that it rests on"},
		{"observed", nil, "what was not known beforehand: digests, attempts, what a command printed"},
		{"error", nil, "why it failed"},
		{"hint", nil, "what may cure it"},
		{"elapsed_ms", nil, "milliseconds that it took"},
		{"same", nil, "ops that found nothing to change"},
		{"changed", nil, "ops that changed something, or would"},
		{"failed", nil, "ops that failed"},
		{"skipped", nil, "ops and steps that were left out"},
	}
}
