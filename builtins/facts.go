package builtins

import (
	"context"
	"errors"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

// fact returns the fact of kind k that is called name.
func fact(k *host.Kind, name string) host.Fact { return host.Fact{Kind: k, Name: name} }

// ask returns the value of a fact. Where only a real run could know it, ask assumes
// that it is not what is wanted and returns "".
func ask(ctx context.Context, h host.Reader, f host.Fact) (string, error) {
	v, err := h.Fact(ctx, f)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, f.String()+" is not what is wanted")
		return "", nil
	}
	return v, err
}

// kinds returns the kinds of facts that a script can name.
func kinds() []*host.Kind {
	return []*host.Kind{
		condaKind, crontabKind, debKind, enabledKind, firewallKind, host.Group, host.Home, hostnameKind, host.Port, rpmKind, serviceKind, host.Shell, statusKind, sysctlKind, host.User,
	}
}

// kindNamed returns the kind that a script calls name, or nil.
func kindNamed(name string) *host.Kind {
	for _, k := range kinds() {
		if k.Name == name {
			return k
		}
	}
	return nil
}

func kindNames() (names []string) {
	for _, k := range kinds() {
		names = append(names, k.Name)
	}
	return names
}

// FactCalled returns the fact that a trace calls KIND:NAME and wants to have a value. It reports false for a kind that
// no effect sets, or that only a newer program knows.
func FactCalled(name, value string) (host.Fact, bool) {
	kind, of, ok := strings.Cut(name, ":")
	if kind == startedKind {
		return startedAs(of, value)
	}
	others := []*host.Kind{host.Comment, host.Primary, host.Groups, cronKind, ruleKind, processKind, rpmBuildKind}
	for _, k := range append(kinds(), others...) {
		if ok && k.Name == kind {
			return fact(k, of), k != processKind || strings.Contains(of, " ")
		}
	}
	return host.Fact{}, false
}
