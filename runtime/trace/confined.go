package trace

import "strings"

// Confined is the name, in an effect's detail, of what its command is held to: an object, or a text that begins
// with NotEnforced. In what is observed of an op it is such a text, where the kernel could not do it.
const (
	Confined    = "confined"
	NotEnforced = "not enforced: "
)

// How a run confines commands.
const (
	ConfineOn      = "on"      // to what their effects declare
	ConfineOffline = "offline" // so, and without network
)

// Confining says how a run confines commands; "" if it does not.
func (r *RunInfo) Confining() string {
	switch r.Confine {
	case "":
		return ""
	case ConfineOffline:
		return "commands are confined to what their effects declare, without network"
	}
	return "commands are confined to what their effects declare"
}

// heldTo says what the command of an effect may change; "" if it is not confined.
func heldTo(e Event) string {
	held, _ := asRead(e.Detail[Confined]).(map[string]any)
	if held == nil {
		return ""
	}
	var words []string
	for _, key := range []string{"writes", "makes"} {
		list, _ := held[key].([]any)
		for _, name := range list {
			if s, ok := name.(string); ok {
				words = append(words, s)
			}
		}
	}
	text := "nothing"
	if len(words) > 0 {
		text = strings.Join(words, " ")
	}
	if held["network"] == false {
		text += " without network"
	}
	return text
}

// Unenforced returns why commands of effects, of a run that confines commands, were not confined.
func Unenforced(effects []Event, result *Event) (all []string) {
	for _, e := range effects {
		if s := notEnforced(e.Detail); s != "" {
			all = append(all, s)
		}
	}
	if result != nil {
		if s := notEnforced(result.Observed); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func notEnforced(detail map[string]any) string {
	s, _ := detail[Confined].(string)
	return s
}

// warnings are what an effect lets others see, and why its command is not confined.
func warnings(e Event) (all []string) {
	if s := exposure(e); s != "" {
		all = append(all, s)
	}
	if s := notEnforced(e.Detail); s != "" {
		all = append(all, Quote(s))
	}
	return all
}

// remarks shows what an op rested on, and why the kernel did not confine its commands.
func (t *Terminal) remarks(result Event) {
	for _, s := range result.Assumed {
		t.line(below, t.paint.change.Sprint("assumed: ")+Quote(s))
	}
	if s := notEnforced(result.Observed); s != "" {
		t.line(below, t.paint.bad.Sprint(Quote(s)))
	}
}
