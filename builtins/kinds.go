package builtins

import "runbook/runtime/host"

// kinds are the facts that a script can name.
func kinds() []*host.Kind {
	return []*host.Kind{
		condaKind, crontabKind, enabledKind, firewallKind, host.Group, host.Home, host.Port, rpmKind, serviceKind, host.Shell, statusKind, host.User,
	}
}

// kindNamed returns the kind that a script calls name, nil if there is none.
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
